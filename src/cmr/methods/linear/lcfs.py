"""Learning coupled feature spaces (LCFS).

Source: Wang, He, Wang, Wang and Tan, ICCV 2013. Card: linear/40, `lcfs`.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.descent import repeat, settle
from cmr.methods.linear.moments import Moments, moments
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


@dataclass(frozen=True)
class LCFS:
    """Row-sparse regression of both views onto the labels, coupled by a trace norm: the minimum over U and V of

        1/2 (|XU - T|^2 + |YV - T|^2) + sparsity (|U|_21 + |V|_21) + trace_norm |[XU YV]|_*.

    Both norms are smoothed, the trace norm of A = [XU YV] being tr (A'A + mu I)^(1/2).

    Parameters
    ----------
    sparsity : penalty of the norms of rows for 2000 train items; it grows with their number, as the errors do.
    trace_norm : penalty of the trace norm for 2000 train items; it grows with the root of their number, by which the
        errors outgrow that norm.
    smoothing : mu, relative to the mean squared singular value of A of a ridge regression. trace_norm / sqrt(mu) acts
        as a further ridge.
    max_iterations : of reweighted least squares.
    tolerance : relative change of the objective at which they end.
    """

    sparsity: float = 10.0
    trace_norm: float = 0.001
    smoothing: float = 1e-4
    max_iterations: int = 20
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
        """Reweighted least squares from a ridge regression; `valid`, `seed` and `compute` play no part.

        Raises NotApplicableError where there are no classes or all pairs have the same, UserError where a view tells
        nothing of them, InfeasibleError where the equations are singular, as they can be without sparsity, or nothing
        smooths the trace norm.
        """
        variation = label_variation(train, "lcfs")
        if self.smoothing <= 0:
            raise InfeasibleError(f"lcfs: smoothing is {self.smoothing:g}, but the trace norm needs a positive one")
        m = train.once(moments, True)
        require_told_labels(m, variation, "lcfs")
        warn_of_two_classes(train, "lcfs")
        start = train.once(_start)
        mu = self.smoothing * start.squares.mean()
        sparsity = self.sparsity * m.n / REFERENCE_ITEMS
        trace_norm = self.trace_norm * (m.n / REFERENCE_ITEMS) ** 0.5

        def step(now: Coupled) -> Coupled:
            left_x, left_y = now.weighted_grams(m, trace_norm, mu)
            diagonal_x, diagonal_y = 2 * sparsity * row_weights(now.u), 2 * sparsity * row_weights(now.v)
            return Coupled.of(
                m,
                solve_reweighted(left_x, diagonal_x, m.x_labels, "lcfs", m.x.rotation),
                solve_reweighted(left_y, diagonal_y, m.y_labels, "lcfs", m.y.rotation),
            )

        def objective(now: Coupled) -> float:
            return (
                (now.squares.sum() - 2 * now.agreement + 2 * variation) / 2
                + sparsity * (row_norm(now.u) + row_norm(now.v))
                + trace_norm * np.sqrt(now.squares + mu).sum()
            )

        fitted, values = settle(
            repeat(step, start, objective), max_iterations=self.max_iterations, tolerance=self.tolerance, method="lcfs"
        )
        return Projections(
            Projection(m.x.scaling, fitted.u), Projection(m.y.scaling, fitted.v), {}, {"objective": values}
        )

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


@dataclass(frozen=True)
class Coupled:
    """Weights, and what they make of the train part: A = [XU YV] (n, 2c), known by A'A = W diag(s^2) W' alone.

    Attributes
    ----------
    u, v : U (d_x, c) and V (d_y, c).
    x_sums, y_sums : Z_x'A W (r_x, 2c) and Z_y'A W (r_y, 2c), Z the coordinates of a view.
    squares : s^2 (2c,).
    agreement : tr((XU + YV)'T).
    """

    u: Array
    v: Array
    x_sums: Array
    y_sums: Array
    squares: Array
    agreement: float

    @classmethod
    def of(cls, m: Moments, u: Array, v: Array) -> Self:
        """Of weights, from the moments of the data."""
        a, b = in_coordinates(m.x, u), in_coordinates(m.y, v)
        x_sums, y_sums = np.hstack([m.x.gram @ a, m.cross @ b]), np.hstack([m.cross.T @ a, m.y.gram @ b])
        squares, axes = np.linalg.eigh(np.vstack([a.T @ x_sums, b.T @ y_sums]))
        agreement = float(np.vdot(a, m.x_labels) + np.vdot(b, m.y_labels))
        return cls(u, v, x_sums @ axes, y_sums @ axes, np.maximum(squares, 0.0), agreement)

    def weighted_grams(self, m: Moments, trace_norm: float, mu: float) -> tuple[Array, Array]:
        """Z'(I + trace_norm S)Z of both views, S = (AA' + mu I)^(-1/2) (n, n), which is never built.

        With A = Q diag(s) W' and r = sqrt(s^2 + mu),

            S = I / sqrt(mu) + Q diag(1/r - 1/sqrt(mu)) Q'
              = I / sqrt(mu) - A W diag(1 / (sqrt(mu) r (sqrt(mu) + r))) W'A'.

        The second form holds where s is zero, too.
        """
        root, r = np.sqrt(mu), np.sqrt(self.squares + mu)
        shrunk = trace_norm / (root * r * (root + r))
        return (
            (1 + trace_norm / root) * m.x.gram - self.x_sums * shrunk @ self.x_sums.T,
            (1 + trace_norm / root) * m.y.gram - self.y_sums * shrunk @ self.y_sums.T,
        )


def _start(train: Pairs) -> Coupled:
    return Coupled.of(train.once(moments, True), *train.once(ridge_start, True))
