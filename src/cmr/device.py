"""Which device torch computes on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cmr.errors import UserError


def resolve_device(name: str) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`; raises UserError for one that this machine lacks.

    A GPU then computes by algorithms that give the same seed the same numbers wherever torch has one, and torch warns
    where it has none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if name == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or not (index.isdigit() or name == "cuda"):
        raise UserError(f'device "{name}" is unknown; give auto, cpu, cuda or cuda:<number>')
    count = torch.cuda.device_count()
    if int(index or 0) >= count:
        have = f"has {count} (cuda:0 to cuda:{count - 1})" if count else "has none that torch can use"
        raise UserError(f'device "{name}" was asked for, but this machine {have}; give auto or cpu')
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # its sums too come in one order; read at its first use
    torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device(name)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute an operation with so many threads: its sums, and so results, depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
