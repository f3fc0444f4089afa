"""The study of vectorisers on all data sets: its numbers as CSV, Markdown and LaTeX, its figure, and its answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmr import store
from cmr.figures import INK, PALETTE, STYLE, WIDTH
from cmr.tables import latex, markdown
from cmr.vectorisation.comparison import ANSWERS, SCORES

TITLES = {
    ("cosine", "semantic"): "Cosine, semantic pairs",
    ("cosine", "syntactic"): "Cosine, syntactic pairs",
    ("separation", "semantic"): "Separation, semantic pairs",
    ("separation", "syntactic"): "Separation, syntactic pairs",
    ("rho", "simlex"): "Rho, SimLex-999",
    ("rho", "wordsim"): "Rho, WordSim-353",
    ("accuracy", "semantic"): "Analogies, semantic",
    ("accuracy", "syntactic"): "Analogies, syntactic",
}
LISTS = {
    ("cosine", "semantic"): "Semantic pairs",
    ("cosine", "syntactic"): "Syntactic pairs",
    ("rho", "simlex"): "SimLex-999",
    ("rho", "wordsim"): "WordSim-353",
    ("accuracy", "semantic"): "Semantic analogies",
    ("accuracy", "syntactic"): "Syntactic analogies",
}
PAPERS_MEASURE = "cosine"
FLOOR_WIDTH, FLOOR_DASHES = 1.1, (0, (1.5, 1))
NOTE = (
    "Numbers are of the n pairs or questions whose words all vectorisers know, with the 95 % interval; best in bold. "
    "Cosine: the mean of related pairs; the floor is that of random pairs of the same words, and a higher cosine says "
    "little where the floor is higher too. Separation: how often a related pair has a higher cosine than a random one; "
    "0.5 is chance. Rho: Spearman's, of cosines and human judgements. Analogies: the share of questions answered."
)
IN_WORDS = {
    "yes": "yes: the whole interval is above 0",
    "no": "no: the whole interval is below 0",
    "undecided": "undecided: the interval holds 0",
    "too few": "too few pairs or questions",
}


@dataclass(frozen=True)
class Summary:
    """What was found on every data set.

    Attributes
    ----------
    scores, answers : those of `cmr.vectorisation.comparison`, with `dataset` and `split` in front.
    facts : dataset -> split, texts (number of texts learnt from), words (known to all), provenance.
    about : `datasets` and `vectorisers`, name -> title, in the order in which they are shown.
    """

    scores: pd.DataFrame
    answers: pd.DataFrame
    facts: Mapping[str, Mapping[str, Any]]
    about: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, folders: Iterable[Path], about: Mapping[str, Mapping[str, str]]) -> "Summary":
        """From the folders of the data sets, named after them, with scores.parquet and answers.parquet."""
        facts, tables = {}, {"scores": [], "answers": []}
        for folder in folders:
            for name, found in tables.items():
                table = store.read_table(folder / f"{name}.parquet")
                facts[folder.name] = table.attrs
                table.insert(0, "dataset", folder.name)
                table.insert(1, "split", table.attrs["split"])
                table.attrs = {}  # pandas compares them, value by value, when tables are put together
                found.append(table)
        scores, answers = (pd.concat(found, ignore_index=True) for found in tables.values())
        return cls(scores[["dataset", "split", *SCORES]], answers[["dataset", "split", *ANSWERS]], facts, about)

    @property
    def vectorisers(self) -> Mapping[str, str]:
        """Name -> title."""
        return self.about["vectorisers"]

    def title(self, dataset: str) -> str:
        """The data set, its split, and what was learnt from."""
        facts = self.facts[dataset]
        return (
            f"{self.about['datasets'][dataset]}, train part of the split {facts['split']}: {facts['texts']} texts, "
            f"{facts['words']} words known to all vectorisers"
        )


def to_csv(table: pd.DataFrame) -> str:
    """Six decimals, so that equal results are equal bytes; empty where there is no number."""
    return table.to_csv(index=False, float_format="%.6f", lineterminator="\n")


def to_markdown(summary: Summary) -> str:
    """For every data set a table of scores, a row a measure; their range over seeds; how much of each list is known."""
    lines: list[str] = []
    for dataset, rows in summary.scores.groupby("dataset", sort=False):
        head = ["Measure", *summary.vectorisers.values(), "n"]
        lines += [f"**{markdown(summary.title(dataset))}**", "", *_markdown_table(head, _score_rows(summary, rows)), ""]
        if seeded := {name: title for name, title in summary.vectorisers.items() if _seeds(rows, name) > 1}:
            head = [
                "Lowest to highest seed",
                *(f"{title}, {_seeds(rows, name)} seeds" for name, title in seeded.items()),
            ]
            lines += [*_markdown_table(head, _seed_rows(rows, list(seeded))), ""]
        head = ["Known, of", *summary.vectorisers.values(), "all of them"]
        lines += [*_markdown_table(head, _coverage_rows(summary, rows)), ""]
    return "\n".join([*lines, markdown(NOTE), ""])


def to_latex(summary: Summary) -> str:
    """The same scores as `table` environments for a document that loads booktabs."""
    lines = ["% needs \\usepackage{booktabs}"]
    for dataset, rows in summary.scores.groupby("dataset", sort=False):
        head = ["Measure", *summary.vectorisers.values(), "n"]
        lines += [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{latex(summary.title(dataset))}. {latex(NOTE)}}}",
            f"  \\label{{tab:vectorisation-{dataset}}}",
            r"  \medskip",
            r"  \scriptsize",
            r"  \setlength{\tabcolsep}{3pt}",
            f"  \\begin{{tabular}}{{@{{}}l{'r' * (len(head) - 1)}@{{}}}}",
            r"    \toprule",
            f"    {' & '.join(map(latex, head))} \\\\",
            r"    \midrule",
            *[f"    {line}" for row in _score_rows(summary, rows) for line in _latex_lines(row)],
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
    return "\n".join([*lines, ""])


def answer(summary: Summary) -> str:
    """A page in Markdown: does the claimed vectoriser win, on which data set and by which measure?"""
    lines = ["# Does GloVe win?", ""]
    lines += [
        "The paper says that of bag of words, CBOW, skip-gram and GloVe, it is GloVe that puts semantic and syntactic "
        "word pairs closest. Here each GloVe is compared with the best of the others on the same pairs. The difference "
        "is GloVe minus that best one, with the 95 % interval of a paired bootstrap over pairs.",
        "",
        "The paper's own measure is the mean cosine; its answer stands apart and is not counted. The mean depends on how "
        "wide a space is spread: one in which all words are close to each other has a high cosine for related pairs and "
        "for random ones. Separation, rho and analogies do not depend on that. They share pairs: semantic pairs are "
        "taken from SimLex-999 and WordSim-353, syntactic pairs from the analogies. Those that agree are no independent "
        "witnesses.",
        "",
    ]
    for dataset, rows in summary.answers.groupby("dataset", sort=False):
        lines += [f"## {markdown(summary.title(dataset))}", ""]
        for claimed, own in rows.groupby("claimed", sort=False):
            lines += [f"**{markdown(summary.vectorisers[claimed])}: {_in_short(own)}.**", ""]
            lines += _markdown_table(
                ["Measure", "n", "Value", "Best other", "Difference", "Wins?"],
                [_answer_cells(summary, row) for row in own.itertuples(index=False)],
            )
            lines += [""]
    lines += [
        "Intervals of mean cosines, separation and rho take pairs as independent. The best other is chosen on the same "
        "pairs, and nothing is corrected for the number of comparisons.",
        "",
    ]
    return "\n".join(lines)


def draw(summary: Summary) -> Figure:
    """A panel a measure, a group of bars a data set, a bar a vectoriser with its interval, its floor a dashed line."""
    height = 1.75 * len(TITLES) / 2 + 0.7
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        panels = figure.subplots(len(TITLES) // 2, 2, sharey="row", squeeze=False).ravel()
        for panel, (key, title) in zip(panels, TITLES.items(), strict=True):
            _draw_panel(panel, summary, _of(summary.scores, key))
            panel.set_title(title, fontsize=8.5)
        handles, labels = panels[0].get_legend_handles_labels()
        handles.append(Line2D([], [], color=INK, linewidth=FLOOR_WIDTH, linestyle=FLOOR_DASHES))
        figure.legend(
            handles,
            [*labels, "no knowledge"],
            loc="outside lower center",
            ncols=3,
            columnspacing=1.2,
            handlelength=1.2,
            fontsize=9,
        )
        FigureCanvasAgg(figure).draw()  # lay out while the style holds
    return figure


def _draw_panel(panel: Axes, summary: Summary, rows: pd.DataFrame) -> None:
    datasets, names = list(rows["dataset"].unique()), list(summary.vectorisers)
    width = 0.8 / len(names)
    for place, (name, title) in enumerate(summary.vectorisers.items()):
        own = rows[rows["vectoriser"] == name].set_index("dataset").loc[datasets]
        at = np.arange(len(datasets)) + (place - (len(names) - 1) / 2) * width
        colour = PALETTE[place % len(PALETTE)]
        panel.bar(at, own["value"], 0.9 * width, color=colour, alpha=0.6, linewidth=0, label=title)
        middle, half = (own["low"] + own["high"]) / 2, (own["high"] - own["low"]) / 2
        panel.errorbar(at, middle, yerr=half, fmt="none", ecolor=INK, elinewidth=0.9, capsize=1.6)
        panel.hlines(
            own["floor"], at - width / 2, at + width / 2, color=INK, linewidth=FLOOR_WIDTH, linestyle=FLOOR_DASHES
        )
    for place, dataset in enumerate(datasets):
        own = rows[rows["dataset"] == dataset]
        if own["value"].isna().all():
            panel.text(place, 0, f"too few: {own['n'].iloc[0]}\n", ha="center", va="bottom", fontsize=7.5)
    panel.set(xticks=np.arange(len(datasets)), xlim=(-0.5, len(datasets) - 0.5))
    panel.set_xticklabels([summary.about["datasets"][dataset] for dataset in datasets], fontsize=7.5)
    panel.tick_params(axis="x", length=0)
    panel.tick_params(axis="y", labelsize=8)
    panel.axhline(0, color=INK, linewidth=0.8)
    panel.grid(axis="x", visible=False)


@dataclass(frozen=True)
class _Row:
    """A row of scores: what is measured, a cell a vectoriser (value, interval, whether it is best), and n."""

    title: str
    cells: tuple[tuple[str, str, bool], ...]
    n: str
    is_floor: bool = False


def _score_rows(summary: Summary, rows: pd.DataFrame) -> list[_Row]:
    result = []
    for key, title in TITLES.items():
        own = _of(rows, key).set_index("vectoriser").loc[list(summary.vectorisers)]
        best = _printed(own["value"].max(), 0, 0)[0] if own["value"].notna().any() else None
        printed = [_printed(*numbers) for numbers in zip(own["value"], own["low"], own["high"], strict=True)]
        cells = tuple((value, interval, value == best) for value, interval in printed)
        result.append(_Row(title, cells, str(own["n"].iloc[0])))
        if key[0] == "cosine":
            values = zip(own["floor"], own["floor_low"], own["floor_high"], strict=True)
            result.append(_Row("floor", tuple((*_printed(*numbers), False) for numbers in values), "", True))
    return result


def _seeds(rows: pd.DataFrame, vectoriser: str) -> int:
    return int(rows.loc[rows["vectoriser"] == vectoriser, "seeds"].max())


def _seed_rows(rows: pd.DataFrame, names: list[str]) -> list[list[str]]:
    result = []
    for key, title in TITLES.items():
        own = _of(rows, key).set_index("vectoriser").loc[names]
        ends = zip(own["lowest_seed"], own["highest_seed"], strict=True)
        result.append([title, *("too few" if np.isnan(low) else f"{low:.3f} to {high:.3f}" for low, high in ends)])
    return result


def _coverage_rows(summary: Summary, rows: pd.DataFrame) -> list[list[str]]:
    result = []
    for key, title in LISTS.items():
        own = _of(rows, key).set_index("vectoriser").loc[list(summary.vectorisers)]
        result.append([f"{title}, {own['total'].iloc[0]}", *map(str, own["known"]), str(own["n"].iloc[0])])
    return result


def _markdown_table(head: list[str], rows: Iterable[_Row | list[str]]) -> list[str]:
    """A pipe table; the first column is text."""
    lines = [f"| {' | '.join(map(markdown, head))} |", "|".join(["", ":---", *["---:"] * (len(head) - 1), ""])]
    for row in rows:
        cells = [*map(markdown, row)] if isinstance(row, list) else _markdown_cells(row)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _markdown_cells(row: _Row) -> list[str]:
    title = f"*{markdown(row.title)}*" if row.is_floor else markdown(row.title)
    return [title, *(f"{f'**{value}**' if best else value} {interval}" for value, interval, best in row.cells), row.n]


def _latex_lines(row: _Row) -> list[str]:
    """Values, and their intervals under them: side by side they would be wider than a page."""
    title = f"\\textit{{{latex(row.title)}}}" if row.is_floor else latex(row.title)
    values = [f"\\textbf{{{value}}}" if best else value for value, _, best in row.cells]
    intervals = [f"{{\\tiny {interval}}}" for _, interval, _ in row.cells]
    return [f"{' & '.join([title, *values, row.n])} \\\\", f"{' & '.join(['', *intervals, ''])} \\\\[2pt]"]


def _printed(value: float, low: float, high: float) -> tuple[str, str]:
    """The value and its interval as every table prints them."""
    if np.isnan(value):
        return "too few", ""
    return f"{value:.3f}", f"({low:.3f} to {high:.3f})"


def _answer_cells(summary: Summary, row: Any) -> list[str]:
    title = TITLES[row.measure, row.pairs] + (", the paper's measure" if row.measure == PAPERS_MEASURE else "")
    if row.answer == "too few":
        return [title, str(row.n), "", "", "", IN_WORDS[row.answer]]
    interval = " ".join(_printed(row.difference, row.low, row.high))
    other = f"{summary.vectorisers[row.best_other]} {row.other:.3f}"
    return [title, str(row.n), f"{row.value:.3f}", other, interval, IN_WORDS[row.answer]]


def _in_short(answers: pd.DataFrame) -> str:
    """`by the paper's measure no (semantic) and yes (syntactic); of the 6 others 5 could be measured: yes 2, ...`."""
    of_paper = answers["measure"] == PAPERS_MEASURE
    told = [f"{row.answer} ({row.pairs})" for row in answers[of_paper].itertuples(index=False)]
    others = answers.loc[~of_paper, "answer"]
    measured = others[others != "too few"]
    counts = ", ".join(f"{kind} {(measured == kind).sum()}" for kind in ("yes", "no", "undecided"))
    return (
        f"by the paper's measure {' and '.join(told)}; of the {len(others)} others {len(measured)} could be measured: "
        f"{counts}"
    )


def _of(rows: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    return rows[(rows["measure"] == key[0]) & (rows["pairs"] == key[1])]
