"""What a network takes in: all that its architecture has to know about the data, and can be restored from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cmr.methods.base import Pairs, State
from cmr.store import Kind, group, under


@dataclass(frozen=True, eq=False)
class Side:
    """One modality.

    Attributes
    ----------
    kind : `vectors` (d,), `patches` (p, d), `pixels` (height, width, 3) uint8 or `tokens` (l,) int32.
    shape : of one item.
    counts : the vectors are word counts.
    arrays : what belongs to the view besides, such as word vectors. Of a restored network those of numbers are zeros,
        whose place its weights take.
    """

    kind: Kind
    shape: tuple[int, ...]
    counts: bool = False
    arrays: Mapping[str, NDArray] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """d, of vectors or patches."""
        return self.shape[-1]

    def state(self) -> State:
        """As named arrays."""
        words = {name: array for name, array in self.arrays.items() if array.dtype.kind in "OU"}
        shapes = {name: np.array(array.shape) for name, array in self.arrays.items() if name not in words}
        own = {"kind": np.array([self.kind]), "shape": np.array(self.shape), "counts": np.array(self.counts)}
        return own | under("arrays", shapes) | under("words", words)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        arrays = {name: np.broadcast_to(np.float32(0), tuple(shape)) for name, shape in group(state, "arrays").items()}
        (kind,) = state["kind"]
        shape, counts = tuple(map(int, state["shape"])), bool(state["counts"])
        return cls(str(kind), shape, counts, arrays | group(state, "words"))


@dataclass(frozen=True, eq=False)
class Inputs:
    """Both modalities, and c, the number of classes."""

    images: Side
    texts: Side
    n_classes: int

    @classmethod
    def of(cls, pairs: Pairs) -> Self:
        """Of such pairs."""
        images = Side(pairs.image_kind, pairs.images.shape[1:], arrays=pairs.image_arrays)
        texts = Side(pairs.text_kind, pairs.texts.shape[1:], pairs.texts_are_counts, pairs.text_arrays)
        return cls(images, texts, pairs.labels.shape[1])

    def state(self) -> State:
        """As named arrays."""
        sides = under("images", self.images.state()) | under("texts", self.texts.state())
        return sides | {"n_classes": np.array(self.n_classes)}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        sides = (Side.from_state(group(state, side)) for side in ("images", "texts"))
        return cls(*sides, int(state["n_classes"]))
