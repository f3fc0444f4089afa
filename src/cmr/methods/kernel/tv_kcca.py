"""Three-view kernel canonical correlation analysis on Nyström features.

Source: Gong, Ke, Isard and Lazebnik, IJCV 106(2), 2014. Card: linear/20, `tv_kcca`.
"""

from dataclasses import dataclass
from typing import ClassVar

from cmr.compute import CPU, Compute
from cmr.methods.base import Pairs, State
from cmr.methods.kernel.features import KernelProjections, kernel_features
from cmr.methods.kernel.nystroem import Gaussian, Kernel
from cmr.methods.linear.tv_cca import ThreeViewDirections, three_view_directions
from cmr.methods.linear.two_scores import warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class ThreeViewKCCA:
    """Three-view CCA whose image and text views are features of Gaussian kernels; labels stay as they are.

    Parameters
    ----------
    n_components : latent dimension k, at most the directions along which the views agree; 0 is as many as these.
    ridge : r, added to the covariance C of each view's features, and of labels, as r * tr(C)/d * I.
    power : p, each direction is weighted by its share of the largest eigenvalue ** p (0: all alike).
    landmarks : items a view whose kernel makes the features; of all items the solution is that of the dual problem.
    scale : of the kernel's squared width, relative to the mean squared distance between landmarks.
    """

    n_components: int = 10
    ridge: float = 1.0
    power: float = 4.0
    landmarks: int = 500
    scale: float = 1.0
    similarity: ClassVar[Similarity] = "cosine"

    @property
    def kernel(self) -> Kernel:
        return Gaussian(self.scale)

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> KernelProjections:
        """Closed form; `seed` draws the landmarks, `valid` and `compute` play no part.

        Raises NotApplicableError where there are no classes, InfeasibleError where the views agree along fewer than
        `n_components` directions.
        """
        train.require_classes("tv_kcca")
        features = (self.kernel, self.landmarks, seed)
        directions = train.once(_directions, *features, self.ridge)
        w_x, w_y, values = directions.weighted("tv_kcca", self.n_components, self.power)
        warn_of_two_scores(train, len(values), "tv_kcca")
        return train.once(kernel_features, *features).projections(w_x, w_y, eigenvalues=values)

    def restore(self, state: State) -> KernelProjections:
        """See Method."""
        return KernelProjections.from_state(state, self.kernel)


def _directions(train: Pairs, kernel: Kernel, landmarks: int, seed: int, ridge: float) -> ThreeViewDirections:
    m = train.once(kernel_features, kernel, landmarks, seed).moments
    return three_view_directions(m, train.labels, ridge)
