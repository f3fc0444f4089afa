"""Many LASSOs at once: sparse rows A_i that minimise A_i H A_i' - 2 b_i A_i' + penalty |A_i|_1."""

import numpy as np

from cmr.methods.linear.algebra import Array

ITERATIONS = 30  # of FISTA
SWEEPS = 10  # of coordinate descent


def soft_threshold(x: Array, threshold: float) -> Array:
    """The minimum over a of |a - x|^2 / 2 + threshold |a|_1, entry by entry."""
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0)


def lasso_of_one_hessian(hessian: Array, targets: Array, penalty: float, start: Array) -> Array:
    """FISTA (Beck and Teboulle 2009) from `start` (n, k) where all rows share H (k, k), positive definite.

    `targets` are the b (n, k). The objective may rise on the way, but never above that of `start`, where it has no
    momentum yet (Chambolle and Dossal 2015).
    """
    step = 1 / np.linalg.eigvalsh(hessian)[-1]
    code, ahead, momentum = start, start, 1.0
    for _ in range(ITERATIONS):
        previous, code = code, soft_threshold(ahead - step * (ahead @ hessian - targets), penalty * step / 2)
        last, momentum = momentum, (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = code + (last - 1) / momentum * (code - previous)
    return code


def lasso_of_own_hessians(hessians: Array, targets: Array, penalty: float, start: Array) -> Array:
    """Coordinate descent from `start` (n, m) where each row has its H (n, m, m), positive semi-definite.

    `targets` are the b (n, m). No sweep makes a row worse. A coordinate with zero on the diagonal of H is set to zero.
    """
    code = start.copy()
    diagonal = np.einsum("ijj->ij", hessians)
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    for _ in range(SWEEPS):
        for j in range(code.shape[1]):
            others = np.einsum("ij,ij->i", hessians[:, j], code) - diagonal[:, j] * code[:, j]
            code[:, j] = soft_threshold(targets[:, j] - others, penalty / 2) * inverse[:, j]
    return code
