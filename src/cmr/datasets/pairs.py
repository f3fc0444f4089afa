"""The normalised form of a data set: one table of image-text pairs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.progress import SILENT, Progress

PARTS = ("train", "valid", "test")
LONGEST_ID = 1000  # characters
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Pair:
    """One item as a reader finds it.

    Attributes
    ----------
    id : unique in the data set and stable between machines.
    image : where the image file lies or would lie; what looks at pictures checks that it does. None: none is published.
    text : the caption or document. None: this copy of the data set has no text of the item.
    labels : names of its classes; none where the data set has no classes.
    part : of the source's own split: train, valid or test. None where it has none.
    group : items of one group never lie on two sides of a split that is drawn here, for instance the captions of one
        image. None: the item is a group of its own.
    """

    id: str
    image: Path | None
    text: str | None
    labels: tuple[str, ...]
    part: str | None = None
    group: str | None = None


def pair_table(pairs: Iterable[Pair], raw: Path, progress: Progress = SILENT) -> pd.DataFrame:
    """One row a pair, sorted by id.

    Columns id, image (POSIX path relative to the folder `raw`), text, labels (list of str), part, group; image, text
    and part are None where the pair has none.

    Raises UserError when there is no pair, an id occurs twice, a part is none of PARTS, an image lies outside `raw`,
    or a name holds control characters.
    """
    columns: dict[str, list] = {name: [] for name in ("id", "image", "text", "labels", "part", "group")}
    outside, prefix = [], f"{raw.as_posix()}/"
    groups: set[str] = set()
    ungrouped: set[str] = set()
    for pair in progress.track(pairs, "reading pairs", unit=" pairs"):
        image = None if pair.image is None else pair.image.as_posix()
        if image is not None and (not image.startswith(prefix) or "/../" in image):
            outside.append(pair.id)
        _check_characters(pair)
        columns["id"].append(pair.id)
        columns["image"].append(image and image.removeprefix(prefix))
        columns["text"].append(pair.text)
        columns["labels"].append(sorted(set(pair.labels)))
        columns["part"].append(pair.part)
        columns["group"].append(pair.id if pair.group is None else pair.group)
        (ungrouped if pair.group is None else groups).add(columns["group"][-1])
    if not columns["id"]:
        raise UserError("the data set holds no image-text pair")
    if outside:
        raise UserError(f"the images of {len(outside)} items lie outside {raw}: {_some(outside)}")
    ids = pd.Index(columns["id"])
    if ids.has_duplicates:
        raise UserError(f"ids occur more than once: {_some(ids[ids.duplicated()].unique())}")
    if strange := {str(part) for part in columns["part"] if part not in (None, *PARTS)}:
        raise UserError(f"a part is one of {', '.join(PARTS)}, but the data set names {_some(sorted(strange))}")
    if strayed := sorted(groups & ungrouped):
        raise UserError(
            f"group {strayed[0]!r} is also the id of an item without a group: give that item the group, or rename it"
        )
    labels = columns.pop("labels")
    table = pd.DataFrame(columns, dtype="string").astype(object)
    table = table.where(table.notna(), None)
    table.insert(3, "labels", labels)
    return table.sort_values("id", ignore_index=True)


def check_whole(table: pd.DataFrame, name: str, expected: Mapping[str, int]) -> None:
    """Refuse a copy of the data set `name` that has other numbers of `pairs` or `classes` than a whole one."""
    found = {"pairs": len(table), "classes": len(classes_of(table))}
    for what, number in expected.items():
        if found[what] != number:
            raise UserError(
                f"{name} should have {number} {what}, but this copy has {found[what]}: it is incomplete or another "
                f"edition. `python -m cmr datasets {name}` says where each file is from and where to get a whole copy"
            )


def separate_bad_items(table: pd.DataFrame, on_bad_item: Literal["stop", "drop"]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check that every item has what the data set has: an image, a text that says something, a label.

    What no item has is not a fault of any: a copy without texts, a data set without classes. Whether images can be read
    is checked where they are needed, see `cmr.datasets.images.check_images`.

    Returns the good rows and the bad ones (columns id, reason). With on_bad_item="stop" any bad item raises UserError
    with the list of all of them.
    """
    has_label = table["labels"].str.len() > 0
    says_something = table["text"].fillna("").str.strip() != ""
    faults = {
        "it has no image": table["image"].isna() & table["image"].notna().any(),
        "its text is missing": table["text"].isna() & table["text"].notna().any(),
        "its text is empty": table["text"].notna() & ~says_something,
        "it has no label": ~has_label & has_label.any(),
    }
    reasons = pd.Series([""] * len(table), index=table.index, dtype=object)
    for reason, bad in faults.items():
        reasons[bad] += np.where(reasons[bad] == "", reason, ", " + reason)
    bad = pd.DataFrame({"id": table["id"], "reason": reasons})[reasons != ""]
    if len(bad) and on_bad_item == "stop":
        raise UserError(describe_bad_items(bad, len(table)))
    if len(bad) == len(table):
        first = bad.iloc[0]
        raise UserError(f"none of the {len(table)} items can be used; the first, {first['id']}: {first['reason']}")
    return table[reasons == ""].reset_index(drop=True), bad.reset_index(drop=True)


def describe_bad_items(bad: pd.DataFrame, total: int) -> str:
    """An error message that lists them; columns id, reason."""
    shown = 100
    lines = [f"  {row.id}: {row.reason}" for row in bad.head(shown).itertuples()]
    lines += [f"  and {len(bad) - shown} more"] if len(bad) > shown else []
    return (
        f"{len(bad)} of {total} items cannot be used:\n" + "\n".join(lines) + "\n"
        'Mend them, or set "on_bad_item: drop" in the data set\'s config to leave these pairs out'
    )


def classes_of(table: pd.DataFrame) -> list[str]:
    """Names of all classes, sorted; none for a data set without classes."""
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


def group_numbers(pairs: pd.DataFrame, ids: Iterable[str]) -> NDArray[np.intp]:
    """(n,) number of the group of each item of `ids`, in their order."""
    group_of = dict(zip(pairs["id"], pairs["group"], strict=True))
    return pd.factorize(np.array([group_of[item] for item in ids], dtype=object))[0]


def _check_characters(pair: Pair) -> None:
    """Refuse what the files that follow cannot store, and names that cannot be told from others where they are told."""
    names = {"id": pair.id, "image": "" if pair.image is None else pair.image.as_posix(), "group": pair.group or ""}
    try:
        "".join((*names.values(), pair.text or "", *pair.labels)).encode()
    except UnicodeEncodeError as error:
        reason = f"{error.reason} at character {error.start}"
        raise UserError(f"item {pair.id[:LONGEST_ID]!r} has characters that are not Unicode: {reason}") from error
    if not pair.id or len(pair.id) > LONGEST_ID:
        raise UserError(f"id {pair.id[:80]!r} will not do: it is empty or longer than {LONGEST_ID} characters")
    for kind, name in [*names.items(), *(("label", label) for label in pair.labels)]:
        if _CONTROL.search(name):
            raise UserError(
                f"item {pair.id!r}: {kind} {name[:LONGEST_ID]!r} holds control characters (tabs and line ends "
                "are some): take them out of the data set's files"
            )


def _some(items: Iterable[str]) -> str:
    items = list(items)
    return ", ".join(items[:10]) + (f" and {len(items) - 10} more" if len(items) > 10 else "")
