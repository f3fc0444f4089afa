"""Correspondence autoencoders (Corr-AE, Corr-Cross-AE, Corr-Full-AE).

Source: Feng, Wang & Li, Cross-modal retrieval with correspondence autoencoder, ACM MM 2014. Card: deep/02, `corr_ae`.

The objectives and each kind's alpha are the authors', and so are the initial weights, normal and of variance
1 / (inputs of the matrix). Corr-Full-AE has four decoders, as the authors' code names four. We depart from them in
these points. The text stack starts with a replicated softmax only where the texts are word counts; any other, such
as tf-idf, goes through a Gaussian RBM on z-scores, as images do. The layers are narrower (theirs have 1024 units on top
of the stacks and in the code), the batches smaller (theirs hold 100 pairs), and Adam with early stopping replaces their
SGD with momentum and weight decay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.methods.boltzmann.stacked import NetworkOnStacks
from cmr.methods.deep.bimodal_ae import normal_linear
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.losses import squared_distance
from cmr.methods.deep.network import Batch, TrainableSpace


class CorrespondenceAutoencoders(TrainableSpace):
    """Codes f of u (image) and g of v (text), RBM outputs in [0, 1], and their decoders; sigmoid layers all.

    The paper's three kinds differ only in what each code gives back.

    Attributes
    ----------
    of_images, of_texts : the modalities that an image's code is decoded to, and that a text's is.
    """

    of_images: ClassVar[tuple[str, ...]] = ("images",)
    of_texts: ClassVar[tuple[str, ...]] = ("texts",)

    def __init__(self, d_images: int, d_texts: int, n_components: int, generator: torch.Generator) -> None:
        super().__init__()
        d = {"images": d_images, "texts": d_texts}
        self.image_encoder, self.text_encoder = (normal_linear(d[side], n_components, generator) for side in d)
        self.image_decoders, self.text_decoders = (
            nn.ModuleDict({side: normal_linear(n_components, d[side], generator) for side in sides})
            for sides in (self.of_images, self.of_texts)
        )

    def embed_images(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.image_encoder(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return torch.sigmoid(self.text_encoder(texts))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        f, g = self.embed_images(batch.images), self.embed_texts(batch.texts)
        reconstruction = sum(
            squared_distance(torch.sigmoid(decoder(code)), getattr(batch, side))
            for code, decoders in ((f, self.image_decoders), (g, self.text_decoders))
            for side, decoder in decoders.items()
        )
        return {"reconstruction": reconstruction, "correspondence": squared_distance(f, g)}


class CrossAutoencoders(CorrespondenceAutoencoders):
    """Each code gives back the other modality."""

    of_images = ("texts",)
    of_texts = ("images",)


class FullAutoencoders(CorrespondenceAutoencoders):
    """Each code gives back both modalities."""

    of_images = ("images", "texts")
    of_texts = ("images", "texts")


@dataclass(frozen=True)
class CorrAE(NetworkOnStacks):
    """Two autoencoders whose codes of a pair are drawn together, on top of fixed RBM features; uses no labels.

    Parameters
    ----------
    n_components : units of the code, k.
    alpha : weight of the squared distance between the codes; reconstruction has 1 - alpha. At 1 all codes collapse.
    learning_rate, epochs, batch_size, patience : training of the autoencoders, by Adam.
    """

    n_components: int = 256
    alpha: float = 0.8
    learning_rate: float = 0.003
    epochs: int = 60
    batch_size: int = 25
    patience: int = 10

    name: ClassVar[str] = "corr_ae"
    network: ClassVar[type[CorrespondenceAutoencoders]] = CorrespondenceAutoencoders

    def build(self, inputs: Inputs, generator: torch.Generator) -> CorrespondenceAutoencoders:
        """See NetworkMethod."""
        return self.network(inputs.images.dimension, inputs.texts.dimension, self.n_components, generator)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        return {"reconstruction": 1.0 - self.alpha, "correspondence": self.alpha}


@dataclass(frozen=True)
class CorrCrossAE(CorrAE):
    """As CorrAE, but each code gives back the other modality, which aligns the codes by itself: alpha is small."""

    alpha: float = 0.2

    name: ClassVar[str] = "corr_cross_ae"
    network: ClassVar[type[CorrespondenceAutoencoders]] = CrossAutoencoders


@dataclass(frozen=True)
class CorrFullAE(CorrAE):
    """As CorrAE, but each code gives back both modalities."""

    name: ClassVar[str] = "corr_full_ae"
    network: ClassVar[type[CorrespondenceAutoencoders]] = FullAutoencoders
