"""Adversarial cross-modal retrieval (ACMR).

Source: Wang, Yang, Xu, Hanjalic & Shen, ACM MM 2017. Card: deep/07, `acmr`.

The paper trains the projectors against the modality classifier, and the label classifier with the projectors. So do
the defaults. The released code does neither, and sums distances over the batch before it takes the hinge:
`adversary_weight`, `label_classifier` and `hinge` reproduce that, one each, and the variant `as_released` all of them.
The released code has a second loss in the place of the triplets, `contrastive`; it has its distances wrong, and they
are squared distances here. From the released code come the widths of the projectors, the modality classifier of linear
layers, margin and alpha_t = 5, the label weight of 100, the hardest negatives within a batch, the batch size and Adam's
beta_1. The paper's L_reg is `weight_decay`, by default 0. The learning rate, the epochs, z-scored inputs, input
dropout, early stopping and the treatment of several labels are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import log_softmax, normalize, relu

from cmr.methods.base import Pairs
from cmr.methods.deep.encoders import encoder, parameter_groups
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Dropout, Linear, perceptron, reversal_strength, reverse_gradient
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
    label_weight : of the label cross-entropy; the loss of distances has 1.
    label_classifier : `trained` with the projectors, or `fixed` at its random start.
    distance_loss : `triplet`, max(0, m + alpha_t d(v, w+) - d(v, w-)) with d = ||.||^2 / 2, of the anchors of either
        modality; or `contrastive`, ||V - W||_F + negative_weight * mean max(0, m - [no common label] ||v_i - w_j||^2).
    margin : m.
    positive_weight : alpha_t, with triplets.
    negative_weight : as above, with the contrastive loss.
    hinge : with triplets, of each `anchor`, then the mean; or once of the sums of d over the whole `batch`.
    adversary_weight : epsilon, of the modality classifier's loss in the projectors' objective; 0 leaves them alone.
    weight_decay : of the sum of squares of the projectors' weights in the objective, the paper's L_reg.
    input_dropout : share of the z-scored input features that each training step leaves out.
    learning_rate, epochs, batch_size, patience : training, by Adam with beta_1 = 0.5.
    """

    n_components: int = 40
    image_widths: tuple[int, ...] = (512, 100)
    text_widths: tuple[int, ...] = (40, 100)
    label_weight: float = 100.0
    label_classifier: Literal["trained", "fixed"] = "trained"
    distance_loss: Literal["triplet", "contrastive"] = "triplet"
    margin: float = 0.1
    positive_weight: float = 5.0
    negative_weight: float = 0.02
    hinge: Literal["anchor", "batch"] = "anchor"
    adversary_weight: float = 1.0
    weight_decay: float = 0.0
    input_dropout: float = 0.5
    learning_rate: float = 0.004
    epochs: int = 30
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
        return {"label": self.label_weight, self.distance_loss: 1.0, "modality": 1.0}

    def schedule(self) -> Schedule:
        """See NetworkMethod."""
        return Schedule(self.epochs, self.batch_size, self.patience, drop_last=True)

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """See NetworkMethod."""
        projectors = [tensor for name, tensor in parameters.items() if of_a_projector(name)]
        others = {name: tensor for name, tensor in parameters.items() if not of_a_projector(name)}
        # Adam adds its weight_decay times the weights to the gradient; that of their squares is twice the weights.
        groups = [
            {"params": projectors, "lr": self.learning_rate, "weight_decay": 2 * self.weight_decay},
            *parameter_groups(others, self.learning_rate),
        ]
        return torch.optim.Adam(groups, betas=(0.5, 0.999), fused=True)


def of_a_projector(name: str) -> bool:
    """Whether a parameter is a matrix of weights of a projector."""
    return "projector" in name and name.endswith("weight")


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
        self.label_classifier.requires_grad_(method.label_classifier == "trained")
        # Linear layers without activations, as in the authors' code.
        self.modality_classifier = perceptron((k, k // 2, k // 4, 2), generator, activation=None)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_projector(self.dropout(self.image_encoder(images)))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_projector(self.dropout(self.text_encoder(texts)))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        images, texts = self.image_encoder(batch.images), self.text_encoder(batch.texts)
        v, w = self.image_projector(self.dropout(images)), self.text_projector(self.dropout(texts))
        compared = replace(
            batch,
            images=self.image_encoder.compared(batch.images, images),
            texts=self.text_encoder.compared(batch.texts, texts),
        )
        return {
            "label": sum(label_cross_entropy(self.label_classifier(codes), batch.labels) for codes in (v, w)),
            self.method.distance_loss: self.distance_loss(v, w, compared),
            "modality": self.modality_loss(v, w, progress),
        }

    def distance_loss(self, v: Tensor, w: Tensor, batch: Batch) -> Tensor:
        """Draws pairs together, and pushes items without a common label apart.

        `batch` holds the features by which negatives are hard.
        """
        method, negative = self.method, without_a_common_label(batch.labels)
        if method.distance_loss == "contrastive":
            return contrastive_loss(v, w, negative, method.margin, method.negative_weight)
        sides = ((v, w, batch.images), (w, v, batch.texts))
        return sum(
            triplet_loss(
                queries,
                gallery,
                hardest_negatives(features, negative),
                method.margin,
                method.positive_weight,
                whole=method.hinge == "batch",
            )
            for queries, gallery, features in sides
        )

    def modality_loss(self, v: Tensor, w: Tensor, progress: float) -> Tensor:
        """Minimised by the classifier; through the reversed gradient the projectors maximise epsilon l(p) times it."""
        reversal = self.method.adversary_weight * reversal_strength(progress)
        scores = (log_softmax(self.modality_classifier(reverse_gradient(codes, reversal)), dim=-1) for codes in (v, w))
        return -sum(own[..., modality].mean(-1) for modality, own in enumerate(scores)) / 2


def without_a_common_label(labels: Tensor) -> Tensor:
    """(b, b) bool, of labels (b, c); an item is never its own negative, even without a label."""
    itself = torch.eye(labels.shape[-2], dtype=torch.bool, device=labels.device)
    return (share_a_label(labels) == 0) & ~itself


def hardest_negatives(features: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """For each anchor, the negative whose features, of the anchor's own modality, are nearest by cosine.

    `features` (b, d) raw; `negative` (b, b) bool, of anchors and items. Returns which anchors have one, (b,) bool, and
    for each of these its hardest, (b,).
    """
    with torch.autocast(features.device.type, enabled=False):  # in half precision, near ones tie
        unit = normalize(features.float(), dim=-1)
        similarities = (unit @ unit.mT).masked_fill(~negative, -torch.inf)
    return negative.any(-1), similarities.argmax(-1)


def triplet_loss(
    queries: Tensor,
    gallery: Tensor,
    triplets: tuple[Tensor, Tensor],
    margin: float,
    positive_weight: float,
    whole: bool = False,
) -> Tensor:
    """Mean over anchors of max(0, m + alpha_t d(v, w+) - d(v, w-)); w+ is the anchor's own pair, d = ||.||^2 / 2.

    If `whole`, one hinge of the sums of both d over the anchors. Zero where no anchor has a negative: all items of the
    batch have a common label.
    """
    anchors, negatives = triplets
    hardest = torch.take_along_dim(gallery, negatives.unsqueeze(-1), dim=-2)
    excess = (positive_weight * (queries - gallery).square() - (queries - hardest).square()).sum(-1) / 2
    if whole:
        return relu(margin + (excess * anchors).sum(-1)) * anchors.any(-1)
    return (relu(margin + excess) * anchors).sum(-1) / anchors.sum(-1).clamp(min=1)


def contrastive_loss(v: Tensor, w: Tensor, negative: Tensor, margin: float, negative_weight: float) -> Tensor:
    """||V - W||_F + negative_weight * mean over all i, j of max(0, m - [negative] ||v_i - w_j||^2).

    A pair of items that is no negative costs the margin, whatever its distance.
    """
    with torch.autocast(v.device.type, enabled=False):  # in half precision, small distances cancel
        v, w = v.float(), w.float()
        squares = v.square().sum(-1, keepdim=True) - 2 * v @ w.mT + w.square().sum(-1).unsqueeze(-2)
    return vector_norm(v - w, dim=(-2, -1)) + negative_weight * relu(margin - negative * squares).mean((-2, -1))
