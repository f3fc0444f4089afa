"""Generalised multiview analysis (GMA) with the scatters of linear discriminant and of marginal Fisher analysis.

Source: Sharma, Kumar, Daume and Jacobs, Generalized multiview analysis: a discriminative latent space, CVPR 2012; the
graphs of GMMFA: Yan et al., Graph embedding and extensions, TPAMI 2007. Card: linear/30, `gmlda`, `gmmfa`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array

from cmr.compute import CPU, Compute
from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import RANK_TOLERANCE, Array, fix_signs
from cmr.methods.linear.graphs import laplacian, nearest, nearest_pairs, neighbour_graph, pair_graph, quadratic
from cmr.methods.linear.moments import PreparedView, moments
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.two_scores import ANOTHER_METHOD, MORE_COMPONENTS, warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import Rows, row_blocks

Align = Literal["class_means", "pairs"]
MarginScope = Literal["class", "all"]

NOTHING = 1e-12  # of a view's variation: a smaller scatter is rounding


@dataclass(frozen=True)
class Scatters:
    """A view by what is to be large and what is to be small in it, in p coordinates in which the latter is diagonal.

    Attributes
    ----------
    axes : (r, p) orthonormal, these coordinates in those of the moments.
    between : A (p, p), the scatter between classes.
    within : (p,) diagonal of the scatter B within classes.
    class_means : (c, p).
    variation : sum of squares of all coordinates of all items.
    """

    axes: Array
    between: Array
    within: Array
    class_means: Array
    variation: float

    @classmethod
    def of(cls, principal: "_Principal", between: Array, within: Array) -> Self:
        """From A and B (p, p) in principal components."""
        diagonal, rotation = np.linalg.eigh(within)
        return cls(
            principal.axes @ rotation,
            rotation.T @ between @ rotation,
            diagonal,
            principal.class_means @ rotation,
            float(principal.gram.sum()),
        )


@dataclass(frozen=True)
class GMA(ABC):
    """What GMLDA and GMMFA have in common: all but the scatters. Classes are those that occur in the train part.

    Parameters
    ----------
    n_components : latent dimension k, at most the smaller number of principal components; 0 is one less than there are
        classes, or as many as the views allow.
    alignment_weight : alpha, of the agreement of the views; 1 makes it as large as the scatter between classes.
    ridge : r, added to each scatter B within classes as r * tr(B)/d * I.
    align : what the views are to agree in, the means of the classes or all pairs.
    energy : share of the variance of a view that its principal components keep.
    """

    n_components: int = 0
    alignment_weight: float = 10.0
    ridge: float = 1.0
    align: Align = "class_means"
    energy: float = 0.98
    similarity: ClassVar[Similarity] = "cosine"
    method: ClassVar[str]

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> Projections:
        """Closed form by one symmetric eigenproblem; `valid`, `seed` and `compute` play no part."""
        w_x, w_y, values = train.once(_directions, self)
        warn_of_two_scores(train, len(values), self.method, f"{MORE_COMPONENTS}, or, {ANOTHER_METHOD}")
        return train.once(moments).projections(w_x, w_y, eigenvalues=values)

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)

    @abstractmethod
    def scatters(self, train: Pairs) -> tuple[Scatters, Scatters]:
        """Of both views, shared by all that differ in other hyper-parameters."""


@dataclass(frozen=True)
class GMLDA(GMA):
    """GMA with the scatters of linear discriminant analysis: class means apart, items near their class mean."""

    method: ClassVar[str] = "gmlda"

    def scatters(self, train: Pairs) -> tuple[Scatters, Scatters]:
        """See GMA; raises UserError where the items of a class do not differ, or the classes have the same mean."""
        return train.once(_discriminant, self.energy)


@dataclass(frozen=True)
class GMMFA(GMA):
    """GMA with the scatters of marginal Fisher analysis: neighbours of a class together, near pairs of classes apart.

    Parameters
    ----------
    neighbours : each item is drawn to so many nearest of its class; in a smaller class to all others.
    margin_pairs : so many nearest pairs of items of different classes are held apart; all where there are fewer.
    margin_scope : these are counted for each class, pairs of one of its items and one of another class (the MFA paper),
        or over all pairs of classes together (the authors' GMA code).
    """

    neighbours: int = 50
    margin_pairs: int = 400
    margin_scope: MarginScope = "class"
    method: ClassVar[str] = "gmmfa"

    def scatters(self, train: Pairs) -> tuple[Scatters, Scatters]:
        """See GMA; raises UserError where no class has two items, InfeasibleError where linked items do not differ."""
        return train.once(_marginal, self.energy, self.neighbours, self.margin_pairs, self.margin_scope)


def _directions(train: Pairs, method: GMA) -> tuple[Array, Array, Array]:
    """W_x (r_x, k), W_y (r_y, k) and eigenvalues (k,), descending.

    The stationary points of  w_x'A_x w_x + mu w_y'A_y w_y + 2 a w_x'Z_x'Z_y w_y  under
    w_x'B_x w_x + gamma w_y'B_y w_y = 1,  where mu and gamma give both views the same traces.
    """
    x, y = method.scatters(train)
    limit = min(len(x.within), len(y.within))
    k = method.n_components or min(len(x.class_means) - 1, limit)
    if k > limit:
        raise InfeasibleError(f"{method.method}: n_components is {k}, but these views allow at most {limit}")

    gamma = x.within.sum() / y.within.sum()
    constraint = np.concatenate(
        [x.within + method.ridge * x.within.mean(), gamma * (y.within + method.ridge * y.within.mean())]
    )
    if constraint.min() <= RANK_TOLERANCE * constraint.max():
        raise InfeasibleError(
            f"{method.method}: the scatter within classes is singular, since items are too few; give it a larger "
            "ridge, or keep less energy"
        )
    mu = np.trace(x.between) / np.trace(y.between)
    coupling = method.alignment_weight * np.trace(x.between) * _agreement(train, x, y, method)
    objective = np.block([[x.between, coupling], [coupling.T, mu * y.between]])
    # B is diagonal here: the generalised eigenproblem is a symmetric one of rescaled rows and columns.
    scale = 1 / np.sqrt(constraint)
    size = len(scale)
    values, vectors = scipy.linalg.eigh(scale[:, None] * objective * scale, subset_by_index=(size - k, size - 1))
    values, w = values[::-1], scale[:, None] * vectors[:, ::-1]
    rising = np.count_nonzero(values > RANK_TOLERANCE * values[0])
    if rising < method.n_components:
        raise InfeasibleError(
            f"{method.method}: n_components is {k}, but only {rising} directions tell classes apart or align the views"
        )
    w_x, w_y = fix_signs(x.axes @ w[: len(x.within), :rising], y.axes @ w[len(x.within) :, :rising])
    return w_x, w_y, values[:rising]


def _agreement(train: Pairs, x: Scatters, y: Scatters, method: GMA) -> Array:
    """Z_x'Z_y / (|Z_x| |Z_y|) (p_x, p_y) of the rows that the views are to agree in."""
    if method.align == "pairs":
        return x.axes.T @ train.once(moments).cross @ y.axes / np.sqrt(x.variation * y.variation)
    for view in (x, y):
        if (view.class_means**2).sum() <= NOTHING * view.variation / len(train):
            raise UserError(
                f"{method.method}: the classes have the same mean in a view, so that views cannot agree in class "
                'means; set align to "pairs"'
            )
    return x.class_means.T @ y.class_means / (np.linalg.norm(x.class_means) * np.linalg.norm(y.class_means))


@dataclass(frozen=True)
class _Principal:
    """A view in its first principal components.

    Attributes
    ----------
    axes : (r, p), of the coordinates of the moments.
    gram : (p,) diagonal of Z'Z.
    class_sums : (c, p).
    class_means : (c, p).
    """

    axes: Array
    gram: Array
    class_sums: Array
    class_means: Array

    @classmethod
    def of(cls, view: PreparedView, label_sums: Array, sizes: NDArray[np.intp], energy: float) -> Self:
        """As many components as it takes to keep `energy` of the variance."""
        spectrum = view.spectrum
        share = np.cumsum(spectrum.values) / spectrum.values.sum()
        p = min(int(np.searchsorted(share, energy)) + 1, len(share))
        axes = spectrum.axes[:, :p]
        sums = label_sums.T @ axes
        return cls(axes, view.n * spectrum.values[:p], sums, sums / sizes[:, None])


def _principal(train: Pairs, energy: float, method: str) -> tuple[_Principal, _Principal, NDArray[np.intp]]:
    """Both views, and (n,) the class of each pair, numbered without gaps."""
    present, classes = np.unique(train.classes(method), return_inverse=True)
    if len(present) < 2:
        raise UserError(f"{method}: it tells classes apart, but all pairs of the train part are of the same one")
    m, sizes = train.once(moments), np.bincount(classes)
    x, y = (
        _Principal.of(view, sums[:, present], sizes, energy) for view, sums in ((m.x, m.x_labels), (m.y, m.y_labels))
    )
    return x, y, classes


def _discriminant(train: Pairs, energy: float) -> tuple[Scatters, Scatters]:
    """A of class sums, B = Z'Z - A: no graph of items is built."""
    *views, _ = _principal(train, energy, "gmlda")
    x, y = (_discriminant_view(view) for view in views)
    return x, y


def _discriminant_view(view: _Principal) -> Scatters:
    between = view.class_sums.T @ view.class_means  # the view's mean is zero
    within = np.diag(view.gram) - between
    if np.trace(between) <= NOTHING * view.gram.sum():
        raise UserError("gmlda: the classes have the same mean in a view, which therefore cannot tell them apart")
    if np.trace(within) <= NOTHING * view.gram.sum():
        raise UserError("gmlda: no class has items that differ, but it needs the scatter within classes")
    return Scatters.of(view, between, within)


def _marginal(
    train: Pairs, energy: float, neighbours: int, margin_pairs: int, margin_scope: MarginScope
) -> tuple[Scatters, Scatters]:
    """A of the graph of near pairs of different classes, B of the graph of neighbours of the same class."""
    x, y, classes = _principal(train, energy, "gmmfa")
    if np.bincount(classes).max() < 2:
        raise UserError("gmmfa: it draws items of a class together, but no class has two in the train part")
    m = train.once(moments)
    return (
        _marginal_view(x, m.x.rows(train.images), classes, neighbours, margin_pairs, margin_scope),
        _marginal_view(y, m.y.rows(train.texts), classes, neighbours, margin_pairs, margin_scope),
    )


def _marginal_view(
    view: _Principal,
    rows: Rows,
    classes: NDArray[np.intp],
    neighbours: int,
    margin_pairs: int,
    margin_scope: MarginScope,
) -> Scatters:
    z, of_class = _by_class(view, rows, classes)
    within = quadratic(z, laplacian(within_classes(z, of_class, neighbours)))
    between = quadratic(z, laplacian(between_classes(z, of_class, margin_pairs, margin_scope)))
    for scatter, name in ((within, "neighbours"), (between, "margin_pairs")):
        if np.trace(scatter) <= NOTHING * view.gram.sum():
            raise InfeasibleError(f"gmmfa: all {name} are duplicates of each other in a view; give it more {name}")
    return Scatters.of(view, between, within)


def _by_class(view: _Principal, rows: Rows, classes: NDArray[np.intp]) -> tuple[Array, list[slice]]:
    """Principal components (n, p) of the items in the order of their classes, and the rows of each class."""
    place = np.empty(len(classes), dtype=np.intp)
    place[np.argsort(classes, kind="stable")] = np.arange(len(classes))
    z = np.empty((len(classes), view.axes.shape[1]))
    for some, block in row_blocks(rows):
        z[place[some]] = block @ view.axes
    ends = np.cumsum(np.bincount(classes))
    return z, [slice(start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)]


def within_classes(z: Array, of_class: list[slice], neighbours: int) -> csr_array:
    """0/1 graph (n, n): two items of a class, one of them among the `neighbours` nearest of the other there.

    z (n, p) has the items of a class in consecutive rows, `of_class`.
    """
    graphs = []
    for own in of_class:
        _, indices = nearest(z[own], min(neighbours, own.stop - own.start - 1))
        graphs.append(neighbour_graph(indices, np.ones(indices.shape)))
    return block_diag(graphs, format="csr")


def between_classes(z: Array, of_class: list[slice], pairs: int, scope: MarginScope) -> csr_array:
    """0/1 graph (n, n) of the `pairs` nearest pairs of items of different classes, of each class or of all together.

    z (n, p) has the items of a class in consecutive rows, `of_class`.
    """
    n = len(z)
    if scope == "all":
        searches = [[(own, slice(own.stop, n)) for own in of_class]]
    else:
        searches = [[(own, slice(0, own.start)), (own, slice(own.stop, n))] for own in of_class]
    found = [nearest_pairs(z, between, pairs)[1:] for between in searches]
    first, second = (np.concatenate(ends) for ends in zip(*found, strict=True))
    return pair_graph(n, first, second)
