"""RBMs on top of each other: features of one modality become probabilities of binary units (card deep/01)."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cmr.methods.base import Array, History
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence
from cmr.methods.boltzmann.rbm import RBM, BernoulliRBM, GaussianRBM, ReplicatedSoftmaxRBM
from cmr.methods.deep.layers import Standardise
from cmr.methods.deep.stages import shared_stage
from cmr.methods.deep.trainer import seeded
from cmr.progress import SILENT, Progress

WORDS_A_DOCUMENT = 100.0

FIRST_LEARNING_RATE = 0.002  # Gaussian and replicated softmax units
NEXT_LEARNING_RATE = 0.05  # Bernoulli units


class CommonLength(nn.Module):
    """Scale each document of counts (b, v) to 100 words; an empty one stays empty.

    The gradient of a replicated softmax grows with the length: at one learning rate, long documents would undo it.
    """

    def forward(self, counts: Tensor) -> Tensor:
        return WORDS_A_DOCUMENT * counts / counts.sum(-1, keepdim=True).clamp(min=1e-6)


class Stack(nn.Module):
    """(b, d) raw features or counts -> (b, n) probabilities of the last layer's hidden units."""

    def __init__(self, scale: nn.Module, rbms: Iterable[RBM]) -> None:
        super().__init__()
        self.scale, self.rbms = scale, nn.ModuleList(rbms)

    @classmethod
    def of(cls, dimension: int, widths: Sequence[int], counts: bool, device: torch.device | str = "cpu") -> "Stack":
        """Untrained: Gaussian units on z-scored features or replicated softmax units on `counts`, Bernoulli above.

        `widths` are the hidden units of each layer, from below, one layer at least.
        """
        bottom = ReplicatedSoftmaxRBM if counts else GaussianRBM
        scale = CommonLength() if counts else Standardise(dimension)
        above = [BernoulliRBM(below, width, device) for below, width in pairwise(widths)]
        return cls(scale, [bottom(dimension, widths[0], device), *above]).to(device)

    @property
    def width(self) -> int:
        """n."""
        return self.rbms[-1].n_hidden

    @torch.no_grad()
    def fit(
        self, x: Array, epochs: int, batch_size: int, generator: torch.Generator, progress: Progress = SILENT
    ) -> History:
        """Train the layers in place on x (n, d), each on the probabilities of the one below.

        Returns the reconstruction error of each epoch, `rbm_1`, `rbm_2` and so on.
        """
        if isinstance(self.scale, Standardise):
            self.scale.fit(x)
        inputs = self.scale(torch.as_tensor(x, dtype=torch.float32, device=generator.device))
        errors: History = {}
        for number, rbm in enumerate(self.rbms, start=1):
            rate = FIRST_LEARNING_RATE if number == 1 else NEXT_LEARNING_RATE
            history = ContrastiveDivergence(rate, epochs, batch_size).fit(rbm, inputs, generator, progress)
            errors[f"rbm_{number}"] = history["reconstruction_error"]
            inputs = rbm(inputs)
        return errors

    def forward(self, x: Tensor) -> Tensor:
        h = self.scale(x)
        for rbm in self.rbms:
            h = rbm(h)
        return h

    def generate(self, h: Tensor) -> Tensor:
        """(b, n) states of the last layer -> (b, d) means downwards: z-scores, or counts of 100 words."""
        for rbm in reversed(self.rbms):
            h = rbm.visible_mean(h, torch.full_like(h[..., :1], WORDS_A_DOCUMENT))
        return h


def fit_stack(
    x: Array,
    widths: tuple[int, ...],
    *,
    counts: bool,
    epochs: int,
    batch_size: int,
    seed: int,
    purpose: str,
    device: torch.device,
    progress: Progress = SILENT,
) -> tuple[Stack, History]:
    """A stack trained on x (n, d), and the history of `Stack.fit`; methods that need the same stack share it."""
    stack = Stack.of(x.shape[1], widths, counts, device)
    history = shared_stage(
        stack,
        lambda: stack.fit(x, epochs, batch_size, seeded(seed, purpose, device), progress),
        stage=purpose,
        device=device,
        progress=progress,
        x=x,
        seed=seed,
        widths=widths,
        counts=counts,
        epochs=epochs,
        batch_size=batch_size,
    )
    return stack, history
