"""Semantic correlation matching: class posteriors of canonical projections.

Its paper calls it SCM, which is also the name of an unrelated hashing method.

Source: Rasiwasia et al., ACM MM 2010; Costa Pereira et al., TPAMI 36(3), 2014. Card: linear/20, `cca_sm`.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cmr.compute import CPU, Compute
from cmr.methods.base import History, Pairs, State
from cmr.methods.linear.cca import canonical_projections
from cmr.methods.linear.moments import moments
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.regression import label_variation, require_correlation
from cmr.methods.linear.row_sparsity import in_coordinates
from cmr.methods.linear.sm import SM, Posteriors, posteriors, require_classes_to_tell_apart
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import Rows
from cmr.store import group, under


@dataclass(frozen=True)
class SemanticCorrelationMatching:
    """CCA, then semantic matching on what it projects the views to.

    Semantic matching standardises its features, so that the weights of canonical directions would play no part.

    Parameters
    ----------
    n_components, ridge : of CCA.
    c, tolerance, max_iterations, similarity : of semantic matching.
    """

    n_components: int = 10
    ridge: float = 0.01
    c: float = 1.0
    tolerance: float = 1e-6
    max_iterations: int = 1000
    similarity: Similarity = "correlation"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> "ProjectedPosteriors":
        """One after the other; `valid`, `seed` and `compute` play no part. Raises what `CCA.fit` and `SM.fit` raise."""
        require_classes_to_tell_apart(train, "cca_sm")
        projections, projected = train.once(_projected, self.n_components, self.ridge)
        matching = SM(self.c, self.tolerance, self.max_iterations, self.similarity)
        return ProjectedPosteriors(projections, posteriors(projected, matching, "cca_sm"))

    def restore(self, state: State) -> "ProjectedPosteriors":
        """See Method."""
        return ProjectedPosteriors.from_state(state)


def _projected(train: Pairs, n_components: int, ridge: float) -> tuple[Projections, Pairs]:
    projections = canonical_projections(train, n_components, ridge, power=0.0, method="cca_sm")
    _require_told_labels(train, projections)
    images, texts = projections.embed_images(train.images), projections.embed_texts(train.texts)
    return projections, replace(train, images=images, texts=texts, texts_are_counts=False)


def _require_told_labels(train: Pairs, projections: Projections) -> None:
    """Before float32 embeddings, whose rounding would pass for a correlation."""
    m, variation = train.once(moments), label_variation(train, "cca_sm")
    for view, label_sums, projection, name in (
        (m.x, m.x_labels, projections.image, "images"),
        (m.y, m.y_labels, projections.text, "texts"),
    ):
        w = in_coordinates(view, projection.weights)
        energy = float(np.vdot(w, view.gram @ w))
        require_correlation(w.T @ label_sums, energy, variation, f"canonical projections of the {name}", "cca_sm")


@dataclass(frozen=True)
class ProjectedPosteriors:
    """Class posteriors of projected views."""

    projections: Projections
    posteriors: Posteriors

    @property
    def history(self) -> History:
        """Of the posteriors; CCA is a closed form."""
        return self.posteriors.history

    def embed_images(self, images: Rows) -> NDArray[np.float32]:
        """(n, d_x) -> (n, c) float32 posteriors."""
        return self.posteriors.embed_images(self.projections.embed_images(images))

    def embed_texts(self, texts: Rows) -> NDArray[np.float32]:
        """(n, d_y) -> (n, c) float32 posteriors."""
        return self.posteriors.embed_texts(self.projections.embed_texts(texts))

    def state(self) -> State:
        """See `cmr.methods.base.Model`."""
        return under("projections", self.projections.state()) | under("posteriors", self.posteriors.state())

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        return cls(
            Projections.from_state(group(state, "projections")), Posteriors.from_state(group(state, "posteriors"))
        )
