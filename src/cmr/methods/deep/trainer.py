"""The training loop of every deep method.

Mini-batches in an order drawn from the seed; after each epoch the mean of both directions' mAP on the valid part, whose
best epoch's weights are the result; early stopping, checkpoints, and a history of every loss term.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cmr.checkpoint import Checkpoint, TrainingState
from cmr.errors import UserError
from cmr.methods.base import History, InfeasibleError, Method, Pairs
from cmr.methods.deep.network import Batch, TrainableSpace, embed
from cmr.metrics import bimodal_map
from cmr.progress import Progress
from cmr.provenance import fingerprint


@dataclass(frozen=True)
class Schedule:
    """How long to train, on how much at once.

    Parameters
    ----------
    epochs : passes over the training pairs, at most.
    batch_size : pairs a step; the last, smaller batch of an epoch is used unless `drop_last`.
    patience : epochs without a better valid mAP after which training stops.
    drop_last : leave out the smaller batch, for losses over a whole batch (each epoch leaves out other pairs).
    """

    epochs: int
    batch_size: int
    patience: int
    drop_last: bool = False

    def batches(self, n: int, generator: torch.Generator) -> list[Tensor]:
        """The index tensors of one epoch over n pairs, on the generator's device."""
        order = torch.randperm(n, generator=generator, device=generator.device)
        size = min(self.batch_size, n)
        return list(order[: n - n % size if self.drop_last else n].split(size))


def seeded(seed: int, purpose: str, device: torch.device) -> torch.Generator:
    """A random source on `device` that depends on the run's seed and on what it is for."""
    return torch.Generator(device).manual_seed(int(fingerprint(seed=seed, purpose=purpose)[:15], 16))


def checkpoint_of(
    method: Method, train: Pairs, valid: Pairs | None, seed: int, target: torch.device, progress: Progress
) -> Checkpoint:
    """Where the training of `method` on these pairs keeps its state."""
    return Checkpoint.of(
        progress,
        "training",
        target.type,
        method=f"{type(method).__module__}.{type(method).__qualname__}",
        hyperparameters=vars(method),
        seed=seed,
        train=train.given,
        valid=None if valid is None else valid.given,
    )


def fit_network(
    network: TrainableSpace,
    optimiser: torch.optim.Optimizer,
    weights: Mapping[str, float],
    train: Pairs,
    valid: Pairs | None = None,
    *,
    similarity: str,
    schedule: Schedule,
    generator: torch.Generator,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Minimise the weighted sum of the network's loss terms, in place; the network ends with its best epoch's weights.

    Parameters
    ----------
    network, optimiser : on the device of `generator`; the network must draw its randomness from the same generator.
    weights : factor of each term that `network.losses` returns; the names must agree.
    valid : scored after each epoch by `metrics.bimodal_map` under `similarity`. Without it there is no early stopping
        and the last epoch's weights are kept.
    checkpoint : where the state is kept about every ten seconds and at the end; the next call with the same arguments
        goes on from there, on a CPU bit by bit.

    Returns
    -------
    One value an epoch of each loss term (mean over the pairs), of `loss` (the weighted sum) and, with `valid`, of
    `valid_map`.

    Raises
    ------
    UserError : a part is empty.
    InfeasibleError : a loss term or an embedding of the valid part is no longer finite; the message names the epoch.
    """
    for name, part in {"train": train, "valid": valid}.items():
        if part is not None and len(part) == 0:
            raise UserError(f"the {name} part holds no pairs; training needs at least one")
    checkpoint = checkpoint or Checkpoint()
    run = TrainingState(network, optimiser, generator)
    run.resume(checkpoint)
    pairs = Batch.of(train, generator.device)
    with tqdm(
        desc=type(network).__name__, total=schedule.epochs, initial=run.epoch, unit="epoch",
        file=sys.stderr, mininterval=2.0, disable=progress.quiet or run.finished,
    ) as bar:  # fmt: skip
        while not run.finished:
            means = _epoch(network, optimiser, weights, pairs, schedule, generator, run.epoch)
            if valid is not None:
                means["valid_map"] = _score(network, valid, similarity, schedule, run.epoch)
            run.record(means, schedule.epochs, schedule.patience)
            if run.finished or checkpoint.due:
                checkpoint.write(*run.to_arrays())
            shown = {name: f"{means[name]:.4g}" for name in ("loss", "valid_map") if name in means}
            bar.set_postfix(shown, refresh=False)
            bar.update()
    run.restore_best()
    return run.history


def _epoch(
    network: TrainableSpace,
    optimiser: torch.optim.Optimizer,
    weights: Mapping[str, float],
    pairs: Batch,
    schedule: Schedule,
    generator: torch.Generator,
    epoch: int,
) -> dict[str, float]:
    """One pass over the pairs; the mean of each loss term and of their weighted sum, `loss`."""
    network.train()
    batches = schedule.batches(len(pairs), generator)
    totals: Tensor | float = 0.0
    for index in batches:
        terms = network.losses(pairs.rows(index), epoch / schedule.epochs)
        loss = sum(weights[name] * term for name, term in terms.items())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        # Kept on the device: reading a value at every step would make a GPU wait for it.
        totals = totals + torch.stack([loss, *terms.values()]).detach() * len(index)
    means = dict(zip(["loss", *terms], (totals / sum(map(len, batches))).tolist(), strict=True))
    if not all(map(math.isfinite, means.values())):
        values = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        raise InfeasibleError(
            f"training diverged in epoch {epoch + 1} of {schedule.epochs} ({values}). "
            "Lower learning_rate, or look for features of extreme scale"
        )
    return means


def _score(network: TrainableSpace, valid: Pairs, similarity: str, schedule: Schedule, epoch: int) -> float:
    images, texts = embed(network, network.embed_images, valid.images), embed(network, network.embed_texts, valid.texts)
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        raise InfeasibleError(
            f"training diverged in epoch {epoch + 1} of {schedule.epochs}: valid embeddings are not finite. "
            "Lower learning_rate, or look for features of extreme scale"
        )
    return bimodal_map(images, texts, valid.relevance, similarity)
