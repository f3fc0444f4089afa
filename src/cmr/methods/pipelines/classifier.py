"""Feed-forward classifier of one modality, whose last hidden layer goes on to the next stage.

Card: deep/06, `cmdn`. Rectified layers under a softmax are the authors'. They leave nothing out in training; dropout is
ours, without which the networks fit some hundred items by heart.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cmr.methods.base import History, Pairs
from cmr.methods.deep.layers import Dropout, Linear
from cmr.methods.deep.losses import label_cross_entropy
from cmr.methods.deep.network import Batch
from cmr.methods.pipelines.stages import Context, Descent, OneModality


class Classifier(OneModality):
    """(b, d) -> (b, c) probabilities of the classes.

    Parameters
    ----------
    widths : units of the hidden layers.
    dropout : share of each hidden layer's units that a training step leaves out.
    """

    def __init__(
        self, dimension: int, widths: Sequence[int], n_classes: int, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.dropout = dropout
        layers: list[nn.Module] = []
        for below, above in pairwise((dimension, *widths)):
            layers += [Linear(below, above, generator), nn.ReLU(), Dropout(dropout, generator)]
        self.hidden = nn.Sequential(*layers)
        self.output = Linear(widths[-1], n_classes, generator)

    @property
    def width(self) -> int:
        """Units of the last hidden layer."""
        return self.output.weight.shape[-2]

    def embed(self, x: Tensor) -> Tensor:
        return torch.softmax(self.output(self.hidden(x)), dim=-1)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return {"loss": label_cross_entropy(self.output(self.hidden(batch.images)), batch.labels)}

    def fit(self, train: Pairs, valid: Pairs | None, descent: Descent, purpose: str, context: Context) -> History:
        """Train in place on pairs made by `alone`, as a shared stage.

        The best epoch is that whose posteriors of the valid items rank these by each other with the highest mAP.
        Returns `loss`, the cross-entropy, and `valid_map`.
        """
        return descent.share(self, train, valid, {"loss": 1.0}, purpose, context, dropout=self.dropout)
