"""Both views in their principal axes, at the same scale: where solvers that alternate over items meet them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from cmr.methods.base import Pairs
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.moments import PreparedView, moments
from cmr.methods.linear.projections import Projection
from cmr.rows import MappedRows, Rows, map_rows, row_blocks


@dataclass(frozen=True)
class PrincipalView:
    """A view Z (n, r) with Z'Z diagonal and a mean squared row norm of one.

    Z is the standardised view over the root of its number of varying features, turned into its principal axes. What
    depends on Z only through inner products and norms of rows, ridges among them, is the same there as in the features,
    and Z'Z needs no further decomposition.

    Attributes
    ----------
    view : what the axes are of.
    axes : (coordinates of `view`, r), of length 1 / sqrt(features).
    values : Z'Z = diag(values), (r,), descending and positive; they sum to n.
    rows : Z. An array, or rows made anew in every pass where the view lies on disk.
    features : d, of those that vary.
    """

    view: PreparedView
    axes: Array
    values: Array
    rows: Rows
    features: int

    @classmethod
    def of(cls, view: PreparedView, x: Rows) -> Self:
        """Of the train part of a view (n, d), which `view` was prepared from."""
        features = round(view.mean_variance * view.features)  # each of variance one
        axes = view.spectrum.axes / np.sqrt(features)

        def principal(block: Array) -> Array:
            return view.coordinates(block) @ axes

        rows: Rows = MappedRows(x, principal, axes.shape[1])
        # The row space of few items is no larger than they are, but turning features into it costs n d r a pass.
        if isinstance(x, np.ndarray) or view.rotation is not None:
            rows = map_rows(lambda block: block, rows)
        return cls(view, axes, view.spectrum.values * view.n / features, rows, features)

    @property
    def n(self) -> int:
        """Train items."""
        return self.view.n

    @property
    def mean_value(self) -> float:
        """n / d, the mean eigenvalue of all d directions: what relative ridges are relative to."""
        return self.n / self.features

    def projection(self, weights: Array) -> Projection:
        """The map of features whose weights (r, k) a solver has found in these axes."""
        return self.view.projection(self.axes @ weights)


Views = Sequence[PrincipalView]


class Encoding(NamedTuple):
    """The variables of a two-view autoencoder."""

    weights: list[Array]  # P (r, k) of each view, the best for this code
    code: Array  # A (n, k)


def principal_views(train: Pairs) -> tuple[PrincipalView, PrincipalView]:
    """Images and texts of a train part; ask for them by `train.once(principal_views)`, so that candidates share them.

    Of views that are arrays, memory is that of both in float64.
    """
    m = train.once(moments)
    return PrincipalView.of(m.x, train.images), PrincipalView.of(m.y, train.texts)


def principal_cross(train: Pairs) -> Array:
    """Z_x'Z_y (r_x, r_y) of `principal_views`."""
    x, y = train.once(principal_views)
    return x.axes.T @ train.once(moments).cross @ y.axes


def products(views: Views, code: Array) -> list[Array]:
    """Z'A (r, k) of each view and A (n, k), in one pass."""
    sums = [np.zeros((len(view.values), code.shape[1])) for view in views]
    for rows, *blocks in row_blocks(*(view.rows for view in views)):
        for i, block in enumerate(blocks):
            sums[i] += block.T @ code[rows]
    return sums


def projected(views: Views, weights: Sequence[Array]) -> list[Array]:
    """ZP (n, k) of each view and its weights P (r, k), in one pass."""
    images = [np.empty((len(view.rows), own.shape[1])) for view, own in zip(views, weights, strict=True)]
    for rows, *blocks in row_blocks(*(view.rows for view in views)):
        for image, block, own in zip(images, blocks, weights, strict=True):
            image[rows] = block @ own
    return images
