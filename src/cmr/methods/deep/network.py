"""What a deep method hands to the trainer, and the fitted model that comes of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from cmr.checkpoint import to_arrays, to_tensors
from cmr.methods.base import Array, History, Pairs, State
from cmr.methods.histories import history_of, with_history
from cmr.store import group, under

ROWS_AT_ONCE = 4096  # bounds the memory that embedding a large gallery takes


@dataclass(frozen=True)
class Batch:
    """b pairs on the training device."""

    images: Tensor  # (b, d_x) float32
    texts: Tensor  # (b, d_y) float32
    labels: Tensor  # (b, c) float32, multi-hot

    @classmethod
    def of(cls, pairs: Pairs, device: torch.device) -> Self:
        """All of `pairs` as one batch on `device`."""
        arrays = (pairs.images, pairs.texts, pairs.labels)
        return cls(*(torch.as_tensor(array, dtype=torch.float32, device=device) for array in arrays))

    def rows(self, index: Tensor) -> Self:
        """The pairs at `index`."""
        return type(self)(self.images[index], self.texts[index], self.labels[index])

    def __len__(self) -> int:
        return len(self.images)


class CommonSpace(nn.Module, ABC):
    """A network that embeds images and texts, each without the other."""

    @abstractmethod
    def embed_images(self, images: Tensor) -> Tensor:
        """(b, d_x) -> (b, k)."""

    @abstractmethod
    def embed_texts(self, texts: Tensor) -> Tensor:
        """(b, d_y) -> (b, k)."""


class TrainableSpace(CommonSpace):
    """One that also knows what to minimise on a batch of pairs."""

    @abstractmethod
    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """The named terms of the objective, scalars; `progress` is the share of the epochs that is over, in [0, 1)."""


@dataclass(frozen=True)
class DeepModel:
    """A trained network behind the NumPy contract of `methods.base.Model`."""

    network: CommonSpace
    history: History

    def embed_images(self, images: Array) -> Array:
        """(n, d_x) -> (n, k) float32."""
        return embed(self.network, self.network.embed_images, images)

    def embed_texts(self, texts: Array) -> Array:
        """(n, d_y) -> (n, k) float32."""
        return embed(self.network, self.network.embed_texts, texts)

    def state(self) -> State:
        """Weights and buffers under `network/`, the history under `history/`."""
        return with_history(under("network", to_arrays(self.network.state_dict())), self.history)

    @classmethod
    def from_state(cls, network: CommonSpace, state: State) -> Self:
        """The model of `state`, whose weights go into `network`, built with the same sizes."""
        network.load_state_dict(to_tensors(group(state, "network")))
        return cls(network, history_of(state))


def embed(network: nn.Module, side: Callable[[Tensor], Tensor], x: Array | Tensor) -> Array:
    """One side of a network in evaluation mode: (n, d) -> (n, k) float32 NumPy, in blocks of rows."""
    device = next(chain(network.parameters(), network.buffers())).device
    x = torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float32) if isinstance(x, np.ndarray) else x.float()
    training = network.training
    network.eval()
    with torch.inference_mode():
        blocks = [side(block.to(device)).cpu() for block in x.split(ROWS_AT_ONCE)]
    network.train(training)
    return torch.cat(blocks).numpy()
