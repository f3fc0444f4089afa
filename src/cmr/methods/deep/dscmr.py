"""Deep supervised cross-modal retrieval (DSCMR).

Source: Zhen, Hu, Wang & Peng, Deep supervised cross-modal retrieval, CVPR 2019. Card: deep/08, `dscmr`.

The objective, with its half cosines, plain row norms and weights, is that of the released code, as are one hidden layer
a modality, the shared layers, the classifier that is trained with the rest (the article solves for it) and Adam's
beta_1. The released code keeps the epoch that is best on the test part; here it is the best on the valid part. Several
labels of a pair make it similar or not, where the code counts them. z-scored inputs, input dropout, shuffled batches,
the learning rate, narrower layers and fewer epochs are ours: without dropout it overfits some thousand pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.deep.encoders import encoder, parameter_groups
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Dropout, Linear, perceptron
from cmr.methods.deep.losses import mean_row_norm, pairwise_likelihood, share_a_label
from cmr.methods.deep.method import NetworkMethod
from cmr.methods.deep.network import Batch, TrainableSpace


@dataclass(frozen=True)
class DSCMR(NetworkMethod):
    """A space in which labels are regressed, similar items have large cosines, and the items of a pair are near.

    Several classes a pair are allowed: the label vector has several ones, and pairs that share a label are similar.

    Parameters
    ----------
    n_components : dimension of the common space.
    image_widths, text_widths : hidden units, ReLU layers; the last of both must be equal, as one layer follows both.
    likelihood_weight : lambda, of the likelihood of similar items; the distance to the labels has 1.
    pair_weight : eta, of the distance within a pair.
    input_dropout : share of the z-scored input features that each training step leaves out.
    learning_rate, weight_decay, epochs, batch_size, patience : training, by Adam with beta_1 = 0.5.
    """

    n_components: int = 128
    image_widths: tuple[int, ...] = (256,)
    text_widths: tuple[int, ...] = (256,)
    likelihood_weight: float = 1.0
    pair_weight: float = 0.1
    input_dropout: float = 0.2
    learning_rate: float = 0.003
    weight_decay: float = 0.0
    epochs: int = 30
    batch_size: int = 50
    patience: int = 10

    name: ClassVar[str] = "dscmr"

    def check(self, train: Pairs) -> None:
        """It needs classes, and hidden layers onto which the shared one fits."""
        train.require_classes(self.name)
        if self.image_widths[-1] != self.text_widths[-1]:
            raise InfeasibleError(
                f"{self.name}: one layer follows the hidden layers of images and of texts, so their last widths must "
                f"be equal, but they are {self.image_widths[-1]} and {self.text_widths[-1]}"
            )

    def build(self, inputs: Inputs, generator: torch.Generator) -> "DSCMRNetwork":
        """See NetworkMethod."""
        return DSCMRNetwork(self, inputs, generator)

    def prepare(self, network: "DSCMRNetwork", train: Pairs) -> None:
        """See NetworkMethod."""
        network.image_encoder.prepare(train.images)
        network.text_encoder.prepare(train.texts)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        return {"label": 1.0, "likelihood": self.likelihood_weight, "pair": self.pair_weight}

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """See NetworkMethod."""
        groups = parameter_groups(parameters, self.learning_rate)
        return torch.optim.Adam(groups, betas=(0.5, 0.999), weight_decay=self.weight_decay, fused=True)


class SharedLayerNetwork(TrainableSpace):
    """A perceptron a modality, then the same linear layer into the common space."""

    def __init__(self, method: DSCMR, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        self.image_encoder, self.text_encoder = (encoder(side, generator) for side in (inputs.images, inputs.texts))
        self.dropout = Dropout(method.input_dropout, generator)
        self.image_net = perceptron((self.image_encoder.width, *method.image_widths), generator, nn.ReLU)
        self.text_net = perceptron((self.text_encoder.width, *method.text_widths), generator, nn.ReLU)
        self.shared = Linear(method.image_widths[-1], method.n_components, generator)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.shared(self.image_net(self.dropout(self.image_encoder(images))))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.shared(self.text_net(self.dropout(self.text_encoder(texts))))


class DSCMRNetwork(SharedLayerNetwork):
    """With a linear classifier, the same for both modalities."""

    def __init__(self, method: DSCMR, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__(method, inputs, generator)
        self.classifier = Linear(method.n_components, inputs.n_classes, generator)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        u, v = self.embed_images(batch.images), self.embed_texts(batch.texts)
        similar = share_a_label(batch.labels)
        return {
            "label": sum(mean_row_norm(self.classifier(codes) - batch.labels) for codes in (u, v)),
            "likelihood": sum(pairwise_likelihood(half_cosines(x, y), similar) for x, y in ((u, v), (u, u), (v, v))),
            "pair": mean_row_norm(u - v),
        }


def half_cosines(x: Tensor, y: Tensor) -> Tensor:
    """theta, (b, b): cos(x_i, y_j) / 2."""
    return normalize(x, dim=-1) @ normalize(y, dim=-1).mT / 2
