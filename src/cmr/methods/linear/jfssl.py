"""Joint feature selection and subspace learning (JFSSL).

Source: Wang, He, Wang, Wang and Tan, TPAMI 38(10), 2016. Card: linear/40, `jfssl`.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy.sparse import csr_array, diags_array

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.descent import repeat, settle
from cmr.methods.linear.graphs import laplacian, nearest, neighbour_graph, quadratic
from cmr.methods.linear.label_sets import unit_labels
from cmr.methods.linear.moments import moments
from cmr.methods.linear.projections import Projection, Projections
from cmr.methods.linear.regression import (
    REFERENCE_ITEMS,
    label_variation,
    require_told_labels,
    ridge_start,
    squared_error,
    warn_of_two_classes,
)
from cmr.methods.linear.row_sparsity import in_coordinates, row_norm, row_weights, solve_reweighted
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import in_memory


@dataclass(frozen=True)
class JFSSL:
    """Row-sparse regression of both views onto the labels, smooth over one graph of all images and texts.

    The minimum over U and V, where Z stacks XU and YV (2n, c), and L is the Laplacian of the graph, of

        |XU - T|^2 + |YV - T|^2 + sparsity (|U|_21 + |V|_21) + graph_weight tr(Z'LZ).

    An image and a text are joined by the cosine of their labels, which is 1 for equal ones; two items of one view by
    exp(-|x_i - x_j|^2 / 2 s^2) if one is among the nearest of the other, s^2 being the mean over such neighbours of
    their squared distance. Either kind of edges is scaled to mean degree one, and L is their weighted mean.

    Parameters
    ----------
    sparsity : penalty of the norms of rows for 2000 train items; it grows with their number, as all the rest does.
    graph_weight : penalty of differences along edges.
    neighbours : of an item in its own view.
    neighbour_weight : of the edges within views, where those between views weigh 1.
    max_iterations : of reweighted least squares.
    tolerance : relative change of the objective at which they end.
    """

    sparsity: float = 10.0
    graph_weight: float = 10.0
    neighbours: int = 10
    neighbour_weight: float = 1.0
    max_iterations: int = 10
    tolerance: float = 1e-6
    similarity: ClassVar[Similarity] = "cosine"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> Projections:
        """Reweighted least squares from ridge regressions, a view at a time; `valid`, `seed`, `compute` play no part.

        Raises NotApplicableError where there are no classes or all pairs have the same, UserError where a view tells
        nothing of them, InfeasibleError where there are no more items than neighbours, or where the equations are
        singular, as they can be without sparsity.
        """
        variation = label_variation(train, "jfssl")
        if self.neighbours >= len(train):
            raise InfeasibleError(
                f"jfssl: neighbours is {self.neighbours}, but an item of {len(train)} has only {len(train) - 1} "
                "others; lower neighbours to as many at most"
            )
        m = train.once(moments)
        require_told_labels(m, variation, "jfssl")
        warn_of_two_classes(train, "jfssl")
        graph = train.once(_joint_graph, self.neighbours, self.neighbour_weight)
        sparsity = self.sparsity * m.n / REFERENCE_ITEMS
        left_x, left_y = m.x.gram + self.graph_weight * graph.x, m.y.gram + self.graph_weight * graph.y
        between = self.graph_weight * graph.cross

        def step(now: tuple[Array, Array]) -> tuple[Array, Array]:
            u, v = now
            right = m.x_labels - between @ in_coordinates(m.y, v)
            u = solve_reweighted(left_x, sparsity * row_weights(u), right, "jfssl", m.x.rotation)
            # From the new U: steps of both views from the old ones could raise the objective.
            right = m.y_labels - between.T @ in_coordinates(m.x, u)
            v = solve_reweighted(left_y, sparsity * row_weights(v), right, "jfssl", m.y.rotation)
            return u, v

        def objective(now: tuple[Array, Array]) -> float:
            u, v = now
            a, b = in_coordinates(m.x, u), in_coordinates(m.y, v)
            errors = squared_error(m.x.gram, m.x_labels, variation, a)
            errors += squared_error(m.y.gram, m.y_labels, variation, b)
            return errors + sparsity * (row_norm(u) + row_norm(v)) + self.graph_weight * graph.roughness(a, b)

        (u, v), values = settle(
            repeat(step, train.once(ridge_start, True), objective),
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            method="jfssl",
        )
        return Projections(Projection(m.x.scaling, u), Projection(m.y.scaling, v), {}, {"objective": values})

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


@dataclass(frozen=True)
class GraphSums:
    """Sums over the edges of a graph of n images and n texts with Laplacian L, in coordinates Z of the views.

    Attributes
    ----------
    x, y : Z_x'L_xx Z_x (r_x, r_x) and Z_y'L_yy Z_y (r_y, r_y).
    cross : Z_x'L_xy Z_y (r_x, r_y).
    """

    x: Array
    y: Array
    cross: Array

    def roughness(self, a: Array, b: Array) -> float:
        """tr(F'LF) of F, which stacks Z_x a and Z_y b: the sum over all edges of weight * difference^2."""
        return float(np.vdot(a, self.x @ a + 2 * self.cross @ b) + np.vdot(b, self.y @ b))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.x + other.x, self.y + other.y, self.cross + other.cross)

    def __mul__(self, weight: float) -> Self:
        return type(self)(weight * self.x, weight * self.y, weight * self.cross)


def _joint_graph(train: Pairs, neighbours: int, neighbour_weight: float) -> GraphSums:
    """Of all edges, at mean degree one."""
    within, between = train.once(_neighbour_edges, neighbours), train.once(_label_edges)
    return (within * neighbour_weight + between) * (1 / (1 + neighbour_weight))


def _neighbour_edges(train: Pairs, neighbours: int) -> GraphSums:
    """Of the edges within views, at mean degree one over both."""
    m = train.once(moments)
    sums, degrees = [], 0.0
    for view, x in ((m.x, train.images), (m.y, train.texts)):
        z = in_memory(view.rows(x))
        weights = gaussian_graph(z, neighbours)
        sums.append(quadratic(z, laplacian(weights)))
        degrees += weights.sum() / (2 * m.n)
    return GraphSums(*sums, np.zeros_like(m.cross)) * (1 / degrees)


def _label_edges(train: Pairs) -> GraphSums:
    """Of the edges between views, at mean degree one: W = SS' of rank c, S (n, c) the labels at unit length."""
    m = train.once(moments)
    directions = unit_labels(train.labels)
    degrees = directions @ directions.sum(axis=0)
    scale = degrees.mean()
    diagonal = csr_array(diags_array(degrees / scale))
    (x, x_sums), (y, y_sums) = (
        (quadratic(z, diagonal), z.T @ directions)
        for z in (in_memory(view.rows(rows)) for view, rows in ((m.x, train.images), (m.y, train.texts)))
    )
    return GraphSums(x, y, -x_sums @ y_sums.T / scale)


def gaussian_graph(z: Array, neighbours: int) -> csr_array:
    """Weights exp(-|z_i - z_j|^2 / 2 s^2) of neighbours among the rows of z, s^2 their mean squared distance."""
    squared, indices = nearest(z, neighbours)
    # Neighbours that are all equal have distance and width zero, and weight one.
    width = max(squared.mean(), np.finfo(float).tiny)
    return neighbour_graph(indices, np.exp(-squared / (2 * width)))
