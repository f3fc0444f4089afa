"""Fixed convolutional networks as feature extractors.

Preprocessing of all: the shorter side is resized to 256 pixels, the central 224 x 224 pixels are kept, channels are
centred and scaled as in the network's own training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # what torch.load raises for a file that is none of its own

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms._presets import ImageClassification

from cmr.errors import UserError


@dataclass(frozen=True)
class Network:
    """An extractor: `module` maps preprocessed images (b, 3, 224, 224) float32 to features (b, dimension) float32."""

    module: nn.Module
    dimension: int
    preprocess: Callable[..., Tensor]  # PIL image -> (3, 224, 224)


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
EFFICIENTNET_LITE = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}  # (x - 127) / 128 on 0..255


def build_network(architecture: str, weights: Path) -> Network:
    """`architecture`: alexnet_fc7, vgg16_fc7, vgg19_fc7 (4096-d, after ReLU) or efficientnet_lite0 (1280-d, pooled).

    `weights` is the published state dict. Raises UserError when it does not fit or cannot be read.
    """
    if architecture == "efficientnet_lite0":
        network = EfficientNet.from_name("efficientnet-lite0")
        _load(network, weights)
        return Network(_Pooled(network).eval(), 1280, _preprocess(EFFICIENTNET_LITE))
    builders = {"alexnet_fc7": models.alexnet, "vgg16_fc7": models.vgg16, "vgg19_fc7": models.vgg19}
    if architecture not in builders:
        raise UserError(f'unknown network "{architecture}"; known are efficientnet_lite0, {", ".join(builders)}')
    network = builders[architecture]()
    _load(network, weights)
    # The last linear layer is fc8. What stands before it ends with fc7's ReLU (and VGG's dropout, idle in evaluation).
    network.classifier = network.classifier[:-1]
    return Network(network.eval(), 4096, _preprocess(IMAGENET))


class _Pooled(nn.Module):
    def __init__(self, network: EfficientNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.extract_features(x).mean(dim=(2, 3))


def _preprocess(normalisation: dict[str, tuple[float, ...]]) -> Callable[..., Tensor]:
    return ImageClassification(crop_size=224, resize_size=256, **normalisation)


def _load(network: nn.Module, weights: Path) -> None:
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise UserError(f"weights {weights} are damaged or no PyTorch state dict; delete the file's folder") from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"weights {weights} do not fit {type(network).__name__}: {error}") from error
