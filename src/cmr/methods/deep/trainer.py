"""The training loop of every deep method.

Mini-batches in an order drawn from the seed; after each epoch the mean of both directions' mAP on the valid part, whose
best epoch's weights are the result; early stopping, checkpoints, and a history of every loss term. Networks of several
seeds may train in one go, each with the result that it would have alone.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cmr.checkpoint import BestEpoch, Checkpoint, TrainingState
from cmr.compute import CPU, Compute
from cmr.errors import UserError
from cmr.methods.base import History, InfeasibleError, Pairs
from cmr.methods.deep.layers import Random
from cmr.methods.deep.loading import Batches
from cmr.methods.deep.network import Batch, TrainableSpace, embed
from cmr.methods.deep.together import Together
from cmr.metrics import bimodal_map
from cmr.progress import SILENT, Progress
from cmr.provenance import fingerprint

MakeOptimiser = Callable[[Mapping[str, Tensor]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Schedule:
    """How long to train, on how much at once.

    Parameters
    ----------
    epochs : passes over the training pairs, at most.
    batch_size : pairs a step; the last, smaller batch of an epoch is used unless `drop_last`.
    patience : epochs without a better valid mAP after which training stops.
    drop_last : leave out the smaller batch, for losses over a whole batch (each epoch leaves out other pairs).
    clip : the largest norm that a step's gradient may have; None lets it be.
    rate : factor of the optimiser's learning rates, of the share of epochs that is over, in [0, 1).
    """

    epochs: int
    batch_size: int
    patience: int
    drop_last: bool = False
    clip: float | None = None
    rate: Callable[[float], float] | None = None

    def batches(self, n: int, generator: torch.Generator) -> list[Tensor]:
        """The index tensors of one epoch over n pairs, on the generator's device."""
        order = torch.randperm(n, generator=generator, device=generator.device)
        size = min(self.batch_size, n)
        return list(order[: n - n % size if self.drop_last else n].split(size))


def seeded(seed: int, purpose: str, device: torch.device) -> torch.Generator:
    """A random source on `device` that depends on the run's seed and on what it is for."""
    return torch.Generator(device).manual_seed(int(fingerprint(seed=seed, purpose=purpose)[:15], 16))


def require_pairs(train: Pairs, valid: Pairs | None = None) -> None:
    """Refuse empty parts by a UserError."""
    for name, part in {"train": train, "valid": valid}.items():
        if part is not None and not len(part):
            raise UserError(f"the {name} part holds no pairs, so there is nothing to train with; change the split")


@dataclass(frozen=True)
class Training:
    """What one network learns from: pairs, the random source of order and dropout, and the network itself."""

    network: TrainableSpace
    train: Pairs
    valid: Pairs | None
    generator: torch.Generator

    def __post_init__(self) -> None:
        """A layer that draws from another source would go on otherwise after a kill: checkpoints keep this one."""
        for name, layer in self.network.named_modules():
            if isinstance(layer, Random) and layer.generators[0] is not self.generator:
                raise ValueError(
                    f"{name} of {type(self.network).__name__} draws from another generator than its training"
                )


def fit_networks(
    trainings: Sequence[Training],
    optimiser: MakeOptimiser,
    weights: Mapping[str, float],
    *,
    similarity: str,
    schedule: Schedule,
    compute: Compute = CPU,
    progress: Progress = SILENT,
    facts: Mapping[str, Any] | None = None,
) -> list[History]:
    """Train networks in place, on the device where their weights are; each ends with its best valid epoch's weights.

    Parameters
    ----------
    trainings : one a seed, of one architecture and one size of train part. They train in one go, unless the networks
        cannot; each has the result that it would have alone.
    optimiser : makes the optimiser of the parameters, which come by name.
    weights : of each term of `TrainableSpace.losses` in the sum that is minimised.
    facts : what, besides data, code and weights at the start, decides the result: a killed training goes on where no
        fact has changed.

    Returns
    -------
    Of each network `loss`, its mean terms by name, and `valid_map` where there is a valid part: one value an epoch.

    Raises
    ------
    UserError : the train or the valid part is empty.
    InfeasibleError : a loss is not finite, or valid embeddings are not; names the epoch and all terms.
    """
    for training in trainings:
        require_pairs(training.train, training.valid)
    groups = [trainings] if trainings[0].network.trains_together else [[training] for training in trainings]
    histories = []
    for group in groups:
        checkpoint = _checkpoint(group, weights, schedule, compute, progress, facts or {})
        histories += _fit(group, optimiser, weights, similarity, schedule, compute, progress, checkpoint)
    return histories


def _fit(
    trainings: Sequence[Training],
    optimiser: MakeOptimiser,
    weights: Mapping[str, float],
    similarity: str,
    schedule: Schedule,
    compute: Compute,
    progress: Progress,
    checkpoint: Checkpoint,
) -> list[History]:
    generators = [training.generator for training in trainings]
    pairs = Batches([training.train for training in trainings], generators[0].device)
    for position, training in enumerate(trainings):
        _hook(training.network, training.network.begin, pairs.whole(position))
    together = Together([training.network for training in trainings])
    descent = _Descent(together, optimiser(together.parameters), weights, schedule, compute)
    state = TrainingState(together.networks, descent.optimiser, generators)
    state.resume(checkpoint)
    with tqdm(
        desc=type(trainings[0].network).__name__, total=schedule.epochs, initial=state.epoch, unit="epoch",
        file=sys.stderr, mininterval=2.0, disable=progress.quiet or state.finished,
    ) as bar:  # fmt: skip
        while not state.finished:
            means = descent.epoch(pairs, generators, state.epoch)
            for position, (run, training, own) in enumerate(zip(state.runs, trainings, means, strict=True)):
                if run.finished:  # it takes part in the steps of the others, but nothing comes of that
                    continue
                _check(own, state.epoch, schedule)
                _hook(training.network, training.network.end_epoch, pairs.whole(position))
                if training.valid is not None:
                    own["valid_map"] = _score(training, similarity, schedule, run)
                run.record(own, schedule.epochs, schedule.patience)
            if checkpoint.due(state.finished):
                checkpoint.write(*state.to_arrays())
            shown = {name: f"{means[0][name]:.4g}" for name in ("loss", "valid_map") if name in means[0]}
            bar.set_postfix(shown, refresh=False)
            bar.update()
    for run in state.runs:
        run.restore_best()
    return [run.history for run in state.runs]


class _Descent:
    """The steps of an epoch."""

    def __init__(
        self,
        together: Together,
        optimiser: torch.optim.Optimizer,
        weights: Mapping[str, float],
        schedule: Schedule,
        compute: Compute,
    ) -> None:
        self.together, self.optimiser, self.weights, self.schedule = together, optimiser, weights, schedule
        self.mixed_precision = compute.mixed_precision
        self.losses = torch.compile(together.losses) if compute.compile else together.losses
        self.rates = [group["lr"] for group in optimiser.param_groups]

    def epoch(self, pairs: Batches, generators: Sequence[torch.Generator], epoch: int) -> list[dict[str, float]]:
        """One pass over the pairs; of each network the mean of each loss term and of their weighted sum, `loss`."""
        progress = epoch / self.schedule.epochs
        if self.schedule.rate is not None:
            for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
                group["lr"] = rate * self.schedule.rate(progress)
        for network in self.together.networks:
            network.train()
        batches = [
            self.schedule.batches(size, generator) for size, generator in zip(pairs.sizes, generators, strict=True)
        ]
        totals: Tensor | float = 0.0
        for batch in pairs.of_epoch(batches):
            # Kept on the device: reading a value at every step would make a GPU wait for it. In float64, as losses may
            # come in bfloat16, in which a sum over many steps stands still.
            totals = totals + self.step(batch, progress).double() * batch.index.shape[-1]
        totals = totals / sum(map(len, batches[0]))
        columns = totals.reshape(len(totals), -1).T.tolist()
        return [dict(zip(["loss", *self.names], column, strict=True)) for column in columns]

    def step(self, batch: Batch, progress: float) -> Tensor:
        """One step of the optimiser; loss and terms, (1 + t,) of one network or (1 + t, s) of several."""
        with torch.autocast(batch.labels.device.type, torch.bfloat16, enabled=self.mixed_precision):
            terms = self.losses(batch, progress)
        loss = sum(self.weights[name] * term for name, term in terms.items())
        self.optimiser.zero_grad()
        loss.sum().backward()
        if self.schedule.clip is not None:
            self.together.clip_gradients(self.schedule.clip)
        self.optimiser.step()
        self.names = list(terms)
        return torch.stack([loss, *terms.values()]).detach()


def _check(means: Mapping[str, float], epoch: int, schedule: Schedule) -> None:
    if not all(map(math.isfinite, means.values())):
        values = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        raise InfeasibleError(
            f"training diverged in epoch {epoch + 1} of {schedule.epochs} ({values}). "
            "Lower learning_rate, or look for features of extreme scale"
        )


def _hook(network: TrainableSpace, hook: Callable[[Batch], None], train: Batch) -> None:
    network.eval()
    with torch.no_grad():
        hook(train)


def _score(training: Training, similarity: str, schedule: Schedule, run: BestEpoch) -> float:
    network, valid = training.network, training.valid
    images, texts = (
        embed(network, side, rows)
        for side, rows in ((network.embed_images, valid.images), (network.embed_texts, valid.texts))
    )
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        raise InfeasibleError(
            f"training diverged in epoch {run.epoch + 1} of {schedule.epochs}: valid embeddings are not finite. "
            "Lower learning_rate, or look for features of extreme scale"
        )
    return bimodal_map(network.ranked(images), network.ranked(texts), valid.relevance, similarity)


def _checkpoint(
    trainings: Sequence[Training],
    weights: Mapping[str, float],
    schedule: Schedule,
    compute: Compute,
    progress: Progress,
    facts: Mapping[str, Any],
) -> Checkpoint:
    """Where the training keeps its state."""
    if progress.checkpoints is None:
        return Checkpoint()
    return Checkpoint.of(
        progress,
        "training",
        trainings[0].generator.device.type,
        network=type(trainings[0].network).__name__,
        weights=weights,
        schedule={name: value for name, value in vars(schedule).items() if name != "rate"},
        mixed_precision=compute.mixed_precision,
        compile=compute.compile,
        # What decides the seeds: the sources as they stand after the networks were made of them.
        seeds=[training.generator.get_state().numpy() for training in trainings],
        parts=[
            [None if part is None else part.given for part in (training.train, training.valid)]
            for training in trainings
        ],
        facts=facts,
    )
