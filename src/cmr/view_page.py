"""The comparison of a study's views as one page for people, which needs no other file and no network."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from cmr import figures, store
from cmr.figures import Drawing
from cmr.gallery import templates
from cmr.results import SETTING, TASK_TITLES, Study, metric_name, metric_title, span
from cmr.statistics import mean_interval
from cmr.tables import DIGITS, Cell, mark_best
from cmr.view_comparison import FACTORS, Comparison, Lead
from cmr.ways import Way, ways

FACTOR_TITLES = dict(zip(FACTORS, ("Image view", "Text view", "Method", "Split"), strict=True))
SHADES = (5, 42)  # per cent of the accent colour behind the lowest and the highest number; more would hide the ink


@dataclass(frozen=True)
class Matrix:
    """Image views as rows, text views as columns: of each pair its number, per cent of colour, and the way to it."""

    method: str
    rows: list[tuple[str, list[tuple[Cell, int, str]]]]


@dataclass(frozen=True)
class TaskMatrices:
    """A matrix a method, on one scale of colour from the lowest to the highest number of all."""

    title: str
    lowest: str
    highest: str
    floor: str
    matrices: list[Matrix]


@dataclass(frozen=True)
class AverageRow:
    """A view's mean over all else: a cell a method, then one over all methods."""

    view: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ShareRow:
    """What a factor explains; `spread` is the best of its levels less the worst."""

    factor: str
    share: str
    spread: str
    levels: str


@dataclass(frozen=True)
class ViewFacts:
    """What is told of a view.

    Attributes
    ----------
    dimension : of one item, e.g. `1280`, `49 by 512`; a range where splits differ.
    made_by : class or reader, or the views that it has side by side; `options` are its parameters.
    is_learnt : from the train part of each split.
    featureless : share of the test items that have nothing but zeros, averaged over splits; empty where there are none.
    """

    name: str
    description: str
    caution: str
    dimension: str
    made_by: str
    options: str
    is_learnt: bool
    featureless: str


@dataclass(frozen=True)
class Page:
    """What the page shows, in the words that it shows."""

    study: str
    title: str
    dataset: str
    caption: str
    measure: str
    counts: list[tuple[str, int]]
    finding: str
    text_views: list[str]
    methods: list[str]
    first: TaskMatrices
    others: list[TaskMatrices]
    drawing: Drawing
    averages: list[tuple[str, list[AverageRow]]]
    shares: list[ShareRow]
    leads: list[tuple[str, str]]
    views: list[tuple[str, list[ViewFacts]]]
    splits: list[str]
    test_items: str
    ways: list[Way]


def read_dimensions(paths: Iterable[Path]) -> dict[str, str]:
    """View -> shape of one item, as words; the files of a view that is learnt in every split share their name."""
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for path in paths:
        with store.ViewFile.open(path) as view:
            shapes.setdefault(path.stem, set()).add(view.values.shape[1:])
    return {view: span(found, lambda shape: " by ".join(map(str, shape))) for view, found in shapes.items()}


def render(
    study: Study,
    comparison: Comparison,
    views: Mapping[str, Mapping[str, Mapping[str, Any]]],
    dimensions: Mapping[str, Mapping[str, str]],
    settings: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The page as HTML.

    views : "image" and "text" -> view -> its config.
    dimensions : "image" and "text" -> view -> what `read_dimensions` says of it.
    settings : of the configuration that commands for numbers repeat, as `cmr.ways.command` takes them.
    """
    spec, names, task = study.config["view_comparison"], comparison.names, comparison.tasks[0]
    runs = _compared_runs(study, comparison)
    known = {key: way for key, way in ways(study, settings).items() if key in {_key(run) for run in runs}}
    matrices = [_matrices(study, comparison, one, known) for one in comparison.tasks]
    page = Page(
        study=study.facts["study"],
        title=study.config["title"],
        dataset=study.facts["datasets"][spec["dataset"]]["title"],
        caption=spec["caption"],
        measure=metric_title(spec["metric"]),
        counts=[
            ("image views", len(names["image_view"])),
            ("text views", len(names["text_view"])),
            ("pairs of views", len(names["image_view"]) * len(names["text_view"])),
            ("methods", len(names["method"])),
            ("splits", len(names["split"])),
            ("runs", len(runs)),
        ],
        finding=_finding(study, comparison, matrices[0]),
        text_views=names["text_view"],
        methods=[study.method_label(method) for method in names["method"]],
        first=matrices[0],
        others=matrices[1:],
        drawing=_drawing(study, comparison),
        averages=[
            (f"{FACTOR_TITLES[factor]}s", _average_rows(comparison, task, factor))
            for factor in ("image_view", "text_view")
        ],
        shares=_share_rows(comparison, task),
        leads=_leads(study, comparison, task),
        views=[
            (f"{modality.capitalize()} views", [_view(modality, name, views, dimensions, runs) for name in names[key]])
            for modality, key in (("image", "image_view"), ("text", "text_view"))
        ],
        splits=names["split"],
        test_items=span([run["sizes"]["test"] for run in runs]),
        ways=list(known.values()),
    )
    return templates().get_template("views.html.j2").render(page=page)


def _compared_runs(study: Study, comparison: Comparison) -> list[dict[str, Any]]:
    dataset = study.config["view_comparison"]["dataset"]
    return [
        run
        for run in study.facts["runs"]
        if run["dataset"] == dataset and all(run[factor] in names for factor, names in comparison.names.items())
    ]


def _key(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the way to a run's numbers."""
    return (run["method"], *(run[key] for key in SETTING))


def _matrices(study: Study, comparison: Comparison, task: str, known: Mapping[tuple[str, ...], Way]) -> TaskMatrices:
    summary, names = comparison.summary(), comparison.names
    summary = summary[summary["task"] == task]
    lowest, highest = summary["mean"].min(), summary["mean"].max()
    floors = [f"{floor:.{DIGITS}f}" for floor in summary["floor"] if not math.isnan(floor)]

    def shade(mean: float) -> int:
        place = (mean - lowest) / (highest - lowest) if highest > lowest else 0.0
        return round(SHADES[0] + place * (SHADES[1] - SHADES[0]))

    matrices = []
    for method in names["method"]:
        own = summary[summary["method"] == method]
        pairs = own[["method", "image_view", "text_view"]].to_dict("records")
        names_of = [known[_key(pair | {"dataset": study.config["view_comparison"]["dataset"]})].name for pair in pairs]
        cells = zip(_cells(own, comparison), names_of, strict=True)
        shaded = [(cell, shade(cell.mean), way) for cell, way in cells]
        width = len(names["text_view"])
        rows = [(view, shaded[k * width : (k + 1) * width]) for k, view in enumerate(names["image_view"])]
        matrices.append(Matrix(study.method_label(method), rows))
    ends = (f"{number:.{DIGITS}f}" for number in (lowest, highest))
    floor = f"A random ranking scores {span(floors)}." if floors else "What a random ranking scores was not measured."
    return TaskMatrices(_title(task), *ends, floor, matrices)


def _cells(numbers: pd.DataFrame, comparison: Comparison) -> tuple[Cell, ...]:
    """Of columns mean, low and high, the best marked."""
    n = len(comparison.names["split"])
    return mark_best(Cell(row.mean, row.low, row.high, n) for row in numbers.itertuples(index=False))


def _average_rows(comparison: Comparison, task: str, factor: str) -> list[AverageRow]:
    columns = []
    for method in (*comparison.names["method"], None):
        averages = comparison.averages(task, [factor], method).values()
        columns.append(_cells(pd.DataFrame(map(mean_interval, averages), columns=["mean", "low", "high"]), comparison))
    return [AverageRow(*row) for row in zip(comparison.names[factor], zip(*columns, strict=True), strict=True)]


def _share_rows(comparison: Comparison, task: str) -> list[ShareRow]:
    shares = comparison.shares(task)
    rows = []
    for factor, means in comparison.level_means(task).items():
        spread = f"{np.ptp(means):.{DIGITS}f}" if len(means) > 1 else "only one"
        rows.append(ShareRow(FACTOR_TITLES[factor], _percent(shares[factor]), spread, str(len(means))))
    return [*rows, ShareRow("Their combinations, and chance", _percent(shares["rest"]), "", "")]


def _leads(study: Study, comparison: Comparison, task: str) -> list[tuple[str, str]]:
    """What is compared -> the best against the runner-up, in words."""
    pair, names = ["image_view", "text_view"], comparison.names
    asked = [
        ("Image views, averaged over methods and text views", ["image_view"], None),
        ("Text views, averaged over methods and image views", ["text_view"], None),
        ("Pairs of views, averaged over methods", pair, None),
        *((f"Pairs of views, {study.method_label(method)}", pair, method) for method in names["method"]),
    ]
    if min(len(names[factor]) for factor in (*pair, "method")) == 1:  # the averaged pairs are what another line tells
        del asked[2]
    found = [(title, comparison.lead(task, factors, method)) for title, factors, method in asked]
    return [(title, _lead(lead)) for title, lead in found if lead]


def _lead(lead: Lead) -> str:
    best, other = (" with ".join(names) for names in (lead.best, lead.runner_up))
    told = f"{best} leads {other} by {_signed(lead.mean)}"
    if math.isnan(lead.low):
        return f"{told}; one split gives no interval."
    told += f", 95 % interval {_signed(lead.low)} to {_signed(lead.high)}"
    return f"{told}: {'told apart' if lead.low > 0 else 'not told apart'} by these splits."


def _finding(study: Study, comparison: Comparison, first: TaskMatrices) -> str:
    """The best views on average and the best combination, with the floor beside them, and what views explain."""
    task, sentences = comparison.tasks[0], []
    for factor, others in (("image_view", "text views"), ("text_view", "image views")):
        if lead := comparison.lead(task, [factor]):
            title, mean = FACTOR_TITLES[factor].lower(), comparison.averages(task, [factor])[lead.best].mean()
            sentences.append(
                f"{lead.best[0]} is the best {title} on average over methods and {others}: "
                f"{mean:.{DIGITS}f}{_doubt(lead)}."
            )
    summary = comparison.summary()
    top = summary.loc[summary[summary["task"] == task]["mean"].idxmax()]
    cell = Cell(top["mean"], top["low"], top["high"], top["n_splits"])
    sentences.append(
        f"The highest single value is {cell}: {study.method_label(top['method'])} with {top['image_view']} and "
        f"{top['text_view']}. {first.floor}"
    )
    shares = comparison.shares(task)
    explained = [
        f"by {FACTOR_TITLES[factor].lower()}s {_percent(shares[factor])}"
        for factor in FACTORS[:3]
        if len(comparison.names[factor]) > 1
    ]
    if explained:
        sentences.append(f"Of the variance of the scores is explained: {', '.join(explained)}.")
    measure = metric_name(study.config["view_comparison"]["metric"])
    return " ".join([f"{measure}, {first.title}.", *sentences])


def _doubt(lead: Lead) -> str:
    if math.isnan(lead.low):
        return f"; one split cannot tell it apart from {lead.runner_up[0]}"
    return "" if lead.low > 0 else f"; these splits do not tell it apart from {lead.runner_up[0]}"


def _drawing(study: Study, comparison: Comparison) -> Drawing:
    task = comparison.tasks[0]
    cells = comparison.summary().query("task == @task").rename(columns={"text_view": "group", "image_view": "series"})
    panels = {
        study.method_label(method): cells[cells["method"] == method].sort_values(
            "group", key=lambda groups: groups.map(comparison.names["text_view"].index), kind="stable"
        )
        for method in comparison.names["method"]
    }
    measure = metric_name(study.config["view_comparison"]["metric"])
    caption = (
        f"{measure}, {_title(task)}. A block a text view, a dot an image view; lines are 95 % intervals over splits. "
        "The axis does not begin at zero."
    )
    words = f"Dots with intervals of {measure}, {_title(task)}; the numbers are those of the first tables."
    return figures.in_page(figures.draw_intervals(panels, measure), "views", caption, words)


def _view(
    modality: str,
    name: str,
    views: Mapping[str, Mapping[str, Mapping[str, Any]]],
    dimensions: Mapping[str, Mapping[str, str]],
    runs: Sequence[Mapping[str, Any]],
) -> ViewFacts:
    settings = views[modality][name]
    made_by = " + ".join(settings["concatenate"]) if "concatenate" in settings else ""
    of_split = {
        run["split"]: run["featureless"]["test"][f"{modality}s"] / run["sizes"]["test"]
        for run in runs
        if run[f"{modality}_view"] == name
    }
    share = np.mean(list(of_split.values()))
    return ViewFacts(
        name=name,
        description=settings["description"],
        caution=settings.get("caution", ""),
        dimension=dimensions[modality][name],
        made_by=made_by or settings.get("implementation") or settings["reader"],
        options=", ".join(f"{key} {value}" for key, value in settings["options"].items()),
        is_learnt=settings.get("learnt", False),
        featureless=f"{100 * share:.1f} %" if share else "",
    )


def _title(task: str) -> str:
    return "mean of both directions" if task == "mean" else TASK_TITLES[task].lower()


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _signed(number: float) -> str:
    return f"{number:.{DIGITS}f}".replace("-", "\N{MINUS SIGN}")
