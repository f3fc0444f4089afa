"""What the stages of a pipeline have in common: where they are computed, and how a network among them is trained.

A stage is trained alone and stays as it is afterwards. Equal stages of methods, ablations and candidates are trained
once (`cmr.methods.deep.stages`).
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cmr import provenance
from cmr.checkpoint import to_arrays
from cmr.compute import CPU, Compute
from cmr.device import resolve_device
from cmr.methods.base import Array, History, Pairs
from cmr.methods.deep.layers import Random
from cmr.methods.deep.network import TrainableSpace, embed
from cmr.methods.deep.stages import shared_stage
from cmr.methods.deep.trainer import Schedule, Training, fit_networks, seeded
from cmr.progress import SILENT, Progress


@dataclass(frozen=True)
class Context:
    """What all stages of one fit share."""

    seed: int = 0
    compute: Compute = CPU
    progress: Progress = SILENT

    @property
    def device(self) -> torch.device:
        """Where the stages are computed."""
        return resolve_device(self.compute.device)

    def generator(self, purpose: str) -> torch.Generator:
        """The random source of a stage, see `trainer.seeded`."""
        return seeded(self.seed, purpose, self.device)

    def share(self, module: nn.Module, fit: Callable[[], History], purpose: str, **facts: Any) -> History:
        """`shared_stage` of a module that is on the device; `facts` are data and settings."""
        modules = {type(part).__module__ for part in module.modules()}
        return shared_stage(
            module,
            fit,
            stage=purpose,
            device=self.device,
            progress=self.progress,
            seed=self.seed,
            mixed_precision=self.compute.mixed_precision,
            compile=self.compute.compile,
            start=to_arrays(module.state_dict()),
            made_of=provenance.code_reached_from(*(name for name in modules if name.startswith("cmr."))),
            **facts,
        )


@dataclass(frozen=True)
class Descent:
    """Training of a stage by Adam.

    Parameters
    ----------
    learning_rate, epochs, batch_size, patience : as of `NetworkMethod`; patience where there is a valid part.
    weight_decay : factor of the L2 penalty.
    """

    learning_rate: float
    epochs: int
    batch_size: int
    patience: int
    weight_decay: float = 0.0

    def train(
        self,
        network: TrainableSpace,
        train: Pairs,
        valid: Pairs | None,
        weights: Mapping[str, float],
        purpose: str,
        context: Context,
        **facts: Any,
    ) -> History:
        """Train `network` in place.

        Parameters
        ----------
        weights : of the terms of its losses.
        facts : settings that neither these arguments nor the shapes of its weights tell, such as dropout.
        """
        generator = context.generator(f"order of {purpose}")
        for layer in network.modules():
            if isinstance(layer, Random):
                layer.generators = [generator]  # a checkpoint keeps the state of the training's source alone
        (history,) = fit_networks(
            [Training(network, train, valid, generator)],
            self.optimiser,
            weights,
            similarity="cosine",
            schedule=Schedule(self.epochs, self.batch_size, self.patience),
            compute=context.compute,
            progress=context.progress,
            facts={"stage": purpose, "shapes": shapes(network), **asdict(self), **facts},
        )
        return history

    def share(
        self,
        network: TrainableSpace,
        train: Pairs,
        valid: Pairs | None,
        weights: Mapping[str, float],
        purpose: str,
        context: Context,
        **facts: Any,
    ) -> History:
        """`train` as a shared stage."""
        return context.share(
            network,
            lambda: self.train(network, train, valid, weights, purpose, context, **facts),
            purpose,
            train=train.given,
            valid=None if valid is None else valid.given,
            weights=dict(weights),
            descent=asdict(self),
            **facts,
        )

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """Of the parameters by name."""
        rate, decay = self.learning_rate, self.weight_decay
        return torch.optim.Adam(parameters.values(), lr=rate, weight_decay=decay, fused=True)


class OneModality(TrainableSpace):
    """A network of one modality, trained on the pairs of `alone`, whose two sides are the same."""

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """(b, d) -> (b, k)."""

    def embed_images(self, images: Tensor) -> Tensor:
        return self.embed(images)

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.embed(texts)


def shapes(module: nn.Module) -> dict[str, list[int]]:
    """Of all weights and buffers, by name."""
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()}


def alone(x: Array, labels: NDArray[np.bool_]) -> Pairs:
    """Items (n, d) of one modality as pairs with themselves; a valid mAP is then that of ranking them by each other."""
    return Pairs(x, x, labels)


def embedded(
    network: nn.Module, images: Callable[[Tensor], Tensor], texts: Callable[[Tensor], Tensor], pairs: Pairs | None
) -> Pairs | None:
    """The same pairs, their views replaced by what two functions of `network` make of them; None of none."""
    if pairs is None:
        return None
    views = (embed(network, side, rows) for side, rows in ((images, pairs.images), (texts, pairs.texts)))
    return Pairs(*views, pairs.labels, groups=pairs.groups)
