"""Two RBMs on top of each other: features of one modality become probabilities of binary units (card deep/01)."""

import torch
from torch import Tensor, nn

from cmr.methods.base import Array, History
from cmr.methods.boltzmann.rbm import RBM, BernoulliRBM, ContrastiveDivergence, GaussianRBM, ReplicatedSoftmaxRBM
from cmr.methods.deep.layers import Standardise
from cmr.methods.deep.stages import shared_stage
from cmr.methods.deep.trainer import seeded
from cmr.progress import SILENT, Progress

WORDS_A_DOCUMENT = 100.0

FIRST_LEARNING_RATE = 0.002  # Gaussian and replicated softmax units
SECOND_LEARNING_RATE = 0.05  # Bernoulli units


class CommonLength(nn.Module):
    """Scale each document of counts (b, v) to 100 words; an empty one stays empty.

    The gradient of a replicated softmax grows with the length: at one learning rate, long documents would undo it.
    """

    def forward(self, counts: Tensor) -> Tensor:
        return WORDS_A_DOCUMENT * counts / counts.sum(1, keepdim=True).clamp(min=1e-6)


class Stack(nn.Module):
    """(b, d) raw features or counts -> (b, n) probabilities of the second layer's hidden units."""

    def __init__(self, scale: nn.Module, first: RBM, second: BernoulliRBM) -> None:
        super().__init__()
        self.scale, self.first, self.second = scale, first, second

    @classmethod
    def of(cls, dimension: int, widths: tuple[int, int], counts: bool, device: torch.device | str = "cpu") -> "Stack":
        """Untrained: Gaussian units on z-scored features or replicated softmax units on `counts`, Bernoulli above."""
        first, second = widths
        bottom = ReplicatedSoftmaxRBM if counts else GaussianRBM
        scale = CommonLength() if counts else Standardise(dimension)
        return cls(scale, bottom(dimension, first, device), BernoulliRBM(first, second, device)).to(device)

    @torch.no_grad()
    def fit(
        self, x: Array, epochs: int, batch_size: int, generator: torch.Generator, progress: Progress = SILENT
    ) -> History:
        """Train both layers in place on x (n, d), the second on the first's probabilities.

        Returns the reconstruction error of each epoch, `rbm_1` and `rbm_2`.
        """
        if isinstance(self.scale, Standardise):
            self.scale.fit(x)
        inputs = self.scale(torch.as_tensor(x, dtype=torch.float32, device=generator.device))
        first = ContrastiveDivergence(FIRST_LEARNING_RATE, epochs, batch_size)
        second = ContrastiveDivergence(SECOND_LEARNING_RATE, epochs, batch_size)
        errors = {"rbm_1": first.fit(self.first, inputs, generator, progress)}
        errors["rbm_2"] = second.fit(self.second, self.first(inputs), generator, progress)
        return {name: history["reconstruction_error"] for name, history in errors.items()}

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(self.scale(x)))


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
