"""Multimodal deep belief net: an RBM joins the top layers of two stacks, and stands in for a modality that is missing.

Source: Srivastava & Salakhutdinov, Learning representations for multimodal data with deep belief nets, ICML 2012
workshop. Card: deep/03, mm_dbn.

The layers, their training one after the other without fine-tuning and the ten steps of mean field are the authors',
the settings of each RBM those of `ContrastiveDivergence`. The authors rank nothing and have no valid part: comparing
joint codes by their cosine, taking the mean of each modality off first and the epoch of the joint RBM with the best
valid mAP are ours.
"""

import sys
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from cmr.checkpoint import BestEpoch, Checkpoint
from cmr.compute import Compute
from cmr.device import resolve_device
from cmr.methods.base import History, Pairs, State
from cmr.methods.boltzmann.contrastive_divergence import Ascent, ContrastiveDivergence, fit_rbm
from cmr.methods.boltzmann.joint_rbm import MEAN_FIELD_STEPS, JointRBM, JointSpace, Space, joined
from cmr.methods.boltzmann.stacked import OnStacks, StackedMethod, Stacks
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.method import SeedBySeed
from cmr.methods.deep.network import DeepModel, embed
from cmr.methods.deep.trainer import seeded
from cmr.metrics import bimodal_map
from cmr.progress import Progress


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


@dataclass(frozen=True)
class MultimodalDBNMethod(StackedMethod, SeedBySeed):
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

    def fit_seed(self, train: Pairs, valid: Pairs | None, seed: int, compute: Compute, progress: Progress) -> DeepModel:
        """See SeedBySeed; in the history `loss` is the reconstruction error of the joint RBM."""
        device = resolve_device(compute.device)
        stacks = self.fit_stacks(train, seed, device, progress)
        tops, above = stacks.through(train), None if valid is None else stacks.through(valid)
        space = self.joint_space(stacks.images.width, stacks.texts.width, device)
        history = self.fit_joint(space, tops, above, seed, device, progress)
        return DeepModel(OnStacks(stacks, space), history | stacks.history, Inputs.of(train))

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
                if checkpoint.due(run.finished):
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
