"""How long work reports, and where it may leave checkpoints."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


@dataclass(frozen=True)
class Progress:
    """Passed to whatever takes long.

    Parameters
    ----------
    checkpoints : folder for the state of unfinished work, so that a killed job goes on where it was; None keeps none.
    stages : folder for what methods share, such as layers that several of them train alike; None shares nothing.
    quiet : show no bars (tests, notebooks that fit many small models).
    """

    checkpoints: Path | None = None
    stages: Path | None = None
    quiet: bool = False

    def track(
        self, items: Iterable[Item], description: str, total: int | None = None, unit: str = "it"
    ) -> Iterator[Item]:
        """Yield the items while a bar shows count, rate and time left on standard error (a job's log)."""
        bar = tqdm(
            items, desc=description, total=total, unit=unit, disable=self.quiet, file=sys.stderr, mininterval=2.0
        )
        yield from bar


SILENT = Progress(quiet=True)
