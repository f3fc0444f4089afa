"""Row-sparse weights by iteratively reweighted least squares.

The penalty |U|_21, the sum of the norms of the rows of U (d, k), drops whole features. Where a row is zero it has no
derivative, so that each norm is smoothed to sqrt(|u_i|^2 + EPSILON). Around the current U, that is bounded from above
by a quadratic with the diagonal R = diag(1 / (2 sqrt(|u_i|^2 + EPSILON))): a step that minimises the rest of the
objective plus penalty * tr(U'RU) lowers the smoothed objective. Groups of features may take the place of single rows.

Source: Nie et al., NIPS 2010. Card: linear/00, trick T7.
"""

import numpy as np
from numpy.typing import NDArray

from cmr.methods.base import InfeasibleError
from cmr.methods.linear.algebra import Array, solve_positive
from cmr.methods.linear.moments import PreparedView

EPSILON = 1e-8


def row_norm(u: Array, groups: NDArray[np.intp] | None = None) -> float:
    """The smoothed sum of the norms of the rows of u (d, k), or of its groups of rows.

    `groups` (d,) numbers the group of each row, from 0, without gaps.
    """
    return float(_norms(u, groups).sum())


def row_weights(u: Array, groups: NDArray[np.intp] | None = None) -> Array:
    """The diagonal (d,) of R: half the inverse of the smoothed norm of a row of u (d, k), or of its group of rows."""
    weights = 0.5 / _norms(u, groups)
    return weights if groups is None else weights[groups]


def solve_reweighted(gram: Array, diagonal: Array, right: Array, method: str, rotation: Array | None = None) -> Array:
    """U (d, k) with (gram + diag(diagonal)) U = right, gram (d, d) positive semi-definite.

    In a row space Q (d, r), `rotation`, gram is an H (r, r) and right a B (r, k), which stand for QHQ' and QB. The
    weights are those of the d features, exactly, but only equations of size r are solved:

        U = D^-1 Q (I + HQ'D^-1 Q)^-1 B, D = diag(diagonal).

    Raises InfeasibleError in the name of `method` where the equations are singular to rounding.
    """
    if rotation is None:
        matrix = gram.copy()
        np.einsum("ii->i", matrix)[:] += diagonal
        return solve_positive(matrix, right, method)
    if not diagonal.all():
        raise InfeasibleError(
            f"{method}: its equations are singular, since items are fewer than features; give it sparsity"
        )
    scaled = rotation / np.sqrt(diagonal)[:, None]
    inner = gram @ (scaled.T @ scaled)
    np.einsum("ii->i", inner)[:] += 1
    return rotation @ np.linalg.solve(inner, right) / diagonal[:, None]


def in_coordinates(view: PreparedView, u: Array) -> Array:
    """u (d, k) in the coordinates (r, k) of a view: weights of features, or sums over items that features weigh."""
    return u if view.rotation is None else view.rotation.T @ u


def _norms(u: Array, groups: NDArray[np.intp] | None) -> Array:
    squares = np.einsum("ij,ij->i", u, u)
    if groups is not None:
        squares = np.bincount(groups, squares)
    return np.sqrt(squares + EPSILON)
