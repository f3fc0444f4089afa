"""Pictures from strangers: decoded to the pixels that they show, or named as bad with the reason; nothing else happens.

The pixels are compared with arrays from which the files were made, never with another reading by the same decoder.
"""

import io
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from cmr.datasets.images import FORMATS, MOST_PIXELS, check_images, load_rgb
from cmr.datasets.pairs import Pair, pair_table
from cmr.errors import UserError
from cmr.views.image.extraction import Compute
from tests.hostile.hanging import no_longer_than

ORIENTATION = 0x0112
pytestmark = [pytest.mark.filterwarnings("ignore::Warning:PIL")]
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def seen(tmp_path, content: bytes) -> np.ndarray:
    """The pixels of a file whose name says nothing true."""
    (tmp_path / "i.jpg").write_bytes(content)
    image = load_rgb(tmp_path / "i.jpg")
    assert image.mode == "RGB"
    return np.asarray(image)


def refused(tmp_path, content: bytes) -> str:
    """The reason, on one line."""
    (tmp_path / "i.jpg").write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_rgb(tmp_path / "i.jpg")
    assert str(caught.value).startswith(f"image {tmp_path / 'i.jpg'} ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *further: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    packed = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(further) + packed + chunk(b"IEND", b"")


def on_white(rgba: np.ndarray) -> np.ndarray:
    """As in a browser: c a + 255 (1 - a)."""
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


# ---------------------------------------------------------------------------------------------------- too much of it

PIXELS = """
import sys
from pathlib import Path
from cmr.datasets.images import load_rgb
from cmr.errors import UserError
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
try:
    load_rgb(Path(sys.argv[1]))
except UserError as error:
    print(error, file=sys.stderr)
print((peak() - before) // 1024)
"""


def memory_of(path: Path) -> tuple[int, str]:
    """MB that decoding takes at its peak in a process of its own, and what was said."""
    command = [sys.executable, "-W", "ignore", "-c", PIXELS, path]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return int(run.stdout), run.stderr


def giant_gif() -> bytes:
    return b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)


def giant_bmp() -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 90_000, 90_000, 1, 24, *[0] * 6)


def giant_webp() -> bytes:
    """An animation whose only frame of 16 x 16 lies on a canvas of 268 million pixels."""

    def riff(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    def place(*numbers: int) -> bytes:
        return b"".join(struct.pack("<I", number)[:3] for number in numbers)

    picture = encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True)[12:]
    frame = riff(b"ANMF", place(0, 0, 15, 15, 100) + b"\0" + picture)
    parts = riff(b"VP8X", b"\2\0\0\0" + place(16382, 16382)) + riff(b"ANIM", bytes(6)) + frame
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


BOMBS = {
    "a header of 100 000 x 100 000": lambda: png(100_000, 100_000, 8, 2, b""),
    "1.2 GB in 150 kB": lambda: png(20_000, 20_000, 1, 0, bytes(2501) * 20_000),
    "a GIF of 65 535 x 65 535": giant_gif,
    "a WebP of 16 383 x 16 383": giant_webp,
    "a BMP of 90 000 x 90 000": giant_bmp,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_never_fills_the_memory(tmp_path, bomb):
    path = tmp_path / "i.png"
    path.write_bytes(BOMBS[bomb]())
    megabytes, message = memory_of(path)
    assert "pixels, and 100 million are taken at most: shrink it" in message or "cannot be read" in message
    assert megabytes < 64


def test_the_most_pixels_that_are_taken_take_bounded_memory(tmp_path):
    """1 GB at the most, of a picture of 11 kB, and the limit is where it is said to be."""
    side = int(MOST_PIXELS**0.5)
    path = tmp_path / "i.png"
    path.write_bytes(png(side, side, 1, 0, bytes(side // 8 + 1) * side))
    megabytes, message = memory_of(path)
    assert not message
    assert 256 < megabytes < 2048
    assert "million are taken" in refused(tmp_path, png(side, side + 1, 1, 0, b""))


def test_the_decoder_s_own_limit_is_told_as_a_fault_of_the_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # the picture has 54
    assert "cannot be read: Image size (54 pixels) exceeds limit" in refused(tmp_path, WHOLE["png"](1))


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1)])
def test_a_line_of_pixels_is_refused(tmp_path, size):
    """Resized to 256 pixels by its shorter side, as networks take pictures, it would have four billion."""
    message = refused(tmp_path, encoded(Image.new("RGB", size), "PNG"))
    assert "more than 200 times as long as wide" in message
    assert seen(tmp_path, encoded(Image.new("RGB", (1, 200)), "PNG")).shape == (200, 1, 3)


def test_what_follows_a_jpeg_is_no_scan_of_it(tmp_path):
    """Telephones keep a film behind the picture: eight megabytes of any bytes hold some 120 beginnings of scans."""
    content = encoded(Image.new("L", (40, 40)), "JPEG", progressive=True)
    film = b"\xff\xda" * 1000
    assert seen(tmp_path, content + film).shape == (40, 40, 3)
    thumbnail = b"\xff\xe1" + (len(film) + 2).to_bytes(2) + film
    assert seen(tmp_path, content[:2] + thumbnail + content[2:]).shape == (40, 40, 3)
    scan = content[content.rindex(b"\xff\xda") : -2]
    for before in (b"", b"\xff\x10\xff\xff", b"\xff\xd3\xff\xff", b"\xff\xff"):
        assert "scans, and 100" in refused(tmp_path, content[:-2] + before + scan * 200 + b"\xff\xd9")
    with no_longer_than(20):
        assert seen(tmp_path, content + b"\xff" * (8 << 20)).shape == (40, 40, 3)


def test_a_jpeg_of_endless_scans_is_refused(tmp_path):
    """Each of 140 bytes makes the decoder go over all pixels again."""
    content = encoded(Image.new("L", (400, 400)), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    with no_longer_than(20):
        assert "5006 scans, and 100 are taken at most" in refused(tmp_path, content[:-2] + scan * 5000 + b"\xff\xd9")
    assert seen(tmp_path, content[:-2] + scan * 10 + b"\xff\xd9").shape == (400, 400, 3)


def test_a_png_whose_notes_swell_is_refused_or_read_without_them(tmp_path):
    for name, head in ((b"zTXt", b"note\0\0"), (b"iTXt", b"note\0\1\0\0\0"), (b"iCCP", b"profile\0\0")):
        rows = b"".join(b"\0" + row.tobytes() for row in RGB)
        note = chunk(name, head + zlib.compress(bytes(100 << 20), 1))
        path = tmp_path / "i.png"
        path.write_bytes(png(9, 6, 8, 2, rows, note))
        megabytes, _ = memory_of(path)
        assert megabytes < 64


def test_pictures_of_a_batch_are_decoded_one_after_the_other(tmp_path):
    """The third is gone before a view has looked at the second, and that is noticed only where it looks at it."""
    paths = [tmp_path / f"{number}.png" for number in (1, 2, 3)]
    for number, path in enumerate(paths, 1):
        Image.new("RGB", (number, 5)).save(path)
    sizes = []

    class OneByOne:
        def features(self, images):
            assert len(images) == 3
            for image in images:
                sizes.append(image.size)
                paths[2].unlink(missing_ok=True)

    with pytest.raises(UserError, match=r"3\.png does not exist"):
        Compute(OneByOne())(paths)
    assert sizes == [(1, 5), (2, 5)]


# -------------------------------------------------------------------------------------------------------- cut short

OPTIONS = {"progressive": ("JPEG", {"progressive": True}), "tiff": ("TIFF", {"compression": "tiff_lzw"})}
WHOLE = {
    name: lambda times=20, name=name: noise(times, *OPTIONS.get(name, (name.upper(), {})))
    for name in ("jpeg", "progressive", "png", "gif", "webp", "tiff", "bmp")
}


def noise(times: int, form: str, options: dict) -> bytes:
    """A picture that does not compress: what is missing of its file is missing of its pixels."""
    pixels = np.random.default_rng(2).integers(0, 256, (6 * times, 9 * times, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), form, **options)


@pytest.mark.parametrize("form", WHOLE)
def test_a_picture_cut_short_anywhere_is_refused_or_whole(tmp_path, form):
    content = WHOLE[form]()
    whole = seen(tmp_path, content)
    for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        refused(tmp_path, content[: int(share * len(content))])
    for lost in range(1, 40):  # an end mark says nothing of the pixels
        (tmp_path / "i.jpg").write_bytes(content[:-lost])
        try:
            np.testing.assert_array_equal(np.asarray(load_rgb(tmp_path / "i.jpg")), whole)
        except UserError:
            continue


@pytest.mark.parametrize("form", WHOLE)
def test_damage_in_any_byte_gives_a_picture_or_a_reason_and_nothing_else(tmp_path, form):
    content, rng = WHOLE[form](), np.random.default_rng(1)
    told = 0
    with no_longer_than(60):
        for _ in range(150):
            damaged = bytearray(content)
            for position in rng.integers(min(len(content), rng.choice([80, 100_000])), size=rng.integers(1, 6)):
                damaged[position] = rng.choice([0, 255, rng.integers(256)])
            (tmp_path / "i.jpg").write_bytes(damaged)
            try:
                assert load_rgb(tmp_path / "i.jpg").mode == "RGB"
            except UserError:
                told += 1
    assert told > 5


# ---------------------------------------------------------------------------------------- all that pictures may be


def frames(second: str = "red") -> dict:
    return {"save_all": True, "append_images": [Image.new("RGB", (9, 6), second)] * 3}


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", frames()),
        ("PNG", {**frames(), "default_image": True}),
        ("WEBP", {**frames(), "lossless": True}),
        ("TIFF", frames()),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("BMP", {}),
        ("PNG", {"icc_profile": b"no profile at all"}),
        ("TIFF", {"icc_profile": bytes(128)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value) or "plain",
)
def test_of_frames_and_pages_the_first_counts_and_profiles_do_not(tmp_path, form, options):
    np.testing.assert_array_equal(seen(tmp_path, encoded(Image.fromarray(RGB), form, **options)), RGB)


def test_of_an_animated_gif_the_first_frame_counts(tmp_path):
    colours = RNG.integers(0, 256, (4, 3), dtype=np.uint8)
    numbers = np.arange(54).reshape(6, 9).astype(np.uint8) % 4
    first = Image.fromarray(numbers, "P")
    first.putpalette(colours.tobytes())
    np.testing.assert_array_equal(seen(tmp_path, encoded(first, "GIF", **frames())), colours[numbers])


def test_colour_space_named_by_a_profile_is_not_applied(tmp_path):
    """A profile of L*a*b* in a file of RGB; the pixels stay those that were written."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    np.testing.assert_array_equal(seen(tmp_path, encoded(Image.fromarray(RGB), "PNG", icc_profile=profile)), RGB)


def cmyk(pixels: np.ndarray) -> np.ndarray:
    c, m, y, k = (pixels[..., i].astype(float) for i in range(4))
    return np.stack([(255 - ink) * (255 - k) / 255 for ink in (c, m, y)], axis=-1)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_four_inks_are_seen_as_their_colours(tmp_path, form):
    """JPEGs of four inks, as Adobe's programs write them, hold them inverted."""
    inks = np.repeat(np.repeat(RNG.integers(0, 256, (3, 3, 4), dtype=np.uint8), 16, axis=0), 16, axis=1)
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    content = encoded(Image.fromarray(inks, "CMYK"), form, **options)
    if form == "JPEG":
        assert b"Adobe" in content
        again = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(seen(tmp_path, content).astype(float) - again).max() <= 4
    assert np.abs(seen(tmp_path, content) - cmyk(inks)).max() <= 4


def test_jpegs_are_those_of_another_decoder(tmp_path):
    smooth = np.clip(np.add.outer(np.arange(60), np.arange(80))[..., None] + [0, 60, 110], 0, 255).astype(np.uint8)
    for options in ({}, {"progressive": True}, {"subsampling": 2}, {"quality": 20}):
        content = encoded(Image.fromarray(smooth), "JPEG", **options)
        again = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(seen(tmp_path, content).astype(int) - again).max() <= 2


def test_sixteen_bits_one_bit_grey_and_alpha_are_the_pixels_that_were_written(tmp_path):
    deep = RNG.integers(0, 1 << 16, (6, 9, 4), dtype=np.uint16)
    high = (deep >> 8).astype(np.uint8)

    def rows(pixels, kind=">u2"):
        return b"".join(b"\0" + row.astype(kind).tobytes() for row in pixels)

    grey = high[..., :1].repeat(3, axis=2)
    np.testing.assert_array_equal(seen(tmp_path, png(9, 6, 16, 0, rows(deep[..., 0]))), grey)
    # Pillow keeps the upper eight bits of colours, and rounds nothing.
    np.testing.assert_array_equal(seen(tmp_path, png(9, 6, 16, 2, rows(deep[..., :3]))), high[..., :3])
    assert np.abs(seen(tmp_path, png(9, 6, 16, 6, rows(deep))) - on_white(high)).max() <= 1
    grey_alpha = np.concatenate([grey, high[..., 3:]], axis=2)
    assert np.abs(seen(tmp_path, png(9, 6, 16, 4, rows(deep[..., [0, 3]]))) - on_white(grey_alpha)).max() <= 1
    assert np.abs(seen(tmp_path, png(9, 6, 8, 4, rows(high[..., [0, 3]], "u1"))) - on_white(grey_alpha)).max() <= 1
    bits = RNG.integers(0, 2, (6, 9), dtype=np.uint8)
    packed = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    np.testing.assert_array_equal(seen(tmp_path, png(9, 6, 1, 0, packed)), (bits * 255)[..., None].repeat(3, axis=2))
    white_is_zero = encoded(Image.fromarray((bits * 255).astype(np.uint8)).convert("1"), "TIFF", tiffinfo={262: 0})
    assert set(np.unique(seen(tmp_path, white_is_zero))) <= {0, 255}


def test_palette_with_degrees_of_transparency_stands_on_white(tmp_path):
    colours = RNG.integers(0, 256, (5, 4), dtype=np.uint8)
    numbers = RNG.integers(0, 5, (6, 9), dtype=np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in numbers)
    palette = chunk(b"PLTE", colours[:, :3].tobytes()), chunk(b"tRNS", colours[:, 3].tobytes())
    assert np.abs(seen(tmp_path, png(9, 6, 8, 3, rows, *palette)) - on_white(colours[numbers])).max() <= 1


def test_numbers_outside_of_a_palette_are_refused_or_black(tmp_path):
    rows = b"".join(b"\0" + bytes([200]) * 9 for _ in range(6))
    content = png(9, 6, 8, 3, rows, chunk(b"PLTE", bytes([9, 9, 9])))
    (tmp_path / "i.jpg").write_bytes(content)
    try:
        assert not np.asarray(load_rgb(tmp_path / "i.jpg")).any()
    except UserError as error:
        assert "cannot be read" in str(error)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_whichever_way_a_camera_was_held_the_picture_stands_upright(tmp_path, form, orientation):
    """Turned as EXIF defines it, by NumPy, and marked so."""
    upright = np.repeat(np.repeat(RGB, 8, axis=0), 8, axis=1)
    turn = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),  # mirrored at the other diagonal
        8: lambda x: np.rot90(x, -1),
    }
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[form]
    turned = Image.fromarray(np.ascontiguousarray(turn[orientation](upright)))
    found = seen(tmp_path, encoded(turned, form, exif=exif, **options))
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).max() <= (4 if form == "JPEG" else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", bytes(64)]
)
def test_senseless_exif_data_turn_nothing(tmp_path, exif):
    content = encoded(Image.fromarray(RGB), "PNG")
    position = content.index(b"IDAT") - 4
    with_exif = content[:position] + chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")) + content[position:]
    (tmp_path / "i.jpg").write_bytes(with_exif)
    try:
        np.testing.assert_array_equal(np.asarray(load_rgb(tmp_path / "i.jpg")), RGB)
    except UserError as error:
        assert "cannot be read" in str(error)


# --------------------------------------------------------------------------------------------- what is no picture


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.png", encoded(Image.fromarray(RGB), "PNG"))
    return buffer.getvalue()


POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 6\n%%EndComments\n(MARK) (w) file closefile\nshowpage\n%%EOF\n"
)
OTHERS = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="6"><rect width="9" height="6"/></svg>',
    "html": b"<!DOCTYPE html><html><body><img src='http://127.0.0.1:9/'></body></html>",
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "zip": archive(),
    "eps": POSTSCRIPT,
    "text": b"no image",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_picture_is_told_whatever_its_name(tmp_path, kind):
    assert "cannot be read: it is no PNG, JPEG, WEBP, GIF, BMP or TIFF" in refused(tmp_path, OTHERS[kind])


def test_an_empty_file_is_told(tmp_path):
    assert refused(tmp_path, b"").endswith("cannot be read: the file is empty")


def test_no_other_format_is_ever_decoded(tmp_path):
    """All that Pillow can write and read again, besides those that are taken."""
    Image.init()
    tried = 0
    for form in sorted(set(Image.SAVE) & set(Image.OPEN) - {*FORMATS, "MPO"}):
        try:
            content = encoded(Image.fromarray(RGB), form)
            Image.open(io.BytesIO(content)).load()
        except Exception:  # noqa: BLE001 - needs another program or another mode
            continue
        tried += 1
        assert "it is no PNG" in refused(tmp_path, content), form
    assert tried >= 8


def test_postscript_starts_no_program(tmp_path, monkeypatch):
    """Pillow hands it to a program named gs on the path."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    refused(tmp_path, POSTSCRIPT)
    assert not (tmp_path / "started").exists()


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "terminal.png").symlink_to("/dev/tty")
    (tmp_path / "broken.png").symlink_to("nowhere")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "to_pipe.png").symlink_to("pipe.png")
    names = ["pipe", "folder", "device", "terminal", "broken", "loop", "to_pipe", "x" * 300]
    good = tmp_path / "good.png"
    Image.fromarray(RGB).save(good)
    pairs = pair_table([Pair(n[:9], tmp_path / f"{n}.png", "a text", ("x",)) for n in [*names, "good"]], tmp_path)
    with no_longer_than(20):
        problems = check_images(pairs, tmp_path, "drop").set_index("id")["problem"]
    assert problems.isna().sum() == 1
    assert problems.isna()["good"]
    for name, reason in {
        "pipe": "is no file, but a pipe",
        "to_pipe": "is no file, but a pipe",
        "folder": "is no file, but a folder",
        "device": "is no file, but a device",
        "terminal": "is no file, but a device",
        "broken": "does not exist",
        "loop": "cannot be read",
        "x" * 9: "cannot be read",
    }.items():
        assert reason in problems[name]


def test_a_zero_byte_in_a_name_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read: embedded null byte"):
        load_rgb(tmp_path / "a\0b.png")
