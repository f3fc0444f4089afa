"""Every number that a paper prints, beside ours: rows of verdicts.csv as a page shows them, and the ways to ours."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cmr.papers.published import AVERAGE
from cmr.papers.sources import Sources
from cmr.results import TASK_TITLES, Run, Study
from cmr.tables import DIGITS
from cmr.ways import Way, steps_of


@dataclass(frozen=True)
class Number:
    """A published number and ours; `way` is the name of the way to ours, empty where there is none."""

    table: str
    setting: str
    method: str
    task: str
    metric: str
    published: str
    measured: str
    interval: str
    floor: str
    verdict: str
    reason: str
    way: str


def ways_of_cells(study: Study, cells: Mapping[str, Mapping[str, Any]]) -> dict[str, Way]:
    """Key of a cell, as `cmr.papers.cells.cells` gives it -> the way to its number; of cells that have runs."""
    steps, found = steps_of(study), {}
    for key, cell in cells.items():
        views = (cell["image_view"], cell["text_view"], cell["run_method"])
        runs = [Run(cell["dataset"], split, *views) for split in cell["splits"] if split in cell["runs"]]
        if not runs:
            continue
        title = f"{study.method_label(cell['run_method'])} on {study.facts['datasets'][cell['dataset']]['title']}"
        facts = [("Seeds", ", ".join(map(str, cell["seeds"]))), ("Not as printed", "; ".join(cell["differs"]))]
        found[key] = Way(
            name=f"way-{len(found) + 1}",
            title=f"{title}, {cell['image_view']} and {cell['text_view']}",
            steps=tuple(steps[run] for run in runs),
            command=cell["command"],
            facts=tuple((name, text) for name, text in facts if text),
        )
    return found


def numbers(sources: Sources, verdicts: pd.DataFrame, ways: Mapping[str, Way]) -> list[Number]:
    """One for each row of verdicts.csv, in order."""
    return [_number(sources, row, ways) for row in verdicts.to_dict("records")]


def _number(sources: Sources, row: Mapping[str, Any], ways: Mapping[str, Way]) -> Number:
    setting = sources.settings[sources.setting_of(row["dataset"], row["features"])]
    method = setting["methods"].get(row["method"], row["method"])
    between = math.isfinite(row["low"])
    return Number(
        table=row["table"],
        setting=setting["title"],
        method=sources.method_title(method),
        task={**TASK_TITLES, AVERAGE: "Average"}[row["task"]],
        metric=row["metric"].removeprefix("map_").replace("_", " "),
        published=_printed(row["published"]),
        measured=_printed(row["measured"]),
        interval=f"{_printed(row['low'])} to {_printed(row['high'])}" if between else "",
        floor=_printed(row["random_floor"]),
        verdict=row["verdict"],
        reason=row["reason"],
        way=ways[row["cell"]].name if row["cell"] in ways else "",
    )


def _printed(value: float) -> str:
    return f"{value:.{DIGITS}f}" if math.isfinite(value) else ""
