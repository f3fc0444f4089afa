"""Networks give the published shapes; extraction resumes."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from cmr.errors import UserError
from cmr.views.image.extraction import BATCHES_PER_PART, extract
from cmr.views.image.networks import Network, build_network


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(19)]
    for path in paths:
        Image.fromarray(rng.integers(256, size=(20, 30, 3), dtype=np.uint8)).save(path)
    return paths


class Counting(torch.nn.Module):
    """Mean and maximum of each channel; counts its calls, and fails at one of them if asked to."""

    def __init__(self, fail_at=None):
        super().__init__()
        self.calls, self.fail_at = 0, fail_at

    def forward(self, x):
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)


def digests_of(images):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in images]


def network_of(module):
    return Network(module, 6, lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1).float())


def test_features_follow_the_order_of_the_images(images, tmp_path):
    features = extract(
        images, digests_of(images), network_of(Counting()), batch_size=2, parts=tmp_path / "parts", identity={}
    )
    expected = [np.array(Image.open(path)).mean(axis=(0, 1)) for path in images]
    np.testing.assert_allclose(features[:, :3], expected, rtol=1e-5)


def test_interrupted_extraction_goes_on_at_the_last_whole_part(images, tmp_path):
    whole = extract(
        images, digests_of(images), network_of(Counting()), batch_size=2, parts=tmp_path / "whole", identity={}
    )
    with pytest.raises(KeyboardInterrupt):
        extract(
            images,
            digests_of(images),
            network_of(Counting(fail_at=7)),
            batch_size=2,
            parts=tmp_path / "parts",
            identity={},
        )
    rest = Counting()
    features = extract(
        images, digests_of(images), network_of(rest), batch_size=2, parts=tmp_path / "parts", identity={}
    )
    assert rest.calls == 10 - BATCHES_PER_PART  # ten batches, the first part was done
    np.testing.assert_array_equal(features, whole)


def test_picture_replaced_after_an_interruption_is_computed_anew(images, tmp_path):
    settings = {"batch_size": 2, "identity": {}, "parts": tmp_path / "parts"}
    with pytest.raises(KeyboardInterrupt):
        extract(images, digests_of(images), network_of(Counting(fail_at=7)), **settings)
    Image.new("RGB", (30, 20), "white").save(images[0])
    features = extract(images, digests_of(images), network_of(Counting()), **settings)
    assert features[0, 0] == 255


def test_damaged_part_is_discarded_and_computed_anew(images, tmp_path):
    settings = {"batch_size": 2, "identity": {}, "parts": tmp_path / "parts"}
    whole = extract(images, digests_of(images), network_of(Counting()), **settings)
    part = sorted((tmp_path / "parts").rglob("*.h5"))[0]
    part.write_bytes(part.read_bytes()[:-500])
    again = Counting()
    np.testing.assert_array_equal(extract(images, digests_of(images), network_of(again), **settings), whole)
    assert again.calls == BATCHES_PER_PART


@pytest.mark.parametrize("workers", [1, 3])
def test_features_do_not_depend_on_the_number_of_workers(images, tmp_path, workers):
    alone = extract(images, digests_of(images), network_of(Counting()), batch_size=2, parts=tmp_path / "1", identity={})
    several = extract(
        images,
        digests_of(images),
        network_of(Counting()),
        batch_size=2,
        workers=workers,
        parts=tmp_path / "n",
        identity={},
    )
    np.testing.assert_array_equal(several, alone)


@pytest.mark.parametrize("change", [{"identity": {"weights": "other"}}, {"batch_size": 3}])
def test_parts_of_another_extraction_are_not_taken(images, tmp_path, change):
    settings = {"batch_size": 2, "identity": {"weights": "some"}, "parts": tmp_path / "parts"}
    extract(images, digests_of(images), network_of(Counting()), **settings)
    again = Counting()
    extract(images, digests_of(images), network_of(again), **(settings | change))
    assert again.calls == -(-len(images) // (settings | change)["batch_size"])
    assert len(list((tmp_path / "parts").iterdir())) == 1


@pytest.mark.parametrize("architecture", ["alexnet_fc7", "vgg16_fc7", "vgg19_fc7"])
def test_fc7_is_4096_rectified_values_in_evaluation_mode(architecture, tmp_path):
    from torchvision import models

    builder = getattr(models, architecture.removesuffix("_fc7"))
    torch.manual_seed(0)
    with torch.device("meta"):
        names = {name: tensor.shape for name, tensor in builder().state_dict().items()}
    # Random weights of the published shapes stand in for the published file.
    state = {name: torch.randn(shape) * (2 / max(1, shape[1:].numel())) ** 0.5 for name, shape in names.items()}
    torch.save(state, tmp_path / "weights.pth")
    network = build_network(architecture, tmp_path / "weights.pth")
    image = Image.effect_noise((300, 260), 60).convert("RGB")
    batch = network.preprocess(image)[None]
    assert batch.shape == (1, 3, 224, 224)
    with torch.inference_mode():
        first, second = network.module(batch), network.module(batch)
        reference = builder()
        reference.load_state_dict(state)
        reference.eval()
        fc8 = first @ reference.classifier[-1].weight.T + reference.classifier[-1].bias
        # torchvision's own preprocessing, written for one image at a time.
        published = models.get_model_weights(builder).IMAGENET1K_V1.transforms()(image)[None]
        torch.testing.assert_close(fc8, reference(published), rtol=1e-4, atol=1e-4)
    assert first.shape == (1, network.dimension) == (1, 4096)
    assert first.min() == 0 < first.max()
    torch.testing.assert_close(first, second)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"layer": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth do not fit AlexNet"):
        build_network("alexnet_fc7", tmp_path / "weights.pth")


def test_weights_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"weights\.pth are damaged or no PyTorch state dict"):
        build_network("efficientnet_lite0", tmp_path / "weights.pth")


def test_unknown_network_lists_the_known_ones(tmp_path):
    with pytest.raises(UserError, match='unknown network "resnet"; known are efficientnet_lite0, alexnet_fc7'):
        build_network("resnet", tmp_path / "weights.pth")
