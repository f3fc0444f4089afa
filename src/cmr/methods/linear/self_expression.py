"""Projections of both views towards one sparse code that keep how each item is made up of its neighbours.

Source: Sun et al., Scientific Reports 11, 2021; Du and Shen, KDD 2015 (adaptive structure); Nie, Zhang and Li, Science
China Information Sciences 60, 2017 (generalised power iteration). Card: linear/60, step 1'.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.linalg import polar
from scipy.sparse import csr_array

from cmr.methods.base import InfeasibleError
from cmr.methods.linear.algebra import RANK_TOLERANCE, Array, solve_positive
from cmr.methods.linear.descent import Round
from cmr.methods.linear.principal import Encoding, Views, products, projected
from cmr.methods.linear.sparse_coding import lasso_of_own_hessians, soft_threshold
from cmr.rows import in_memory

ROTATIONS = 50  # of the power iteration, a round
BLOCK = 4096  # items whose neighbours are gathered at a time


def self_expression(
    views: Views,
    semantic: Array,
    neighbours: NDArray[np.intp],
    *,
    structure_weight: float,
    code_weight: float,
    sparsity: float,
    structure_sparsity: float,
    ridge: float,
    span: Array | None = None,
) -> Iterator[Round[Encoding]]:
    """Descend, without end, from A = C, the semantic code (n, k), and S of equal shares, in

        sum_d |Z_d P_d - A|^2 + structure_weight |(I - S) Z_d P_d|^2 + ridge' |P_d|^2
        + structure_sparsity |S|_1 + code_weight |A - C|^2 + sparsity |A|_1,

    where row i of S (n, n) is zero but for the `neighbours` (n, m) of item i, which is none of them, and ridge' is
    ridge * n / d of each view. With a `span` Q (k, q) orthonormal, P_d = R_dQ' with R_d'R_d = I takes its place, or
    R_dR_d' = I where r is below q. The objective never rises. Without a `structure_weight` S stays as it is. Memory:
    the rows of both views.

    Raises InfeasibleError where a `span` is given of which a view cannot tell all directions that it could have.
    """
    n, m = neighbours.shape
    views = [replace(view, rows=in_memory(view.rows)) for view in views]  # neighbours lie anywhere
    shares = np.full((n, m), 1 / m)
    code = semantic
    rotations: list[Array] = []
    while True:
        structure = expression(neighbours, shares)
        sums = products(views, code)
        hessians = [np.diag(view.values) + structure_weight * residual_gram(structure, view.rows) for view in views]
        if span is not None:
            sums = [own @ span for own in sums]
            rotations = rotations or [first_rotation(own) for own in sums]
            rotations = [rotate(*problem) for problem in zip(hessians, sums, rotations, strict=True)]
            weights = [own @ span.T for own in rotations]
        else:
            weights = [
                solve_positive(hessian + ridge * view.mean_value * np.eye(len(hessian)), own, "csaec")
                for hessian, own, view in zip(hessians, sums, views, strict=True)
            ]
        encoded = projected(views, weights)
        objective = code_weight * ((code - semantic) ** 2).sum() + sparsity * np.abs(code).sum()
        objective += structure_sparsity * np.abs(shares).sum()
        for view, z, p in zip(views, encoded, weights, strict=True):
            objective += ((z - code) ** 2).sum() + structure_weight * ((z - structure @ z) ** 2).sum()
            if span is None:
                objective += ridge * view.mean_value * (p**2).sum()
        yield Round(float(objective), Encoding(weights, code))
        pull = len(views) + code_weight
        code = soft_threshold((sum(encoded) + code_weight * semantic) / pull, sparsity / (2 * pull))
        if structure_weight:
            shares = express(np.hstack(encoded), neighbours, shares, structure_sparsity / structure_weight)


def expression(neighbours: NDArray[np.intp], shares: Array) -> csr_array:
    """S (n, n) of the shares (n, m) that the neighbours (n, m) of each item have in it."""
    n, m = neighbours.shape
    return csr_array((shares.ravel(), neighbours.ravel(), np.arange(0, n * m + 1, m)), shape=(n, n))


def residual_gram(structure: csr_array, z: Array) -> Array:
    """Z'(I - S)'(I - S)Z (r, r)."""
    gram = np.zeros((z.shape[1], z.shape[1]))
    for start in range(0, len(z), BLOCK):
        rows = slice(start, start + BLOCK)
        residual = z[rows] - structure[rows] @ z
        gram += residual.T @ residual
    return gram


def express(z: Array, neighbours: NDArray[np.intp], shares: Array, penalty: float) -> Array:
    """Better shares (n, m): each item's lower |z_i - sum_j s_ij z_j|^2 + penalty |s_i|_1, with z (n, any)."""
    better = np.empty_like(shares)
    for start in range(0, len(z), BLOCK):
        rows = slice(start, start + BLOCK)
        around = z[neighbours[rows]]
        hessians = around @ around.transpose(0, 2, 1)
        targets = (around @ z[rows, :, None])[:, :, 0]
        better[rows] = lasso_of_own_hessians(hessians, targets, penalty, shares[rows])
    return better


def first_rotation(product: Array) -> Array:
    """P (r, q), P'P = I or PP' = I where r is below q, that is nearest to B (r, q).

    Raises InfeasibleError where B lacks rank, so that many are as near.
    """
    values = np.linalg.svd(product, compute_uv=False)
    if values[-1] <= RANK_TOLERANCE * values[0]:
        raise InfeasibleError(
            f"csaec: a view tells nothing of some of the {product.shape[1]} directions of the code, so that "
            "orthonormal projections there would be arbitrary; lower n_components, or choose mode selfexpr"
        )
    return polar(product)[0]


def rotate(hessian: Array, product: Array, start: Array) -> Array:
    """P (r, k), P'P = I, that lowers tr(P'HP) - 2 tr(P'B) from `start`, with H (r, r), B (r, k): power iteration."""
    r = len(hessian)
    largest = scipy.linalg.eigvalsh(hessian, subset_by_index=[r - 1, r - 1])[0]
    ascent = largest * np.eye(r) - hessian
    p = start
    for _ in range(ROTATIONS):
        p = polar(ascent @ p + product)[0]
    return p
