"""Cross-modal semantic autoencoder with embedding consensus (CSAEC).

Source: Sun, Guo, Mi and Zheng, Scientific Reports 11, 2021. The printed model cannot be fitted as it stands; what is
fitted instead stands with each mode. Card: linear/60.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cmr.compute import CPU, Compute
from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array, Spectrum
from cmr.methods.linear.consensus import labelled_code, unlabelled_code
from cmr.methods.linear.descent import Round, settle
from cmr.methods.linear.graphs import nearest
from cmr.methods.linear.moments import moments
from cmr.methods.linear.principal import Encoding, principal_views
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.regression import label_variation, require_told_labels
from cmr.methods.linear.self_expression import self_expression
from cmr.methods.linear.tied_autoencoder import tied_autoencoder
from cmr.methods.linear.two_scores import ANOTHER_METHOD, MORE_COMPONENTS, warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import in_memory


@dataclass(frozen=True)
class CSAEC:
    """Linear projections of both views towards a sparse code A near a semantic code C on which both views agree.

    Parameters
    ----------
    n_components : latent dimension k; with labels, at most as many as there are classes come of it.
    mode : `tied`, the code rebuilds the features by the transposed projections; `selfexpr`, the projections of an item
        are made up of those of its neighbours; `stiefel`, likewise, and projections are orthonormal.
    labels : learn C from classes and pairs; False from pairs alone.
    structure_weight : beta, of rebuilding features or making up items.
    code_weight : eta, of the distance from A to C; above 0, and below 0.5 it may let A shrink to zero.
    sparsity : tau, of |A|_1.
    ridge : lambda, relative to the total variance of a view in C, to its mean variance in the projections.
    label_weight : rho, of the labels in C against both views.
    structure_sparsity : mu, of the parts that neighbours have in an item; not in `tied`.
    neighbours : those of which an item may be made up; not in `tied`.
    max_iterations, tolerance : rounds after the first, and the relative change of the objective that ends them.
    """

    n_components: int = 10
    mode: Literal["tied", "selfexpr", "stiefel"] = "tied"
    labels: bool = True
    structure_weight: float = 0.1
    code_weight: float = 1.0
    sparsity: float = 0.1
    ridge: float = 0.01
    label_weight: float = 1.0
    structure_sparsity: float = 0.1
    neighbours: int = 20
    max_iterations: int = 15
    tolerance: float = 1e-4
    similarity: ClassVar[Similarity] = "cosine"

    def __post_init__(self) -> None:
        if self.mode not in ("tied", "selfexpr", "stiefel"):
            raise UserError(f'csaec: there is no mode "{self.mode}"; choose tied, selfexpr or stiefel')
        if not self.code_weight > 0:
            raise UserError(
                f"csaec: code_weight is {self.code_weight}, but must be above 0: nothing else holds the code against "
                "its sparsity, which shrinks it to zero"
            )

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> Projections:
        """Alternating minimisation, each step exact or a descent; `valid`, `seed` and `compute` play no part.

        Raises NotApplicableError where classes are to be learnt from and there are none or all pairs have the same,
        UserError where a view is uncorrelated with them, InfeasibleError where the views have too few directions or
        items, or the code has shrunk to zero.
        """
        if self.labels:
            require_told_labels(train.once(moments), label_variation(train, "csaec"), "csaec")
            semantic = train.once(labelled_code, self.n_components, self.ridge, self.label_weight)
        else:
            semantic = train.once(unlabelled_code, self.n_components, self.ridge)
        # Labels of one class a pair sum to one, so that they span a direction less than the code has columns.
        span = Spectrum.of(semantic.T @ semantic).axes
        remedy = MORE_COMPONENTS if self.n_components == 1 else ANOTHER_METHOD
        warn_of_two_scores(train, span.shape[1], "csaec", remedy)
        last, objective = settle(
            self._rounds(train, semantic, span),
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            method="csaec",
        )
        if not last.code.any():
            raise InfeasibleError(
                f"csaec: sparsity {self.sparsity} has shrunk the code to zero; lower it or raise code_weight"
            )
        image, text = (view.projection(p) for view, p in zip(train.once(principal_views), last.weights, strict=True))
        return Projections(image, text, {}, {"objective": objective})

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)

    def _rounds(self, train: Pairs, semantic: Array, span: Array) -> Iterator[Round[Encoding]]:
        views = train.once(principal_views)
        if self.mode == "tied":
            return tied_autoencoder(
                views,
                semantic,
                decoder_weight=self.structure_weight,
                code_weight=self.code_weight,
                sparsity=self.sparsity,
                ridge=self.ridge,
            )
        if self.neighbours >= len(train):
            raise InfeasibleError(
                f"csaec: neighbours is {self.neighbours}, but an item of {len(train)} has only {len(train) - 1} "
                "others; lower neighbours"
            )
        features = min(view.features for view in views)
        if self.mode == "stiefel" and span.shape[1] > features:
            raise InfeasibleError(
                f"csaec: the code has {span.shape[1]} directions, but a view has only {features} features that vary, "
                "and thus orthonormal projections; lower n_components, or choose mode selfexpr"
            )
        return self_expression(
            views,
            semantic,
            train.once(neighbour_lists, self.neighbours),
            structure_weight=self.structure_weight,
            code_weight=self.code_weight,
            sparsity=self.sparsity,
            structure_sparsity=self.structure_sparsity,
            ridge=self.ridge,
            # An orthonormal projection onto what no item has anything of would be noise, and count like any other.
            span=span if self.mode == "stiefel" else None,
        )


def neighbour_lists(train: Pairs, neighbours: int) -> NDArray[np.intp]:
    """(n, neighbours) indices of the items nearest by both views together, which count alike; none is its own."""
    return nearest(np.hstack([in_memory(view.rows) for view in train.once(principal_views)]), neighbours)[1]
