"""What a view is made by: a frozen or fitted dataclass of options that turns images, or texts, into numbers.

Whatever learns from data says so (`learnt`), is fitted on the train part of a split only, and lies in the split's
folder; what is fixed is computed once a data set. Options whose type is `Path` are filled with the folder of an asset.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from cmr.progress import SILENT, Progress
from cmr.store import LEARNT, Kind, group, under

State = dict[str, np.ndarray]


@dataclass(frozen=True)
class LabelledImages:
    """Images of one part of a split: files, and `labels` (n, c), multi-hot."""

    paths: Sequence[Path]
    labels: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.paths)


class ImageView(ABC):
    """Turns images into features.

    Attributes
    ----------
    batch_size : images a call of `features`; the features may depend on it within rounding.
    uses_torch : workers are threads that share one network, and one GPU; else they are processes.
    learnt : has `fit`, `state` and `restore`.
    kind : `vectors` (n, d), `patches` (n, p, d), or `pixels` (n, height, width, 3).
    """

    batch_size: int = 16
    uses_torch: ClassVar[bool] = False
    learnt: ClassVar[bool] = False
    kind: Kind = "vectors"

    @abstractmethod
    def features(self, images: Sequence[Image]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """(b, d) or (b, p, d) float32, or (b, height, width, 3) uint8, of b images in RGB, of any sizes."""

    def arrays(self) -> State:
        """What is stored beside the features, such as the network that is trained on pixels."""
        return {}


class LearntImageView(ImageView):
    """An image view that is fitted on the train part."""

    learnt: ClassVar[bool] = True

    @abstractmethod
    def fit(
        self,
        train: LabelledImages,
        valid: LabelledImages | None = None,
        *,
        workers: int = 1,
        device: str = "cpu",
        progress: Progress = SILENT,
    ) -> Self:
        """Learn from `train`, for any number of workers the same; `valid` serves early stopping only."""

    @abstractmethod
    def state(self) -> State:
        """What was learnt, as named arrays."""

    @abstractmethod
    def restore(self, state: State) -> Self:
        """Take up what `state` gave."""


class TextView(ABC):
    """Turns texts into features.

    Attributes
    ----------
    counts : the features are word counts, for methods that model them as such.
    learnt : `fit` learns from the train texts; else it does nothing.
    kind : `vectors` (n, d), `patches` (n, q, d), or `tokens` (n, l), numbers of words.
    """

    counts: ClassVar[bool] = False
    learnt: ClassVar[bool] = True
    kind: ClassVar[Kind] = "vectors"

    @abstractmethod
    def fit(self, texts: Sequence[str]) -> Self:
        """Learn from the train texts."""

    @abstractmethod
    def transform(self, texts: Sequence[str]) -> NDArray[np.float32] | NDArray[np.int32]:
        """(n, d) or (n, q, d) float32, or (n, l) int32 for tokens; each row depends on its own text alone."""

    @abstractmethod
    def tokens(self, text: str) -> list[str]:
        """The words of a text, in the form in which `vocabulary` holds them."""

    @abstractmethod
    def vocabulary(self) -> list[str]:
        """The words that were learnt, or that others have learnt."""

    def known(self, words: Iterable[str]) -> set[str]:
        """Those of some words that count in `transform`; all others are out of vocabulary."""
        return set(words).intersection(self.vocabulary())

    def arrays(self) -> State:
        """What is stored beside the features, such as the matrix of word vectors of a token sequence."""
        return {}

    @abstractmethod
    def state(self) -> State:
        """What was learnt, as named arrays, those of `arrays` among them; nothing for a view that learns nothing."""

    @abstractmethod
    def restore(self, state: State) -> Self:
        """Take up what `state` gave: `transform` is then that of the view that was fitted."""


def words_array(words: Iterable[str]) -> NDArray[np.str_]:
    """(n,) words as an array of a state; none, too."""
    return np.array(list(words), dtype=np.str_)


def stored_arrays(view: TextView) -> State:
    """All arrays of a fitted view's file beside its features: `arrays`, and in a group the rest of what was learnt."""
    arrays = view.arrays()
    return arrays | under(LEARNT, {name: array for name, array in view.state().items() if name not in arrays})


def restore_stored(view: TextView, stored: State) -> TextView:
    """Give a view what `stored_arrays` had of it; other arrays may stand beside."""
    return view.restore({name: array for name, array in stored.items() if "/" not in name} | group(stored, LEARNT))
