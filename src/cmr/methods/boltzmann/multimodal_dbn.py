"""Multimodal deep belief net: an RBM joins the top layers of two stacks, and stands in for a modality that is missing.

Source: Srivastava & Salakhutdinov, Learning representations for multimodal data with deep belief nets, ICML 2012
workshop. Card: deep/03, mm_dbn.

The layers, their training one after the other without fine-tuning and the ten steps of mean field are the authors',
the settings of each RBM those of `ContrastiveDivergence`. The authors rank nothing and have no valid part: comparing
joint codes by their cosine, taking the mean of each modality off first and the epoch of the joint RBM with the best
valid mAP are ours.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cmr.checkpoint import BestEpoch, Checkpoint
from cmr.compute import CPU, Compute
from cmr.device import resolve_device
from cmr.methods.base import Array, History, Pairs, State
from cmr.methods.boltzmann.contrastive_divergence import Ascent, ContrastiveDivergence, fit_rbm
from cmr.methods.boltzmann.rbm import BernoulliRBM, affine
from cmr.methods.boltzmann.stacked import OnStacks, StackedMethod, Stacks
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import CommonSpace, DeepModel, embed
from cmr.methods.deep.trainer import seeded
from cmr.metrics import bimodal_map
from cmr.progress import SILENT, Progress

MEAN_FIELD_STEPS = 10

Space = Literal["joint", "text_top", "image_top"]


class JointRBM(BernoulliRBM):
    """An RBM whose visible units are the tops of two stacks, n_x of images and then n_y of texts.

    The top layers of the stacks have two biases: recognition takes the stack's hidden one, generation the visible one
    of this RBM.

    Parameters
    ----------
    n_components : hidden units, k.
    steps : of mean field, where one modality is missing.
    """

    def __init__(
        self,
        n_images: int,
        n_texts: int,
        n_components: int,
        device: torch.device | str = "cpu",
        steps: int = MEAN_FIELD_STEPS,
    ) -> None:
        super().__init__(n_images + n_texts, n_components, device)
        self.n_images, self.steps = n_images, steps

    def from_images(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Tops of the images alone (b, n_x) -> (b, k) joint code and (b, n_y) generated tops of the texts."""
        image, text = self.sides()
        return self.complete(u, image[0], *text)

    def from_texts(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Tops of the texts alone (b, n_y) -> (b, k) joint code and (b, n_x) generated tops of the images."""
        image, text = self.sides()
        return self.complete(w, text[0], *image)

    def sides(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Weights and visible bias of the images, and those of the texts."""
        n = self.n_images
        image = self.weights[..., :n, :], self.visible_bias[..., :n]
        return image, (self.weights[..., n:, :], self.visible_bias[..., n:])

    def complete(self, u: Tensor, w_given: Tensor, w_other: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """Mean field: x starts at sigmoid(a); h = sigmoid(u W_given + x W_other + b), x = sigmoid(h W_other^T + a)."""
        clamped = affine(u, w_given, self.hidden_bias)
        x = torch.sigmoid(a)
        for _ in range(self.steps):
            h = torch.sigmoid(clamped + x @ w_other)
            x = torch.sigmoid(affine(h, w_other.mT, a))
        return h, x


class MultimodalDBN(nn.Module):
    """Two trained stacks and an untrained joint RBM of k units on top of them; codes and tops are probabilities."""

    def __init__(self, stacks: Stacks, n_components: int) -> None:
        super().__init__()
        self.image_stack, self.text_stack = stacks.images, stacks.texts
        device = stacks.images.rbms[0].weights.device
        self.joint = JointRBM(stacks.images.width, stacks.texts.width, n_components, device)

    def from_pairs(self, images: Tensor, texts: Tensor) -> Tensor:
        """Both modalities, (b, d_x) and (b, d_y) -> (b, k) joint code, in one pass."""
        return self.joint(torch.cat([self.image_stack(images), self.text_stack(texts)], dim=-1))

    def from_images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(b, d_x) -> (b, k) joint code and (b, n_y) generated top of the text stack."""
        return self.joint.from_images(self.image_stack(images))

    def from_texts(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """(b, d_y) -> (b, k) joint code and (b, n_x) generated top of the image stack."""
        return self.joint.from_texts(self.text_stack(texts))


def fit_multimodal_dbn(
    stacks: Stacks,
    train: Pairs,
    *,
    n_components: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> tuple[MultimodalDBN, History]:
    """A net on trained stacks, its joint RBM trained on the pairs of `train` as a shared stage.

    The history has `joint_rbm`, the reconstruction error of each epoch.
    """
    network = MultimodalDBN(stacks, n_components)
    history = fit_rbm(
        network.joint,
        joined(stacks.through(train)),
        ContrastiveDivergence(learning_rate, epochs, batch_size),
        seed=seed,
        purpose="joint RBM",
        device=device,
        progress=progress,
    )
    return network, {"joint_rbm": history["reconstruction_error"]}


def joined(tops: Pairs) -> Array:
    """(n, n_x + n_y): what a joint RBM learns from."""
    return np.concatenate([tops.images, tops.texts], axis=1)


class JointSpace(CommonSpace):
    """The space in which a joint RBM compares the tops of two stacks.

    Parameters
    ----------
    space : `joint`, the codes; `text_top`, tops of texts with those generated from images; `image_top`, the reverse.
    """

    def __init__(self, joint: JointRBM, space: Space) -> None:
        super().__init__()
        self.joint, self.space = joint, space
        k, n_y = joint.weights.shape[-1], len(joint.visible_bias) - joint.n_images
        width = {"joint": k, "text_top": n_y, "image_top": joint.n_images}[space]
        for side in ("image_mean", "text_mean"):
            self.register_buffer(side, torch.zeros(width, device=joint.weights.device))

    def embed_images(self, images: Tensor) -> Tensor:
        return self.of_images(images) - self.image_mean

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.of_texts(texts) - self.text_mean

    def of_images(self, images: Tensor) -> Tensor:
        """Not centred."""
        if self.space == "image_top":
            return images
        code, top = self.joint.from_images(images)
        return code if self.space == "joint" else top

    def of_texts(self, texts: Tensor) -> Tensor:
        """Not centred."""
        if self.space == "text_top":
            return texts
        code, top = self.joint.from_texts(texts)
        return code if self.space == "joint" else top

    def centre(self, train: Pairs) -> None:
        """Take the means of the two modalities over `train`."""
        for mean, side, x in (
            (self.image_mean, self.of_images, train.images),
            (self.text_mean, self.of_texts, train.texts),
        ):
            mean.copy_(torch.from_numpy(embed(self, side, x).mean(axis=0)))


@dataclass(frozen=True)
class MultimodalDBNMethod(StackedMethod):
    """Compare images and texts by what a joint RBM infers from either alone; uses no labels.

    Parameters
    ----------
    n_components : hidden units of the joint RBM.
    space : see `JointSpace`.
    centre : take the train mean of each modality off.
    mean_field_steps : that stand in for the missing modality.
    learning_rate, epochs, batch_size : contrastive divergence of the joint RBM.
    patience : epochs of it without a better valid mAP before training stops.
    """

    n_components: int = 256
    space: Space = "joint"
    centre: bool = True
    mean_field_steps: int = MEAN_FIELD_STEPS
    learning_rate: float = 0.01
    epochs: int = 40
    batch_size: int = 25
    patience: int = 10

    name: ClassVar[str] = "multimodal_dbn"

    def fit_seeds(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seeds: Sequence[int],
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> dict[int, DeepModel]:
        """See DeepMethod; in the history `loss` is the reconstruction error of the joint RBM."""
        device, models = resolve_device(compute.device), {}
        for seed in seeds:
            stacks = self.fit_stacks(train, seed, device, progress)
            tops = stacks.through(train)
            above = None if valid is None else stacks.through(valid)
            space = self.joint_space(stacks.images.width, stacks.texts.width, device)
            history = self.fit_joint(space, tops, above, seed, device, progress)
            models[seed] = DeepModel(OnStacks(stacks, space), history | stacks.history, Inputs.of(train))
        return models

    def joint_space(self, n_images: int, n_texts: int, device: torch.device | str = "cpu") -> JointSpace:
        """Untrained."""
        joint = JointRBM(n_images, n_texts, self.n_components, device, self.mean_field_steps)
        return JointSpace(joint, self.space)

    def fit_joint(
        self, space: JointSpace, train: Pairs, valid: Pairs | None, seed: int, device: torch.device, progress: Progress
    ) -> History:
        """Train the joint RBM on the tops of the pairs; it ends with the weights of its best epoch."""
        generator = seeded(seed, self.name, device)
        divergence = ContrastiveDivergence(self.learning_rate, self.epochs, self.batch_size)
        ascent = Ascent(space.joint, divergence, torch.from_numpy(joined(train)).to(device), generator)
        run = BestEpoch(ascent, generator)
        checkpoint = Checkpoint.of(
            progress,
            "joint RBM",
            device.type,
            method=self.name,
            seed=seed,
            settings=vars(self),
            parts=[None if part is None else part.given for part in (train, valid)],
        )
        if (kept := checkpoint.read()) is not None:
            run.resume(*kept)
        with tqdm(
            desc="joint RBM", total=self.epochs, initial=run.epoch, unit="epoch",
            file=sys.stderr, mininterval=2.0, disable=progress.quiet or run.finished,
        ) as bar:  # fmt: skip
            while not run.finished:
                means = {"loss": ascent.epoch(run.epoch)}
                if valid is not None:
                    self.take_means(space, train)
                    sides = (
                        embed(space, space.embed_images, valid.images),
                        embed(space, space.embed_texts, valid.texts),
                    )
                    means["valid_map"] = bimodal_map(*sides, valid.relevance, self.similarity)
                run.record(means, self.epochs, self.patience)
                if run.finished or checkpoint.due:
                    checkpoint.write(*run.to_arrays())
                bar.update()
        run.restore_best()
        self.take_means(space, train)
        return run.history

    def take_means(self, space: JointSpace, train: Pairs) -> None:
        """Centre, if that is wanted."""
        if self.centre:
            space.centre(train)

    def restore(self, state: State) -> DeepModel:
        """See DeepMethod."""

        def build(inputs: Inputs) -> OnStacks:
            stacks = self.untrained_stacks(inputs)
            return OnStacks(stacks, self.joint_space(stacks.images.width, stacks.texts.width))

        return DeepModel.from_state(build, state)
