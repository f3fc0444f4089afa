"""Cross-modal factor analysis (CFA), which is partial least squares in its singular value form (PLS-SVD).

Source: Li, Dimitrova, Li and Sethi, ACM MM 2003. Card: linear/10, `cfa`.
"""

from dataclasses import dataclass
from typing import ClassVar

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, State
from cmr.methods.linear.algebra import Array, fix_signs
from cmr.methods.linear.leading import CROSS_TOLERANCE, UNCORRELATED, leading_singular
from cmr.methods.linear.moments import moments
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.two_scores import warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class CFA:
    """Rotations A, B of the views that bring pairs nearest: min |X A - Y B|^2 subject to A'A = B'B = I.

    Parameters
    ----------
    n_components : latent dimension k, at most the rank of X'Y; 0 is as many as that.
    """

    n_components: int = 10
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
        """Closed form by one SVD of X'Y; `valid`, `seed` and `compute` play no part."""
        m = train.once(moments)
        k = self.n_components or min(m.cross.shape)
        a, b, covariances = train.once(_directions, min(k, *m.cross.shape))
        rank = int((covariances > max(CROSS_TOLERANCE * covariances[0], UNCORRELATED)).sum())
        if rank < max(self.n_components, 1):
            raise InfeasibleError(f"cfa: n_components is {self.n_components}, but these views allow at most {rank}")
        k = min(k, rank)
        warn_of_two_scores(train, k, "cfa")
        return m.projections(a[:, :k], b[:, :k], covariances=covariances[:k])

    def restore(self, state: State) -> Projections:
        """See Method."""
        return Projections.from_state(state)


def _directions(train: Pairs, k: int) -> tuple[Array, Array, Array]:
    """A (r_x, k), B (r_y, k), and the covariances of the projected pairs (k,), descending."""
    m = train.once(moments)
    a, values, b = leading_singular(m.cross / m.n, k)
    return *fix_signs(a, b), values
