"""Training of restricted Boltzmann machines by contrastive divergence.

Source: Hinton, Training products of experts by minimizing contrastive divergence, Neural Computation 2002.
Card: deep/01.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from cmr import provenance
from cmr.errors import UserError
from cmr.methods.base import Array, History
from cmr.methods.boltzmann.rbm import RBM, ReplicatedSoftmaxRBM
from cmr.methods.deep.stages import shared_stage
from cmr.methods.deep.trainer import seeded
from cmr.progress import SILENT, Progress


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


def fit_rbm(
    rbm: RBM,
    x: Array,
    divergence: ContrastiveDivergence,
    *,
    seed: int,
    purpose: str,
    device: torch.device,
    progress: Progress = SILENT,
) -> History:
    """Train `rbm`, which lies on `device`, in place on x (n, n_v) as a shared stage; returns the history of `fit`.

    Parameters
    ----------
    purpose : what the machine is for; with the seed it decides all that is random.
    """

    def fit() -> History:
        data = torch.as_tensor(x, dtype=torch.float32, device=device)
        return divergence.fit(rbm, data, seeded(seed, purpose, device), progress)

    return shared_stage(
        rbm,
        fit,
        stage=purpose,
        device=device,
        progress=progress,
        x=x,
        seed=seed,
        machine=repr(rbm),
        divergence=asdict(divergence),
        trained_by=provenance.code_reached_from(__name__),  # the machine's own module does not reach this one
    )
