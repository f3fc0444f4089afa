"""Deep canonical correlation analysis (DCCA).

Source: Andrew, Arora, Bilmes & Livescu, Deep canonical correlation analysis, ICML 2013. Card: deep/04, `dcca`.

The objective is the paper's. Its networks have two or three layers of one to two thousand units with a cube-root-like
activation, are pretrained as denoising autoencoders and trained by L-BFGS on all pairs at once. From later public code
come sigmoid layers with batch normalisation instead of pretraining, gradient steps on large batches, and the linear CCA
of the outputs at the end. One hidden layer, its width, the ridge, Adam and early stopping are ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.methods.base import Pairs
from cmr.methods.deep.canonical import canonical_correlations, canonical_projections, require_large_batches
from cmr.methods.deep.encoders import encoder, parameter_groups
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import BatchNorm, Linear
from cmr.methods.deep.method import NetworkMethod
from cmr.methods.deep.network import Batch, TrainableSpace, outputs
from cmr.methods.deep.trainer import Schedule


@dataclass(frozen=True)
class DCCA(NetworkMethod):
    """Two networks whose outputs are as correlated as possible, and linear CCA of these outputs; uses no labels.

    Parameters
    ----------
    n_components : outputs of each network, o.
    image_widths, text_widths : hidden units, sigmoid layers with batch normalisation.
    ridge : r, added to the variances of the outputs, which are of the order of one at the start.
    learning_rate, weight_decay, epochs, patience : training, by Adam.
    batch_size : pairs a step, B; at least 10 o. A smaller batch at the end of an epoch is left out.
    """

    n_components: int = 16
    image_widths: tuple[int, ...] = (512,)
    text_widths: tuple[int, ...] = (512,)
    ridge: float = 1.0
    learning_rate: float = 0.003
    weight_decay: float = 0.0001
    epochs: int = 60
    batch_size: int = 500
    patience: int = 10

    name: ClassVar[str] = "dcca"

    def check(self, train: Pairs) -> None:
        """Enough pairs a batch for the correlations to mean something."""
        require_large_batches(self.name, self.n_components, self.batch_size, len(train))

    def build(self, inputs: Inputs, generator: torch.Generator) -> "DCCANetwork":
        """See NetworkMethod."""
        return DCCANetwork(self, inputs, generator)

    def prepare(self, network: "DCCANetwork", train: Pairs) -> None:
        """See NetworkMethod."""
        network.image_encoder.prepare(train.images)
        network.text_encoder.prepare(train.texts)

    def schedule(self) -> Schedule:
        """See NetworkMethod."""
        return Schedule(self.epochs, self.batch_size, self.patience, drop_last=True)

    def optimiser(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """See NetworkMethod."""
        groups = parameter_groups(parameters, self.learning_rate)
        return torch.optim.Adam(groups, weight_decay=self.weight_decay, fused=True)


class DCCANetwork(TrainableSpace):
    """f and g, and the canonical projections of their outputs on the train part, fitted anew after each epoch."""

    def __init__(self, method: DCCA, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__()
        o = method.n_components
        self.ridge = method.ridge
        self.image_encoder, self.text_encoder = (encoder(side, generator) for side in (inputs.images, inputs.texts))
        self.image_net = normalised_perceptron((self.image_encoder.width, *method.image_widths, o), generator)
        self.text_net = normalised_perceptron((self.text_encoder.width, *method.text_widths, o), generator)
        self.image_canonical, self.text_canonical = (Canonical(o, generator.device) for _ in range(2))

    def image_outputs(self, images: Tensor) -> Tensor:
        """f, (b, o)."""
        return self.image_net(self.image_encoder(images))

    def text_outputs(self, texts: Tensor) -> Tensor:
        """g, (b, o)."""
        return self.text_net(self.text_encoder(texts))

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_canonical(self.image_outputs(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_canonical(self.text_outputs(texts))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        x, y = self.image_outputs(batch.images), self.text_outputs(batch.texts)
        return {"loss": -canonical_correlations(x, y, self.ridge).sum(-1)}

    def end_epoch(self, train: Batch) -> None:
        x = outputs(self.image_outputs, train.images).double()
        y = outputs(self.text_outputs, train.texts).double()
        projections = canonical_projections(x, y, self.ridge)
        self.image_canonical.set(x.mean(0), projections.x)
        self.text_canonical.set(y.mean(0), projections.y)


class Canonical(nn.Module):
    """(b, o) outputs -> (b, o) canonical variates."""

    def __init__(self, o: int, device: torch.device) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(o, device=device))
        self.register_buffer("projection", torch.eye(o, device=device))

    def set(self, mean: Tensor, projection: Tensor) -> None:
        """Take over the mean of the train outputs (o,) and their projection (o, o)."""
        self.mean.copy_(mean)
        self.projection.copy_(projection)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) @ self.projection


def normalised_perceptron(widths: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Sigmoid layers, each with batch normalisation after it, and a linear layer at the end."""
    *hidden, outputs = widths
    layers: list[nn.Module] = []
    for before, after in pairwise(hidden):
        layers += [Linear(before, after, generator), nn.Sigmoid(), BatchNorm(after, generator.device)]
    return nn.Sequential(*layers, Linear(hidden[-1], outputs, generator))
