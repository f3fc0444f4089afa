"""Speed and memory of the evaluator, as ratios to plain NumPy and to scikit-learn in the same run.

Each line scores n queries against n items, single-label with ten classes, and gives the time of average precision over
all by cmr, and how many times as long the others took. Time is of one core: set OMP_NUM_THREADS=1.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from sklearn.metrics import label_ranking_average_precision_score

from cmr.evaluation import evaluate
from cmr.metrics import average_precision, place_blocks

WIDTH = 64
CLASSES = 10
LARGEST_FOR_SCIKIT_LEARN = 2000  # beyond, it takes minutes and gigabytes


def ours(queries: np.ndarray, gallery: np.ndarray, labels: np.ndarray) -> float:
    blocks = place_blocks(queries, gallery, labels, labels, "cosine")
    return float(np.concatenate([average_precision(places) for places in blocks]).mean())


def argsort_a_row(queries: np.ndarray, gallery: np.ndarray, labels: np.ndarray) -> float:
    """What most released code does: float32, one argsort a query, ties as they fall."""
    queries, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, gallery))
    classes = labels.argmax(axis=1)
    total = 0.0
    for query, label in zip(queries, classes, strict=True):
        ranks = np.flatnonzero(classes[np.argsort(-(gallery @ query))] == label) + 1
        total += (np.arange(1, len(ranks) + 1) / ranks).mean()
    return total / len(queries)


def scikit_learn(queries: np.ndarray, gallery: np.ndarray, labels: np.ndarray) -> float:
    queries, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, gallery))
    return label_ranking_average_precision_score(labels @ labels.T, queries @ gallery.T)


def made_up(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    labels = np.eye(CLASSES, dtype=bool)[rng.integers(0, CLASSES, n)]
    means = rng.normal(size=(CLASSES, WIDTH))
    queries, gallery = (labels @ means + rng.normal(0, 3, size=(2, n, WIDTH))).astype(np.float32)
    return queries, gallery, labels


def seconds(function: Callable[..., float], *arguments: np.ndarray) -> tuple[float, float]:
    """Least processor time of three calls, or of one where a call is long, and the value."""
    times: list[float] = []
    while len(times) < 3 and sum(times) < 5:
        start = time.process_time()
        value = function(*arguments)
        times.append(time.process_time() - start)
    return min(times), value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[693, 2000, 10_000])
    sizes = parser.parse_args().sizes

    print(f"{'n':>6}  {'cmr, s':>8}  {'argsort':>8}  {'sklearn':>8}  largest difference of mAP")
    for n in sizes:
        data = made_up(n)
        own, value = seconds(ours, *data)
        others = [seconds(argsort_a_row, *data)]
        if n <= LARGEST_FOR_SCIKIT_LEARN:
            others.append(seconds(scikit_learn, *data))
        ratios = [f"{other / own:7.1f}x" for other, _ in others] + [f"{'-':>8}"] * (2 - len(others))
        difference = max(abs(other - value) for _, other in others)
        print(f"{n:6}  {own:8.3f}  {'  '.join(ratios)}  {difference:.1e}", flush=True)

    n = max(sizes)
    queries, gallery, labels = made_up(n)
    start = time.process_time()
    evaluate(queries, gallery, labels, "cosine")
    print(f"all tasks and metrics, n = {n}: {time.process_time() - start:.1f} s")
    tracemalloc.start()
    ours(queries, gallery, labels)
    peak = tracemalloc.get_traced_memory()[1]
    print(
        f"peak memory of one direction, n = {n}: {peak / 2**20:.0f} MiB; the score matrix: {n * n * 4 / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    main()
