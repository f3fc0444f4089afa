"""The pixels of images, for networks that learn from them, with the network that these begin with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from cmr.store import group, under
from cmr.views.base import ImageView, State

if TYPE_CHECKING:
    from cmr.views.image.networks import LayerOutput


@dataclass
class Pixels(ImageView):
    """Whole images at one size, whatever their proportions (bilinear, antialiased).

    Parameters
    ----------
    architecture, layer, weights, mean, std, maps : of the network, see `NetworkLayer`.
    size : pixels of each side.
    crop : pixels of each side of the square that the network sees.
    batch_size : images computed at once.
    """

    architecture: str
    layer: str
    weights: Path | Literal["random"]
    mean: Sequence[float]
    std: Sequence[float]
    size: int = 256
    crop: int = 224
    batch_size: int = 64
    maps: Literal["averaged", "flattened"] = "averaged"

    kind = "pixels"

    def features(self, images: Sequence[Image]) -> NDArray[np.uint8]:
        """(b, size, size, 3)."""
        return np.stack([np.asarray(image.resize((self.size, self.size), Resampling.BILINEAR)) for image in images])

    def arrays(self) -> State:
        """What `first_network` needs: `pretrained` (1,), how to build it, and `network/...`, its weights.

        Raises UserError where an option is faulty or the weights do not fit.
        """
        # Imports torch, which the processes that resize images do without.
        from cmr.checkpoint import to_arrays
        from cmr.views.image.networks import RANDOM, NetworkLayer

        options = {"architecture": self.architecture, "layer": self.layer, "crop": self.crop, "maps": self.maps}
        options |= {"mean": [*self.mean], "std": [*self.std]}
        network = NetworkLayer(**options, weights=self.weights, resize=self.size).build().network
        options["trained"] = self.weights != RANDOM
        return {"pretrained": np.array([json.dumps(options)])} | under("network", to_arrays(network.state_dict()))


@dataclass(frozen=True)
class FirstNetwork:
    """The network that learning from pixels begins with.

    Attributes
    ----------
    layers : up to the layer of the view; its parameters may be trained.
    crop : side of the square that it sees.
    trained : its weights are not random.
    """

    layers: "LayerOutput"
    crop: int
    trained: bool


def first_network(arrays: Mapping[str, NDArray]) -> FirstNetwork:
    """The network with the weights that `Pixels.arrays` gave."""
    from cmr.checkpoint import to_tensors
    from cmr.views.image.networks import LayerOutput, architecture

    (description,) = arrays["pretrained"]
    options = json.loads(description)
    crop, trained = options.pop("crop"), options.pop("trained")
    network = architecture(options.pop("architecture"))
    network.load_state_dict(to_tensors(group(arrays, "network")))
    return FirstNetwork(LayerOutput(network, **options), crop, trained)
