"""The first layer of a network on each modality: whatever kind of data comes in, vectors come out."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from cmr.methods.base import NotApplicableError
from cmr.methods.deep.inputs import Side
from cmr.methods.deep.layers import Standardise
from cmr.rows import Rows


class Encoder(nn.Module, ABC):
    """(b, ...) items of one kind -> (b, width).

    Attributes
    ----------
    width : of the vectors.
    """

    width: int

    @abstractmethod
    def prepare(self, x: Rows) -> None:
        """Take what it needs of the training items, such as their statistics."""


class Vectors(Encoder):
    """z-scores, cut at five standard deviations."""

    def __init__(self, side: Side, generator: torch.Generator) -> None:
        super().__init__()
        self.width = side.dimension
        self.scale = Standardise(self.width).to(generator.device)

    def prepare(self, x: Rows) -> None:
        self.scale.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale(x)


ENCODERS: dict[str, type[Encoder]] = {"vectors": Vectors}


def encoder(side: Side, generator: torch.Generator) -> Encoder:
    """The encoder of a kind of data, on the generator's device; raises NotApplicableError where there is none."""
    if side.kind not in ENCODERS:
        raise NotApplicableError(f"networks take {', '.join(ENCODERS)}, but this view holds {side.kind}")
    return ENCODERS[side.kind](side, generator)
