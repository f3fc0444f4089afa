"""Tables of a paper's study beside those of mAP: the data sets, and tests on average ranks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cmr.datasets.pairs import PARTS
from cmr.papers.grids import Axis, Entry, Footnotes, Grid, Note, PaperTable
from cmr.papers.plan import first_run, needs
from cmr.papers.published import AVERAGE, MEASURED_BY
from cmr.papers.sources import NOT_RUN, Sources
from cmr.results import metric_name, span
from cmr.statistics import (
    Friedman,
    average_ranks,
    friedman,
    friedman_of_average_ranks,
    iman_davenport,
    nemenyi,
    nemenyi_critical_difference,
)
from cmr.statistics import ranks as ranks_of

SIZES = {"n_train": "Train", "n_val": "Valid", "n_test": "Test", "n_categories": "Categories"}
_COLUMNS = {**SIZES, "image_features": "Image features", "text_features": "Text features"}
STATISTICS = {
    "chi2": ("Friedman", "χ²"),
    "p": ("Friedman", "p"),
    "tied": ("Corrected for ties", "χ²"),
    "p_tied": ("Corrected for ties", "p"),
    "f": ("Iman-Davenport", "F"),
    "p_f": ("Iman-Davenport", "p"),
    "critical_difference": ("Nemenyi", "Critical difference"),
}
LEVEL = 0.05  # of Nemenyi's test, as of its critical difference


@dataclass(frozen=True)
class _About:
    """What is told of a data set by one source; nothing: it was not run."""

    source: str
    sizes: Sequence[str] = ()
    features: Sequence[str] = ()


def dataset_table(sources: Sources, name: str, spec: Mapping[str, Any]) -> PaperTable:
    """Sizes and features of the data sets: what the paper prints, and under it what was run."""
    printed = sources.published.datasets
    notes, titles, cells, records = Footnotes(), [], [], []
    for row in printed[printed["paper"] == sources.paper["id"]].itertuples(index=False):
        features = (_with_widths(row.image_features, row.image_dim), _with_widths(row.text_features, row.text_dim))
        theirs = _About("as printed", [_whole(getattr(row, size)) for size in SIZES], features)
        for about in (theirs, *(_ours(sources, row.dataset) or [_About("ours")])):
            words = [*about.sizes, *about.features]
            records.append([sources.paper["id"], row.dataset, about.source, *(words or [""] * len(_COLUMNS))])
            titles.append((sources.dataset_title(row.dataset), about.source))
            entries = tuple(map(Entry, words or [NOT_RUN] * len(_COLUMNS)))
            if not words:
                letter = notes.letter(f"Not run: {_lacking(sources, row.dataset)}.")
                entries = (Entry(NOT_RUN, footnote=letter), *entries[1:])
            cells.append(entries)
    grid = Grid(
        name="datasets",
        title="As printed and ours",
        rows=Axis(("Data set", "Source"), tuple(titles)),
        columns=Axis(("Number",), tuple((title,) for title in _COLUMNS.values())),
        cells=tuple(cells),
        notes=notes.notes,
        words=frozenset(range(len(SIZES), len(_COLUMNS))),
    )
    return PaperTable(
        name=name,
        item=spec["item"],
        caption=spec["caption"],
        grids=(grid,),
        notes=("Numbers of items in the parts; what is blank is not printed.",),
        warning=sources.warning,
        records=pd.DataFrame(records, columns=["paper", "dataset", "source", *_COLUMNS]),
    )


def _ours(sources: Sources, dataset: str) -> list[_About]:
    """What stands for a data set of the paper: the first alternatives of its settings, those of the same sizes once."""
    alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for setting in sources.settings.values():
        if setting["of"]["dataset"] == dataset and (one := first_run(setting)):
            facts = sources.study.facts["datasets"][one["dataset"]]
            splits = [facts["splits"][split] for split in one["splits"]]
            sizes = [span(split[part] for split in splits) for part in PARTS]
            alike.setdefault((one["dataset"], *sizes, str(len(facts["classes"]))), []).append(one)
    return [
        _About(
            "ours" if ours == dataset else f"ours: {sources.dataset_title(ours)}",
            sizes,
            [", ".join(dict.fromkeys(one[f"{side}_view"] for one in shown)) for side in ("image", "text")],
        )
        for (ours, *sizes), shown in alike.items()
    ]


def _lacking(sources: Sources, dataset: str) -> str:
    settings = [one for one in sources.settings.values() if one["of"]["dataset"] == dataset]
    wanted = dict.fromkeys(f"needs {needs(setting)}" for setting in settings)
    return "; ".join(wanted) or "no setting of the study is about it"


@dataclass(frozen=True)
class _Ranked:
    """Average ranks of the methods, and the statistics that follow, by the keys of `STATISTICS`.

    No ranks: there are none. printed : the digits of the statistics are those of the paper.
    """

    source: str
    ranks: Sequence[float] = ()
    tests: Mapping[str, float] = field(default_factory=dict)
    printed: bool = False

    def entries(self, methods: int) -> tuple[Entry, ...]:
        """The cells of a row; where there are no ranks, with the footnote `a`."""
        if not len(self.ranks):
            return (Entry(NOT_RUN, footnote="a"), *[Entry(NOT_RUN)] * (methods + len(STATISTICS) - 1))
        words = [f"{rank:.6g}" for rank in self.ranks]
        for name in STATISTICS:
            value = self.tests.get(name, math.nan)
            words.append(f"{value:g}" if self.printed and name in self.tests else _number(name, value))
        return tuple(Entry(text) for text in words)


def rank_table(sources: Sources, name: str, spec: Mapping[str, Any]) -> PaperTable:
    """Tests of whether all methods are alike, a grid a metric: as printed, of printed ranks and mAP, ours.

    spec : item, caption, and `printed`: metric -> `chi2` and `f` that the paper prints.
    """
    grids, records = [], []
    for metric, statistics in spec["printed"].items():
        printed = sources.ranks[sources.ranks["metric_ranked"] == metric]
        methods = list(printed["method"])
        lines = _ranked(sources, metric, printed, statistics)
        grids.append(_rank_grid(sources, metric, methods, lines))
        for line in lines:
            records += [
                (metric, line.source, f"average_rank_{method}", rank)
                for method, rank in zip(methods, line.ranks, strict=False)
            ]
            records += [(metric, line.source, statistic, value) for statistic, value in line.tests.items()]
    return PaperTable(
        name=name,
        item=spec["item"],
        caption=spec["caption"],
        grids=tuple(grids),
        notes=(
            "Rank 1 is the best, ties share their mean. F is (n - 1) χ² / (n (k - 1) - χ²), of χ² without correction "
            "for ties, with n data sets and k methods. Two methods differ at 5 % where their average ranks are further "
            "apart than the critical difference.",
        ),
        warning=sources.warning,
        records=pd.DataFrame(records, columns=["metric", "source", "statistic", "value"]),
    )


def _ranked(
    sources: Sources, metric: str, printed: pd.DataFrame, statistics: Mapping[str, float]
) -> tuple[_Ranked, ...]:
    methods, ranks = list(printed["method"]), printed["average_rank"].to_numpy()
    n = len(printed["datasets"].iloc[0].split("+"))
    values = _printed_values(sources, metric, methods)
    ours = sources.measured_ranks(metric, methods)
    return (
        _Ranked("as printed", ranks, statistics, printed=True),
        _Ranked("from the printed ranks", ranks, _tests(friedman_of_average_ranks(ranks, n), n, len(methods))),
        _Ranked("from the printed mAP", average_ranks(values), _tests(friedman(ranks_of(values)), *values.shape)),
        _Ranked("ours")
        if ours is None
        else _Ranked(f"ours, on {len(ours)} data sets", ours.mean(axis=0), _tests(friedman(ours), *ours.shape)),
    )


def _rank_grid(sources: Sources, metric: str, methods: Sequence[str], lines: Sequence[_Ranked]) -> Grid:
    ours = {name: own for setting in sources.settings.values() for name, own in setting["methods"].items()}
    titles = [sources.method_title(ours.get(method, method)) for method in methods]
    notes = [Note(_told_apart("From the printed mAP", _printed_values(sources, metric, methods), titles))]
    if len(lines[-1].ranks):
        values = sources.measured_values(metric, methods)
        measured = ", ".join(sources.settings[name]["title"] for name in values.index)
        notes.append(Note(_told_apart("From ours", values, titles)))
        notes.append(Note(f"Ours: on {measured}, each on the alternative that the tables of mAP show first."))
    else:
        notes.insert(0, Note(sources.why_no_ranks(metric, methods), "a"))
    return Grid(
        name=metric,
        title=f"{metric_name(MEASURED_BY[metric])}, average of both tasks",
        rows=Axis(("Source",), tuple((line.source,) for line in lines)),
        columns=Axis(("Test", "Number"), (*(("Average rank", title) for title in titles), *STATISTICS.values())),
        cells=tuple(line.entries(len(methods)) for line in lines),
        notes=tuple(notes),
    )


def _told_apart(source: str, values: pd.DataFrame, titles: Sequence[str]) -> str:
    """The pairs of methods that Nemenyi's test tells apart. values : a row a data set, a column a method."""
    p = nemenyi(values)
    found = [
        f"{titles[i]} and {titles[j]} (p {p[i, j]:.4f})"
        for i, j in combinations(range(len(titles)), 2)
        if p[i, j] < LEVEL
    ]
    return f"{source}, Nemenyi's test tells apart at {LEVEL:.0%}: {', '.join(found) or 'no two methods'}."


def _printed_values(sources: Sources, metric: str, methods: Sequence[str]) -> pd.DataFrame:
    """The averages that the paper prints: a row a data set, a column a method."""
    rows = sources.published.results
    rows = rows[(rows["paper"] == sources.paper["id"]) & (rows["metric"] == metric) & (rows["task"] == AVERAGE)]
    return rows.pivot(index="dataset", columns="method", values="value")[list(methods)]


def _tests(test: Friedman, n: int, k: int) -> dict[str, float]:
    """By the keys of `STATISTICS`."""
    f = iman_davenport(test.chi2, n, k)
    return {
        "chi2": test.chi2,
        "p": test.p,
        "tied": test.tied,
        "p_tied": test.p_tied,
        "f": f.f,
        "p_f": f.p,
        "critical_difference": nemenyi_critical_difference(n, k, LEVEL),
    }


def _number(name: str, value: float) -> str:
    if np.isnan(value):
        return ""
    return "∞" if np.isinf(value) else f"{value:.{4 if name.startswith('p') else 3}f}"


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else str(int(value))


def _with_widths(features: str, widths: str) -> str:
    """`a|b` and `1|2` as `a (1); b (2)`; what is not printed is left out."""
    kinds, numbers = features.split("|"), widths.split("|")
    pairs = zip(kinds, numbers if len(numbers) == len(kinds) else [""] * len(kinds), strict=True)
    return "; ".join(f"{kind} ({width})" if width else kind for kind, width in pairs)
