"""Reading image files as every part of the project sees them, and pictures small enough for pages."""

import base64
import io
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Literal

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from cmr import store
from cmr.datasets.pairs import describe_bad_items
from cmr.errors import UserError
from cmr.progress import SILENT, Progress
from cmr.provenance import file_sha256

# Pillow knows forty more, some of which start other programs (EPS) or have decoders that hardly anybody looks after.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MOST_PIXELS = 100_000_000  # a file of some kilobytes can hold billions
MOST_STRETCHED = 200  # times as long as wide: resized by its shorter side, a line of pixels would fill the memory
MOST_SCANS = 100  # of a JPEG, which honestly has some ten; each is decoded over all pixels, and takes 100 bytes
LARGE = 32_000_000  # pixels

# What Pillow's decoders raise for damaged files.
DAMAGED = (
    OSError, UnidentifiedImageError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError,
    Image.DecompressionBombWarning, EOFError, LookupError, TypeError, AttributeError, ArithmeticError,
    struct.error, zlib.error,
)  # fmt: skip

_one_large = Lock()
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_SCAN, _END = 0xDA, 0xD9
_BARE = {*range(0x01, 0xC0), *range(0xD0, 0xD9)}  # markers that no length follows


def load_rgb(path: Path) -> Image.Image:
    """Decode a whole image to RGB: upright as its EXIF data say, transparent pixels on white, 16 bits as 8.

    Of several frames or pages it is the first. Colour profiles are not applied.

    Raises
    ------
    UserError : the file is missing, empty, cut short, no image of one of FORMATS or no file at all; it has more than
        MOST_PIXELS pixels, is more than MOST_STRETCHED times as long as wide, or its pixels are numbers of unknown
        range.
    """
    try:
        with _regular_file(path) as file, Image.open(file, formats=FORMATS) as opened:
            _check_size(path, *opened.size)
            if opened.format in ("JPEG", "MPO"):
                _check_scans(path, file)
            # Threads would hold as many at once as there are of them.
            with _one_large if opened.width * opened.height > LARGE else nullcontext():
                return _decoded(path, opened)
    except FileNotFoundError as error:
        raise UserError(f"image {path} does not exist") from error
    except DAMAGED as error:
        raise UserError(f"image {path} cannot be read: {_reason(error)}") from error


@contextmanager
def _regular_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file, and nothing else: a pipe would be waited for, and a device has no end."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"image {path} is no file, but {_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}")
    if found.st_size == 0:
        raise UserError(f"image {path} cannot be read: the file is empty")
    with path.open("rb") as file:
        yield file


_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UserError(
            f"image {path} has {width} x {height} pixels, and {MOST_PIXELS // 1_000_000} million are taken at most: "
            "shrink it"
        )
    if max(width, height) > MOST_STRETCHED * min(width, height):
        raise UserError(
            f"image {path} has {width} x {height} pixels: none is taken that is more than {MOST_STRETCHED} times as "
            "long as wide"
        )


def _check_scans(path: Path, file: BinaryIO) -> None:
    place = file.tell()
    file.seek(0)
    scans = _number_of_scans(file.read())
    file.seek(place)
    if scans > MOST_SCANS:
        raise UserError(f"image {path} has {scans} scans, and {MOST_SCANS} are taken at most: save it anew")


def _number_of_scans(jpeg: bytes) -> int:
    """Up to the picture's end: telephones keep a film of some megabytes behind it, where any bytes occur."""
    scans, place = 0, 0
    while (marker := _MARKER.search(jpeg, place)) and (kind := marker[1][0]) != _END:
        scans += kind == _SCAN
        place = marker.end() + (0 if kind in _BARE else int.from_bytes(jpeg[marker.end() : marker.end() + 2]))
    return scans


def _decoded(path: Path, opened: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(opened)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("I", "F"):
        raise UserError(
            f"image {path} has pixels of 32 bits, whose range is not known: save it with 8 or 16 bits a channel"
        )
    if image.mode.startswith("I;16"):  # which Pillow would cut at 255 instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    # RGBA first: palettes, grey with alpha and colour-key transparency all reach white by the same way.
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _reason(error: Exception) -> str:
    """Without the names of the decoder's own objects."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    return str(error) or type(error).__name__


def thumbnail(image: Image.Image, longest: int) -> bytes:
    """A JPEG of an image in RGB, shrunk to at most `longest` pixels a side."""
    small = image.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def data_uri(jpeg: bytes) -> str:
    """An address that holds a JPEG itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def check_images(
    pairs: pd.DataFrame, raw: Path, on_bad_item: Literal["stop", "drop"], progress: Progress = SILENT
) -> pd.DataFrame:
    """Decode the image of every pair once.

    Parameters
    ----------
    pairs : columns id, image (relative to `raw`).

    Returns
    -------
    Columns id, sha256 (by which a changed picture is told), width, height, problem; the row of an image that cannot be
    used has a problem and nothing else, the others have none.

    Raises UserError when the data set publishes no images, none can be read, or, with on_bad_item="stop", listing all
    that cannot.
    """
    if pairs["image"].isna().all():
        raise UserError(
            "the data set has no images: choose image features that come with it (`python -m cmr datasets`)"
        )
    paths = pairs["image"].unique()
    with ThreadPoolExecutor() as pool:
        checks = pool.map(lambda path: _check(raw / path), paths)
        found = list(progress.track(checks, "checking images", total=len(paths), unit=" images"))
    checked = pd.DataFrame(found, columns=["sha256", "width", "height", "problem"]).astype(
        {"sha256": object, "width": "Int64", "height": "Int64", "problem": object}
    )
    checked["image"] = paths
    images = pairs[["id", "image"]].merge(checked, on="image", how="left").drop(columns="image")
    bad = images.loc[images["problem"].notna(), ["id", "problem"]].rename(columns={"problem": "reason"})
    if len(bad) == len(pairs):
        raise UserError(
            f"none of the {len(pairs)} images can be used; the first: {bad['reason'].iloc[0]}. Choose image features "
            "that come with the data set, or get its images: `python -m cmr datasets` says how"
        )
    if len(bad) and on_bad_item == "stop":
        raise UserError(describe_bad_items(bad, len(pairs)))
    return images


def usable_images(pairs: Path, images: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pairs whose image can be used, with what `check_images` found of it beside, and the ids of the others.

    Parameters
    ----------
    pairs, images : files of a data set, `pairs.parquet` and `images.parquet`.
    """
    table = store.read_table(pairs)
    joined = table.merge(store.read_table(images, pairs=pairs), on="id")
    joined.attrs = table.attrs
    good = joined["problem"].isna()
    return joined[good], joined.loc[~good, "id"].tolist()


def check_unchanged(pictures: pd.DataFrame, raw: Path, progress: Progress = SILENT) -> None:
    """Compare pictures with what `check_images` found of them.

    pictures : columns image (relative to `raw`), sha256.

    Raises UserError naming the first that has changed since.
    """
    paths = [raw / path for path in pictures["image"]]
    with ThreadPoolExecutor() as pool:
        compared = zip(paths, pictures["sha256"], pool.map(_sha256_or_none, paths), strict=True)
        for path, known, now in progress.track(compared, "comparing images", total=len(paths), unit="image"):
            if now != known:
                what = "is missing" if now is None else f"has changed (SHA-256 {now[:12]}..., was {known[:12]}...)"
                raise UserError(
                    f"image {path} {what} since the data set's images.parquet was made. Delete "
                    f"{raw / path.relative_to(raw).parts[0]} and run again: it is then fetched anew, or copied from a "
                    "mirror"
                )


def _sha256_or_none(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None


def _check(path: Path) -> tuple[str | None, int | None, int | None, str | None]:
    try:
        width, height = load_rgb(path).size
        return file_sha256(path), width, height, None
    except UserError as error:
        return None, None, None, str(error)
