"""Regularised deep neural network for semantic mapping (RE-DNN).

Source: Wang, Yang & Meinel, Deep semantic mapping for cross-modal retrieval, ICTAI 2015. Card: deep/05, `re_dnn`.

Only the abstract could be read: a network a modality is trained on the classes first ("intra-modal regularisation"),
then a joint network on top of both, which copes with a missing modality. All sizes and the schedule are ours, as is the
term that trains the joint network on one input at a time, without which posteriors of single items mean little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from cmr.compute import CPU, Compute
from cmr.device import resolve_device
from cmr.methods.base import History, InfeasibleError, Pairs, State
from cmr.methods.deep.encoders import encoder, parameter_groups
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Dropout, Linear, perceptron
from cmr.methods.deep.losses import label_cross_entropy
from cmr.methods.deep.method import DeepMethod
from cmr.methods.deep.network import Batch, DeepModel, TrainableSpace
from cmr.methods.deep.stages import shared_stage
from cmr.methods.deep.trainer import Schedule, Training, fit_networks, require_pairs, seeded
from cmr.progress import SILENT, Progress

# What the first stage does not depend on.
JOINT_SETTINGS = ("n_components", "intra_weight", "single_input_weight", "keep", "embedding")


@dataclass(frozen=True)
class REDNN(DeepMethod):
    """A classifier a modality, then a joint classifier on top of both that is asked with one of them missing.

    Several classes a pair are allowed: each has an equal share in the cross-entropies.

    Parameters
    ----------
    image_widths, text_widths : units of the sigmoid layers of each modality.
    n_components : units of the joint code.
    intra_weight : of the modalities' own classifiers in the joint stage; the joint one has 1.
    single_input_weight : mu, of the joint classifier with one input missing; 0 trains it on whole pairs alone.
    input_dropout : share of the z-scored input features that each training step leaves out.
    learning_rate : of Adam in the first stage; the joint stage has half of it.
    weight_decay, epochs, batch_size, patience : training of each stage.
    keep : which stage embeds: `joint`; `intra`, the first, the other is not trained; or `better`, for each seed the one
        with the higher valid mAP.
    embedding : `posterior` of the classes, or the joint `code`.
    """

    image_widths: tuple[int, ...] = (256, 64)
    text_widths: tuple[int, ...] = (256, 64)
    n_components: int = 64
    intra_weight: float = 1.0
    single_input_weight: float = 1.0
    input_dropout: float = 0.0
    learning_rate: float = 0.003
    weight_decay: float = 0.0001
    epochs: int = 30
    batch_size: int = 50
    patience: int = 10
    keep: Literal["joint", "intra", "better"] = "joint"
    embedding: Literal["posterior", "code"] = "posterior"

    name: ClassVar[str] = "re_dnn"

    def check(self, train: Pairs, valid: Pairs | None) -> None:
        """Refuse data without classes, and choices that do not go together."""
        train.require_classes(self.name)
        if self.embedding == "code" and self.keep != "joint":
            raise InfeasibleError(
                f"re_dnn: only the joint stage has a common code, but keep is {self.keep}; set keep to joint, or "
                "embedding to posterior"
            )
        if self.keep == "better" and valid is None:
            raise InfeasibleError("re_dnn: the better stage is chosen on the valid part, but the split has none")

    def fit_seeds(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seeds: Sequence[int],
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> dict[int, DeepModel]:
        """Train both stages; of the first, the history has the names `intra_...`."""
        require_pairs(train, valid)
        self.check(train, valid)
        inputs, device = Inputs.of(train), resolve_device(compute.device)
        first = {seed: self._fit_intra(train, valid, inputs, seed, compute, progress) for seed in seeds}
        if self.keep == "intra":
            return {seed: DeepModel(network, history, inputs) for seed, (network, history) in first.items()}
        trainings = []
        for seed in seeds:
            generator = seeded(seed, self.name, device)
            network = JointNetwork(self, inputs, generator)
            network.intra.load_state_dict(first[seed][0].state_dict())
            trainings.append(Training(network, train, valid, generator))
        weights = {"joint": 1.0, "intra": self.intra_weight, "single_input": self.single_input_weight}
        histories = self._train(trainings, self.learning_rate / 2, weights, compute, progress)
        models = {}
        for seed, training, own in zip(seeds, trainings, histories, strict=True):
            network, (intra, before) = training.network, first[seed]
            history = own | {f"intra_{name}": values for name, values in before.items()}
            if self.keep == "better" and max(before["valid_map"]) >= max(own["valid_map"]):
                network.fall_back_to(intra)
            models[seed] = DeepModel(network, history, inputs)
        return models

    def restore(self, state: State) -> DeepModel:
        """See DeepMethod."""
        network = IntraModalNetwork if self.keep == "intra" else JointNetwork
        return DeepModel.from_state(lambda inputs: network(self, inputs, torch.Generator()), state)

    def _fit_intra(
        self, train: Pairs, valid: Pairs | None, inputs: Inputs, seed: int, compute: Compute, progress: Progress
    ) -> tuple["IntraModalNetwork", History]:
        """The first stage; all settings of the second share it."""
        generator = seeded(seed, "re_dnn intra-modal stage", resolve_device(compute.device))
        network = IntraModalNetwork(self, inputs, generator)
        network.image_encoder.prepare(train.images)
        network.text_encoder.prepare(train.texts)
        training = Training(network, train, valid, generator)
        history = shared_stage(
            network,
            lambda: self._train([training], self.learning_rate, {"images": 1.0, "texts": 1.0}, compute, progress)[0],
            stage="re_dnn intra-modal stage",
            device=generator.device,
            progress=progress,
            train=train.given,
            valid=None if valid is None else valid.given,
            seed=seed,
            mixed_precision=compute.mixed_precision,
            compile=compute.compile,
            settings={name: value for name, value in vars(self).items() if name not in JOINT_SETTINGS},
        )
        return network, history

    def _train(
        self,
        trainings: Sequence[Training],
        learning_rate: float,
        weights: Mapping[str, float],
        compute: Compute,
        progress: Progress,
    ) -> list[History]:
        return fit_networks(
            trainings,
            lambda parameters: torch.optim.Adam(
                parameter_groups(parameters, learning_rate), weight_decay=self.weight_decay, fused=True
            ),
            weights,
            similarity=self.similarity,
            schedule=Schedule(self.epochs, self.batch_size, self.patience),
            compute=compute,
            progress=progress,
            facts={"method": self.name, **vars(self)},
        )


class IntraModalNetwork(TrainableSpace):
    """h_i and h_t, a sigmoid perceptron each, and a softmax classifier on each; the two share nothing."""

    def __init__(self, method: REDNN, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        self.image_encoder, self.text_encoder = (encoder(side, generator) for side in (inputs.images, inputs.texts))
        self.dropout = Dropout(method.input_dropout, generator)
        self.image_net, self.text_net = (
            perceptron((own.width, *widths), generator, nn.Sigmoid)
            for own, widths in ((self.image_encoder, method.image_widths), (self.text_encoder, method.text_widths))
        )
        self.image_classifier = Linear(method.image_widths[-1], inputs.n_classes, generator)
        self.text_classifier = Linear(method.text_widths[-1], inputs.n_classes, generator)

    def hidden_images(self, images: Tensor) -> Tensor:
        """h_i, (b, image_widths[-1])."""
        return self.image_net(self.dropout(self.image_encoder(images)))

    def hidden_texts(self, texts: Tensor) -> Tensor:
        """h_t, (b, text_widths[-1])."""
        return self.text_net(self.dropout(self.text_encoder(texts)))

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_classifier(self.hidden_images(images)).softmax(-1)

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_classifier(self.hidden_texts(texts)).softmax(-1)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return self.label_losses(self.hidden_images(batch.images), self.hidden_texts(batch.texts), batch.labels)

    def label_losses(self, hidden_images: Tensor, hidden_texts: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The cross-entropy of each modality's own classifier."""
        return {
            "images": label_cross_entropy(self.image_classifier(hidden_images), labels),
            "texts": label_cross_entropy(self.text_classifier(hidden_texts), labels),
        }


class JointNetwork(TrainableSpace):
    """z = sigmoid(J_i h_i + J_t h_t + b) and a softmax classifier on it; a missing input contributes zero to z."""

    def __init__(self, method: REDNN, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = method.embedding
        self.intra = IntraModalNetwork(method, inputs, generator)
        self.widths = method.image_widths[-1], method.text_widths[-1]
        self.joint = Linear(sum(self.widths), method.n_components, generator)  # J_i above J_t, and b
        self.classifier = Linear(method.n_components, inputs.n_classes, generator)
        self.register_buffer("falls_back", torch.tensor(False, device=generator.device))

    def code(self, hidden_images: Tensor | None, hidden_texts: Tensor | None) -> Tensor:
        """z, (b, k), of one input or both."""
        (present, *_) = (hidden for hidden in (hidden_images, hidden_texts) if hidden is not None)
        inputs = (
            present.new_zeros(*present.shape[:-1], width) if hidden is None else hidden
            for hidden, width in zip((hidden_images, hidden_texts), self.widths, strict=True)
        )
        return torch.sigmoid(self.joint(torch.cat(list(inputs), dim=-1)))

    def fall_back_to(self, intra: IntraModalNetwork) -> None:
        """From now on embed as `intra` does."""
        self.intra.load_state_dict(intra.state_dict())
        self.falls_back.fill_(True)

    def embed_images(self, images: Tensor) -> Tensor:
        if self.falls_back:
            return self.intra.embed_images(images)
        return self.embed_code(self.code(self.intra.hidden_images(images), None))

    def embed_texts(self, texts: Tensor) -> Tensor:
        if self.falls_back:
            return self.intra.embed_texts(texts)
        return self.embed_code(self.code(None, self.intra.hidden_texts(texts)))

    def embed_code(self, code: Tensor) -> Tensor:
        """The embedding that z stands for."""
        return code if self.embedding == "code" else self.classifier(code).softmax(-1)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        images, texts = self.intra.hidden_images(batch.images), self.intra.hidden_texts(batch.texts)
        joint, image_alone, text_alone = (
            label_cross_entropy(self.classifier(self.code(*inputs)), batch.labels)
            for inputs in ((images, texts), (images, None), (None, texts))
        )
        return {
            "joint": joint,
            "intra": sum(self.intra.label_losses(images, texts, batch.labels).values()),
            "single_input": image_alone + text_alone,
        }
