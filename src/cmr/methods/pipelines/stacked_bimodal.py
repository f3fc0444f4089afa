"""Bimodal autoencoders on top of each other: the last stage of CMDN and HRL.

Card: deep/06, `cmdn`, step 3. Each is the autoencoder of Ngiam et al. (`cmr.methods.deep.bimodal_ae`) with a softmax on
its joint layer, the code of one modality going on to the next; each has half the units of the one below, as published.
The authors' released run ends with the fourth; here the valid part chooses how many there are.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cmr.methods.base import History, Pairs
from cmr.methods.deep.bimodal_ae import BimodalAutoencoder
from cmr.methods.deep.network import CommonSpace
from cmr.methods.pipelines.scaling import MinMax, StandardisedSpace
from cmr.methods.pipelines.stages import Context, Descent, embedded


def halved(width: int, times: int) -> tuple[int, ...]:
    """`width` and so on, each half of the one before, `times` at most, as long as two units are left."""
    widths = tuple(width // 2**level for level in range(times))
    return tuple(own for own in widths if own >= 2) or widths[:1]


class BimodalStack(CommonSpace):
    """(b, d) of either modality -> (b, k) z-scored codes of the autoencoder that was chosen.

    Parameters
    ----------
    dimensions : d of images and of texts.
    widths : units of the joint layers, from below.
    n_classes : of the softmax on each.
    """

    def __init__(
        self, dimensions: tuple[int, int], widths: Sequence[int], n_classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        device = generator.device
        self.image_scale, self.text_scale = (MinMax(dimension, device) for dimension in dimensions)
        inputs = [dimensions, *((width, width) for width in widths[:-1])]
        self.levels = nn.ModuleList(
            StandardisedSpace(BimodalAutoencoder(*below, width, generator, n_classes), width, device)
            for below, width in zip(inputs, widths, strict=True)
        )
        self.register_buffer("depth", torch.tensor(len(widths), device=device))

    def embed_images(self, images: Tensor) -> Tensor:
        below, top = self.chosen
        code = self.image_scale(images)
        for level in below:
            code = level.space.embed_images(code)
        return top.embed_images(code)

    def embed_texts(self, texts: Tensor) -> Tensor:
        below, top = self.chosen
        code = self.text_scale(texts)
        for level in below:
            code = level.space.embed_texts(code)
        return top.embed_texts(code)

    @property
    def chosen(self) -> tuple[nn.ModuleList, StandardisedSpace]:
        """The levels under the one whose codes are the result, and that one."""
        depth = int(self.depth)
        return self.levels[: depth - 1], self.levels[depth - 1]

    def fit(
        self, train: Pairs, valid: Pairs | None, weights: Mapping[str, float], descent: Descent, context: Context
    ) -> History:
        """Train in place, each level on the codes of the one below and as a shared stage; choose how many to keep.

        `weights` are those of `reconstruction` and `label`. Chosen is the number of levels with the best valid mAP, the
        smaller of equals; without a valid part all stay. Returns the history of the last one kept, `reconstruction`,
        `label`, `loss` and `valid_map`, and `depth_valid_map`, one value a level.
        """
        self.image_scale.fit(torch.from_numpy(train.images))
        self.text_scale.fit(torch.from_numpy(train.texts))
        parts = [embedded(self, self.image_scale, self.text_scale, part) for part in (train, valid)]
        histories: list[History] = []
        for number, level in enumerate(self.levels, start=1):
            histories.append(descent.share(level, *parts, weights, f"bimodal autoencoder {number}", context))
            code = level.space
            parts = [embedded(level, code.embed_images, code.embed_texts, part) for part in parts]
        if valid is None:
            return histories[-1]
        scores = [max(history["valid_map"]) for history in histories]
        depth = 1 + scores.index(max(scores))
        self.depth.fill_(depth)
        return histories[depth - 1] | {"depth_valid_map": scores}
