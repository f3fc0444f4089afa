"""Semantic matching (SM): both modalities as class posteriors.

Source: Rasiwasia et al., ACM MM 2010; Costa Pereira et al., TPAMI 36(3), 2014. Card: linear/20, `sm`.
"""

import logging
import warnings
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from cmr.errors import UserError
from cmr.methods.base import Array, History, Pairs, Standardiser, State
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SM:
    """Logistic regression a view; the common space is the simplex of class posteriors.

    One label a pair: multinomial posteriors, the minimum over weights V and bias of

        -(1/n) sum_i log softmax(x_i V + b)[l_i] + |V|^2 / (2 C n).

    Several: one sigmoid a class with the same penalty, scaled to sum one over the classes.

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
        """Convex; `valid`, `seed` and `device` play no part. The two views are fitted each alone.

        Raises NotApplicableError where there are no classes, UserError where one has no pair in `train` or all pairs
        have the same.
        """
        train.require_classes("sm")
        if train.labels.shape[1] < 2:
            raise UserError("sm: the data set has a single class, but posteriors need at least two")
        if absent := np.flatnonzero(~train.labels.any(axis=0)).tolist():
            raise UserError(f"sm: classes {absent} have no item in the train part")
        if train.labels.all():
            raise UserError("sm: every pair of the train part has all classes, so there is nothing to tell apart")
        multi_label = bool((train.labels.sum(axis=1) != 1).any())
        return Posteriors(
            self._classifier("image", train.images, train.labels, multi_label),
            self._classifier("text", train.texts, train.labels, multi_label),
        )

    def restore(self, state: State) -> "Posteriors":
        """See Method."""
        return Posteriors.from_state(state)

    def _classifier(self, view: str, x: Array, labels: Array, multi_label: bool) -> "LinearClassifier":
        scaling = Standardiser.fit(x)
        fit = self._sigmoids if multi_label else self._softmax
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            weights, bias = fit(scaling(x), labels)
        for warning in caught:
            if not issubclass(warning.category, ConvergenceWarning):
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
            log.warning(
                "sm: the %s classifier with C = %g has not converged within %d iterations; raise max_iterations",
                view, self.c, self.max_iterations,
            )  # fmt: skip
        return LinearClassifier(scaling, weights, bias, multi_label)

    def _softmax(self, z: Array, labels: Array) -> tuple[Array, Array]:
        if labels.shape[1] > 2:
            return self._fit(z, labels.argmax(axis=1), self.c)
        # scikit-learn fits two classes by one score u = V_1 - V_0. At the minimum V_1 = -V_0 = u / 2, whose penalty
        # |V|^2 / C = |u|^2 / 2C is that of a single score under 2 C.
        weights, bias = self._fit(z, labels[:, 1], 2 * self.c)
        return np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2

    def _sigmoids(self, z: Array, labels: Array) -> tuple[Array, Array]:
        # A class that all pairs have: its likelihood has no maximum, and in the limit its posterior is one for all.
        weights, bias = np.zeros((labels.shape[1], z.shape[1])), np.full(labels.shape[1], np.inf)
        for k in np.flatnonzero(~labels.all(axis=0)):
            weights[k : k + 1], bias[k : k + 1] = self._fit(z, labels[:, k], self.c)
        return weights, bias

    def _fit(self, z: Array, target: Array, c: float) -> tuple[Array, Array]:
        fit = LogisticRegression(C=c, max_iter=self.max_iterations, tol=1e-6).fit(z, target)
        return fit.coef_, fit.intercept_


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
