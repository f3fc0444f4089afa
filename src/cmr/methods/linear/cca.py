"""Canonical correlation analysis (CCA).

Source: Hotelling 1936; as "correlation matching" in Rasiwasia et al., ACM MM 2010. Card: linear/10, `cca`.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from cmr.methods.base import Array, History, InfeasibleError, Pairs, Standardiser, State
from cmr.methods.linear.algebra import fix_signs, whitener
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


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
    ) -> "Projections":
        """Closed form by whitening and one SVD (T3); `valid`, `seed` and `device` play no part."""
        image_scaling, text_scaling = Standardiser.fit(train.images), Standardiser.fit(train.texts)
        x, y = image_scaling(train.images), text_scaling(train.texts)
        whiten_x, whiten_y = whitener(x, self.ridge), whitener(y, self.ridge)
        # Projecting before multiplying keeps the cross product at (rank, rank) where d exceeds n.
        cross = (x @ whiten_x).T @ (y @ whiten_y) / len(train)
        u, correlations, vt = np.linalg.svd(cross, full_matrices=False)
        k = self.n_components or len(correlations)
        if k > len(correlations):
            raise InfeasibleError(f"cca: n_components is {k}, but these views allow at most {len(correlations)}")
        w_x, w_y = fix_signs(whiten_x @ u[:, :k], whiten_y @ vt[:k].T)
        weights = correlations[:k] ** self.power
        return Projections(image_scaling, text_scaling, w_x * weights, w_y * weights, correlations[:k])

    def restore(self, state: State) -> "Projections":
        """See Method."""
        return Projections.from_state(state)


@dataclass(frozen=True)
class Projections:
    """Linear maps of standardised views into the common space."""

    image_scaling: Standardiser
    text_scaling: Standardiser
    w_x: Array  # (d_x, k)
    w_y: Array  # (d_y, k)
    correlations: Array  # (k,) of the train part, descending
    history: History = field(default_factory=dict)

    def embed_images(self, images: Array) -> Array:
        """(n, d_x) -> (n, k) float32."""
        return (self.image_scaling(images) @ self.w_x).astype(np.float32)

    def embed_texts(self, texts: Array) -> Array:
        """(n, d_y) -> (n, k) float32."""
        return (self.text_scaling(texts) @ self.w_y).astype(np.float32)

    def state(self) -> State:
        """See Model."""
        return {
            "image_mean": self.image_scaling.mean,
            "image_scale": self.image_scaling.scale,
            "text_mean": self.text_scaling.mean,
            "text_scale": self.text_scaling.scale,
            "w_x": self.w_x,
            "w_y": self.w_y,
            "correlations": self.correlations,
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        return cls(
            Standardiser(state["image_mean"], state["image_scale"]),
            Standardiser(state["text_mean"], state["text_scale"]),
            state["w_x"],
            state["w_y"],
            state["correlations"],
        )
