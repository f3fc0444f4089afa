"""The first layer of a network on each modality: whatever kind of data comes in, vectors come out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cmr.methods.base import NotApplicableError
from cmr.methods.deep.inputs import Side
from cmr.methods.deep.layers import Standardise
from cmr.rows import MappedRows, Rows


class Encoder(nn.Module, ABC):
    """(b, ...) items of one kind -> (b, width).

    Attributes
    ----------
    width : of the vectors.
    together : see `TrainableSpace`.

    What others have trained lies in a submodule or parameter named `pretrained`, see `parameter_groups`.
    """

    width: int
    together: ClassVar[bool] = True

    def prepare(self, x: Rows) -> None:
        """Take what it needs of the training items, such as their statistics."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """See the class."""

    def compared(self, x: Tensor, encoded: Tensor) -> Tensor:
        """(b, d) by which items are near or far before anything is learnt: raw vectors, else a constant of `encoded`.

        `encoded` is what `forward` made of x.
        """
        return encoded.detach()


class Vectors(Encoder):
    """z-scores, cut at five standard deviations."""

    def __init__(self, side: Side, generator: torch.Generator) -> None:
        super().__init__()
        self.width = side.dimension
        self.scale = Standardise(self.width).to(generator.device)

    def prepare(self, x: Rows) -> None:
        self.scale.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale(x)

    def compared(self, x: Tensor, encoded: Tensor) -> Tensor:
        return x


class Pixels(Encoder):
    """A convolutional network up to one of its layers, see `cmr.views.image.pixels`.

    It is named `pretrained`, or, where its weights are random, `untrained`, so that these learn at the full rate.

    It sees a square of each image: in training a random one, half of the time mirrored, else the centre. What the
    network itself does at random, such as dropout, draws from the same source.

    A pretrained network keeps the statistics of its batch normalisation: those of some small batches are far from those
    over all items, with which it embeds.

    Several seeds are not trained in one go: convolutions have no common form for them, and one fills a machine.
    """

    together = False

    def __init__(self, side: Side, generator: torch.Generator) -> None:
        super().__init__()
        from cmr.views.image.pixels import first_network  # torchvision, which other data do without

        self.generator = generator
        first = first_network(side.arrays)
        self.crop, self._name = first.crop, "pretrained" if first.trained else "untrained"
        self.add_module(self._name, first.layers.to(generator.device))
        self.width = self._width()
        # Generators are nothing that torch.compile could follow; the layers after this one are compiled. Not a
        # decorator: that would load the compiler, which takes longer than many a training, for all networks.
        self.forward = torch.compiler.disable(self.forward)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            height, width = x.shape[1:3]
            y, z = (height - self.crop) // 2, (width - self.crop) // 2
            return self._network(x[:, y : y + self.crop, z : z + self.crop])
        squares = random_squares(x, self.crop, self.generator)
        with drawing_from(self.generator):
            return self._network(squares)

    def train(self, mode: bool = True) -> Self:
        """See nn.Module."""
        super().train(mode)
        if self._name == "pretrained":
            for layer in self.layers.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()
        return self

    def _network(self, squares: Tensor) -> Tensor:
        # Under autocast a network gives half precision; what follows is to decide for itself.
        return self.layers(squares.permute(0, 3, 1, 2)).float()

    @property
    def layers(self) -> nn.Module:
        """The network."""
        return getattr(self, self._name)

    def _width(self) -> int:
        blank = torch.zeros(1, self.crop, self.crop, 3, dtype=torch.uint8, device=self.generator.device)
        self.eval()
        with torch.no_grad():
            width = self._network(blank).shape[1]
        self.train()
        return width


class Tokens(Encoder):
    """The mean of the vectors of a text's words, z-scored; zeros for a text without words.

    The vectors begin as the view's, and are trained. The z-scores' statistics are those of the vectors at the start.
    """

    def __init__(self, side: Side, generator: torch.Generator) -> None:
        super().__init__()
        self.pretrained = word_vectors(side, generator)
        self.width = self.pretrained.shape[1]
        self.scale = Standardise(self.width).to(generator.device)

    def prepare(self, x: Rows) -> None:
        vectors = self.pretrained.detach().double().cpu()

        def means(numbers: NDArray[np.int32]) -> NDArray[np.float64]:
            # A block holds many times as many numbers once each word is its vector.
            return torch.cat([mean_vector(vectors, own) for own in torch.from_numpy(numbers).split(1024)]).numpy()

        self.scale.fit(MappedRows(x, means, self.width))

    def forward(self, x: Tensor) -> Tensor:
        present = (x > 0).any(-1, keepdim=True)
        return self.scale(mean_vector(self.pretrained, x)) * present


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """What draws from torch's own source on the generator's device draws from the generator.

    States of generators lie on the host, a GPU's too: a seed that is drawn there would have to be waited for.
    """
    device = generator.device
    if device.type == "cuda":
        own = torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    else:
        own = torch.default_generator
    before = own.get_state()
    own.set_state(generator.get_state())
    try:
        yield
        generator.set_state(own.get_state())
    finally:
        own.set_state(before)


def word_vectors(side: Side, generator: torch.Generator) -> nn.Parameter:
    """Those of the view, (V, d), on the generator's device; raises NotApplicableError where it has none."""
    if "word_vectors" not in side.arrays:
        raise NotApplicableError("networks take token sequences with a matrix of word vectors, but this view has none")
    return nn.Parameter(torch.tensor(side.arrays["word_vectors"], dtype=torch.float32, device=generator.device))


def random_squares(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """(b, height, width, 3) -> (b, size, size, 3): one of each image, where chance will, and by chance mirrored."""
    b, height, width = images.shape[:3]

    def drawn(below: int) -> Tensor:
        return torch.randint(below, (b, 1), generator=generator, device=images.device)

    steps = torch.arange(size, device=images.device)
    rows = drawn(height - size + 1) + steps
    columns = drawn(width - size + 1) + torch.where(drawn(2) == 1, size - 1 - steps, steps)
    return images[torch.arange(b, device=images.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def mean_vector(vectors: Tensor, numbers: Tensor) -> Tensor:
    """(V, d) and (b, l) -> (b, d): the mean over the words of a text; its other numbers are 0 or below.

    With matrices of s networks, (s, V, d) and (s, b, l) -> (s, b, d).
    """
    present, numbers = numbers > 0, numbers.clamp(min=0).long()
    if vectors.dim() == 3:
        first = torch.arange(len(vectors), device=vectors.device) * vectors.shape[1]
        numbers = numbers + first[:, None, None]
    words = nn.functional.embedding(numbers, vectors.flatten(end_dim=-2))
    counts = present.sum(-1, keepdim=True).clamp(min=1)
    return (words * present.unsqueeze(-1)).sum(-2) / counts


ENCODERS: dict[str, type[Encoder]] = {"vectors": Vectors, "pixels": Pixels, "tokens": Tokens}


def encoder(side: Side, generator: torch.Generator) -> Encoder:
    """The encoder of a kind of data, on the generator's device; raises NotApplicableError where there is none."""
    if side.kind not in ENCODERS:
        raise NotApplicableError(f"networks take {', '.join(ENCODERS)}, but this view holds {side.kind}")
    return ENCODERS[side.kind](side, generator)


def parameter_groups(
    parameters: Mapping[str, Tensor], learning_rate: float, pretrained: float = 0.1
) -> list[dict[str, Any]]:
    """Groups for an optimiser of torch's: what others have trained learns at `pretrained` times the learning rate.

    `parameters` by name; pretrained is what lies in a module, or is a parameter, of the name `pretrained`.
    """
    groups: dict[float, list[Tensor]] = {}
    for name, parameter in parameters.items():
        factor = pretrained if "pretrained" in name.split(".") else 1.0
        groups.setdefault(learning_rate * factor, []).append(parameter)
    return [{"params": own, "lr": rate} for rate, own in groups.items()]
