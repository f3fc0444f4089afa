"""Adversarial learning based semantic correlation representation (ALSCOR).

Source: Zhu, Song et al., IEEE MultiMedia 27, 2020. Card: deep/04, `alscor`.

The paper's are: an image network with two new layers on the convolutions of AlexNet (VisNet), a bidirectional LSTM
and a convolution over word vectors (TxtNet), canonical correlations of the two, one softmax layer on both, a classifier
of modalities that both are trained against, and Pearson's correlation to rank by. It contradicts itself in places, and
leaves much open. Readings, by the codes of docs/methods/alscor.md:

- (A1) correlations are maximised; eq. 33 as printed minimises them, `correlation_sign: printed`.
- (A2, A3) they are the singular values of a batch's whitened cross-covariance, differentiated automatically.
- (A4, A5) the networks of 4096 and unknown many outputs end in linear heads to `n_components`, on which all losses are;
  the image network may be any. A batch has ten pairs a component at least, where the paper's has 100.
- (A13, A14) the discriminator's loss is the binary cross-entropy; one step, with its gradient reversed, serves both.
- (A16) kernels stand over `kernel_width` words; dropout is of what a head takes in.
- (A18) all weights and sizes but the LSTM's and the image network's are ours.

Ours are besides z-scored vectors, of features and of words, Glorot weights, Adam, early stopping, the treatment of
several labels, and a perceptron in the place of TxtNet, for texts whose words are not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from cmr.methods.base import NotApplicableError, Pairs
from cmr.methods.deep.canonical import canonical_correlations, require_large_batches
from cmr.methods.deep.encoders import Encoder, encoder, parameter_groups
from cmr.methods.deep.inputs import Inputs, Side
from cmr.methods.deep.layers import Dropout, Linear, perceptron, reversal_strength, reverse_gradient
from cmr.methods.deep.losses import label_cross_entropy
from cmr.methods.deep.method import NetworkMethod
from cmr.methods.deep.network import Batch, TrainableSpace
from cmr.methods.deep.sequences import WordSequences
from cmr.methods.deep.trainer import Schedule
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class ALSCOR(NetworkMethod):
    """Correlated outputs of two networks that tell classes apart, and do not tell an image from a text.

    Multi-label pairs: each label of a pair has an equal share in the cross-entropy.

    Parameters
    ----------
    n_components : dimension gamma of the common space.
    image_widths : new hidden units between the image features, or the pretrained network, and the common space, ReLU.
    image_start : of these units' weights: `glorot`, or `normal`, N(0, 0.01^2), which suits some thousand inputs.
    text_network : `bilstm_cnn` over tokens, or a `perceptron` on vectors.
    text_widths : hidden units of the perceptron, ReLU.
    lstm_width : units of the LSTM a direction.
    kernels, kernel_width : of the convolution: how many, and over how many words each stands.
    dropout : share of what each new layer and head takes in that each training step leaves out.
    correlation_weight : alpha, of the mean canonical correlation of a batch.
    correlation_sign : `resolved`, which maximises the correlation; or `printed`, which minimises it.
    ridge : r, added to the variances of the outputs, which are of the order of one.
    label_weight : delta, of the cross-entropies of the labels.
    adversary_weight : epsilon, of the discriminator's loss in the networks' objective; 0 leaves them alone.
    solver : `adam`, or `sgd`, gradient descent with `momentum`.
    learning_rate : of new layers; of pretrained ones a tenth.
    momentum : of gradient descent.
    weight_decay : factor of the l2 penalty.
    epochs, patience : training.
    batch_size : pairs a step; at least 10 gamma. A smaller batch at the end of an epoch is left out.
    """

    n_components: int = 10
    image_widths: tuple[int, ...] = (128,)
    image_start: Literal["glorot", "normal"] = "glorot"
    text_network: Literal["bilstm_cnn", "perceptron"] = "bilstm_cnn"
    text_widths: tuple[int, ...] = (128,)
    lstm_width: int = 64
    kernels: int = 128
    kernel_width: int = 3
    dropout: float = 0.5
    correlation_weight: float = 1.0
    correlation_sign: Literal["resolved", "printed"] = "resolved"
    ridge: float = 0.01
    label_weight: float = 1.0
    adversary_weight: float = 0.1
    solver: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 0.003
    momentum: float = 0.8
    weight_decay: float = 0.0
    epochs: int = 30
    batch_size: int = 100
    patience: int = 10

    name: ClassVar[str] = "alscor"
    similarity: ClassVar[Similarity] = "correlation"

    def check(self, train: Pairs) -> None:
        """Classes, texts of the kind that the text network reads, and enough pairs a batch for correlations."""
        train.require_classes(self.name)
        wanted, other = ("tokens", "perceptron") if self.text_network == "bilstm_cnn" else ("vectors", "bilstm_cnn")
        if train.text_kind != wanted:
            raise NotApplicableError(
                f"alscor: text_network={self.text_network} reads {wanted}, but the texts of this view are "
                f"{train.text_kind}. Choose a view of {wanted}, or text_network={other}"
            )
        require_large_batches(self.name, self.n_components, self.batch_size, len(train))

    def build(self, inputs: Inputs, generator: torch.Generator) -> "ALSCORNetwork":
        """See NetworkMethod."""
        return ALSCORNetwork(self, inputs, generator)

    def prepare(self, network: "ALSCORNetwork", train: Pairs) -> None:
        """See NetworkMethod."""
        network.image_encoder.prepare(train.images)
        network.text_encoder.prepare(train.texts)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        sign = -1.0 if self.correlation_sign == "resolved" else 1.0
        return {"correlation": sign * self.correlation_weight, "label": self.label_weight, "modality": 1.0}

    def schedule(self) -> Schedule:
        """See NetworkMethod."""
        return Schedule(self.epochs, self.batch_size, self.patience, drop_last=True)

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """See NetworkMethod."""
        groups = parameter_groups(parameters, self.learning_rate)
        if self.solver == "sgd":
            return torch.optim.SGD(groups, momentum=self.momentum, weight_decay=self.weight_decay, fused=True)
        return torch.optim.Adam(groups, weight_decay=self.weight_decay, fused=True)


class ALSCORNetwork(TrainableSpace):
    """The two networks, and the classifiers of label and modality on their outputs."""

    def __init__(self, method: ALSCOR, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        gamma = method.n_components
        self.method = method
        self.image_encoder = encoder(inputs.images, generator)
        self.text_encoder, text_widths = text_encoder(method, inputs.texts, generator)
        self.image_network = head((self.image_encoder.width, *method.image_widths, gamma), method.dropout, generator)
        self.text_network = head((self.text_encoder.width, *text_widths, gamma), method.dropout, generator)
        if method.image_start == "normal":
            for layer in [layer for layer in self.image_network.modules() if isinstance(layer, Linear)][:-1]:
                nn.init.normal_(layer.weight, std=0.01, generator=generator)
        self.label_classifier = Linear(gamma, inputs.n_classes, generator)
        self.discriminator = perceptron((gamma, gamma, gamma // 2, 1), generator, last=False)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_network(self.image_encoder(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_network(self.text_encoder(texts))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        x, y = self.embed_images(batch.images), self.embed_texts(batch.texts)
        return {
            "correlation": canonical_correlations(x, y, self.method.ridge).mean(-1),
            "label": sum(label_cross_entropy(self.label_classifier(codes), batch.labels) for codes in (x, y)),
            "modality": self.modality_loss(x, y, progress),
        }

    def modality_loss(self, x: Tensor, y: Tensor, progress: float) -> Tensor:
        """-mean(log D(x) + log(1 - D(y))), minimised by D; the networks maximise epsilon l(p) times it."""
        reversal = self.method.adversary_weight * reversal_strength(progress)
        image, text = (self.discriminator(reverse_gradient(codes, reversal)).squeeze(-1) for codes in (x, y))
        return (softplus(-image) + softplus(text)).mean(-1)


def text_encoder(method: ALSCOR, texts: Side, generator: torch.Generator) -> tuple[Encoder, tuple[int, ...]]:
    """What a text becomes before the head, and the hidden units of the head."""
    if method.text_network == "perceptron":
        return encoder(texts, generator), method.text_widths
    return WordSequences(texts, method.lstm_width, method.kernels, method.kernel_width, generator), ()


def head(widths: tuple[int, ...], dropout: float, generator: torch.Generator) -> nn.Sequential:
    """ReLU layers and a linear one at the end, with dropout of what each takes in."""
    layers = perceptron(widths, generator, nn.ReLU, last=False, dropout=dropout)
    return nn.Sequential(Dropout(dropout, generator), *layers)
