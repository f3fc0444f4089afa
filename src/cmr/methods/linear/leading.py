"""The first few singular or eigenvectors of a large matrix, without the others."""

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh, svds

from cmr.methods.linear.algebra import RANK_TOLERANCE, Array

# Of the largest singular value of X'Y: what lies below belongs to directions whose variance is below RANK_TOLERANCE.
CROSS_TOLERANCE = RANK_TOLERANCE**0.5

# Of standardised or whitened sides: a correlation of this size is rounding, of which nothing can be learnt.
UNCORRELATED = 1e-8

# Measured: below some such size, or of more than a share of all vectors, LAPACK is faster than Lanczos' iterations.
_SMALL = 64
_SHARE = 8


def leading_singular(matrix: Array, k: int) -> tuple[Array, Array, Array]:
    """u (d_x, k), singular values (k,), descending, v (d_y, k) of a matrix (d_x, d_y)."""
    if _few(k, min(matrix.shape)) and matrix.any():  # no iteration leads anywhere from zero
        u, values, vt = svds(matrix, k=k, v0=_start(min(matrix.shape)))
        order = np.argsort(-values)
        return u[:, order], values[order], vt[order].T
    u, values, vt = np.linalg.svd(matrix, full_matrices=False)
    return u[:, :k], values[:k], vt[:k].T


def leading_eigen(matrix: Array, k: int) -> tuple[Array, Array]:
    """The k algebraically largest eigenvalues (k,), descending, and their vectors (d, k), of a symmetric (d, d)."""
    d = len(matrix)
    if _few(k, d):
        values, axes = eigsh(matrix, k=k, which="LA", v0=_start(d))
    else:
        values, axes = eigh(matrix, subset_by_index=(d - k, d - 1))
    order = np.argsort(-values)
    return values[order], axes[:, order]


def _few(k: int, d: int) -> bool:
    return d > _SMALL and _SHARE * k < d


def _start(d: int) -> Array:
    """The same vector in every run, so that results are the same."""
    return np.random.default_rng(0).normal(size=d)
