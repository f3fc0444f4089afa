"""Similarities, and exact scoring of queries against a gallery in blocks of bounded memory.

Two gallery items that are equal must score equally, or their tie is lost and with it the exact expectation over tie
orders (`cmr.metrics`). Floating-point matrix products do not promise that: the order of summation, hence the last bits,
depends on where a row stands, on the shape of the block, on threads and on the processor. So no rounding is left to the
product: rows are scaled to norm at most one and rounded to multiples of 2^-26, whose products and sums are exact in
float64 in any order. That rounding is finer than the float32 in which scores are returned.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmr.errors import UserError

Similarity = Literal["cosine", "correlation", "euclidean", "inner", "hamming"]

BLOCK_BYTES = 64 << 20
# Measured: scores in both precisions, their sorted copy, and metrics of queries to which all items are relevant.
_BYTES_AN_ITEM = 144

# The products of two integer rows of norm at most 2^b sum to at most 2^2b, in any order; float64 is exact up to 2^53.
# A squared distance is up to four times as large.
_BITS = 26
_BITS_OF_DISTANCE = 25

_BEYOND_FLOAT32 = "similarities of these embeddings go beyond float32; scale the embeddings down"


def score_blocks(
    queries: ArrayLike,
    gallery: ArrayLike,
    similarity: Similarity,
    own: NDArray[np.integer] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (block, scores): a slice of the queries, and their scores (b, n_g) float32, of which higher is nearer.

    The scores do not depend on the block size, on the order of the rows or on the machine.

    Parameters
    ----------
    queries, gallery :
        (n_q, k) and (n_g, k), taken as float32, the precision in which embeddings are stored; for `hamming`, uint8.
    similarity :
        `cosine`; `correlation`, Pearson's, of the two rows; `inner`, the dot product; `euclidean`, the negative
        distance. A zero row (under `correlation` a constant one) has cosine or correlation 0 with everything.
        `hamming`, of packed binary codes (n, bytes) uint8: the negative number of bits that differ.
    own : (n_q,) gallery row that is the query itself; it scores -inf: it is not in this query's gallery.
    block_bytes : memory that a block may take, its metrics included; at least one query is scored at a time.

    Raises
    ------
    UserError : unknown similarity, differing widths, an empty side, NaN or infinite values, products beyond float32.
    """
    check = _checked_codes if similarity == "hamming" else _checked
    queries, gallery = check(queries, "queries"), check(gallery, "gallery")
    if queries.shape[1] != gallery.shape[1]:
        raise UserError(f"queries have {queries.shape[1]} dimensions and the gallery has {gallery.shape[1]}")
    score = _scorer(queries, gallery, similarity)
    rows = max(1, block_bytes // (_BYTES_AN_ITEM * len(gallery)))
    for start in range(0, len(queries), rows):
        block = slice(start, min(start + rows, len(queries)))
        scores = score(block)
        if own is not None:
            scores[np.arange(len(scores)), own[block]] = -np.inf
        yield block, scores


def top(
    queries: ArrayLike,
    gallery: ArrayLike,
    similarity: Similarity,
    k: int,
    own: NDArray[np.integer] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The k nearest gallery rows of each query, for showing: indices and scores, (n_q, k), best first.

    Ties are broken by gallery order. `own` rows are left out. k is cut to the size of the gallery.
    """
    if k < 1:
        raise UserError(f"k must be at least 1, but is {k}")
    indices, values = [], []
    for _, scores in score_blocks(queries, gallery, similarity, own):
        size = scores.shape[1] - (own is not None)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : min(k, size)]
        indices.append(best)
        values.append(np.take_along_axis(scores, best, axis=1))
    return np.concatenate(indices), np.concatenate(values)


def _scorer(queries: NDArray, gallery: NDArray, similarity: Similarity) -> Callable[[slice], NDArray[np.float32]]:
    """A function from a slice of queries to their float32 scores."""
    if similarity in ("cosine", "correlation"):
        prepare = _unit if similarity == "cosine" else lambda x: _unit(_centred(x))
        q, g = _integers(prepare(queries), _BITS), _integers(prepare(gallery), _BITS).T
        return lambda block: ((q[block] @ g) * 4.0**-_BITS).astype(np.float32)

    if similarity == "inner":
        # Powers of two a row: scaling by them, and back, rounds nothing.
        q_exponent, g_exponent = _exponent(queries), _exponent(gallery)
        if q_exponent.max() + g_exponent.max() > 127:
            raise UserError(_BEYOND_FLOAT32)
        q = _integers(np.ldexp(queries, -q_exponent), _BITS)
        g = _integers(np.ldexp(gallery, -g_exponent), _BITS).T
        q_exponent = q_exponent - 2 * _BITS
        return lambda block: np.ldexp(q[block] @ g, q_exponent[block] + g_exponent.T).astype(np.float32)

    if similarity == "euclidean":
        # Points on one grid, so that their squared distances are whole numbers of its squared step. It is that of the
        # gallery, but for queries that lie further out: they must not make it coarser for the others.
        exponents = np.maximum(_exponent(queries), _exponent(gallery).max())[:, 0]
        if exponents.max() > 126:
            raise UserError(_BEYOND_FLOAT32)

        @cache
        def gallery_on_grid(exponent: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            g = _integers(np.ldexp(gallery, -exponent), _BITS_OF_DISTANCE)
            return g.T, (g * g).sum(axis=1)

        def negative_distance(block: slice) -> NDArray[np.float32]:
            scores = np.empty((len(exponents[block]), len(gallery)), dtype=np.float32)
            for exponent in np.unique(exponents[block]):
                rows = exponents[block] == exponent
                q = _integers(np.ldexp(queries[block][rows], -exponent), _BITS_OF_DISTANCE)
                g, g_squared = gallery_on_grid(int(exponent))
                squared = q @ g
                squared *= -2
                squared += (q * q).sum(axis=1)[:, None]
                squared += g_squared
                scores[rows] = np.ldexp(-np.sqrt(squared, out=squared), exponent - _BITS_OF_DISTANCE)
            return scores

        return negative_distance

    if similarity == "hamming":
        # Of signs h and g of q bits, (q - h.g)/2 differ; float32 holds such small whole numbers exactly.
        q, g = _signs(queries), _signs(gallery).T
        return lambda block: (q[block] @ g - np.float32(len(g))) / 2

    raise UserError(f'unknown similarity "{similarity}"; it is one of {", ".join(get_args(Similarity))}')


def _checked(rows: ArrayLike, name: str) -> NDArray[np.float64]:
    """C-contiguous float64 of float32 values: squares neither overflow nor vanish."""
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite and is refused below
        rows = np.asarray(rows).astype(np.float32)
    if rows.ndim != 2 or 0 in rows.shape:
        raise UserError(f"{name} must be a table of at least one row and one column, but have shape {rows.shape}")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise UserError(f"{name}: {len(bad)} rows hold NaN or infinite values, the first is row {bad[0]}")
    return np.ascontiguousarray(rows, dtype=np.float64)


def _checked_codes(rows: ArrayLike, name: str) -> NDArray[np.uint8]:
    rows = np.asarray(rows)
    if rows.dtype != np.uint8 or rows.ndim != 2 or 0 in rows.shape:
        raise UserError(
            f"{name} must be packed binary codes, a table of uint8 with at least one row and one column, "
            f"but have shape {rows.shape} and type {rows.dtype}"
        )
    return rows


def _signs(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, bytes) -> (n, 8 bytes), 1 where a bit is set and -1 where it is not."""
    return np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norm == 0, 1.0, norm)


def _centred(x: NDArray[np.float64]) -> NDArray[np.float64]:
    # Of float32 values: the float64 mean of equal ones is that value exactly.
    return x - x.mean(axis=1, keepdims=True)


def _exponent(x: NDArray[np.float64]) -> NDArray[np.int32]:
    """(n, 1): the least e with row norm < 2^e."""
    return np.frexp(np.linalg.norm(x, axis=1, keepdims=True))[1]


def _integers(x: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """Rows of norm at most one as whole multiples of 2^-bits."""
    return np.rint(np.ldexp(x, bits))
