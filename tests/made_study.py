"""The files that the runs of a small made study leave, with scores that a test knows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from cmr import files, store
from cmr.provenance import digests_of
from cmr.results import Study, collect

CLASSES = ("bird & co", "fish", "tree")
HOSTILE = "<script>alert('caption')</script> & 100% of $5_{x}"
TASKS = ("img2txt", "txt2img", "img2all", "txt2all")

# method -> img2txt mAP of each split; txt2img is 0.1 higher.
VALUES = {"random": (0.30, 0.34, 0.32), "cca": (0.50, 0.52, 0.57), "acmr": (0.61, 0.64, 0.60)}

CONFIG: dict[str, Any] = {
    "title": "Made <study>",
    "description": "Three methods on made pictures.",
    "runs": [
        {
            "datasets": ["made"],
            "splits": ["random-0", "random-1", "random-2"],
            "image_views": ["pixels"],
            "text_views": ["bow"],
            "methods": list(VALUES),
            "seeds": [0],
        }
    ],
    "tables": {
        "map_all": {"metric": "map_all", "tasks": ["img2txt", "txt2img", "mean"], "caption": f"Mind {HOSTILE}."},
    },
    "figures": {
        "map_bars": {"kind": "map_bars", "metric": "map_all", "tasks": list(TASKS), "caption": "Bars."},
        "precision_recall_img2txt": {"kind": "precision_recall", "task": "img2txt", "caption": "Curves."},
        "training_history": {"kind": "training_history", "caption": "Histories."},
        "data": {"kind": "dataset_statistics", "caption": "Counts."},
    },
    "gallery": {
        "dataset": "made",
        "split": "random-0",
        "image_view": "pixels",
        "text_view": "bow",
        "method": "cca",
        "tasks": ["img2txt", "txt2img", "img2all"],
        "classes": 3,
        "results": 4,
        "seed": 0,
    },
}

# The same study on a second data set, without classes, texts and pictures, seen through features of its own.
CONFIG_OF_TWO: dict[str, Any] = CONFIG | {
    "runs": [
        *CONFIG["runs"],
        {
            "datasets": ["bare"],
            "splits": ["official-0", "official-1", "official-2"],
            "image_views": ["ready"],
            "text_views": ["tags"],
            "methods": list(VALUES),
            "seeds": [0],
        },
    ],
    "tables": {
        f"map_{name}": CONFIG["tables"]["map_all"] | {"dataset": name, "caption": f"On {name}."}
        for name in ("made", "bare")
    },
    "figures": {
        f"{figure}_{name}": spec | {"dataset": name}
        for name in ("made", "bare")
        for figure, spec in CONFIG["figures"].items()
        if figure != "data"
    }
    | {"data": CONFIG["figures"]["data"]},
}

# The same study with a comparison of four pairs of views, of which tables and figures show one.
VALUES_OF_VIEWS = {
    ("pixels", "tags"): {"cca": (0.41, 0.44, 0.40), "acmr": (0.52, 0.50, 0.57)},
    ("edges", "bow"): {"cca": (0.62, 0.60, 0.66), "acmr": (0.70, 0.71, 0.66)},
    ("edges", "tags"): {"cca": (0.55, 0.53, 0.60), "acmr": (0.69, 0.73, 0.67)},
}
CONFIG_OF_VIEWS: dict[str, Any] = CONFIG | {
    "runs": [
        *CONFIG["runs"],
        CONFIG["runs"][0]
        | {"image_views": ["pixels", "edges"], "text_views": ["bow", "tags"], "methods": ["cca", "acmr"]},
    ],
    "setting": {"image_view": "pixels", "text_view": "bow"},
    "view_comparison": {
        "dataset": "made",
        "image_views": ["pixels", "edges"],
        "text_views": ["bow", "tags"],
        "methods": ["cca", "acmr"],
        "metric": "map_all",
        "tasks": ["mean", "img2txt", "txt2img"],
        "caption": f"Mind {HOSTILE}.",
    },
}

ABOUT: dict[str, dict[str, Any]] = {
    "made": {"title": "Made pictures", "source": "made", "licence": "none", "ready_views": [], "cautions": {}},
    "bare": {
        "title": "Bare numbers",
        "source": "made",
        "citation": f"{HOSTILE}. 2010",
        "licence": "none",
        "notes": "Only numbers.",
        "ready_views": ["ready", "tags"],
        "cautions": {"ready": f"learnt on test items, {HOSTILE}"},
    },
}

_DIMENSION = {"type": "integer", "default": 2, "grid": [2, 4, 8], "description": "latent dimension"}
METHODS: dict[str, Any] = {
    "random": {"title": "Random", "hyperparameters": {}, "grid": {}, "fixed": {}},
    "cca": {
        "title": "CCA",
        "hyperparameters": {"n_components": _DIMENSION},
        "grid": {"n_components": [2, 4, 8]},
        "fixed": {},
    },
    "acmr": {"title": "ACMR_$1", "hyperparameters": {}, "grid": {}, "fixed": {}},
    "gmlda": {"title": "GMLDA", "hyperparameters": {}, "grid": {}, "fixed": {}},
}
for _settings in METHODS.values():
    _settings |= {"description": "A method.", "source": "Somebody & Co.", "implementation": "made.Method"}


def write_dataset(root: Path, labels: Sequence[Sequence[str]] | None = None) -> pd.DataFrame:
    """45 pairs of three classes with pictures under root/data/raw, and three splits; returns the pairs.

    The first picture is transparent, the last one is said to be damaged. One caption is hostile, the last one is an
    earlier one in other letters. `labels` replaces the labels.
    """
    rng = np.random.default_rng(0)
    count = 45
    images = root / "data/raw/made/images"
    images.mkdir(parents=True)
    for i in range(count):
        pixels = rng.integers(0, 256, (30, 200, 4), dtype=np.uint8)
        pixels[..., 3] = 0 if i == 0 else 255
        Image.fromarray(pixels).save(images / f"{i:02d}.png")
    pairs = pd.DataFrame(
        {
            "id": [f"item-{i:02d}" for i in range(count)],
            "image": [f"made/images/{i:02d}.png" for i in range(count)],
            "text": [{3: HOSTILE, 44: " Caption  41"}.get(i, f"caption {i}") for i in range(count)],
            "labels": labels or [[CLASSES[i % 3]] for i in range(count)],
            "part": [None] * count,
            "group": [f"item-{i:02d}" for i in range(count)],
        }
    )
    checked = pd.DataFrame(
        {
            "id": pairs["id"],
            "sha256": [str(i) for i in range(count - 1)] + [None],
            "width": pd.array([200] * (count - 1) + [None], dtype="Int64"),
            "height": pd.array([30] * (count - 1) + [None], dtype="Int64"),
            "problem": [None] * (count - 1) + ["cut short"],
        }
    )
    facts = {"classes": list(CLASSES), "dropped": 2}
    folder = root / "data/datasets/made"
    store.write_table(folder / "pairs.parquet", pairs, facts)
    store.write_table(folder / "images.parquet", checked)
    for k in range(3):
        part = np.array(["train", "valid", "test", "test", "test"])[(np.arange(count) // 3 + k) % 5]
        store.write_table(folder / f"splits/random-{k}.parquet", pairs[["id"]].assign(part=part))
    return store.read_table(folder / "pairs.parquet")


def write_bare_dataset(root: Path) -> None:
    """20 pairs of 10 groups with an official test part of 8, whose first group reaches into its train part."""
    groups = [f"group-{i // 2}" for i in range(20)]
    part = ["test"] * 7 + ["train"] * 12 + ["test"]
    names = [f"item-{i:02d}" for i in range(20)]
    nothing = {"image": None, "text": None, "labels": [[] for _ in names]}
    pairs = pd.DataFrame({"id": names, **nothing, "part": part, "group": groups}).astype({"image": object})
    folder = root / "data/datasets/bare"
    store.write_table(folder / "pairs.parquet", pairs, {"classes": [], "dropped": 0})
    for k in range(3):
        drawn = [name if name == "test" or i % 6 != k else "valid" for i, name in enumerate(part)]
        store.write_table(folder / f"splits/official-{k}.parquet", pairs[["id"]].assign(part=drawn))


def write_runs(
    root: Path, values: Mapping[str, Sequence[float]] = VALUES, where: str = "made/random-{}/pixels+bow"
) -> list[Path]:
    """Folders of all runs, without embeddings; each run also has seed 7, which the study does not ask for.

    Of the 27 test texts 9 k are without features in the split of number k, and k train items are left out.
    """
    folders = []
    for method, of_splits in values.items():
        for k, value in enumerate(of_splits):
            folder = root / "results/runs" / where.format(k) / method
            rows = [
                (seed, part, task, metric, seed + (part == "valid") + value + 0.1 * (task == "txt2img"))
                for seed in (0, 7)
                for part in ("valid", "test")
                for task in TASKS
                for metric in ("map_all", "precision_at_1")
            ]
            store.write_table(folder / "metrics.parquet", _frame(rows, ["part", "task", "metric", "value"]))
            levels = np.linspace(0.1, 1, 10)
            curve = [(0, "test", task, level, value * (1.5 - level)) for task in TASKS for level in levels]
            store.write_table(folder / "curves.parquet", _frame(curve, ["part", "task", "recall", "precision"]))
            epochs = 5 + k if method == "acmr" else 0
            steps = [(0, step, name, 1 / step) for step in range(1, epochs + 1) for name in ("loss", "valid_map")]
            store.write_table(folder / "history.parquet", _frame(steps, ["step", "quantity", "value"]))
            chosen = {"n_components": 2 if k else 4} if method == "cca" else {}
            files.write_json(
                folder / "selection.json",
                {
                    "candidates": [
                        {"hyperparameters": chosen, "valid_map": 0.5},
                        {"hyperparameters": {}, "infeasible": "no"},
                    ],
                    "chosen": chosen,
                    "left_out": {"train": k} if k else {},
                    "sizes": {"train": 9, "valid": 9, "test": 27},
                    "featureless": {
                        part: {"images": 0, "texts": 9 * k * (part == "test")} for part in ("train", "valid", "test")
                    },
                    "transductive": False,
                    "sees_pairs": False,
                    "selected_on_test": False,
                    "seeds": [0, 7],
                    "inputs": {"pairs": f"digest {where}", "split": f"digest {k}"},
                    "outputs": {"embeddings": f"digest {k}", "model": f"digest {method}"}
                    | digests_of({"history": folder / "history.parquet"}),
                    "machine": {"system": "made"},
                    "commit": None,
                    "seconds": 1.5,
                    "device": "cpu",
                    "versions": {"numpy": "2.0"},
                },
            )
            folders.append(folder)
    return folders


REASON = f"gmlda: it is defined for one class a pair, {HOSTILE}"


def write_not_applicable_runs(root: Path, method: str, splits: Sequence[int] = range(3)) -> list[Path]:
    """Folders of the runs of a method that is not applicable to these splits of the made data."""
    folders = [root / f"results/runs/made/random-{k}/pixels+bow" / method for k in splits]
    for folder in folders:
        store.write_table(folder / "metrics.parquet", _frame([], ["part", "task", "metric", "value"]))
        store.write_table(folder / "curves.parquet", _frame([], ["part", "task", "recall", "precision"]))
        store.write_table(folder / "history.parquet", _frame([], ["step", "quantity", "value"]))
        files.write_json(folder / "selection.json", {"candidates": [], "left_out": {}, "not_applicable": REASON})
    return folders


def made_study(
    root: Path,
    values: Mapping[str, Sequence[float]] = VALUES,
    config: Mapping[str, Any] = CONFIG,
    reverse: bool = False,
    not_applicable: Mapping[str, Sequence[int]] | None = None,
) -> Study:
    """Collect the made runs into root/study and read them back; methods may be not applicable to some splits."""
    folders, names = write_runs(root, values), {name for block in config["runs"] for name in block["datasets"]}
    if not (root / "data").exists():
        write_dataset(root)
    if "bare" in names:
        write_bare_dataset(root)
        folders += write_runs(root, values, "bare/official-{}/ready+tags")
    for views, of_views in VALUES_OF_VIEWS.items() if "view_comparison" in config else ():
        folders += write_runs(root, of_views, f"made/random-{{}}/{'+'.join(views)}")
    methods = [*values]
    for method, splits in (not_applicable or {}).items():
        methods += [method] if method not in values else []
        folders += [path for path in write_not_applicable_runs(root, method, splits) if path not in folders]
    settings = {"study": config, "methods": {method: METHODS[method] for method in methods}, "datasets": ABOUT}
    data = root / "data/datasets"
    files = [sorted(data.glob(f"*/{name}.parquet"), reverse=reverse) for name in ("pairs", "splits/*", "images")]
    study = collect("made", settings, folders[:: -1 if reverse else 1], *files)
    folder = root / "study"
    study.write(*(folder / name for name in ("results.csv", "curves.parquet", "history.parquet", "study.json")))
    return Study.read(folder)


def _frame(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["seed", *columns])
