"""Colour features of NUS-WIDE (Chua et al., CIVR 2009): histogram, auto-correlogram, block-wise moments.

The paper names colour spaces and dimensions; what it leaves open is said with each feature. All images are sRGB; LAB is
CIE 1976 L*a*b* under D65: L from 0 to 100, a and b within -108 and 99 (what sRGB reaches).
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from cmr.views.image.handcrafted import Handcrafted, shrink

HUE_EDGES = (22, 45, 70, 155, 186, 278, 330)  # degrees; red lies across 0
DISTANCES = (1, 3, 5, 7)  # pixels


def lab(image: Image) -> NDArray[np.float32]:
    """(h, w, 3) L, a, b."""
    # From linear light OpenCV computes LAB by its formula; from sRGB it would interpolate in a table, off by up to 0.3.
    return cv2.cvtColor(cv2.LUT(np.asarray(image), _linear_light()), cv2.COLOR_LRGB2LAB)


def hsv(image: Image) -> NDArray[np.float32]:
    """(h, w, 3) hue in degrees from 0 to below 360 (0 for greys), saturation and value from 0 to 1."""
    return cv2.cvtColor(np.asarray(image, dtype=np.float32) / np.float32(255), cv2.COLOR_RGB2HSV)


@cache
def _linear_light() -> NDArray[np.float32]:
    """(256,) from 0 to 1 of the levels of sRGB (IEC 61966-2-1)."""
    levels = np.arange(256) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass(frozen=True)
class LabHistogram(Handcrafted):
    """64 proportions: colours in 4 x 4 x 4 equal bins of L (0 to 100), a and b (-128 to 127); b varies fastest.

    The ranges are those of LAB in 8 bits. No bin ends at a = b = 0, so that rounding does not scatter greys.

    Parameters
    ----------
    longest : pixels; a larger image is shrunk to it.
    """

    longest: int = 256

    def describe(self, image: Image) -> NDArray[np.float32]:
        """(64,), sums to 1."""
        values = lab(shrink(image, self.longest)).reshape(-1, 3)
        bins = np.clip((values - (0, -128, -128)) * (4 / np.array([100, 255, 255])), 0, 3).astype(np.intp)
        return (np.bincount(bins @ (16, 4, 1), minlength=64) / len(bins)).astype(np.float32)


@dataclass(frozen=True)
class HsvCorrelogram(Handcrafted):
    """144 probabilities: 36 colours, and for each the 4 distances 1, 3, 5, 7.

    The probability that a pixel at this distance (the larger of the differences in x and in y) from a pixel of the
    colour has the same colour (Huang et al., CVPR 1997). Only pixels inside the image count, so that an image of one
    colour has 1 at each distance; a colour that is absent, or has no pixel at the distance, has 0.

    The colours: black where value < 0.2; else, where saturation < 0.2, six greys in steps of 0.1 and white from
    value 0.8; else seven hues, parted at 22, 45, 70, 155, 186, 278 and 330 degrees, each with two saturations (parted
    at 0.65) and two values (parted at 0.7). This partition into 36 is a usual one (Zhang, Lin & Zhang, TENCON 1999);
    NUS-WIDE does not say which it takes.

    Parameters
    ----------
    longest : pixels; a larger image is shrunk to it. Distances count its pixels.
    """

    longest: int = 256

    def describe(self, image: Image) -> NDArray[np.float32]:
        """(144,), each from 0 to 1."""
        colours = quantise_hsv(hsv(shrink(image, self.longest)))
        return auto_correlogram(colours, 36, DISTANCES).astype(np.float32).ravel()


def quantise_hsv(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(h, w) of (h, w, 3): 0 black, 1-6 greys, 7 white, then 8 + 4 * hue + 2 * saturation + value."""
    hue, saturation, value = np.moveaxis(values, -1, 0)
    hues = np.digitize(hue, HUE_EDGES) % 7
    colours = 8 + 4 * hues + 2 * (saturation > 0.65) + (value > 0.7)
    greys = np.digitize(value, (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8))
    return np.where((saturation < 0.2) | (value < 0.2), greys, colours).astype(np.uint8)


def auto_correlogram(labels: NDArray[np.uint8], colours: int, distances: tuple[int, ...]) -> NDArray[np.float64]:
    """(colours, distances) probabilities, of labels (h, w) below `colours`."""
    flat = labels.ravel()
    columns = []
    for distance in distances:
        equal = np.zeros(labels.shape, dtype=np.uint8)
        for y, x in _half_ring(distance):
            here, there = _overlap(labels, y, x)
            equal[: len(here), max(0, -x) : max(0, -x) + here.shape[1]] += here == there
        # Each pair was seen from one of its two pixels, which have the same colour.
        same = 2 * np.bincount(flat, equal.ravel(), colours)
        neighbours = np.bincount(flat, _ring_sizes(labels.shape, distance).ravel(), colours)
        columns.append(same / np.maximum(neighbours, 1))
    return np.stack(columns, axis=1)


def _half_ring(distance: int) -> list[tuple[int, int]]:
    """One of each two opposite steps (y, x) to pixels at this distance; y is never negative."""
    side = [(y, x) for y in range(1, distance) for x in (-distance, distance)]
    return [*side, (0, distance), *((distance, x) for x in range(-distance, distance + 1))]


def _overlap(labels: NDArray[np.uint8], y: int, x: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The pixels that have a neighbour at step (y, x), y >= 0, and these neighbours."""
    height, width = labels.shape
    rows, columns = max(0, height - y), max(0, width - abs(x))
    left = max(0, -x)
    return labels[:rows, left : left + columns], labels[y : y + rows, left + x : left + x + columns]


def _ring_sizes(shape: tuple[int, ...], distance: int) -> NDArray[np.intp]:
    """(h, w) how many pixels of the image are at this distance from each."""

    def square(reach: int) -> NDArray[np.intp]:
        rows, columns = (
            np.minimum(np.arange(n) + reach, n - 1) - np.maximum(np.arange(n) - reach, 0) + 1 for n in shape
        )
        return rows[:, None] * columns

    return square(distance) - square(distance - 1)


@dataclass(frozen=True)
class BlockColourMoments(Handcrafted):
    """225 values: 5 x 5 blocks (row by row), in each the mean, standard deviation and skewness of L, a and b.

    Skewness is the cube root, with its sign, of the third central moment (Stricker & Orengo, SPIE 1995), in the units
    of the channel. Blocks share no pixel, unless a side has fewer than 5.

    Parameters
    ----------
    longest : pixels; a larger image is shrunk to it.
    """

    longest: int = 256

    def describe(self, image: Image) -> NDArray[np.float32]:
        """(225,): block, moment, channel; the channel varies fastest."""
        values = lab(shrink(image, self.longest))
        moments = []
        for rows in _fifths(values.shape[0]):
            for columns in _fifths(values.shape[1]):
                block = values[rows, columns].reshape(-1, 3).astype(np.float64)
                mean = block.mean(axis=0)
                centred = block - mean
                squares = centred**2
                moments += [mean, np.sqrt(squares.mean(axis=0)), np.cbrt((squares * centred).mean(axis=0))]
        return np.concatenate(moments).astype(np.float32)


def _fifths(length: int) -> list[slice]:
    """Five runs of nearly equal length, none empty."""
    starts = [i * length // 5 for i in range(6)]
    return [slice(start, max(start + 1, end)) for start, end in pairwise(starts)]
