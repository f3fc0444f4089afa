"""GIST, the shape of a scene: how much energy of each scale and orientation there is in each part of an image.

Source: Oliva & Torralba, "Modeling the Shape of the Scene", IJCV 2001, with the filters, the prefilter and the
constants of the authors' own program.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps
from PIL.Image import Image, Resampling
from scipy import fft

from cmr.views.image.handcrafted import Handcrafted

SIZE = 256  # pixels: the square that is described
GRID = 4  # cells a side
SCALES = 4
ORIENTATIONS = 8
BORDER = 32  # pixels mirrored at each side for the filters
HIGHEST_FREQUENCY = 0.3  # cycles a pixel, of the finest scale
SCALE_RATIO = 1.85
PREFILTER_BORDER = 5  # pixels
PREFILTER_CYCLES = 4  # cycles an image at which the prefilter's low-pass has fallen to a half
PREFILTER_FLOOR = 0.2  # added to the local contrast, so that flat regions stay flat


@dataclass(frozen=True)
class Gist(Handcrafted):
    """512 values: scale (4, from fine to coarse), orientation (8), row and column of the cell (4 x 4).

    The largest central square is resized to 256 x 256 (bilinear, antialiased), made grey as the mean of the three
    channels, and stretched to 0-255; an image of one grey is all zeros. The prefilter takes the logarithm, subtracts
    what is coarser than 4 cycles an image, and divides by the local contrast. Each value is the mean magnitude of one
    complex Gabor filter's response over one cell of 64 x 64 pixels. Orientation k responds to gratings whose wave
    vector is at k * 22.5 degrees, counted anticlockwise from the x axis.
    """

    def describe(self, image: Image) -> NDArray[np.float32]:
        """(512,) of an RGB image of any size; at least 0."""
        square = ImageOps.fit(image, (SIZE, SIZE), Resampling.BILINEAR)
        grey = np.asarray(square, dtype=np.float32).mean(axis=2)
        darkest, brightest = grey.min(), grey.max()
        if darkest == brightest:
            return np.zeros(SCALES * ORIENTATIONS * GRID**2, dtype=np.float32)
        return _energies(prefilter((grey - darkest) * (255 / (brightest - darkest)))).ravel()


def prefilter(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """A square (n, n) of values from 0 to 255, n even: its fine structure in units of the local contrast."""
    logarithm = np.pad(np.log1p(grey), PREFILTER_BORDER, mode="symmetric")
    low_pass = _low_pass(len(logarithm))
    detail = logarithm - _filtered(logarithm, low_pass)
    # Rounding alone makes the variance negative where there is none.
    contrast = np.sqrt(np.abs(_filtered(detail**2, low_pass)))
    inner = slice(PREFILTER_BORDER, -PREFILTER_BORDER)
    return (detail / (PREFILTER_FLOOR + contrast))[inner, inner]


def _filtered(values: NDArray[np.float32], transfer: NDArray[np.float32]) -> NDArray[np.float32]:
    return fft.irfft2(fft.rfft2(values, workers=1) * transfer, values.shape, workers=1)


def _energies(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(scales * orientations, grid, grid)."""
    spectrum = fft.fft2(np.pad(values, BORDER, mode="symmetric"), workers=1)
    return np.stack([_cell_means(np.abs(_response(spectrum, transfer))) for transfer in _transfer_functions()])


def _response(spectrum: NDArray[np.complex64], transfer: NDArray[np.float32]) -> NDArray[np.complex64]:
    """The filter's response without the border."""
    product = (spectrum * transfer).view(np.float32).reshape(*spectrum.shape, 2)
    # Most of the time goes here, and OpenCV takes half as long as SciPy.
    response = cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE).view(np.complex64)
    return response[BORDER:-BORDER, BORDER:-BORDER, 0]


def _cell_means(magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
    return cv2.resize(magnitudes, (GRID, GRID), interpolation=cv2.INTER_AREA)


@cache
def _low_pass(size: int) -> NDArray[np.float32]:
    """(size, size // 2 + 1), for spectra of real values; it depends on cycles an image, whatever the size."""
    y, x = fft.fftfreq(size, 1 / size)[:, None], fft.rfftfreq(size, 1 / size)
    return np.exp2(-(x**2 + y**2) / PREFILTER_CYCLES**2).astype(np.float32)


@cache
def _transfer_functions() -> NDArray[np.float32]:
    """(scales * orientations, n, n) of the padded square: Gaussians in relative frequency and in angle.

    Each covers one side of the spectrum, so that its response is complex and its magnitude does not oscillate.
    """
    frequencies = fft.fftfreq(SIZE + 2 * BORDER)
    x, y = np.meshgrid(frequencies, -frequencies)  # y upwards
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    centres = np.arange(ORIENTATIONS)[:, None, None] * np.pi / ORIENTATIONS
    turn = np.angle(np.exp(1j * (angle - centres)))  # within -pi and pi
    angular = np.exp(-2 * np.pi * (ORIENTATIONS / 8) ** 2 * turn**2)
    scales = HIGHEST_FREQUENCY / SCALE_RATIO ** np.arange(SCALES)[:, None, None]
    radial = np.exp(-3.5 * (radius / scales - 1) ** 2)
    return (radial[:, None] * angular).reshape(-1, *radius.shape).astype(np.float32)
