"""Deep cross-modal hashing (DCMH).

Source: Jiang & Li, Deep cross-modal hashing, CVPR 2017. Card: deep/08, `dcmh`.

The objective, and that the networks of the two modalities take turns, are the paper's. Both its released programs push
each batch against the sum of the codes of all train items, as they were when they were last computed; that overshoots,
and little is learnt from few items. So by default the sum is the batch's (`balance`), codes start as what the
networks give (`buffers`), and Adam replaces gradient descent (`solver`). The variant `as_released` has the settings of
the authors' TensorFlow program, but for this: a pass takes each item once, where theirs draws every batch anew.
The networks here take features and not pixels, so that the image network is a perceptron; it and the hidden layer of
the text network (8192 units in the paper) are narrower. z-scored inputs, input dropout and early stopping are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from cmr.methods.base import Array, Pairs, State
from cmr.methods.deep.encoders import encoder, parameter_groups
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Dropout, Linear, perceptron
from cmr.methods.deep.losses import pairwise_likelihood, share_a_label
from cmr.methods.deep.method import NetworkMethod, Start
from cmr.methods.deep.network import Batch, CommonSpace, DeepModel, TrainableSpace, outputs
from cmr.methods.deep.trainer import Schedule
from cmr.methods.hashing.codes import pack
from cmr.progress import Progress
from cmr.retrieval import Similarity


@dataclass(frozen=True)
class DCMH(NetworkMethod):
    """Codes whose inner products tell whether an image and a text share a label.

    Parameters
    ----------
    bits : length of a code, c.
    image_widths, text_widths : hidden units of the two networks, ReLU layers; none makes a network linear.
    quantisation_weight : gamma, of the squared distances of real-valued codes from binary ones.
    balance_weight : eta, of the squared sum of the codes: each bit should be set of half the items.
    balance : the sum is that of a `batch`; or that of all items, `global`, which are remembered from earlier batches.
    buffers : remembered codes start as what the networks give (`forward`), or from N(0, 1) (`normal`).
    solver : `adam`, or `sgd`, plain gradient descent.
    learning_rate : of the solver, at first.
    final_rate : the share of it that would be left after the last epoch; it falls linearly.
    input_dropout : share of the z-scored input features that each training step leaves out.
    similarity : `hamming` of the binary codes, or `cosine` of the real-valued ones before their signs are taken.
    epochs : passes over the train part, by turns of the image and of the text network.
    batch_size, patience : training.
    """

    bits: int = 32
    image_widths: tuple[int, ...] = (256,)
    text_widths: tuple[int, ...] = (512,)
    quantisation_weight: float = 1.0
    balance_weight: float = 1.0
    balance: Literal["batch", "global"] = "batch"
    buffers: Literal["forward", "normal"] = "forward"
    solver: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 0.001
    final_rate: float = 1.0
    input_dropout: float = 0.5
    similarity: Similarity = "hamming"
    epochs: int = 50
    batch_size: int = 128
    patience: int = 20

    name: ClassVar[str] = "dcmh"

    def check(self, train: Pairs) -> None:
        """It needs classes."""
        train.require_classes(self.name)

    def build(self, inputs: Inputs, generator: torch.Generator) -> "DCMHNetwork":
        """See NetworkMethod."""
        return DCMHNetwork(self, inputs, generator)

    def prepare(self, network: "DCMHNetwork", train: Pairs) -> None:
        """See NetworkMethod."""
        network.codes.image_encoder.prepare(train.images)
        network.codes.text_encoder.prepare(train.texts)

    def weights(self) -> Mapping[str, float]:
        """See NetworkMethod."""
        return {"likelihood": 1.0, "quantisation": self.quantisation_weight, "balance": self.balance_weight}

    def schedule(self) -> Schedule:
        """See NetworkMethod."""
        return Schedule(self.epochs, self.batch_size, self.patience, rate=self.rate)

    def rate(self, progress: float) -> float:
        """What is left of the learning rate."""
        return 1.0 + (self.final_rate - 1.0) * progress

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """See NetworkMethod."""
        if self.solver == "sgd":
            return torch.optim.SGD(parameter_groups(parameters, self.learning_rate), lr=self.learning_rate)
        return super().optimiser(parameters)

    def start(self, train: Pairs, valid: Pairs | None, seed: int, device: torch.device, progress: Progress) -> Start:
        """See NetworkMethod; what embeds does without what the training remembers of the train items."""
        start = super().start(train, valid, seed, device, progress)
        return replace(start, space=start.training.network.codes)

    def restore(self, state: State) -> DeepModel:
        """See DeepMethod."""
        return DeepModel.from_state(lambda inputs: CodeNetworks(self, inputs, torch.Generator()), state)


class CodeNetworks(CommonSpace):
    """One network a modality, from features to c real numbers whose signs are the code."""

    def __init__(self, method: DCMH, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        self.binary = method.similarity == "hamming"
        self.image_encoder, self.text_encoder = (encoder(side, generator) for side in (inputs.images, inputs.texts))
        self.dropout = Dropout(method.input_dropout, generator)
        self.image_network, self.text_network = (
            perceptron((own.width, *widths, method.bits), generator, activation=nn.ReLU, last=False)
            for own, widths in (
                (self.image_encoder, method.image_widths),
                (self.text_encoder, method.text_widths),
            )
        )
        for layer in self.modules():
            if isinstance(layer, Linear):
                for parameter in (layer.weight, layer.bias):
                    nn.init.normal_(parameter, std=0.01, generator=generator)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_network(self.dropout(self.image_encoder(images)))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_network(self.dropout(self.text_encoder(texts)))

    def ranked(self, embeddings: Array) -> Array:
        return pack(embeddings >= 0) if self.binary else embeddings


class DCMHNetwork(TrainableSpace):
    """The two networks, and what is remembered of the train items: real codes F and G, and binary codes B, (n, c)."""

    def __init__(self, method: DCMH, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        self.method, self.generator = method, generator
        self.codes = CodeNetworks(method, inputs, generator)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.codes.embed_images(images)

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.codes.embed_texts(texts)

    def ranked(self, embeddings: Array) -> Array:
        return self.codes.ranked(embeddings)

    def begin(self, train: Batch) -> None:
        f, g = outputs(self.embed_images, train.images), outputs(self.embed_texts, train.texts)
        if self.method.buffers == "normal":
            f, g = (torch.empty_like(codes).normal_(generator=self.generator) for codes in (f, g))
        self.register_buffer("image_codes", f)
        self.register_buffer("text_codes", g)
        self.register_buffer("binary_codes", binary(f, g))
        self.register_buffer("labels", train.labels)
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64, device=f.device))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Terms of the network whose turn it is, each divided by the n items and the batch: the paper's gradients."""
        if round(progress * self.method.epochs) % 2 == 0:
            codes, own, other = self.embed_images(batch.images), self.image_codes, self.text_codes
        else:
            codes, own, other = self.embed_texts(batch.texts), self.text_codes, self.image_codes
        codes = codes.to(own.dtype)  # products may come in bfloat16
        rows = batch.index.unsqueeze(-1).expand_as(codes)
        # In place: common to the networks that train together, and kept with their weights.
        own.scatter_(-2, rows, codes.detach())
        others = 0.0
        if self.method.balance == "global":
            others = own.sum(-2) - codes.detach().sum(-2)
        similar = share_a_label(batch.labels, self.labels)
        return terms(codes, other, self.binary_codes.gather(-2, rows), similar, others)

    def end_epoch(self, train: Batch) -> None:
        self.passes += 1
        if self.passes % 2 == 0:
            self.binary_codes.copy_(binary(self.image_codes, self.text_codes))


def binary(f: Tensor, g: Tensor) -> Tensor:
    """B = sign(F + G), where the sign of zero is 1."""
    return torch.where(f + g >= 0, 1.0, -1.0)


def terms(codes: Tensor, other: Tensor, target: Tensor, similar: Tensor, others: Tensor | float) -> dict[str, Tensor]:
    """What one network minimises on a batch of b of n items, divided by n b.

    Parameters
    ----------
    codes : (b, c), of its own modality.
    other : (n, c), of the other modality.
    target : (b, c), binary.
    similar : S (b, n), 1 where two items share a label.
    others : (c,), the sum of the codes of those items that are not in the batch; 0 for the balance of the batch alone.

    Returns
    -------
    likelihood : sum of softplus(theta_ij) - S_ij theta_ij, with theta = codes other' / 2.
    quantisation : ||codes - target||_F^2.
    balance : ||sum of the codes||^2.
    """
    share = 1.0 / (codes.shape[-2] * other.shape[-2])
    return {
        "likelihood": pairwise_likelihood(codes @ other.mT / 2, similar),
        "quantisation": (codes - target).square().sum((-2, -1)) * share,
        "balance": (codes.sum(-2) + others).square().sum(-1) * share,
    }
