"""Semantic matching (SM): both modalities as class posteriors.

Source: Rasiwasia et al., ACM MM 2010; Costa Pereira et al., TPAMI 36(3), 2014. Card: linear/20, `sm`.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from cmr.errors import UserError
from cmr.methods.base import Array, History, Pairs, Standardiser, State
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class SM:
    """Logistic regression a view; the common space is the simplex of class posteriors.

    One label a pair: multinomial posteriors. Several: one sigmoid a class, scaled to sum one over the classes.

    Parameters
    ----------
    c : inverse strength C of the l2 penalty, in scikit-learn's meaning.
    max_iterations : of L-BFGS.
    """

    c: float = 0.01
    max_iterations: int = 200
    similarity: ClassVar[Similarity] = "correlation"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
        progress: Progress = SILENT,
    ) -> "Posteriors":
        """Convex; `valid`, `seed` and `device` play no part. The two views are fitted each alone."""
        if absent := np.flatnonzero(~train.labels.any(axis=0)).tolist():
            raise UserError(f"sm: classes {absent} have no item in the train part")
        multi_label = bool((train.labels.sum(axis=1) != 1).any())
        return Posteriors(
            self._classifier(train.images, train.labels, multi_label),
            self._classifier(train.texts, train.labels, multi_label),
        )

    def restore(self, state: State) -> "Posteriors":
        """See Method."""
        return Posteriors.from_state(state)

    def _classifier(self, x: Array, labels: Array, multi_label: bool) -> "LinearClassifier":
        scaling = Standardiser.fit(x)
        z = scaling(x)
        targets = labels.T if multi_label else [labels.argmax(axis=1)]
        fits = [
            LogisticRegression(C=self.c, max_iter=self.max_iterations, tol=1e-6).fit(z, target) for target in targets
        ]
        weights = np.concatenate([fit.coef_ for fit in fits])
        bias = np.concatenate([fit.intercept_ for fit in fits])
        if not multi_label and len(bias) == 1:
            # Two classes: scikit-learn keeps the second one's score alone; the first one's is zero.
            weights, bias = np.concatenate([np.zeros_like(weights), weights]), np.concatenate([[0.0], bias])
        return LinearClassifier(scaling, weights, bias, multi_label)


@dataclass(frozen=True)
class LinearClassifier:
    """Class posteriors of standardised features."""

    scaling: Standardiser
    weights: Array  # (c, d)
    bias: Array  # (c,)
    multi_label: bool

    def __call__(self, x: Array) -> Array:
        """(n, d) -> (n, c), rows sum to one."""
        scores = self.scaling(x) @ self.weights.T + self.bias
        if not self.multi_label:
            return softmax(scores, axis=1)
        posteriors = expit(scores)
        return posteriors / posteriors.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Posteriors:
    """One classifier a modality."""

    image_classifier: LinearClassifier
    text_classifier: LinearClassifier
    history: History = field(default_factory=dict)

    def embed_images(self, images: Array) -> Array:
        """(n, d_x) -> (n, c) float32 posteriors."""
        return self.image_classifier(images).astype(np.float32)

    def embed_texts(self, texts: Array) -> Array:
        """(n, d_y) -> (n, c) float32 posteriors."""
        return self.text_classifier(texts).astype(np.float32)

    def state(self) -> State:
        """See Model."""
        return {
            f"{modality}/{name}": value
            for modality, classifier in (("image", self.image_classifier), ("text", self.text_classifier))
            for name, value in (
                ("mean", classifier.scaling.mean),
                ("scale", classifier.scaling.scale),
                ("weights", classifier.weights),
                ("bias", classifier.bias),
                ("multi_label", np.array(classifier.multi_label)),
            )
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""

        def classifier(modality: str) -> LinearClassifier:
            mean, scale, weights, bias, multi_label = (
                state[f"{modality}/{name}"] for name in ("mean", "scale", "weights", "bias", "multi_label")
            )
            return LinearClassifier(Standardiser(mean, scale), weights, bias, bool(multi_label))

        return cls(classifier("image"), classifier("text"))
