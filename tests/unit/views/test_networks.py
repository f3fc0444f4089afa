"""A layer of any network: published shapes, torchvision's own preprocessing, five patches, half precision."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models
from torchvision.transforms import CenterCrop, FiveCrop, PILToTensor, Resize

from cmr.errors import UserError
from cmr.views.image.networks import NetworkLayer, alexnet_two_groups

IMAGE = Image.effect_noise((300, 260), 60).convert("RGB")


class Small(nn.Module):
    """Mean and maximum of each channel, then an unused layer."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.rectify = nn.ReLU()
        self.score = nn.Linear(3, 2)
        self.unused = nn.Identity()
        self.volume = nn.Flatten(2)

    def forward(self, x):
        pooled = self.pool(self.volume(x).unflatten(2, x.shape[2:]))
        return self.score(self.rectify(pooled).flatten(1))


def small(folder, **options):
    path = folder / "small.pth"
    torch.save(Small().state_dict(), path)
    options = {"layer": "pool", "mean": [0] * 3, "std": [1] * 3} | options
    return NetworkLayer(architecture=f"{__name__}.Small", weights=path, **options)


def random_weights(builder, path):
    """Of the published shapes, in the place of the published file."""
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in builder().state_dict().items()}
    state = {name: torch.randn(shape) * (2 / max(1, shape[1:].numel())) ** 0.5 for name, shape in shapes.items()}
    torch.save(state, path)
    return state


@pytest.mark.parametrize(("architecture", "layer"), [("alexnet", "classifier.5"), ("vgg16", "classifier.4")])
def test_fc7_is_what_fc8_sees(architecture, layer, tmp_path):
    builder = getattr(models, architecture)
    state = random_weights(builder, tmp_path / "weights.pth")
    features = NetworkLayer(architecture, layer, tmp_path / "weights.pth").features([IMAGE])
    assert features.shape == (1, 4096) and features.dtype == np.float32
    assert features.min() == 0 < features.max()  # after the rectifier, and no dropout
    reference = builder()
    reference.load_state_dict(state)
    reference.eval()
    with torch.inference_mode():
        fc8 = reference.classifier[-1](torch.from_numpy(features))
        # torchvision's own preprocessing, written for one image at a time.
        published = models.get_model_weights(builder).IMAGENET1K_V1.transforms()(IMAGE)[None]
        torch.testing.assert_close(fc8, reference(published), rtol=1e-4, atol=1e-4)


def test_fc6_feeds_fc7(tmp_path):
    state = random_weights(models.alexnet, tmp_path / "weights.pth")
    fc6, fc7 = (
        torch.from_numpy(NetworkLayer("alexnet", layer, tmp_path / "weights.pth").features([IMAGE]))
        for layer in ("classifier.2", "classifier.5")
    )
    expected = torch.relu(fc6 @ state["classifier.4.weight"].T + state["classifier.4.bias"])
    torch.testing.assert_close(fc7, expected, rtol=1e-4, atol=1e-4)


def test_layer_before_a_rectifier_that_works_in_place_is_seen_unrectified(tmp_path):
    random_weights(models.alexnet, tmp_path / "weights.pth")
    assert NetworkLayer("alexnet", "classifier.4", tmp_path / "weights.pth").features([IMAGE]).min() < 0


def test_maps_are_averaged_over_their_positions(tmp_path):
    features = small(tmp_path).features([IMAGE, IMAGE.rotate(180)])
    centre = np.asarray(CenterCrop(224)(Resize(256)(IMAGE)))
    np.testing.assert_allclose(features[0], centre.mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(features[1], features[0], rtol=0.02)


def test_maps_are_flattened_where_that_is_asked_for(tmp_path):
    state = random_weights(models.alexnet, tmp_path / "weights.pth")
    options = {"architecture": "alexnet", "weights": tmp_path / "weights.pth"}
    maps = torch.from_numpy(NetworkLayer(**options, layer="avgpool", maps="flattened", crop=227).features([IMAGE]))
    assert maps.shape == (1, 256 * 6 * 6)
    fc6 = torch.relu(maps @ state["classifier.1.weight"].T + state["classifier.1.bias"])
    expected = NetworkLayer(**options, layer="classifier.2", crop=227).features([IMAGE])
    np.testing.assert_allclose(fc6, expected, rtol=1e-4, atol=1e-4)


def test_alexnet_in_two_groups_has_the_published_parameters_and_maps():
    network = alexnet_two_groups()
    assert sum(parameter.numel() for parameter in network.parameters()) == 60_965_224
    maps = {}
    for size in (224, 227, 256):
        x = torch.zeros(1, 3, size, size)
        for name, layer in network.named_children():
            x = layer(x)
            maps[size, name] = x.shape[1:]
        assert x.shape == (1, 1000)
    assert [maps[227, name] for name in ("conv1", "pool1", "conv2", "pool2", "conv5")] == [
        (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (256, 13, 13)
    ]  # fmt: skip
    assert [maps[size, "pool5"] for size in (224, 227, 256)] == [(256, 5, 5), (256, 6, 6), (256, 6, 6)]
    assert maps[224, "flat"] == (9216,)


def test_alexnet_in_two_groups_computes_what_is_printed():
    """By hand in float64: groups see half of the maps, responses are divided by those of five neighbouring maps."""
    torch.manual_seed(0)
    network = alexnet_two_groups().double().eval()
    x = 100 * torch.randn(1, 3, 227, 227, dtype=torch.float64)

    def normalised(maps):
        squares = nn.functional.pad(maps.square(), (0, 0, 0, 0, 2, 2))
        sums = sum(squares[:, i : i + maps.shape[1]] for i in range(5))
        return maps / (1 + 1e-4 / 5 * sums) ** 0.75

    def convolved(maps, name, padding, groups=1):
        layer = network.get_submodule(name)
        halves = zip(maps.chunk(groups, 1), layer.weight.chunk(groups), layer.bias.chunk(groups), strict=True)
        return torch.cat(
            [nn.functional.conv2d(*half, stride=layer.stride, padding=padding) for half in halves], 1
        ).relu()

    def pooled(maps):
        return nn.functional.max_pool2d(maps, 3, 2)

    maps = pooled(normalised(convolved(x, "conv1", 0)))
    maps = pooled(normalised(convolved(maps, "conv2", 2, groups=2)))
    maps = convolved(convolved(maps, "conv3", 1), "conv4", 1, groups=2)
    maps = pooled(convolved(maps, "conv5", 1, groups=2)).flatten(1)
    for name in ("fc6", "fc7"):
        maps = network.get_submodule(name)(maps).relu()
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.fc8(maps))


def test_random_weights_are_the_same_every_time_and_disturb_nobody():
    torch.manual_seed(1)
    view = {"architecture": "alexnet", "layer": "classifier.2", "weights": "random"}
    first = NetworkLayer(**view).features([IMAGE])
    expected = torch.rand(1, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.rand(1), expected)
    np.testing.assert_array_equal(NetworkLayer(**view).features([IMAGE]), first)
    assert first.any()


def test_patches_are_four_corners_and_the_centre(tmp_path):
    view = small(tmp_path, crops="five", crop=100, resize=128)
    features = view.features([IMAGE, Image.new("RGB", (140, 130), "white")])
    assert view.kind == "patches" and features.shape == (2, 5, 3)
    expected = [PILToTensor()(patch).float().mean(dim=(1, 2)) for patch in FiveCrop(100)(Resize(128)(IMAGE))]
    np.testing.assert_allclose(features[0], np.stack(expected), rtol=1e-5)
    np.testing.assert_allclose(features[1], 255)
    centre = small(tmp_path, crop=100, resize=128).features([IMAGE])
    np.testing.assert_allclose(features[0, 4], centre[0], rtol=1e-6)


def test_channels_are_centred_and_scaled(tmp_path):
    view = small(tmp_path, mean=[10, 20, 30], std=[1, 2, 4])
    np.testing.assert_allclose(view.features([Image.new("RGB", (300, 300), (12, 24, 38))])[0], [2, 2, 2], rtol=1e-6)


def test_half_precision_agrees_with_single_to_its_precision(tmp_path):
    random_weights(models.alexnet, tmp_path / "weights.pth")
    view = NetworkLayer("alexnet", "classifier.5", tmp_path / "weights.pth")
    single = view.features([IMAGE])
    half = view.place("cpu", mixed_precision=True).features([IMAGE])
    assert half.dtype == np.float32 and not np.array_equal(half, single)
    # bfloat16 keeps eight bits: 0.4 % a number, a few of which add up over seven layers.
    np.testing.assert_allclose(half, single, atol=0.03 * single.max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "fc9"}, r'Small has no layer "fc9"; it has pool, rectify, score, unused, volume'),
        ({"layer": "unused"}, 'Small does not use its layer "unused"'),
        ({"layer": "volume"}, 'layer "volume" gives 3 dimensions'),
        ({"crops": "ten"}, 'crops: "ten" is unknown; give centre or five'),
        ({"batch_size": 0}, "batch_size: 0 will not do"),
        ({"batch_size": "8"}, "batch_size: '8' will not do"),
        ({"mean": [1, 2]}, "mean: three numbers are needed"),
        ({"maps": "first"}, 'maps: "first" is unknown; give averaged or flattened'),
        ({"crop": 300}, "a crop of 300 pixels does not fit into images resized to 256"),
        ({"architecture": "resnet"}, 'unknown network "resnet": give a name of torchvision .*resnet18'),
        ({"architecture": f"{__name__}.Missing"}, 'Missing" cannot be imported'),
    ],
)
def test_faulty_option_is_named(options, message, tmp_path):
    view = {"architecture": f"{__name__}.Small", "layer": "pool", "weights": tmp_path / "w.pth"} | options
    torch.save(Small().state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=message):
        NetworkLayer(**view).features([IMAGE])


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"layer": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(
        UserError, match=r"weights\.pth do not fit AlexNet: features\.0\.weight \(64, 3, 11, 11\) is missing"
    ):
        NetworkLayer("alexnet", "classifier.5", tmp_path / "weights.pth").features([IMAGE])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score.weight": torch.ones(3, 3)}, r"score\.weight has the shape \(3, 3\), not \(2, 3\)$"),
        ({"more": torch.ones(1)}, "more is unknown$"),
        ({"more": 1}, "names with tensors are needed"),
    ],
)
def test_what_does_not_fit_is_named(change, message, tmp_path):
    torch.save(Small().state_dict() | change, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth do not fit Small: .*" + message):
        NetworkLayer(f"{__name__}.Small", "pool", tmp_path / "w.pth").features([IMAGE])


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"", b"hello world" * 10, b"\x80\x02" * 50])
def test_weights_that_are_no_weights_are_refused(content, tmp_path):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.pth are damaged or no PyTorch state dict"):
        NetworkLayer("alexnet", "classifier.5", tmp_path / "weights.pth").features([IMAGE])
