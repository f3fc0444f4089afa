"""A cached view of 4096 features: its size on disk, and reading it in blocks against copying the raw numbers.

Features are made as after a rectifier: normal numbers, the smallest (`--zeros`, a share) cut to zero, which makes them
as sparse as fc7 of a trained network and harder to compress, as no two are alike. The copy is of a file that holds the
same numbers as they are in memory, both files in the page cache. A ratio of 0.5 means half as many bytes a second.
"""

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cmr.store import ViewFile, write_view

DIMENSION = 4096
ROWS = 1000


def main() -> None:
    """Print sizes and rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--zeros", type=float, default=0.8, help="share of features that are zero")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write some 3 GB for a moment; by default the system's")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        view, raw, copy = (Path(folder) / name for name in ("view.h5", "raw", "copy"))
        size = arguments.rows * DIMENSION * 4
        started = time.perf_counter()
        ids = map(str, range(arguments.rows))
        write_view(view, ids, features(arguments.rows, arguments.zeros), {"kind": "vectors", "learnt": False})
        writing = time.perf_counter() - started
        with raw.open("wb") as file:
            for block in features(arguments.rows, arguments.zeros):
                block.tofile(file)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        copying = min(seconds(lambda: shutil.copyfile(raw, copy)) for _ in range(arguments.repeats))
        reading = min(seconds(lambda: read(view)) for _ in range(arguments.repeats))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"{arguments.rows} x {DIMENSION} features, {arguments.zeros:.0%} zeros, {size / 1e6:.0f} MB")
        print(f"on disk              {view.stat().st_size / size:7.2f} of raw (goal: at most 0.5)")
        print(f"making and writing   {size / writing / 1e6:7.0f} MB/s")
        print(f"copying raw numbers  {size / copying / 1e6:7.0f} MB/s")
        print(f"reading in blocks    {size / reading / 1e6:7.0f} MB/s, {memory / 1024:.0f} MiB more memory")
        print(f"ratio                {copying / reading:7.2f} (goal: at least 0.33)")


def features(rows: int, zeros: float) -> Iterator[np.ndarray]:
    """Blocks of rectified normal numbers."""
    rng = np.random.default_rng(0)
    cut = np.quantile(rng.standard_normal(100_000), zeros)
    for start in range(0, rows, ROWS):
        block = rng.standard_normal((min(ROWS, rows - start), DIMENSION), dtype=np.float32)
        yield np.maximum(block - np.float32(cut), 0)


def read(view: Path) -> float:
    """Go through all blocks as a method would that sums over them."""
    with ViewFile.open(view) as opened:
        return float(sum(block[0, 0] for block in opened.blocks()))


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
