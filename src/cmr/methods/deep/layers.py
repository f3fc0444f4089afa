"""Building blocks of the networks. All that is random draws from a `torch.Generator` given to it, never from torch's
global one, so that a training depends on its seed and on nothing that ran before it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cmr.methods.base import Array, Standardiser


class Standardise(nn.Module):
    """`methods.base.Standardiser` as a layer: (b, d) raw features -> (b, d) z-scores; its statistics are buffers."""

    def __init__(self, dimension: int, clamp: float = 5.0) -> None:
        super().__init__()
        self.clamp = clamp
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(dimension))

    def fit(self, x: Array) -> "Standardise":
        """Take the statistics of the training features x (n, d); returns self."""
        statistics = Standardiser.fit(x)
        self.mean.copy_(torch.from_numpy(np.asarray(statistics.mean)))
        self.scale.copy_(torch.from_numpy(np.asarray(statistics.scale)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.scale).clamp(-self.clamp, self.clamp)


class Dropout(nn.Module):
    """Inverted dropout (torch's own cannot take a generator)."""

    def __init__(self, probability: float, generator: torch.Generator) -> None:
        super().__init__()
        self.keep = 1.0 - probability
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.keep == 1.0:
            return x
        return x * torch.empty_like(x).bernoulli_(self.keep, generator=self.generator) / self.keep


def linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer on the generator's device: Glorot-uniform weights, zero bias."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, device=generator.device)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def perceptron(
    widths: Sequence[int], generator: torch.Generator, activation: type[nn.Module] | None = nn.Tanh
) -> nn.Sequential:
    """Linear layers from widths[0] inputs to widths[-1] outputs, each followed by the activation, the last one too."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers.append(linear(inputs, outputs, generator))
        if activation is not None:
            layers.append(activation())
    return nn.Sequential(*layers)


def reverse_gradient(x: Tensor, factor: float) -> Tensor:
    """x itself; on the way back the gradient is multiplied by -factor (Ganin & Lempitsky, ICML 2015, eq. 9-10)."""
    return _ReverseGradient.apply(x, factor)


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.factor * gradient, None
