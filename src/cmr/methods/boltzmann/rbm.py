"""Restricted Boltzmann machines for binary, real and count data.

Sources: Hinton 2002; Welling et al. 2005 (Gaussian units); Salakhutdinov & Hinton 2009 (replicated softmax). Card:
deep/01. Symbols: v (b, n_v) visible, h (b, n_h) hidden, W weights, a and b the biases, s the standard deviation of
Gaussian units, 1 for the others, and D, which is 1 but for replicated softmax, where it is a document's number of
words. For all three kinds

    E(v, h) = visible energy(v) - h (v W / s + D b)
    P(h = 1 | v) = sigmoid(v W / s + D b)
    F(v) = visible energy(v) - sum_j softplus((v W / s + D b)_j).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

FEWEST_WORDS = 1e-6  # stands for the length of an empty document, whose hidden units are then all at 1/2


class RBM(nn.Module, ABC):
    """Parameters and conditionals; the kinds differ in their visible units.

    The parameters are buffers: contrastive divergence changes them, and they stay fixed afterwards. Batches may have
    leading dimensions, see `deep.layers`.
    """

    weight_scale = 0.01  # standard deviation of the initial weights

    def __init__(self, n_visible: int, n_hidden: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(n_visible, n_hidden, device=device))
        self.register_buffer("visible_bias", torch.zeros(n_visible, device=device))
        self.register_buffer("hidden_bias", torch.zeros(n_hidden, device=device))

    @property
    def n_visible(self) -> int:
        """Visible units."""
        return self.weights.shape[-2]

    @property
    def n_hidden(self) -> int:
        """Hidden units."""
        return self.weights.shape[-1]

    def initialise(self, data: Tensor, generator: torch.Generator, weight_scale: float | None = None) -> None:
        """Small random weights; the visible bias reproduces the marginal means of the data (n, n_v)."""
        self.weights.normal_(0.0, self.weight_scale if weight_scale is None else weight_scale, generator=generator)
        self.visible_bias.copy_(self.marginal_bias(data))
        self.hidden_bias.zero_()

    def extra_repr(self) -> str:
        """Numbers of visible and hidden units, for `repr`."""
        return f"{self.n_visible}, {self.n_hidden}"

    def hidden_input(self, v: Tensor) -> Tensor:
        """v W / s + D b, (b, n_h)."""
        return affine(self.scaled(v), self.weights, self.length(v) * self.hidden_bias)

    def visible_input(self, h: Tensor) -> Tensor:
        """h W^T + a, (b, n_v)."""
        return affine(h, self.weights.mT, self.visible_bias)

    def forward(self, v: Tensor) -> Tensor:
        """P(h = 1 | v), (b, n_h): probabilities, which are also what the next layer of a stack is given."""
        return torch.sigmoid(self.hidden_input(v))

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h), (b,)."""
        return self.visible_energy(v) - (h * self.hidden_input(v)).sum(-1)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)), (b,)."""
        return self.visible_energy(v) - softplus(self.hidden_input(v)).sum(-1)

    def statistics(self, v: Tensor, h: Tensor) -> dict[str, Tensor]:
        """The mean over b states (v, h) of -dE / d parameter, by the parameter's name."""
        return {
            "weights": self.scaled(v).mT @ h / v.shape[-2],
            "visible_bias": self.visible_statistics(v).mean(-2),
            "hidden_bias": (self.length(v) * h).mean(-2),
        }

    def scaled(self, v: Tensor) -> Tensor:
        """v / s, (b, n_v)."""
        return v

    def length(self, v: Tensor) -> Tensor:
        """D, (b, 1)."""
        return torch.ones_like(v[..., :1])

    def visible_energy(self, v: Tensor) -> Tensor:
        """The part of the energy that no hidden unit enters, (b,)."""
        return -(v * self.visible_bias).sum(-1)

    def visible_statistics(self, v: Tensor) -> Tensor:
        """-dE / da, (b, n_v)."""
        return v

    @abstractmethod
    def visible_mean(self, h: Tensor, length: Tensor) -> Tensor:
        """E[v | h], (b, n_v)."""

    @abstractmethod
    def draw(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        """States of visible units whose means are these, (b, n_v)."""

    @abstractmethod
    def marginal_bias(self, data: Tensor) -> Tensor:
        """The visible bias under which, with zero weights, E[v] is the mean of the data, (n_v,)."""


class BernoulliRBM(RBM):
    """Visible units in {0, 1}, or probabilities of a layer below."""

    def visible_mean(self, h: Tensor, length: Tensor) -> Tensor:
        return torch.sigmoid(self.visible_input(h))

    def draw(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        return draw_bits(mean, generator)

    def marginal_bias(self, data: Tensor) -> Tensor:
        return torch.logit(data.mean(0).clamp(0.01, 0.99))  # a unit that is always off keeps a finite bias


class GaussianRBM(RBM):
    """Real visible units of standard deviation `s` about their mean: the input must be z-scored."""

    def __init__(self, n_visible: int, n_hidden: int, device: torch.device | str = "cpu", s: float = 1.0) -> None:
        super().__init__(n_visible, n_hidden, device)
        self.s = s

    def extra_repr(self) -> str:
        """See RBM."""
        return f"{super().extra_repr()}, s={self.s}"

    def scaled(self, v: Tensor) -> Tensor:
        return v if self.s == 1.0 else v / self.s

    def visible_mean(self, h: Tensor, length: Tensor) -> Tensor:
        return self.visible_input(h if self.s == 1.0 else self.s * h)

    def draw(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        return mean + self.s * torch.empty_like(mean).normal_(generator=generator)

    def visible_energy(self, v: Tensor) -> Tensor:
        return ((v - self.visible_bias) / self.s).square().sum(-1) / 2

    def visible_statistics(self, v: Tensor) -> Tensor:
        return (v - self.visible_bias) / self.s**2

    def marginal_bias(self, data: Tensor) -> Tensor:
        return data.mean(0)


class ReplicatedSoftmaxRBM(RBM):
    """Word counts: D draws from one softmax over the vocabulary; the counts need not be whole."""

    weight_scale = 0.001

    def length(self, v: Tensor) -> Tensor:
        return v.sum(-1, keepdim=True).clamp(min=FEWEST_WORDS)

    def visible_mean(self, h: Tensor, length: Tensor) -> Tensor:
        return length * torch.softmax(self.visible_input(h), dim=-1)

    def draw(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        length = self.length(mean).nan_to_num(1.0)  # see draw_words
        words = length.round().clamp(min=1.0)
        return length / words * draw_words(mean, int(words.max()), generator, words)

    def marginal_bias(self, data: Tensor) -> Tensor:
        counts = data.sum(0) + 1 / len(data)  # smoothed: a word that no document has keeps a finite bias
        return torch.log(counts / counts.sum())


def affine(x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """x W + b, with leading dimensions or without."""
    product = torch.addmm if weights.dim() == 2 else torch.baddbmm
    return product(bias, x, weights)


def draw_bits(p: Tensor, generator: torch.Generator) -> Tensor:
    """1 with probability p, else 0; 0 where p is not a number, which `torch.bernoulli` would stop a GPU for."""
    return (torch.empty_like(p).uniform_(generator=generator) < p).to(p)


def draw_words(shares: Tensor, most: int, generator: torch.Generator, lengths: Tensor | None = None) -> Tensor:
    """Counts (b, v) of documents of `lengths` (b, 1) words, by default `most`, drawn by the `shares` (b, v)."""
    # Of shares that are not numbers a GPU would stop. They come of weights that are not, which end the training.
    words = torch.multinomial(shares.nan_to_num(1.0), most, replacement=True, generator=generator)
    counted = torch.ones_like(words) if lengths is None else torch.arange(most, device=shares.device) < lengths
    return torch.zeros_like(shares).scatter_add_(1, words, counted.to(shares))
