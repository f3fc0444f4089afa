"""Multimodal deep Boltzmann machine: one joint distribution over images, texts and the layers between them.

Source: Srivastava & Salakhutdinov, Multimodal learning with deep Boltzmann machines, NIPS 2012, JMLR 2014. Card:
deep/03, mm_dbm.

Training is the authors': layers one by one, then all weights together, by mean field on the data and persistent chains.
The layers that come first are those that all methods on stacks share; only the joint one is trained for its place in
the chain. The rates by layer, the choice of the epoch by the valid part, and taking the mean of each modality off the
joint layer are ours. So is that texts which are not word counts have Gaussian units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from cmr.compute import CPU, Compute
from cmr.device import resolve_device
from cmr.methods.base import Pairs, State
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence, fit_rbm
from cmr.methods.boltzmann.deep_boltzmann_machine import DeepBoltzmannMachine, Inference, TopRBM
from cmr.methods.boltzmann.joint_rbm import joined
from cmr.methods.boltzmann.stacked import StackedMethod, Stacks
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import DeepModel
from cmr.methods.deep.trainer import Schedule, Training, fit_networks, seeded
from cmr.progress import SILENT, Progress

JOINT_LEARNING_RATE = 0.01  # of the joint RBM that training begins with
GAUSSIAN_RATE = 0.1  # share of the learning rate that Gaussian units' layers have
WORD_RATE = 0.02  # that of words, whose gradient grows with the 100 of a document


@dataclass(frozen=True)
class DBM(StackedMethod):
    """Compare images and texts by the joint layer of a deep Boltzmann machine, inferred from either; uses no labels.

    Parameters
    ----------
    n_components : units of the joint layer.
    centre : take the train mean of each modality off.
    sweeps : updates of each layer's mean field in training.
    missing_sweeps : those where one modality is missing.
    chains : persistent chains.
    gibbs_steps : updates of each chain in a step.
    learning_rate : at first; it falls to zero over the epochs. The layers of images and of texts have a tenth of it,
        word counts a fiftieth.
    weight_decay : the L2 penalty's factor, on the weights alone.
    epochs, batch_size, patience : of the training of all layers together.
    """

    n_components: int = 128
    centre: bool = True
    sweeps: int = 5
    missing_sweeps: int = 20
    chains: int = 100
    gibbs_steps: int = 5
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    epochs: int = 10
    batch_size: int = 100
    patience: int = 5

    name: ClassVar[str] = "dbm"

    def fit_seeds(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seeds: Sequence[int],
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> dict[int, DeepModel]:
        """See DeepMethod; the history has the reconstruction errors of the RBMs too."""
        device, inputs, trainings, pretraining = resolve_device(compute.device), Inputs.of(train), [], []
        for seed in seeds:
            stacks, top = self.fit_layers(train, seed, device, progress)
            generator = seeded(seed, self.name, device)
            network = self.machine(stacks, generator)
            network.initialise(stacks, top)
            trainings.append(Training(network, train, valid, generator))
            pretraining.append(stacks.history)
        histories = fit_networks(
            trainings,
            partial(self.optimiser, words=inputs.texts.counts),
            {"contrast": 1.0},
            similarity=self.similarity,
            schedule=Schedule(self.epochs, self.batch_size, self.patience, rate=lambda over: 1 - over),
            compute=compute,
            progress=progress,
            facts={"method": self.name, **vars(self)},
        )
        return {
            seed: DeepModel(training.network, history | before, inputs)
            for seed, training, history, before in zip(seeds, trainings, histories, pretraining, strict=True)
        }

    def fit_layers(self, train: Pairs, seed: int, device: torch.device, progress: Progress) -> tuple[Stacks, TopRBM]:
        """The stacks, whose history has all reconstruction errors, and the RBM on top of them."""
        stacks = self.fit_stacks(train, seed, device, progress)
        top = TopRBM(stacks.images.width + stacks.texts.width, self.n_components, device)
        errors = fit_rbm(
            top,
            joined(stacks.through(train)),
            ContrastiveDivergence(JOINT_LEARNING_RATE, self.stack_epochs, self.stack_batch_size),
            seed=seed,
            purpose="top of a deep Boltzmann machine",
            device=device,
            progress=progress,
        )
        return replace(stacks, history=stacks.history | {"joint_rbm": errors["reconstruction_error"]}), top

    def machine(self, stacks: Stacks, generator: torch.Generator) -> DeepBoltzmannMachine:
        """Untrained."""
        inference = Inference(self.sweeps, self.missing_sweeps, self.chains, self.gibbs_steps)
        return DeepBoltzmannMachine(stacks, self.n_components, inference, self.centre, generator)

    def optimiser(self, parameters: Mapping[str, Tensor], words: bool) -> torch.optim.Optimizer:
        """Gradient descent at each layer's rate; `words` says whether texts are word counts."""
        last = sum(name.startswith("biases") for name in parameters) - 1
        shares = {"weights.0": GAUSSIAN_RATE, "biases.0": GAUSSIAN_RATE}
        shares |= dict.fromkeys((f"weights.{last - 1}", f"biases.{last}"), WORD_RATE if words else GAUSSIAN_RATE)
        groups = [
            {
                "params": [parameter],
                "lr": self.learning_rate * shares.get(name, 1.0),
                "weight_decay": self.weight_decay if name.startswith("weights") else 0.0,
            }
            for name, parameter in parameters.items()
        ]
        return torch.optim.SGD(groups)

    def restore(self, state: State) -> DeepModel:
        """See DeepMethod."""
        return DeepModel.from_state(
            lambda inputs: self.machine(self.untrained_stacks(inputs), torch.Generator()), state
        )
