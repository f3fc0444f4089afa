"""The files that the runs of a small made study leave, with scores that a test knows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from cmr import store
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

ABOUT = {"made": {"title": "Made pictures", "source": "made", "licence": "none"}}

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
}
for _settings in METHODS.values():
    _settings |= {"description": "A method.", "source": "Somebody & Co.", "implementation": "made.Method"}


def write_dataset(root: Path, labels: Sequence[Sequence[str]] | None = None) -> pd.DataFrame:
    """45 pairs of three classes with pictures under root/data/raw, and three splits; returns the pairs.

    The first picture is transparent, one caption is hostile. `labels` replaces the labels.
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
            "text": [HOSTILE if i == 3 else f"caption {i}" for i in range(count)],
            "labels": labels or [[CLASSES[i % 3]] for i in range(count)],
        }
    )
    facts = {"classes": list(CLASSES), "dropped": 2}
    folder = root / "data/datasets/made"
    store.write_table(folder / "pairs.parquet", pairs, facts)
    for k in range(3):
        part = np.array(["train", "valid", "test", "test", "test"])[(np.arange(count) // 3 + k) % 5]
        store.write_table(folder / f"splits/random-{k}.parquet", pairs[["id"]].assign(part=part))
    return store.read_table(folder / "pairs.parquet")


def write_runs(root: Path, values: Mapping[str, Sequence[float]] = VALUES) -> list[Path]:
    """Folders of all runs, without embeddings; each run also has seed 7, which the study does not ask for.

    Of the 27 test texts 9 k are without features in the split random-k.
    """
    folders = []
    for method, of_splits in values.items():
        for k, value in enumerate(of_splits):
            folder = root / f"results/runs/made/random-{k}/pixels+bow/{method}"
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
            store.write_json(
                folder / "selection.json",
                {
                    "candidates": [
                        {"hyperparameters": chosen, "valid_map": 0.5},
                        {"hyperparameters": {}, "infeasible": "no"},
                    ],
                    "chosen": chosen,
                    "sizes": {"train": 9, "valid": 9, "test": 27},
                    "featureless": {
                        part: {"images": 0, "texts": 9 * k * (part == "test")} for part in ("train", "valid", "test")
                    },
                    "seconds": 1.5,
                    "device": "cpu",
                    "versions": {"numpy": "2.0"},
                },
            )
            folders.append(folder)
    return folders


def made_study(
    root: Path,
    values: Mapping[str, Sequence[float]] = VALUES,
    config: Mapping[str, Any] = CONFIG,
    reverse: bool = False,
) -> Study:
    """Collect the made runs into root/study and read them back."""
    folders = write_runs(root, values)
    if not (root / "data").exists():
        write_dataset(root)
    data = root / "data/datasets/made"
    settings = {"study": config, "methods": {method: METHODS[method] for method in values}, "datasets": ABOUT}
    splits = sorted(data.glob("splits/*.parquet"), reverse=reverse)
    study = collect("made", settings, folders[:: -1 if reverse else 1], [data / "pairs.parquet"], splits)
    folder = root / "study"
    study.write(*(folder / name for name in ("results.csv", "curves.parquet", "history.parquet", "study.json")))
    return Study.read(folder)


def _frame(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["seed", *columns])
