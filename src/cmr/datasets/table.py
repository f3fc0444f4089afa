"""A data set given as one CSV file beside its images."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cmr.datasets.pairs import Pair
from cmr.errors import UserError

COLUMNS = ("id", "image", "text", "labels")


def read(folders: dict[str, Path], table: str = "pairs.csv") -> Iterator[Pair]:
    """Pairs of a UTF-8 CSV with the columns id, image (path beside the CSV), text, labels (separated by `|`).

    `folders` holds the one asset in which `table` lies.
    """
    (folder,) = folders.values()
    path = folder / table
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if missing := [name for name in COLUMNS if name not in rows]:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(rows)}")
    for row in rows.itertuples():
        labels = tuple(name.strip() for name in row.labels.split("|") if name.strip())
        yield Pair(row.id, path.parent / row.image, row.text.strip(), labels)
