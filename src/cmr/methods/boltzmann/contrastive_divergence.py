"""Trains restricted Boltzmann machines by contrastive divergence: with chains from the data (CD) or persistent (PCD).

Sources: Hinton, Training products of experts by minimizing contrastive divergence, Neural Computation 2002; Tieleman,
Training restricted Boltzmann machines using approximations to the likelihood gradient, ICML 2008. Card: deep/01, whose
defaults these are. docs/methods/boltzmann.md has the values of the code that Srivastava & Salakhutdinov released.

One reading is ours: the sparsity term counts in the bias of a replicated softmax by a document's length, as the rest of
that gradient does.
"""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from cmr.errors import UserError
from cmr.methods.base import Array, History, InfeasibleError
from cmr.methods.boltzmann.rbm import RBM, ReplicatedSoftmaxRBM, draw_bits
from cmr.methods.deep.stages import shared_stage
from cmr.methods.deep.trainer import seeded
from cmr.progress import SILENT, Progress

SLOW_EPOCHS = 5  # at the lower momentum


@dataclass(frozen=True)
class ContrastiveDivergence:
    """CD-k or PCD-k: stochastic ascent along <vh>_data - <vh>_after k Gibbs steps. Hidden units are sampled.

    Parameters
    ----------
    learning_rate : 0.05 for Bernoulli units; 0.002 for Gaussian units on z-scored input and for replicated softmax on
        documents of 100 words, whose gradients grow with their length. PCD needs a fifth to a tenth.
    epochs, batch_size : passes over the data; rows a step.
    gibbs_steps : k.
    persistent : chains go on from step to step, as many as a batch has rows, instead of starting at the data. A chain
        of replicated softmax keeps the length of the document that it began with.
    weight_decay : the L2 penalty's factor, on the weights alone.
    weight_scale : standard deviation of the initial weights; by default the kind's.
    halving_steps : the rate is learning_rate / (1 + step / halving_steps); by default it stays.
    momentum : at first, and in the end.
    momentum_steps : the momentum rises as end - (end - first) exp(-step / momentum_steps); by default it jumps after
        five epochs.
    sparsity_target, sparsity_cost : a hidden unit whose mean activity q, a moving average, is not the target is given
        cost (q - target) less activity in the statistics of the data.
    sampled_after : step from which visible units of CD are sampled, before which they take their means; by default they
        always do. Those of PCD are always sampled.
    gibbs_growth : (step, every): from that step on k grows by one, and again every so many steps.
    """

    learning_rate: float
    epochs: int = 20
    batch_size: int = 100
    gibbs_steps: int = 1
    persistent: bool = False
    weight_decay: float = 1e-4
    weight_scale: float | None = None
    halving_steps: int | None = None
    momentum: tuple[float, float] = (0.5, 0.9)
    momentum_steps: int | None = None
    sparsity_target: float = 0.1
    sparsity_cost: float = 0.0
    sampled_after: int | None = None
    gibbs_growth: tuple[int, int] | None = None

    def fit(self, rbm: RBM, data: Tensor, generator: torch.Generator, progress: Progress = SILENT) -> History:
        """Initialise and train `rbm` in place on data (n, n_v), all on the generator's device.

        Returns `reconstruction_error`, one value an epoch, see `Ascent.epoch`. Raises UserError where all documents are
        empty and InfeasibleError where training diverges.
        """
        ascent = Ascent(rbm, self, data, generator)
        epochs = progress.track(range(self.epochs), type(rbm).__name__, unit="epoch")
        return {"reconstruction_error": [ascent.epoch(epoch) for epoch in epochs]}

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        return (
            self.learning_rate if self.halving_steps is None else self.learning_rate / (1 + step / self.halving_steps)
        )

    def momentum_at(self, step: int, epoch: int) -> float:
        """The momentum of a step, from 0."""
        first, end = self.momentum
        if self.momentum_steps is None:
            return first if epoch < SLOW_EPOCHS else end
        return end - (end - first) * math.exp(-step / self.momentum_steps)

    def gibbs_steps_at(self, step: int) -> int:
        """k of a step, from 0."""
        if self.gibbs_growth is None or step < self.gibbs_growth[0]:
            return self.gibbs_steps
        start, every = self.gibbs_growth
        return self.gibbs_steps + 1 + (step - start) // every


class Ascent(nn.Module):
    """A machine in training on data (n, n_v): what its next epoch depends on lies in buffers.

    Initialises the machine; raises UserError where all documents are empty.
    """

    def __init__(self, rbm: RBM, settings: ContrastiveDivergence, data: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        if isinstance(rbm, ReplicatedSoftmaxRBM):
            data = data[data.sum(1) > 0]  # an empty document tells nothing
            if not len(data):
                raise UserError("all texts to train on have only zero counts; a replicated softmax needs words in some")
        self.rbm, self.settings, self.data, self.generator = rbm, settings, data, generator
        rbm.initialise(data, generator, settings.weight_scale)
        self.batches = -(-len(data) // settings.batch_size)
        for name, parameter in rbm.named_buffers():
            self.register_buffer(f"last_{name}", torch.zeros_like(parameter))
        self.register_buffer("activity", torch.full_like(rbm.hidden_bias, settings.sparsity_target))
        if settings.persistent:
            self.register_buffer("chains", data[self.order()[: settings.batch_size]])

    def order(self) -> Tensor:
        """A random order of the rows."""
        return torch.randperm(len(self.data), generator=self.generator, device=self.generator.device)

    @torch.no_grad()
    def epoch(self, epoch: int) -> float:
        """One pass over the data, the epoch-th from 0; raises InfeasibleError where it diverges.

        Returns the reconstruction error: the mean square, over rows and units, of the difference between v and the mean
        of the visible units given hidden ones sampled from P(h | v).
        """
        error = torch.zeros((), device=self.data.device)
        for number, index in enumerate(self.order().split(self.settings.batch_size)):
            v, step = self.data[index], epoch * self.batches + number
            gradient, reconstruction = self.gradient(v, step)
            rate, momentum = self.settings.rate_at(step), self.settings.momentum_at(step, epoch)
            for name, direction in gradient.items():
                last = getattr(self, f"last_{name}").mul_(momentum).add_(direction, alpha=rate)
                getattr(self.rbm, name).add_(last)
            error += (v - reconstruction).square().sum()
        mean = error.item() / self.data.numel()
        if not (math.isfinite(mean) and all(parameter.isfinite().all() for parameter in self.rbm.buffers())):
            raise InfeasibleError(
                f"training of a {type(self.rbm).__name__} diverged in epoch {epoch + 1} of {self.settings.epochs} "
                f"(reconstruction error {mean:.4g}). Lower its learning rate, or look for features of extreme scale"
            )
        return mean

    def gradient(self, v: Tensor, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """The direction of ascent of each parameter on a batch v (b, n_v), and the first reconstruction of v."""
        rbm, settings = self.rbm, self.settings
        h = rbm(v)
        reconstruction = rbm.visible_mean(draw_bits(h, self.generator), rbm.length(v))
        steps = settings.gibbs_steps_at(step)
        if settings.persistent:
            v_model = self.gibbs(self.chains, steps, sampled=True)
            self.chains.copy_(v_model)
        else:
            sampled = settings.sampled_after is not None and step >= settings.sampled_after
            first = rbm.draw(reconstruction, self.generator) if sampled else reconstruction
            v_model = self.gibbs(first, steps - 1, sampled)
        if settings.sparsity_cost:
            self.activity.lerp_(h.mean(0), 0.1)
            h = h - settings.sparsity_cost * (self.activity - settings.sparsity_target)
        of_data, of_model = rbm.statistics(v, h), rbm.statistics(v_model, rbm(v_model))
        gradient = {name: of_data[name] - of_model[name] for name in of_data}
        gradient["weights"] -= settings.weight_decay * rbm.weights
        return gradient, reconstruction

    def gibbs(self, v: Tensor, steps: int, sampled: bool) -> Tensor:
        """The visible units after so many steps from v."""
        rbm = self.rbm
        for _ in range(steps):
            mean = rbm.visible_mean(draw_bits(rbm(v), self.generator), rbm.length(v))
            v = rbm.draw(mean, self.generator) if sampled else mean
        return v


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
    )
