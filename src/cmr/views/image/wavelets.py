"""Wavelet texture of NUS-WIDE: energies of sub-bands of a pyramid and of a tree of wavelets."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pywt
from numpy.typing import NDArray
from PIL.Image import Image

from cmr.views.image.handcrafted import Handcrafted, shrink

LEVELS = 3
WAVELET = "db8"  # Daubechies' orthogonal filters of 16 taps
# How many of a band's four sub-bands (low, level, upright, diagonal) are decomposed further.
PYRAMID, TREE = 1, 3


@dataclass(frozen=True)
class WaveletTexture(Handcrafted):
    """128 values: mean and standard deviation of the magnitude of the coefficients in 12 + 52 sub-bands.

    NUS-WIDE (Chua et al., CIVR 2009) has 128 in all, of a pyramid-structured and a tree-structured transform (Chang &
    Kuo, TIP 1993; Manjunath & Ma, PAMI 1996), and does not list the bands. Here they are 24 + 104, which one rule
    gives: three levels, a tree without pruning, and all four sub-bands of each decomposed band count. The
    pyramid decomposes the low-pass band only: 4 + 4 + 4 = 12. The tree decomposes all bands but the diagonal ones, in
    which there is little but noise: 4 + 12 + 36 = 52. The pyramid's bands are thus among the tree's, too.

    Of the grey image, values from 0 to 1, with mirrored borders. Order: level by level, parent by parent, sub-bands
    low, level (horizontal detail), upright, diagonal; of each the mean, then the standard deviation.

    Parameters
    ----------
    longest : pixels; a larger image is shrunk to it.
    """

    longest: int = 256

    def describe(self, image: Image) -> NDArray[np.float32]:
        """(128,): 24 of the pyramid, 104 of the tree; at least 0."""
        grey = cv2.cvtColor(np.asarray(shrink(image, self.longest)), cv2.COLOR_RGB2GRAY) / np.float32(255)
        bands = [*sub_bands(grey, PYRAMID), *sub_bands(grey, TREE)]
        magnitudes = map(np.abs, bands)
        return np.array([(band.mean(), band.std()) for band in magnitudes], dtype=np.float32).ravel()


def sub_bands(grey: NDArray[np.float32], decomposed: int) -> Iterator[NDArray[np.float32]]:
    """Every sub-band of three levels of wavelets; the first `decomposed` of each four are decomposed further."""
    parents = [grey]
    for _ in range(LEVELS):
        families = []
        for parent in parents:
            low, details = pywt.dwt2(parent, WAVELET, mode="symmetric")
            families.append([low, *details])
        for family in families:
            yield from family
        parents = [band for family in families for band in family[:decomposed]]
