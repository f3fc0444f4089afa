"""Linear algebra shared by the closed-form methods."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from cmr.methods.base import InfeasibleError

Array = NDArray[np.float64]

RANK_TOLERANCE = 1e-10  # of the largest eigenvalue: below lies rounding


@dataclass(frozen=True)
class Spectrum:
    """The eigendecomposition of a positive semi-definite matrix on its range: axes diag(values) axes'.

    Attributes
    ----------
    values : (r,) descending, all above `RANK_TOLERANCE` of the first; r is the numerical rank.
    axes : (d, r) orthonormal.
    """

    values: Array
    axes: Array

    @classmethod
    def of(cls, matrix: Array) -> "Spectrum":
        """Of a symmetric (d, d) matrix; a zero matrix has rank 0."""
        values, axes = np.linalg.eigh(matrix)
        keep = np.flatnonzero(values > RANK_TOLERANCE * max(values[-1], 0.0))[::-1]
        return cls(values[keep], *fix_signs(axes[:, keep]))

    def whitener(self, ridge: float = 0.0) -> Array:
        """K (d, r) with K'(C + ridge I)K = I on the range of C."""
        return self.axes / np.sqrt(self.values + ridge)


def solve_positive(matrix: Array, right: Array, method: str) -> Array:
    """X with matrix X = right, matrix (d, d) symmetric and positive definite, right (d, k).

    Raises InfeasibleError in the name of `method` where the matrix is singular to rounding.
    """
    try:
        return cho_solve(cho_factor(matrix, lower=True, check_finite=False), right, check_finite=False)
    except LinAlgError as error:
        raise InfeasibleError(
            f"{method}: its equations are singular, since features depend on each other or items are too few; "
            "give it more regularisation"
        ) from error


def fix_signs(u: Array, *others: Array) -> tuple[Array, ...]:
    """Flip columns, alike in all matrices, so that the largest entry of each column of u is positive.

    LAPACK leaves signs open, and may choose others on another machine.
    """
    signs = np.sign(u[np.abs(u).argmax(axis=0), np.arange(u.shape[1])])
    signs[signs == 0] = 1.0
    return tuple(matrix * signs for matrix in (u, *others))
