"""Kernel logistic regression onto bits: the second stage of SePH.

For each bit b with targets B_ib in {-1, +1}, over the kernel k(x, Z) of m centres Z and their own kernel K_0,

    min_w  sum_i log(1 + exp(-B_ib k(x_i, Z) w)) + C w'K_0 w,

without bias. In Nyström features f = k(x, Z) E D^(-1/2), K_0 = E D E', this is plain logistic regression with the
penalty C |v|^2, w = E D^(-1/2) v.

Card: linear/50, `seph_km`.
"""

import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from cmr.errors import UserError
from cmr.methods.hashing.codes import Bits, positive, signs
from cmr.methods.linear.algebra import Array
from cmr.rows import Rows, row_blocks

log = logging.getLogger(__name__)

MAX_ITERATIONS = 1000
GRADIENT_TOLERANCE = 1e-4  # of the greatest entry, in coordinates in which no second derivative exceeds one

_BLOCK = 4096  # items


def kernel_logistic(features: Rows, bits: Bits, known: NDArray[np.bool_], penalty: float, view: str) -> Array:
    """V (r, q) of features (n, r) of a `view` and bits (n, q), learnt from the items that are `known` (n,).

    Holds the features of these items. All bits are fitted by one L-BFGS: the problems are independent and share the
    matrix products. Since the logistic loss has second derivatives up to 1/4, F'F/4 + 2 C I bounds every Hessian; in
    coordinates in which the bound is the identity, L-BFGS needs some dozens of iterations.

    Raises UserError where all of these items get the same bits.
    """
    gram = sum(block.T @ block for _, block in _known_blocks(features, known))
    values, axes = np.linalg.eigh(gram)
    curvature = np.maximum(values, 0.0) / 4 + 2 * penalty
    turn = axes / np.sqrt(curvature)
    x = np.empty((int(known.sum()), len(turn)))
    for rows, block in _known_blocks(features, known):
        x[rows] = block @ turn
    targets = signs(bits[known])
    ridge = (penalty / curvature)[:, None]

    def loss(flat: Array) -> tuple[float, Array]:
        u = flat.reshape(len(curvature), -1)
        value, gradient = float((ridge * u**2).sum()), 2 * ridge * u
        for start in range(0, len(x), _BLOCK):
            rows = slice(start, start + _BLOCK)
            margins = targets[rows] * (x[rows] @ u)
            value += float(np.logaddexp(0.0, -margins).sum())
            gradient -= x[rows].T @ (targets[rows] * expit(-margins))
        return value, gradient.ravel()

    found = minimize(
        loss,
        np.zeros(len(curvature) * bits.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "gtol": GRADIENT_TOLERANCE, "ftol": 0.0},
    )
    remaining = np.abs(found.jac).max()
    say = log.info if remaining <= GRADIENT_TOLERANCE else log.warning
    how = "seph: loss %.6g of the %s after %d iterations, greatest entry of the gradient %.1e"
    say(how, found.fun, view, found.nit, remaining)
    u = found.x.reshape(len(curvature), -1)
    first = positive(x[:1], u)
    if all((positive(x[start : start + _BLOCK], u) == first).all() for start in range(0, len(x), _BLOCK)):
        raise UserError(
            f"seph: by their features, all {view} of the train part get the same code, so that nothing can be "
            "retrieved; check that features and labels belong to the same items, or take other features"
        )
    return turn @ u


def _known_blocks(features: Rows, known: NDArray[np.bool_]) -> Iterator[tuple[slice, Array]]:
    """Where the known ones of a block of rows stand among all known ones, and their rows."""
    start = 0
    for rows, block in row_blocks(features):
        chosen = block[known[rows]]
        yield slice(start, start + len(chosen)), chosen
        start += len(chosen)
