"""Deep semantic matching (Deep-SM).

Source: Wei et al., Cross-modal retrieval with CNN visual features: a new baseline, IEEE Trans. Cybernetics 47(2), 2017.
Card: deep/05, `deep_sm`.

The paper fine-tunes an ImageNet network on the classes, trains a network of three fully connected layers with dropout
on texts, and compares their posteriors. On fixed image features, the network of images here is a perceptron, too.
Widths, z-scored inputs, weight decay, Adam, early stopping and the treatment of several labels are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.methods.base import Pairs
from cmr.methods.deep.encoders import encoder, parameter_groups
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Dropout, perceptron
from cmr.methods.deep.losses import label_cross_entropy
from cmr.methods.deep.method import NetworkMethod
from cmr.methods.deep.network import Batch, TrainableSpace
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class DeepSM(NetworkMethod):
    """A classifier a modality, each trained without the other; the common space is that of class posteriors.

    Several classes a pair are allowed: each has an equal share in the cross-entropy.

    Parameters
    ----------
    image_widths, text_widths : hidden units, ReLU layers.
    dropout : share of the hidden units that each training step leaves out.
    input_dropout : likewise, of the z-scored input features.
    learning_rate, weight_decay, epochs, batch_size, patience : training, by Adam.
    similarity : how posteriors are compared.
    """

    image_widths: tuple[int, ...] = (256,)
    text_widths: tuple[int, ...] = (256, 256)
    dropout: float = 0.5
    input_dropout: float = 0.0
    learning_rate: float = 0.001
    weight_decay: float = 0.0001
    epochs: int = 30
    batch_size: int = 50
    patience: int = 10
    similarity: Similarity = "cosine"

    name: ClassVar[str] = "deep_sm"

    def check(self, train: Pairs) -> None:
        """It needs classes."""
        train.require_classes(self.name)

    def build(self, inputs: Inputs, generator: torch.Generator) -> "DeepSMNetwork":
        """See NetworkMethod."""
        return DeepSMNetwork(self, inputs, generator)

    def prepare(self, network: "DeepSMNetwork", train: Pairs) -> None:
        """See NetworkMethod."""
        network.image_encoder.prepare(train.images)
        network.text_encoder.prepare(train.texts)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        return {"images": 1.0, "texts": 1.0}

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """See NetworkMethod."""
        groups = parameter_groups(parameters, self.learning_rate)
        return torch.optim.Adam(groups, weight_decay=self.weight_decay, fused=True)


class DeepSMNetwork(TrainableSpace):
    """Two classifiers that share nothing; a term of the losses each."""

    def __init__(self, method: DeepSM, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        c = inputs.n_classes
        self.image_encoder, self.text_encoder = (encoder(side, generator) for side in (inputs.images, inputs.texts))
        self.dropout = Dropout(method.input_dropout, generator)
        classifier = partial(perceptron, generator=generator, activation=nn.ReLU, last=False, dropout=method.dropout)
        self.image_net = classifier((self.image_encoder.width, *method.image_widths, c))
        self.text_net = classifier((self.text_encoder.width, *method.text_widths, c))

    def image_scores(self, images: Tensor) -> Tensor:
        """(b, c), before the softmax."""
        return self.image_net(self.dropout(self.image_encoder(images)))

    def text_scores(self, texts: Tensor) -> Tensor:
        """(b, c), before the softmax."""
        return self.text_net(self.dropout(self.text_encoder(texts)))

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_scores(images).softmax(-1)

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_scores(texts).softmax(-1)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return {
            "images": label_cross_entropy(self.image_scores(batch.images), batch.labels),
            "texts": label_cross_entropy(self.text_scores(batch.texts), batch.labels),
        }
