"""Restricted Boltzmann machines for binary, real and count data, trained by contrastive divergence.

Sources: Hinton 2002 (contrastive divergence); Welling et al. 2005 (Gaussian units); Salakhutdinov & Hinton 2009
(replicated softmax). Card: deep/01. Symbols: v (b, n_v) visible, h (b, n_h) hidden, W weights, a and b the biases, and
D, which is 1 but for replicated softmax, where it is a document's number of words. For all three kinds

    P(h = 1 | v) = sigmoid(v W + D b)    and    F(v) = visible energy(v) - sum_j softplus((v W + D b)_j).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from cmr.errors import UserError
from cmr.methods.base import History
from cmr.progress import SILENT, Progress

FEWEST_WORDS = 1e-6  # stands for the length of an empty document, whose hidden units are then all at 1/2


class RBM(nn.Module, ABC):
    """Parameters and conditionals; the kinds differ in their visible units.

    The parameters are buffers: contrastive divergence changes them, and they stay fixed afterwards.
    """

    weight_scale = 0.01  # standard deviation of the initial weights

    def __init__(self, n_visible: int, n_hidden: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(n_visible, n_hidden, device=device))
        self.register_buffer("visible_bias", torch.zeros(n_visible, device=device))
        self.register_buffer("hidden_bias", torch.zeros(n_hidden, device=device))

    def initialise(self, data: Tensor, generator: torch.Generator) -> None:
        """Small random weights; the visible bias reproduces the marginal means of the data (n, n_v)."""
        self.weights.normal_(0.0, self.weight_scale, generator=generator)
        self.visible_bias.copy_(self.marginal_bias(data))
        self.hidden_bias.zero_()

    def hidden_input(self, v: Tensor) -> Tensor:
        """v W + D b, (b, n_h)."""
        return torch.addmm(self.length(v) * self.hidden_bias, v, self.weights)

    def forward(self, v: Tensor) -> Tensor:
        """P(h = 1 | v), (b, n_h): probabilities, which are also what the next layer of a stack is given."""
        return torch.sigmoid(self.hidden_input(v))

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h), (b,)."""
        return self.visible_energy(v) - (h * self.hidden_input(v)).sum(1)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)), (b,)."""
        return self.visible_energy(v) - softplus(self.hidden_input(v)).sum(1)

    def length(self, v: Tensor) -> Tensor:
        """D, (b, 1)."""
        return v.new_ones(len(v), 1)

    @abstractmethod
    def visible_mean(self, h: Tensor, length: Tensor) -> Tensor:
        """E[v | h], (b, n_v)."""

    @abstractmethod
    def visible_energy(self, v: Tensor) -> Tensor:
        """The part of the energy that no hidden unit enters, (b,)."""

    @abstractmethod
    def marginal_bias(self, data: Tensor) -> Tensor:
        """The visible bias under which, with zero weights, E[v] is the mean of the data, (n_v,)."""


class BernoulliRBM(RBM):
    """Visible units in {0, 1}, or probabilities of a layer below."""

    def visible_mean(self, h: Tensor, length: Tensor) -> Tensor:
        return torch.sigmoid(h @ self.weights.T + self.visible_bias)

    def visible_energy(self, v: Tensor) -> Tensor:
        return -v @ self.visible_bias

    def marginal_bias(self, data: Tensor) -> Tensor:
        return torch.logit(data.mean(0).clamp(0.01, 0.99))  # a unit that is always off keeps a finite bias


class GaussianRBM(RBM):
    """Real visible units of unit variance: the input must be z-scored."""

    def visible_mean(self, h: Tensor, length: Tensor) -> Tensor:
        return h @ self.weights.T + self.visible_bias

    def visible_energy(self, v: Tensor) -> Tensor:
        return (v - self.visible_bias).square().sum(1) / 2

    def marginal_bias(self, data: Tensor) -> Tensor:
        return data.mean(0)


class ReplicatedSoftmaxRBM(RBM):
    """Word counts: D draws from one softmax over the vocabulary; the counts need not be whole."""

    weight_scale = 0.001

    def length(self, v: Tensor) -> Tensor:
        return v.sum(1, keepdim=True).clamp(min=FEWEST_WORDS)

    def visible_mean(self, h: Tensor, length: Tensor) -> Tensor:
        return length * torch.softmax(h @ self.weights.T + self.visible_bias, dim=1)

    def visible_energy(self, v: Tensor) -> Tensor:
        return -v @ self.visible_bias

    def marginal_bias(self, data: Tensor) -> Tensor:
        counts = data.sum(0) + 1 / len(data)  # smoothed: a word that no document has keeps a finite bias
        return torch.log(counts / counts.sum())


@dataclass(frozen=True)
class ContrastiveDivergence:
    """CD-k: stochastic ascent along <vh>_data - <vh>_after k Gibbs steps from the data (card deep/01, its defaults).

    Hidden units are sampled, visible units take their means. Momentum is 0.5 in the first five epochs, then 0.9.

    Parameters
    ----------
    learning_rate : 0.05 for Bernoulli units; 0.002 for Gaussian units on z-scored input and for replicated softmax on
        documents of 100 words, whose gradients grow with their length.
    epochs, batch_size : passes over the data; rows a step.
    gibbs_steps : k.
    weight_decay : the L2 penalty's factor, on the weights alone.
    """

    learning_rate: float
    epochs: int = 20
    batch_size: int = 100
    gibbs_steps: int = 1
    weight_decay: float = 1e-4

    @torch.no_grad()
    def fit(self, rbm: RBM, data: Tensor, generator: torch.Generator, progress: Progress = SILENT) -> History:
        """Initialise and train `rbm` in place on data (n, n_v), all on the generator's device.

        Returns `reconstruction_error`, one value an epoch: the mean square, over rows and units, of the difference
        between v and the mean of the visible units given hidden ones sampled from P(h | v). Raises UserError where all
        documents are empty.
        """
        if isinstance(rbm, ReplicatedSoftmaxRBM):
            data = data[data.sum(1) > 0]  # an empty document tells nothing
            if not len(data):
                raise UserError("all texts to train on have only zero counts; a replicated softmax needs words in some")
        rbm.initialise(data, generator)
        steps = [torch.zeros_like(parameter) for parameter in rbm.buffers()]
        history: History = {"reconstruction_error": []}
        for epoch in progress.track(range(self.epochs), type(rbm).__name__, unit="epoch"):
            momentum = 0.5 if epoch < 5 else 0.9
            order = torch.randperm(len(data), generator=generator, device=generator.device)
            error = torch.zeros((), device=data.device)
            for index in order.split(self.batch_size):
                v = data[index]
                gradients, reconstruction = self.gradients(rbm, v, generator)
                for parameter, step, gradient in zip(rbm.buffers(), steps, gradients, strict=True):
                    step.mul_(momentum).add_(gradient, alpha=self.learning_rate)
                    parameter.add_(step)
                error += (v - reconstruction).square().sum()
            history["reconstruction_error"].append(error.item() / data.numel())
        return history

    def gradients(self, rbm: RBM, v: Tensor, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
        """The ascent directions of weights, visible and hidden bias on a batch v, and its first reconstruction."""
        length = rbm.length(v)
        h = h_data = rbm(v)
        for step in range(self.gibbs_steps):
            v_model = rbm.visible_mean(torch.bernoulli(h, generator=generator), length)
            if step == 0:
                reconstruction = v_model
            h = rbm(v_model)
        weights = (v.T @ h_data - v_model.T @ h) / len(v) - self.weight_decay * rbm.weights
        return [weights, (v - v_model).mean(0), (length * (h_data - h)).mean(0)], reconstruction
