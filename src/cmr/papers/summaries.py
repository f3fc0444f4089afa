"""Tables of a paper's study beside those of mAP: the data sets, and tests on average ranks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cmr.datasets.pairs import PARTS
from cmr.papers.grids import Axis, Entry, Grid, Note, PaperTable
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
    nemenyi_critical_difference,
)
from cmr.statistics import ranks as ranks_of

SIZES = {"n_train": "Train", "n_val": "Valid", "n_test": "Test", "n_categories": "Categories"}
_OF_PART = dict(zip(("train", "valid", "test"), ("n_train", "n_val", "n_test"), strict=True))
STATISTICS = {
    "chi2": ("Friedman", "χ²"),
    "p": ("Friedman", "p"),
    "tied": ("Corrected for ties", "χ²"),
    "p_tied": ("Corrected for ties", "p"),
    "f": ("Iman-Davenport", "F"),
    "p_f": ("Iman-Davenport", "p"),
    "critical_difference": ("Nemenyi", "Critical difference"),
}


def dataset_table(sources: Sources, name: str, spec: Mapping[str, Any]) -> PaperTable:
    """Sizes and features of the data sets: what the paper prints, and under it what was run."""
    printed = sources.published.datasets
    records, cells, titles = [], [], []
    lacking: list[Note] = []
    for row in printed[printed["paper"] == sources.paper["id"]].itertuples(index=False):
        features = (_with_widths(row.image_features, row.image_dim), _with_widths(row.text_features, row.text_dim))
        lines = [("as printed", [_whole(getattr(row, size)) for size in SIZES], features), *_ours(sources, row.dataset)]
        if len(lines) == 1:
            letter = chr(ord("a") + len(lacking))
            settings = [one for one in sources.settings.values() if one["of"]["dataset"] == row.dataset]
            wanted = dict.fromkeys(needs(setting) for setting in settings)
            told = f"needs {'; '.join(wanted)}" if wanted else "no setting of the study is about it"
            lacking.append(Note(f"Not run: {told}.", letter))
            lines.append(("ours", [NOT_RUN] * len(SIZES), (NOT_RUN, NOT_RUN)))
        for source, sizes, words in lines:
            not_run = lacking[-1].letter if sizes[0] == NOT_RUN else ""
            cells.append(
                tuple(Entry(text, footnote=not_run if not i else "") for i, text in enumerate([*sizes, *words]))
            )
            titles.append((sources.dataset_title(row.dataset), source))
            values = ["" if value == NOT_RUN else value for value in (*sizes, *words)]
            records.append([sources.paper["id"], row.dataset, source, *values])
    columns = [*SIZES.values(), "Image features", "Text features"]
    grid = Grid(
        name="datasets",
        title="As printed and ours",
        rows=Axis(("Data set", "Source"), tuple(titles)),
        columns=Axis(("Column",), tuple((title,) for title in columns)),
        cells=tuple(cells),
        notes=tuple(lacking),
        words=frozenset({len(SIZES), len(SIZES) + 1}),
    )
    return PaperTable(
        name=name,
        item=spec["item"],
        caption=spec["caption"],
        grids=(grid,),
        notes=("Numbers of items in the parts; what is blank is not printed.",),
        warning=sources.warning,
        records=pd.DataFrame(
            records, columns=["paper", "dataset", "source", *SIZES, "image_features", "text_features"]
        ),
    )


def _ours(sources: Sources, dataset: str) -> list[tuple[str, list[str], tuple[str, str]]]:
    """Lines of what stands for a data set of the paper: those of the first alternatives of its settings."""
    views: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for setting in sources.settings.values():
        if setting["of"]["dataset"] == dataset and (one := first_run(setting)):
            facts = sources.study.facts["datasets"][one["dataset"]]
            splits = [facts["splits"][split] for split in one["splits"]]
            sizes = [span(split[part] for split in splits) for part in PARTS]
            views.setdefault((one["dataset"], *sizes, str(len(facts["classes"]))), []).append(one)
    return [
        (
            "ours" if ours == dataset else f"ours: {sources.dataset_title(ours)}",
            sizes,
            tuple(", ".join(dict.fromkeys(one[f"{side}_view"] for one in alternatives)) for side in ("image", "text")),
        )
        for (ours, *sizes), alternatives in views.items()
    ]


def rank_table(sources: Sources, name: str, spec: Mapping[str, Any]) -> PaperTable:
    """Tests of whether all methods are alike, a grid a metric: as printed, of printed ranks and mAP, ours."""
    grids, records = [], []
    for metric, statistics in spec["printed"].items():
        printed = sources.ranks[sources.ranks["metric_ranked"] == metric]
        methods, n = list(printed["method"]), len(printed["datasets"].iloc[0].split("+"))
        ranks = printed["average_rank"].to_numpy()
        values = _printed_values(sources, metric, methods)
        lines = [
            ("as printed", ranks, {"chi2": statistics["chi2"], "f": statistics["f"]}),
            ("from the printed ranks", ranks, _tests(friedman_of_average_ranks(ranks, n), n, len(methods))),
            ("from the printed mAP", average_ranks(values), _tests(friedman(ranks_of(values)), *values.shape)),
        ]
        notes = []
        if (ours := sources.measured_ranks(metric, methods)) is not None:
            lines.append((f"ours, on {len(ours)} data sets", ours.mean(axis=0), _tests(friedman(ours), *ours.shape)))
            measured = ", ".join(
                sources.settings[one]["title"] for one in sources.measured_values(metric, methods).index
            )
            notes = [Note(f"Ours: on {measured}, each on the alternative that the tables of mAP show first.")]
        else:
            notes = [Note(sources.why_no_ranks(metric, methods), "a")]
        cells = [_rank_cells(*line[1:]) for line in lines]
        if notes[0].letter:
            cells.append((Entry(NOT_RUN, footnote="a"), *[Entry(NOT_RUN)] * (len(methods) + len(STATISTICS) - 1)))
        titles = [ours["methods"][method] for method in methods for ours in [_setting_with(sources, method)]]
        grids.append(
            Grid(
                name=metric,
                title=f"{metric_name(MEASURED_BY[metric])}, average of both tasks",
                rows=Axis(
                    ("Source",), tuple((title,) for title, *_ in [*lines, *[("ours",)] * (len(cells) - len(lines))])
                ),
                columns=Axis(
                    ("What", "Number"),
                    (*(("Average rank", sources.method_title(title)) for title in titles), *STATISTICS.values()),
                ),
                cells=tuple(cells),
                notes=tuple(notes),
            )
        )
        for source, own, tests in lines:
            records += [(metric, source, f"average_rank_{m}", rank) for m, rank in zip(methods, own, strict=True)]
            records += [(metric, source, statistic, value) for statistic, value in tests.items()]
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


def _setting_with(sources: Sources, method: str) -> Mapping[str, Any]:
    return next(setting for setting in sources.settings.values() if method in setting["methods"])


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
        "critical_difference": nemenyi_critical_difference(n, k),
    }


def _rank_cells(ranks: Sequence[float], tests: Mapping[str, float]) -> tuple[Entry, ...]:
    values = {name: tests.get(name, math.nan) for name in STATISTICS}
    numbers = [_number(value, 4 if name.startswith("p") else 3) for name, value in values.items()]
    return tuple(Entry(text) for text in [*(f"{rank:.6g}" for rank in ranks), *numbers])


def _number(value: float, digits: int) -> str:
    if np.isnan(value):
        return ""
    return "∞" if np.isinf(value) else f"{value:.{digits}f}"


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else str(int(value))


def _with_widths(features: str, widths: str) -> str:
    """`a|b` and `1|2` as `a (1); b (2)`; what is not printed is left out."""
    kinds, numbers = features.split("|"), widths.split("|")
    pairs = zip(kinds, numbers if len(numbers) == len(kinds) else [""] * len(kinds), strict=True)
    return "; ".join(f"{kind} ({width})" if width else kind for kind, width in pairs)
