"""Nyström features: a map of rows whose inner products are those of a kernel.

m rows Z of the train part are landmarks. With K(Z, Z) = E D E' their kernel, a row x has the features
F(x) = K(x, Z) E D^(-1/2), of which F(x)'F(z) = K(x, z) wherever one of the two is a landmark: of as many landmarks as
items the features are exact, and a linear method on them is its kernel method.

Source: Williams and Seeger, NIPS 2000. Card: linear/00, T4; the kernels linear/10, `kcca`.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Standardiser, State
from cmr.methods.linear.algebra import Array, Spectrum, fix_signs
from cmr.rows import MappedRows, Rows, take_rows

EIGENVALUE_TOLERANCE = 1e-8  # of the largest eigenvalue of K(Z, Z): features below hold rounding alone


class Kernel(Protocol):
    """A positive semi-definite function of two rows, which are measured in the kernel's own unit of length."""

    def squared_unit(self, landmarks: Array) -> float:
        """The square of the length by which rows are divided, from landmarks (m, d)."""

    def __call__(self, x: Array, z: Array) -> Array:
        """(b, d), (m, d) -> (b, m), of rows in that unit."""


@dataclass(frozen=True)
class Gaussian:
    """exp(-|x - z|^2 / s2), s2 being `scale` times the mean squared distance between two landmarks."""

    scale: float = 1.0

    def squared_unit(self, landmarks: Array) -> float:
        """See Kernel."""
        # The mean squared distance of two different rows is twice their variance.
        return self.scale * 2 * float(landmarks.var(axis=0, ddof=1).sum())

    def __call__(self, x: Array, z: Array) -> Array:
        """See Kernel."""
        exponent = 2 * x @ z.T
        exponent -= (x**2).sum(axis=1)[:, None]
        exponent -= (z**2).sum(axis=1)
        return np.exp(exponent, out=exponent)


@dataclass(frozen=True)
class Polynomial:
    """(1 + x'z / s2)^degree, s2 being the mean squared length of the landmarks."""

    degree: int = 3

    def squared_unit(self, landmarks: Array) -> float:
        """See Kernel."""
        return float((landmarks**2).sum(axis=1).mean())

    def __call__(self, x: Array, z: Array) -> Array:
        """See Kernel."""
        return (1 + x @ z.T) ** self.degree


@dataclass(frozen=True)
class NystroemMap:
    """The features of one view's rows.

    Attributes
    ----------
    kernel : of standardised rows.
    scaling : centres and scales by train statistics, into the kernel's unit.
    landmarks : Z (m, d), scaled.
    normaliser : E D^(-1/2) (m, r), without the eigenvalues that are zero to rounding.
    """

    kernel: Kernel
    scaling: Standardiser
    landmarks: Array
    normaliser: Array

    @classmethod
    def fit(cls, x: Rows, kernel: Kernel, landmarks: int, rng: np.random.Generator) -> Self:
        """Draw landmarks from a view (n, d); all of its items where they are no more than `landmarks`.

        Raises InfeasibleError where all landmarks are alike.
        """
        n = len(x)
        if n < 2:
            raise UserError(f"the train part has {n} pairs, but a kernel needs at least two landmarks")
        chosen = np.arange(n) if landmarks >= n else np.sort(rng.choice(n, landmarks, replace=False))
        scaling = Standardiser.fit(x)
        z = scaling(take_rows(x, chosen))
        if (z == z[0]).all():
            raise InfeasibleError(
                f"the {len(z)} landmarks of a view are all alike: it is constant over the train part, or needs more "
                "landmarks"
            )
        unit = np.sqrt(kernel.squared_unit(z))
        z /= unit
        return cls.of_landmarks(kernel, Standardiser(scaling.mean, scaling.scale * unit), z)

    @classmethod
    def of_landmarks(cls, kernel: Kernel, scaling: Standardiser, landmarks: Array) -> Self:
        """Of landmarks (m, d) that are scaled."""
        spectrum = Spectrum.of(kernel(landmarks, landmarks))
        kept = spectrum.values >= EIGENVALUE_TOLERANCE * spectrum.values[0]
        (normaliser,) = fix_signs(spectrum.whitener()[:, kept])
        return cls(kernel, scaling, landmarks, normaliser)

    def __call__(self, block: Array) -> Array:
        """(b, d) -> (b, r) float64, not centred."""
        return self.kernel(self.scaling(block), self.landmarks) @ self.normaliser

    def rows(self, x: Rows) -> MappedRows:
        """The features of all rows of a view, made anew in every pass."""
        return MappedRows(x, self, self.normaliser.shape[1])

    def state(self) -> State:
        """See `cmr.methods.base.Model`; without the kernel, which a method has among its hyper-parameters."""
        return {
            "mean": self.scaling.mean,
            "scale": self.scaling.scale,
            "landmarks": self.landmarks,
            "normaliser": self.normaliser,
        }

    @classmethod
    def from_state(cls, state: State, kernel: Kernel) -> Self:
        """The inverse of `state`."""
        return cls(kernel, Standardiser(state["mean"], state["scale"]), state["landmarks"], state["normaliser"])
