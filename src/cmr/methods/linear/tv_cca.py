"""Three-view canonical correlation analysis: images, texts and their labels.

Source: Gong, Ke, Isard and Lazebnik, IJCV 106(2), 2014 (CCA V+T+C). Card: linear/20, `tv_cca`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array, Spectrum, fix_signs
from cmr.methods.linear.cca import warn_of_perfect_correlations
from cmr.methods.linear.leading import UNCORRELATED
from cmr.methods.linear.moments import Moments, moments
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.two_scores import warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class ThreeViewCCA:
    """Linear projections of images, texts and labels whose sum of squared distances is least.

    Labels shape the space and are needed of no query.

    Parameters
    ----------
    n_components : latent dimension k, at most the directions along which the views agree; 0 is as many as these.
    ridge : r, added to the covariance C of each of the three views as r * tr(C)/d * I.
    power : p, each direction is weighted by its share of the largest eigenvalue ** p (0: all alike).
    """

    n_components: int = 10
    ridge: float = 0.01
    power: float = 4.0
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
        """Closed form; `valid`, `seed` and `compute` play no part.

        Raises NotApplicableError where there are no classes, InfeasibleError where the views agree along fewer than
        `n_components` directions.
        """
        train.require_classes("tv_cca")
        w_x, w_y, values = train.once(_directions, self.ridge).weighted("tv_cca", self.n_components, self.power)
        warn_of_two_scores(train, len(values), "tv_cca")
        return train.once(moments).projections(w_x, w_y, eigenvalues=values)

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


@dataclass(frozen=True)
class ThreeViewDirections:
    """Directions of three views, in the order of how far the views agree along them.

    Attributes
    ----------
    image, text, label : (r_x, k), (r_y, k), (c, k); the sum over views of W'(C + ridge I)W is the unit matrix.
    values : (k,) descending, above 1 and at most 3, which is perfect agreement.
    """

    image: Array
    text: Array
    label: Array
    values: Array

    def weighted(self, method: str, n_components: int, power: float) -> tuple[Array, Array, Array]:
        """Image and text directions weighted by (value / largest) ** power, and their values; 0 components are all."""
        k = n_components or len(self.values)
        if not 0 < k <= len(self.values):
            raise InfeasibleError(
                f"{method}: n_components is {k}, but the views agree along no more than {len(self.values)} directions"
            )
        # Shares of the largest: powers of values above one would overflow.
        weights = (self.values[:k] / self.values[0]) ** power
        return self.image[:, :k] * weights, self.text[:, :k] * weights, self.values[:k]


def three_view_directions(m: Moments, labels: NDArray[np.bool_], ridge: float) -> ThreeViewDirections:
    """Solve S w = value * S_D w, S the covariance of [X Y T] with relative ridges, S_D its diagonal blocks.

    Whitened blocks leave a unit matrix on the diagonal, so that the eigenproblem is an ordinary one.
    """
    shares = labels.mean(axis=0)
    targets = labels.astype(np.float64)
    # Centred, since classes that sum to one over each item have a direction without variance.
    covariance = targets.T @ targets / m.n - np.outer(shares, shares)
    x = m.x.spectrum.whitener(ridge * m.x.mean_variance)
    y = m.y.spectrum.whitener(ridge * m.y.mean_variance)
    t = Spectrum.of(covariance).whitener(ridge * float(np.trace(covariance)) / len(covariance))
    xy, xt, yt = x.T @ (m.cross / m.n) @ y, x.T @ (m.x_labels / m.n) @ t, y.T @ (m.y_labels / m.n) @ t
    unit_x, unit_y, unit_t = (np.eye(whitener.shape[1]) for whitener in (x, y, t))
    values, axes = np.linalg.eigh(np.block([[unit_x, xy, xt], [xy.T, unit_y, yt], [xt.T, yt.T, unit_t]]))
    agreeing = np.flatnonzero(values > 1 + UNCORRELATED)[::-1]
    u_x, u_y, u_t = np.split(axes[:, agreeing], np.cumsum([x.shape[1], y.shape[1]]))
    return ThreeViewDirections(*fix_signs(x @ u_x, y @ u_y, t @ u_t), values[agreeing])


def _directions(train: Pairs, ridge: float) -> ThreeViewDirections:
    m = train.once(moments)
    warn_of_perfect_correlations(m, ridge, "tv_cca")
    return three_view_directions(m, train.labels, ridge)
