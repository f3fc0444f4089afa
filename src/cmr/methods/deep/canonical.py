"""Canonical correlations of two networks' outputs, as a loss and as final projections. Card: deep/04.

Everything here is float64: S_11 of correlated outputs is ill-conditioned. The correlations are singular values of
L_1^-1 S_12 L_2^-T with Cholesky factors L. Inverse square roots give the same values, but gradients of an
eigendecomposition are undefined where eigenvalues coincide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.linalg import cholesky_ex, solve_triangular

from cmr.methods.base import InfeasibleError

Decomposition = TypeVar("Decomposition")

PAIRS_A_COMPONENT = 10  # of fewer, even independent views look correlated, and training fits that


def require_large_batches(method: str, n_components: int, batch_size: int, pairs: int) -> None:
    """Refuse batches of too few pairs for correlations of so many components; `pairs` is how many there are at all.

    Raises
    ------
    InfeasibleError : names the method, and what to change.
    """
    rows, needed = min(batch_size, pairs), PAIRS_A_COMPONENT * n_components
    if rows < needed:
        raise InfeasibleError(
            f"{method}: n_components={n_components} needs batches of at least {needed} pairs, but they have {rows} "
            f"(batch_size={batch_size}, {pairs} train pairs): correlations of fewer are mostly chance. Raise "
            f"batch_size, or lower n_components to {rows // PAIRS_A_COMPONENT}"
        )


@dataclass(frozen=True)
class CanonicalProjections:
    """Linear maps of centred outputs to canonical variates, in descending order of their correlations."""

    x: Tensor  # (o, o) float64
    y: Tensor  # (o, o) float64
    correlations: Tensor  # (o,) float64


def canonical_correlations(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """(b, o) outputs of both views -> (o,) float64 correlations on the batch, descending; differentiable.

    `ridge` is added to the variances; what it takes off the correlations shrinks with the scale of the outputs. Of s
    networks, (s, b, o) -> (s, o).

    Raises
    ------
    InfeasibleError : the outputs are not finite.
    """
    return _finite(torch.linalg.svdvals, _whitened(x, y, ridge)[0])


def canonical_projections(x: Tensor, y: Tensor, ridge: float) -> CanonicalProjections:
    """The projections L_1^-T U and L_2^-T V of (n, o) outputs, by the same decomposition; raises as it does.

    Of the two signs of each pair of directions, the one that makes the largest entry of U's column positive.
    """
    whitened, l_x, l_y = _whitened(x, y, ridge)
    u, correlations, v = _finite(torch.linalg.svd, whitened)  # v is transposed
    sign = torch.take_along_dim(u, u.abs().argmax(-2, keepdim=True), dim=-2).sign()
    w_x = solve_triangular(l_x.mT, u * sign, upper=True)
    w_y = solve_triangular(l_y.mT, v.mT * sign, upper=True)
    return CanonicalProjections(w_x, w_y, correlations)


def _whitened(x: Tensor, y: Tensor, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    """L_1^-1 S_12 L_2^-T, L_1 and L_2."""
    x, y = (view.double() - view.double().mean(-2, keepdim=True) for view in (x, y))
    divisor = x.shape[-2] - 1
    identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    # Unchecked: a check would make a GPU wait, and factors of what is not finite are refused with the correlations.
    l_x, l_y = (cholesky_ex(view.mT @ view / divisor + ridge * identity).L for view in (x, y))
    half = solve_triangular(l_x, x.mT @ y / divisor, upper=False)
    return solve_triangular(l_y, half.mT, upper=False).mT, l_x, l_y


def _finite(decompose: Callable[[Tensor], Decomposition], matrix: Tensor) -> Decomposition:
    try:
        return decompose(matrix)
    except torch.linalg.LinAlgError as error:
        raise InfeasibleError(
            "training diverged: the networks' outputs have no finite correlations. Lower learning_rate, or look for "
            "features of extreme scale"
        ) from error
