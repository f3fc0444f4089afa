"""The training loop of every deep method.

Mini-batches in an order drawn from the seed; after each epoch the mean of both directions' mAP on the valid part, whose
best epoch's weights are the result; early stopping, checkpoints, and a history of every loss term.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cmr.errors import UserError
from cmr.methods.base import History, InfeasibleError, Method, Pairs, State
from cmr.methods.deep.checkpoint import Checkpoint
from cmr.methods.deep.network import Batch, TrainableSpace, embed, group, to_arrays, to_tensors
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
        train=vars(train),
        valid=None if valid is None else vars(valid),
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
    run = _Run(network, optimiser, generator)
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
            run.record(means, schedule)
            if run.finished or checkpoint.due:
                checkpoint.write(*run.state())
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


class _Run:
    """How far a training has come: all that must survive a kill."""

    def __init__(self, network: TrainableSpace, optimiser: torch.optim.Optimizer, generator: torch.Generator) -> None:
        self.network, self.optimiser, self.generator = network, optimiser, generator
        self.history: History = {}
        self.best: dict[str, Tensor] | None = None  # weights of the best epoch so far; None without a valid part
        self.best_epoch = 0
        self.finished = False

    @property
    def epoch(self) -> int:
        """Epochs that are over."""
        return len(self.history.get("loss", []))

    def record(self, means: dict[str, float], schedule: Schedule) -> None:
        """Close an epoch: its values go into the history, its weights are kept if they are the best."""
        for name, value in means.items():
            self.history.setdefault(name, []).append(value)
        scores = self.history.get("valid_map")
        if scores and (self.best is None or scores[-1] > scores[self.best_epoch - 1]):
            self.best_epoch = self.epoch
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        waited = self.epoch - self.best_epoch if scores else 0
        self.finished = self.epoch >= schedule.epochs or waited >= schedule.patience

    def restore_best(self) -> None:
        if self.best is not None:
            self.network.load_state_dict(self.best)

    def state(self) -> tuple[State, dict[str, Any]]:
        """Everything as named arrays and JSON values."""
        moments = {
            f"{index}/{name}": torch.as_tensor(value)
            for index, entry in self.optimiser.state_dict()["state"].items()
            for name, value in entry.items()
        }
        groups = {"network": self.network.state_dict(), "best": self.best or {}, "optimiser": moments}
        tensors = {f"{prefix}/{name}": tensor for prefix, part in groups.items() for name, tensor in part.items()}
        arrays = to_arrays(tensors | {"generator": self.generator.get_state()})
        return arrays, {"history": self.history, "best_epoch": self.best_epoch, "finished": self.finished}

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from what the checkpoint holds, if it holds anything."""
        kept = checkpoint.read()
        if kept is None:
            return
        arrays, attributes = kept
        self.history, self.best_epoch = attributes["history"], attributes["best_epoch"]
        self.finished = attributes["finished"]
        self.network.load_state_dict(to_tensors(group(arrays, "network")))
        best = to_tensors(group(arrays, "best"))
        self.best = {name: tensor.to(self.generator.device) for name, tensor in best.items()} or None
        moments: dict[int, dict[str, Tensor]] = {}
        for path, tensor in to_tensors(group(arrays, "optimiser")).items():
            index, name = path.split("/")
            moments.setdefault(int(index), {})[name] = tensor
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})
        self.generator.set_state(torch.from_numpy(arrays["generator"]))
