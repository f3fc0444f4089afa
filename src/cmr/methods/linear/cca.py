"""Canonical correlation analysis (CCA).

Source: Hotelling 1936; as "correlation matching" in Rasiwasia et al., ACM MM 2010. Card: linear/10, `cca`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array, fix_signs
from cmr.methods.linear.moments import Moments, moments
from cmr.methods.linear.projections import Projections
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity

# Of standardised or whitened sides: a correlation of this size is rounding, of which nothing can be learnt.
UNCORRELATED = 1e-8


@dataclass(frozen=True)
class CCA:
    """Maximally correlated linear projections of paired views.

    Parameters
    ----------
    n_components : latent dimension k, at most the smaller rank of the two views; 0 is as many as that.
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
        device: str = "cpu",
        progress: Progress = SILENT,
    ) -> Projections:
        """Closed form by whitening and one SVD; `valid`, `seed` and `device` play no part."""
        w_x, w_y, correlations = train.once(_directions, self.ridge)
        k = self.n_components or len(correlations)
        if k > len(correlations):
            raise InfeasibleError(f"cca: n_components is {k}, but these views allow at most {len(correlations)}")
        weights = correlations[:k] ** self.power
        return train.once(moments).projections(
            w_x[:, :k] * weights, w_y[:, :k] * weights, correlations=correlations[:k]
        )

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


def canonical_directions(m: Moments, ridge_x: float, ridge_y: float) -> tuple[Array, Array, Array]:
    """W_x (r_x, k), W_y (r_y, k) and correlations (k,), descending; k is the smaller rank of the two views.

    W_x'(C_xx + ridge_x I)W_x = I, and likewise W_y; the ridges are absolute, C = Z'Z/n.
    """
    whiten_x, whiten_y = m.x.spectrum.whitener(ridge_x), m.y.spectrum.whitener(ridge_y)
    u, correlations, vt = np.linalg.svd(whiten_x.T @ (m.cross / m.n) @ whiten_y, full_matrices=False)
    return *fix_signs(whiten_x @ u, whiten_y @ vt.T), correlations


def _directions(train: Pairs, ridge: float) -> tuple[Array, Array, Array]:
    m = train.once(moments)
    return canonical_directions(m, ridge * m.x.mean_variance, ridge * m.y.mean_variance)
