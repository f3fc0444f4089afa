"""Reading image files as every part of the project sees them, and pictures small enough for pages."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from cmr import store
from cmr.datasets.pairs import describe_bad_items
from cmr.errors import UserError
from cmr.progress import SILENT, Progress
from cmr.provenance import file_sha256

# What Pillow's decoders raise for damaged files.
DAMAGED = (OSError, UnidentifiedImageError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError)


def load_rgb(path: Path) -> Image.Image:
    """Decode a whole image to RGB: upright as its EXIF data say, transparent pixels on white, 16 bits as 8.

    Raises
    ------
    UserError : the file is missing, empty, cut short or no image, or its pixels are numbers of unknown range.
    """
    try:
        with Image.open(path) as opened:
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
    except FileNotFoundError as error:
        raise UserError(f"image {path} does not exist") from error
    except DAMAGED as error:
        reason = "the file is empty" if path.stat().st_size == 0 else str(error)
        raise UserError(f"image {path} cannot be read: {reason}") from error
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


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
    joined = table.merge(store.read_table(images), on="id")
    joined.attrs = table.attrs
    good = joined["problem"].isna()
    return joined[good], joined.loc[~good, "id"].tolist()


def _check(path: Path) -> tuple[str | None, int | None, int | None, str | None]:
    try:
        width, height = load_rgb(path).size
        return file_sha256(path), width, height, None
    except UserError as error:
        return None, None, None, str(error)
