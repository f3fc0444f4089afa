"""Adversarial cross-modal retrieval (ACMR).

Source: Wang, Yang, Xu, Hanjalic & Shen, ACM MM 2017. Card: deep/07, `acmr`.

The objective is the paper's, without its regulariser L_reg: the projectors are trained against the modality classifier,
which the released code never does. From the released code come the widths of the projectors, the modality classifier of
linear layers, margin and alpha_t = 5, the label weight of 100, the hardest negatives within a batch, the batch size,
the epochs and Adam's beta_1; a mean over triplets replaces its sum of distances over the batch. The learning rate,
z-scored inputs, input dropout, early stopping and the treatment of several labels are ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, normalize, relu

from cmr.methods.base import Pairs
from cmr.methods.deep.encoders import encoder
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Dropout, Linear, perceptron, reverse_gradient
from cmr.methods.deep.losses import label_cross_entropy, share_a_label
from cmr.methods.deep.method import NetworkMethod
from cmr.methods.deep.network import Batch, TrainableSpace
from cmr.methods.deep.trainer import Schedule
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class ACMR(NetworkMethod):
    """A common space in which classes are told apart, pairs are near, and a classifier cannot tell image from text.

    Multi-label pairs: each label of a pair has an equal share in the cross-entropy; a negative shares no label.

    Parameters
    ----------
    n_components : dimension k of the common space.
    image_widths, text_widths : hidden units of the two projectors, tanh layers.
    label_weight : of the label cross-entropy; the triplet loss has 1.
    margin, positive_weight : m and alpha_t of max(0, m + alpha_t d(v, w+) - d(v, w-)) with d = ||.||^2 / 2.
    adversary_weight : epsilon, of the modality classifier's loss in the projectors' objective.
    input_dropout : share of the z-scored input features that each training step leaves out.
    learning_rate, epochs, batch_size, patience : training, by Adam with beta_1 = 0.5.
    """

    n_components: int = 40
    image_widths: tuple[int, ...] = (512, 100)
    text_widths: tuple[int, ...] = (40, 100)
    label_weight: float = 100.0
    margin: float = 0.1
    positive_weight: float = 5.0
    adversary_weight: float = 1.0
    input_dropout: float = 0.5
    learning_rate: float = 0.002
    epochs: int = 50
    batch_size: int = 64
    patience: int = 10

    name: ClassVar[str] = "acmr"
    similarity: ClassVar[Similarity] = "euclidean"

    def check(self, train: Pairs) -> None:
        """It needs classes."""
        train.require_classes(self.name)

    def build(self, inputs: Inputs, generator: torch.Generator) -> "ACMRNetwork":
        """See NetworkMethod."""
        return ACMRNetwork(self, inputs, generator)

    def prepare(self, network: "ACMRNetwork", train: Pairs) -> None:
        """See NetworkMethod."""
        network.image_encoder.prepare(train.images)
        network.text_encoder.prepare(train.texts)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        return {"label": self.label_weight, "triplet": 1.0, "modality": 1.0}

    def schedule(self) -> Schedule:
        """See NetworkMethod."""
        return Schedule(self.epochs, self.batch_size, self.patience, drop_last=True)

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """See NetworkMethod."""
        return torch.optim.Adam(parameters.values(), lr=self.learning_rate, betas=(0.5, 0.999), fused=True)


class ACMRNetwork(TrainableSpace):
    """Two projectors into the common space, and the classifiers of label and modality on it."""

    def __init__(self, method: ACMR, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        k = method.n_components
        self.method = method
        self.image_encoder, self.text_encoder = (encoder(side, generator) for side in (inputs.images, inputs.texts))
        self.dropout = Dropout(method.input_dropout, generator)
        self.image_projector = perceptron((self.image_encoder.width, *method.image_widths, k), generator)
        self.text_projector = perceptron((self.text_encoder.width, *method.text_widths, k), generator)
        self.label_classifier = Linear(k, inputs.n_classes, generator)
        # Linear layers without activations, as in the authors' code.
        self.modality_classifier = perceptron((k, k // 2, k // 4, 2), generator, activation=None)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_projector(self.dropout(self.image_encoder(images)))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_projector(self.dropout(self.text_encoder(texts)))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        v, w = self.embed_images(batch.images), self.embed_texts(batch.texts)
        label = sum(label_cross_entropy(self.label_classifier(codes), batch.labels) for codes in (v, w))
        different = share_a_label(batch.labels) == 0
        m, a = self.method.margin, self.method.positive_weight
        triplet = triplet_loss(v, w, hardest_negatives(batch.images, different), m, a) + triplet_loss(
            w, v, hardest_negatives(batch.texts, different), m, a
        )
        return {"label": label, "triplet": triplet, "modality": self.modality_loss(v, w, progress)}

    def modality_loss(self, v: Tensor, w: Tensor, progress: float) -> Tensor:
        """Minimised by the classifier; through the reversed gradient the projectors maximise epsilon l(p) times it."""
        reversal = self.method.adversary_weight * reversal_strength(progress)
        scores = (log_softmax(self.modality_classifier(reverse_gradient(codes, reversal)), dim=-1) for codes in (v, w))
        return -sum(own[..., modality].mean(-1) for modality, own in enumerate(scores)) / 2


def reversal_strength(progress: float) -> float:
    """l(p) = 2 / (1 + exp(-10 p)) - 1: from 0 to 1 as training goes on (Ganin & Lempitsky 2015)."""
    return math.tanh(5 * progress)


def hardest_negatives(features: Tensor, different: Tensor) -> tuple[Tensor, Tensor]:
    """For each anchor, the item of another class whose features, of the anchor's own modality, are nearest by cosine.

    `features` (b, d) raw; `different` (b, b) bool. Returns which anchors have a negative in the batch, (b,) bool, and
    for each of these its negative, (b,).
    """
    itself = torch.eye(different.shape[-1], dtype=torch.bool, device=different.device)
    different = different & ~itself  # a pair without labels shares none with itself
    unit = normalize(features, dim=-1)
    similarities = (unit @ unit.mT).masked_fill(~different, -torch.inf)
    return different.any(-1), similarities.argmax(-1)


def triplet_loss(
    queries: Tensor, gallery: Tensor, triplets: tuple[Tensor, Tensor], margin: float, positive_weight: float
) -> Tensor:
    """Mean over anchors of max(0, m + alpha_t d(v, w+) - d(v, w-)); w+ is the anchor's own pair, d = ||.||^2 / 2.

    Zero where no anchor has a negative: the whole batch is of one class.
    """
    anchors, negatives = triplets
    negative = torch.take_along_dim(gallery, negatives.unsqueeze(-1), dim=-2)
    excess = margin + (positive_weight * (queries - gallery).square() - (queries - negative).square()).sum(-1) / 2
    return (relu(excess) * anchors).sum(-1) / anchors.sum(-1).clamp(min=1)
