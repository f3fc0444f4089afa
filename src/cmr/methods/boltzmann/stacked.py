"""Methods on top of two stacks of restricted Boltzmann machines, one a modality: the pipeline of 2011 to 2017."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cmr.methods.base import History, NotApplicableError, Pairs, State
from cmr.methods.boltzmann.stack import Stack, fit_stack
from cmr.methods.deep.inputs import Inputs, Side
from cmr.methods.deep.method import DeepMethod, NetworkMethod, Start
from cmr.methods.deep.network import CommonSpace, DeepModel, embed
from cmr.methods.deep.trainer import Training, require_pairs, seeded
from cmr.progress import Progress
from cmr.rows import in_memory


@dataclass(frozen=True)
class StackedMethod(DeepMethod):
    """Base of methods whose first stage is a stack a modality; equal stacks are trained once for all of them.

    Parameters
    ----------
    image_stack_widths, text_stack_widths : units of the layers of each stack. The first is Gaussian on z-scored
        features, or replicated softmax where texts are word counts; the others are Bernoulli.
    stack_epochs : epochs of contrastive divergence for each layer.
    stack_batch_size : rows a step of it.
    """

    image_stack_widths: tuple[int, ...] = (128, 128)
    text_stack_widths: tuple[int, ...] = (128, 128)
    stack_epochs: int = 40
    stack_batch_size: int = 25

    def fit_stacks(self, train: Pairs, seed: int, device: torch.device, progress: Progress) -> "Stacks":
        """The stacks of both modalities, trained on `train`.

        Raises UserError where it is empty, and NotApplicableError where it does not hold vectors.
        """
        require_pairs(train)
        for side, kind in (("images", train.image_kind), ("texts", train.text_kind)):
            if kind != "vectors":
                raise NotApplicableError(f"{self.name}: it learns from vectors, but the {side} are {kind}")
        stacks, history = {}, {}
        for side, widths, counts in (
            ("images", self.image_stack_widths, False),
            ("texts", self.text_stack_widths, train.texts_are_counts),
        ):
            stacks[side], errors = fit_stack(
                in_memory(getattr(train, side)),
                tuple(widths),
                counts=counts,
                epochs=self.stack_epochs,
                batch_size=self.stack_batch_size,
                seed=seed,
                purpose=f"{side} stack",
                device=device,
                progress=progress,
            )
            history |= {f"{side}_{layer}": values for layer, values in errors.items()}
        return Stacks(stacks["images"], stacks["texts"], history)

    def untrained_stacks(self, inputs: Inputs) -> "Stacks":
        """Stacks of the right sizes, for weights to be loaded into."""
        images = Stack.of(inputs.images.dimension, tuple(self.image_stack_widths), False)
        return Stacks(images, Stack.of(inputs.texts.dimension, tuple(self.text_stack_widths), inputs.texts.counts), {})


@dataclass(frozen=True)
class NetworkOnStacks(StackedMethod, NetworkMethod):
    """Base of methods that are one network, trained on the fixed output of the stacks: `build` is given its widths."""

    def start(self, train: Pairs, valid: Pairs | None, seed: int, device: torch.device, progress: Progress) -> Start:
        """See NetworkMethod; the history has the stacks' reconstruction errors."""
        stacks = self.fit_stacks(train, seed, device, progress)
        generator = seeded(seed, self.name, device)
        through, above = stacks.through(train), None if valid is None else stacks.through(valid)
        network = self.build(Inputs.of(through), generator)
        return Start(Training(network, through, above, generator), OnStacks(stacks, network), stacks.history)

    def restore(self, state: State) -> DeepModel:
        """See DeepMethod."""

        def build(inputs: Inputs) -> OnStacks:
            above = replace(
                inputs,
                images=Side("vectors", (self.image_stack_widths[-1],)),
                texts=Side("vectors", (self.text_stack_widths[-1],)),
            )
            return OnStacks(self.untrained_stacks(inputs), self.build(above, torch.Generator()))

        return DeepModel.from_state(build, state)


@dataclass(frozen=True)
class Stacks:
    """Trained stacks: `history` has the reconstruction error of each layer, such as `images_rbm_1`."""

    images: Stack
    texts: Stack
    history: History

    @property
    def both(self) -> tuple[Stack, Stack]:
        """Images, texts."""
        return self.images, self.texts

    def through(self, pairs: Pairs) -> Pairs:
        """The same pairs, their views replaced by the probabilities of the top layers."""
        return replace(
            pairs,
            images=embed(self.images, self.images, pairs.images),
            texts=embed(self.texts, self.texts, pairs.texts),
            texts_are_counts=False,
        )


class OnStacks(CommonSpace):
    """A network on the output of two stacks, as one network on raw features."""

    def __init__(self, stacks: Stacks, top: CommonSpace) -> None:
        super().__init__()
        self.image_stack, self.text_stack, self.top = stacks.images, stacks.texts, top

    def embed_images(self, images: Tensor) -> Tensor:
        return self.top.embed_images(self.image_stack(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.top.embed_texts(self.text_stack(texts))
