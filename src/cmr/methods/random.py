"""The floor: a ranking that knows nothing."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from cmr.compute import CPU, Compute
from cmr.methods.base import Array, History, Pairs, State
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class RandomRanking:
    """Every item gets the same embedding, so that all scores tie.

    The evaluator takes ties by exact expectation over their orders; what it reports for this method is therefore the
    expected score of a random ranking, without sampling noise.
    """

    similarity: ClassVar[Similarity] = "inner"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> "Indifferent":
        """Nothing is learnt."""
        return Indifferent()

    def restore(self, state: State) -> "Indifferent":
        """See Method."""
        return Indifferent()


@dataclass(frozen=True)
class Indifferent:
    """Embeds every item as zero."""

    history: History = field(default_factory=dict)

    def embed_images(self, images: Array) -> Array:
        """(n, d_x) -> (n, 1) zeros."""
        return np.zeros((len(images), 1), dtype=np.float32)

    def embed_texts(self, texts: Array) -> Array:
        """(n, d_y) -> (n, 1) zeros."""
        return np.zeros((len(texts), 1), dtype=np.float32)

    def state(self) -> State:
        """See Model."""
        return {}
