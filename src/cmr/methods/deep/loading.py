"""How pairs come to the training device: all at once where they are few, else batch by batch while it computes."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmr.methods.base import Pairs
from cmr.methods.deep.network import Batch, HostRows, as_tensor
from cmr.rows import take_rows

RESIDENT_BYTES = 2 << 30  # of all train parts, as they are held: more stay where they are
AHEAD = 4  # batches that are read while one is computed, each by a thread of its own

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches:
    """The train parts of networks that train together: one part for all of them where they share it, else one each.

    Parts of more than RESIDENT_BYTES stay in memory or on disk, and threads read batches ahead; the batches are the
    same, bit for bit.

    Attributes
    ----------
    sizes : pairs of each network's part; all the same.
    streamed : the parts are not on the device.
    """

    def __init__(self, parts: Sequence[Pairs], device: torch.device) -> None:
        self.sizes = [len(part) for part in parts]
        if len(set(self.sizes)) > 1:
            raise ValueError("networks that train together need train parts of one size")
        shared = all(part is parts[0] for part in parts)
        self._parts, self._device = parts[:1] if shared else parts, device
        self.streamed = sum(map(_bytes_of, self._parts)) > RESIDENT_BYTES
        whole = _on_host if self.streamed else Batch.of
        self._wholes = [whole(part, device) for part in self._parts]

    def whole(self, position: int) -> Batch:
        """All pairs of the network at `position`."""
        return self._wholes[position if len(self._wholes) > 1 else 0]

    def of_epoch(self, orders: Sequence[Sequence[Tensor]]) -> Iterator[Batch]:
        """The batches of an epoch; `orders` are the index tensors of each network's, on the device."""
        steps = list(zip(*orders, strict=True))
        if not self.streamed:
            return map(self._resident, steps)
        # The indices go to the host all at once: a GPU that is asked later answers when it has computed what waits.
        hosts = [torch.cat(list(order)).cpu().split([len(index) for index in order]) for order in orders]
        read = ahead(self._read, list(zip(*hosts, strict=True)), AHEAD)
        return (self._arrived(sides, indices) for sides, indices in zip(read, steps, strict=True))

    def _resident(self, indices: Sequence[Tensor]) -> Batch:
        """The pairs at each network's indices."""
        if len(indices) == 1:
            return self._wholes[0].rows(indices[0])
        if len(self._wholes) == 1:
            return self._wholes[0].rows(torch.stack(list(indices)))
        own = [whole.rows(index) for whole, index in zip(self._wholes, indices, strict=True)]
        return Batch(*(torch.stack(list(side)) for side in zip(*(vars(batch).values() for batch in own), strict=True)))

    def _read(self, indices: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Images and texts of a step, on the host."""
        parts = self._parts if len(self._parts) > 1 else [self._parts[0]] * len(indices)
        rows = [index.numpy() for index in indices]
        return tuple(
            self._joined([take_rows(getattr(part, side), own) for part, own in zip(parts, rows, strict=True)])
            for side in ("images", "texts")
        )

    def _joined(self, own: Sequence[NDArray]) -> Tensor:
        tensor = as_tensor(own[0] if len(own) == 1 else np.stack(own))
        if self._device.type != "cuda":
            return tensor
        with torch.cuda.device(self._device):  # each thread has a current device, at first the first one
            return tensor.pin_memory()

    def _arrived(self, sides: tuple[Tensor, Tensor], indices: Sequence[Tensor]) -> Batch:
        images, texts = (side.to(self._device, non_blocking=True) for side in sides)
        wholes = self._wholes if len(self._wholes) > 1 else [self._wholes[0]] * len(indices)
        labels = [whole.labels[index] for whole, index in zip(wholes, indices, strict=True)]
        if len(indices) == 1:
            return Batch(images, texts, labels[0], indices[0])
        return Batch(images, texts, torch.stack(labels), torch.stack(list(indices)))


def ahead(function: Callable[[Item], Result], items: Iterable[Item], count: int) -> Iterator[Result]:
    """`function` of each item, in order, computed by threads that are up to `count` items ahead together."""
    items = iter(items)
    with ThreadPoolExecutor(count) as pool:
        waiting = deque(pool.submit(function, item) for item in islice(items, count))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(items, 1))
            yield result


def _bytes_of(part: Pairs) -> int:
    return sum(math.prod(rows.shape) * rows.dtype.itemsize for rows in (part.images, part.texts))


def _on_host(part: Pairs, device: torch.device) -> Batch:
    """All of a part, of which labels alone are on the device."""
    labels = torch.as_tensor(np.ascontiguousarray(part.labels), dtype=torch.float32).to(device)
    images, texts = HostRows(part.images, device), HostRows(part.texts, device)
    return Batch(images, texts, labels, torch.arange(len(part), device=device))
