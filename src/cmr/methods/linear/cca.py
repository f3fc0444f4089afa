"""Canonical correlation analysis (CCA).

Source: Hotelling 1936; as "correlation matching" in Rasiwasia et al., ACM MM 2010. Card: linear/10, `cca`.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array, fix_signs
from cmr.methods.linear.leading import UNCORRELATED
from cmr.methods.linear.moments import Moments, moments
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.two_scores import warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CCA:
    """Maximally correlated linear projections of paired views.

    Parameters
    ----------
    n_components : latent dimension k, at most the directions along which the views correlate; 0 is as many as these.
    ridge : r, added to each covariance C as r * tr(C)/d * I.
    power : p, each canonical direction is weighted by correlation ** p (0: all alike).
    """

    n_components: int = 10
    ridge: float = 0.01
    power: float = 0.0
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
        """Closed form by whitening and one SVD; `valid`, `seed` and `compute` play no part.

        Raises InfeasibleError where the views correlate along fewer than `n_components` directions.
        """
        model = canonical_projections(train, self.n_components, self.ridge, self.power, "cca")
        warn_of_two_scores(train, len(model.facts["correlations"]), "cca")
        return model

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


def canonical_projections(train: Pairs, n_components: int, ridge: float, power: float, method: str) -> Projections:
    """CCA as of its class, in the name of `method`."""
    w_x, w_y, correlations = train.once(_directions, ridge, method)
    k = components(n_components, correlations, method)
    weights = correlations[:k] ** power
    return train.once(moments).projections(w_x[:, :k] * weights, w_y[:, :k] * weights, correlations=correlations[:k])


def canonical_directions(m: Moments, ridge_x: float, ridge_y: float) -> tuple[Array, Array, Array]:
    """W_x (r_x, k), W_y (r_y, k) and correlations (k,), descending, all that are more than rounding.

    W_x'(C_xx + ridge_x I)W_x = I, and likewise W_y; the ridges are absolute, C = Z'Z/n.
    """
    x, y = m.x.spectrum, m.y.spectrum
    whiten_x, whiten_y = x.whitener(ridge_x), y.whitener(ridge_y)
    u, correlations, vt = np.linalg.svd(whiten_x.T @ (m.cross / m.n) @ whiten_y, full_matrices=False)
    # Ridges shrink all correlations, and their rounding with them.
    perfect = 1 / np.sqrt((1 + ridge_x / x.values[0]) * (1 + ridge_y / y.values[0]))
    k = int((correlations > UNCORRELATED * perfect).sum())
    return *fix_signs(whiten_x @ u[:, :k], whiten_y @ vt[:k].T), correlations[:k]


def components(n_components: int, correlations: Array, method: str) -> int:
    """How many are asked for, 0 being all of them; InfeasibleError in the name of `method` where there are fewer."""
    if len(correlations) < max(n_components, 1):
        raise InfeasibleError(
            f"{method}: n_components is {n_components}, but these views allow at most {len(correlations)}, the number "
            "of directions along which they correlate"
        )
    return n_components or len(correlations)


def warn_of_perfect_correlations(m: Moments, ridge: float, method: str) -> None:
    """Warn, in the name of `method`, where views of few items agree by chance and no ridge keeps them from it."""
    directions = len(m.x.spectrum.values) + len(m.y.spectrum.values)
    if ridge == 0 and directions >= m.n:
        log.warning(
            "%s: ridge is 0, and %d train pairs are too few for views of %d dimensions together: some directions "
            "correlate perfectly, whatever the data; give it a ridge",
            method, m.n, directions,
        )  # fmt: skip


def _directions(train: Pairs, ridge: float, method: str) -> tuple[Array, Array, Array]:
    m = train.once(moments)
    warn_of_perfect_correlations(m, ridge, method)
    return canonical_directions(m, ridge * m.x.mean_variance, ridge * m.y.mean_variance)
