"""Running a network over many images: several batches at once, resumed after a kill.

Each batch is decoded and computed by one worker with one thread. The features then do not depend on how many cores
there are, and no core waits for another.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cmr import store
from cmr.datasets.images import load_rgb
from cmr.errors import UserError
from cmr.progress import SILENT, Progress
from cmr.provenance import fingerprint
from cmr.views.image.networks import Network

BATCHES_PER_PART = 4

log = logging.getLogger(__name__)


def extract(
    images: Sequence[Path],
    digests: Sequence[str],
    network: Network,
    *,
    batch_size: int,
    device: str | torch.device = "cpu",
    workers: int = 1,
    parts: Path,
    identity: dict,
    progress: Progress = SILENT,
) -> NDArray[np.float32]:
    """Features (n, d) of n images.

    Parameters
    ----------
    workers : batches in the making at once; the features are the same for any number.
    digests : of the images' contents, in their order.
    parts : folder for finished parts of BATCHES_PER_PART batches. A later call with the same `digests`, `batch_size`
        and `identity` (whatever else determines the features, as JSON values) takes them as they are; other and
        damaged parts are removed. The caller deletes the folder once the features are stored.
    """
    key = fingerprint(digests=list(digests), batch_size=batch_size, identity=identity)[:16]
    _remove_parts_of_others(parts, key)
    folder = parts / key
    rows = batch_size * BATCHES_PER_PART
    starts = range(0, len(images), rows)
    done = {start: features for start in starts if (features := _read_part(folder / _name(start))) is not None}
    todo = [start for start in starts if start not in done]
    if done:
        log.info("going on after %d of %d parts", len(done), len(starts))
    module = network.module.to(device, memory_format=torch.channels_last)
    batches = [
        images[i : i + batch_size] for start in todo for i in range(start, min(start + rows, len(images)), batch_size)
    ]

    def compute(batch: Sequence[Path]) -> NDArray[np.float32]:
        pixels = torch.stack([network.preprocess(load_rgb(path)) for path in batch])
        with torch.inference_mode():
            return module(pixels.to(device, memory_format=torch.channels_last)).float().cpu().numpy()

    features: list[NDArray[np.float32]] = []
    with ThreadPoolExecutor(workers) as pool, _one_thread_an_operation():
        results = progress.track(pool.map(compute, batches), "extracting features", len(batches), "batch")
        for count, result in enumerate(results, start=1):
            features.append(result)
            if len(features) == BATCHES_PER_PART or count == len(batches):
                start = todo.pop(0)
                done[start] = np.concatenate(features)
                store.write_arrays(folder / _name(start), {"features": done[start]})
                features.clear()
    return np.concatenate([done[start] for start in starts])


@contextmanager
def _one_thread_an_operation() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _name(start: int) -> str:
    return f"{start:08d}.h5"


def _read_part(path: Path) -> NDArray[np.float32] | None:
    """A finished part; None if there is none, or a damaged one, which is discarded."""
    if not path.exists():
        return None
    try:
        return store.read_arrays(path)[0]["features"]
    except UserError as error:
        log.warning("%s. It is discarded", error)
        path.unlink()
        return None


def _remove_parts_of_others(parts: Path, key: str) -> None:
    for folder in parts.glob("*/"):
        if folder.name != key:
            shutil.rmtree(folder)
