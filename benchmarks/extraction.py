"""Image extraction against a bare forward loop: same network, batch size, threads and images.

The bare loop computes preprocessed batches that lie in memory, with torch's own threads; the extraction also reads,
decodes and resizes the images and writes its parts. A ratio of 0.9 means 0.9 times the bare loop's images a second.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cmr.catalogue import Catalogue
from cmr.progress import SILENT
from cmr.views.image.extraction import extract
from cmr.views.image.networks import NetworkLayer


def main() -> None:
    """Print images a second of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="state dict of --view")
    parser.add_argument("--view", default="efficientnet_lite0", help="a network's layer of config/views/image.yaml")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout, by default the current folder")
    parser.add_argument("--images", type=Path, help="folder of PNG or JPEG files; else made ones of 320 x 240")
    parser.add_argument("--limit", type=int, default=256, help="images to use at most")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    options = Catalogue.read(arguments.root).view("image", arguments.view)["options"]
    view = NetworkLayer(weights=arguments.weights, **options).place("cpu")
    with tempfile.TemporaryDirectory() as folder:
        images = find_images(arguments.images) if arguments.images else make_images(Path(folder), arguments.limit)
        images = images[: arguments.limit]
        pixels = torch.cat([view.prepare(Image.open(path).convert("RGB")) for path in images])
        bare, ours = [], []
        for _ in range(arguments.repeats):  # in turns, so that other work on the machine meets both alike
            bare.append(time_bare_loop(view.build(), pixels, view.batch_size, arguments.threads))
            ours.append(time_extraction(images, view, arguments.threads, Path(folder) / "parts"))
    print(f"{len(images)} images, {arguments.view}, batch {view.batch_size}, {arguments.threads} threads")
    print(f"bare forward loop  {len(images) / min(bare):7.1f} images/s")
    print(f"extraction         {len(images) / min(ours):7.1f} images/s")
    print(f"ratio              {min(bare) / min(ours):7.2f}")


def time_bare_loop(module: torch.nn.Module, pixels: torch.Tensor, batch_size: int, threads: int) -> float:
    """Seconds of a forward pass over all batches."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    with torch.inference_mode():
        for batch in pixels.split(batch_size):
            module(batch)
    return time.perf_counter() - start


def time_extraction(images: Sequence[Path], view: NetworkLayer, threads: int, parts: Path) -> float:
    """Seconds of an extraction from the files on."""
    start = time.perf_counter()
    extract(view, images, list(map(str, images)), workers=threads, parts=parts, identity={}, progress=SILENT)
    seconds = time.perf_counter() - start
    shutil.rmtree(parts)
    return seconds


def find_images(folder: Path) -> list[Path]:
    """All PNG and JPEG files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))


def make_images(folder: Path, count: int) -> list[Path]:
    """JPEGs of smooth noise, which decode as photographs do."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:04d}.jpg" for number in range(count)]
    for path in paths:
        small = Image.fromarray(rng.integers(256, size=(30, 40, 3), dtype=np.uint8))
        small.resize((320, 240), Image.Resampling.BICUBIC).save(path)
    return paths


if __name__ == "__main__":
    main()
