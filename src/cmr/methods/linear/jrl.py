"""Joint representation learning (JRL).

Source: Zhai, Peng and Xiao, IEEE TCSVT 24(6), 2014. Card: linear/40, `jrl`.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import log_expit

from cmr.compute import CPU, Compute
from cmr.errors import UserError
from cmr.methods.base import History, InfeasibleError, Pairs, State, Unlabelled
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.descent import repeat, settle
from cmr.methods.linear.graphs import nearest, neighbour_graph, normalised_laplacian, quadratic
from cmr.methods.linear.moments import PreparedView, moments
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
from cmr.retrieval import Similarity, score_blocks
from cmr.rows import Rows, in_memory, map_rows
from cmr.store import group, under

Ranking = Literal["posterior", "cosine"]

SCORES_BYTES = 256 << 20  # of a block of items while their posteriors are computed


@dataclass(frozen=True)
class JRL:
    """Row-sparse regression of both views onto the labels, alike within pairs and smooth over neighbours.

    The minimum over U and V, where L_x and L_y are the normalised Laplacians of graphs that join each image with the
    images nearest to it, and each text with such texts, of

        label_weight (|XU - T|^2 + |YV - T|^2) + pair_weight |XU - YV|^2
            + graph_weight (tr(U'X'L_x XU) + tr(V'Y'L_y YV)) + sparsity (|U|_21 + |V|_21).

    Parameters
    ----------
    sparsity : penalty of the norms of rows for 2000 train items; it grows with their number, as all the rest does.
    graph_weight : penalty of differences between neighbours.
    pair_weight : penalty of differences within pairs.
    label_weight : of the errors of the regressions.
    neighbours : of an item in its own view; two are joined, by weight 1, if one is among the nearest of the other.
    ranking : `posterior` compares by the classes of the train items that come to lie nearest, see
        `NeighbourPosteriors`;
        `cosine` compares XU and YV.
    posterior_neighbours : how many train items, of images and texts together, decide on a posterior.
    transductive : features of the items that are to be retrieved join the graphs.
    max_iterations : of reweighted least squares.
    tolerance : relative change of the objective at which they end.
    """

    sparsity: float = 1.0
    graph_weight: float = 0.0005
    pair_weight: float = 1.0
    label_weight: float = 1.0
    neighbours: int = 100
    ranking: Ranking = "posterior"
    posterior_neighbours: int = 100
    transductive: bool = False
    max_iterations: int = 5
    tolerance: float = 0.02

    @property
    def similarity(self) -> Similarity:
        """What the ranking compares by."""
        return "inner" if self.ranking == "posterior" else "cosine"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
        unlabelled: Unlabelled | None = None,
    ) -> "Projections | NeighbourPosteriors":
        """Reweighted least squares from ridge regressions, a view at a time; `valid`, `seed`, `compute` play no part.

        `unlabelled` must be given where `transductive` is true, and is not looked at where it is false.

        Raises NotApplicableError where there are no classes or all pairs have the same, UserError where a view tells
        nothing of them, InfeasibleError where there are too few items for the neighbours, or where the equations are
        singular, as they can be without sparsity.
        """
        variation = label_variation(train, "jrl")
        if self.transductive and unlabelled is None:
            raise UserError("jrl: transductive is true, but fit is given no unlabelled items")
        further = unlabelled if self.transductive else None
        self._check_sizes(len(train), further)
        reduce = further is None  # items beyond the train part may lie outside of its row space
        m = train.once(moments, reduce)
        require_told_labels(m, variation, "jrl")
        smooth_x, smooth_y = train.once(_smoothness, self.neighbours, further, reduce)
        sparsity = self.sparsity * m.n / REFERENCE_ITEMS
        both = self.label_weight + self.pair_weight
        left_x, left_y = (
            both * view.gram + self.graph_weight * smooth for view, smooth in ((m.x, smooth_x), (m.y, smooth_y))
        )

        def step(now: tuple[Array, Array]) -> tuple[Array, Array]:
            u, v = now
            right = self.label_weight * m.x_labels + self.pair_weight * m.cross @ in_coordinates(m.y, v)
            u = solve_reweighted(left_x, sparsity * row_weights(u), right, "jrl", m.x.rotation)
            # From the new U: steps of both views from the old ones could raise the objective.
            right = self.label_weight * m.y_labels + self.pair_weight * m.cross.T @ in_coordinates(m.x, u)
            v = solve_reweighted(left_y, sparsity * row_weights(v), right, "jrl", m.y.rotation)
            return u, v

        def objective(now: tuple[Array, Array]) -> float:
            u, v = now
            a, b = in_coordinates(m.x, u), in_coordinates(m.y, v)
            errors = squared_error(m.x.gram, m.x_labels, variation, a)
            errors += squared_error(m.y.gram, m.y_labels, variation, b)
            apart = np.vdot(a, m.x.gram @ a - 2 * m.cross @ b) + np.vdot(b, m.y.gram @ b)
            rough = np.vdot(a, smooth_x @ a) + np.vdot(b, smooth_y @ b)
            penalty = sparsity * (row_norm(u) + row_norm(v))
            return self.label_weight * errors + self.pair_weight * apart + self.graph_weight * rough + penalty

        (u, v), values = settle(
            repeat(step, train.once(ridge_start, reduce), objective),
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            method="jrl",
        )
        projections = Projections(Projection(m.x.scaling, u), Projection(m.y.scaling, v), {}, {"objective": values})
        if self.ranking == "cosine":
            warn_of_two_classes(train, "jrl")
            return projections
        return NeighbourPosteriors(
            projections,
            np.concatenate([projections.embed_images(train.images), projections.embed_texts(train.texts)]),
            train.labels,
            self.posterior_neighbours,
        )

    def restore(self, state: State) -> "Projections | NeighbourPosteriors":
        """See Method."""
        if self.ranking == "cosine":
            return Projections.from_state(state)
        return NeighbourPosteriors.from_state(state, self.posterior_neighbours)

    def _check_sizes(self, n: int, further: Unlabelled | None) -> None:
        fewest = n + (0 if further is None else min(len(further.images), len(further.texts)))
        if self.neighbours >= fewest:
            raise InfeasibleError(
                f"jrl: neighbours is {self.neighbours}, but an item of {fewest} has only {fewest - 1} "
                "others; lower neighbours to as many at most"
            )
        if self.ranking == "posterior" and self.posterior_neighbours > 2 * n:
            raise InfeasibleError(
                f"jrl: posterior_neighbours is {self.posterior_neighbours}, but there are only {2 * n} train items "
                "of both views; lower posterior_neighbours to as many at most"
            )


@dataclass(frozen=True)
class NeighbourPosteriors:
    """Class posteriors by the train items of both views that lie nearest to an item in the space of its projection.

    Each of them votes for its classes by weight sigmoid(-distance); weights are scaled to sum one. Items at the same
    distance of which only some are among the nearest share the votes of those. Of one class a pair, posteriors sum to
    one, and the inner product of two is the probability of the same class. Of several, an entry is the probability of a
    class, and the inner product the expected number of classes that two items share.

    Attributes
    ----------
    projections : into the space of labels.
    voters : (2n, c) float32, projections of the train images and, after them, of the train texts.
    labels : (n, c) of the train pairs.
    neighbours : how many vote.
    """

    projections: Projections
    voters: NDArray[np.float32]
    labels: NDArray[np.bool_]
    neighbours: int

    @property
    def history(self) -> History:
        """Of the projections."""
        return self.projections.history

    def embed_images(self, images: Rows) -> NDArray[np.float32]:
        """(n, d_x) -> (n, c) float32."""
        return map_rows(lambda block: self._of(self.projections.embed_images(block)), images)

    def embed_texts(self, texts: Rows) -> NDArray[np.float32]:
        """(n, d_y) -> (n, c) float32."""
        return map_rows(lambda block: self._of(self.projections.embed_texts(block)), texts)

    def state(self) -> State:
        """See `cmr.methods.base.Model`."""
        return under("projections", self.projections.state()) | {"voters": self.voters, "labels": self.labels}

    @classmethod
    def from_state(cls, state: State, neighbours: int) -> Self:
        """The inverse of `state`."""
        return cls(Projections.from_state(group(state, "projections")), state["voters"], state["labels"], neighbours)

    def _of(self, projected: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, c) projections -> (b, c) posteriors."""
        n, k, labels = len(self.labels), self.neighbours, self.labels.astype(np.float64)
        posteriors = np.empty(projected.shape, dtype=np.float32)
        for rows, scores in score_blocks(projected, self.voters, "euclidean", block_bytes=SCORES_BYTES):
            furthest = np.partition(scores, -k, axis=1)[:, -k]
            row, voter = np.nonzero(scores >= furthest[:, None])
            score = scores[row, voter].astype(np.float64)
            tied = score == furthest[row]
            places = k - np.bincount(row, ~tied)
            # Relative to the nearest, since sigmoids of far items underflow.
            votes = np.exp(log_expit(score) - log_expit(scores.max(axis=1).astype(np.float64))[row])
            votes *= np.where(tied, (places / np.bincount(row, tied))[row], 1.0)
            # Images and texts of a pair have the same labels.
            of_pairs = csr_array((votes, (row, voter % n)), shape=(len(scores), n))
            posteriors[rows] = of_pairs @ labels / np.bincount(row, votes)[:, None]
        return posteriors


def _smoothness(train: Pairs, neighbours: int, further: Unlabelled | None, reduce: bool) -> tuple[Array, Array]:
    """Z_x'L_x Z_x (r_x, r_x) and Z_y'L_y Z_y (r_y, r_y), Z the coordinates of train and of further items."""
    m = train.once(moments, reduce)
    parts = [train] if further is None else [train, further]

    def smoothness(view: PreparedView, sources: list[Rows]) -> Array:
        z = np.concatenate([in_memory(view.rows(source)) for source in sources])
        _, indices = nearest(z, neighbours)
        return quadratic(z, normalised_laplacian(neighbour_graph(indices, np.ones(indices.shape))))

    return smoothness(m.x, [part.images for part in parts]), smoothness(m.y, [part.texts for part in parts])
