"""Computing a view of many images: several batches at once, resumed after a kill, memory flat in their number."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from cmr import store
from cmr.datasets.images import load_rgb
from cmr.errors import UserError
from cmr.progress import SILENT, Progress
from cmr.provenance import fingerprint
from cmr.views.base import ImageView
from cmr.views.image.parallel import map_in_order

BATCHES_PER_PART = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Features:
    """Features of n images on disk, in parts of equal length.

    Attributes
    ----------
    parts : files of `part_rows` images each, the last perhaps of less.
    """

    parts: Sequence[Path]
    part_rows: int

    def blocks(self, images: NDArray[np.intp]) -> Iterator[NDArray[np.float32]]:
        """The features of the images of these numbers, in blocks; parts are read whole, in any order."""
        read = lru_cache(maxsize=4)(lambda part: store.read_arrays(self.parts[part])[0]["features"])
        for start in range(0, len(images), self.part_rows):
            chosen = images[start : start + self.part_rows]
            yield np.stack([read(image // self.part_rows)[image % self.part_rows] for image in chosen])


def extract(
    view: ImageView,
    images: Sequence[Path],
    digests: Sequence[str],
    *,
    workers: int = 1,
    parts: Path,
    identity: dict,
    progress: Progress = SILENT,
) -> Features:
    """Compute the features of n images into files.

    Parameters
    ----------
    view : fitted if it learns, on its device if it uses torch.
    digests : of the images' contents, in their order.
    workers : batches in the making at once; the features are the same for any number.
    parts : folder for finished parts of BATCHES_PER_PART batches. A later call with the same `digests` and `identity`
        (whatever else determines the features, as JSON values) takes them as they are; other and damaged parts are
        removed. The caller deletes the folder once the features are stored.
    """
    key = fingerprint(digests=list(digests), batch_size=view.batch_size, identity=identity)[:16]
    _remove_parts_of_others(parts, key)
    rows = view.batch_size * BATCHES_PER_PART
    starts = range(0, len(images), rows)
    paths = {start: parts / key / f"{start:08d}.h5" for start in starts}
    todo = [start for start in starts if not _is_whole(paths[start])]
    if len(todo) < len(starts):
        log.info("going on after %d of %d parts", len(starts) - len(todo), len(starts))
    batches = [
        images[row : min(row + view.batch_size, start + rows)]
        for start in todo
        for row in range(start, min(start + rows, len(images)), view.batch_size)
    ]
    results = map_in_order(
        Compute(view), batches, workers=workers, threads=view.uses_torch, progress=progress,
        description="extracting features", unit=" batches",
    )  # fmt: skip
    remaining, part = iter(todo), []
    with closing(results):  # the workers end before an error is told
        for count, features in enumerate(results, start=1):
            part.append(features)
            if len(part) == BATCHES_PER_PART or count == len(batches):
                path = paths[next(remaining)]
                store.write_arrays(path, {"features": np.concatenate(part)}, {"of": _work_of(path)})
                part.clear()
    return Features([paths[start] for start in starts], rows)


@dataclass(frozen=True)
class Compute:
    """From files to features; a worker's task."""

    view: ImageView

    def __call__(self, batch: Sequence[Path]) -> NDArray[np.float32]:
        return self.view.features(Pictures(batch))


class Pictures(Sequence[Image]):
    """Pictures that are decoded when they are looked at: a batch of large photographs would fill the memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Image: ...

    @overload
    def __getitem__(self, index: slice) -> "Pictures": ...

    def __getitem__(self, index: int | slice) -> "Image | Pictures":
        return Pictures(self._paths[index]) if isinstance(index, slice) else load_rgb(self._paths[index])


def _is_whole(path: Path) -> bool:
    """Whether a part is there; a damaged one is discarded, and so is one that was copied here from other work."""
    if not path.exists():
        return False
    try:
        if store.read_arrays(path)[1].get("of") != _work_of(path):
            raise UserError(f"{path} holds a part of other work")
    except UserError as error:
        log.warning("%s. It is discarded", error)
        path.unlink()
        return False
    return True


def _work_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _remove_parts_of_others(parts: Path, key: str) -> None:
    for folder in parts.glob("*/"):
        if folder.name != key:
            shutil.rmtree(folder)
