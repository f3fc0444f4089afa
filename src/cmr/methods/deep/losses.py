"""Losses that several methods share. Dimensions count from the right: one value a network, see `layers`."""

from torch import Tensor
from torch.nn.functional import log_softmax


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean over the rows of |x - y|^2."""
    return (x - y).square().sum(-1).mean(-1)


def label_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the rows of the softmax cross-entropy, a row's labels (b, c), multi-hot, having equal shares.

    A row without a label counts nothing.
    """
    shares = labels / labels.sum(-1, keepdim=True).clamp(min=1)
    return -(shares * log_softmax(logits, dim=-1)).sum(-1).mean(-1)


def share_a_label(labels: Tensor) -> Tensor:
    """S, (b, b) float32: 1 where two rows of labels (b, c) share one."""
    return (labels @ labels.mT).clamp(max=1.0)
