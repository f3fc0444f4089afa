"""Binary codes: signs of linear functions, packed into bytes, and the model that two of them make.

The Hamming distance of two codes h, g in {-1, +1}^q is (q - h'g)/2. The bits of a code fill bytes from the highest bit
down (`numpy.packbits`). A code whose length is no multiple of eight ends in zeros, which all codes share, so that they
add nothing to a distance.

Card: linear/50.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cmr.methods.base import History, State
from cmr.methods.histories import history_of, with_history
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.projections import Projection
from cmr.rows import Rows, map_rows
from cmr.store import group, under

Bits = NDArray[np.bool_]

# Of |f||w|. The rounding of a product f'w lies below, so that a product which is zero has the same sign in any block.
_ZERO = 1e-12


def positive(features: Array, weights: Array) -> Bits:
    """(n, r), (r, q) -> (n, q): f'w >= 0, where zero to rounding counts as zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", features, features))
    slack = np.outer(lengths, _ZERO * np.sqrt(np.einsum("ij,ij->j", weights, weights)))
    return features @ weights >= -slack


def signs(bits: Bits) -> Array:
    """-1 and +1 of bits of any shape."""
    return np.where(bits, 1.0, -1.0)


def pack(bits: Bits) -> NDArray[np.uint8]:
    """(n, q) -> (n, bytes)."""
    return np.packbits(bits, axis=1)


class Encoder(Protocol):
    """A hash function of one modality."""

    def __call__(self, block: Array) -> Bits:
        """(b, d) features -> (b, q)."""

    def state(self) -> State:
        """Everything that restores it, as named arrays."""


@dataclass(frozen=True)
class LinearEncoder:
    """The signs of a linear map of a standardised view."""

    projection: Projection

    def __call__(self, block: Array) -> Bits:
        """See Encoder."""
        return positive(self.projection.scaling(block), self.projection.weights)

    def state(self) -> State:
        """See Encoder."""
        return self.projection.state()

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        return cls(Projection.from_state(state))


@dataclass(frozen=True)
class HashCodes:
    """One hash function a modality: the model of hashing methods."""

    image: Encoder
    text: Encoder
    history: History

    def embed_images(self, images: Rows) -> NDArray[np.uint8]:
        """(n, d_x) -> (n, bytes), packed codes."""
        return map_rows(lambda block: pack(self.image(block)), images)

    def embed_texts(self, texts: Rows) -> NDArray[np.uint8]:
        """(n, d_y) -> (n, bytes), packed codes."""
        return map_rows(lambda block: pack(self.text(block)), texts)

    def state(self) -> State:
        """See `cmr.methods.base.Model`."""
        return with_history(under("image", self.image.state()) | under("text", self.text.state()), self.history)

    @classmethod
    def from_state(cls, state: State, encoder: Callable[[State], Encoder]) -> Self:
        """The inverse of `state`; `encoder` is the inverse of an encoder's."""
        return cls(encoder(group(state, "image")), encoder(group(state, "text")), history_of(state))
