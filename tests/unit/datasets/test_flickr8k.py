"""Flickr8k: captions and lists out of archives laid out as the official ones are."""

from pathlib import Path

import pytest

from cmr.datasets import flickr8k
from cmr.errors import UserError
from tests import official_archives as archives
from tests.official_archives import lay_out

TOKENS = """\
1000268201_693b08cb0e.jpg#0\tA child in a pink dress is climbing up a set of stairs in an entry way .
1000268201_693b08cb0e.jpg#1\tA girl going into a wooden building .
2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway
2258277193_586949ec62.jpg#1\tSome people looking out windows in a large building .
3385593926_d3e9c21170.jpg#1\tTwo dogs .
3385593926_d3e9c21170.jpg#0\tA dog runs .
2090545563_a4e66ec76b.jpg#0\tA boy on a swing .
"""
IMAGES = {"1000268201_693b08cb0e.jpg": b"a picture"}


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    """Both archives; that of the images has a folder, which the asset's configuration takes away."""
    files = archives.flickr8k_text(
        TOKENS,
        train=["1000268201_693b08cb0e.jpg"],
        dev=["2090545563_a4e66ec76b.jpg"],
        test=["3385593926_d3e9c21170.jpg"],
    )
    return {
        "flickr8k_text": lay_out(tmp_path / "flickr8k_text", files),
        "flickr8k_images": lay_out(tmp_path / "flickr8k_images", IMAGES),
    }


def change(folders, file, old, new):
    path = folders["flickr8k_text"] / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_images_are_items_with_all_captions_in_order_and_their_part(folders):
    pairs = {pair.id: pair for pair in flickr8k.read(folders)}
    assert {item: pair.part for item, pair in pairs.items()} == {
        "1000268201_693b08cb0e": "train",
        "2090545563_a4e66ec76b": "valid",
        "3385593926_d3e9c21170": "test",
        "2258277193_586949ec62": None,
    }
    assert pairs["3385593926_d3e9c21170"].text == "A dog runs .\nTwo dogs ."
    assert {(pair.labels, pair.group) for pair in pairs.values()} == {((), None)}
    assert pairs["1000268201_693b08cb0e"].image.read_text() == "a picture"


def test_caption_with_a_misspelt_image_belongs_to_that_image(folders):
    pairs = {pair.id: pair for pair in flickr8k.read(folders)}
    subway = pairs["2258277193_586949ec62"]
    assert subway.text.splitlines() == [
        "people waiting for the subway",
        "Some people looking out windows in a large building .",
    ]
    assert subway.image.name == "2258277193_586949ec62.jpg"


def test_separate_captions_are_items_in_the_group_of_their_image(folders):
    pairs = [pair for pair in flickr8k.read(folders, captions="separate") if pair.part in (None, "test")]
    assert [(pair.id, pair.group, pair.text) for pair in pairs] == [
        ("2258277193_586949ec62#0", "2258277193_586949ec62", "people waiting for the subway"),
        ("2258277193_586949ec62#1", "2258277193_586949ec62", "Some people looking out windows in a large building ."),
        ("3385593926_d3e9c21170#0", "3385593926_d3e9c21170", "A dog runs ."),
        ("3385593926_d3e9c21170#1", "3385593926_d3e9c21170", "Two dogs ."),
    ]


def test_lists_alone_give_items_without_text(folders):
    (folders["flickr8k_text"] / "Flickr8k.token.txt").unlink()
    pairs = list(flickr8k.read(folders))
    assert [(pair.id, pair.text, pair.part) for pair in pairs] == [
        ("1000268201_693b08cb0e", None, "train"),
        ("2090545563_a4e66ec76b", None, "valid"),
        ("3385593926_d3e9c21170", None, "test"),
    ]
    with pytest.raises(UserError, match=r"Flickr8k\.token\.txt is missing, so there are no captions"):
        list(flickr8k.read(folders, captions="separate"))


def test_line_ends_and_marks_of_windows_change_nothing(folders):
    before = list(flickr8k.read(folders))
    for path in folders["flickr8k_text"].glob("Flickr*"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b" \r\n") + b"\r\n")
    assert list(flickr8k.read(folders)) == before


def test_empty_caption_is_an_empty_text(folders):
    change(folders, "Flickr8k.token.txt", "A boy on a swing .", "")
    assert {pair.text for pair in flickr8k.read(folders) if pair.part == "valid"} == {""}


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("Flickr8k.token.txt", "#1\tTwo", "#0\tTwo", r"token\.txt, line 6: caption 0 of 3385593926_d3e9c21170\.jpg"),
        (
            "Flickr8k.token.txt",
            "#1\tTwo",
            " Two",
            r"token\.txt, line 5 is not <image>\.jpg#<number>, tab, caption: 338",
        ),
        (
            "Flickr8k.token.txt",
            "2090545563_a4e66ec76b",
            "7_7",
            r"no captions of 1 listed .* 2090545563_a4e66ec76b\.jpg",
        ),
        (
            "Flickr_8k.testImages.txt",
            "\n",
            "\n3385593926_d3e9c21170.jpg\n",
            r"testImages\.txt, line 2: .* listed before",
        ),
        (
            "Flickr_8k.devImages.txt",
            ".jpg",
            "",
            r'devImages\.txt, line 1: "2090545563_a4e66ec76b" is no name of an image',
        ),
    ],
)
def test_inconsistent_files_are_named(folders, file, old, new, message):
    change(folders, file, old, new)
    with pytest.raises(UserError, match=message):
        list(flickr8k.read(folders))


def test_missing_list_and_unknown_option_are_named(folders):
    with pytest.raises(UserError, match='captions are "joined" or "separate", not "first"'):
        list(flickr8k.read(folders, captions="first"))
    (folders["flickr8k_text"] / "Flickr_8k.devImages.txt").unlink()
    with pytest.raises(UserError, match=r"devImages\.txt is missing; it is part of Flickr8k_text\.zip"):
        list(flickr8k.read(folders))
