"""State of unfinished work on disk, so that a killed job goes on where it was.

A checkpoint's name is the fingerprint of everything that determines the work, so that work of other settings, data or
code is never continued.
"""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cmr import provenance, store
from cmr.errors import UserError
from cmr.methods.base import State
from cmr.progress import Progress

SECONDS_BETWEEN = 10.0  # what a kill costs at most, save for one epoch that takes longer

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

    def read(self) -> tuple[State, dict[str, Any]] | None:
        """Arrays and attributes as last written; None where there are none, or a damaged file, which is discarded."""
        if self.path is None or not self.path.exists():
            return None
        try:
            kept = store.read_arrays(self.path)
        except UserError as error:
            log.warning("%s. It is discarded; the work starts anew", error)
            self.path.unlink()
            return None
        log.info("going on from checkpoint %s", self.path.name)
        return kept

    def write(self, arrays: State, attributes: dict[str, Any]) -> None:
        """Replace what is kept."""
        if self.path is not None:
            store.write_arrays(self.path, arrays, attributes)
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last write."""
        return self.path is not None and time.monotonic() - self._written >= SECONDS_BETWEEN
