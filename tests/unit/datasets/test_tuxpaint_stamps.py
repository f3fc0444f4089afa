"""The stamps' layout."""

import pytest
from PIL import Image

from cmr.datasets import tuxpaint_stamps
from cmr.errors import UserError


def test_stamps_are_pairs_of_first_caption_line_and_png_in_large_classes(tmp_path):
    stamps = tmp_path / "raw" / "tuxpaint_stamps" / "stamps"
    for name, caption in {
        "animals/a": "A cat.\nde.utf8=Katze",
        "animals/birds/b": "A bird.\n",
        "food/c": "Bread.",
    }.items():
        (stamps / name).parent.mkdir(parents=True, exist_ok=True)
        (stamps / f"{name}.txt").write_text(caption, "utf-8")
        Image.new("RGB", (2, 2)).save(stamps / f"{name}.png")
    (stamps / "animals/drawing.txt").write_text("No PNG beside it.")
    pairs = list(tuxpaint_stamps.read({"tuxpaint_stamps": stamps.parent}, min_pairs=2))
    assert [(pair.id, pair.text, pair.labels) for pair in pairs] == [
        ("animals/a", "A cat.", ("animals",)),
        ("animals/birds/b", "A bird.", ("animals",)),
    ]


def test_caption_that_is_not_utf8_is_named(tmp_path):
    stamps = tmp_path / "raw" / "tuxpaint_stamps" / "stamps" / "animals"
    stamps.mkdir(parents=True)
    (stamps / "a.txt").write_bytes(b"caf\xe9")
    Image.new("RGB", (2, 2)).save(stamps / "a.png")
    with pytest.raises(UserError, match=r"a\.txt is not UTF-8"):
        list(tuxpaint_stamps.read({"tuxpaint_stamps": stamps.parents[1]}, min_pairs=1))
