"""A layer of a convolutional network as a view of images.

Preprocessing of all: the shorter side is resized (bilinear, antialiased), a square is cut out of the middle (or five
are, of the corners and the middle), channels are centred and scaled as in the network's own training.
"""

import struct
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal, Self

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import CenterCrop, Compose, FiveCrop, PILToTensor, Resize
from torchvision.transforms.functional import pil_to_tensor

from cmr.assets import single_file
from cmr.construct import load
from cmr.errors import UserError
from cmr.store import Kind
from cmr.views.base import ImageView

# What torch.load raises for files that are damaged or none of its own.
DAMAGED = (
    OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, UnpicklingError, struct.error,
)  # fmt: skip

# Of each channel over ImageNet, for values from 0 to 255; torchvision's networks expect them.
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def efficientnet_lite0() -> nn.Module:
    """EfficientNet-Lite0, as any network that is not torchvision's: a function of no arguments, named in the config."""
    return EfficientNet.from_name("efficientnet-lite0")


@dataclass
class NetworkLayer(ImageView):
    """What one layer of a trained network says of an image; maps are averaged over their positions.

    Parameters
    ----------
    architecture : a name of torchvision's (`alexnet`), or the dotted name of a function that returns a torch module.
    layer : a module of it by its path (`classifier.5`); the network is computed up to there.
    weights : state dictionary: a file of torch's, or the folder of the asset that it is.
    resize : pixels of the shorter side.
    crop : pixels of each side of the square that the network sees.
    crops : `centre`, or `five`: top left, top right, bottom left, bottom right, centre, a patch each.
    mean, std : of each channel in the network's own training, for values from 0 to 255.
    batch_size : images computed at once.
    """

    architecture: str
    layer: str
    weights: Path
    resize: int = 256
    crop: int = 224
    crops: Literal["centre", "five"] = "centre"
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    batch_size: int = 16

    uses_torch = True

    def __post_init__(self) -> None:
        self.weights = Path(self.weights)
        for name in ("resize", "crop", "batch_size"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise UserError(f"{name}: {getattr(self, name)!r} will not do, a whole number above 0 is needed")
        for name in ("mean", "std"):
            if len(getattr(self, name)) != 3:
                raise UserError(f"{name}: three numbers are needed, one a channel, not {getattr(self, name)!r}")
        if self.crops not in ("centre", "five"):
            raise UserError(f'crops: "{self.crops}" is unknown; give centre or five')
        if self.crop > self.resize:
            raise UserError(f"a crop of {self.crop} pixels does not fit into images resized to {self.resize}")

    @property
    def weights_file(self) -> Path:
        """The file of the weights."""
        return single_file(self.weights) if self.weights.is_dir() else self.weights

    @property
    def kind(self) -> Kind:
        """One vector an image, or one of each patch."""
        return "patches" if self.crops == "five" else "vectors"

    def place(self, device: str | torch.device = "cpu", mixed_precision: bool = False) -> Self:
        """Read the weights, once; compute on `device`, in half precision where `torch.autocast` finds it safe."""
        if not hasattr(self, "_network"):
            self._network = self.build()
        self._device, self._mixed_precision = torch.device(device), mixed_precision
        self._network.to(self._device, memory_format=torch.channels_last)
        return self

    def build(self) -> "LayerOutput":
        """The network with its weights, in evaluation mode on the CPU; raises UserError where they do not fit."""
        network = architecture(self.architecture)
        load_weights(network, self.weights_file)
        return LayerOutput(network, self.layer, self.mean, self.std).eval()

    def prepare(self, image: Image) -> Tensor:
        """(p, 3, crop, crop) uint8 of an image in RGB: one patch, or five."""
        if self.crops == "five":
            return torch.stack([pil_to_tensor(patch) for patch in FiveCrop(self.crop)(Resize(self.resize)(image))])
        return Compose([Resize(self.resize), CenterCrop(self.crop), PILToTensor()])(image)[None]

    def features(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(b, d) or (b, 5, d)."""
        if not hasattr(self, "_network"):
            self.place()
        patches = torch.cat([self.prepare(image) for image in images])
        with torch.inference_mode(), self._precision():
            output = self._network(patches.to(self._device, memory_format=torch.channels_last))
        values = output.float().cpu().numpy()
        return values.reshape(len(images), -1, values.shape[1]) if self.kind == "patches" else values

    def _precision(self) -> AbstractContextManager:
        if not self._mixed_precision:
            return nullcontext()
        return torch.autocast(self._device.type, torch.float16 if self._device.type == "cuda" else torch.bfloat16)


class LayerOutput(nn.Module):
    """A network up to one of its layers: (b, 3, h, w), values from 0 to 255 -> (b, d), maps averaged over positions."""

    def __init__(self, network: nn.Module, layer: str, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.layer = layer
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        modules = dict(network.named_modules())
        if not layer or layer not in modules:
            raise UserError(
                f'{type(network).__name__} has no layer "{layer}"; it has {", ".join(filter(None, modules))}'
            )
        modules[layer].register_forward_hook(_stop)

    def forward(self, x: Tensor) -> Tensor:
        # Whole batches are normalised, which is several times faster than image by image.
        x = x.float().sub_(self.mean).div_(self.std)
        try:
            self.network(x)
        except _Reached as reached:
            output = reached.args[0]
        else:
            raise UserError(f'{type(self.network).__name__} does not use its layer "{self.layer}"')
        if output.dim() == 4:
            return output.mean(dim=(2, 3))
        if output.dim() != 2:
            raise UserError(
                f'layer "{self.layer}" gives {output.dim()} dimensions; choose one that gives vectors or maps'
            )
        return output


class _Reached(Exception):
    """Ends a forward pass at the wanted layer: what follows costs time, and may change its output in place."""


def _stop(module: nn.Module, arguments: tuple, output: Tensor) -> None:
    raise _Reached(output)


def architecture(name: str) -> nn.Module:
    """A network by its name of torchvision's, or the dotted name of a function; its weights are random."""
    if "." in name:
        builder: Callable[[], nn.Module] = load(name)
        return builder()
    if name not in models.list_models(module=models):
        raise UserError(
            f'unknown network "{name}": give a name of torchvision ({", ".join(models.list_models(module=models))}) or '
            "the dotted name of a function that returns a torch module"
        )
    return models.get_model(name, weights=None)


def load_weights(network: nn.Module, weights: Path) -> None:
    """Fill a network from a file of torch's; raises UserError when it cannot be read or does not fit."""
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        raise UserError(f"weights {weights} are damaged or no PyTorch state dict; delete the file's folder") from error
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"weights {weights} do not fit {type(network).__name__}: {error}") from error
