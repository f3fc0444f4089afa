"""Bilinear model (BLM): modality is style, item is content.

Source: Tenenbaum and Freeman, Neural Computation 2000; for retrieval Sharma et al., CVPR 2012. Card: linear/10, `blm`.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import RANK_TOLERANCE, Array, fix_signs
from cmr.methods.linear.leading import CROSS_TOLERANCE, leading_eigen
from cmr.methods.linear.moments import Moments, moments
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.two_scores import warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class BLM:
    """Leading eigenvectors [w_x; w_y] of [[X'X, a X'Y], [a Y'X, Y'Y]], each view being of unit Frobenius norm.

    Parameters
    ----------
    n_components : latent dimension k.
    cross_weight : a, of what the views share against what each has alone; 1 is PCA of the concatenated views.
    inference : of the content z of an item x: `projection` z = x W_x, as Sharma et al.; `pinv` z = x pinv(W_x)', the
        content of which x is the least-squares reconstruction, as Tenenbaum and Freeman.
    """

    n_components: int = 10
    cross_weight: float = 1.0
    inference: Literal["projection", "pinv"] = "projection"
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
        """Closed form by one eigenproblem; `valid`, `seed` and `compute` play no part."""
        m = train.once(moments)
        k, size = self.n_components, sum(m.cross.shape)
        w_x, w_y, values = train.once(_directions, min(k, size), self.cross_weight)
        rank = int((values > RANK_TOLERANCE * values[0]).sum())
        if k > rank:
            raise InfeasibleError(f"blm: n_components is {k}, but these views allow at most {rank}")
        warn_of_two_scores(train, k, "blm")
        if self.inference == "pinv":
            w_x, w_y = (np.linalg.pinv(w, rcond=CROSS_TOLERANCE).T for w in (w_x, w_y))
        norm_x, norm_y = _norms(m)
        return m.projections(w_x / norm_x, w_y / norm_y, eigenvalues=values)

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


def _norms(m: Moments) -> tuple[float, float]:
    """|X|_F, |Y|_F."""
    return float(np.sqrt(np.trace(m.x.gram))), float(np.sqrt(np.trace(m.y.gram)))


def _directions(train: Pairs, k: int, cross_weight: float) -> tuple[Array, Array, Array]:
    """W_x (r_x, k), W_y (r_y, k) of views of unit norm, and eigenvalues (k,), descending."""
    m = train.once(moments)
    norm_x, norm_y = _norms(m)
    cross = cross_weight / (norm_x * norm_y) * m.cross
    values, axes = leading_eigen(np.block([[m.x.gram / norm_x**2, cross], [cross.T, m.y.gram / norm_y**2]]), k)
    return *fix_signs(*np.split(axes, [len(m.x.gram)])), values
