"""Codes whose similarities are distributed as those of the labels: the first stage of SePH, which sees no features.

P_ij is the cosine of two items' label rows, Q_ij is 1/(1 + |h_i - h_j|^2/4), both over all pairs i != j and scaled to
sum one. Codes are the signs of the H (n, q) that minimises

    KL(P || Q) + a/(q n) | |H| - 1 |_F^2.

Items of the same labels have the same row of P. Started from one point they would stay together in every step, so one
point stands for each set of labels that occurs, with the number of its items as its weight. Objective and
gradient are those of all n items; time and memory depend on the number of sets alone.

Source: Lin, Ding, Hu and Wang, CVPR 2015. Card: linear/50, `seph_km`.
"""

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.methods.hashing.codes import Bits
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.label_sets import unit_labels

log = logging.getLogger(__name__)

MOST_SETS = 5000  # their codes are learnt, those of rarer sets follow from them
START = 1e-4  # standard deviation of the first points, which the descent takes apart
MOMENTUM = 0.5  # share of a step that the next one keeps
RATE = 500.0  # of the descent, for gradients of a P that sums to one
MOST_ITEMS = 5000  # for which the rate stands; an item's gradient falls as 1/n, so the rate rises with n above

_BLOCK = 512  # sets: the arrays of a block of pairs stay in the processor's cache
_SAME = 1e-9  # cosines that differ by less are equal


@dataclass(frozen=True)
class Divergence:
    """The objective and its gradient, of one point h a set of labels.

    Attributes
    ----------
    unit : (m, c), distinct label rows of length one.
    counts : (m,), items of each set.
    quantisation : a, the weight of the distance of H from -1 and +1.
    """

    unit: Array
    counts: Array
    quantisation: float

    @cached_property
    def _similar(self) -> tuple[float, float]:
        """Over all pairs of items: the sum of cosines s, and that of s log s."""
        total = entropy = 0.0
        for start in range(0, len(self.unit), _BLOCK):
            cosines = self.unit[start : start + _BLOCK] @ self.unit.T
            logarithms = np.log(cosines, out=np.zeros_like(cosines), where=cosines > 0)
            total += float(self.counts[start : start + _BLOCK] @ cosines @ self.counts)
            entropy += float(self.counts[start : start + _BLOCK] @ (cosines * logarithms) @ self.counts)
        return total - float(self.counts.sum()), entropy  # an item's cosine with itself, one, is of no pair

    def __call__(self, h: Array) -> tuple[float, Array]:
        """h (m, q) -> the objective, and its gradient (m, q) by the point of one item of each set."""
        (total, entropy), items = self._similar, float(self.counts.sum())
        squares, weighted = (h**2).sum(axis=1), np.column_stack([self.counts, self.counts[:, None] * h])
        near = cross = 0.0  # the sums of N and of s log N over pairs, N = 1/(1 + |h_i - h_j|^2/4)
        attraction, repulsion = np.zeros_like(h), np.zeros_like(h)  # sum_j s N (h_i - h_j), and that with N^2

        def add(sums: Array, own: slice, weights: Array, other: slice) -> None:
            product = weights @ weighted[other]
            sums[own] += product[:, :1] * h[own] - product[:, 1:]

        starts = range(0, len(h), _BLOCK)
        for one, other in ((slice(i, i + _BLOCK), slice(j, j + _BLOCK)) for i in starts for j in starts if j >= i):
            twice = 1 if one == other else 2
            n = h[one] @ (-0.5 * h[other].T)
            n += squares[one, None] / 4
            n += squares[other] / 4
            np.maximum(n, 0.0, out=n)
            n += 1
            s = self.unit[one] @ self.unit[other].T
            cross -= twice * float(self.counts[one] @ (s * np.log(n)) @ self.counts[other])
            np.reciprocal(n, out=n)
            near += twice * float(self.counts[one] @ n @ self.counts[other])
            s *= n
            n *= n
            for sums, weights in ((attraction, s), (repulsion, n)):
                add(sums, one, weights, other)
                if one != other:
                    add(sums, other, weights.T, one)
        near -= items  # N = 1 of an item with itself
        divergence = (entropy - cross) / total - np.log(total) + np.log(near)
        gap, weight = np.abs(h) - 1, self.quantisation / (h.shape[1] * items)
        return (
            float(divergence + weight * (self.counts @ (gap**2).sum(axis=1))),
            attraction / total - repulsion / near + 2 * weight * gap * np.sign(h),
        )


def descend(objective: Divergence, start: Array, iterations: int) -> tuple[Array, list[float]]:
    """The best of the points (m, q) that gradient descent from `start` passes, and the objective at each.

    Momentum and gains are those of t-SNE (van der Maaten and Hinton 2008): a coordinate's gain grows while it keeps its
    direction, and shrinks when it turns. Columns are centred after each step, so that no bit is the same for all items.
    """
    items = objective.counts.sum()
    rate = RATE * max(1.0, items / MOST_ITEMS)
    h, step, gains = start, np.zeros_like(start), np.ones_like(start)
    value, gradient = objective(h)
    best, values = h, [value]
    for _ in range(iterations):
        gains = np.maximum(np.where(np.sign(gradient) != np.sign(step), gains + 0.2, gains * 0.8), 0.01)
        step = MOMENTUM * step - rate * gains * gradient
        h = h + step
        h -= objective.counts @ h / items
        value, gradient = objective(h)
        if value < min(values):
            best = h
        values.append(value)
    return best, values


@dataclass(frozen=True)
class LabelCodes:
    """Codes of the items of a train part.

    Attributes
    ----------
    bits : (n, q), the same for items of the same labels.
    known : (n,), False for items that have no code: those without a label, or none that a learnt set has.
    objective : at the start and after each iteration.
    """

    bits: Bits
    known: NDArray[np.bool_]
    objective: list[float]


def label_codes(labels: NDArray[np.bool_], bits: int, iterations: int, quantisation: float, seed: int) -> LabelCodes:
    """Codes by labels (n, c), of which at least two labelled rows differ.

    The codes of the `MOST_SETS` most frequent sets of labels are learnt. Each rarer set takes a vote of those whose
    cosine with it is the greatest, by the number of their items.

    Raises UserError where no two items share a label, of the learnt sets.
    """
    sets, of_item, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    labelled = np.flatnonzero(sets.any(axis=1))
    learnt = labelled[np.argsort(-counts[labelled], kind="stable")[:MOST_SETS]]
    if (counts[learnt] @ sets[learnt]).max() < 2:
        raise UserError(
            "seph: no two pairs of the train part have a class in common, so that no codes should be alike; take more "
            "pairs of each class"
        )
    objective = Divergence(unit_labels(sets[learnt]), counts[learnt].astype(np.float64), quantisation)
    start = START * np.random.default_rng(seed).standard_normal((len(learnt), bits))
    h, values = descend(objective, start, iterations)
    rarer = len(labelled) - len(learnt)
    log.info("seph: objective %.4f of the codes of %d sets of labels; %d follow", min(values), len(learnt), rarer)
    codes, known = _by_agreement(unit_labels(sets), objective, h)
    return LabelCodes(codes[of_item], known[of_item], values)


def _by_agreement(unit: Array, learnt: Divergence, h: Array) -> tuple[Bits, NDArray[np.bool_]]:
    """Bits (k, q) of sets `unit` (k, c), those learnt among them, and which sets have a label in common with any."""
    bits, known = np.empty((len(unit), h.shape[1]), dtype=bool), np.empty(len(unit), dtype=bool)
    for start in range(0, len(unit), _BLOCK):
        rows = slice(start, start + _BLOCK)
        cosines = unit[rows] @ learnt.unit.T
        greatest = cosines.max(axis=1, keepdims=True)
        bits[rows] = ((cosines > greatest - _SAME) * learnt.counts) @ h >= 0
        known[rows] = greatest[:, 0] > 0
    return bits, known
