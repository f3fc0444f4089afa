"""What closed forms need of the data: sums over items, gathered once, in blocks.

Most linear methods meet the views X (n, d_x), Y (n, d_y) and labels T (n, c) only through X'X, Y'Y, X'Y, X'T and Y'T.
Two passes over the data give them, in memory that does not grow with n, and all candidates of a grid share them. A
same-class graph T T' is of rank c: X'(T T')Y = (X'T)(Y'T)', so that none of size (n, n) is ever built.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.methods.base import History, Pairs, Standardiser
from cmr.methods.linear.algebra import Array, Spectrum
from cmr.methods.linear.projections import Projection, Projections
from cmr.rows import MappedRows, Rows, map_rows, row_blocks


@dataclass(frozen=True)
class RowSpace:
    """A view of more features than items: standardised rows X (n, d), and U S of their thin decomposition X = U S R'.

    R itself costs a product of the size of the decomposition, and few need it as a whole.
    """

    x: Array
    u: Array  # (n, r) orthonormal
    s: Array  # (r,) positive, descending

    @classmethod
    def of(cls, x: Array) -> Self:
        """Through the eigenvectors of the n x n Gram matrix."""
        spectrum = Spectrum.of(x @ x.T)
        return cls(x, spectrum.axes, np.sqrt(spectrum.values))

    @cached_property
    def rotation(self) -> Array:
        """R (d, r), an orthonormal basis of the row space."""
        return self.lift(np.eye(len(self.s)))

    def lift(self, weights: Array) -> Array:
        """R @ weights, (r, k) -> (d, k)."""
        return self.x.T @ (self.u / self.s @ weights)


@dataclass(frozen=True)
class PreparedView:
    """A view as solvers meet it: standardised and, where that was asked for, turned into its row space.

    The coordinates Z (n, r) of the train items are their standardised features, r = d; or, of more features than items,
    Z = X R with R (d, r) an orthonormal basis of the row space, r < n. What a solver finds in either is then lifted to
    the d features by R. That is exact for eigenproblems and for ridges, and is not for penalties on single features.

    Attributes
    ----------
    scaling : centres and scales by train statistics.
    row_space : None where coordinates are the features.
    gram : Z'Z (r, r).
    n : train items.
    """

    scaling: Standardiser
    row_space: RowSpace | None
    gram: Array
    n: int

    @classmethod
    def of(cls, x: Rows, *, reduce: bool = True, standardise: bool = True, name: str = "a view") -> Self:
        """Prepare a view (n, d).

        Parameters
        ----------
        name : what a message calls the view.
        reduce : turn a view of more features than items into its row space; False where features count singly.
        standardise : divide by the standard deviations; False only centres.
        """
        n, d = x.shape
        scaling = Standardiser.fit(x)
        if not standardise:
            scaling = Standardiser(scaling.mean, np.ones(d))
        if reduce and d > n:
            row_space = RowSpace.of(map_rows(scaling, x))
            gram = np.diag(row_space.s**2)
        else:
            row_space, gram = None, np.zeros((d, d))
            for _, block in row_blocks(x):
                z = scaling(block)
                gram += z.T @ z
        if not gram.any():
            raise UserError(
                f"{name}: constant over the train part, so nothing can be learnt from it; choose another view"
            )
        return cls(scaling, row_space, gram, n)

    @property
    def features(self) -> int:
        """d."""
        return len(self.scaling.mean)

    @property
    def rotation(self) -> Array | None:
        """R (d, r), or None where coordinates are the features."""
        return None if self.row_space is None else self.row_space.rotation

    @property
    def mean_variance(self) -> float:
        """tr(C)/d of the covariance C = X'X/n: what relative ridges are relative to."""
        return float(np.trace(self.gram)) / (self.n * self.features)

    @cached_property
    def spectrum(self) -> Spectrum:
        """Of the covariance Z'Z/n."""
        if self.row_space is not None:  # the axes of a row space are principal: its Gram matrix is diagonal
            return Spectrum(self.row_space.s**2 / self.n, np.eye(len(self.gram)))
        return Spectrum.of(self.gram / self.n)

    def coordinates(self, block: Array) -> Array:
        """(b, d) features -> (b, r) coordinates."""
        z = self.scaling(block)
        return z if self.rotation is None else z @ self.rotation

    def rows(self, x: Rows) -> Rows:
        """The coordinates Z (n, r) of the train items, whose view is x (n, d): made anew in every pass, or held.

        A row space is no larger than n x n, and has them at hand.
        """
        if self.row_space is not None:
            return self.row_space.u * self.row_space.s
        return MappedRows(x, self.scaling, self.features)

    def projection(self, weights: Array) -> Projection:
        """The map of features whose weights (r, k) a solver has found in these coordinates."""
        return Projection(self.scaling, weights if self.row_space is None else self.row_space.lift(weights))


@dataclass(frozen=True)
class Moments:
    """Two prepared views Z_x (n, r_x), Z_y (n, r_y) and their sums with each other and with the labels T (n, c).

    Labels need no centring where they are summed with views, whose columns have mean zero: Z'(T - 1 mean(T)') = Z'T.
    """

    x: PreparedView
    y: PreparedView
    cross: Array  # Z_x'Z_y (r_x, r_y)
    x_labels: Array  # Z_x'T (r_x, c)
    y_labels: Array  # Z_y'T (r_y, c)

    @property
    def n(self) -> int:
        return self.x.n

    def projections(self, w_x: Array, w_y: Array, history: History | None = None, **facts: Array) -> Projections:
        """The model of weights (r_x, k), (r_y, k) in these coordinates."""
        return Projections(self.x.projection(w_x), self.y.projection(w_y), facts, history or {})


def moments(train: Pairs, reduce: bool = True, standardise: bool = True) -> Moments:
    """Moments of a train part; ask for them by `train.once(moments)`, so that the candidates of a grid share them."""
    return moments_of(train.images, train.texts, train.labels, reduce=reduce, standardise=standardise)


def moments_of(images: Rows, texts: Rows, labels: NDArray, *, reduce: bool = True, standardise: bool = True) -> Moments:
    """Moments of paired rows (n, d_x), (n, d_y) with labels (n, c); options as of `PreparedView.of`."""
    if len(images) < 2:
        raise UserError(f"the train part has {len(images)} pairs, but a method needs at least two to learn from")
    x, y = (
        PreparedView.of(view, reduce=reduce, standardise=standardise, name=name)
        for name, view in (("images", images), ("texts", texts))
    )
    cross = np.zeros((len(x.gram), len(y.gram)))
    x_labels, y_labels = np.zeros((len(x.gram), labels.shape[1])), np.zeros((len(y.gram), labels.shape[1]))
    for rows, z_x, z_y in row_blocks(x.rows(images), y.rows(texts)):
        t = labels[rows].astype(np.float64)
        cross += z_x.T @ z_y
        x_labels += z_x.T @ t
        y_labels += z_y.T @ t
    return Moments(x, y, cross, x_labels, y_labels)
