"""Correspondence autoencoder (Corr-AE).

Source: Feng, Wang & Li, Cross-modal retrieval with correspondence autoencoder, ACM MM 2014. Card: deep/02, `corr_ae`.

The objective and alpha are the authors'. We depart from them in these points. The text stack starts with a replicated
softmax only where the texts are word counts; any other text view, such as tf-idf, goes through a Gaussian RBM on
z-scores, as images do. The layers are narrower (theirs have 1024 units on top of the stacks and in the code), the
batches smaller (theirs hold 100 pairs), and Adam with early stopping replaces their SGD with momentum and weight decay.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.device import resolve_device
from cmr.methods.base import Pairs, State
from cmr.methods.boltzmann.stack import Stack, fit_stack
from cmr.methods.deep.layers import linear
from cmr.methods.deep.network import Batch, CommonSpace, DeepModel, TrainableSpace, embed
from cmr.methods.deep.trainer import Schedule, checkpoint_of, fit_network, seeded
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.store import group


@dataclass(frozen=True)
class CorrAE:
    """Two autoencoders whose codes of a pair are drawn together, on top of frozen RBM features; uses no labels.

    Parameters
    ----------
    n_components : units of the code, k.
    stack_widths : units of the two RBM layers under each autoencoder. The first is Gaussian on z-scored features, or
        replicated softmax where texts are word counts; the second is Bernoulli.
    stack_epochs : epochs of contrastive divergence for each RBM.
    alpha : weight of the squared distance between the codes; reconstruction has 1 - alpha. At 1 all codes collapse.
    learning_rate, epochs, patience : training of the autoencoders, by Adam.
    batch_size : pairs a step, for RBMs and autoencoders.
    """

    n_components: int = 256
    stack_widths: tuple[int, int] = (128, 128)
    stack_epochs: int = 60
    alpha: float = 0.8
    learning_rate: float = 0.001
    epochs: int = 60
    batch_size: int = 25
    patience: int = 10

    similarity: ClassVar[Similarity] = "cosine"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
        progress: Progress = SILENT,
    ) -> DeepModel:
        """Train the RBM stacks, then the autoencoders on their fixed output.

        The history also has the reconstruction error of each RBM, such as `images_rbm_1`, over its own epochs.
        """
        train, valid = train.in_memory(), None if valid is None else valid.in_memory()
        target = resolve_device(device)
        stacks, errors = {}, {}
        for side, counts in (("images", False), ("texts", train.texts_are_counts)):
            stacks[side], layers = fit_stack(
                getattr(train, side),
                self.stack_widths,
                counts=counts,
                epochs=self.stack_epochs,
                batch_size=self.batch_size,
                seed=seed,
                purpose=f"{side} stack",
                device=target,
                progress=progress,
            )
            errors |= {f"{side}_{layer}": values for layer, values in layers.items()}
        generator = seeded(seed, "autoencoders", target)
        autoencoders = CorrespondenceAutoencoders(self.stack_widths[-1], self.n_components, generator)
        history = fit_network(
            autoencoders,
            torch.optim.Adam(autoencoders.parameters(), lr=self.learning_rate, fused=True),
            {"reconstruction": 1.0 - self.alpha, "correspondence": self.alpha},
            _through(stacks, train),
            None if valid is None else _through(stacks, valid),
            similarity=self.similarity,
            schedule=Schedule(self.epochs, self.batch_size, self.patience),
            generator=generator,
            progress=progress,
            checkpoint=checkpoint_of(self, train, valid, seed, target, progress),
        )
        return DeepModel(OnStacks(stacks["images"], stacks["texts"], autoencoders), history | errors)

    def restore(self, state: State) -> DeepModel:
        """The model that `state` was taken from, on the CPU."""
        arrays = group(state, "network")
        counts = {"image": False, "text": "text_stack.scale.mean" not in arrays}
        stacks = [
            Stack.of(len(arrays[f"{side}_stack.first.visible_bias"]), self.stack_widths, counts[side])
            for side in counts
        ]
        autoencoders = CorrespondenceAutoencoders(self.stack_widths[-1], self.n_components, torch.Generator())
        return DeepModel.from_state(OnStacks(*stacks, autoencoders), state)


class CorrespondenceAutoencoders(TrainableSpace):
    """f, g and their decoders, sigmoid layers all, on RBM outputs u (image) and v (text) of one width in [0, 1]."""

    def __init__(self, width: int, n_components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.image_encoder, self.text_encoder = (linear(width, n_components, generator) for _ in range(2))
        self.image_decoder, self.text_decoder = (linear(n_components, width, generator) for _ in range(2))

    def embed_images(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.image_encoder(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return torch.sigmoid(self.text_encoder(texts))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        f, g = self.embed_images(batch.images), self.embed_texts(batch.texts)
        return {"reconstruction": self.reconstruction(f, g, batch), "correspondence": squared_distance(f, g)}

    def reconstruction(self, f: Tensor, g: Tensor, batch: Batch) -> Tensor:
        """Each code gives back its own side; in this alone the paper's three correspondence autoencoders differ."""
        return squared_distance(decode(self.image_decoder, f), batch.images) + squared_distance(
            decode(self.text_decoder, g), batch.texts
        )


class OnStacks(CommonSpace):
    """Raw features through their stack, then through the encoder."""

    def __init__(self, image_stack: Stack, text_stack: Stack, top: CommonSpace) -> None:
        super().__init__()
        self.image_stack, self.text_stack, self.top = image_stack, text_stack, top

    def embed_images(self, images: Tensor) -> Tensor:
        return self.top.embed_images(self.image_stack(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.top.embed_texts(self.text_stack(texts))


def decode(decoder: nn.Module, code: Tensor) -> Tensor:
    return torch.sigmoid(decoder(code))


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean over the rows of ||x - y||^2."""
    return (x - y).square().sum(1).mean()


def _through(stacks: dict[str, Stack], pairs: Pairs) -> Pairs:
    return replace(pairs, **{side: embed(stack, stack, getattr(pairs, side)) for side, stack in stacks.items()})
