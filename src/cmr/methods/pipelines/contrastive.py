"""The last network of CCL: embeddings of both modalities that are near where classes agree, and tell classes apart.

Source: Peng, Qi, Huang & Yuan, TMM 2018. Card: deep/06, `ccl`.
"""

import torch
from torch import Tensor, nn

from cmr.methods.deep.layers import Linear, Standardise
from cmr.methods.deep.losses import label_cross_entropy, share_a_label
from cmr.methods.deep.network import Batch, TrainableSpace


class Pathway(nn.Module):
    """One modality: a sigmoid layer, and on it the branch of the embedding s and the branch of the classes.

    Parameters
    ----------
    dimension, width, n_components, n_classes : of inputs, shared layer, s and classes; the class branch has a linear
        layer of `width` units under its softmax.
    """

    def __init__(
        self, dimension: int, width: int, n_components: int, n_classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.scale = Standardise(dimension).to(generator.device)
        self.shared = Linear(dimension, width, generator)
        self.inter = Linear(width, n_components, generator)
        self.intra = nn.Sequential(Linear(width, width, generator), Linear(width, n_classes, generator))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(b, d) -> s (b, k) in (0, 1), and the scores of the classes (b, c)."""
        shared = torch.sigmoid(self.shared(self.scale(x)))
        return torch.sigmoid(self.inter(shared)), self.intra(shared)


class ContrastiveSpace(TrainableSpace):
    """Two pathways that meet in the loss alone.

    Losses: `contrastive`, see `contrastive_loss`; `label`, the cross-entropies of both modalities.
    """

    def __init__(self, images: Pathway, texts: Pathway, margin: float) -> None:
        super().__init__()
        self.images, self.texts, self.margin = images, texts, margin

    def embed_images(self, images: Tensor) -> Tensor:
        return self.images(images)[0]

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.texts(texts)[0]

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        (x, image_scores), (y, text_scores) = self.images(batch.images), self.texts(batch.texts)
        label = sum(label_cross_entropy(scores, batch.labels) for scores in (image_scores, text_scores))
        return {"contrastive": contrastive_loss(x, y, share_a_label(batch.labels), self.margin), "label": label}


def contrastive_loss(x: Tensor, y: Tensor, related: Tensor, margin: float) -> Tensor:
    """mean_ij [ S_ij |x_i - y_j|^2 + (1 - S_ij) max(0, m - |x_i - y_j|^2) ] over all b^2 pairs of an image and a text.

    `related` is S, (b, b).
    """
    # Differences before squares: coinciding points are at distance 0 exactly.
    distances = (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)
    return (related * distances + (1 - related) * torch.relu(margin - distances)).mean((-2, -1))
