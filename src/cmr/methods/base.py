"""What a method is, what it is given, and what it returns.

A method is a frozen dataclass of hyper-parameters with a `fit`; what `fit` returns embeds unseen items of ONE modality
at a time, so no query can carry its other side.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.metrics import relevance_labels
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity

Array = NDArray[np.floating]
State = dict[str, np.ndarray]
History = dict[str, list[float]]


class InfeasibleError(UserError):
    """These hyper-parameters cannot be fitted to these data; grid selection records the candidate and goes on."""


@dataclass(frozen=True)
class Pairs:
    """n image-text pairs of one part of a split, as two views: row i of `images` and `texts` belong together.

    Attributes
    ----------
    images : (n, d_x) float32.
    texts : (n, d_y) float32.
    labels : (n, c) bool, multi-hot; one True a row unless the data set is multi-label. No column (c = 0) where the data
        set has no classes.
    texts_are_counts : the text view holds word counts, for methods that model them as such.
    groups : (n,) int, equal for items that belong together, such as the captions of one image; by default none do.
    """

    images: Array
    texts: Array
    labels: NDArray[np.bool_]
    texts_are_counts: bool = False
    groups: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.texts) == len(self.labels):
            raise UserError(
                f"images, texts and labels must have one row a pair, but have "
                f"{len(self.images)}, {len(self.texts)} and {len(self.labels)}"
            )
        for name in ("images", "texts"):
            bad = np.flatnonzero(~np.isfinite(getattr(self, name)).all(axis=1))
            if len(bad):
                raise UserError(f"{name}: {len(bad)} rows hold NaN or infinite values, the first is row {bad[0]}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def relevance(self) -> NDArray[np.bool_]:
        """(n, r) bool: items that share a column are relevant to each other, see `cmr.metrics.relevance_labels`."""
        return relevance_labels(self.labels, np.arange(len(self)) if self.groups is None else self.groups)

    @property
    def classes(self) -> NDArray[np.intp]:
        """(n,) class index of each pair; refused where a pair has several labels or none."""
        if not (self.labels.sum(axis=1) == 1).all():
            raise UserError("this method needs exactly one label a pair, but the data set is multi-label")
        return self.labels.argmax(axis=1)

    def require_classes(self, method: str) -> None:
        """Refuse a data set without classes; `method` is the name to be told."""
        if self.labels.shape[1] == 0:
            raise UserError(f"{method}: it learns from classes, but the data set has none: take it out of these runs")


class Model(Protocol):
    """A fitted method."""

    history: History  # one list a quantity, one value an epoch or iteration; empty for closed forms

    def embed_images(self, images: Array) -> Array:
        """(n, d_x) -> (n, k), from the images alone."""

    def embed_texts(self, texts: Array) -> Array:
        """(n, d_y) -> (n, k), from the texts alone."""

    def state(self) -> State:
        """Everything that `Method.restore` needs, as named arrays."""


class Method(Protocol):
    """Hyper-parameters (a frozen dataclass) and how to fit them."""

    similarity: ClassVar[Similarity]

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
        progress: Progress = SILENT,
    ) -> Model:
        """Learn from `train`; `valid` serves early stopping only. The same arguments give the same model."""

    def restore(self, state: State) -> Model:
        """The model that `state` was taken from."""


@dataclass(frozen=True)
class Standardiser:
    """Centre and scale by train statistics (card linear/00): (x - mean) / std, a constant column keeps its scale."""

    mean: Array  # (d,)
    scale: Array  # (d,)
    clamp: float = field(default=np.inf)

    @classmethod
    def fit(cls, x: Array, clamp: float = np.inf) -> Self:
        """Statistics of x (n, d); values beyond +-`clamp` standard deviations are cut when applied."""
        x = np.asarray(x, dtype=np.float64)
        std = x.std(axis=0)
        # A column is constant when its spread is rounding noise of its own magnitude.
        constant = std <= 1e-12 * np.maximum(np.abs(x).max(axis=0), 1e-300)
        return cls(x.mean(axis=0), np.where(constant, 1.0, std), clamp)

    def __call__(self, x: Array) -> Array:
        """(n, d) -> (n, d) float64."""
        z = (np.asarray(x, dtype=np.float64) - self.mean) / self.scale
        return np.clip(z, -self.clamp, self.clamp) if np.isfinite(self.clamp) else z
