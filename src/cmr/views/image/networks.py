"""Fixed convolutional networks as feature extractors.

Preprocessing of all: the shorter side is resized to 256 pixels (bilinear, antialiased), the central 224 x 224 pixels
are kept, channels are centred and scaled as in the network's own training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # what torch.load raises for a file that is none of its own

import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL.Image import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize

from cmr.errors import UserError

PREPROCESS = Compose([Resize(256), CenterCrop(224), PILToTensor()])


@dataclass(frozen=True)
class Network:
    """An extractor.

    Attributes
    ----------
    module : (b, 3, 224, 224) uint8 -> features (b, dimension) float32.
    dimension : of the features.
    preprocess : PIL image in RGB -> (3, 224, 224) uint8.
    """

    module: nn.Module
    dimension: int
    preprocess: Callable[[Image], Tensor] = PREPROCESS


# Mean and standard deviation of each channel, of values from 0 to 255.
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
EFFICIENTNET_LITE = ((127.0,) * 3, (128.0,) * 3)


def build_network(architecture: str, weights: Path) -> Network:
    """`architecture`: alexnet_fc7, vgg16_fc7, vgg19_fc7 (4096-d, after ReLU) or efficientnet_lite0 (1280-d, pooled).

    `weights` is the published state dict. Raises UserError when it does not fit or cannot be read.
    """
    if architecture == "efficientnet_lite0":
        network = EfficientNet.from_name("efficientnet-lite0")
        _load(network, weights)
        return Network(nn.Sequential(_Normalise(*EFFICIENTNET_LITE), _Pooled(network)).eval(), 1280)
    builders = {"alexnet_fc7": models.alexnet, "vgg16_fc7": models.vgg16, "vgg19_fc7": models.vgg19}
    if architecture not in builders:
        raise UserError(f'unknown network "{architecture}"; known are efficientnet_lite0, {", ".join(builders)}')
    network = builders[architecture]()
    _load(network, weights)
    # The last linear layer is fc8. What stands before it ends with fc7's ReLU (and VGG's dropout, idle in evaluation).
    network.classifier = network.classifier[:-1]
    return Network(nn.Sequential(_Normalise(*IMAGENET), network).eval(), 4096)


class _Normalise(nn.Module):
    """Of whole batches, which is several times faster than image by image."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x.float().sub_(self.mean).div_(self.std)


class _Pooled(nn.Module):
    def __init__(self, network: EfficientNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.extract_features(x).mean(dim=(2, 3))


def _load(network: nn.Module, weights: Path) -> None:
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise UserError(f"weights {weights} are damaged or no PyTorch state dict; delete the file's folder") from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"weights {weights} do not fit {type(network).__name__}: {error}") from error
