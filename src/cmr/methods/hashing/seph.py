"""Semantics-preserving hashing (SePH): codes from labels alone, and a kernel classifier a bit and view that meets them.

Source: Lin, Ding, Hu and Wang, CVPR 2015. Card: linear/50, `seph_km`.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from cmr.compute import CPU, Compute
from cmr.errors import UserError
from cmr.methods.base import Pairs, Standardiser, State
from cmr.methods.hashing.codes import Bits, HashCodes, positive
from cmr.methods.hashing.kernel_logistic import kernel_logistic
from cmr.methods.hashing.label_codes import LabelCodes, label_codes
from cmr.methods.kernel.nystroem import Gaussian, NystroemMap
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.label_sets import require_differences
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import Rows, row_blocks, take_rows

Sampling = Literal["km", "random"]

SIDES = ("images", "texts")
MOST_CLUSTERED = 10_000  # items of a view among which k-means finds the centres
KERNEL = Gaussian()


@dataclass(frozen=True)
class SePH:
    """Codes of the train part by its labels (`label_codes`), then kernel logistic regressions onto their bits.

    Labels with several classes a pair are fine. A pair without any is left out of training.

    Parameters
    ----------
    bits : q.
    landmarks : centres m of each view's kernel exp(-|x - z|^2 / s2), at most the items that there are; s2 is the mean
        of all squared distances in the train part.
    sampling : centres are those of k-means (`km`) or items drawn at random (`random`).
    ridge : C, the weight of the penalty C w'K_0 w of the regressions.
    quantisation : a, the weight of the distance of the relaxed codes from -1 and +1.
    max_iterations : of the descent to the codes.
    """

    bits: int = 16
    landmarks: int = 500
    sampling: Sampling = "km"
    ridge: float = 0.01
    quantisation: float = 0.01
    max_iterations: int = 100
    similarity: ClassVar[Similarity] = "hamming"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> HashCodes:
        """Starts of the codes and centres come from `seed`; `valid` and `compute` play no part.

        The history holds the objective of the codes, at the start and after each iteration.

        Raises NotApplicableError where there are no classes or labels tell no pair from another, UserError where labels
        make none alike, or where a view is constant or gives all train items the same code.
        """
        train.require_classes("seph")
        require_differences(train.labels[train.labels.any(axis=1)], "seph")
        codes = train.once(_label_codes, self.bits, self.max_iterations, self.quantisation, seed)
        encoders = []
        for side in progress.track(SIDES, "seph", len(SIDES), "view"):
            features = train.once(_features, side, self.landmarks, self.sampling, seed)
            rows = features.rows(getattr(train, side))
            weights = kernel_logistic(rows, codes.bits, codes.known, self.ridge, side)
            encoders.append(KernelEncoder(features, weights))
        return HashCodes(*encoders, {"objective": codes.objective})

    def restore(self, state: State) -> HashCodes:
        """See Method."""
        return HashCodes.from_state(state, KernelEncoder.from_state)


@dataclass(frozen=True)
class KernelEncoder:
    """The signs of a linear map of Nyström features."""

    features: NystroemMap
    weights: Array  # (r, q)

    def __call__(self, block: Array) -> Bits:
        """See `cmr.methods.hashing.codes.Encoder`."""
        return positive(self.features(block), self.weights)

    def state(self) -> State:
        """See `cmr.methods.hashing.codes.Encoder`."""
        return self.features.state() | {"weights": self.weights}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        return cls(NystroemMap.from_state(state, KERNEL), state["weights"])


def _label_codes(train: Pairs, bits: int, iterations: int, quantisation: float, seed: int) -> LabelCodes:
    return label_codes(train.labels, bits, iterations, quantisation, seed)


def _features(train: Pairs, side: str, landmarks: int, sampling: Sampling, seed: int) -> NystroemMap:
    """Of a view that is centred, and divided by the root of its mean squared distance; nothing is standardised."""
    x: Rows = getattr(train, side)
    rng = np.random.default_rng([seed, SIDES.index(side)])  # the two views draw different items
    mean = Standardiser.fit(x).mean
    # The mean over all pairs of items, each with itself among them, is twice the variance.
    mean_squared_distance = 2 * sum(((block - mean) ** 2).sum() for _, block in row_blocks(x)) / len(x)
    if mean_squared_distance == 0:
        raise UserError(f"seph: the view of {side} is constant over the train part, so nothing can be learnt from it")
    scaling = Standardiser(mean, np.full(len(mean), np.sqrt(mean_squared_distance)))
    centres = _centres(x, scaling, landmarks, sampling, rng)
    return NystroemMap.of_landmarks(KERNEL, scaling, centres)


def _centres(x: Rows, scaling: Standardiser, landmarks: int, sampling: Sampling, rng: np.random.Generator) -> Array:
    n = len(x)
    if landmarks >= n:
        return scaling(take_rows(x, np.arange(n)))
    if sampling == "random":
        return scaling(take_rows(x, np.sort(rng.choice(n, landmarks, replace=False))))
    items = np.arange(n) if n <= MOST_CLUSTERED else np.sort(rng.choice(n, MOST_CLUSTERED, replace=False))
    kmeans = KMeans(landmarks, init="random", n_init=1, max_iter=100, random_state=int(rng.integers(2**31)))
    with threadpool_limits(1), warnings.catch_warnings():  # the last digits do not depend on how many cores there are
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different items than centres
        return kmeans.fit(scaling(take_rows(x, items))).cluster_centers_
