"""What the methods share that regress both views onto the labels.

Labels T (n, c) are centred, T - 1 mean(T)': else the prior of the classes governs all cosines. Views Z (n, d) are
standardised, so that regressions need no intercept and Z'T is the same with labels as they are.
"""

import numpy as np

from cmr.errors import UserError
from cmr.methods.base import Pairs
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.label_sets import require_differences
from cmr.methods.linear.leading import UNCORRELATED
from cmr.methods.linear.moments import Moments, moments
from cmr.methods.linear.row_sparsity import solve_reweighted
from cmr.methods.linear.two_scores import ANOTHER_METHOD, warn_of_two_scores

REFERENCE_ITEMS = 2000  # penalties of papers are meant for about as many train items; other sizes rescale them
START_RIDGE = 0.01  # of the variance of a standardised feature


def label_variation(train: Pairs, method: str) -> float:
    """|T - 1 mean(T)'|^2 of the labels.

    Raises NotApplicableError in the name of `method` where the data set has no classes, or all pairs have the same.
    """
    train.require_classes(method)
    require_differences(train.labels, method)
    counts = train.labels.sum(axis=0)
    return float((counts - counts**2 / len(train)).sum())


def require_told_labels(m: Moments, variation: float, method: str) -> None:
    """Refuse, in the name of `method`, views of whose features nothing can be told about labels of this variation.

    Weights would be zero, and all items of the view embedded alike.
    """
    for view, label_sums, name in ((m.x, m.x_labels, "images"), (m.y, m.y_labels, "texts")):
        require_correlation(label_sums, float(np.trace(view.gram)), variation, f"features of the {name}", method)


def require_correlation(label_sums: Array, energy: float, variation: float, features: str, method: str) -> None:
    """The same of one view Z (n, d), which is named by `features`.

    Z'T (d, c) are the `label_sums`; `energy` and `variation` are the sums of squares of Z and of centred T.
    """
    if np.linalg.norm(label_sums) <= UNCORRELATED * np.sqrt(energy * variation):
        raise UserError(
            f"{method}: the {features} are uncorrelated with every class of the train part, so that all would be "
            "embedded alike; check that features and labels belong to the same items, or take other features"
        )


def label_dimensions(train: Pairs) -> int:
    """The rank of the centred labels, which embeddings do not exceed; by `train.once`."""
    labels, shares = train.labels.astype(np.float64), train.labels.mean(axis=0)
    return int(np.linalg.matrix_rank(labels.T @ labels / len(train) - np.outer(shares, shares), hermitian=True))


def warn_of_two_classes(train: Pairs, method: str) -> None:
    """Warn, in the name of `method`, where labels leave cosines of embeddings nothing but their sign."""
    warn_of_two_scores(train, train.once(label_dimensions), method, ANOTHER_METHOD)


def squared_error(gram: Array, right: Array, variation: float, u: Array) -> float:
    """|ZU - T|^2 of u (d, c), from Z'Z (d, d), Z'T (d, c) and the variation of centred T."""
    return float(np.vdot(u, gram @ u - 2 * right)) + variation


def ridge_start(train: Pairs, reduce: bool = False) -> tuple[Array, Array]:
    """Weights (d_x, c), (d_y, c) of a ridge regression of each view, where iterations start; by `train.once`.

    `reduce` says which moments the method asks for, not what comes out.
    """
    m = train.once(moments, reduce)
    u, v = (
        solve_reweighted(
            view.gram, np.full(view.features, START_RIDGE * m.n), labels, "ridge regression", view.rotation
        )
        for view, labels in ((m.x, m.x_labels), (m.y, m.y_labels))
    )
    return u, v
