"""Flickr8k's real captions and lists; a mirror has to hold them."""

from collections import Counter

import pytest

from cmr.assets import mirror_folders
from cmr.datasets import flickr8k


@pytest.fixture(scope="module")
def folders():
    path = "flickr8k/Flickr8k.token.txt"
    for mirror in mirror_folders([]):
        if (mirror / path).is_file():
            return {"flickr8k_text": (mirror / path).parent, "flickr8k_images": mirror / "flickr8k/Flicker8k_Dataset"}
    pytest.skip(f"no mirror of the environment variable CMR_MIRRORS holds {path}")


def test_there_are_8092_images_with_five_captions_each(folders):
    pairs = list(flickr8k.read(folders))
    assert len({pair.id for pair in pairs}) == 8092
    assert {pair.text.count("\n") for pair in pairs} == {4}
    assert Counter(pair.part for pair in pairs) == {"train": 6000, "valid": 1000, "test": 1000, None: 92}


def test_captions_alone_are_40460_items_in_8092_groups(folders):
    pairs = list(flickr8k.read(folders, captions="separate"))
    assert len({pair.id for pair in pairs}) == 40460
    assert len({pair.group for pair in pairs}) == 8092
    text = {pair.id: pair.text for pair in pairs}
    assert text["1000268201_693b08cb0e#4"] == "A little girl in a pink dress going into a wooden cabin ."
    assert text["2258277193_586949ec62#0"] == "people waiting for the subway"
