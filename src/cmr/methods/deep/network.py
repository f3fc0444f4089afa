"""What a deep method hands to the trainer, and the fitted model that comes of it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from cmr.checkpoint import to_arrays, to_tensors
from cmr.methods.base import Array, History, Pairs, State
from cmr.methods.deep.inputs import Inputs
from cmr.methods.histories import history_of, with_history
from cmr.rows import WHOLE, Rows, cut_rows, in_memory, take_rows
from cmr.store import group, under

ROWS_AT_ONCE = 4096  # of vectors or tokens; bounds the memory that embedding a large gallery takes
BYTES_AT_ONCE = 8 << 20  # of any other kind: what a convolutional network computes of pixels is many times as large


@dataclass(frozen=True, eq=False)
class HostRows:
    """Items that stay in memory or on disk: what is asked for comes to the training device.

    It can do what networks need of a tensor of all items: `outputs`, and items by number.

    Attributes
    ----------
    source : (n, ...).
    device : where the blocks are wanted.
    """

    source: Rows
    device: torch.device

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.source.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of a number on the device."""
        return self.source.dtype.itemsize if self.source.dtype in WHOLE else 4

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The items at `index`, of any shape, on the device."""
        taken = as_tensor(take_rows(self.source, index.flatten().cpu().numpy()))
        return taken.unflatten(0, index.shape).to(self.device)

    def split(self, rows: int) -> Iterator[Tensor]:
        """All items in order, so many at a time, on the device."""
        return (as_tensor(block).to(self.device) for block in cut_rows(self.source, rows))


@dataclass(frozen=True)
class Batch:
    """b pairs on the training device; where s networks train together, s of each, (s, b, ...).

    Of a whole train part that is too large for the device, images and texts are `HostRows`.
    """

    images: Tensor  # (b, d_x) float32, or what an item of another kind is
    texts: Tensor  # (b, d_y) float32, likewise
    labels: Tensor  # (b, c) float32, multi-hot
    index: Tensor  # (b,) int64, the rows of the train part that these are

    @classmethod
    def of(cls, pairs: Pairs, device: torch.device) -> Self:
        """All of `pairs` as one batch on `device`."""
        images, texts = as_tensor(in_memory(pairs.images)), as_tensor(in_memory(pairs.texts))
        labels = torch.as_tensor(np.ascontiguousarray(pairs.labels), dtype=torch.float32)
        return cls(images.to(device), texts.to(device), labels.to(device), torch.arange(len(pairs), device=device))

    def rows(self, index: Tensor) -> Self:
        """The pairs at `index`, (b,) or (s, b)."""
        return type(self)(self.images[index], self.texts[index], self.labels[index], self.index[index])

    def __len__(self) -> int:
        return len(self.index)


class CommonSpace(nn.Module, ABC):
    """A network that embeds images and texts, each without the other."""

    @abstractmethod
    def embed_images(self, images: Tensor) -> Tensor:
        """(b, d_x) -> (b, k)."""

    @abstractmethod
    def embed_texts(self, texts: Tensor) -> Tensor:
        """(b, d_y) -> (b, k)."""

    def ranked(self, embeddings: Array) -> Array:
        """What is compared of embeddings (n, k): they themselves, or packed codes (n, bytes) made of them."""
        return embeddings


class TrainableSpace(CommonSpace):
    """One that also knows what to minimise on a batch of pairs.

    Attributes
    ----------
    together : several of them, of other seeds, may train in one go; their layers and losses then count dimensions from
        the right, see `layers`, and draw random numbers by kinds of `layers.Random` alone. A layer that cannot says so
        by an attribute of the same name.
    """

    together: ClassVar[bool] = True

    @property
    def trains_together(self) -> bool:
        """Whether it and all its layers may."""
        return all(getattr(module, "together", True) for module in self.modules())

    @abstractmethod
    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """The named terms of the objective, a scalar each; `progress` is the share of epochs that is over, in [0, 1).

        Of s networks that train together, (s,) each.
        """

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """`losses`; so that a module's wrappers, such as `torch.compile`, know what is computed."""
        return self.losses(batch, progress)

    def begin(self, train: Batch) -> None:
        """Before the first epoch, without gradients, in evaluation mode; `train` is the whole train part.

        Its images and texts may be too many for one pass, or for the device: see `outputs`.
        """

    def end_epoch(self, train: Batch) -> None:
        """After each epoch, before the valid part is scored; as `begin`.

        What it changes must lie in buffers, so that a training that was killed can go on.
        """


@dataclass(frozen=True)
class DeepModel:
    """A trained network behind the NumPy contract of `methods.base.Model`."""

    network: CommonSpace
    history: History
    inputs: Inputs

    def embed_images(self, images: Array) -> Array:
        """(n, d_x) -> (n, k) float32, or packed codes."""
        return self.network.ranked(embed(self.network, self.network.embed_images, images))

    def embed_texts(self, texts: Array) -> Array:
        """(n, d_y) -> (n, k) float32, or packed codes."""
        return self.network.ranked(embed(self.network, self.network.embed_texts, texts))

    def state(self) -> State:
        """Weights and buffers under `network/`, what they take in under `inputs/`, the history under `history/`."""
        arrays = under("network", to_arrays(self.network.state_dict())) | under("inputs", self.inputs.state())
        return with_history(arrays, self.history)

    @classmethod
    def from_state(cls, build: Callable[[Inputs], CommonSpace], state: State) -> Self:
        """The model of `state`, whose weights go into the network that `build` makes."""
        inputs = Inputs.from_state(group(state, "inputs"))
        network = build(inputs)
        network.load_state_dict(to_tensors(group(state, "network")))
        return cls(network, history_of(state), inputs)


def embed(network: nn.Module, side: Callable[[Tensor], Tensor], x: Rows | Tensor) -> Array:
    """One side of a network in evaluation mode: n items -> (n, k) float32 NumPy, in blocks of rows."""
    device = next(chain(network.parameters(), network.buffers())).device
    if isinstance(x, np.ndarray):
        x = as_tensor(x)
    elif not isinstance(x, Tensor):
        x = HostRows(x, device)
    training = network.training
    network.eval()
    with torch.inference_mode():
        codes = outputs(lambda block: side(block.to(device)).float().cpu(), x)
    network.train(training)
    return codes.numpy()


def outputs(function: Callable[[Tensor], Tensor], x: Tensor | HostRows) -> Tensor:
    """`function` of n items, (b, ...) -> (b, ...), in blocks of rows: the cut depends on their shape and type alone."""
    size = math.prod(x.shape[1:]) * x.itemsize
    rows = ROWS_AT_ONCE if len(x.shape) == 2 else max(1, BYTES_AT_ONCE // max(1, size))
    return torch.cat([function(block) for block in x.split(rows)])


def as_tensor(x: np.ndarray) -> Tensor:
    """Features as float32; pixels (uint8) and numbers of words (int32) as they are."""
    # torch shares an array's memory, and wants to be allowed to write there.
    return torch.from_numpy(np.require(x, x.dtype if x.dtype in WHOLE else np.float32, ("C", "W")))
