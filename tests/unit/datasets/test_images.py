"""Pictures: decoded as every part of the project sees them, and checked once."""

import numpy as np
import pytest
from PIL import Image

from cmr.datasets.images import check_images, load_rgb
from cmr.datasets.pairs import Pair, pair_table
from cmr.errors import UserError
from cmr.provenance import file_sha256


@pytest.fixture
def pairs(tmp_path):
    """Items a to d; c and d share a picture."""
    for name, size in {"a": (4, 3), "b": (2, 9), "c": (5, 5)}.items():
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    files = {"a": "a.png", "b": "b.png", "c": "c.png", "d": "c.png"}
    return pair_table([Pair(item, tmp_path / file, "text", ("x",)) for item, file in files.items()], tmp_path)


def test_every_picture_has_its_digest_and_size(pairs, tmp_path):
    images = check_images(pairs, tmp_path, "stop")
    assert images["id"].tolist() == ["a", "b", "c", "d"]
    assert images[["width", "height"]].to_numpy().tolist() == [[4, 3], [2, 9], [5, 5], [5, 5]]
    assert images["sha256"].tolist() == [file_sha256(tmp_path / f"{name}.png") for name in "abcc"]
    assert images["problem"].isna().all()


def test_a_picture_that_items_share_is_decoded_once(pairs, tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr("cmr.datasets.images.load_rgb", lambda path: decoded.append(path) or load_rgb(path))
    check_images(pairs, tmp_path, "stop")
    assert sorted(path.name for path in decoded) == ["a.png", "b.png", "c.png"]


def test_changed_picture_changes_its_digest_alone(pairs, tmp_path):
    before = check_images(pairs, tmp_path, "stop")
    Image.new("RGB", (4, 3), "blue").save(tmp_path / "a.png")
    after = check_images(pairs, tmp_path, "stop")
    assert (before["sha256"] != after["sha256"]).tolist() == [True, False, False, False]


@pytest.mark.parametrize("fault", ["empty", "cut", "missing", "text"])
def test_bad_pictures_are_listed_or_left_out(pairs, tmp_path, fault):
    picture = tmp_path / "c.png"
    content = {"empty": b"", "cut": picture.read_bytes()[:45], "text": b"no image", "missing": None}[fault]
    picture.unlink()
    if content is not None:
        picture.write_bytes(content)
    with pytest.raises(UserError, match=r"2 of 4 items cannot be used:\n  c: image .*c\.png .*\n  d: image"):
        check_images(pairs, tmp_path, "stop")
    images = check_images(pairs, tmp_path, "drop").set_index("id")
    assert images["problem"].notna().tolist() == [False, False, True, True]
    assert images.loc["c", ["sha256", "width", "height"]].isna().all()


def test_data_set_whose_pictures_are_all_missing_says_so(pairs, tmp_path):
    for picture in tmp_path.glob("*.png"):
        picture.unlink()
    with pytest.raises(UserError, match=r"none of the 4 images can be used; the first: image .*a\.png does not exist"):
        check_images(pairs, tmp_path, "drop")


def test_data_set_without_pictures_is_told_apart(tmp_path):
    pairs = pair_table([Pair("a", None, "text", ("x",))], tmp_path)
    with pytest.raises(UserError, match="has no images: choose image features that come with it"):
        check_images(pairs, tmp_path, "drop")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(tmp_path, mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 255))
    image.convert(mode).save(tmp_path / "i.png")
    rgb = load_rgb(tmp_path / "i.png")
    assert rgb.mode == "RGB"
    assert rgb.getpixel((0, 0)) == (255, 255, 255)
    assert rgb.getpixel((1, 0)) != (255, 255, 255)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_cut(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(2, axis=0)
    Image.fromarray(ramp).save(tmp_path / f"i.{suffix}")
    seen = np.asarray(load_rgb(tmp_path / f"i.{suffix}"))
    np.testing.assert_array_equal(seen, (ramp // 256)[:, :, None].repeat(3, axis=2))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused(tmp_path, mode):
    Image.new(mode, (3, 2)).save(tmp_path / "i.tif")
    with pytest.raises(UserError, match=r"i\.tif has pixels of 32 bits, .* save it with 8 or 16 bits"):
        load_rgb(tmp_path / "i.tif")


def test_pictures_stand_upright(tmp_path):
    image = Image.new("RGB", (4, 2), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "i.jpg", exif=exif)
    assert load_rgb(tmp_path / "i.jpg").size == (2, 4)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_pictures_of_any_mode_become_rgb(tmp_path, mode):
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    Image.new(mode, (3, 2)).save(tmp_path / f"i.{suffix}")
    rgb = load_rgb(tmp_path / f"i.{suffix}")
    assert (rgb.mode, rgb.size) == ("RGB", (3, 2))


def test_colour_that_a_png_calls_transparent_becomes_white(tmp_path):
    image = Image.new("RGB", (2, 1), (0, 0, 0))
    image.putpixel((1, 0), (10, 20, 30))
    image.save(tmp_path / "i.png", transparency=(0, 0, 0))
    assert [load_rgb(tmp_path / "i.png").getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (10, 20, 30)]


@pytest.mark.parametrize("kind", [SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError])
def test_whatever_a_decoder_raises_names_the_picture(tmp_path, monkeypatch, kind):
    Image.new("RGB", (2, 2)).save(tmp_path / "i.png")

    def fail(*_):
        raise kind("broken data")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", fail)
    with pytest.raises(UserError, match=r"i\.png cannot be read: broken data"):
        load_rgb(tmp_path / "i.png")


def test_palette_with_a_transparent_colour_becomes_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30] + [0] * 762)
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "i.png", transparency=0)
    assert [load_rgb(tmp_path / "i.png").getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (10, 20, 30)]
