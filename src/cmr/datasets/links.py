"""Which items belong together because they share something."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def linked(n: int, keys: Sequence[Sequence[Any] | pd.Series]) -> NDArray[np.int32]:
    """(n,) numbers, equal for items that share a value of a key, directly or over other items.

    keys : each n values; None is shared with nobody.
    """
    items, values, first = [np.arange(0)], [np.arange(0)], n
    for key in keys:
        number = pd.factorize(pd.Series(key, dtype=object))[0]
        known = np.flatnonzero(number >= 0)
        items.append(known)
        values.append(first + number[known])
        first += number.max(initial=-1) + 1
    rows, columns = np.concatenate(items), np.concatenate(values)
    graph = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(first, first))
    return connected_components(graph, directed=False)[1][:n]
