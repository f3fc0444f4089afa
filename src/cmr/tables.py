"""Tables of a study: a row a method, a column a task, mean and 95 % interval over splits, or seeds of one split.

The same `Table` is written as CSV (numbers), Markdown, LaTeX (booktabs) and plain text, and drawn by the report.
"""

import csv
import io
import math
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from cmr.methods import FLOOR
from cmr.results import MARKS, TASK_TITLES, Study, metric_name, metric_title, span
from cmr.spreadsheets import harmless

DIGITS = 3
NOT_APPLICABLE = "n/a"
CAVEATS = {
    "transductive": "looks at the features of the test part while it learns: not comparable, and never best.",
    "selected_on_test": "chose epoch or hyper-parameters by the test part: not comparable, and never best.",
    "sees_pairs": "is not cross-modal retrieval: items are embedded with the help of their own other side. Never best.",
}
NOTE = "Mean ± half of the 95 % interval; best in bold, the floor aside. The floor is what a random ranking scores."
NEEDED_BY_LATEX = r"% needs \usepackage{booktabs}"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "→": r"$\to$",
    "†": r"$\dagger$",
    "§": r"\S{}",
    "‡": r"$\ddagger$",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "\N{EN DASH}": "--",
    "χ": r"$\chi$",
    "²": r"\textsuperscript{2}",
    "∞": r"$\infty$",
}


@dataclass(frozen=True)
class Cell:
    """One number: its mean, the ends of its interval (NaN from a single value), and how many values it is made of.

    The mean is NaN where the method is not applicable.
    """

    mean: float
    low: float
    high: float
    n: int
    best: bool = False

    @property
    def printed(self) -> str:
        """The mean as every table prints it."""
        return NOT_APPLICABLE if math.isnan(self.mean) else f"{self.mean:.{DIGITS}f}"

    @property
    def half_width(self) -> str:
        """Half the interval, as printed after ±; empty when a single value has none."""
        return "" if math.isnan(self.low) else f"{(self.high - self.low) / 2:.{DIGITS}f}"

    def __str__(self) -> str:
        return f"{self.printed} ± {self.half_width}" if self.half_width else self.printed


@dataclass(frozen=True)
class Row:
    """A method's cells.

    Attributes
    ----------
    caveat : why its scores cannot be compared with the others', a key of `CAVEATS`; empty where they can.
    reason : why it is not applicable, to all splits or to some; empty where it is.
    """

    method: str
    title: str
    is_floor: bool
    cells: tuple[Cell, ...]
    caveat: str = ""
    reason: str = ""

    @property
    def comparable(self) -> bool:
        """Whether it may be best: there is no caveat, and it has all splits."""
        return not self.caveat and not self.reason


@dataclass(frozen=True)
class Table:
    """Rows in the order of the study, the floor last.

    Attributes
    ----------
    name : its id in the study's config.
    measure : the metric, without its normaliser.
    title : data set, views, metric with its normaliser, part, and what the intervals are taken over.
    caption : what the study's config says of it.
    columns : tasks.
    remarks : sentences about rows: why they are not applicable, and what makes them not comparable.
    """

    name: str
    measure: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> str:
        """What is to be told under the table."""
        return " ".join([self.caption, NOTE, *self.remarks])

    @property
    def headers(self) -> list[str]:
        return [TASK_TITLES[task] for task in self.columns]

    def to_csv(self) -> str:
        """The numbers: for each task its mean, the interval's ends, and the number of values; a line a method.

        Numbers are empty where the method is not applicable, and the column `not_applicable` tells why. The last one,
        `caveat`, tells by a key of `CAVEATS` why a method's numbers cannot be compared with the others'.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        statistics = ("", "_low", "_high", "_n")
        numbers = (f"{task}{name}" for task in self.columns for name in statistics)
        writer.writerow(["method", *numbers, "not_applicable", "caveat"])
        for row in self.rows:
            numbers = [value for c in row.cells for value in (_number(c.mean), _number(c.low), _number(c.high), c.n)]
            writer.writerow([row.method, *numbers, harmless(row.reason), row.caveat])
        return text.getvalue()

    def to_markdown(self) -> str:
        """A pipe table under its title; the best in bold, the floor in italics."""
        rows = []
        for row in self.rows:
            cells = [f"**{cell}**" if cell.best else f"{cell}" for cell in row.cells]
            rows.append([f"*{markdown(row.title)}*" if row.is_floor else markdown(row.title), *cells])
        lines = [f"**{markdown(self.title)}**", "", *markdown_table(["Method", *self.headers], rows)]
        return "\n".join([*lines, "", markdown(self.notes), ""])

    def to_latex(self) -> str:
        """A `table` environment for a document that loads booktabs; five columns fit a page of `article`."""
        lines = []
        for row in self.rows:
            if row.is_floor and len(self.rows) > 1:
                lines.append(r"\midrule")
            cells = [_latex_cell(cell) for cell in row.cells]
            title = f"\\textit{{{latex(row.title)}}}" if row.is_floor else latex(row.title)
            lines.append(f"{' & '.join([title, *cells])} \\\\")
        table = latex_table(f"{self.title}. {self.notes}", self.name, ["Method", *self.headers], lines, "footnotesize")
        return "\n".join([NEEDED_BY_LATEX, *table, ""])

    def to_text(self) -> str:
        """For a terminal: aligned columns, the best marked by a star, the floor under a line."""
        grid = [["Method", *self.headers]]
        grid += [[row.title, *(f"{cell}{'*' if cell.best else ' '}" for cell in row.cells)] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        lines = [
            "  ".join(
                [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
            ).rstrip()
            for line in grid
        ]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        floors = sum(row.is_floor for row in self.rows)
        body = len(lines) - floors
        lines[body:body] = [rule] * bool(floors)
        title = textwrap.fill(self.title, max(len(rule), 80))
        note = "mean ± half of the 95 % interval; * best, the floor aside"
        remarks = [textwrap.fill(remark, max(len(rule), 80)) for remark in self.remarks]
        return "\n".join([title, "", lines[0], rule, *lines[1:], "", note, *remarks, ""])


def make_table(study: Study, name: str) -> Table:
    """The table `name` of the study's config."""
    spec = study.item("tables", name)
    summary, reasons = study.summary(spec), study.not_applicable(spec)
    rows = []
    for method in study.methods:
        own = summary[summary["method"] == method]
        if len(own):
            numbers = own.set_index("task").loc[spec["tasks"]]
            cells = tuple(Cell(c.mean, c.low, c.high, c.n) for c in numbers.itertuples(index=False))
        elif method in reasons:
            cells = tuple(Cell(math.nan, math.nan, math.nan, 0) for _ in spec["tasks"])
        else:
            continue
        title, reason = study.method_label(method), reasons.get(method, "")
        rows.append(Row(method, title, method == FLOOR, cells, study.caveats.get(method, ""), reason))
    return Table(
        name=name,
        measure=metric_name(spec["metric"]),
        title=describe(study, spec),
        caption=spec["caption"],
        columns=tuple(spec["tasks"]),
        rows=_mark_best(rows),
        remarks=_remarks(study, rows),
    )


def _remarks(study: Study, rows: Sequence[Row]) -> tuple[str, ...]:
    """What is to be told about single rows; those that have the same reason share a sentence."""
    titles: dict[tuple[bool, str], list[str]] = {}
    for row in rows:
        if row.reason:
            partly = any(cell.n for cell in row.cells)
            reason = study.reason_of(row.method, row.reason).rstrip(".")
            titles.setdefault((partly, reason), []).append(row.title)
    remarks = [
        f"{', '.join(names)}: {NOT_APPLICABLE}{' on splits that the numbers leave out' if partly else ''}: {reason}."
        for (partly, reason), names in titles.items()
    ]
    return (*remarks, *explained({row.caveat for row in rows}))


def caveats(study: Study, spec: dict) -> list[str]:
    """What the marks behind titles in a figure mean."""
    shown = [] if spec["kind"] == "dataset_statistics" else spec.get("methods", study.methods)
    return explained({study.caveats.get(method, "") for method in shown})


def explained(caveats: Collection[str]) -> list[str]:
    """What the marks of these `CAVEATS` mean, a sentence each."""
    return [f"{mark} {CAVEATS[caveat]}" for caveat, mark in MARKS.items() if caveat in caveats]


def headline(study: Study) -> Table:
    """The first table of the study's config: the one to look at first."""
    return make_table(study, next(iter(study.config["tables"])))


def describe(study: Study, spec: dict) -> str:
    """Which numbers a table or figure shows: metric, data set, views, part, and what its intervals are taken over."""
    setting, part = setting_title(study, spec), spec.get("part", "test")
    return f"{metric_title(spec['metric'])}: {setting}, {part} part, {_repetitions(study, spec)}"


def setting_title(study: Study, spec: dict) -> str:
    """The data set and views of a table or figure, in words."""
    setting = study.setting(spec)
    dataset = study.facts["datasets"][setting["dataset"]]["title"]
    shown = {method: study.setting_of(method, spec) for method in spec.get("methods", study.methods)}
    others: dict[tuple[str, str], list[str]] = {}  # a modality and a view other than the usual -> methods
    for method, own in shown.items():
        for modality in ("image", "text"):
            if (view := own[f"{modality}_view"]) != setting[f"{modality}_view"]:
                others.setdefault((modality, view), []).append(method)
    told = [f"{modality}s of {_together(study, some, shown)} as {view}" for (modality, view), some in others.items()]
    return ", ".join([dataset, f"images as {setting['image_view']}", f"texts as {setting['text_view']}", *told])


def _together(study: Study, methods: Sequence[str], shown: Collection[str]) -> str:
    """Titles of methods; a method and all of its variants that are shown are named by the method's alone."""
    kin = {one: study.facts["methods"][one].get("variant_of", one) for one in shown}
    base = kin[methods[0]]
    if base in methods and len(methods) > 1 and set(methods) == {one for one in shown if kin[one] == base}:
        return f"{study.method_title(base)} and its variants"
    return "; ".join(map(study.method_title, methods))


def _repetitions(study: Study, spec: dict) -> str:
    """`5 splits`, `5 splits, mean of 3 seeds each`, `1 split, 5 seeds`; ranges where methods differ."""
    index = study.scores_of(spec).index.to_frame(index=False)
    if index.empty:
        return "no run"
    splits = index.groupby("method")["split"].nunique()
    seeds = index.groupby(["method", "split"])["seed"].nunique()
    if index["split"].nunique() == 1:
        return f"1 split, {_count(seeds, 'seed')}"
    each = f", mean of {_count(seeds, 'seed')} each" if seeds.max() > 1 else ""
    return _count(splits, "split") + each


def mark_best(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Mark the highest mean; all that print the same digits are best."""
    cells = tuple(cells)
    top = max((cell for cell in cells if not math.isnan(cell.mean)), key=lambda cell: cell.mean, default=None)
    return tuple(replace(cell, best=top is not None and cell.printed == top.printed) for cell in cells)


def _mark_best(rows: list[Row]) -> tuple[Row, ...]:
    """Mark the best of each column among comparable methods; the floor is none, and becomes the last row."""
    rivals = [row for row in rows if not row.is_floor and row.comparable]
    columns = [mark_best(column) for column in zip(*(row.cells for row in rivals), strict=True)]
    marked = {row.method: cells for row, cells in zip(rivals, zip(*columns, strict=True), strict=True)}
    others = [replace(row, cells=marked.get(row.method, row.cells)) for row in rows if not row.is_floor]
    return (*others, *(row for row in rows if row.is_floor))


def _count(numbers: pd.Series, noun: str) -> str:
    number = span(numbers)
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def markdown(text: str) -> str:
    """Text that a Markdown renderer shows as it is, inside a table too: on one line, as a cell of a table must be."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """The lines of a pipe table: `head` as text, cells as Markdown; `left` are the columns that are set to the left."""
    sides = [":---" if column in left else "---:" for column in range(len(head))]
    lines = [f"| {' | '.join(map(markdown, head))} |", "|".join(["", *sides, ""])]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]


def latex_table(
    caption: str,
    label: str,
    head: Sequence[str],
    body: Iterable[str],
    size: str,
    columns: str = "",
    above: Iterable[str] = (),
    notes: Iterable[str] = (),
    fit: bool = False,
) -> list[str]:
    """The lines of a `table` environment: `body` as LaTeX, the others as text.

    size : a size of type, e.g. `footnotesize`.
    columns : how they are set; by default the first to the left, the others to the right.
    above : lines over the head, as LaTeX.
    notes : sentences under the table.
    fit : shrink what is wider than the text; needs the package graphicx.
    """
    around = (r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%", "  }") if fit else ()
    under = [
        line
        for note in notes
        for line in (r"  \par\smallskip", f"  \\parbox{{\\linewidth}}{{\\scriptsize {latex(note)}}}")
    ]
    return [
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{latex(caption)}}}",
        f"  \\label{{tab:{label}}}",
        r"  \medskip",
        f"  \\{size}",
        r"  \setlength{\tabcolsep}{3pt}",
        *around[:1],
        f"  \\begin{{tabular}}{{@{{}}{columns or 'l' + 'r' * (len(head) - 1)}@{{}}}}",
        r"    \toprule",
        *(f"    {line}" for line in above),
        f"    {' & '.join(map(latex, head))} \\\\",
        r"    \midrule",
        *(f"    {line}" for line in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        *around[1:],
        *under,
        r"\end{table}",
    ]


def _latex_cell(cell: Cell) -> str:
    mean = f"\\textbf{{{cell.printed}}}" if cell.best else cell.printed
    return f"{mean}\\,{{\\scriptsize $\\pm$\\,{cell.half_width}}}" if cell.half_width else mean


def latex(text: str) -> str:
    """Text that LaTeX shows as it is, without its line breaks: an empty line would end the paragraph."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
