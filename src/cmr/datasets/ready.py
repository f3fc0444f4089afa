"""Features that a data set comes with, put into the order of its pairs."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.progress import SILENT, Progress

Blocks: TypeAlias = Iterable[tuple[list[str], NDArray[np.float32]]]


def collect_rows(name: str, blocks: Blocks, ids: Iterable[str], progress: Progress = SILENT) -> NDArray[np.float32]:
    """(n, d) features of the items `ids`, in their order.

    Parameters
    ----------
    name : of the view, for messages.
    blocks : ids and rows, as a reader of ready views yields them; items that `ids` does not name are passed over.

    Raises UserError when an item has no row or two, or rows differ in length.
    """
    position = {item: row for row, item in enumerate(ids)}
    values, filled = None, np.zeros(len(position), dtype=bool)
    for block_ids, block in progress.track(blocks, f"reading {name}", unit=" blocks"):
        if len(block_ids) != len(block):
            raise UserError(f"{name}: {len(block_ids)} ids for {len(block)} rows")
        if values is None:
            values = np.empty((len(position), block.shape[1]), dtype=np.float32)
        if block.shape[1] != values.shape[1]:
            raise UserError(f"{name}: rows of {values.shape[1]} and of {block.shape[1]} dimensions")
        source = [row for row, item in enumerate(block_ids) if item in position]
        target = np.array([position[block_ids[row]] for row in source], dtype=np.intp)
        if filled[target].any() or len(np.unique(target)) < len(target):
            raise UserError(f"{name}: an item of the data set has more than one row")
        values[target] = block[source]
        filled[target] = True
    if values is None:
        raise UserError(f"{name}: the features hold no row")
    if not filled.all():
        missing = [item for item, row in position.items() if not filled[row]]
        raise UserError(f"{name}: {len(missing)} of {len(position)} items have no row, the first is {missing[0]!r}")
    return values
