"""Bags of visual words: how often an image shows each of the typical local features of the train images.

Sources: Sivic & Zisserman, "Video Google", ICCV 2003; Csurka et al., "Visual categorization with bags of keypoints",
ECCV workshop 2004. With spatial cells: Lazebnik, Schmid & Ponce, "Beyond bags of features: spatial pyramid matching for
recognizing natural scene categories", CVPR 2006.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from cmr.datasets.images import load_rgb
from cmr.errors import UserError
from cmr.progress import SILENT, Progress
from cmr.views.base import LabelledImages, LearntImageView, State
from cmr.views.image.handcrafted import shrink
from cmr.views.image.parallel import map_in_order
from cmr.views.image.sift import DIMENSION, LocalFeatures, dense_sift, sparse_sift

DETECTORS = {"dense": dense_sift, "sparse": sparse_sift}
ROWS_AT_ONCE = 512  # so that a block of distances stays in the processor's cache


@dataclass
class BagOfVisualWords(LearntImageView):
    """Shares of the visual words among the SIFT descriptors of an image, each counted as its nearest word.

    Rows (d = words) sum to 1; an image without a keypoint has a row of zeros: with `sparse` a plain surface, with
    `dense` one less than 16 pixels high or wide. The words are k-means centres of descriptors drawn at random from the
    train images.

    Parameters
    ----------
    words : size of the codebook.
    detector : where descriptors are taken: `dense`, on a regular grid at four scales, or `sparse`, at the keypoints of
        OpenCV's SIFT (`cmr.views.image.sift`).
    longest : longer images are shrunk to this, in pixels.
    train_images, train_descriptors : the words are learnt from at most so many train images, drawn at random, and at
        most so many descriptors of each.
    seed : of both draws and of k-means.
    """

    words: int = 500
    detector: str = "dense"
    longest: int = 256
    train_images: int = 1000
    train_descriptors: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise UserError(f'unknown detector "{self.detector}" of visual words; known are {", ".join(DETECTORS)}')

    def fit(
        self,
        train: LabelledImages,
        valid: LabelledImages | None = None,
        *,
        workers: int = 1,
        device: str = "cpu",
        progress: Progress = SILENT,
    ) -> Self:
        """Learn the words from `train`; labels, `valid` and `device` are not used.

        Raises UserError when the train images have fewer distinct descriptors than there are to be words.
        """
        drawn = self._drawn(train.paths)
        sampled = map_in_order(
            partial(_sample, view=self),
            list(enumerate(drawn)),
            workers=workers,
            threads=False,
            progress=progress,
            description="sampling local features",
            unit="image",
        )
        descriptors = np.concatenate([np.zeros((0, DIMENSION), np.float32), *sampled])
        distinct = len(set(map(bytes, descriptors)))
        if distinct < self.words:
            raise UserError(
                f"too few distinct local features ({distinct}) in the train images ({len(drawn)}) for {self.words} "
                "visual words: lower `words`, raise `train_descriptors`, or take more images"
            )
        return self.restore({"words": _centres(descriptors, self.words, self.seed)})

    def state(self) -> State:
        """`words` (words, 128) float32."""
        return {"words": self._words}

    def restore(self, state: State) -> Self:
        """Take up what `state` gave."""
        self._words = state["words"]
        return self

    def features(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(b, d) of b images in RGB, of any sizes; each row depends on its own image alone."""
        return np.stack([self._describe(shrink(image, self.longest)) for image in images])

    def _describe(self, image: Image) -> NDArray[np.float32]:
        found = nearest_words(_local_features(image, self.detector).descriptors, self._words)
        return _shares(found, self.words, len(found))

    def _drawn(self, paths: Sequence[Path]) -> list[Path]:
        if len(paths) <= self.train_images:
            return list(paths)
        drawn = np.random.default_rng(self.seed).choice(len(paths), self.train_images, replace=False)
        return [paths[i] for i in np.sort(drawn)]


@dataclass
class PyramidHistogramOfVisualWords(BagOfVisualWords):
    """Visual words counted in the whole image and in ever finer cells: level l has 2^l x 2^l of them.

    d = words * (1 + 4 + ... + 4^(levels - 1)), 1000 by default: 200 words in the image and in each of its quarters.
    Columns: level by level, cells row by row, words. Level l is weighted as in Lazebnik et al. (eq. 3): with
    L = levels - 1, by 1 / 2^L for l = 0 and by 1 / 2^(L - l + 1) else, so that rows sum to 1.
    """

    words: int = 200
    levels: int = 2

    def _describe(self, image: Image) -> NDArray[np.float32]:
        positions, descriptors = _local_features(image, self.detector)
        found = nearest_words(descriptors, self._words)
        places = (positions + 0.5) / image.size  # of both axes from 0 to 1
        top = self.levels - 1
        blocks = []
        for level in range(self.levels):
            side = 2**level
            column, row = np.clip(places * side, 0, side - 1).astype(np.intp).T
            weight = 0.5 ** (top if level == 0 else top - level + 1)
            shares = _shares((row * side + column) * self.words + found, side * side * self.words, len(found))
            blocks.append(weight * shares)
        return np.concatenate(blocks)


def nearest_words(descriptors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.intp]:
    """(n,) index of the word (k, d) nearest to each descriptor (n, d), by Euclidean distance."""
    half_squares = 0.5 * np.einsum("ij,ij->i", words, words)
    nearest = np.empty(len(descriptors), np.intp)
    for start in range(0, len(descriptors), ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        # |x - w|^2 / 2 without |x|^2 / 2, which is the same for all words.
        nearest[block] = np.argmax(descriptors[block] @ words.T - half_squares, axis=1)
    return nearest


def _local_features(image: Image, detector: str) -> LocalFeatures:
    return DETECTORS[detector](np.asarray(image.convert("L")))


def _shares(found: NDArray[np.intp], bins: int, total: int) -> NDArray[np.float32]:
    return (np.bincount(found, minlength=bins) / max(1, total)).astype(np.float32)


def _sample(numbered: tuple[int, Path], view: BagOfVisualWords) -> NDArray[np.float32]:
    """Descriptors of one image, drawn in the same way whichever process does it."""
    number, path = numbered
    descriptors = _local_features(shrink(load_rgb(path), view.longest), view.detector).descriptors
    generator = np.random.default_rng([view.seed, number])
    drawn = generator.choice(len(descriptors), min(len(descriptors), view.train_descriptors), replace=False)
    return descriptors[np.sort(drawn)]


def _centres(descriptors: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """(count, 128) by k-means on mini-batches."""
    # Rare words are kept: the library would move them again and again, which leaves up to a fifth of 1000 words unused.
    kmeans = MiniBatchKMeans(count, batch_size=4096, max_iter=20, n_init=1, reassignment_ratio=0.0, random_state=seed)
    with threadpool_limits(1):  # the last digits then do not depend on how many cores there are
        return kmeans.fit(descriptors).cluster_centers_
