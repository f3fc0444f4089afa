"""Histogram of edge directions.

Source: Vailaya, Jain & Zhang, "On image classification: city images vs. landscapes", Pattern Recognition 1998; in
NUS-WIDE (Chua et al., CIVR 2009) as one of six features.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from cmr.views.image.handcrafted import Handcrafted, shrink

DIRECTIONS = 72
BLUR = 1.0  # pixels, standard deviation of the Gaussian before the derivative
WEAK, STRONG = 50, 150  # thresholds of Canny's hysteresis, on the Sobel gradient of values from 0 to 255


@dataclass(frozen=True)
class EdgeDirectionHistogram(Handcrafted):
    """73 proportions of all pixels: edge pixels in 72 directions, and pixels that are no edge.

    Edges are Canny's, of the grey image after a Gaussian of 1 pixel, with thresholds 50 and 150 on the length of the
    Sobel gradient. The direction is that of the gradient, from dark to bright, anticlockwise from the x axis: bin k is
    centred at 5 * k degrees, so that upright and level edges fall into the middle of a bin. All bins are divided by the
    number of pixels. (NUS-WIDE speaks of counts. The source divides the 72 by the number of edge pixels, which lets a
    few stray edges of a plain image weigh as much as many.)

    Parameters
    ----------
    longest : pixels; a larger image is shrunk to it.
    """

    longest: int = 256

    def describe(self, image: Image) -> NDArray[np.float32]:
        """(73,), sums to 1."""
        grey = cv2.cvtColor(np.asarray(shrink(image, self.longest)), cv2.COLOR_RGB2GRAY)
        smooth = cv2.GaussianBlur(grey, (0, 0), BLUR, borderType=cv2.BORDER_REPLICATE)
        x, y = (cv2.Sobel(smooth, cv2.CV_16S, *order, borderType=cv2.BORDER_REPLICATE) for order in ((1, 0), (0, 1)))
        edge = cv2.Canny(x, y, WEAK, STRONG, L2gradient=True) > 0
        degrees = np.degrees(np.arctan2(-y[edge].astype(np.float64), x[edge]))  # rows go downwards
        directions = np.rint(degrees / (360 / DIRECTIONS)).astype(np.intp) % DIRECTIONS
        counts = np.append(np.bincount(directions, minlength=DIRECTIONS), edge.size - len(directions))
        return (counts / edge.size).astype(np.float32)
