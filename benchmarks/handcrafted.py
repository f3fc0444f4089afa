"""Images a second of the handcrafted image views, against the goal of 15 for the 2296 features of the HRL set.

Each call reads one JPEG and describes it, in processes as in a run of the workflow. The clock starts when all processes
are up and have described some images. Processor time is that of the calls, and hardly depends on what else runs on the
machine. The visual words are random: how many there are sets the time, not where they are.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from cmr.datasets.images import load_rgb
from cmr.progress import SILENT
from cmr.views.base import ImageView
from cmr.views.image.colour import BlockColourMoments, HsvCorrelogram, LabHistogram
from cmr.views.image.edges import EdgeDirectionHistogram
from cmr.views.image.gist import Gist
from cmr.views.image.mpeg7 import Mpeg7
from cmr.views.image.parallel import map_in_order
from cmr.views.image.sift import DIMENSION
from cmr.views.image.visual_words import BagOfVisualWords, PyramidHistogramOfVisualWords
from cmr.views.image.wavelets import WaveletTexture

GOAL = 15  # images a second, of the HRL set on two workers
IMAGES = 40  # that are made, and described again and again
WARM_UP = 5  # images a worker


def main() -> None:
    """Print dimension, processor time, images a second and their ratio to the goal, for views and sets of views."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="to measure each view")
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print(f"images of {arguments.size} x {arguments.size}, {arguments.workers} workers")
    print(f"{'view':32}{'features':>9}{'CPU ms':>9}{'images/s':>10}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_images(Path(folder), IMAGES, arguments.size)
        for name, views in sets_of_views().items():
            done = measure(paths, views, arguments.workers, arguments.seconds)
            milliseconds = 1000 * np.mean([call.processor_seconds for call in done])
            speed = len(done) / arguments.seconds
            print(f"{name:32}{done[0].dimension:9}{milliseconds:9.1f}{speed:10.1f}{speed / GOAL:7.1f}", flush=True)


def sets_of_views() -> dict[str, list[ImageView]]:
    """Every view alone, the six of NUS-WIDE and the three of HRL."""
    phow = with_random_words(PyramidHistogramOfVisualWords())
    nus_wide = [
        LabHistogram(),
        HsvCorrelogram(),
        EdgeDirectionHistogram(),
        WaveletTexture(),
        BlockColourMoments(),
        with_random_words(BagOfVisualWords(words=500, detector="sparse")),
    ]
    hrl = [phow, Gist(), Mpeg7()]
    alone = {type(view).__name__: [view] for view in [*nus_wide, *hrl]}
    return {**alone, "NUS-WIDE": nus_wide, "HRL": hrl}


def with_random_words(view: BagOfVisualWords) -> BagOfVisualWords:
    """The view with a codebook of random unit vectors."""
    words = np.abs(np.random.default_rng(0).normal(size=(view.words, DIMENSION))).astype(np.float32)
    return view.restore({"words": words / np.linalg.norm(words, axis=1, keepdims=True)})


class Call(NamedTuple):
    """What describing one image took, and which process did it."""

    process: int
    dimension: int
    processor_seconds: float


def describe(path: Path, views: Sequence[ImageView]) -> Call:
    """Compute the features of one image in all views."""
    start = time.process_time()
    image = load_rgb(path)
    features = np.concatenate([view.features([image])[0] for view in views])
    return Call(os.getpid(), len(features), time.process_time() - start)


def measure(paths: Sequence[Path], views: Sequence[ImageView], workers: int, seconds: float) -> list[Call]:
    """The calls that end within so many seconds after the warm-up."""
    calls = map_in_order(
        partial(describe, views=views),
        list(paths) * 10_000,
        workers=workers,
        threads=False,
        progress=SILENT,
        description="describing",
        unit="image",
    )
    with closing(calls):
        counts: Counter[int] = Counter()
        while len(counts) < workers or min(counts.values()) < WARM_UP:
            counts[next(calls).process] += 1
        end = time.perf_counter() + seconds
        return list(takewhile(lambda _: time.perf_counter() < end, calls))


def make_images(folder: Path, count: int, size: int) -> list[Path]:
    """JPEGs of noise at all scales, stronger where coarser: about as much detail as photographs have."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:04d}.jpg" for number in range(count)]
    for path in paths:
        pixels = np.zeros((size, size, 3))
        for cells in (4, 8, 16, 32, 64, 128):
            layer = Image.fromarray(rng.integers(256, size=(cells, cells, 3), dtype=np.uint8))
            pixels += np.asarray(layer.resize((size, size), Image.Resampling.BICUBIC)) / cells
        pixels *= 255 / pixels.max()
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)
    return paths


if __name__ == "__main__":
    main()
