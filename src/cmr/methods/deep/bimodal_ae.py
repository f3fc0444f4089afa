"""Bimodal autoencoder (Bimodal AE).

Source: Ngiam, Khosla, Kim, Nam, Lee & Ng, Multimodal deep learning, ICML 2011. Card: deep/02, `bimodal_ae`.

The paper's autoencoder learns to give back both modalities from both or from either one, so that its code can be had
from one modality alone. As a baseline of cross-modal retrieval it is built on two stacks of RBMs, in the way of the
authors of Corr-AE and CMDN: one joint layer of sigmoid units on the fixed stacks, one sigmoid decoder a modality. The
initial weights are theirs too: normal, of variance 1 / (inputs of the matrix). The text stack starts with a replicated
softmax only where the texts are word counts. Narrower layers, smaller batches, and Adam with early stopping in place of
their SGD with momentum and weight decay are ours.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.methods.boltzmann.stacked import NetworkOnStacks
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Linear
from cmr.methods.deep.losses import label_cross_entropy, squared_distance
from cmr.methods.deep.network import Batch, TrainableSpace

COPIES = 3  # of each pair in the training set: with both modalities, and with either


@dataclass(frozen=True)
class BimodalAE(NetworkOnStacks):
    """One code of both modalities, had from either, that gives both back, on fixed RBM features; uses no labels.

    Parameters
    ----------
    n_components : units of the joint layer, k.
    learning_rate, epochs, batch_size, patience : training of the autoencoder, by Adam.
    """

    n_components: int = 256
    learning_rate: float = 0.003
    epochs: int = 40
    batch_size: int = 25
    patience: int = 10

    name: ClassVar[str] = "bimodal_ae"

    def build(self, inputs: Inputs, generator: torch.Generator) -> "BimodalAutoencoder":
        """See NetworkMethod."""
        return BimodalAutoencoder(inputs.images.dimension, inputs.texts.dimension, self.n_components, generator)

    def weights(self) -> dict[str, float]:
        """See NetworkMethod."""
        return {"reconstruction": 1.0}


class JointLayer(nn.Module):
    """h = sigmoid(u W_i + v W_t + b), where an input may be missing; a missing input is the same as zeros."""

    def __init__(self, d_images: int, d_texts: int, n_components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.image_weight, self.text_weight = (
            nn.Parameter(normal_weight(d, n_components, generator)) for d in (d_images, d_texts)
        )
        self.bias = nn.Parameter(torch.zeros(n_components, device=generator.device))

    def copies(self, images: Tensor, texts: Tensor) -> Tensor:
        """The codes of the tripled training set, (3 b, k): of all (u, 0), then of all (0, v), then of all (u, v)."""
        from_images, from_texts = images @ self.image_weight, texts @ self.text_weight
        return torch.sigmoid(torch.cat([from_images, from_texts, from_images + from_texts], dim=-2) + self.bias)

    def of_images(self, images: Tensor) -> Tensor:
        """The code of images without texts."""
        return torch.sigmoid(images @ self.image_weight + self.bias)

    def of_texts(self, texts: Tensor) -> Tensor:
        """The code of texts without images."""
        return torch.sigmoid(texts @ self.text_weight + self.bias)


class BimodalAutoencoder(TrainableSpace):
    """A joint layer and two decoders on features u (image) and v (text), which must lie in [0, 1].

    Losses: `reconstruction`, the sum over the three copies (u, 0), (0, v), (u, v) of the mean squared distance of what
    is decoded from (u, v); with `n_classes` also `label`, the sum over the copies of the cross-entropy of a softmax on
    the joint layer, as CMDN stacks such autoencoders.
    """

    def __init__(
        self, d_images: int, d_texts: int, n_components: int, generator: torch.Generator, n_classes: int = 0
    ) -> None:
        super().__init__()
        self.joint = JointLayer(d_images, d_texts, n_components, generator)
        self.image_decoder, self.text_decoder = (normal_linear(n_components, d, generator) for d in (d_images, d_texts))
        self.classifier = normal_linear(n_components, n_classes, generator) if n_classes else None

    def embed_images(self, images: Tensor) -> Tensor:
        return self.joint.of_images(images)

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.joint.of_texts(texts)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        codes = self.joint.copies(batch.images, batch.texts)
        terms = {"reconstruction": COPIES * self.reconstruction(codes, tripled(batch.images), tripled(batch.texts))}
        if self.classifier is not None:
            terms["label"] = COPIES * label_cross_entropy(self.classifier(codes), tripled(batch.labels))
        return terms

    def reconstruction(self, codes: Tensor, images: Tensor, texts: Tensor) -> Tensor:
        """Mean over the rows of the squared distances of what the codes (b, k) give back."""
        return squared_distance(torch.sigmoid(self.image_decoder(codes)), images) + squared_distance(
            torch.sigmoid(self.text_decoder(codes)), texts
        )


def tripled(x: Tensor) -> Tensor:
    """(b, d) -> (3 b, d): what the codes of `JointLayer.copies` are compared with."""
    return torch.cat([x] * COPIES, dim=-2)


def normal_weight(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    """(inputs, outputs) from N(0, 1 / inputs), on the generator's device."""
    return torch.empty(inputs, outputs, device=generator.device).normal_(0.0, inputs**-0.5, generator=generator)


def normal_linear(inputs: int, outputs: int, generator: torch.Generator) -> Linear:
    """A layer with such weights."""
    layer = Linear(inputs, outputs, generator)
    layer.weight.data = normal_weight(inputs, outputs, generator)
    return layer
