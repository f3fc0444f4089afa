"""Autoencoder of one modality: the first stage of CMDN, and what its authors call intra-modal separate representation.

Card: deep/06, `cmdn`. Rectified hidden units, sigmoid outputs and the training of the first layer before both together
are the authors'; Adam in place of their gradient descent, and biases that start where half of the items make a unit
active, are ours: the inputs are positive, so that many units would otherwise be zero for all items, and stay so.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cmr.methods.base import Array, History
from cmr.methods.deep.layers import Linear
from cmr.methods.deep.losses import squared_distance
from cmr.methods.deep.network import Batch, as_tensor
from cmr.methods.pipelines.scaling import MinMax
from cmr.methods.pipelines.stages import Context, Descent, OneModality, alone


class IntraModalAutoencoder(nn.Module):
    """(b, d) raw features -> (b, k) code in [0, 1]: the last hidden layer, scaled by its range over the train part.

    Parameters
    ----------
    widths : units of the hidden layers up to the code.
    """

    def __init__(self, dimension: int, widths: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        layers = list(pairwise((dimension, *widths)))
        self.scale = MinMax(dimension, generator.device)
        self.encoders = nn.ModuleList(Linear(below, above, generator) for below, above in layers)
        self.decoders = nn.ModuleList(Linear(above, below, generator) for below, above in layers)
        self.code_scale = MinMax(1, generator.device)

    @property
    def width(self) -> int:
        """k."""
        return self.encoders[-1].weight.shape[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.code_scale(self.encode(self.scale(x), len(self.encoders)))

    def encode(self, x: Tensor, depth: int) -> Tensor:
        """(b, d) in [0, 1] -> hidden layer number `depth`."""
        for encoder in self.encoders[:depth]:
            x = torch.relu(encoder(x))
        return x

    def decode(self, code: Tensor, depth: int) -> Tensor:
        """The way back to (b, d) in [0, 1]."""
        for decoder in reversed(self.decoders[1:depth]):
            code = torch.relu(decoder(code))
        return torch.sigmoid(self.decoders[0](code))

    def fit(self, x: Array, descent: Descent, purpose: str, context: Context) -> History:
        """Train in place on x (n, d) as a shared stage: the first layer, then two, and so on to all of them.

        Returns `reconstruction_1` and so on: mean squared distance between the scaled features and what is made of
        their code.
        """

        def fit() -> History:
            scaled = self.scale.fit(as_tensor(x))
            unlabelled = alone(scaled.cpu().numpy(), torch.zeros(len(x), 0, dtype=torch.bool).numpy())
            history: History = {}
            for depth in range(1, len(self.encoders) + 1):
                self.centre(depth, scaled)
                stage = f"{purpose}, {depth} layers"
                training = descent.train(Reconstruction(self, depth), unlabelled, None, {"loss": 1.0}, stage, context)
                history[f"reconstruction_{depth}"] = training["loss"]
            with torch.no_grad():
                self.code_scale.fit(self.encode(scaled, len(self.encoders)))
            return history

        return context.share(self, fit, purpose, x=x, descent=vars(descent))

    @torch.no_grad()
    def centre(self, depth: int, scaled: Tensor) -> None:
        """Let the units of layer number `depth` start at 0 on average; one below 0 for all items would stay dead."""
        layer = self.encoders[depth - 1]
        layer.bias.copy_(-(self.encode(scaled, depth - 1) @ layer.weight).mean(0))


class Reconstruction(OneModality):
    """The lower `depth` layers of an autoencoder, in training on scaled features."""

    def __init__(self, autoencoder: IntraModalAutoencoder, depth: int) -> None:
        super().__init__()
        self.autoencoder, self.depth = autoencoder, depth

    def embed(self, x: Tensor) -> Tensor:
        return self.autoencoder.encode(x, self.depth)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        again = self.autoencoder.decode(self.embed(batch.images), self.depth)
        return {"loss": squared_distance(again, batch.images)}
