"""State of unfinished work on disk, so that a killed job goes on where it was.

A checkpoint's name is the fingerprint of everything that determines the work, so that work of other settings, data or
code is never continued.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cmr import provenance, store
from cmr.errors import UserError
from cmr.progress import Progress

SECONDS_BETWEEN = 10.0  # what a kill costs at most, save for one epoch that takes longer

Arrays = dict[str, np.ndarray]

log = logging.getLogger(__name__)


@dataclass
class Checkpoint:
    """One file that is replaced as a whole; without a path nothing is kept and nothing found."""

    path: Path | None = None
    _written: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, progress: Progress, stage: str, device: str, **facts: Any) -> "Checkpoint":
        """The checkpoint in the folder `progress.checkpoints` of the work that `stage`, `device` and `facts` determine.

        The facts are what `provenance.fingerprint` takes; the library's code and torch's version are added.
        """
        if progress.checkpoints is None:
            return cls()
        made_by = {"code": provenance.code_digest(), "torch": str(torch.__version__), "device": device}
        return cls(progress.checkpoints / f"{provenance.fingerprint(stage=stage, **made_by, **facts)}.h5")

    def read(self) -> tuple[Arrays, dict[str, Any]] | None:
        """Arrays and attributes as last written; None where there are none, or a damaged file, or that of other work.

        Such a file is discarded.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            arrays, attributes = store.read_arrays(self.path)
            if attributes.pop("of", None) != self.path.stem:
                raise UserError(f"{self.path} holds the state of other work")
            return arrays, attributes
        except UserError as error:
            log.warning("%s is of no use (%s) and discarded; the work starts anew", self.path, error.__cause__ or error)
            self.path.unlink()
            return None

    def write(self, arrays: Arrays, attributes: dict[str, Any]) -> None:
        """Replace what is kept."""
        if self.path is not None:
            store.write_arrays(self.path, arrays, {**attributes, "of": self.path.stem})
        self._written = time.monotonic()

    def due(self, finished: bool = False) -> bool:
        """Whether to write, where anything is kept: the work is finished, or the last write was long enough ago."""
        return self.path is not None and (finished or time.monotonic() - self._written >= SECONDS_BETWEEN)


class BestEpoch:
    """One network in training: its history, and its weights of the best epoch so far.

    Attributes
    ----------
    history : one value an epoch of each recorded quantity.
    best_epoch : whose score is the highest, from 1; 0 where nothing is scored.
    finished : the epochs are over, or no epoch has been better for too long.
    """

    def __init__(self, network: nn.Module, generator: torch.Generator) -> None:
        self.network, self.generator = network, generator
        self.history: dict[str, list[float]] = {}
        self.best: dict[str, Tensor] | None = None  # None without a valid part
        self.best_epoch = 0
        self.finished = False

    @property
    def epoch(self) -> int:
        """Epochs that are over."""
        return len(self.history.get("loss", []))

    def record(self, means: Mapping[str, float], epochs: int, patience: int, score: str = "valid_map") -> None:
        """Close an epoch: its values go into the history; its weights are kept if the one named `score` is the best."""
        for name, value in means.items():
            self.history.setdefault(name, []).append(value)
        scores = self.history.get(score)
        if scores and (self.best is None or scores[-1] > scores[self.best_epoch - 1]):
            self.best_epoch = self.epoch
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        waited = self.epoch - self.best_epoch if scores else 0
        self.finished = self.epoch >= epochs or waited >= patience

    def restore_best(self) -> None:
        """Give the network its best epoch's weights; without scores it keeps its last."""
        if self.best is not None:
            self.network.load_state_dict(self.best)

    def to_arrays(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything as named arrays and JSON values."""
        arrays = store.under("network", to_arrays(self.network.state_dict()))
        arrays |= store.under("best", to_arrays(self.best or {}))
        arrays |= {"generator": self.generator.get_state().numpy()}
        return arrays, {"history": self.history, "best_epoch": self.best_epoch, "finished": self.finished}

    def resume(self, arrays: Arrays, attributes: Mapping[str, Any]) -> None:
        """Take up what `to_arrays` gave."""
        self.history, self.best_epoch = attributes["history"], attributes["best_epoch"]
        self.finished = attributes["finished"]
        self.network.load_state_dict(to_tensors(store.group(arrays, "network")))
        best = to_tensors(store.group(arrays, "best"))
        self.best = {name: tensor.to(self.generator.device) for name, tensor in best.items()} or None
        self.generator.set_state(torch.from_numpy(arrays["generator"]))
        log.info("going on from checkpoint, after epoch %d", self.epoch)


class TrainingState:
    """How far a training has come, of one network or of several that share an optimiser: all that must survive a kill.

    Attributes
    ----------
    runs : one a network.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        optimiser: torch.optim.Optimizer,
        generators: Sequence[torch.Generator],
    ) -> None:
        self.runs = [BestEpoch(network, own) for network, own in zip(networks, generators, strict=True)]
        self.optimiser = optimiser

    @property
    def epoch(self) -> int:
        """Epochs that are over."""
        return max(run.epoch for run in self.runs)

    @property
    def finished(self) -> bool:
        """Whether all networks are."""
        return all(run.finished for run in self.runs)

    def to_arrays(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything as named arrays and JSON values."""
        arrays = {
            f"optimiser/{index}/{name}": torch.as_tensor(value).detach().cpu().numpy()
            for index, entry in self.optimiser.state_dict()["state"].items()
            for name, value in entry.items()
        }
        attributes = {}
        for position, run in enumerate(self.runs):
            own, attributes[str(position)] = run.to_arrays()
            arrays |= store.under(str(position), own)
        return arrays, attributes

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from what the checkpoint holds, if it holds anything."""
        kept = checkpoint.read()
        if kept is None:
            return
        arrays, attributes = kept
        for position, run in enumerate(self.runs):
            run.resume(store.group(arrays, str(position)), attributes[str(position)])
        moments: dict[int, dict[str, Tensor]] = {}
        for path, tensor in to_tensors(store.group(arrays, "optimiser")).items():
            index, name = path.split("/")
            moments.setdefault(int(index), {})[name] = tensor
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})


def to_arrays(tensors: Mapping[str, Tensor]) -> Arrays:
    """Copies of the tensors as NumPy arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def to_tensors(arrays: Arrays) -> dict[str, Tensor]:
    """The reverse of `to_arrays`, on the CPU."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
