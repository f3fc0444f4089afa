"""A semantic code of the train items on which both views, and the labels if there are any, agree.

Source: Sun et al., Scientific Reports 11, 2021 (embedding consensus); Kettenring, Biometrika 58, 1971 (MAXVAR). Card:
linear/60, step 0.
"""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.algebra import RANK_TOLERANCE, Array, Spectrum, fix_signs
from cmr.methods.linear.principal import principal_cross, principal_views, products, projected

ROUNDS = 5
SMOOTHING = 1e-6  # of a squared distance, whose inverse root is a weight
TIES = 1e-6  # by which classes differ in weight, so that not rounding orders components of classes of one size


def labelled_code(train: Pairs, k: int, ridge: float, label_weight: float) -> Array:
    """C (n, at most k), mean_i |C_i|^2 = 1: labels that both views pull towards what can be told from them.

    Lowers sum_i sum_d g_i^d |F_i^d - C_i|^2 + label_weight sum_i |C_i - Y_i|^2 in turns. Y are the `label_targets`, and
    F^d is the ridge regression of C on a view. The g_i^d sum to one an item, so that a view which is far from the
    consensus there hardly counts. The scale of C is kept: the sum would be least, and void, at zero.
    """
    views = train.once(principal_views)
    targets = label_targets(train.labels, k)
    code = targets
    for _ in range(ROUNDS):
        weights = [
            product / (view.values + ridge * view.n)[:, None]
            for view, product in zip(views, products(views, code), strict=True)
        ]
        told = projected(views, weights)
        trust = np.array([1 / np.sqrt(((own - code) ** 2).sum(axis=1) + SMOOTHING) for own in told])
        trust /= trust.sum(axis=0)
        agreed = sum(own * share[:, None] for own, share in zip(told, trust, strict=True))
        code = _unit_rows((label_weight * targets + agreed) / (label_weight + 1))
    return code


def label_targets(labels: NDArray[np.bool_], k: int) -> Array:
    """Y (n, at most k), mean_i |Y_i|^2 = 1: centred labels; of more than k classes, the first k principal components.

    Not all rows are the same. A class that all pairs have, or none, tells nothing and has no column. There are none
    beyond the classes, either: the consensus about a target of zero is zero.
    """
    t = labels[:, labels.any(axis=0) & ~labels.all(axis=0)].astype(np.float64)
    y = t - t.mean(axis=0)
    if y.shape[1] > k:
        sums = t.sum(axis=0)  # whole numbers: the order of items does not count
        weights = 1 + TIES * np.linspace(1, 0, len(sums))
        gram = weights[:, None] * (t.T @ t - np.outer(sums, sums) / len(t)) * weights
        y = y @ Spectrum.of(gram).axes[:, :k]
    return _unit_rows(y)


def unlabelled_code(train: Pairs, k: int, ridge: float) -> Array:
    """C (n, k), mean_i |C_i|^2 = 1, C'C = n/k I: what both views together explain best (MAXVAR generalised CCA).

    The first k eigenvectors of sum_d Z_d (Z_d'Z_d + ridge n I)^-1 Z_d', by an eigenproblem of the size of both ranks.
    Raises InfeasibleError where there are fewer than k.
    """
    views = train.once(principal_views)
    scales = [1 / np.sqrt(view.values + ridge * view.n) for view in views]
    x, y = (np.diag(scale**2 * view.values) for scale, view in zip(scales, views, strict=True))
    between = scales[0][:, None] * train.once(principal_cross) * scales[1]
    gram = np.block([[x, between], [between.T, y]])
    values, axes = scipy.linalg.eigh(gram, subset_by_index=[max(len(gram) - k, 0), len(gram) - 1])
    keep = np.flatnonzero(values > RANK_TOLERANCE)[::-1]
    if len(keep) < k:
        raise InfeasibleError(f"csaec: n_components is {k}, but the two views have only {len(keep)} directions")
    (axes,) = fix_signs(axes[:, keep])
    weights = np.concatenate(scales)[:, None] * axes / np.sqrt(values[keep])
    image, text = projected(views, np.split(weights, [len(x)]))
    return _unit_rows(image + text)


def _unit_rows(code: Array) -> Array:
    """Scaled as a whole to a mean squared row norm of one."""
    return code / np.sqrt((code**2).sum(axis=1).mean())
