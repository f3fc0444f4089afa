"""Sparse neighbour graphs: nearest items are found in blocks of rows, and n x n matrices stay sparse.

Distances come from inner products, |a|^2 + |b|^2 - 2 a'b, whose rounding depends on the number of threads and on the
place in a block. Distances that rounding cannot tell apart count as equal therefore, and of equals the first item is
taken: which duplicates of an item are its neighbours is the same on every machine.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csgraph, csr_array

from cmr.methods.base import InfeasibleError
from cmr.methods.linear.algebra import Array
from cmr.rows import BLOCK_BYTES, Rows, row_blocks

Indices = NDArray[np.intp]

DISTANCE_BYTES = 64 << 20  # of a block of distances; products of fewer rows are slow
SAMPLE = 8  # every so many distances of an item bound its k-th smallest


def nearest(x: Array, k: int) -> tuple[Array, Indices]:
    """Squared Euclidean distances and indices (n, k) of the k nearest other rows of x (n, d), nearest first.

    O(n^2 d) time; besides x (float64, others are copied) and the result, memory is one block of distances.
    Raises InfeasibleError where there are no k other rows.
    """
    n = len(x)
    if k >= n:
        raise InfeasibleError(f"{k} neighbours are asked for, but an item has only {n - 1} others to choose from")
    distances, indices = np.empty((n, k)), np.empty((n, k), dtype=np.intp)
    if k == 0:
        return distances, indices
    points = _Points(x)
    step = min(SAMPLE, n // k)
    for rows, block in points.distances(slice(0, n), slice(0, n)):
        items = np.arange(rows.start, rows.stop)
        block[items - rows.start, items] = np.inf
        bounds = np.partition(block[:, ::step], k - 1, axis=1)[:, k - 1]
        for item, own, bound in zip(items, block, bounds, strict=True):
            chosen = _smallest(own, k, points.rounding, bound)
            chosen = chosen[np.argsort(own[chosen], kind="stable")]
            distances[item], indices[item] = own[chosen], chosen
    return np.maximum(distances, 0, out=distances), indices


def nearest_pairs(x: Array, between: Iterable[tuple[slice, slice]], k: int) -> tuple[Array, Indices, Indices]:
    """The k pairs of rows of x (n, d) at the smallest distances: squared distances, first rows, second rows, each (k,).

    A pair has its first row in the first slice, and its second in the second slice, of an entry of `between`; entries
    must not share pairs. All pairs are returned where there are fewer than k. Time O(d) a pair, memory as of `nearest`.
    """
    points = _Points(x)
    distances, first, second = np.empty(0), np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    for left, right in between:
        for rows, block in points.distances(left, right):
            bound = distances.max() if len(distances) == k else np.inf
            found = _smallest(block.ravel(), k, points.rounding, bound)
            row, column = np.divmod(found, block.shape[1])
            distances = np.concatenate([distances, block.ravel()[found]])
            first, second = np.concatenate([first, row + rows.start]), np.concatenate([second, column + right.start])
            kept = _smallest(distances, k, points.rounding)
            distances, first, second = distances[kept], first[kept], second[kept]
    order = np.argsort(distances, kind="stable")
    return np.maximum(distances[order], 0), first[order], second[order]


def neighbour_graph(indices: Indices, weights: Array) -> csr_array:
    """Symmetric weights W (n, n) of neighbour lists (n, k): the greater of both where two items name each other."""
    n, k = indices.shape
    one_way = csr_array((weights.ravel(), indices.ravel(), np.arange(n + 1) * k), shape=(n, n))
    return one_way.maximum(one_way.T).tocsr()


def pair_graph(n: int, first: Indices, second: Indices) -> csr_array:
    """Symmetric 0/1 weights W (n, n) of pairs of different items (m,); a pair may be named more than once."""
    both = np.concatenate([first, second]), np.concatenate([second, first])
    graph = coo_array((np.ones(len(both[0])), both), shape=(n, n)).tocsr()  # sums what is named twice
    graph.data[:] = 1.0
    return graph


def laplacian(weights: csr_array) -> csr_array:
    """L = D - W of symmetric weights; its rows sum to zero, and it is positive semi-definite."""
    return csgraph.laplacian(weights).tocsr()


def normalised_laplacian(weights: csr_array) -> csr_array:
    """L = I - D^-1/2 W D^-1/2 of symmetric weights; positive semi-definite.

    An item without neighbours has a zero row, as it has in `laplacian`.
    """
    return csgraph.laplacian(weights, normed=True).tocsr()


def quadratic(x: Rows, matrix: csr_array) -> Array:
    """X'MX (d, d) of x (n, d) and a sparse symmetric M (n, n), which has k entries a row: O(n k d + n d^2).

    A row of MX draws on rows from anywhere, so x is held as float64, once: a float64 array as it is, other sources as
    one copy. MX is made in blocks.
    """
    x = _held(x)
    n, d = x.shape
    result, size = np.zeros((d, d)), max(1, BLOCK_BYTES // (8 * d))
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        result += x[rows].T @ (matrix[rows] @ x)
    return (result + result.T) / 2  # symmetric to the last bit


class _Points:
    """Rows whose squared distances are made in blocks.

    Attributes
    ----------
    rounding : two distances that differ by less may be equal.
    """

    def __init__(self, x: Array) -> None:
        self._x = np.asarray(x, dtype=np.float64)
        self._norms = np.einsum("ij,ij->i", self._x, self._x)
        self.rounding = 4 * x.shape[1] * np.finfo(np.float64).eps * float(self._norms.max())

    def distances(self, rows: slice, columns: slice) -> Iterator[tuple[slice, Array]]:
        """Yield (some of the rows, their distances to all columns)."""
        others = self._x[columns]
        if not len(others):
            return
        size = max(1, DISTANCE_BYTES // (8 * len(others)))
        for start in range(rows.start, rows.stop, size):
            some = slice(start, min(start + size, rows.stop))
            block = self._x[some] @ others.T
            block *= -2
            block += self._norms[some, None]
            block += self._norms[columns]
            yield some, block


def _smallest(values: Array, k: int, rounding: float, bound: float = np.inf) -> Indices:
    """Ascending positions of the k smallest values (m,), all where m <= k; of those equal to the k-th the first ones.

    `bound`, where it is known, is at least the k-th smallest: most values need then only be compared with it.
    """
    near = np.flatnonzero(values <= bound + rounding)
    if len(near) <= k:
        return near
    values = values[near]
    kth = np.partition(values, k - 1)[k - 1]
    taken = values < kth - rounding
    equal = np.flatnonzero(~taken & (values <= kth + rounding))
    taken[equal[: k - np.count_nonzero(taken)]] = True
    return near[taken]


def _held(x: Rows) -> Array:
    if isinstance(x, np.ndarray) and x.dtype == np.float64:
        return x
    held = np.empty(x.shape)
    for rows, block in row_blocks(x):
        held[rows] = block
    return held
