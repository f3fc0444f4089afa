"""Pixels at one size, and beside them a network that comes back as it was."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import PILToTensor, Resize

from cmr import store
from cmr.errors import UserError
from cmr.views.image.extraction import extract
from cmr.views.image.networks import NetworkLayer
from cmr.views.image.pixels import Pixels, first_network
from tests.unit.views import test_networks
from tests.unit.views.test_networks import Small

IMAGE = Image.effect_noise((300, 180), 60).convert("RGB")


@pytest.fixture
def options(tmp_path):
    """Of a small network with weights of its own."""
    torch.manual_seed(1)
    torch.save(Small().state_dict(), tmp_path / "small.pth")
    return {
        "architecture": f"{test_networks.__name__}.Small", "layer": "score", "weights": tmp_path / "small.pth",
        "mean": [10, 20, 30], "std": [1, 2, 4],
    }  # fmt: skip


def test_the_whole_image_is_resized_whatever_its_proportions(options):
    pixels = Pixels(**options, size=64, crop=60).features([IMAGE, IMAGE.rotate(90, expand=True)])
    assert pixels.shape == (2, 64, 64, 3) and pixels.dtype == np.uint8
    reference = PILToTensor()(Resize((64, 64))(IMAGE)).permute(1, 2, 0)
    np.testing.assert_array_equal(pixels[0], reference)


def test_bytes_stay_bytes_from_the_extraction_to_the_file(options, tmp_path):
    view = Pixels(**options, size=40, crop=32, batch_size=2)
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        IMAGE.rotate(20 * i).save(path)
    features = extract(view, paths, [path.name for path in paths], parts=tmp_path / "parts", identity={})
    ids = [path.stem for path in paths]
    store.write_view(tmp_path / "v.h5", ids, features.blocks(np.arange(5)), {"kind": view.kind}, arrays=view.arrays())
    read = store.read_view(tmp_path / "v.h5")
    assert read.values.dtype == np.uint8
    np.testing.assert_array_equal(read.values, view.features([Image.open(path) for path in paths]))


def test_the_network_comes_back_from_the_file_with_weights_layer_and_preprocessing(options, tmp_path):
    view = Pixels(**options, size=48, crop=32)
    store.write_view(tmp_path / "v.h5", ["a"], view.features([IMAGE]), {"kind": "pixels"}, arrays=view.arrays())
    with store.ViewFile.open(tmp_path / "v.h5") as file:
        first = first_network(file.arrays())
    assert first.crop == 32 and first.trained
    expected = NetworkLayer(**options, resize=48, crop=32).build()
    square = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(first.layers.eval()(square), expected(square))


def test_building_the_network_leaves_torchs_own_random_numbers_alone(options):
    arrays = Pixels(**options).arrays()
    before = torch.random.get_rng_state()
    first_network(arrays)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_description_holds_no_path_and_no_option_that_is_the_weights_business(options):
    (description,) = Pixels(**options).arrays()["pretrained"]
    assert json.loads(description) == {
        "architecture": options["architecture"], "layer": "score", "crop": 224, "maps": "averaged",
        "mean": [10, 20, 30], "std": [1, 2, 4], "trained": True,
    }  # fmt: skip


def test_a_network_of_random_weights_says_so_and_comes_back_as_it_was(options):
    made = [Pixels(**options | {"weights": "random"}).arrays() for _ in range(2)]
    assert json.loads(made[0]["pretrained"][0])["trained"] is False
    first = first_network(made[0])
    assert not first.trained
    for name, weight in first.layers.network.state_dict().items():
        np.testing.assert_array_equal(weight, made[1][f"network/{name}"])
    assert not np.array_equal(made[0]["network/score.weight"], Pixels(**options).arrays()["network/score.weight"])


def test_maps_come_flattened_where_the_view_says_so(options):
    first = first_network(Pixels(**options | {"layer": "pool", "maps": "flattened"}, size=48, crop=32).arrays())
    assert first.layers.maps == "flattened"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 300}, "a crop of 300 pixels does not fit into images resized to 256"),
        ({"layer": "fc9"}, 'Small has no layer "fc9"'),
        ({"architecture": "alexnet"}, "do not fit AlexNet"),
        ({"mean": [1, 2]}, "mean: three numbers are needed"),
    ],
)
def test_faulty_option_is_named_before_any_image_is_read(options, changes, message):
    with pytest.raises(UserError, match=message):
        Pixels(**options | changes).arrays()
