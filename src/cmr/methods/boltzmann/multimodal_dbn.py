"""Multimodal deep belief net: an RBM that joins the top layers of two stacks, and stands in for a missing modality.

Source: Srivastava & Salakhutdinov, Learning representations for multimodal data with deep belief nets, ICML 2012
workshop. Card: deep/03, mm_dbn.
"""

import numpy as np
import torch
from torch import Tensor, nn

from cmr.methods.base import History, Pairs
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence, fit_rbm
from cmr.methods.boltzmann.rbm import BernoulliRBM
from cmr.methods.boltzmann.stacked import Stacks
from cmr.progress import Progress

MEAN_FIELD_STEPS = 10


class MultimodalDBN(nn.Module):
    """Two stacks and a joint RBM, whose visible units are the tops of the stacks, images first.

    The stacks' top layers have two biases: recognition takes the stack's hidden one, generation the joint RBM's visible
    one.

    Parameters
    ----------
    n_components : hidden units of the joint RBM, k.
    steps : of mean field, where one modality is missing.
    """

    def __init__(self, stacks: Stacks, n_components: int, steps: int = MEAN_FIELD_STEPS) -> None:
        super().__init__()
        self.image_stack, self.text_stack, self.steps = stacks.images, stacks.texts, steps
        device = stacks.images.rbms[0].weights.device
        self.joint = BernoulliRBM(stacks.images.width + stacks.texts.width, n_components, device)

    def from_pairs(self, images: Tensor, texts: Tensor) -> Tensor:
        """Both modalities of b pairs, (b, d_x) and (b, d_y) -> (b, k), P(joint unit = 1); no iteration is needed."""
        return self.joint(torch.cat([self.image_stack(images), self.text_stack(texts)], dim=-1))

    def from_images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(b, d_x) -> (b, k) joint code and (b, n_y) generated top of the text stack, both probabilities."""
        return self.complete(self.image_stack(images), images=True)

    def from_texts(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """(b, d_y) -> (b, k) joint code and (b, n_x) generated top of the image stack, both probabilities."""
        return self.complete(self.text_stack(texts), images=False)

    def complete(self, given: Tensor, *, images: bool) -> tuple[Tensor, Tensor]:
        """The joint code h and the other side's top x, by mean field from the top of one side: images or texts.

        x starts at sigmoid(a), and then h = sigmoid(W_given^T given + W_x^T x + b) and x = sigmoid(W_x h + a) in turn.
        """
        n_images = self.image_stack.width
        parts = self.joint.weights[..., :n_images, :], self.joint.weights[..., n_images:, :]
        biases = self.joint.visible_bias[..., :n_images], self.joint.visible_bias[..., n_images:]
        (w_given, w_x), a = (parts, biases[1]) if images else (parts[::-1], biases[0])
        clamped = given @ w_given + self.joint.hidden_bias
        x = torch.sigmoid(a)
        for _ in range(self.steps):
            h = torch.sigmoid(clamped + x @ w_x)
            x = torch.sigmoid(h @ w_x.mT + a)
        return h, x


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
    tops = stacks.through(train)
    history = fit_rbm(
        network.joint,
        np.concatenate([tops.images, tops.texts], axis=1),
        ContrastiveDivergence(learning_rate, epochs, batch_size),
        seed=seed,
        purpose="joint RBM",
        device=device,
        progress=progress,
    )
    return network, {"joint_rbm": history["reconstruction_error"]}
