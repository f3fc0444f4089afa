"""Adversarial cross-modal retrieval (ACMR).

Source: Wang, Yang, Xu, Hanjalic & Shen, ACM MM 2017. Card: deep/07, `acmr`.

The objective is the paper's, without its regulariser L_reg: the projectors are trained against the modality classifier,
which the released code never does. From the released code come the widths of the projectors, the modality classifier of
linear layers, margin and alpha_t = 5, the label weight of 100, the hardest negatives within a batch, the batch size,
the epochs and Adam's beta_1; a mean over triplets replaces its sum of distances over the batch. The learning rate,
z-scored inputs, input dropout, early stopping and the treatment of several labels are ours.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, normalize, relu

from cmr.device import resolve_device
from cmr.methods.base import Array, Pairs, State
from cmr.methods.deep.layers import Dropout, Standardise, linear, perceptron, reverse_gradient
from cmr.methods.deep.network import Batch, DeepModel, TrainableSpace
from cmr.methods.deep.trainer import Schedule, checkpoint_of, fit_network, seeded
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.store import group


@dataclass(frozen=True)
class ACMR:
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

    similarity: ClassVar[Similarity] = "euclidean"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
        progress: Progress = SILENT,
    ) -> DeepModel:
        """Train projectors, label classifier and modality classifier in one descent, by gradient reversal.

        Raises NotApplicableError where there are no classes.
        """
        train.require_classes("acmr")
        train, valid = train.in_memory(), None if valid is None else valid.in_memory()
        target = resolve_device(device)
        generator = seeded(seed, "acmr", target)
        network = ACMRNetwork(self, train.images.shape[1], train.texts.shape[1], train.labels.shape[1], generator)
        network.standardise(train.images, train.texts)
        history = fit_network(
            network,
            torch.optim.Adam(network.parameters(), lr=self.learning_rate, betas=(0.5, 0.999), fused=True),
            {"label": self.label_weight, "triplet": 1.0, "modality": 1.0},
            train,
            valid,
            similarity=self.similarity,
            schedule=Schedule(self.epochs, self.batch_size, self.patience, drop_last=True),
            generator=generator,
            progress=progress,
            checkpoint=checkpoint_of(self, train, valid, seed, target, progress),
        )
        return DeepModel(network, history)

    def restore(self, state: State) -> DeepModel:
        """The model that `state` was taken from, on the CPU."""
        arrays = group(state, "network")
        sizes = [len(arrays[name]) for name in ("image_scale.mean", "text_scale.mean", "label_classifier.bias")]
        return DeepModel.from_state(ACMRNetwork(self, *sizes, torch.Generator()), state)


class ACMRNetwork(TrainableSpace):
    """Two projectors into the common space, and the classifiers of label and modality on it."""

    def __init__(self, method: ACMR, d_images: int, d_texts: int, n_classes: int, generator: torch.Generator) -> None:
        super().__init__()
        k = method.n_components
        self.method = method
        self.image_scale = Standardise(d_images).to(generator.device)
        self.text_scale = Standardise(d_texts).to(generator.device)
        self.dropout = Dropout(method.input_dropout, generator)
        self.image_projector = perceptron((d_images, *method.image_widths, k), generator)
        self.text_projector = perceptron((d_texts, *method.text_widths, k), generator)
        self.label_classifier = linear(k, n_classes, generator)
        # Linear layers without activations, as in the authors' code.
        self.modality_classifier = perceptron((k, k // 2, k // 4, 2), generator, activation=None)

    def standardise(self, images: Array, texts: Array) -> None:
        """Take the statistics of the training features."""
        self.image_scale.fit(images)
        self.text_scale.fit(texts)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_projector(self.dropout(self.image_scale(images)))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_projector(self.dropout(self.text_scale(texts)))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        v, w = self.embed_images(batch.images), self.embed_texts(batch.texts)
        label = sum(label_loss(self.label_classifier(codes), batch.labels) for codes in (v, w))
        different = batch.labels @ batch.labels.T == 0
        m, a = self.method.margin, self.method.positive_weight
        triplet = triplet_loss(v, w, hardest_negatives(batch.images, different), m, a) + triplet_loss(
            w, v, hardest_negatives(batch.texts, different), m, a
        )
        return {"label": label, "triplet": triplet, "modality": self.modality_loss(v, w, progress)}

    def modality_loss(self, v: Tensor, w: Tensor, progress: float) -> Tensor:
        """Minimised by the classifier; through the reversed gradient the projectors maximise epsilon l(p) times it."""
        reversal = self.method.adversary_weight * reversal_strength(progress)
        codes = reverse_gradient(torch.cat([v, w]), reversal)
        modality = torch.arange(2, device=codes.device).repeat_interleave(len(v))
        return cross_entropy(self.modality_classifier(codes), modality)


def reversal_strength(progress: float) -> float:
    """l(p) = 2 / (1 + exp(-10 p)) - 1: from 0 to 1 as training goes on (Ganin & Lempitsky 2015)."""
    return math.tanh(5 * progress)


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with a pair's labels (b, c) in equal shares; a pair without a label counts nothing."""
    shares = labels / labels.sum(1, keepdim=True).clamp(min=1)
    return -(shares * log_softmax(logits, dim=1)).sum(1).mean()


def hardest_negatives(features: Tensor, different: Tensor) -> tuple[Tensor, Tensor]:
    """For each anchor, the item of another class whose features, of the anchor's own modality, are nearest by cosine.

    `features` (b, d) raw; `different` (b, b) bool. Returns the anchors that have a negative in the batch, and for each
    of them its negative, both (a,).
    """
    different = different.clone().fill_diagonal_(False)  # a pair without labels shares none with itself
    unit = normalize(features, dim=1)
    similarities = (unit @ unit.T).masked_fill(~different, -torch.inf)
    anchors = different.any(1).nonzero().squeeze(1)
    return anchors, similarities.argmax(1)[anchors]


def triplet_loss(
    queries: Tensor, gallery: Tensor, triplets: tuple[Tensor, Tensor], margin: float, positive_weight: float
) -> Tensor:
    """Mean over anchors of max(0, m + alpha_t d(v, w+) - d(v, w-)); w+ is the anchor's own pair, d = ||.||^2 / 2."""
    anchors, negatives = triplets
    if not len(anchors):  # the whole batch is of one class
        return queries.new_zeros(())
    positive = (queries[anchors] - gallery[anchors]).square().sum(1) / 2
    negative = (queries[anchors] - gallery[negatives]).square().sum(1) / 2
    return relu(margin + positive_weight * positive - negative).mean()
