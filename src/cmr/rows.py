"""Rows of numbers that need not fit into memory: arrays, views on disk, and what is computed from either, in blocks.

A row is d numbers, or an array of more dimensions, such as the pixels of an image.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]

WHOLE = (np.uint8, np.int32)  # types of pixels and of numbers of words, which stay what they are
BLOCK_BYTES = 16 << 20  # of float64, all sources of a block together


class RowSource(Protocol):
    """n rows of d numbers that are read, or made, in every pass anew."""

    shape: tuple[int, int]
    dtype: np.dtype

    def __len__(self) -> int:
        """n."""

    def pieces(self) -> Iterator[Array]:
        """All rows in order, some at a time, however many suits the source."""

    def take(self, indices: NDArray[np.integer]) -> Array:
        """The rows at `indices`, in their order."""


Rows = Array | RowSource


@dataclass(frozen=True)
class MappedRows:
    """Rows computed from the rows of another source, piece by piece.

    Attributes
    ----------
    source : (n, d).
    function : (b, d) -> (b, width), row by row.
    width : columns of the result.
    """

    source: Rows
    function: Callable[[Array], Array]
    width: int

    dtype: ClassVar[np.dtype] = np.dtype(np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.source), self.width

    def __len__(self) -> int:
        return len(self.source)

    def pieces(self) -> Iterator[Array]:
        """See RowSource."""
        widest = max(self.source.shape[1], self.width)  # a function may make many columns of few
        for block in cut_rows(self.source, max(1, BLOCK_BYTES // (8 * widest))):
            yield self.function(block)

    def take(self, indices: NDArray[np.integer]) -> Array:
        """See RowSource."""
        return self.function(_exact(take_rows(self.source, indices)))


def row_blocks(*sources: Rows) -> Iterator[tuple[slice, *tuple[Array, ...]]]:
    """Yield (rows, block, ...): the same rows of every source, in order; blocks of some 16 MB of float64 together.

    All come as float64, but for pixels (uint8) and numbers of words (int32). The cut does not depend on where a source
    lies: sums over blocks come out the same from memory and from disk.
    """
    n = len(sources[0])
    if any(len(source) != n for source in sources):
        raise ValueError(f"sources have {', '.join(str(len(source)) for source in sources)} rows")
    size = max(1, BLOCK_BYTES // (8 * sum(math.prod(source.shape[1:]) for source in sources)))
    streams = [cut_rows(source, size) for source in sources]
    for start in range(0, n, size):
        yield slice(start, min(start + size, n)), *(next(stream) for stream in streams)
    # A view on disk compares its digest after its last row.
    for stream in streams:
        next(stream, None)


def in_memory(source: Rows) -> Array:
    """All rows, as the source holds them; an array is returned as it is."""
    if isinstance(source, np.ndarray):
        return source
    return np.concatenate(list(source.pieces()))


def take_rows(source: Rows, indices: Sequence[int] | NDArray[np.integer]) -> Array:
    """The rows at `indices`, in their order, as the source holds them; of a view on disk only these are read."""
    indices = np.asarray(indices)
    return source[indices] if isinstance(source, np.ndarray) else source.take(indices)


def map_rows(function: Callable[[Array], ArrayLike], source: Rows) -> np.ndarray:
    """`function` of every block of rows, put together."""
    return np.concatenate([np.asarray(function(block)) for _, block in row_blocks(source)])


def cut_rows(source: Rows, size: int) -> Iterator[Array]:
    """Blocks of exactly `size` rows, but for the last, of the types that `row_blocks` gives."""
    if isinstance(source, np.ndarray):
        for start in range(0, len(source), size):
            yield _exact(source[start : start + size])
        return
    waiting: list[Array] = []
    for piece in source.pieces():
        waiting.append(piece)
        while (held := sum(map(len, waiting))) >= size:
            joined = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
            yield _exact(joined[:size])
            waiting = [joined[size:]] if held > size else []
    if waiting:
        yield _exact(np.concatenate(waiting))


def _exact(block: Array) -> Array:
    return block if block.dtype in WHOLE else block.astype(np.float64)
