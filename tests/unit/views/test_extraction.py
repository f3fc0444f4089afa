"""Features of many images: in order, resumed after a kill, the same for any number of workers."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from cmr.errors import UserError
from cmr.views.base import ImageView
from cmr.views.image.extraction import BATCHES_PER_PART, extract
from cmr.views.image.handcrafted import Handcrafted


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(19)]
    for path in paths:
        Image.fromarray(rng.integers(256, size=(20, 30, 3), dtype=np.uint8)).save(path)
    return paths


@dataclass
class Means(ImageView):
    """Mean of each channel by torch's kind of workers; counts its calls, and fails at one of them if asked to."""

    fail_at: int | None = None
    batch_size: int = 2
    calls: int = 0

    uses_torch = True

    def features(self, images):
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return np.stack([np.asarray(image).mean(axis=(0, 1)) for image in images]).astype(np.float32)


@dataclass
class MeansByProcesses(Handcrafted):
    """The same, by hand."""

    batch_size: int = 2

    def describe(self, image):
        return np.asarray(image).mean(axis=(0, 1))


def run(view, images, parts, **options):
    """All features in the images' order."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in images]
    features = extract(view, images, digests, parts=parts, **{"identity": {}, **options})
    return np.concatenate(list(features.blocks(np.arange(len(images)))))


@pytest.mark.parametrize("view", [Means(), MeansByProcesses()], ids=["threads", "processes"])
@pytest.mark.parametrize("workers", [1, 3])
def test_features_follow_the_order_of_the_images(view, workers, images, tmp_path):
    expected = [np.array(Image.open(path)).mean(axis=(0, 1)) for path in images]
    np.testing.assert_allclose(run(view, images, tmp_path / "parts", workers=workers), expected, rtol=1e-6)


def test_features_are_given_in_any_order_and_repeatedly(images, tmp_path):
    whole = run(Means(), images, tmp_path / "whole")
    wanted = np.array([18, 0, 0, 5, 18, 3])
    features = extract(Means(), images, [path.name for path in images], parts=tmp_path / "parts", identity={})
    np.testing.assert_array_equal(np.concatenate(list(features.blocks(wanted))), whole[wanted])


def test_interrupted_extraction_goes_on_at_the_last_whole_part(images, tmp_path):
    whole = run(Means(), images, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(Means(fail_at=7), images, tmp_path / "parts")
    rest = Means()
    np.testing.assert_array_equal(run(rest, images, tmp_path / "parts"), whole)
    assert rest.calls == 10 - BATCHES_PER_PART  # ten batches, the first part was done


def test_picture_replaced_after_an_interruption_is_computed_anew(images, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Means(fail_at=7), images, tmp_path / "parts")
    Image.new("RGB", (30, 20), "white").save(images[0])
    assert run(Means(), images, tmp_path / "parts")[0, 0] == 255


def test_damaged_part_is_discarded_and_computed_anew(images, tmp_path):
    whole = run(Means(), images, tmp_path / "parts")
    part = sorted((tmp_path / "parts").rglob("*.h5"))[0]
    part.write_bytes(part.read_bytes()[:-500])
    again = Means()
    np.testing.assert_array_equal(run(again, images, tmp_path / "parts"), whole)
    assert again.calls == BATCHES_PER_PART


@pytest.mark.parametrize("change", [{"identity": {"weights": "other"}}, {"batch_size": 3}])
def test_parts_of_another_extraction_are_not_taken(images, tmp_path, change):
    run(Means(), images, tmp_path / "parts", identity={"weights": "some"})
    again = Means(batch_size=change.get("batch_size", 2))
    run(again, images, tmp_path / "parts", identity=change.get("identity", {"weights": "some"}))
    assert again.calls == -(-len(images) // again.batch_size)
    assert len(list((tmp_path / "parts").iterdir())) == 1


@pytest.mark.parametrize("view", [Means(), MeansByProcesses()], ids=["threads", "processes"])
def test_image_that_vanished_is_named(view, images, tmp_path):
    digests = [path.name for path in images]
    images[11].unlink()
    with pytest.raises(UserError, match=r"11\.png does not exist"):
        extract(view, images, digests, workers=2, parts=tmp_path / "parts", identity={})
