"""Running a network over many images: decoded ahead by threads, computed in batches, resumed after a kill."""

import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmr.datasets.images import load_rgb
from cmr.progress import SILENT, Progress
from cmr.provenance import fingerprint
from cmr.store import whole_file
from cmr.views.image.networks import Network

BATCHES_PER_PART = 4
BATCHES_AHEAD = 2


def extract(
    images: Sequence[Path],
    network: Network,
    *,
    batch_size: int,
    device: str = "cpu",
    parts: Path,
    identity: dict,
    progress: Progress = SILENT,
) -> NDArray[np.float32]:
    """Features (n, d) of n images.

    Parameters
    ----------
    parts : folder for finished parts of BATCHES_PER_PART batches. A later call with the same `images`, `batch_size` and
        `identity` (whatever else determines the features, as JSON values) takes them as they are; other parts are
        removed. The caller deletes the folder once the features are stored.
    """
    key = fingerprint(images=[str(path) for path in images], batch_size=batch_size, identity=identity)[:16]
    _remove_parts_of_others(parts, key)
    folder = parts / key
    rows = batch_size * BATCHES_PER_PART
    starts = range(0, len(images), rows)
    done = [start for start in starts if (folder / f"{start:08d}.npy").exists()]
    todo = [start for start in starts if start not in set(done)]
    module = network.module.to(device, memory_format=torch.channels_last)
    batches = [
        images[i : i + batch_size] for start in todo for i in range(start, min(start + rows, len(images)), batch_size)
    ]
    features: list[NDArray[np.float32]] = []
    with ThreadPoolExecutor() as pool, torch.inference_mode():
        decoded = progress.track(_decode_ahead(pool, batches, network), "extracting features", len(batches), "batch")
        for count, batch in enumerate(decoded, start=1):
            features.append(module(batch.to(device, memory_format=torch.channels_last)).float().cpu().numpy())
            if len(features) == BATCHES_PER_PART or count == len(batches):
                _write_part(folder / f"{todo.pop(0):08d}.npy", np.concatenate(features))
                features.clear()
    return np.concatenate([np.load(folder / f"{start:08d}.npy") for start in starts])


def _decode_ahead(pool: ThreadPoolExecutor, batches: Sequence[Sequence[Path]], network: Network) -> Iterator[Tensor]:
    """Preprocessed batches in order, BATCHES_AHEAD of them in the making, so that memory does not grow with n."""
    waiting: deque = deque()
    for batch in batches:
        waiting.append([pool.submit(lambda path: network.preprocess(load_rgb(path)), path) for path in batch])
        if len(waiting) > BATCHES_AHEAD:
            yield torch.stack([future.result() for future in waiting.popleft()])
    while waiting:
        yield torch.stack([future.result() for future in waiting.popleft()])


def _write_part(path: Path, values: NDArray[np.float32]) -> None:
    with whole_file(path) as temporary:
        np.save(temporary, values)


def _remove_parts_of_others(parts: Path, key: str) -> None:
    for folder in parts.glob("*/"):
        if folder.name != key:
            shutil.rmtree(folder)
