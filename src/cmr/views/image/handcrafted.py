"""Features that are computed by hand-written formulas, image by image."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from cmr.views.base import ImageView


class Handcrafted(ImageView):
    """A view whose features of an image depend on that image alone, to the bit."""

    def features(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(b, d) of b images in RGB, of any sizes."""
        return np.stack([self.describe(image) for image in images]).astype(np.float32)

    @abstractmethod
    def describe(self, image: Image) -> NDArray[np.floating]:
        """(d,) of one image in RGB."""


def shrink(image: Image, longest: int) -> Image:
    """The image with its longer side at most `longest` pixels, in its own proportions; a smaller one as it is."""
    if max(image.size) <= longest:
        return image
    scale = longest / max(image.size)
    return image.resize([max(1, round(side * scale)) for side in image.size], Resampling.BILINEAR)
