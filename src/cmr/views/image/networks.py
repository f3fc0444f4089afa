"""A layer of a convolutional network as a view of images.

Preprocessing of all: the shorter side is resized (bilinear, antialiased), a square is cut out of the middle (or five
are, of the corners and the middle), channels are centred and scaled as in the network's own training.
"""

import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
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

from cmr.construct import VIEWS, load
from cmr.errors import UserError
from cmr.store import Kind
from cmr.views.base import ImageView

# What torch.load raises for files that are damaged or none of its own.
DAMAGED = (
    OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, UnpicklingError, struct.error,
    ArithmeticError, AssertionError, MemoryError, zipfile.BadZipFile,
)  # fmt: skip

RANDOM = "random"  # in the place of a file of weights
MOST_NAMED = 20  # tensors in a message

# Of each channel over ImageNet, for values from 0 to 255; torchvision's networks expect them.
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def efficientnet_lite0() -> nn.Module:
    """EfficientNet-Lite0, as any network that is not torchvision's: a function of no arguments, named in the config."""
    return EfficientNet.from_name("efficientnet-lite0")


def alexnet_two_groups() -> nn.Module:
    """AlexNet in two groups, as Krizhevsky, Sutskever & Hinton (2012) print it and Caffe's bvlc_alexnet has it.

    torchvision's AlexNet is another network (64-192-384-256-256 kernels, no groups, no normalisation of responses).
    Layers have Caffe's names. Maps before `pool5` are 13 x 13 for squares of 227 pixels, and 6 x 6 after; of squares of
    other sizes (224 gives 5 x 5) the last pool makes 6 x 6 too, so that fc6 always has its 9216 inputs.

    Weights are drawn after He et al. (2015), biases are 0: a start of ours, for learning without the published weights.
    """

    def convolution(name: str, into: int, out: int, size: int, **options: int) -> list[tuple[str, nn.Module]]:
        return [(f"conv{name}", nn.Conv2d(into, out, size, **options)), (f"relu{name}", nn.ReLU(inplace=True))]

    def normalised_and_pooled(name: str) -> list[tuple[str, nn.Module]]:
        return [(f"norm{name}", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)), (f"pool{name}", nn.MaxPool2d(3, 2))]

    def connected(name: str, into: int, out: int) -> list[tuple[str, nn.Module]]:
        layers = (nn.Linear(into, out), nn.ReLU(inplace=True), nn.Dropout(0.5))
        return [*zip((f"fc{name}", f"relu{name}", f"drop{name}"), layers, strict=True)]

    network = nn.Sequential(
        OrderedDict(
            [
                *convolution("1", 3, 96, 11, stride=4),
                *normalised_and_pooled("1"),
                *convolution("2", 96, 256, 5, padding=2, groups=2),
                *normalised_and_pooled("2"),
                *convolution("3", 256, 384, 3, padding=1),
                *convolution("4", 384, 384, 3, padding=1, groups=2),
                *convolution("5", 384, 256, 3, padding=1, groups=2),
                ("pool5", nn.MaxPool2d(3, 2)),
                ("six", nn.AdaptiveAvgPool2d(6)),
                ("flat", nn.Flatten()),
                *connected("6", 256 * 6 * 6, 4096),
                *connected("7", 4096, 4096),
                ("fc8", nn.Linear(4096, 1000)),
            ]
        )
    )
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        else:
            nn.init.zeros_(parameter)
    return network


@dataclass
class NetworkLayer(ImageView):
    """What one layer of a trained network says of an image.

    Parameters
    ----------
    architecture : a name of torchvision's (`alexnet`), or the dotted name of a function that returns a torch module.
    layer : a module of it by its path (`classifier.5`); the network is computed up to there.
    weights : state dictionary: a file of torch's, or the folder of the asset that it is; `random` for what the
        architecture draws at the start, the same every time.
    resize : pixels of the shorter side.
    crop : pixels of each side of the square that the network sees.
    crops : `centre`, or `five`: top left, top right, bottom left, bottom right, centre, a patch each.
    mean, std : of each channel in the network's own training, for values from 0 to 255.
    batch_size : images computed at once.
    maps : of a layer that gives maps, `averaged` over their positions or `flattened`, the positions of each map
        together.
    """

    architecture: str
    layer: str
    weights: Path | Literal["random"]
    resize: int = 256
    crop: int = 224
    crops: Literal["centre", "five"] = "centre"
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    batch_size: int = 16
    maps: Literal["averaged", "flattened"] = "averaged"

    uses_torch = True

    def __post_init__(self) -> None:
        if self.weights != RANDOM:
            self.weights = Path(self.weights)
        for name in ("resize", "crop", "batch_size"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise UserError(f"{name}: {getattr(self, name)!r} will not do, a whole number above 0 is needed")
        for name in ("mean", "std"):
            if len(getattr(self, name)) != 3:
                raise UserError(f"{name}: three numbers are needed, one a channel, not {getattr(self, name)!r}")
        if self.crops not in ("centre", "five"):
            raise UserError(f'crops: "{self.crops}" is unknown; give centre or five')
        if self.maps not in ("averaged", "flattened"):
            raise UserError(f'maps: "{self.maps}" is unknown; give averaged or flattened')
        if self.crop > self.resize:
            raise UserError(f"a crop of {self.crop} pixels does not fit into images resized to {self.resize}")

    @property
    def weights_file(self) -> Path:
        """The file of the weights."""
        from cmr.assets import single_file  # what fetches files, which networks out of a view's file do without

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
        if self.weights != RANDOM:
            load_weights(network, self.weights_file)
        return LayerOutput(network, self.layer, self.mean, self.std, self.maps).eval()

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
    """A network up to one of its layers: (b, 3, h, w), values from 0 to 255 -> (b, d).

    Maps are averaged over positions, or flattened.
    """

    def __init__(
        self, network: nn.Module, layer: str, mean: Sequence[float], std: Sequence[float], maps: str = "averaged"
    ) -> None:
        super().__init__()
        self.network = network
        self.layer, self.maps = layer, maps
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
            return output.flatten(1) if self.maps == "flattened" else output.mean(dim=(2, 3))
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
    """A network by its name of torchvision's, or the dotted name of a function.

    Its weights are random, the same at every call; torch's own random numbers are left alone.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        if "." in name:
            builder: Callable[[], nn.Module] = load(name, VIEWS)
            return builder()
        if name not in (known := models.list_models(module=models)):
            raise UserError(
                f'unknown network "{name}": give a name of torchvision ({", ".join(known)}) or the dotted name of a '
                "function that returns a torch module"
            )
        return models.get_model(name, weights=None)


def load_weights(network: nn.Module, weights: Path) -> None:
    """Fill a network from a file of torch's; raises UserError when it cannot be read or does not fit."""
    try:
        if zipfile.is_zipfile(weights):
            with zipfile.ZipFile(weights) as archive:
                members = sum(member.file_size for member in archive.infolist())
            if members > weights.stat().st_size:  # torch compresses nothing, but would unpack it
                raise ValueError(f"its members have {members} bytes, more than the file")
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        raise UserError(
            f"weights {weights} are damaged or no PyTorch state dict of tensors alone; delete the file's folder"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UserError(f"weights {weights} do not fit {type(network).__name__}: names with tensors are needed")
    if differences := _differences(state, network.state_dict()):
        more = f"; and {len(differences) - MOST_NAMED} more" if len(differences) > MOST_NAMED else ""
        raise UserError(
            f"weights {weights} do not fit {type(network).__name__}: {'; '.join(differences[:MOST_NAMED])}{more}"
        )
    network.load_state_dict(state)


def _fault(tensor: Tensor, expected: Tensor) -> str | None:
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_floating_point() != expected.is_floating_point():
        return (
            f"is {tensor.dtype}, {tensor.layout}, on {tensor.device}, where numbers like {expected.dtype} are expected"
        )
    return None if torch.isfinite(tensor).all() else "holds NaN or infinite numbers"


def _differences(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """What a state dictionary lacks, has in another shape or of another kind, or has too much."""
    return [
        *(f"{name} {tuple(own.shape)} is missing" for name, own in expected.items() if name not in state),
        *(
            f"{name} has the shape {tuple(state[name].shape)}, not {tuple(own.shape)}"
            for name, own in expected.items()
            if name in state and state[name].shape != own.shape
        ),
        *(
            f"{name} {fault}"
            for name, own in expected.items()
            if name in state and state[name].shape == own.shape and (fault := _fault(state[name], own))
        ),
        *(f"{name} is unknown" for name in state if name not in expected),
    ]
