"""What closed-form, kernel and hashing methods cost: seconds and memory by number of items, growth, and beside cca-zoo.

    python benchmarks/methods.py table --items 2000 20000 100000 > table.md
    python benchmarks/methods.py growth            # 40 000 items over 20 000, views on disk
    python benchmarks/methods.py cca-zoo           # ours and cca-zoo's in turn, as ratios

Every fit runs in a process of its own, at the default hyper-parameters, on made pairs of ten classes that are read from
views on disk as a run reads them. Seconds are those of the processor, so that other work on the machine counts little;
give OMP_NUM_THREADS=1, as a run does. Memory is the process's peak, the interpreter with its libraries included.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cmr import store, training
from cmr.catalogue import Catalogue
from cmr.construct import METHODS, build
from cmr.methods import FLOOR
from cmr.methods.base import InfeasibleError

ROOT = Path(__file__).parents[1]
CLASSES = 10
OTHER_COST = ("csaec_selfexpr", "csaec_stiefel")
FILES = ("pairs.parquet", "split.parquet", "images.h5", "texts.h5")


def write_pairs(folder: Path, items: int, dimensions: Sequence[int]) -> None:
    """Train pairs whose features see the class through noise and a common latent part."""
    rng = np.random.default_rng(0)
    ids, classes = [f"{i:06d}" for i in range(items)], rng.integers(CLASSES, size=items)
    names = [f"class {k}" for k in range(CLASSES)]
    table = pd.DataFrame({"id": ids, "image": "", "text": "", "labels": [[names[k]] for k in classes], "group": ids})
    store.write_table(folder / "pairs.parquet", table, {"classes": names})
    store.write_table(folder / "split.parquet", table[["id"]].assign(part="train"))
    latent = (np.eye(CLASSES)[classes] @ rng.normal(size=(CLASSES, 40)) + rng.normal(size=(items, 40))).astype("f4")
    for file, d in zip(("images.h5", "texts.h5"), dimensions, strict=True):
        mixing = rng.normal(size=(40, d)).astype("f4") / 6
        blocks = (
            latent[start : start + 5000] @ mixing
            + rng.normal(size=(min(5000, items - start), d)).astype("f4")
            for start in range(0, items, 5000)
        )  # fmt: skip
        store.write_view(folder / file, ids, blocks, {"kind": "vectors", "counts": False})


def fit_here(method: str, folder: Path, on_disk: bool) -> dict[str, float]:
    """Fit one method in this process."""
    if on_disk:
        training.IN_MEMORY = 0
    run = training.read_run(*(folder / file for file in FILES))
    settings = Catalogue.read(ROOT).method(method)
    defaults = {key: schema["default"] for key, schema in settings["hyperparameters"].items()}
    started = time.process_time()
    build(settings["implementation"], defaults, METHODS).fit(run.parts["train"], seed=0)
    seconds = time.process_time() - started
    return {"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def fit(method: str, folder: Path, *, on_disk: bool, limit: float) -> dict[str, float] | str:
    """Fit one method in a new process: what it cost, or why there is no number."""
    command = [sys.executable, __file__, "one", method, str(folder), *["--on-disk"] * on_disk]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"> {limit:.0f} s"
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:60]
    return json.loads(done.stdout.splitlines()[-1])


def closed_forms() -> list[str]:
    """Every method without torch but the floor, and the variants that cost something else."""
    return [
        name
        for name, spec in Catalogue.read(ROOT).methods.items()
        if not spec.get("uses_torch") and name != FLOOR and ("variant_of" not in spec or name in OTHER_COST)
    ]


def table(methods: Sequence[str], items: Sequence[int], dimensions: Sequence[int], limit: float) -> None:
    """A Markdown table: a row a method, seconds and peak megabytes at each number of items."""
    print(f"{machine()}; {dimensions[0]} and {dimensions[1]} features, {CLASSES} classes.\n")
    print("|".join(["", " method ", *(f" n = {n:,} ".replace(",", " ") for n in items), ""]))
    print("|".join(["", "---", *["---:" for _ in items], ""]))
    cells: dict[str, list[str]] = {method: [] for method in methods}
    for n in items:
        with tempfile.TemporaryDirectory() as folder:
            write_pairs(Path(folder), n, dimensions)
            for method in methods:
                cost = fit(method, Path(folder), on_disk=False, limit=limit)
                shown = cost if isinstance(cost, str) else f"{cost['seconds']:.1f} s, {cost['megabytes']:.0f} MB"
                cells[method].append(shown)
                print(f"{method} n={n}: {shown}", file=sys.stderr, flush=True)
    for method, shown in cells.items():
        print("|".join(["", f" `{method}` ", *(f" {cell} " for cell in shown), ""]))


def growth(methods: Sequence[str], items: Sequence[int], dimensions: Sequence[int], limit: float) -> None:
    """Seconds and memory of the larger of two numbers of items over those of the smaller, views read from disk."""
    few, many = items
    costs = []
    for n in (few, many):
        with tempfile.TemporaryDirectory() as folder:
            write_pairs(Path(folder), n, dimensions)
            costs.append({name: fit(name, Path(folder), on_disk=True, limit=limit) for name in methods})
    print(f"{machine()}; {dimensions[0]} and {dimensions[1]} features; {many} items against {few}")
    for name in methods:
        one, other = costs[0][name], costs[1][name]
        if isinstance(one, str) or isinstance(other, str):
            print(f"{name:20s} {one if isinstance(one, str) else other}")
            continue
        ratio, more = other["seconds"] / one["seconds"], other["megabytes"] - one["megabytes"]
        print(f"{name:20s} {one['seconds']:7.2f} s  x {ratio:4.2f}   {one['megabytes']:6.0f} MB  {more:+5.0f} MB")


def beside_cca_zoo(n: int = 2173) -> None:
    """CCA on 4096 + 300 features, and KCCA with a Gaussian kernel, as fast as cca-zoo's? The least of three each."""
    from cca_zoo.linear import CCA as ZooCCA
    from cca_zoo.nonparametric import KCCA as ZooKCCA

    from cmr.methods.base import Pairs
    from cmr.methods.kernel.kcca import GaussianKCCA
    from cmr.methods.linear.cca import CCA

    rng = np.random.default_rng(0)
    latent = rng.normal(size=(n, 20))
    wide, narrow = (latent @ rng.normal(size=(20, d)) + rng.normal(size=(n, d)) for d in (4096, 300))
    small = wide[:, :128].copy()
    labels = np.ones((n, 1), dtype=bool)
    x, y = (view - view.mean(axis=0) for view in (wide, narrow))

    def decomposition() -> None:
        np.linalg.eigh(x @ x.T)
        np.linalg.eigh(y.T @ y)

    gamma = [1 / (2 * view.var(axis=0).sum()) for view in (small, narrow)]  # 1 / the mean squared distance
    works: dict[str, tuple[Callable[[], object], int]] = {
        "products and eigenvalues that CCA needs": (decomposition, 3),
        "CCA": (lambda: CCA(10).fit(Pairs(wide, narrow, labels)), 3),
        "CCA of cca-zoo": (lambda: ZooCCA(10).fit([wide, narrow]), 1),
        "KCCA": (lambda: GaussianKCCA().fit(Pairs(small, narrow, labels)), 3),
        "KCCA of cca-zoo": (lambda: ZooKCCA(10, kernel="rbf", gamma=gamma).fit([small, narrow]), 1),
    }
    seconds = {name: min(_timed(work) for _ in range(repeats)) for name, (work, repeats) in works.items()}
    print(machine())
    for name, value in seconds.items():
        print(f"{name:42s} {value:8.2f} s")
    for name in ("CCA", "KCCA"):
        print(f"{name}: {seconds[f'{name} of cca-zoo'] / seconds[name]:.0f} times as fast as cca-zoo")


def machine() -> str:
    """Processor, cores and threads."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
    return f"{model}, {os.cpu_count()} cores, {os.environ.get('OMP_NUM_THREADS', 'as many')} threads"


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_subparsers(dest="what", required=True)
    for name, items in (("table", [2000, 20000, 100000]), ("growth", [20000, 40000])):
        own = what.add_parser(name)
        own.add_argument("--methods", nargs="+", default=closed_forms())
        own.add_argument("--items", type=int, nargs="+" if name == "table" else 2, default=items)
        own.add_argument("--dimensions", type=int, nargs=2, default=[500, 300])
        own.add_argument("--limit", type=float, default=900, help="seconds that a fit may take")
    what.add_parser("cca-zoo")
    one = what.add_parser("one")
    one.add_argument("method")
    one.add_argument("folder", type=Path)
    one.add_argument("--on-disk", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "one":
        try:
            print(json.dumps(fit_here(arguments.method, arguments.folder, arguments.on_disk)))
        except InfeasibleError as error:
            sys.exit(str(error))
    elif arguments.what == "cca-zoo":
        beside_cca_zoo()
    else:
        work = {"table": table, "growth": growth}[arguments.what]
        work(arguments.methods, arguments.items, arguments.dimensions, arguments.limit)


if __name__ == "__main__":
    main()
