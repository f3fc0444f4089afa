"""Enhanced isomorphic semantic representation (EISR).

Source: Xia et al., Enhanced isomorphic semantic representation for cross-media retrieval, 2018.
Card: deep/05, `eisr`; the codes E1 ... are those of docs/methods/eisr.md.

From the paper are the layers, of which the last is shared, ReLU and dropout, the squared distance to the labels, the
Euclidean distance between semantic representations, and, in the variant `as_published`, the widths, the rates, the
batches, the number of passes and the Gaussian weights at the start. The softmax before the squared distance (E4), the
treatment of several labels (E5), scores without a ReLU (E6), the layers of mode `o` and a dropout of a half (E7),
momentum, weight decay and the mean over a batch are readings. Adam, He's weights at the start, z-scored features, the
default budget and early stopping are ours: from weights as small as the paper's, a squared distance behind a softmax
has tiny gradients.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from cmr.methods.base import Pairs
from cmr.methods.deep.encoders import encoder, parameter_groups
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Dropout, Linear, perceptron
from cmr.methods.deep.losses import squared_distance
from cmr.methods.deep.method import NetworkMethod
from cmr.methods.deep.network import Batch, TrainableSpace
from cmr.methods.deep.trainer import Schedule
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class EISR(NetworkMethod):
    """Two networks regress the classes; their last layer, from a latent space to the classes, is one and the same.

    Several classes a pair are allowed: under a softmax each has an equal share of 1 (E5), else each is to be 1.

    Parameters
    ----------
    mode : `o_le_j`, a latent layer a modality and one last layer W for both; `o_le`, two last layers; `o`, no latent
        layers (E7).
    n_components : units l of the latent layers.
    text_widths : hidden units of the text network before its latent layer; mode `o` has as many as the last of them in
        the latent layer's place.
    output : what of the scores is compared, with the labels and between items: `softmax`, `linear` (E4) or, of each
        class, `sigmoid` (E5).
    dropout : share of the hidden units that each training step leaves out.
    input_dropout : likewise, of the image features.
    initialisation : of weights: `he`, N(0, 2 / inputs), or `paper`, N(0, 0.01^2).
    solver : `adam`; or `sgd` with a momentum of 0.9, at a tenth of the rate from half of the epochs on.
    learning_rate : of new layers; pretrained ones have a tenth of it.
    weight_decay, epochs, batch_size, patience : training.
    """

    mode: Literal["o", "o_le", "o_le_j"] = "o_le_j"
    n_components: int = 128
    text_widths: tuple[int, ...] = (256,)
    output: Literal["softmax", "linear", "sigmoid"] = "softmax"
    dropout: float = 0.5
    input_dropout: float = 0.0
    initialisation: Literal["he", "paper"] = "he"
    solver: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 0.003
    weight_decay: float = 0.0005
    epochs: int = 30
    batch_size: int = 50
    patience: int = 10

    name: ClassVar[str] = "eisr"
    similarity: ClassVar[Similarity] = "euclidean"

    def check(self, train: Pairs) -> None:
        """It needs classes."""
        train.require_classes(self.name)

    def build(self, inputs: Inputs, generator: torch.Generator) -> "EISRNetwork":
        """See NetworkMethod."""
        return EISRNetwork(self, inputs, generator)

    def prepare(self, network: "EISRNetwork", train: Pairs) -> None:
        """See NetworkMethod."""
        network.image_encoder.prepare(train.images)
        network.text_encoder.prepare(train.texts)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        return {"images": 1.0, "texts": 1.0}

    def schedule(self) -> Schedule:
        """See NetworkMethod."""
        rate = a_tenth_from_half_on if self.solver == "sgd" else None
        return Schedule(self.epochs, self.batch_size, self.patience, rate=rate)

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """See NetworkMethod."""
        groups = parameter_groups(parameters, self.learning_rate)
        if self.solver == "sgd":
            return torch.optim.SGD(groups, momentum=0.9, weight_decay=self.weight_decay)
        return torch.optim.Adam(groups, weight_decay=self.weight_decay, fused=True)


def a_tenth_from_half_on(progress: float) -> float:
    """Factor of the learning rate."""
    return 1.0 if progress < 0.5 else 0.1


class EISRNetwork(TrainableSpace):
    """Hidden layers a modality, and the last layer of each: the same module in mode `o_le_j`."""

    def __init__(self, method: EISR, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        self.method = method
        self.image_encoder, self.text_encoder = (encoder(side, generator) for side in (inputs.images, inputs.texts))
        latent = () if method.mode == "o" else (method.n_components,)
        image_widths = (self.image_encoder.width, *latent)
        text_widths = (self.text_encoder.width, *method.text_widths, *(latent or method.text_widths[-1:]))
        self.image_dropout = Dropout(method.input_dropout, generator)
        self.image_net, self.text_net = (
            perceptron(widths, generator, nn.ReLU, dropout=method.dropout) for widths in (image_widths, text_widths)
        )
        sides = (text_widths,) if method.mode == "o_le_j" else (image_widths, text_widths)
        self.last = nn.ModuleList(Linear(widths[-1], inputs.n_classes, generator) for widths in sides)
        for module in self.modules():
            if isinstance(module, Linear):  # none of a pretrained network is
                deviation = 0.01 if method.initialisation == "paper" else math.sqrt(2 / len(module.weight))
                nn.init.normal_(module.weight, std=deviation, generator=generator)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.output(self.last[0](self.image_net(self.image_dropout(self.image_encoder(images)))))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.output(self.last[-1](self.text_net(self.text_encoder(texts))))

    def output(self, scores: Tensor) -> Tensor:
        """The semantic representation p, (b, c), of the last layer's scores."""
        match self.method.output:
            case "softmax":
                return scores.softmax(-1)
            case "sigmoid":
                return scores.sigmoid()
        return scores

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        z = batch.labels
        if self.method.output == "softmax":  # whose outputs sum to 1
            z = z / z.sum(-1, keepdim=True).clamp(min=1)
        return {
            "images": squared_distance(self.embed_images(batch.images), z),
            "texts": squared_distance(self.embed_texts(batch.texts), z),
        }
