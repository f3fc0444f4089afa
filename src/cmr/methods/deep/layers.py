"""Building blocks of the networks.

All that is random draws from a `torch.Generator` given to it, never from torch's global one, so that a training depends
on its seed and on nothing that ran before it.

A layer takes (b, d), or (s, b, d) when s networks of one architecture train together, each on its own batch: its
parameters then have a leading dimension too, vectors as (s, 1, d). So whatever computes with batches counts dimensions
from the right, and one code serves both (`cmr.methods.deep.together`).
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cmr.methods.base import Standardiser
from cmr.rows import Rows


class Standardise(nn.Module):
    """`methods.base.Standardiser` as a layer: raw features -> z-scores; its statistics are buffers."""

    def __init__(self, dimension: int, clamp: float = 5.0) -> None:
        super().__init__()
        self.clamp = clamp
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(dimension))

    def fit(self, x: Rows) -> "Standardise":
        """Take the statistics of the training features x (n, d); returns self."""
        statistics = Standardiser.fit(x)
        self.mean.copy_(torch.from_numpy(np.asarray(statistics.mean)))
        self.scale.copy_(torch.from_numpy(np.asarray(statistics.scale)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.scale).clamp(-self.clamp, self.clamp)


class Random(nn.Module):
    """Base of layers that draw random numbers."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generators = [generator]  # one a network that trains together with this one

    def each(self, draw: Callable[[Tensor, torch.Generator], Tensor], x: Tensor) -> Tensor:
        """`draw` of x (b, d), or of each network's own; its draws are those that it would make alone."""
        if len(self.generators) == 1:
            return draw(x, self.generators[0])
        return torch.stack([draw(own, generator) for own, generator in zip(x, self.generators, strict=True)])


class Dropout(Random):
    """Inverted dropout (torch's own cannot take a generator)."""

    def __init__(self, probability: float, generator: torch.Generator) -> None:
        super().__init__(generator)
        self.keep = 1.0 - probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.keep == 1.0:
            return x
        return x * self.mask(x) / self.keep

    def mask(self, x: Tensor) -> Tensor:
        """1 where a unit stays."""
        return self.each(lambda own, generator: torch.empty_like(own).bernoulli_(self.keep, generator=generator), x)


class Linear(nn.Module):
    """x W + b: Glorot-uniform weights (d, k), zero bias (k,), on the generator's device."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, device=generator.device))
        self.bias = nn.Parameter(torch.zeros(outputs, device=generator.device))
        # As of torch's (out, in) matrices, whose fans are the same, the other way round.
        nn.init.xavier_uniform_(self.weight, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        product = torch.addmm if self.weight.dim() == 2 else torch.baddbmm
        return product(self.bias, x, self.weight)


def perceptron(
    widths: Sequence[int],
    generator: torch.Generator,
    activation: type[nn.Module] | None = nn.Tanh,
    last: bool = True,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Linear layers from widths[0] inputs to widths[-1] outputs, each followed by the activation and by dropout.

    The last one too, unless `last` is false.
    """
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(widths), start=2):
        layers.append(Linear(inputs, outputs, generator))
        if number < len(widths) or last:
            layers += [] if activation is None else [activation()]
            layers += [Dropout(dropout, generator)] if dropout else []
    return nn.Sequential(*layers)


class BatchNorm(nn.Module):
    """Centre and scale each unit by its batch, without an affine map; running statistics take over in evaluation.

    Source: Ioffe & Szegedy, ICML 2015.
    """

    def __init__(self, dimension: int, device: torch.device | str = "cpu", momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(dimension, device=device))
        self.register_buffer("variance", torch.ones(dimension, device=device))

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.mean.dtype)  # products may come in bfloat16, which is too coarse for statistics
        if not self.training:
            return (x - self.mean) / (self.variance + 1e-5).sqrt()
        variance, mean = torch.var_mean(x, dim=-2, correction=0, keepdim=True)
        with torch.no_grad():
            for running, own in ((self.mean, mean), (self.variance, variance)):
                running.lerp_(own.reshape(running.shape), self.momentum)
        return (x - mean) / (variance + 1e-5).sqrt()


def reverse_gradient(x: Tensor, factor: float) -> Tensor:
    """x itself; on the way back the gradient is multiplied by -factor (Ganin & Lempitsky, ICML 2015, eq. 9-10)."""
    return _ReverseGradient.apply(x, factor)


def reversal_strength(progress: float) -> float:
    """l(p) = 2 / (1 + exp(-10 p)) - 1: from 0 to 1 as training goes on (Ganin & Lempitsky 2015)."""
    return math.tanh(5 * progress)


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.factor * gradient, None
