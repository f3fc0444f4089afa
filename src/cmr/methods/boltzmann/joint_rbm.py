"""A joint RBM on the tops of two stacks: what it infers where one modality is missing, and the space that this makes.

Source: Srivastava & Salakhutdinov, Learning representations for multimodal data with deep belief nets, ICML 2012
workshop. Card: deep/03, mm_dbn.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from cmr.methods.base import Array, Pairs
from cmr.methods.boltzmann.rbm import BernoulliRBM, affine
from cmr.methods.deep.network import CommonSpace, embed

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


def joined(tops: Pairs) -> Array:
    """(n, n_x + n_y): what a joint RBM learns from."""
    return np.concatenate([tops.images, tops.texts], axis=1)
