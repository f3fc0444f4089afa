"""The normalised form of a data set: one table of image-text pairs."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cmr.datasets.images import load_rgb
from cmr.errors import UserError
from cmr.progress import SILENT, Progress


@dataclass(frozen=True)
class Pair:
    """One item as a reader finds it.

    Attributes
    ----------
    id : unique in the data set and stable between machines.
    image : the image file.
    text : the caption or document.
    labels : names of its classes, one or more.
    """

    id: str
    image: Path
    text: str
    labels: tuple[str, ...]


def pair_table(pairs: Iterable[Pair], raw: Path) -> pd.DataFrame:
    """Columns id, image (POSIX path relative to the folder `raw`), text, labels (list of str), sorted by id.

    Raises UserError when there is no pair, an id occurs twice, an item has no label, or an image lies outside `raw`.
    """
    rows = sorted(pairs, key=lambda pair: pair.id)
    if not rows:
        raise UserError("the data set holds no image-text pair")
    if outside := [pair.id for pair in rows if not pair.image.is_relative_to(raw)]:
        raise UserError(f"the images of {len(outside)} items lie outside {raw}: {_some(outside)}")
    ids = pd.Index([pair.id for pair in rows])
    if ids.has_duplicates:
        raise UserError(f"ids occur more than once: {_some(ids[ids.duplicated()].unique())}")
    if unlabelled := [pair.id for pair in rows if not pair.labels]:
        raise UserError(f"{len(unlabelled)} items have no label: {_some(unlabelled)}")
    return pd.DataFrame(
        {
            "id": ids,
            "image": [pair.image.relative_to(raw).as_posix() for pair in rows],
            "text": [pair.text for pair in rows],
            "labels": [sorted(set(pair.labels)) for pair in rows],
        }
    )


def separate_bad_items(
    table: pd.DataFrame, raw: Path, on_bad_item: Literal["stop", "drop"], progress: Progress = SILENT
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check that every image decodes and every text says something.

    Returns the good rows, with a column image_sha256 by which a changed picture is told, and the bad ones (columns id,
    reason). With on_bad_item="stop" any bad item raises UserError with the list of all of them.
    """
    with ThreadPoolExecutor() as pool:
        checks = pool.map(lambda row: _check(raw / row.image, row.text), table.itertuples())
        checked = list(progress.track(checks, "checking items", total=len(table), unit="item"))
    digests, reasons = (pd.Series(column, index=table.index, dtype=object) for column in zip(*checked, strict=True))
    bad = pd.DataFrame({"id": table["id"], "reason": reasons})[reasons.notna()]
    if len(bad) and on_bad_item == "stop":
        lines = "\n".join(f"  {row.id}: {row.reason}" for row in bad.itertuples())
        raise UserError(
            f"{len(bad)} of {len(table)} items cannot be used:\n{lines}\n"
            'Mend them, or set "on_bad_item: drop" in the data set\'s config to leave these pairs out'
        )
    if len(bad) == len(table):
        raise UserError(f"none of the {len(table)} items can be used; the first: {bad['id'][0]}: {bad['reason'][0]}")
    return table.assign(image_sha256=digests)[reasons.isna()], bad


def classes_of(table: pd.DataFrame) -> list[str]:
    """Names of all classes, sorted."""
    return sorted({label for labels in table["labels"] for label in labels})


def label_matrix(pairs: pd.DataFrame, ids: Iterable[str]) -> NDArray[np.bool_]:
    """(n, c) multi-hot labels of the items `ids`, in their order; columns are `pairs.attrs["classes"]`."""
    column = {name: i for i, name in enumerate(pairs.attrs["classes"])}
    labels_of = dict(zip(pairs["id"], pairs["labels"], strict=True))
    ids = list(ids)
    matrix = np.zeros((len(ids), len(column)), dtype=bool)
    for row, item in enumerate(ids):
        matrix[row, [column[name] for name in labels_of[item]]] = True
    return matrix


def _check(image: Path, text: str) -> tuple[str | None, str | None]:
    """Digest of the image, or what is wrong with the item."""
    if not text.strip():
        return None, "the text is empty"
    try:
        load_rgb(image)
    except UserError as error:
        return None, str(error)
    return hashlib.sha256(image.read_bytes()).hexdigest(), None


def _some(items: Iterable[str]) -> str:
    items = list(items)
    return ", ".join(items[:10]) + (f" and {len(items) - 10} more" if len(items) > 10 else "")
