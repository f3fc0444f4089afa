"""Linear algebra shared by the closed-form methods (card linear/00)."""

import numpy as np
from numpy.typing import NDArray

from cmr.errors import UserError

Array = NDArray[np.float64]

RANK_TOLERANCE = 1e-10  # of the largest variance: below lies rounding


def principal_axes(x: Array) -> tuple[Array, Array]:
    """Axes V (d, r) and variances (r,), descending, of centred x (n, d): x'x/n = V diag(variances) V', r its rank.

    Through the smaller of the d x d covariance and the n x n Gram matrix (T1, T2), so that neither many items nor many
    features cost more than they must.
    """
    n, d = x.shape
    if d <= n:
        variances, axes = np.linalg.eigh(x.T @ x / n)
    else:
        variances, u = np.linalg.eigh(x @ x.T / n)
    keep = variances > RANK_TOLERANCE * variances[-1]
    if not keep.any():
        raise UserError("a view is constant over the train part, so nothing can be learnt from it")
    order = np.flatnonzero(keep)[::-1]
    variances = variances[order]
    axes = axes[:, order] if d <= n else x.T @ u[:, order] / np.sqrt(n * variances)
    return axes, variances


def whitener(x: Array, ridge: float) -> Array:
    """K (d, r) with K'(C + ridge * tr(C)/d * I)K = I on the range of C = x'x/n, x (n, d) centred.

    The ridge is relative to the mean variance, so that a default survives rescaled features.
    """
    axes, variances = principal_axes(x)
    return axes / np.sqrt(variances + ridge * variances.sum() / x.shape[1])


def fix_signs(u: Array, v: Array) -> tuple[Array, Array]:
    """Flip pairs of columns so that the largest entry of each column of u is positive: LAPACK leaves signs open."""
    signs = np.sign(u[np.abs(u).argmax(axis=0), np.arange(u.shape[1])])
    return u * signs, v * signs
