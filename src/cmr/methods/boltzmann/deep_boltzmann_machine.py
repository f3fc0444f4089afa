"""A deep Boltzmann machine as a chain of layers: energy, mean field, and persistent chains.

Source: Srivastava & Salakhutdinov, Multimodal learning with deep Boltzmann machines, NIPS 2012, JMLR 2014. Card:
deep/03, mm_dbm.

    images - i1 - i2 - ... - joint - ... - t2 - t1 - texts

Each layer is connected to its neighbours alone, so that every other layer can be updated at once, given those between
them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from cmr.methods.boltzmann.rbm import BernoulliRBM, ReplicatedSoftmaxRBM, draw_bits, draw_words
from cmr.methods.boltzmann.stack import WORDS_A_DOCUMENT, Stack
from cmr.methods.boltzmann.stacked import Stacks
from cmr.methods.deep.layers import Random
from cmr.methods.deep.network import Batch, TrainableSpace

CENTRED_ON = 1000  # training pairs, at most, whose mean is taken off

States = list[Tensor]  # of all layers, (b, n_l) each
Message = Callable[[States], Tensor]


@dataclass(frozen=True)
class Inference:
    """How the states of a machine are found.

    Parameters
    ----------
    sweeps, missing_sweeps : updates of each layer's mean field, with both modalities and with one.
    chains, gibbs_steps : persistent chains, and updates of each in a step of training.
    """

    sweeps: int
    missing_sweeps: int
    chains: int
    gibbs_steps: int


class TopRBM(BernoulliRBM):
    """A joint RBM whose visible units take its input twice, in the place of that from the layers below them."""

    def visible_input(self, h: Tensor) -> Tensor:
        return 2 * (h @ self.weights.mT) + self.visible_bias


class DeepBoltzmannMachine(TrainableSpace):
    """A chain of layers, 0 to `last`: Gaussian units or words at the ends, Bernoulli units between them.

    The loss `contrast` is the mean energy of the data, whose hidden layers are at their mean field, less that of the
    chains: its gradient is the difference of the statistics.

    Parameters
    ----------
    stacks : whose scales, sizes and kinds of units it takes; `initialise` takes their weights.
    n_components : units of the joint layer, k.
    centre : take the mean of each modality over training pairs off.
    """

    def __init__(
        self, stacks: Stacks, n_components: int, inference: Inference, centre: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.image_scale, self.text_scale = stacks.images.scale, stacks.texts.scale
        self.inference, self.centre = inference, centre
        self.words = isinstance(stacks.texts.rbms[0], ReplicatedSoftmaxRBM)
        sides = [[stack.rbms[0].n_visible, *(rbm.n_hidden for rbm in stack.rbms)] for stack in stacks.both]
        widths = [*sides[0], n_components, *reversed(sides[1])]
        self.joint, self.last = len(sides[0]), len(widths) - 1
        device = generator.device
        self.weights = nn.ParameterList(torch.zeros(n, m, device=device) for n, m in pairwise(widths))
        self.biases = nn.ParameterList(torch.zeros(n, device=device) for n in widths)
        self.random = Random(generator)
        for layer, width in enumerate(widths):
            self.register_buffer(f"chain_{layer}", torch.zeros(inference.chains, width, device=device))
        for side in ("image_mean", "text_mean"):
            self.register_buffer(side, torch.zeros(n_components, device=device))

    @torch.no_grad()
    def initialise(self, stacks: Stacks, top: TopRBM) -> None:
        """Take the weights of trained RBMs, see `half_chain`."""
        n = stacks.images.width
        (image_weights, image_biases), (text_weights, text_biases) = (
            half_chain(stack, top.weights[part], top.visible_bias[part])
            for stack, part in ((stacks.images, slice(n)), (stacks.texts, slice(n, None)))
        )
        weights = [*image_weights, *(own.T for own in reversed(text_weights))]
        biases = [*image_biases, top.hidden_bias, *reversed(text_biases)]
        for parameter, value in zip([*self.weights, *self.biases], [*weights, *biases], strict=True):
            parameter.copy_(value)

    def begin(self, train: Batch) -> None:
        """Start the chains at random training pairs, hidden layers drawn from their mean field."""
        rows = torch.randint(
            len(train), (self.inference.chains,), generator=self.random.generators[0], device=train.index.device
        )
        batch = train.rows(rows)
        states = self.mean_field(self.clamped(batch.images, batch.texts), self.inference.sweeps)
        for layer, state in enumerate(states):
            self.chain(layer).copy_(state if layer in (0, self.last) else self.draw(state, layer))

    def end_epoch(self, train: Batch) -> None:
        """Take the mean joint layer of each modality."""
        if self.centre:
            some = torch.linspace(0, len(train) - 1, min(len(train), CENTRED_ON), device=train.index.device)
            batch = train.rows(some.long())
            self.image_mean.copy_(self.joint_of(images=batch.images).mean(0))
            self.text_mean.copy_(self.joint_of(texts=batch.texts).mean(0))

    def embed_images(self, images: Tensor) -> Tensor:
        return self.joint_of(images=images) - self.image_mean

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.joint_of(texts=texts) - self.text_mean

    def joint_of(self, images: Tensor | None = None, texts: Tensor | None = None) -> Tensor:
        """(b, k) mean field of the joint layer, of pairs or of one side, the other being inferred."""
        sweeps = self.inference.missing_sweeps if images is None or texts is None else self.inference.sweeps
        return self.mean_field(self.clamped(images, texts), sweeps)[self.joint]

    def clamped(self, images: Tensor | None, texts: Tensor | None) -> dict[int, Tensor]:
        """The states of the layers at the ends that are known."""
        known = {0: (images, self.image_scale), self.last: (texts, self.text_scale)}
        return {layer: scale(x) for layer, (x, scale) in known.items() if x is not None}

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        with torch.no_grad():
            states = self.mean_field(self.clamped(batch.images, batch.texts), self.inference.sweeps)
            chains = self.walk()
        return {"contrast": self.energy(states).mean(-1) - self.energy(chains).mean(-1)}

    def energy(self, states: States) -> Tensor:
        """E of states of all layers, (b,); of mean-field states its expectation, save a constant of Gaussian units."""
        total = sum(
            -((below @ W) * above).sum(-1) for W, (below, above) in zip(self.weights, pairwise(states), strict=True)
        )
        for layer, (state, bias) in enumerate(zip(states, self.biases, strict=True)):
            gaussian = self.is_gaussian(layer)
            total = total + ((state - bias).square().sum(-1) / 2 if gaussian else -(state * bias).sum(-1))
        return total

    def mean_field(self, clamped: Mapping[int, Tensor], sweeps: int) -> States:
        """Mean states of all layers, given those that are clamped (at the ends), after so many updates of each.

        Layers start at what their biases say. Missing Gaussian layers are at the mean that their neighbour implies.
        """
        column = torch.zeros_like(next(iter(clamped.values()))[..., :1])
        states = [
            clamped[layer] if layer in clamped else self.activation(column + bias, layer)
            for layer, bias in enumerate(self.biases)
        ]
        ends = {end: self.message(end, clamped) for end in (0, self.last)}
        implied = [end for end in ends if end not in clamped and self.is_gaussian(end)]
        fixed = {*clamped, *implied}
        for _ in range(sweeps):
            for layer in self.in_turn():
                if layer not in fixed:
                    states[layer] = self.mean(states, layer, ends)
        for end in implied:
            states[end] = self.mean(states, end)
        return states

    def message(self, end: int, clamped: Mapping[int, Tensor]) -> Message:
        """What a layer at an end adds to the input of its neighbour h: computed once where it is known."""
        neighbour, W = (1, self.weights[0]) if end == 0 else (end - 1, self.weights[-1].mT)
        if end in clamped:
            known = clamped[end] @ W
            return lambda states: known
        if self.is_gaussian(end):
            # (h W^T + a) W: with the small matrix W^T W, as the layer has many more units than its neighbour.
            gram, shift = W.mT @ W, self.biases[end] @ W
            return lambda states: states[neighbour] @ gram + shift
        return lambda states: states[end] @ W

    def walk(self) -> States:
        """Let the chains go on; their new states."""
        states = [self.chain(layer).clone() for layer in range(self.last + 1)]
        for _ in range(self.inference.gibbs_steps):
            for layer in self.in_turn():
                states[layer] = self.draw(self.mean(states, layer), layer)
        for layer, state in enumerate(states):
            self.chain(layer).copy_(state)
        return states

    def in_turn(self) -> Sequence[int]:
        """Layers in the order of their updates: every other one, then those between them."""
        return [*range(1, self.last + 1, 2), *range(0, self.last + 1, 2)]

    def mean(self, states: States, layer: int, ends: Mapping[int, Message] | None = None) -> Tensor:
        """E[layer | its neighbours], (b, n_l)."""
        total = self.biases[layer]
        for neighbour in (layer - 1, layer + 1):
            if ends and neighbour in ends:
                total = total + ends[neighbour](states)
            elif 0 <= neighbour <= self.last:
                W = self.weights[min(layer, neighbour)]
                total = total + states[neighbour] @ (W if neighbour < layer else W.mT)
        return self.activation(total, layer)

    def activation(self, x: Tensor, layer: int) -> Tensor:
        """The mean of a layer's units of this input."""
        if self.is_gaussian(layer):
            return x
        return torch.sigmoid(x) if layer < self.last else WORDS_A_DOCUMENT * torch.softmax(x, dim=-1)

    def draw(self, mean: Tensor, layer: int) -> Tensor:
        """States of a layer's units of this mean."""
        if self.is_gaussian(layer):
            return mean + self.random.each(lambda own, source: torch.empty_like(own).normal_(generator=source), mean)
        if layer < self.last:
            return self.random.each(draw_bits, mean)
        length = int(WORDS_A_DOCUMENT)
        return self.random.each(lambda own, source: draw_words(own, length, source), mean)

    def is_gaussian(self, layer: int) -> bool:
        """Whether a layer's units are."""
        return layer == 0 or (layer == self.last and not self.words)

    def chain(self, layer: int) -> Tensor:
        """Where a layer's chains are kept, (c, n_l)."""
        return getattr(self, f"chain_{layer}")


def half_chain(stack: Stack, top_weights: Tensor, top_bias: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of one side of the machine, from the end to the joint layer, by those of RBMs.

    A layer between others has half of its input from each side. So the weights between the layers of a stack are
    halved, and biases are the mean of that for recognition, from the stack, and that for generation.
    """
    first, *others = stack.rbms
    weights = [first.weights, *(rbm.weights / 2 for rbm in others), top_weights]
    length = WORDS_A_DOCUMENT if isinstance(first, ReplicatedSoftmaxRBM) else 1.0
    recognition = [length * first.hidden_bias, *(rbm.hidden_bias for rbm in others)]
    generation = [*(rbm.visible_bias for rbm in others), top_bias]
    halves = [(own + other) / 2 for own, other in zip(recognition, generation, strict=True)]
    return weights, [first.visible_bias, *halves]
