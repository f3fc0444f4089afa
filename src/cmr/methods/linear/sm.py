"""Semantic matching (SM): both modalities as class posteriors.

Source: Rasiwasia et al., ACM MM 2010; Costa Pereira et al., TPAMI 36(3), 2014. Card: linear/20, `sm`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax, softmax

from cmr.compute import CPU, Compute
from cmr.errors import UserError
from cmr.methods.base import History, Pairs, State
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.label_sets import require_differences
from cmr.methods.linear.moments import PreparedView
from cmr.methods.linear.projections import Projection
from cmr.methods.linear.regression import require_correlation
from cmr.methods.linear.two_scores import warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import Rows, map_rows
from cmr.store import group, under

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SM:
    """Logistic regression a view; the common space is the simplex of class posteriors.

    At most one label a pair: multinomial posteriors, the minimum over weights V and bias of

        -(1/n) sum_i log softmax(x_i V + b)[l_i] + |V|^2 / (2 C n),

    n being the pairs that have one. Several: one sigmoid a class with the same penalty, scaled to sum one over the
    classes; a pair without a label has none of these. The posterior of a class without a train item is zero.

    Parameters
    ----------
    c : inverse strength C of the l2 penalty, in scikit-learn's meaning.
    tolerance : no entry of the gradient is larger than that in the end.
    max_iterations : of L-BFGS.
    similarity : how posteriors are compared.
    """

    c: float = 0.01
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
    ) -> "Posteriors":
        """Convex; `valid`, `seed` and `compute` play no part. The two views are fitted each alone.

        Raises NotApplicableError where there are no classes, UserError where those of the train part leave nothing to
        tell apart or a view tells nothing of them.
        """
        require_classes_to_tell_apart(train, "sm")
        return posteriors(train, self, "sm")

    def restore(self, state: State) -> "Posteriors":
        """See Method."""
        return Posteriors.from_state(state)


def require_classes_to_tell_apart(train: Pairs, method: str) -> None:
    """Refuse labels, in the name of `method`, from which no posterior can be learnt."""
    train.require_classes(method)
    if np.count_nonzero(train.labels.any(axis=0)) < 2:
        raise UserError(
            f"{method}: pairs of the train part have less than two classes, but posteriors need at least two; take "
            "another split, or a method without classes"
        )
    require_differences(train.labels, method)


def posteriors(train: Pairs, settings: SM, method: str) -> "Posteriors":
    """Fit both views, in the name of `method`, to labels of which there are some to tell apart."""
    if settings.similarity == "correlation":
        # Posteriors sum to one, which leaves as many dimensions.
        warn_of_two_scores(train, train.labels.shape[1] - 1, method, "set similarity to inner")
    fitting = (settings.c, settings.tolerance, settings.max_iterations, method)
    image, text = (train.once(_classifier, view, *fitting) for view in ("images", "texts"))
    return Posteriors(image, text)


@dataclass(frozen=True)
class Regression:
    """A minimum of the penalised logistic loss, and the way there.

    Attributes
    ----------
    weights : V (r, c).
    bias : b (c,); infinite for a class that all items have, minus infinite for one that none has.
    objective : at the start and after each iteration.
    converged : the gradient is within the tolerance, or nothing but rounding is left to gain.
    """

    weights: Array
    bias: Array
    objective: list[float]
    converged: bool


def logistic_regression(
    z: Array, labels: NDArray[np.bool_], multi_label: bool, c: float, tolerance: float, max_iterations: int
) -> Regression:
    """Fit class scores z V + b to z (n, r) and labels (n, c), by a softmax over classes or by one sigmoid a class.

    Some class that an item has, another lacks.
    """
    # The likelihood of a class that all items have, or none, has no maximum: in the limit the posterior is 1, or 0.
    common, some = labels.all(axis=0), labels.any(axis=0) & ~labels.all(axis=0)
    loss = _sigmoid_loss if multi_label else _softmax_loss
    found = _minimise(z, labels[:, some], loss, c, tolerance, max_iterations)
    weights, bias = np.zeros((z.shape[1], labels.shape[1])), np.where(common, np.inf, -np.inf)
    weights[:, some], bias[some] = found.weights, found.bias
    return Regression(weights, bias, found.objective, found.converged)


def _softmax_loss(scores: Array, targets: Array) -> tuple[float, Array]:
    """-log p of the targets, summed, and posteriors."""
    log_p = log_softmax(scores, axis=1)
    return -np.vdot(targets, log_p), np.exp(log_p)


def _sigmoid_loss(scores: Array, targets: Array) -> tuple[float, Array]:
    """The same of one sigmoid a class."""
    # log p(not t) = log p(t) - score.
    return np.vdot(1 - targets, scores) - log_expit(scores).sum(), expit(scores)


def _minimise(
    z: Array,
    labels: NDArray[np.bool_],
    loss: Callable[[Array, Array], tuple[float, Array]],
    c: float,
    tolerance: float,
    max_iterations: int,
) -> Regression:
    (n, r), classes = z.shape, labels.shape[1]
    targets = labels.astype(np.float64)
    # The unit of a bias is where its curvature at the share p of its class, p(1 - p), is one: without it, rare classes
    # keep L-BFGS three times as long.
    unit = 1 / np.sqrt(targets.mean(axis=0) * (1 - targets.mean(axis=0)))

    def objective(parameters: Array) -> tuple[float, Array]:
        parameters = parameters.reshape(r + 1, classes)
        weights, bias = parameters[:r], parameters[r] * unit
        value, posteriors = loss(z @ weights + bias, targets)
        residual = posteriors - targets
        # Z'R as (R'Z)', which BLAS computes twice as fast.
        gradient = np.vstack([(residual.T @ z).T + weights / c, residual.sum(axis=0) * unit])
        return (value + np.vdot(weights, weights) / (2 * c)) / n, gradient.ravel() / n

    start = np.zeros((r + 1) * classes)
    values = [objective(start)[0]]
    end = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=lambda intermediate_result: values.append(intermediate_result.fun),
        # A smaller relative gain than ftol is rounding.
        options={"gtol": tolerance, "ftol": 64 * np.finfo(float).eps, "maxiter": max_iterations},
    )
    solution = end.x.reshape(r + 1, classes)
    return Regression(solution[:r], solution[r] * unit, [float(value) for value in values], bool(end.success))


def _items(train: Pairs, view: str) -> tuple[PreparedView, Array, NDArray[np.bool_]]:
    """A prepared view, and the coordinates (n, r) and labels (n, c) of the items to learn from.

    Items without a label are left out where no item has several, and are else those that have no class. Coordinates are
    held, as every iteration needs them all. The l2 penalty does not see how weights are rotated, so that the row space
    is exact.
    """
    x, labels = getattr(train, view), train.labels
    prepared = PreparedView.of(x, name=view)
    z, labelled = map_rows(prepared.coordinates, x), labels.any(axis=1)
    if _several(labels) or labelled.all():
        return prepared, z, labels
    return prepared, z[labelled], labels[labelled]


def _several(labels: NDArray[np.bool_]) -> bool:
    return bool((labels.sum(axis=1) > 1).any())


def _classifier(
    train: Pairs, view: str, c: float, tolerance: float, max_iterations: int, method: str
) -> "LinearClassifier":
    prepared, z, labels = train.once(_items, view)
    centred = labels - labels.mean(axis=0)
    energy, variation = float(np.vdot(z, z)), float(np.vdot(centred, centred))
    require_correlation(z.T @ centred, energy, variation, f"features of the {view}", method)
    multi_label = _several(labels)
    found = logistic_regression(z, labels, multi_label, c, tolerance, max_iterations)
    if found.converged:
        log.info("%s: the classifier of %s with C = %g took %d iterations", method, view, c, len(found.objective) - 1)
    else:
        log.warning(
            "%s: the classifier of %s with C = %g has not converged within %d iterations; raise max_iterations",
            method, view, c, len(found.objective) - 1,
        )  # fmt: skip
    return LinearClassifier(prepared.projection(found.weights), found.bias, multi_label, found.objective)


@dataclass(frozen=True)
class LinearClassifier:
    """Class posteriors of one view."""

    projection: Projection  # to c scores
    bias: Array  # (c,)
    multi_label: bool
    objective: list[float]  # at the start and after each iteration

    def __call__(self, x: Rows) -> NDArray[np.float32]:
        """(n, d) -> (n, c) float32, rows sum to one."""
        scores = self.projection(x) + self.bias
        # Sigmoids scaled to sum one; by their logarithms, since far from all classes every sigmoid is zero to rounding.
        return softmax(log_expit(scores) if self.multi_label else scores, axis=1).astype(np.float32)

    def state(self) -> State:
        """See Model."""
        return under("projection", self.projection.state()) | {
            "bias": self.bias,
            "multi_label": np.array(self.multi_label),
            "objective": np.array(self.objective),
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        projection = Projection.from_state(group(state, "projection"))
        return cls(projection, state["bias"], bool(state["multi_label"]), state["objective"].tolist())


@dataclass(frozen=True)
class Posteriors:
    """One classifier a modality."""

    image: LinearClassifier
    text: LinearClassifier

    @property
    def history(self) -> History:
        """The objective of each classifier, at the start and after each iteration."""
        return {"image objective": self.image.objective, "text objective": self.text.objective}

    def embed_images(self, images: Rows) -> NDArray[np.float32]:
        """(n, d_x) -> (n, c) float32 posteriors."""
        return self.image(images)

    def embed_texts(self, texts: Rows) -> NDArray[np.float32]:
        """(n, d_y) -> (n, c) float32 posteriors."""
        return self.text(texts)

    def state(self) -> State:
        """See Model."""
        return under("image", self.image.state()) | under("text", self.text.state())

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        image, text = (LinearClassifier.from_state(group(state, side)) for side in ("image", "text"))
        return cls(image, text)
