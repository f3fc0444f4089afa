"""The report of a study: one page for people, which needs no other file and no network."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from cmr import figures, tables
from cmr.gallery import Gallery, templates
from cmr.results import FLOOR, Study
from cmr.statistics import mean_interval
from cmr.tables import Row, Table


@dataclass(frozen=True)
class Figure:
    name: str
    caption: str
    words: str  # what it shows, for readers who cannot see it
    svg: Markup


@dataclass(frozen=True)
class Featureless:
    """A view that has nothing but zeros for some items."""

    side: str  # "images" or "texts"
    view: str
    shares: dict[str, float]  # part -> share of its items, averaged over splits


@dataclass(frozen=True)
class Hyperparameter:
    name: str
    tried: str
    chosen: str
    description: str


@dataclass(frozen=True)
class MethodFacts:
    title: str
    description: str
    source: str
    candidates: str
    seconds: str
    device: str
    hyperparameters: tuple[Hyperparameter, ...]


@dataclass(frozen=True)
class Report:
    """What the page shows, in the words that it shows."""

    name: str
    title: str
    description: str
    counts: list[tuple[str, int]]
    finding: str
    tables: list[Table]
    figures: list[Figure]
    gallery: Gallery | None
    datasets: list[dict[str, Any]]
    methods: list[MethodFacts]
    runs: int
    image_views: list[str]
    text_views: list[str]
    seeds: list[int]
    versions: dict[str, list[str]]
    command: str


def make_report(study: Study, gallery: Gallery | None, command: str) -> str:
    """The page as HTML.

    gallery : example retrievals, where the study's config asks for them.
    command : what a reader types to make the study.
    """
    facts, config, runs = study.facts, study.config, study.facts["runs"]
    drawn = [tables.make_table(study, name) for name in config["tables"]]
    datasets = [dataset | {"featureless": _featureless(runs, name)} for name, dataset in facts["datasets"].items()]
    counts = [
        ("image-text pairs", sum(dataset["pairs"] for dataset in datasets)),
        ("classes", sum(len(dataset["classes"]) for dataset in datasets)),
        ("methods", len(study.methods)),
        ("splits", sum(len(dataset["splits"]) for dataset in datasets)),
        ("runs", len(runs)),
        ("candidates fitted", sum(run["candidates"] - run["infeasible"] for run in runs)),
    ]
    report = Report(
        name=facts["study"],
        title=config["title"],
        description=config["description"],
        counts=counts,
        finding=_finding(study, drawn[0]) if drawn else "",
        tables=drawn,
        figures=[_figure(study, name) for name in config["figures"]],
        gallery=gallery,
        datasets=datasets,
        methods=[_method(study, method) for method in study.methods],
        runs=len(runs),
        image_views=sorted({run["image_view"] for run in runs}),
        text_views=sorted({run["text_view"] for run in runs}),
        seeds=sorted(int(seed) for seed in study.scores["seed"].unique()),
        versions=facts["versions"],
        command=command,
    )
    return templates().get_template("report.html.j2").render(report=report, note=tables.NOTE)


def _figure(study: Study, name: str) -> Figure:
    svg = figures.to_svg(figures.draw(study, name), name)
    return Figure(name, study.config["figures"][name]["caption"], figures.describe(study, name), Markup(svg))


def _finding(study: Study, table: Table) -> str:
    """The first table in a sentence: its best method, with the floor beside it."""
    column = table.columns.index("mean") if "mean" in table.columns else 0
    best = [row for row in table.rows if row.cells[column].best]
    if not best:
        return ""
    names, verb = " and ".join(row.title for row in best), "has" if len(best) == 1 else "have"
    where = "mean of both directions" if table.columns[column] == "mean" else table.headers[column].lower()
    sentence = f"{names} {verb} the highest {table.measure}: {best[0].cells[column].printed}, {where}."
    if rivals := _not_told_apart(study, table, table.columns[column], best):
        over = study.values_of(study.item("tables", table.name)).index.names[1]
        sentence += f" Its lead over {' and '.join(rivals)} is smaller than its 95 % interval over {over}s."
    floor = [f" A random ranking scores {row.cells[column].printed}." for row in table.rows if row.is_floor]
    return sentence + "".join(floor)


def _not_told_apart(study: Study, table: Table, column: str, best: list[Row]) -> list[str]:
    """Titles of methods that the best one leads by less than the interval of the paired difference."""
    scores = study.values_of(study.item("tables", table.name))[column]
    rivals = []
    for row in table.rows:
        if not row.is_floor and row not in best:
            lead = (scores[best[0].method] - scores[row.method]).dropna()  # in splits, or seeds, that both have
            if len(lead) and mean_interval(lead)[1] <= 0:
                rivals.append(row.title)
    return rivals


def _featureless(runs: Iterable[dict[str, Any]], dataset: str) -> list[Featureless]:
    """Views with items without features, and the share of such items in each part that has some."""
    shares: dict[tuple[str, str], dict[str, dict[str, float]]] = {}  # side and view -> part -> split -> share
    for run in runs:
        if run["dataset"] != dataset:
            continue
        for side, view in (("images", run["image_view"]), ("texts", run["text_view"])):
            for part, counts in run["featureless"].items():
                of_part = shares.setdefault((side, view), {}).setdefault(part, {})
                of_part[run["split"]] = counts[side] / run["sizes"][part]
    means = {
        key: {part: statistics.mean(parts[part].values()) for part in ("train", "valid", "test") if part in parts}
        for key, parts in sorted(shares.items())
    }
    kept = {key: {part: share for part, share in parts.items() if share} for key, parts in means.items()}
    return [Featureless(side, view, parts) for (side, view), parts in kept.items() if parts]


def _method(study: Study, method: str) -> MethodFacts:
    config = study.facts["methods"][method]
    runs = [run for run in study.facts["runs"] if run["method"] == method]
    return MethodFacts(
        title=f"{config['title']} (floor)" if method == FLOOR else config["title"],
        description=config["description"],
        source="" if config["source"] == "none" else config["source"],
        candidates=_candidates(runs),
        seconds=f"{statistics.median(run['seconds'] for run in runs):.1f}",
        device=" and ".join(sorted({run["device"] for run in runs})),
        hyperparameters=tuple(
            Hyperparameter(
                name,
                ", ".join(map(_value, config["grid"][name])) if name in config["grid"] else "fixed",
                _tally(_chosen(run["chosen"][name], config["grid"].get(name, [])) for run in runs),
                spec["description"],
            )
            for name, spec in config["hyperparameters"].items()
        ),
    )


def _candidates(runs: list[dict[str, Any]]) -> str:
    """`40`, or `40 (3 infeasible)`; ranges where runs differ."""
    text, infeasible = (_range([run[key] for run in runs]) for key in ("candidates", "infeasible"))
    return text if infeasible == "0" else f"{text} ({infeasible} infeasible)"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _chosen(value: Any, grid: Sequence[Any]) -> str:
    """The value, marked where a wider grid might do better: at an end of three numbers or more."""
    numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in grid)
    at_edge = numeric and len(grid) >= 3 and value in (min(grid), max(grid))
    return f"{_value(value)} (edge of its grid)" if at_edge else _value(value)


def _tally(values: Iterable[str]) -> str:
    """`10`, or `10 in 3 runs, 40 in 2` where runs differ; the most frequent first."""
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return counts[0][0]
    (value, times), *others = counts
    return ", ".join([f"{value} in {times} runs", *(f"{value} in {times}" for value, times in others)])


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
