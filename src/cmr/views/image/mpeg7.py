"""Four visual descriptors of MPEG-7 (ISO/IEC 15938-3; Manjunath et al., "Color and Texture Descriptors", TCSVT 2001).

The standard's coding of the values in few bits is left out throughout: features here are for methods, not for streams.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import pywt
from numpy.typing import NDArray
from PIL.Image import Image
from scipy import fft

from cmr.views.image.colour import hsv
from cmr.views.image.handcrafted import Handcrafted, shrink

# Colour structure: the 256 colours, by the difference of the largest and the smallest of R, G, B.
DIFFERENCE_EDGES = (6, 20, 60, 110)
HUE_LEVELS = np.array([1, 4, 16, 16, 16])
SUM_LEVELS = np.array([32, 8, 4, 4, 4])
FIRST_COLOUR = np.cumsum([0, *(HUE_LEVELS * SUM_LEVELS)[:-1]])
ELEMENT = 8  # pixels a side

# Edge histogram.
BLOCKS = 1100  # about as many, whatever the size of the image
EDGE_THRESHOLD = 11  # of the strongest filter's response to luminances from 0 to 255
SUB_IMAGES = 4  # a side


@dataclass(frozen=True)
class Mpeg7(Handcrafted):
    """784 values: scalable colour (256), colour layout (192), colour structure (256) and edge histogram (80).

    Papers that use "MPEG-7 features of 784 dimensions" do not say which. These four are the standard's descriptors
    for whole images, at their full lengths, and their lengths add up to 784: 256 + 3 * 64 + 256 + 80. All values are of
    the order of 1, colour layout up to 8.

    Parameters
    ----------
    longest : pixels; a larger image is shrunk to it.
    """

    longest: int = 256

    def describe(self, image: Image) -> NDArray[np.float32]:
        """(784,)."""
        image = shrink(image, self.longest)
        descriptors = (scalable_colour, colour_layout, colour_structure, edge_histogram)
        return np.concatenate([descriptor(image) for descriptor in descriptors]).astype(np.float32)


def scalable_colour(image: Image) -> NDArray[np.float64]:
    """(256,) Haar coefficients, from coarse to fine, of the histogram in HSV (16 x 4 x 4 equal bins, sums to 1).

    The transform is orthonormal. It halves hue, saturation, value and hue, in this order, twice, as the standard does
    to make histograms of 128, 64, 32 and 16 bins from that of 256.
    """
    levels = np.array([16, 4, 4])
    values = hsv(image).reshape(-1, 3)
    bins = np.minimum((values * (levels / (360, 1, 1))).astype(np.intp), levels - 1)
    histogram = np.bincount(bins @ (16, 4, 1), minlength=256) / len(bins)
    return haar(histogram.reshape(levels))


def haar(histogram: NDArray[np.float64]) -> NDArray[np.float64]:
    """(256,) of (16, 4, 4)."""
    details = []
    for axis in (0, 1, 2, 0, 0, 1, 2, 0):
        histogram, difference = pywt.dwt(histogram, "haar", axis=axis)
        details.append(difference.ravel())
    return np.concatenate([histogram.ravel(), *reversed(details)])


def colour_layout(image: Image) -> NDArray[np.float32]:
    """(192,): for each of Y, Cb, Cr the cosine transform of the mean colours of 8 x 8 cells, in zigzag order.

    Y from 0 to 1, Cb and Cr from -0.5 to 0.5 (ITU-R BT.601, full range), so that greys have no chroma. The transform is
    orthonormal. An image with a side below 8 is interpolated.
    """
    cells = cv2.resize(np.asarray(image, dtype=np.float32) / np.float32(255), (8, 8), interpolation=cv2.INTER_AREA)
    y, cr, cb = np.moveaxis(cv2.cvtColor(cells, cv2.COLOR_RGB2YCrCb), -1, 0)
    coefficients = fft.dctn(np.stack([y, cb - 0.5, cr - 0.5]), axes=(1, 2), norm="ortho")
    return coefficients[:, *_zigzag()].ravel()


@cache
def _zigzag() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of an 8 x 8 block along its diagonals, to and fro, beginning to the right, as in JPEG."""
    cells = [(row, column) for row in range(8) for column in range(8)]
    cells.sort(key=lambda cell: (sum(cell), cell[0] if sum(cell) % 2 else cell[1]))
    rows, columns = np.array(cells).T
    return rows, columns


def colour_structure(image: Image) -> NDArray[np.float64]:
    """(256,): for each colour, in what part of all positions an element of 8 x 8 pixels holds it.

    As in the standard, an image of more than about 362 x 362 pixels is thinned to every second (fourth, ...) pixel. An
    element never exceeds the image.
    """
    step = 2 ** max(0, int(np.log2(image.width * image.height) / 2 - 7.5))
    return structure(quantise_hmmd(image)[::step, ::step], 256)


def quantise_hmmd(image: Image) -> NDArray[np.uint8]:
    """(h, w) of 256 colours: hue, and sum (max + min) / 2, in equal steps that depend on the difference max - min."""
    rgb = np.asarray(image, dtype=np.int32)
    largest, smallest = rgb.max(axis=2), rgb.min(axis=2)
    subspace = np.digitize(largest - smallest, DIFFERENCE_EDGES)
    sums = (largest + smallest) * SUM_LEVELS[subspace] // 512
    hues = (hsv(image)[..., 0] * (HUE_LEVELS[subspace] / 360)).astype(np.intp)
    hues = np.minimum(hues, HUE_LEVELS[subspace] - 1)
    return (FIRST_COLOUR[subspace] + hues * SUM_LEVELS[subspace] + sums).astype(np.uint8)


def structure(labels: NDArray[np.uint8], colours: int) -> NDArray[np.float64]:
    """(colours,) parts of the positions of the structuring element at which it holds a pixel of the label."""
    height, width = (min(ELEMENT, side) for side in labels.shape)
    rows, columns = labels.shape[0] - height + 1, labels.shape[1] - width + 1
    element = np.ones((height, width), dtype=np.uint8)
    parts = np.zeros(colours)
    for colour in np.unique(labels):
        held = cv2.dilate((labels == colour).view(np.uint8), element, anchor=(0, 0))
        parts[colour] = cv2.countNonZero(held[:rows, :columns]) / (rows * columns)
    return parts


def edge_histogram(image: Image) -> NDArray[np.float64]:
    """(80,): in 4 x 4 sub-images (row by row), the parts of blocks with each of five types of edge.

    Types: upright, level, at 45 degrees, at 135 degrees, without direction. About 1100 blocks cover an image; each is
    four luminances, the means of its quarters, and has the type of the strongest filter if this responds with 11 or
    more, else none. An image of less than 2 x 2 pixels has no blocks, and zeros.
    """
    grey = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    quarter = max(1, int(np.sqrt(height * width / BLOCKS) / 2))
    rows, columns = height // (2 * quarter), width // (2 * quarter)
    if rows * columns == 0:
        return np.zeros(SUB_IMAGES**2 * 5)
    covered = grey[: rows * 2 * quarter, : columns * 2 * quarter]
    means = covered.reshape(2 * rows, quarter, 2 * columns, quarter).mean(axis=(1, 3))
    a, b, c, d = means[::2, ::2], means[::2, 1::2], means[1::2, ::2], means[1::2, 1::2]
    diagonal = np.sqrt(2)
    responses = np.abs([a - b + c - d, a + b - c - d, diagonal * (a - d), diagonal * (b - c), 2 * (a - b - c + d)])
    kinds = np.where(responses.max(axis=0) >= EDGE_THRESHOLD, responses.argmax(axis=0), 5)
    # A block belongs to the sub-image in which its first pixel lies.
    row, column = (
        np.arange(count) * 2 * quarter * SUB_IMAGES // side for count, side in ((rows, height), (columns, width))
    )
    cells = row[:, None] * SUB_IMAGES + column
    counts = np.bincount((6 * cells + kinds).ravel(), minlength=6 * SUB_IMAGES**2).reshape(-1, 6)
    return (counts[:, :5] / np.maximum(counts.sum(axis=1, keepdims=True), 1)).ravel()
