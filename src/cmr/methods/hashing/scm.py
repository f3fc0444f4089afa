"""Semantic correlation maximisation (SCM): linear hash functions whose codes agree as the labels do.

With T~ the label rows scaled to length one, items i and j are similar by S_ij = 2 t~_i't~_j - 1, in [-1, 1], and q-bit
codes are wanted whose inner products are q S:

    min |q S - sgn(X W_x) sgn(Y W_y)'|_F^2.

S is of rank c + 1 and never built.

Source: Zhang and Li, AAAI 2014. Card: linear/50, `scm_orth`, `scm_seq`.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from cmr.compute import CPU, Compute
from cmr.errors import UserError
from cmr.methods.base import NotApplicableError, Pairs, State
from cmr.methods.hashing.codes import HashCodes, LinearEncoder, positive, signs
from cmr.methods.linear.algebra import Array, fix_signs
from cmr.methods.linear.cca import canonical_directions
from cmr.methods.linear.label_sets import require_differences, unit_labels
from cmr.methods.linear.leading import UNCORRELATED
from cmr.methods.linear.moments import moments
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import Rows, in_memory, row_blocks

log = logging.getLogger(__name__)

_ROUNDING = 1e-9  # by which a singular value must exceed another to be the greater


@dataclass(frozen=True)
class SCMOrth:
    """SCM with orthogonal directions, of which the signs are taken in the end.

    Without the signs, and under W_x'X'X W_x = W_y'Y'Y W_y = n I, the problem is CCA with X'SY in the place of X'Y. That
    matrix has a rank below the number of classes c, so labels decide the first c - 1 bits at most. The bits beyond are
    the canonical directions of the pairs that are orthogonal to those of the labels.

    Parameters
    ----------
    bits : q, at most the smaller rank of the two views.
    ridge : r, added to each covariance C as r * tr(C)/d * I.
    """

    bits: int = 32
    ridge: float = 0.01
    similarity: ClassVar[Similarity] = "hamming"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> HashCodes:
        """Closed form; `valid`, `seed` and `compute` play no part.

        Raises NotApplicableError where there are no classes, or where the views have too low a rank for so many
        orthogonal directions, or labels tell no pair from another; UserError where a view is uncorrelated with them.
        """
        train.require_classes("scm_orth")
        require_differences(train.labels, "scm_orth")
        _require_told_labels(train.once(_label_sums, self.ridge), "scm_orth")
        w_x, w_y = train.once(_orthogonal_directions, self.ridge)
        if self.bits > w_x.shape[1]:
            raise NotApplicableError(
                f"scm_orth: bits is {self.bits}, but these views have only {w_x.shape[1]} pairs of orthogonal "
                "directions; take fewer bits, views of more features, or scm_seq"
            )
        return _model(train, w_x[:, : self.bits], w_y[:, : self.bits], [])

    def restore(self, state: State) -> HashCodes:
        """See Method."""
        return HashCodes.from_state(state, LinearEncoder.from_state)


@dataclass(frozen=True)
class SCMSeq:
    """SCM bit by bit: each takes up what those before it have left of q S.

    A bit's directions are the leading pair of CCA with X'RY in the place of X'Y, where R = q S - sum h_x h_y' over the
    bits so far. Where the singular value of a bit exceeds that of the bit before, signs have undone what directions
    had gained: as in the authors' code, this bit and all that follow are then the canonical directions of the same
    numbers. Where the views have fewer than q of those, the learning goes on.

    Parameters
    ----------
    bits : q.
    ridge : r, added to each covariance C as r * tr(C)/d * I.
    """

    bits: int = 32
    ridge: float = 0.01
    similarity: ClassVar[Similarity] = "hamming"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> HashCodes:
        """One pass over the train part a bit; `valid`, `seed` and `compute` play no part.

        The history holds |q S - sum h_x h_y'|_F / |q S|_F before the first and after each bit.

        Raises NotApplicableError where there are no classes or labels tell no pair from another, UserError where a view
        is uncorrelated with them.
        """
        train.require_classes("scm_seq")
        require_differences(train.labels, "scm_seq")
        sums, views = train.once(_label_sums, self.ridge), train.once(_coordinates)
        _require_told_labels(sums, "scm_seq")
        residual = _Residual(train.once(_sparse_unit_labels), self.bits)
        w_x, w_y = (np.empty((len(whitener), self.bits)) for whitener in (sums.whiten_x, sums.whiten_y))
        left, right, before, canonical = [2 * self.bits * sums.x], [sums.y], np.inf, None
        for t in progress.track(range(self.bits), "scm_seq", self.bits, "bit"):
            if canonical is None:
                u, values, v = _factored_svd(np.column_stack(left), np.column_stack(right))
                if values[0] > before * (1 + _ROUNDING):
                    canonical = self._canonical_directions(train, t)
                before = values[0]
            if canonical is None:
                w_x[:, t : t + 1], w_y[:, t : t + 1] = fix_signs(sums.whiten_x @ u[:, :1], sums.whiten_y @ v[:, :1])
            else:
                w_x[:, t], w_y[:, t] = (directions[:, t] for directions in canonical)
            h_x, h_y, x_h, y_h = _codes_and_sums(views, w_x[:, t], w_y[:, t])
            residual.take_off(h_x, h_y)
            left.append(-sums.whiten_x.T @ x_h / len(train))
            right.append(sums.whiten_y.T @ y_h / len(train))
        return _model(train, w_x, w_y, residual.norms)

    def _canonical_directions(self, train: Pairs, learnt: int) -> tuple[Array, Array] | None:
        """Directions for all bits, where the views have as many."""
        w_x, w_y = train.once(_canonical_directions, self.ridge)
        if enough := w_x.shape[1] >= self.bits:
            log.info("scm_seq: %d of %d bits learnt, the others are canonical directions", learnt, self.bits)
        return (w_x, w_y) if enough else None

    def restore(self, state: State) -> HashCodes:
        """See Method."""
        return HashCodes.from_state(state, LinearEncoder.from_state)


class _Residual:
    """The norms of R_t = q S - sum of h_x h_y' over the first t bits, relative to that of q S; from inner products."""

    def __init__(self, unit: csr_array, bits: int) -> None:
        """`unit` is T~ (n, c)."""
        self._by_class, self._bits = unit.T.tocsr(), bits
        n = unit.shape[0]
        # |2 T~T~' - 1 1'|^2, of which T~'T~ and T~'1 are all that is needed.
        squared = 4 * float(((unit.T @ unit) ** 2).sum()) - 4 * float((unit.sum(axis=0) ** 2).sum()) + n**2
        self._whole = self._squared = bits**2 * squared
        # Whole numbers up to n: float32 sums them exactly below 2^24.
        self._x, self._y = (np.empty((n, bits), dtype=np.float32) for _ in range(2))
        self._taken = 0
        self.norms = [1.0]

    def take_off(self, h_x: Array, h_y: Array) -> None:
        """Subtract the next h_x h_y', both (n,)."""
        seen = slice(self._taken)
        labels = 2 * float((self._by_class @ h_x) @ (self._by_class @ h_y)) - h_x.sum() * h_y.sum()
        overlap = (self._x[:, seen].T @ h_x.astype(np.float32)) @ (self._y[:, seen].T @ h_y.astype(np.float32))
        self._squared += len(h_x) ** 2 - 2 * (self._bits * labels - float(overlap))
        self._x[:, self._taken], self._y[:, self._taken] = h_x, h_y
        self._taken += 1
        self.norms.append(float(np.sqrt(max(self._squared, 0.0) / self._whole)))


@dataclass(frozen=True)
class _LabelSums:
    """What labels say of the whitened views; X'SY is 2 (X'T~)(Y'T~)', since centred views have X'1 = 0.

    Attributes
    ----------
    whiten_x, whiten_y : K (r, rank) with K'(Z'Z/n + ridge)K = I.
    x, y : K'Z'T~/n (rank, c).
    """

    whiten_x: Array
    whiten_y: Array
    x: Array
    y: Array


def _label_sums(train: Pairs, ridge: float) -> _LabelSums:
    m = train.once(moments)
    whiten_x, whiten_y = (view.spectrum.whitener(ridge * view.mean_variance) for view in (m.x, m.y))
    x, y = train.once(_unit_label_sums)
    return _LabelSums(whiten_x, whiten_y, whiten_x.T @ x / m.n, whiten_y.T @ y / m.n)


def _require_told_labels(sums: _LabelSums, method: str) -> None:
    """Refuse, in the name of `method`, views of which one tells nothing of the labels: rounding would choose bits."""
    for view, own in (("images", sums.x), ("texts", sums.y)):
        if np.linalg.norm(own) <= UNCORRELATED:
            raise UserError(
                f"{method}: the features of the {view} are uncorrelated with every class of the train part, so that "
                "labels decide no bit; check that features and labels belong to the same items, or take other features"
            )


def _unit_label_sums(train: Pairs) -> tuple[Array, Array]:
    """Z_x'T~ (r_x, c) and Z_y'T~ (r_y, c)."""
    m = train.once(moments)
    if (train.labels.sum(axis=1) <= 1).all():
        return m.x_labels, m.y_labels
    unit = unit_labels(train.labels)
    x, y = np.zeros((len(m.x.gram), unit.shape[1])), np.zeros((len(m.y.gram), unit.shape[1]))
    for rows, images, texts in row_blocks(train.images, train.texts):
        x += m.x.coordinates(images).T @ unit[rows]
        y += m.y.coordinates(texts).T @ unit[rows]
    return x, y


def _sparse_unit_labels(train: Pairs) -> csr_array:
    return csr_array(unit_labels(train.labels))


def _coordinates(train: Pairs) -> tuple[Rows, Rows]:
    """Z_x (n, r_x) and Z_y (n, r_y): held where the view itself is, else made anew from disk in every pass."""
    m = train.once(moments)
    return tuple(
        in_memory(view.rows(x)) if isinstance(x, np.ndarray) else view.rows(x)
        for view, x in ((m.x, train.images), (m.y, train.texts))
    )


def _canonical_directions(train: Pairs, ridge: float) -> tuple[Array, Array]:
    m = train.once(moments)
    w_x, w_y, _ = canonical_directions(m, ridge * m.x.mean_variance, ridge * m.y.mean_variance)
    return w_x, w_y


def _orthogonal_directions(train: Pairs, ridge: float) -> tuple[Array, Array]:
    """W_x (r_x, k), W_y (r_y, k): those of the labels, then those of the pairs in what is orthogonal to them."""
    m, sums = train.once(moments), train.once(_label_sums, ridge)
    u, values, v = _factored_svd(2 * sums.x, sums.y)
    of_labels = int((values > UNCORRELATED).sum())
    rest_x, rest_y = _complement(u[:, :of_labels]), _complement(v[:, :of_labels])
    cross = (sums.whiten_x @ rest_x).T @ (m.cross / m.n) @ (sums.whiten_y @ rest_y)
    p, correlations, qt = np.linalg.svd(cross, full_matrices=False)
    correlated = correlations > UNCORRELATED
    log.info("scm_orth: labels give %d bits, pairs %d more", of_labels, correlated.sum())
    return fix_signs(
        sums.whiten_x @ np.column_stack([u[:, :of_labels], rest_x @ p[:, correlated]]),
        sums.whiten_y @ np.column_stack([v[:, :of_labels], rest_y @ qt[correlated].T]),
    )


def _complement(orthonormal: Array) -> Array:
    """A basis (r, r - k) of what is orthogonal to the columns of (r, k)."""
    return np.linalg.qr(orthonormal, mode="complete")[0][:, orthonormal.shape[1] :]


def _factored_svd(left: Array, right: Array) -> tuple[Array, Array, Array]:
    """U (r_x, k), singular values (k,) and V (r_y, k) of left (r_x, m) times right' (m, r_y), k <= m.

    O((r_x + r_y) m^2): the product is not formed where m is small.
    """
    q_left, core_left = np.linalg.qr(left)
    q_right, core_right = np.linalg.qr(right)
    u, values, vt = np.linalg.svd(core_left @ core_right.T, full_matrices=False)
    return q_left @ u, values, q_right @ vt.T


def _codes_and_sums(views: tuple[Rows, Rows], w_x: Array, w_y: Array) -> tuple[Array, Array, Array, Array]:
    """In one pass: h_x = sgn(Z_x w_x) and h_y, both (n,), Z_x'h_x (r_x,) and Z_y'h_y (r_y,)."""
    h_x, h_y = np.empty(len(views[0])), np.empty(len(views[0]))
    x_h, y_h = np.zeros(len(w_x)), np.zeros(len(w_y))
    for rows, x, y in row_blocks(*views):
        h_x[rows], h_y[rows] = signs(positive(x, w_x[:, None])[:, 0]), signs(positive(y, w_y[:, None])[:, 0])
        x_h += x.T @ h_x[rows]
        y_h += y.T @ h_y[rows]
    return h_x, h_y, x_h, y_h


def _model(train: Pairs, w_x: Array, w_y: Array, objective: list[float]) -> HashCodes:
    m = train.once(moments)
    history = {"objective": objective} if objective else {}
    return HashCodes(LinearEncoder(m.x.projection(w_x)), LinearEncoder(m.y.projection(w_y)), history)
