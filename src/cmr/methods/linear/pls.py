"""Partial least squares (PLS), mode A: both views are deflated by their own scores.

Source: Wold 1985; Rosipal and Kraemer 2006; for retrieval Sharma and Jacobs, CVPR 2011. Card: linear/10, `pls`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import solve_triangular

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array, fix_signs
from cmr.methods.linear.leading import CROSS_TOLERANCE, UNCORRELATED, leading_singular
from cmr.methods.linear.moments import Moments, moments
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.two_scores import warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class PLS:
    """Pairs of directions of maximal covariance, one after the other, each of what the former have left.

    Parameters
    ----------
    n_components : latent dimension k.
    """

    n_components: int = 10
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
        """One leading singular pair a component; `valid`, `seed` and `compute` play no part."""
        r_x, r_y, covariances = train.once(_Components.of).first(self.n_components)
        warn_of_two_scores(train, self.n_components, "pls")
        return train.once(moments).projections(r_x, r_y, covariances=covariances)

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


class _Components:
    """The components of a train part, found as far as they have been asked for: candidates of a grid share them.

    With scores t = E w, u = F c of the deflated views E, F, and loadings p = E't/t't, q = F'u/u'u, views lose
    t p' and u q'. Their cross product S = E'F then is (I - p w') S (I - c q'), so that no views are needed.
    """

    def __init__(self, m: Moments) -> None:
        self._x, self._y = _Deflated(m.x.gram), _Deflated(m.y.gram)
        self._cross = m.cross.copy()
        self._n = m.n
        self._covariances: list[float] = []
        self._complete = False  # nothing is left that the views share

    @classmethod
    def of(cls, train: Pairs) -> "_Components":
        """Of standardised views."""
        return cls(train.once(moments))

    def first(self, k: int) -> tuple[Array, Array, Array]:
        """Rotations (r_x, k), (r_y, k) and covariances of scores (k,); InfeasibleError where there are fewer."""
        while len(self._covariances) < k and not self._complete:
            self._extend()
        if len(self._covariances) < k:
            raise InfeasibleError(f"pls: n_components is {k}, but these views allow at most {len(self._covariances)}")
        return *fix_signs(self._x.rotations(k), self._y.rotations(k)), np.array(self._covariances[:k])

    def _extend(self) -> None:
        """Find one more component and take it from the views, or none where nothing is left."""
        w, (value,), c = leading_singular(self._cross, 1)
        covariance = value / self._n
        if covariance <= max(CROSS_TOLERANCE * max(self._covariances, default=0.0), UNCORRELATED):
            self._complete = True
            return
        w, c = w[:, 0], c[:, 0]
        p, q = self._x.deflate(w), self._y.deflate(c)
        self._cross -= np.outer(p, w @ self._cross)
        self._cross -= np.outer(self._cross @ c, q)
        self._covariances.append(covariance)


class _Deflated:
    """One view E of which only E'E is known: weights w and loadings p, with G = E'E losing (t't) p p' by each."""

    def __init__(self, gram: Array) -> None:
        self._gram = gram
        self._weights: list[Array] = []
        self._loadings: list[Array] = []
        self._energies: list[float] = []  # t't

    def deflate(self, w: Array) -> Array:
        """Take the scores E w from the view; returns their loadings."""
        product = self._gram @ w
        for p, energy in zip(self._loadings, self._energies, strict=True):
            product -= energy * p * (p @ w)
        energy = float(w @ product)
        loading = product / energy
        self._weights.append(w)
        self._loadings.append(loading)
        self._energies.append(energy)
        return loading

    def rotations(self, k: int) -> Array:
        """R = W (P'W)^-1 of the first k components: X R are their scores, from the view as it was."""
        weights, loadings = np.column_stack(self._weights[:k]), np.column_stack(self._loadings[:k])
        # P'W is upper triangular: nothing of what earlier weights have taken is left to later loadings.
        return solve_triangular((loadings.T @ weights).T, weights.T, lower=True).T
