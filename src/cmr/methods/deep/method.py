"""What methods that train with torch have in common; each adds its hyper-parameters, networks and losses."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from cmr.compute import CPU, Compute
from cmr.device import resolve_device
from cmr.methods.base import History, Pairs, State
from cmr.methods.deep.encoders import parameter_groups
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import CommonSpace, DeepModel, TrainableSpace
from cmr.methods.deep.trainer import Schedule, Training, fit_networks, require_pairs, seeded
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity


class DeepMethod(ABC):
    """Base of the dataclasses of hyper-parameters.

    Attributes
    ----------
    name : in the registry; part of what random sources are seeded from.
    """

    name: ClassVar[str]
    similarity: ClassVar[Similarity] = "cosine"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> DeepModel:
        """See `methods.base.Method`."""
        return self.fit_seeds(train, valid, seeds=[seed], compute=compute, progress=progress)[seed]

    @abstractmethod
    def fit_seeds(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seeds: Sequence[int],
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> dict[int, DeepModel]:
        """A model a seed, each as `fit` would give it alone, to float32's precision."""

    @abstractmethod
    def restore(self, state: State) -> DeepModel:
        """The model that `state` was taken from, on the CPU."""


class SeedBySeed(DeepMethod):
    """A method that fits one seed after the other, since each goes its own way or there is nothing to be gained."""

    @abstractmethod
    def fit_seed(self, train: Pairs, valid: Pairs | None, seed: int, compute: Compute, progress: Progress) -> DeepModel:
        """The model of one seed."""

    def fit_seeds(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seeds: Sequence[int],
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> dict[int, DeepModel]:
        """See DeepMethod."""
        require_pairs(train, valid)
        return {seed: self.fit_seed(train, valid, seed, compute, progress) for seed in seeds}


@dataclass(frozen=True)
class Start:
    """A network whose training begins.

    Attributes
    ----------
    training : of the network.
    space : what embeds items when the network is trained: itself, or a network that it is a part of, or has as a part.
    history : of the stages before.
    """

    training: Training
    space: CommonSpace
    history: History = field(default_factory=dict)


class NetworkMethod(DeepMethod):
    """A method that is one network, trained in one go."""

    # Hyper-parameters of all of them.
    learning_rate: float
    epochs: int
    batch_size: int
    patience: int

    @abstractmethod
    def build(self, inputs: Inputs, generator: torch.Generator) -> TrainableSpace:
        """The network on the generator's device, with random weights; equal for equal states of the generator."""

    def check(self, train: Pairs) -> None:
        """Refuse data: NotApplicableError where the method is not defined for it, InfeasibleError for these values."""

    def prepare(self, network: TrainableSpace, train: Pairs) -> None:
        """Give the network what it takes from the training features, such as their statistics."""

    def weights(self) -> Mapping[str, float]:
        """Of each term of the losses."""
        return {"loss": 1.0}

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch_size, self.patience)

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """Of the parameters, which come by name; pretrained ones learn at a tenth of the rate."""
        return torch.optim.Adam(parameter_groups(parameters, self.learning_rate), fused=True)

    def start(self, train: Pairs, valid: Pairs | None, seed: int, device: torch.device, progress: Progress) -> Start:
        """The network as its training begins, after the stages before it."""
        generator = seeded(seed, self.name, device)
        network = self.build(Inputs.of(train), generator)
        self.prepare(network, train)
        return Start(Training(network, train, valid, generator), network)

    def fit_seeds(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seeds: Sequence[int],
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> dict[int, DeepModel]:
        """See DeepMethod."""
        require_pairs(train, valid)
        self.check(train)
        device = resolve_device(compute.device)
        starts = [self.start(train, valid, seed, device, progress) for seed in seeds]
        histories = fit_networks(
            [start.training for start in starts],
            self.optimiser,
            self.weights(),
            similarity=self.similarity,
            schedule=self.schedule(),
            compute=compute,
            progress=progress,
            facts={"method": self.name, **vars(self)},
        )
        inputs = Inputs.of(train)
        return {
            seed: DeepModel(start.space, history | start.history, inputs)
            for seed, start, history in zip(seeds, starts, histories, strict=True)
        }

    def restore(self, state: State) -> DeepModel:
        """See DeepMethod."""
        return DeepModel.from_state(lambda inputs: self.build(inputs, torch.Generator()), state)
