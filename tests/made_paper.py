"""A made paper: what it prints, its collected study, and the average precision of every query, known to a test.

It prints mAP on three settings: `made_pixels`, which is run as printed; `made_edges`, on which a substitute is run; and
`lost_pixels`, whose files are missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cmr import files, store
from cmr.papers import measured, records, verdicts
from cmr.papers.cells import cells
from cmr.papers.published import Published
from cmr.results import Run, Study, collect
from tests import made_study

SPLITS = ("random-0", "random-1", "random-2")
SEEDS = (0, 7)  # those of `made_study.write_runs`
METRICS = ("map_all", "map_at_40_hits", "map_at_50_hits")
# Name in the paper -> method of ours.
PRINTED = {"cca": "cca", "gmlda": "gmlda", "acmr": "acmr_small", "blm": "blm", "own": "own"}
ALSO = ("random", "sm")
# Method of ours -> its mean img2txt map_all on each split; the other tasks are higher by `OFFSETS`.
VALUES = {
    "random": (0.20, 0.21, 0.22),
    "sm": (0.38, 0.40, 0.42),
    "cca": (0.30, 0.32, 0.37),
    "gmlda": (0.41, 0.42, 0.46),
    "acmr_small": (0.55, 0.53, 0.57),
    "blm": (0.25, 0.28, 0.24),
    "own": (0.60, 0.62, 0.64),
}
OFFSETS = {"img2txt": 0.0, "txt2img": 0.05, "img2all": 0.02, "txt2all": 0.04}
# Metric -> what it adds to map_all, so that no two metrics are alike.
ADDED = {"map_all": 0.0, "map_at_40_hits": 0.1, "map_at_50_hits": 0.08}
SUBSTITUTE_LOSES = 0.05

METHODS = {
    method: made_study.METHODS["random"] | {"title": title}
    for method, title in {
        "random": "Random", "cca": "CCA", "gmlda": "GMLDA", "acmr_small": "ACMR (small)", "blm": "BLM", "own": "Own",
        "sm": "SM",
    }.items()
}  # fmt: skip


def _alternative(views: str, exact: bool, **others: Any) -> dict[str, Any]:
    image_view, _, text_view = views.partition("+")
    whole = {"dataset": "made", "splits": list(SPLITS), "image_view": image_view, "text_view": text_view}
    whole |= {"views_of": {}, "instead": {}, "exact": exact, "differs": [], "reading": [], "missing": []}
    return whole | others


_COMMON = {"methods": PRINTED, "also": list(ALSO)}
PAPER: dict[str, Any] = {
    "id": "made",
    "citation": "Somebody & Co., 2020",
    "tolerance": 0.01,
    "rehearsal": None,
    "settings": {
        "made_pixels": {
            "of": {"dataset": "made", "features": "pixels"},
            "title": "Made pictures, pixels",
            **_COMMON,
            "alternatives": [_alternative("pixels+bow", True)],
        },
        "made_edges": {
            "of": {"dataset": "made", "features": "edges"},
            "title": "Made pictures, edges",
            **_COMMON,
            "alternatives": [
                _alternative("edges+bow", True, missing=["made/edges"]),
                _alternative("pixels+tags", False, differs=["pixels instead of edges", "tags instead of words"]),
            ],
        },
        "lost_pixels": {
            "of": {"dataset": "lost", "features": "pixels"},
            "title": "Lost pictures",
            **_COMMON,
            "alternatives": [_alternative("pixels+bow", True, dataset="lost", missing=["lost/images", "lost/texts"])],
        },
    },
}
CONFIG: dict[str, Any] = {
    "title": "A made paper",
    "description": "Five methods on made pictures.",
    "runs": [
        made_study.CONFIG["runs"][0] | {"text_views": [text_view], "methods": list(VALUES), "seeds": list(SEEDS)}
        for text_view in ("bow", "tags")
    ],
    "tables": {
        "table_1": {
            "kind": "published",
            "item": "Table 1",
            "caption": "Whole rankings.",
            "rows": ["method"],
            "columns": ["features", "task"],
        },
        "table_2": {
            "kind": "published",
            "item": "Table 2",
            "caption": "First 40.",
            "rows": ["method"],
            "columns": ["dataset", "task"],
        },
    },
    "figures": {
        "figure_1": {
            "kind": "precision_recall",
            "item": "Figure 1",
            "task": "img2txt",
            "dataset": "made",
            "image_view": "pixels",
            "text_view": "bow",
            "methods": ["random", "cca", "own"],
            "caption": "Curves.",
        },
        "figure_2": {
            "kind": "precision_recall",
            "item": "Figure 2",
            "task": "img2txt",
            "caption": "Curves of lost pictures.",
            "unavailable": "Lost pictures needs lost/images, lost/texts",
        },
    },
    "paper": PAPER,
}


@dataclass(frozen=True)
class MadePaper:
    """The study's folder, the study read from it, the folder of its runs, their queries, and what is published."""

    folder: Path
    study: Study
    runs: Path
    queries: dict[Run, pd.DataFrame]
    published: Path


def made_paper(root: Path, values: Mapping[str, Sequence[float]] = VALUES) -> MadePaper:
    """Write all runs below root/results/runs, and the folders root/study, with what is measured and judged, and
    root/published.
    """
    made_study.write_dataset(root)
    split_files = sorted((root / "data/datasets/made/splits").glob("*.parquet"))
    parts = {path.stem: store.read_table(path) for path in split_files}
    ids = {name: list(part["id"][part["part"] == "test"]) for name, part in parts.items()}
    folders, queries = [], {}
    for views, lost in (("pixels+bow", 0.0), ("pixels+tags", SUBSTITUTE_LOSES)):
        for folder in made_study.write_runs(root, values, f"made/random-{{}}/{views}"):
            run = Run.of_folder(folder)
            mean = values[run.method][SPLITS.index(run.split)] - lost * (run.method != "random")
            queries[run] = _queries(ids[run.split], mean, sorted(values).index(run.method))
            store.write_table(folder / "queries.parquet", queries[run])
            store.write_table(folder / "metrics.parquet", _metrics(queries[run]))
            folders.append(folder)
    settings = {"study": CONFIG, "methods": {name: METHODS[name] for name in values}, "datasets": made_study.ABOUT}
    data = root / "data/datasets/made"
    study = collect("made", settings, folders, [data / "pairs.parquet"], split_files, [data / "images.parquet"])
    folder = root / "study"
    study.write(*(folder / name for name in ("results.csv", "curves.parquet", "history.parquet", "study.json")))
    printed = write_published(root / "published")
    read = Study.read(folder)
    numbers = measured.measure(read, queries)
    records.write(folder / "measured.csv", numbers)
    files.write_json(folder / "cells.json", cells(read))
    records.write(folder / "verdicts.csv", verdicts.judge(Published.read(printed), read, numbers))
    return MadePaper(folder, read, root / "results/runs", queries, printed)


def write_published(folder: Path) -> Path:
    """What the made paper prints: Table 1 whole rankings of all settings, Tables 2 and 3 of one the first 40 and the
    all-modal tasks. Returns the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blocks = [
        ("Table 1", "made", "pixels", "map_all", ("img2txt", "txt2img", "average"), tuple(PRINTED)),
        ("Table 1", "made", "edges", "map_all", ("img2txt", "txt2img", "average"), tuple(PRINTED)),
        ("Table 1", "lost", "pixels", "map_all", ("img2txt", "txt2img", "average"), tuple(PRINTED)),
        ("Table 2", "made", "pixels", "map_at_40", ("img2txt", "txt2img", "average"), tuple(PRINTED)),
        ("Table 3", "made", "pixels", "map_all", ("img2all", "txt2all", "average"), tuple(PRINTED)),
    ]
    of_method = dict(zip(PRINTED, (0.331, 0.500, 0.400, 0.250, 0.620), strict=True))
    of_task = {"img2txt": 0.0, "txt2img": 0.05, "average": 0.025, "img2all": 0.02, "txt2all": 0.04}
    rows = ["paper,table,dataset,features,method,task,metric,value,note"]
    for table, dataset, features, metric, tasks, methods in blocks:
        rows += [
            f"made,{table},{dataset},{features},{method},{task},{metric},{of_method[method] + of_task[task]:.3f},"
            for method in methods
            for task in tasks
        ]
    _write(folder / "results.csv", rows)
    ranks = [f"made,Table 1,made+lost,{method},map_all,{rank}" for rank, method in enumerate(PRINTED, 1)]
    _write(folder / "ranks.csv", ["paper,table,datasets,method,metric_ranked,average_rank", *ranks])
    _write(
        folder / "datasets.csv",
        [
            "paper,dataset,n_train,n_val,n_test,n_categories,image_features,text_features,text_dim,image_dim,split_note",
            "made,made,9,9,27,3,pixels|edges,words,7,4,random",
            "made,lost,100,,50,3,pixels,words,7,4,",
        ],
    )
    items = [
        f"made,{item},{kind},{regenerate},made,img2txt|txt2img|average,{'|'.join(PRINTED)},pixels,mAP"
        for item, kind, regenerate in (
            ("Table 1", "table", "yes"),
            ("Table 2", "table", "yes"),
            ("Figure 1", "pr_curve", "yes"),
            ("Figure 2", "pr_curve", "yes"),
            ("Figure 3", "diagram", "no"),
        )
    ]
    _write(folder / "artifacts.csv", ["paper,item,kind,regenerate,datasets,tasks,methods,features,content", *items])
    _write(
        folder / "counts.csv",
        [
            "paper,results,ranks,datasets,artifacts,to_regenerate",
            f"made,{len(rows) - 1},{len(ranks)},2,{len(items)},{sum(',yes,' in item for item in items)}",
        ],
    )
    return folder


def _queries(ids: Sequence[str], mean: float, method: int) -> pd.DataFrame:
    """Average precisions that scatter about a mean, each a little higher under the second seed, in single precision."""
    rng = np.random.default_rng(method)
    scatter = rng.uniform(-0.15, 0.15, len(ids))
    scatter -= scatter.mean()
    parts = [
        pd.DataFrame(
            {"seed": seed, "task": task, "id": ids}
            | {metric: mean + offset + added + scatter + 0.001 * number for metric, added in ADDED.items()}
        )
        for number, seed in enumerate(SEEDS)
        for task, offset in OFFSETS.items()
    ]
    return pd.concat(parts, ignore_index=True).astype(dict.fromkeys(METRICS, "float32"))


def _metrics(queries: pd.DataFrame) -> pd.DataFrame:
    """The scores of a run: means over the queries of the test part; the valid part scores as high."""
    means = queries.astype(dict.fromkeys(METRICS, "float64")).groupby(["seed", "task"])[list(METRICS)].mean()
    tidy = means.reset_index().melt(["seed", "task"], var_name="metric")
    both = pd.concat([tidy.assign(part=part) for part in ("valid", "test")], ignore_index=True)
    return both[["seed", "part", "task", "metric", "value"]]


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join([*lines, ""]), "utf-8")
