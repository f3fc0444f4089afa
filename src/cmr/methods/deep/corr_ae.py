"""Correspondence autoencoder (Corr-AE).

Source: Feng, Wang & Li, Cross-modal retrieval with correspondence autoencoder, ACM MM 2014. Card: deep/02, `corr_ae`.

The objective and alpha are the authors'. We depart from them in these points. The text stack starts with a replicated
softmax only where the texts are word counts; any other text view, such as tf-idf, goes through a Gaussian RBM on
z-scores, as images do. The layers are narrower (theirs have 1024 units on top of the stacks and in the code), the
batches smaller (theirs hold 100 pairs), and Adam with early stopping replaces their SGD with momentum and weight decay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.methods.boltzmann.stacked import NetworkOnStacks
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Linear
from cmr.methods.deep.losses import squared_distance
from cmr.methods.deep.network import Batch, TrainableSpace


@dataclass(frozen=True)
class CorrAE(NetworkOnStacks):
    """Two autoencoders whose codes of a pair are drawn together, on top of frozen RBM features; uses no labels.

    Parameters
    ----------
    n_components : units of the code, k.
    alpha : weight of the squared distance between the codes; reconstruction has 1 - alpha. At 1 all codes collapse.
    learning_rate, epochs, batch_size, patience : training of the autoencoders, by Adam.
    """

    n_components: int = 256
    alpha: float = 0.8
    learning_rate: float = 0.001
    epochs: int = 60
    batch_size: int = 25
    patience: int = 10

    name: ClassVar[str] = "corr_ae"

    def build(self, inputs: Inputs, generator: torch.Generator) -> "CorrespondenceAutoencoders":
        """See NetworkMethod."""
        return CorrespondenceAutoencoders(inputs.images.dimension, inputs.texts.dimension, self.n_components, generator)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        return {"reconstruction": 1.0 - self.alpha, "correspondence": self.alpha}


class CorrespondenceAutoencoders(TrainableSpace):
    """f, g and their decoders, sigmoid layers all, on RBM outputs u (image) and v (text) in [0, 1]."""

    def __init__(self, d_images: int, d_texts: int, n_components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.image_encoder, self.text_encoder = (Linear(d, n_components, generator) for d in (d_images, d_texts))
        self.image_decoder, self.text_decoder = (Linear(n_components, d, generator) for d in (d_images, d_texts))

    def embed_images(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.image_encoder(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return torch.sigmoid(self.text_encoder(texts))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        f, g = self.embed_images(batch.images), self.embed_texts(batch.texts)
        return {"reconstruction": self.reconstruction(f, g, batch), "correspondence": squared_distance(f, g)}

    def reconstruction(self, f: Tensor, g: Tensor, batch: Batch) -> Tensor:
        """Each code gives back its own side; in this alone the paper's three correspondence autoencoders differ."""
        return squared_distance(decode(self.image_decoder, f), batch.images) + squared_distance(
            decode(self.text_decoder, g), batch.texts
        )


def decode(decoder: nn.Module, code: Tensor) -> Tensor:
    return torch.sigmoid(decoder(code))
