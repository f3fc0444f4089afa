"""Local group based consistent feature learning (LGCFL).

Source: Kang, Xiang, Liao, Xu and Pan, IEEE TMM 17(3), 2015. Card: linear/40, `lgcfl`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.descent import repeat, settle
from cmr.methods.linear.moments import moments
from cmr.methods.linear.projections import Projection, Projections
from cmr.methods.linear.regression import (
    REFERENCE_ITEMS,
    label_variation,
    require_told_labels,
    ridge_start,
    warn_of_two_classes,
)
from cmr.methods.linear.row_sparsity import in_coordinates, row_norm, row_weights, solve_reweighted
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import row_blocks


@dataclass(frozen=True)
class LGCFL:
    """Group-sparse regression of both views onto labels that may move away from each other.

    With E = 2T - 1, the minimum over weights U, intercepts b and margins M >= 0 of

        sum over views of 1/2 |XU + 1b' - (T + E o M)|^2 + sparsity * sum over groups g of |U_g|,

    so that an item is not drawn back where it lies on the right side of a label and beyond it. Embeddings are XU.

    Parameters
    ----------
    sparsity : penalty of the norms of groups for 2000 train items; it grows with their number, as the errors do.
    image_group_size, text_group_size : so many consecutive features form a group, such as a cell of a HOG or GIST
        descriptor; 1 drops features one by one.
    shared_margins : an image and its text have the same M; otherwise pairs play no part.
    max_iterations : of reweighted least squares; margins move in each.
    tolerance : relative change of the objective at which they end.
    """

    sparsity: float = 1.0
    image_group_size: int = 1
    text_group_size: int = 1
    shared_margins: bool = True
    max_iterations: int = 30
    tolerance: float = 1e-5
    similarity: ClassVar[Similarity] = "cosine"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> Projections:
        """Reweighted least squares from a ridge regression, the data being read once an iteration.

        `valid`, `seed` and `compute` play no part.

        Raises NotApplicableError where there are no classes or all pairs have the same, UserError where a view tells
        nothing of them, InfeasibleError where features are not a whole number of groups, or the equations are singular,
        as they can be without sparsity.
        """
        variation = label_variation(train, "lgcfl")
        m = train.once(moments, True)
        require_told_labels(m, variation, "lgcfl")
        warn_of_two_classes(train, "lgcfl")
        views = (m.x, m.y)
        groups = (
            feature_groups(m.x.features, self.image_group_size, "image_group_size"),
            feature_groups(m.y.features, self.text_group_size, "text_group_size"),
        )
        sparsity = self.sparsity * m.n / REFERENCE_ITEMS

        def step(now: Moved) -> Moved:
            weights = [
                solve_reweighted(view.gram, 2 * sparsity * row_weights(u, of), targets, "lgcfl", view.rotation)
                for view, u, of, targets in zip(views, now.weights, groups, now.targets, strict=True)
            ]
            return Moved.of(train, weights, now.means, self.shared_margins)

        def objective(now: Moved) -> float:
            return now.errors / 2 + sparsity * sum(row_norm(u, of) for u, of in zip(now.weights, groups, strict=True))

        fitted, values = settle(
            repeat(step, train.once(_start, self.shared_margins), objective),
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            method="lgcfl",
        )
        u, v = fitted.weights
        return Projections(Projection(m.x.scaling, u), Projection(m.y.scaling, v), {}, {"objective": values})

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


@dataclass(frozen=True)
class Moved:
    """Weights and intercepts of both views, and what the data come to with the margins M that are best for these.

    Attributes
    ----------
    weights : U (d, c) of each view.
    targets : Z'(T + E o M) (r, c) of each view, Z its coordinates.
    means : of the columns of T + E o M (c,), for each view: the intercepts that are best for these margins.
    errors : sum over views of |XU + 1b' - (T + E o M)|^2.
    """

    weights: list[Array]
    targets: list[Array]
    means: list[Array]
    errors: float

    @classmethod
    def of(cls, train: Pairs, weights: Sequence[Array], intercepts: Sequence[Array], shared: bool) -> Self:
        """One pass over the data, O(n d c); margins exist for a block of items at a time."""
        m = train.once(moments, True)
        views = (m.x, m.y)
        sums, totals, errors = [np.zeros_like(u) for u in weights], [np.zeros_like(b) for b in intercepts], 0.0
        for rows, *blocks in row_blocks(train.images, train.texts):
            labels = train.labels[rows].astype(np.float64)
            z = [view.scaling(block) for view, block in zip(views, blocks, strict=True)]
            residuals = [z[i] @ weights[i] + intercepts[i] - labels for i in range(2)]
            moves = label_moves(residuals, labels, shared)
            for i in range(2):
                sums[i] += z[i].T @ moves[i]
                totals[i] += moves[i].sum(axis=0)
                errors += float(((residuals[i] - moves[i]) ** 2).sum())
        return cls(
            list(weights),
            [
                labels + in_coordinates(view, moved)
                for labels, view, moved in zip((m.x_labels, m.y_labels), views, sums, strict=True)
            ],
            [train.labels.mean(axis=0) + total / m.n for total in totals],
            errors,
        )


def label_moves(residuals: list[Array], labels: Array, shared: bool) -> list[Array]:
    """E o M (b, c) of each view, M >= 0 the best margins for residuals XU + 1b' - T (b, c)."""
    signs = 2 * labels - 1
    if shared:
        residuals = [np.mean(residuals, axis=0)] * len(residuals)
    return [signs * np.maximum(signs * residual, 0.0) for residual in residuals]


def feature_groups(features: int, size: int, name: str) -> NDArray[np.intp] | None:
    """The group of each feature (d,), `size` consecutive ones forming one; None where each is its own.

    Raises InfeasibleError where that leaves some over; `name` is the hyper-parameter's.
    """
    if features % size:
        raise InfeasibleError(f"lgcfl: {name} is {size}, but {features} features are not a whole number of such groups")
    return None if size == 1 else np.arange(features) // size


def _start(train: Pairs, shared: bool) -> Moved:
    return Moved.of(train, train.once(ridge_start, True), [train.labels.mean(axis=0)] * 2, shared)
