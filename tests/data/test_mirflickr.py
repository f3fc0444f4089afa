"""The real labels and tags of MIRFlickr-20015, where a mirror has them."""

import os
from pathlib import Path

import pytest

from cmr.datasets import mirflickr

FOLDERS = [Path(mirror) / "mirflickr25k" for mirror in os.environ.get("CMR_MIRRORS", "").split(os.pathsep) if mirror]
FOLDERS = [folder for folder in FOLDERS if (folder / "mirflickr25k-lall.mat").is_file()]

pytestmark = pytest.mark.skipif(not FOLDERS, reason="no mirror in CMR_MIRRORS has mirflickr25k/mirflickr25k-lall.mat")


@pytest.fixture(scope="module")
def pairs():
    return list(mirflickr.read_20015({"mirflickr25k_hashing": FOLDERS[0]}))


def test_numbers_of_images_labels_and_tags(pairs):
    assert len(pairs) == 20_015
    assert sum(len(pair.labels) for pair in pairs) / len(pairs) == pytest.approx(3.78, abs=0.005)
    assert min(len(pair.labels) for pair in pairs) == 1
    ((ids, tags),) = mirflickr.tags_20015({"mirflickr25k_hashing": FOLDERS[0]})
    assert ids == [pair.id for pair in pairs]
    assert tags.shape == (20_015, 1386)
    assert tags.sum(axis=1).mean() == pytest.approx(4.64, abs=0.005)
    assert tags.sum(axis=1).min() == 1


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("bird", "animals"),
        ("car", "transport"),
        ("clouds", "sky"),
        ("flower", "plant_life"),
        ("tree", "plant_life"),
        ("lake", "water"),
        ("river", "water"),
        ("sea", "water"),
        ("baby", "people"),
    ],
)
def test_columns_are_the_topics_that_their_names_say(pairs, narrow, wide):
    """A wrong order of the columns breaks these inclusions, which follow from what the topics mean."""
    items = [pair for pair in pairs if narrow in pair.labels]
    assert len(items) > 100
    assert all(wide in pair.labels for pair in items)


@pytest.mark.parametrize(("narrow", "wide"), [("dog", "animals"), ("female", "people"), ("male", "people")])
def test_columns_are_the_topics_but_for_slips_of_the_annotators(pairs, narrow, wide):
    items = [pair for pair in pairs if narrow in pair.labels]
    assert sum(wide not in pair.labels for pair in items) < 0.002 * len(items)
