"""What the methods that are pipelines of frozen stages have in common."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from cmr.compute import Compute
from cmr.methods.base import History, Pairs, State
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence
from cmr.methods.boltzmann.multimodal_dbn import MultimodalDBN, fit_multimodal_dbn
from cmr.methods.boltzmann.stacked import StackedMethod
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.method import SeedBySeed
from cmr.methods.deep.network import DeepModel
from cmr.methods.pipelines.fusion import FusedClassifiers, FusionRBM
from cmr.methods.pipelines.stages import Context, Descent
from cmr.progress import Progress

JOINT_LEARNING_RATE = 0.01  # of the RBMs that join codes


@dataclass(frozen=True)
class Pipeline(StackedMethod, SeedBySeed):
    """Base of CMDN, CCL and HRL: codes of each modality, joined and classified (`fusion`), then a common space.

    Parameters
    ----------
    fusion_width : units of the RBM that joins the codes of one modality.
    classifier_widths, dropout : hidden units of the feed-forward classifier of each modality, and the share of them
        that a step leaves out.
    learning_rate, epochs, batch_size, patience, weight_decay : training of each supervised stage, by Adam.

    Attributes
    ----------
    model : what a network of all stages becomes.
    """

    fusion_width: int = 128
    classifier_widths: tuple[int, ...] = (128, 128, 128)
    dropout: float = 0.2
    learning_rate: float = 0.001
    epochs: int = 30
    batch_size: int = 50
    patience: int = 10
    weight_decay: float = 0.0001

    model: ClassVar[type[DeepModel]] = DeepModel

    def check(self, train: Pairs) -> None:
        """Refuse data; it needs classes."""
        train.require_classes(self.name)

    @abstractmethod
    def fit_space(self, train: Pairs, valid: Pairs | None, context: Context) -> tuple[nn.Module, History]:
        """All stages, trained one after the other."""

    @abstractmethod
    def untrained(self, inputs: Inputs) -> nn.Module:
        """A network of the right sizes, for weights to be loaded into."""

    def fused(self, dimensions: tuple[int, int], n_classes: int, context: Context) -> FusedClassifiers:
        """Untrained, for codes of these dimensions."""
        joints = (FusionRBM(dimension, self.fusion_width, context.device) for dimension in dimensions)
        return FusedClassifiers(*joints, self.classifier_widths, n_classes, self.dropout, context)

    def fit_multimodal_dbn(self, train: Pairs, width: int, context: Context) -> tuple[MultimodalDBN, History]:
        """One with `width` joint units on the stacks of both modalities; the history tells of these too."""
        stacks = self.fit_stacks(train, context.seed, context.device, context.progress)
        network, history = fit_multimodal_dbn(
            stacks,
            train,
            n_components=width,
            epochs=self.stack_epochs,
            batch_size=self.stack_batch_size,
            learning_rate=JOINT_LEARNING_RATE,
            seed=context.seed,
            device=context.device,
            progress=context.progress,
        )
        return network, history | stacks.history

    def divergence(self) -> ContrastiveDivergence:
        """Training of an RBM that joins codes."""
        return ContrastiveDivergence(JOINT_LEARNING_RATE, self.stack_epochs, self.stack_batch_size)

    def descent(self) -> Descent:
        """Training of a supervised stage."""
        return Descent(self.learning_rate, self.epochs, self.batch_size, self.patience, self.weight_decay)

    def fit_seed(self, train: Pairs, valid: Pairs | None, seed: int, compute: Compute, progress: Progress) -> DeepModel:
        """See SeedBySeed; each seed chooses and shares its stages by itself."""
        self.check(train)
        return self.model(*self.fit_space(train, valid, Context(seed, compute, progress)), Inputs.of(train))

    def restore(self, state: State) -> DeepModel:
        """See DeepMethod."""
        return self.model.from_state(self.untrained, state)
