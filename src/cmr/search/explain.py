"""Why these results: what classes the run sees in query and results, or which train items it sees the query beside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASSES_SHOWN = 3
NEIGHBOURS = 5
LEAST = 0.005  # a posterior that would be told as 0 %

Shares = tuple[tuple[str, float], ...]  # classes and their posteriors, the most probable first


@dataclass(frozen=True)
class Posteriors:
    """The most probable classes of the query and of each result."""

    query: Shares
    results: tuple[Shares, ...]


@dataclass(frozen=True)
class Neighbour:
    """A train item of the query's own kind, and its score as a result would have one."""

    id: str
    score: float
    text: str
    labels: tuple[str, ...]


def are_posteriors(embeddings: NDArray, classes: Sequence[str]) -> bool:
    """Whether embeddings (n, k) are probabilities of the classes: one column each, rows that sum to one."""
    if len(classes) < 2 or embeddings.ndim != 2 or embeddings.shape[1] != len(classes):
        return False
    sums = embeddings.sum(axis=1, dtype=np.float64)
    return embeddings.dtype.kind == "f" and bool((embeddings >= 0).all() and np.allclose(sums, 1, atol=1e-4))


def shares(posteriors: NDArray, classes: Sequence[str]) -> Shares:
    """The most probable classes of one row (c,)."""
    order = np.argsort(-posteriors, kind="stable")[:CLASSES_SHOWN]
    return tuple((classes[column], float(posteriors[column])) for column in order if posteriors[column] >= LEAST)
