"""What the methods share that regress both views onto the labels.

Labels T (n, c) are centred, T - 1 mean(T)': else the prior of the classes governs all cosines. Views Z (n, d) are
standardised, so that regressions need no intercept and Z'T is the same with labels as they are.
"""

import numpy as np

from cmr.errors import UserError
from cmr.methods.base import Pairs
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.moments import moments
from cmr.methods.linear.row_sparsity import solve_reweighted

REFERENCE_ITEMS = 2000  # penalties of papers are meant for about as many train items; other sizes rescale them
START_RIDGE = 0.01  # of the variance of a standardised feature


def label_variation(train: Pairs, method: str) -> float:
    """|T - 1 mean(T)'|^2 of the labels.

    Raises NotApplicableError in the name of `method` where the data set has no classes, UserError where all pairs have
    the same.
    """
    train.require_classes(method)
    counts = train.labels.sum(axis=0)
    variation = float((counts - counts**2 / len(train)).sum())
    if not variation:
        raise UserError(
            f"{method}: every pair of the train part has the same classes, so there is nothing to tell apart"
        )
    return variation


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
