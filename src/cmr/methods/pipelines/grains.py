"""Features of items as a whole and of their parts, on stacks of RBMs: the two grains of CCL.

Card: deep/06, `ccl`. An item with parts is (1 + p, d): row 0 the whole, the others its parts, zero where absent.
"""

import numpy as np
import torch
from torch import Tensor, nn

from cmr.methods.base import Array
from cmr.methods.boltzmann.stack import Stack


class Whole(nn.Module):
    """The stack's top for whole items: (b, d), or (b, 1 + p, d) whose parts do not count -> (b, n)."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.stack = stack

    def forward(self, x: Tensor) -> Tensor:
        return self.stack(x if x.dim() == 2 else x[:, 0])


class MeanOfParts(nn.Module):
    """The mean of the stack's tops over the parts that are present: (b, 1 + p, d) -> (b, n), zero where none is."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.stack = stack

    def forward(self, x: Tensor) -> Tensor:
        parts = x[:, 1:]
        present = parts.any(dim=-1, keepdim=True)
        tops = self.stack(parts.flatten(0, 1)).unflatten(0, parts.shape[:2])
        return torch.where(present, tops, 0.0).sum(1) / present.sum(1).clamp(min=1)


GRAINS: dict[str, type[nn.Module]] = {"coarse": Whole, "fine": MeanOfParts}


def whole(x: Array) -> Array:
    """(n, d) of items that may have parts."""
    return x if x.ndim == 2 else x[:, 0]


def present_parts(x: Array) -> Array:
    """(m, d), all parts of n items (n, 1 + p, d) that are not absent."""
    parts = x[:, 1:]
    return parts[np.any(parts, axis=-1)]
