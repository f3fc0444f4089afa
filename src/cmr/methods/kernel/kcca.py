"""Kernel canonical correlation analysis (KCCA) on Nyström features.

Source: Akaho 2001; Bach and Jordan, JMLR 2002; Hardoon et al., Neural Computation 2004. Card: linear/10, `kcca`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cmr.compute import CPU, Compute
from cmr.methods.base import Pairs, State
from cmr.methods.kernel.features import KernelProjections, kernel_features
from cmr.methods.kernel.nystroem import Gaussian, Kernel, Polynomial
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.cca import canonical_directions, components
from cmr.methods.linear.moments import PreparedView
from cmr.methods.linear.two_scores import warn_of_two_scores
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class KernelCCA(ABC):
    """CCA of Nyström features, whatever their kernel.

    Parameters
    ----------
    n_components : latent dimension k, at most the directions along which the features of the views correlate.
    ridge : r, added to the covariance C of each view's features as r * tr(C)/10 * I.
    landmarks : items a view whose kernel makes the features; of all items the solution is that of the dual problem.
    """

    n_components: int = 10
    ridge: float = 0.1
    landmarks: int = 500
    similarity: ClassVar[Similarity] = "cosine"
    name: ClassVar[str]

    @property
    @abstractmethod
    def kernel(self) -> Kernel:
        """Of both views."""

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

        Raises InfeasibleError where the features correlate along fewer than `n_components` directions.
        """
        features = (self.kernel, self.landmarks, seed)
        w_x, w_y, correlations = train.once(_directions, *features, self.ridge)
        k = components(self.n_components, correlations, self.name)
        warn_of_two_scores(train, k, self.name)
        return train.once(kernel_features, *features).projections(w_x[:, :k], w_y[:, :k], correlations=correlations[:k])

    def restore(self, state: State) -> KernelProjections:
        """See Method."""
        return KernelProjections.from_state(state, self.kernel)


@dataclass(frozen=True)
class GaussianKCCA(KernelCCA):
    """KCCA of Gaussian kernels.

    Parameters
    ----------
    scale : of the kernel's squared width, relative to the mean squared distance between landmarks.
    """

    scale: float = 1.0
    name: ClassVar[str] = "kcca_gaussian"

    @property
    def kernel(self) -> Kernel:
        return Gaussian(self.scale)


@dataclass(frozen=True)
class PolynomialKCCA(KernelCCA):
    """KCCA of polynomial kernels.

    Parameters
    ----------
    degree : of the polynomial.
    """

    degree: int = 3
    name: ClassVar[str] = "kcca_poly"

    @property
    def kernel(self) -> Kernel:
        return Polynomial(self.degree)


def _directions(train: Pairs, kernel: Kernel, landmarks: int, seed: int, ridge: float) -> tuple[Array, Array, Array]:
    m = train.once(kernel_features, kernel, landmarks, seed).moments
    return canonical_directions(m, ridge * _leading_energy(m.x), ridge * _leading_energy(m.y))


def _leading_energy(features: PreparedView) -> float:
    """tr(C)/10: a few features hold most of the variance, so that the mean over all would be next to nothing."""
    return float(np.trace(features.gram)) / (10 * features.n)
