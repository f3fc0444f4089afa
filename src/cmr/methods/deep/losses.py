"""Losses that several methods share. Dimensions count from the right: one value a network, see `layers`."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean over the rows of |x - y|^2."""
    return (x - y).square().sum(-1).mean(-1)


def label_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the rows of the softmax cross-entropy, a row's labels (b, c), multi-hot, having equal shares.

    A row without a label counts nothing.
    """
    shares = labels / labels.sum(-1, keepdim=True).clamp(min=1)
    return -(shares * log_softmax(logits, dim=-1)).sum(-1).mean(-1)


def share_a_label(labels: Tensor, others: Tensor | None = None) -> Tensor:
    """S, (b, b) float32: 1 where two rows of labels (b, c) share one; (b, n) with `others` (n, c)."""
    return (labels @ (labels if others is None else others).mT).clamp(max=1.0)


def pairwise_likelihood(theta: Tensor, similar: Tensor) -> Tensor:
    """Mean over all i and j of softplus(theta_ij) - S_ij theta_ij; `theta` and `similar` S are (b, m).

    That is -log P(S_ij) where P(S_ij = 1) is the logistic function of theta_ij.
    """
    return binary_cross_entropy_with_logits(theta, similar, reduction="none").mean((-2, -1))


def mean_row_norm(x: Tensor) -> Tensor:
    """Mean over the rows of |x|, not squared; its gradient at a row of zeros is zero, not undefined."""
    return (x.square().sum(-1) + 1e-12).sqrt().mean(-1)


def mean_frobenius_norm(x: Tensor) -> Tensor:
    """The Frobenius norm of x (b, d), not squared, over b; its gradient where x is zero is zero, not undefined."""
    return (x.square().sum((-2, -1)) + 1e-12).sqrt() / x.shape[-2]
