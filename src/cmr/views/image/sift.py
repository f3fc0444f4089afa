"""Local features of images: SIFT descriptors at keypoints, or on a regular grid.

Source: Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004. On a grid at several fixed scales:
Bosch, Zisserman & Munoz, "Image classification using random forests and ferns", ICCV 2007 (PHOW).

Both kinds have OpenCV's layout, 4 rows x 4 columns of cells x 8 orientations, the first to the right, then
counter-clockwise.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 4  # a side of a descriptor
ORIENTATIONS = 8
DIMENSION = CELLS * CELLS * ORIENTATIONS

BIN_SIZES = (4, 6, 8, 10)  # side of a cell in pixels, one a scale, as in VLFeat's PHOW
STEP = 8  # pixels between neighbours of the grid, as in Lazebnik, Schmid & Ponce, CVPR 2006
MAGNIFICATION = 6.0  # side of a cell in standard deviations of the smoothing
WINDOW = 2.0  # standard deviation of the Gaussian window, in cells
CLIP = 0.2
FLAT = 0.5  # mean length of the gradient, in grey levels a pixel, below which a patch has no structure: our choice

OPENCV_NORM = 512.0  # OpenCV gives descriptors of this length, rounded


class LocalFeatures(NamedTuple):
    """Descriptors (n, 128) float32, and where they are: `positions` (n, 2) float32, x and y in pixels.

    Dense descriptors have length 1 or 0, sparse ones a length within 0.5 % of 1: OpenCV rounds them. The centre of the
    first pixel is at 0.
    """

    positions: NDArray[np.float32]
    descriptors: NDArray[np.float32]


def sparse_sift(grey: NDArray[np.uint8]) -> LocalFeatures:
    """Descriptors at the keypoints that OpenCV's SIFT detects with its defaults; n = 0 on a plain surface.

    Scale and orientation are the keypoint's own.

    Parameters
    ----------
    grey : (h, w).
    """
    keypoints, descriptors = cv2.SIFT_create().detectAndCompute(grey, None)
    if not keypoints:
        return LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, DIMENSION), np.float32))
    return LocalFeatures(np.array([keypoint.pt for keypoint in keypoints], np.float32), descriptors / OPENCV_NORM)


def dense_sift(
    grey: NDArray[np.uint8] | NDArray[np.float32], bin_sizes: Sequence[int] = BIN_SIZES, step: int = STEP
) -> LocalFeatures:
    """Upright descriptors on a regular grid, at one scale a bin size.

    At each scale the image is smoothed by a Gaussian of bin size / 6 pixels. The patch of 4 x 4 cells lies within the
    image, and the grid in its centre, so that turning or mirroring the image does the same to the grid. A gradient
    counts by its length, by a Gaussian of 2 cells around the centre of the patch, and linearly shared between the two
    nearest cells of each axis and the two nearest orientations. The 128 values are scaled to length 1, cut at 0.2 and
    scaled again. A patch without structure (`FLAT`) has the zero descriptor, so that plain surfaces count, but not
    their noise.

    Parameters
    ----------
    grey : (h, w), values from 0 to 255.
    bin_sizes : side of a cell in pixels.
    step : pixels between neighbours.

    Returns
    -------
    Scale by scale, row by row. None at a scale whose patch is larger than the image.
    """
    grey = grey.astype(np.float32)
    scales = [_one_scale(grey, bin_size, step) for bin_size in bin_sizes]
    return LocalFeatures(*map(np.concatenate, zip(*scales, strict=True)))


def _one_scale(grey: NDArray[np.float32], bin_size: int, step: int) -> LocalFeatures:
    height, width = grey.shape
    (y, down), (x, across) = _windows(height, bin_size, step), _windows(width, bin_size, step)
    positions = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    if not len(positions):
        return LocalFeatures(positions, np.zeros((0, DIMENSION), np.float32))
    smooth = cv2.GaussianBlur(grey, (0, 0), bin_size / MAGNIFICATION, borderType=cv2.BORDER_REPLICATE)
    # Every cell is a sum over rows and columns with weights that are products: two matrix products give all of them.
    sums = np.matmul(down, _orientation_maps(smooth) @ across.T)
    cells = sums.reshape(ORIENTATIONS, len(y), CELLS, len(x), CELLS)
    histograms = np.ascontiguousarray(cells.transpose(1, 3, 2, 4, 0)).reshape(-1, DIMENSION)
    areas = np.outer(down.reshape(len(y), -1).sum(axis=1), across.reshape(len(x), -1).sum(axis=1)).ravel()
    return LocalFeatures(positions, _normalised(histograms, areas))


@lru_cache(maxsize=64)  # images of a data set have few sizes
def _windows(size: int, bin_size: int, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of one axis: centres (n,) of the patches, and the weights (n * 4, size) of its pixels in each of their cells."""
    n = max(0, (size - CELLS * bin_size) // step + 1)
    centres = (size - 1) / 2 + step * (np.arange(n) - (n - 1) / 2)
    offsets = ((np.arange(size) - centres[:, None]) / bin_size)[:, None]  # (n, 1, size), in cells
    cells = (np.arange(CELLS) - (CELLS - 1) / 2)[:, None]
    weights = np.maximum(0, 1 - np.abs(offsets - cells)) * np.exp(-0.5 * (offsets / WINDOW) ** 2)
    return centres.astype(np.float32), weights.reshape(n * CELLS, size).astype(np.float32)


def _orientation_maps(smooth: NDArray[np.float32]) -> NDArray[np.float32]:
    """(8, h, w): lengths of the gradients, each shared between the two orientations next to its own."""
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE)
    up = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=-0.5, borderType=cv2.BORDER_REPLICATE)
    lengths = np.sqrt(right * right + up * up).ravel()
    orientations = np.arctan2(up, right).ravel() * np.float32(ORIENTATIONS / (2 * np.pi))
    lower = np.floor(orientations)
    to_upper = lengths * (orientations - lower)
    lower = lower.astype(np.intp) % ORIENTATIONS
    pixels = np.arange(lengths.size)
    maps = np.zeros((ORIENTATIONS, lengths.size), np.float32)
    maps[lower, pixels] = lengths - to_upper
    maps[(lower + 1) % ORIENTATIONS, pixels] = to_upper
    return maps.reshape(ORIENTATIONS, *smooth.shape)


def _normalised(histograms: NDArray[np.float32], areas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Descriptors (n, 128) of histograms (n, 128) whose weights sum to `areas` (n,)."""
    structured = histograms.sum(axis=1) >= FLAT * areas
    unit = histograms * (structured / np.maximum(_lengths(histograms), np.finfo(np.float32).tiny))[:, None]
    clipped = np.minimum(unit, CLIP, out=unit)
    return clipped / np.where(structured, _lengths(clipped), 1)[:, None]


def _lengths(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows))
