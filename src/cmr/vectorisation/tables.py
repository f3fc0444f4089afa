"""The numbers of the study of vectorisers as Markdown and LaTeX."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cmr.tables import NEEDED_BY_LATEX, latex, latex_table, markdown, markdown_table
from cmr.vectorisation.summary import TITLES, Summary, printed, rows_of

LISTS = {
    ("cosine", "semantic"): "Semantic pairs",
    ("cosine", "syntactic"): "Syntactic pairs",
    ("rho", "simlex"): "SimLex-999",
    ("rho", "wordsim"): "WordSim-353",
    ("accuracy", "semantic"): "Semantic analogies",
    ("accuracy", "syntactic"): "Syntactic analogies",
}
NOTE = (
    "Numbers are of the n pairs or questions whose words all vectorisers know, with the 95 % interval; best in bold. "
    "Cosine: the mean of related pairs; the floor is that of random pairs of the same words, and a higher cosine says "
    "little where the floor is higher too. Separation: how often a related pair has a higher cosine than a random one; "
    "0.5 is chance. Rho: Spearman's, of cosines and human judgements. Analogies: the share of questions answered."
)


def to_markdown(summary: Summary) -> str:
    """For every data set a table of scores, a row a measure; their range over seeds; how much of each list is known."""
    lines: list[str] = []
    for dataset, rows in summary.scores.groupby("dataset", sort=False):
        scores = map(_markdown_cells, _score_rows(summary, rows))
        lines += [f"**{markdown(summary.title(dataset))}**", "", *markdown_table(_head(summary), scores), ""]
        if seeded := {name: title for name, title in summary.vectorisers.items() if _seeds(rows, name) > 1}:
            head = [
                "Lowest to highest seed",
                *(f"{title}, {_seeds(rows, name)} seeds" for name, title in seeded.items()),
            ]
            lines += [*markdown_table(head, _seed_rows(rows, list(seeded))), ""]
        head = ["Known, of", *summary.vectorisers.values(), "all of them"]
        lines += [*markdown_table(head, _coverage_rows(summary, rows)), ""]
    return "\n".join([*lines, markdown(NOTE), ""])


def to_latex(summary: Summary) -> str:
    """The same scores as `table` environments for a document that loads booktabs."""
    lines = [NEEDED_BY_LATEX]
    for dataset, rows in summary.scores.groupby("dataset", sort=False):
        lines += latex_table(
            caption=f"{summary.title(dataset)}. {NOTE}",
            label=f"vectorisation-{dataset}",
            head=_head(summary),
            body=[line for row in _score_rows(summary, rows) for line in _latex_lines(row)],
            size="scriptsize",
        )
    return "\n".join([*lines, ""])


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
        own = rows_of(rows, key).set_index("vectoriser").loc[list(summary.vectorisers)]
        best = printed(own["value"].max(), 0, 0)[0] if own["value"].notna().any() else None
        values = [printed(*numbers) for numbers in zip(own["value"], own["low"], own["high"], strict=True)]
        cells = tuple((value, interval, value == best) for value, interval in values)
        result.append(_Row(title, cells, str(own["n"].iloc[0])))
        if key[0] == "cosine":
            floors = zip(own["floor"], own["floor_low"], own["floor_high"], strict=True)
            result.append(_Row("floor", tuple((*printed(*numbers), False) for numbers in floors), "", True))
    return result


def _head(summary: Summary) -> list[str]:
    return ["Measure", *summary.vectorisers.values(), "n"]


def _seeds(rows: pd.DataFrame, vectoriser: str) -> int:
    return int(rows.loc[rows["vectoriser"] == vectoriser, "seeds"].max())


def _seed_rows(rows: pd.DataFrame, names: list[str]) -> list[list[str]]:
    result = []
    for key, title in TITLES.items():
        own = rows_of(rows, key).set_index("vectoriser").loc[names]
        ends = zip(own["lowest_seed"], own["highest_seed"], strict=True)
        result.append([title, *("too few" if np.isnan(low) else f"{low:.3f} to {high:.3f}" for low, high in ends)])
    return result


def _coverage_rows(summary: Summary, rows: pd.DataFrame) -> list[list[str]]:
    result = []
    for key, title in LISTS.items():
        own = rows_of(rows, key).set_index("vectoriser").loc[list(summary.vectorisers)]
        result.append([f"{title}, {own['total'].iloc[0]}", *map(str, own["known"]), str(own["n"].iloc[0])])
    return result


def _markdown_cells(row: _Row) -> list[str]:
    title = f"*{markdown(row.title)}*" if row.is_floor else markdown(row.title)
    cells = [f"{f'**{value}**' if best else value} {interval}".rstrip() for value, interval, best in row.cells]
    return [title, *cells, row.n]


def _latex_lines(row: _Row) -> list[str]:
    """Values, and their intervals under them: side by side they would be wider than a page."""
    title = f"\\textit{{{latex(row.title)}}}" if row.is_floor else latex(row.title)
    values = [f"\\textbf{{{value}}}" if best else value for value, _, best in row.cells]
    intervals = [f"{{\\tiny {interval}}}" for _, interval, _ in row.cells]
    return [f"{' & '.join([title, *values, row.n])} \\\\", f"{' & '.join(['', *intervals, ''])} \\\\[2pt]"]
