"""Deep bimodal autoencoder (DAE), fine-tuned end to end.

The paper on IDCMR compares a "DAE", for which it cites Ngiam et al. (ICML 2011), and says only that it is a deep
autoencoder with an RBM for the common space. Card: deep/02, `dae`.

So the network is ours: the RBM stacks and the joint layer of `bimodal_ae`, unrolled as in Ngiam et al. into one
autoencoder, whose decoders start as the transposes of its encoders. It is trained on their three copies of each pair,
(u, 0), (0, v) and (u, v), where the zeros stand for the output of the missing modality's stack. Images are given back
as z-scores, by squared error; texts that are word counts by the cross-entropy of a softmax over the words, as from a
replicated softmax; any other texts as images are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.methods.base import Pairs
from cmr.methods.boltzmann.stack import WORDS_A_DOCUMENT, CommonLength, Stack
from cmr.methods.boltzmann.stacked import StackedMethod, Stacks
from cmr.methods.deep.bimodal_ae import COPIES, BimodalAE, JointLayer, tripled
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Linear
from cmr.methods.deep.losses import label_cross_entropy, squared_distance
from cmr.methods.deep.method import NetworkMethod, Start
from cmr.methods.deep.network import Batch, TrainableSpace
from cmr.methods.deep.trainer import Schedule, Training, seeded
from cmr.progress import Progress

LARGEST_GRADIENT = 5.0  # the norm to which a step's gradient is cut


@dataclass(frozen=True)
class DAE(StackedMethod, NetworkMethod):
    """One deep autoencoder of both modalities, from RBM stacks, whose code is had from either; uses no labels.

    Parameters
    ----------
    n_components : units of the joint layer, s.
    text_weight : factor of the texts' reconstruction; at 1 both modalities start at the same order.
    learning_rate, epochs, batch_size, patience : fine-tuning of all layers, by Adam.
    """

    n_components: int = 64
    text_weight: float = 1.0
    learning_rate: float = 0.0005
    epochs: int = 25
    batch_size: int = 50
    patience: int = 10

    name: ClassVar[str] = "dae"

    def build(self, inputs: Inputs, generator: torch.Generator) -> "DeepAutoencoder":
        """Its stacks are untrained: `DeepAutoencoder.start_from` gives it trained ones."""
        network = DeepAutoencoder(self.untrained_stacks(inputs), self.n_components, generator)
        return network.to(generator.device)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        return {"images": 1.0, "texts": self.text_weight}

    def schedule(self) -> Schedule:
        """See NetworkMethod."""
        return Schedule(self.epochs, self.batch_size, self.patience, clip=LARGEST_GRADIENT)

    def start(self, train: Pairs, valid: Pairs | None, seed: int, device: torch.device, progress: Progress) -> Start:
        """See NetworkMethod; the history has the stacks' reconstruction errors."""
        stacks = self.fit_stacks(train, seed, device, progress)
        # The joint layer starts as that of `bimodal_ae` with the same seed.
        generator = seeded(seed, BimodalAE.name, device)
        network = self.build(Inputs.of(train), generator)
        network.start_from(stacks)
        return Start(Training(network, train, valid, generator), network, stacks.history)


class DeepAutoencoder(TrainableSpace):
    """Two stacks, a joint layer, and the way back, all trainable.

    Losses: `images` and `texts`, the sums over the three copies of kappa times the mean reconstruction error: the mean
    square per feature, or the cross-entropy per word. Kappa is d_x / 10 of the former and 10 of the latter.
    """

    def __init__(self, stacks: Stacks, n_components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.joint = JointLayer(stacks.images.width, stacks.texts.width, n_components, generator)
        self.images, self.texts = (
            UnrolledStack(stack, n_components, generator) for stack in (stacks.images, stacks.texts)
        )
        kappa = self.images.dimension / 10
        self.kappas = {"images": kappa, "texts": 10.0 if self.texts.counts else kappa}

    @torch.no_grad()
    def start_from(self, stacks: Stacks) -> None:
        """Take the weights of trained stacks, and for the decoders the transposes of all encoders."""
        self.images.start_from(stacks.images, self.joint.image_weight)
        self.texts.start_from(stacks.texts, self.joint.text_weight)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.joint.of_images(self.images(self.images.scale(images)))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.joint.of_texts(self.texts(self.texts.scale(texts)))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        images, texts = self.images.scale(batch.images), self.texts.scale(batch.texts)
        codes = self.joint.copies(self.images(images), self.texts(texts))
        return {
            side: COPIES * self.kappas[side] * stack.error(codes, tripled(x))
            for side, stack, x in (("images", self.images, images), ("texts", self.texts, texts))
        }


class UnrolledStack(nn.Module):
    """The layers of an RBM stack as parameters, upwards, and downwards from a code above the stack."""

    def __init__(self, stack: Stack, n_components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.scale, self.counts = stack.scale, isinstance(stack.scale, CommonLength)
        sizes = [rbm.weights.shape for rbm in stack.rbms]
        self.dimension = sizes[0][0]
        self.up = nn.ModuleList(Linear(below, above, generator) for below, above in sizes)
        down = [(n_components, stack.width), *((above, below) for below, above in reversed(sizes))]
        self.down = nn.ModuleList(Linear(above, below, generator) for above, below in down)

    def start_from(self, stack: Stack, joint_weight: Tensor) -> None:
        """Take all weights from a trained stack of the same sizes, and those above it, (n, n_components)."""
        self.scale.load_state_dict(stack.scale.state_dict())
        top, *below = self.down
        top.weight.copy_(joint_weight.mT)
        for up, down, rbm in zip(self.up, reversed(below), stack.rbms, strict=True):
            up.weight.copy_(rbm.weights)
            up.bias.copy_(rbm.hidden_bias)
            down.weight.copy_(rbm.weights.mT)
            down.bias.copy_(rbm.visible_bias)
        if self.counts:
            self.up[0].bias.mul_(WORDS_A_DOCUMENT)  # a replicated softmax adds its hidden bias once a word

    def forward(self, x: Tensor) -> Tensor:
        """(b, d) scaled inputs -> (b, n) units of the last layer, in [0, 1]."""
        bottom, *others = self.up
        h = bottom(x)
        if self.counts:
            # The share of the common length is 1, or 0 of an empty document, whose words bring no bias.
            h = h + (x.sum(-1, keepdim=True) / WORDS_A_DOCUMENT - 1) * bottom.bias
        for layer in others:
            h = layer(torch.sigmoid(h))
        return torch.sigmoid(h)

    def error(self, code: Tensor, x: Tensor) -> Tensor:
        """Of what the code (b, n_components) gives back of the scaled inputs x (b, d): the mean over rows and features.

        Of counts, the mean cross-entropy of a word.
        """
        *layers, last = self.down
        for layer in layers:
            code = torch.sigmoid(layer(code))
        if self.counts:
            return label_cross_entropy(last(code), x)  # words have shares of a document, as labels have of a pair
        return squared_distance(last(code), x) / self.dimension
