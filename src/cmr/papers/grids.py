"""Tables of several grids with headers of several levels, as Markdown, LaTeX and, by a template, HTML.

What stands in the grids is decided elsewhere: see `cmr.papers.tables`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from cmr.spreadsheets import to_csv
from cmr.tables import latex, latex_table, markdown, markdown_table

NEEDED_BY_LATEX = r"% needs \usepackage{amssymb,booktabs,graphicx}"


@dataclass(frozen=True)
class Entry:
    """One cell.

    Attributes
    ----------
    text : what it says; nothing where the paper has no number.
    aside : what stands small behind it: half of an interval, or a recomputed number.
    mark : a verdict or a caveat.
    footnote : the letter of the footnote that it refers to.
    cell : key of `cmr.papers.cells.cells`, the way to a measured number.
    """

    text: str = ""
    aside: str = ""
    mark: str = ""
    footnote: str = ""
    best: bool = False
    cell: str = field(default="", compare=False)  # the same number may be reached by several

    def to_markdown(self) -> str:
        number = " ".join(filter(None, (markdown(self.text), markdown(self.aside))))
        marked = " ".join(filter(None, (f"**{number}**" if self.best else number, markdown(self.mark))))
        return f"{marked}<sup>{self.footnote}</sup>" if self.footnote else marked

    def to_latex(self) -> str:
        text = f"\\textbf{{{latex(self.text)}}}" if self.best else latex(self.text)
        aside = f"\\,{{\\scriptsize {latex(self.aside)}}}" if self.aside else ""
        mark = f"\\,{latex(self.mark)}" if self.mark else ""
        return f"{text}{aside}{mark}" + (f"\\textsuperscript{{{self.footnote}}}" if self.footnote else "")


@dataclass(frozen=True)
class Axis:
    """Titles of rows or columns, of one or more levels, the outermost first.

    Attributes
    ----------
    names : what the levels are, as a header of a row's titles.
    entries : the titles of each row or column, one a level.
    """

    names: tuple[str, ...]
    entries: tuple[tuple[str, ...], ...]

    def spans(self, level: int) -> list[tuple[str, int]]:
        """The titles of a level, each with the number of entries that share it; the innermost shares none."""
        shared: list[tuple[str, int]] = []
        for before, entry in zip((None, *self.entries), self.entries, strict=False):
            same = before is not None and level < len(self.names) - 1 and before[: level + 1] == entry[: level + 1]
            if same:
                title, count = shared.pop()
                shared.append((title, count + 1))
            else:
                shared.append((entry[level], 1))
        return shared

    def starts(self, level: int) -> dict[int, int]:
        """Where the shared titles of a level begin -> how many entries they span."""
        places, place = {}, 0
        for _, count in self.spans(level):
            places[place] = count
            place += count
        return places


@dataclass(frozen=True)
class Note:
    """A sentence under a grid; with a letter, a footnote that cells refer to."""

    text: str
    letter: str = ""

    def __str__(self) -> str:
        return f"{self.letter}: {self.text}" if self.letter else self.text


class Footnotes:
    """Sentences under a grid, each once, told by letters in the order of their first use."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def letter(self, text: str) -> str:
        """The letter of a sentence."""
        return self._letters.setdefault(text, chr(ord("a") + len(self._letters)))

    @property
    def notes(self) -> tuple[Note, ...]:
        return tuple(Note(text, letter) for text, letter in self._letters.items())


@dataclass(frozen=True)
class Line:
    """A row of a grid: its cells, and its titles, each with the number of rows that it spans; 0: it is that above."""

    titles: tuple[tuple[str, int], ...]
    cells: tuple[Entry, ...]
    is_floor: bool
    begins: bool


@dataclass(frozen=True)
class Grid:
    """Rows and columns of entries.

    Attributes
    ----------
    name : tells it from the others of its table.
    title : what its numbers are.
    cells : a tuple a row.
    begins : numbers of rows over which a rule is drawn.
    floors : numbers of rows that hold the floor.
    words : numbers of columns that hold words and not numbers.
    """

    name: str
    title: str
    rows: Axis
    columns: Axis
    cells: tuple[tuple[Entry, ...], ...]
    notes: tuple[Note, ...] = ()
    begins: frozenset[int] = frozenset()
    floors: frozenset[int] = frozenset()
    words: frozenset[int] = frozenset()

    @property
    def head(self) -> list[list[tuple[str, int]]]:
        """The lines of the header without the corner: titles with the number of columns that each spans."""
        return [self.columns.spans(level) for level in range(len(self.columns.names))]

    @property
    def lines(self) -> list[Line]:
        starts = [self.rows.starts(level) for level in range(len(self.rows.names))]
        return [
            Line(
                tuple((title, spans.get(i, 0)) for title, spans in zip(entry, starts, strict=True)),
                cells,
                i in self.floors,
                i in self.begins,
            )
            for i, (entry, cells) in enumerate(zip(self.rows.entries, self.cells, strict=True))
        ]

    @property
    def groups(self) -> list[list[Line]]:
        """Lines that share their outermost title."""
        lines = self.lines
        if len(self.rows.names) == 1:
            return [lines]
        return [lines[start : start + count] for start, count in self.rows.starts(0).items()]

    def to_markdown(self) -> list[str]:
        """A pipe table under its title: it knows no spans, so that titles are repeated."""
        head = [*self.rows.names, *(_joined(entry) for entry in self.columns.entries)]
        rows = [
            [*(markdown(title) for title in entry), *(cell.to_markdown() for cell in cells)]
            for entry, cells in zip(self.rows.entries, self.cells, strict=True)
        ]
        words = {len(self.rows.names) + column for column in self.words}
        table = markdown_table(head, rows, {*range(len(self.rows.names)), *words})
        notes = [f"- {markdown(str(note))}" for note in self.notes]
        return [f"**{markdown(self.title)}**", "", *table, "", *notes, *([""] if notes else [])]

    def to_latex(self, caption: str, label: str, notes: Sequence[str] = ()) -> list[str]:
        """A `table` environment that is shrunk to the width of the text where it is wider; `notes` are more of them."""
        stubs = len(self.rows.names)
        above = []
        for level, titles in enumerate(self.head[:-1]):
            above.append(f"{'& ' * (stubs - 1)}{_spanning(titles)} \\\\")
            above.append(_rules(self.columns.starts(level), stubs))
        body = []
        for i, line in enumerate(self.lines):
            if line.begins or (i and stubs > 1 and line.titles[0][1]):
                body.append(r"\midrule")
            titles = [latex(title) if span else "" for title, span in line.titles]
            titles[-1] = f"\\textit{{{titles[-1]}}}" if line.is_floor else titles[-1]
            body.append(f"{' & '.join([*titles, *(cell.to_latex() for cell in line.cells)])} \\\\")
        innermost = [title for title, _ in self.head[-1]]
        columns = ["l"] * stubs + ["p{3.5cm}" if j in self.words else "r" for j in range(len(innermost))]
        notes = [*map(str, self.notes), *notes]
        return latex_table(
            caption, label, [*self.rows.names, *innermost], body, "footnotesize", "".join(columns), above, notes, True
        )


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper: grids of the same rows and columns, one under another.

    Attributes
    ----------
    name : its id in the study's config.
    item : what the paper calls it.
    warning : what must be known before any number is read; empty where nothing must.
    notes : what is to be told of all grids.
    records : its numbers, a row each, for `to_csv`.
    """

    name: str
    item: str
    caption: str
    grids: tuple[Grid, ...]
    notes: tuple[str, ...]
    warning: str = ""
    records: pd.DataFrame = field(default_factory=pd.DataFrame)

    def to_csv(self) -> str:
        """The numbers, a line each; what is not known is empty."""
        return to_csv(self.records)

    def to_markdown(self) -> str:
        lines = [f"**{markdown(self.item)}.** {markdown(self.caption)}", ""]
        lines += [f"**{markdown(self.warning)}**", ""] if self.warning else []
        for grid in self.grids:
            lines += grid.to_markdown()
        return "\n".join([*lines, markdown(" ".join(self.notes)), ""])

    def to_latex(self) -> str:
        """A `table` environment a grid; what is told of all of them stands under the last."""
        lines = [NEEDED_BY_LATEX]
        for i, grid in enumerate(self.grids):
            title = f"{self.item}, {grid.title[:1].lower()}{grid.title[1:]}."
            caption = " ".join(filter(None, (title, self.warning, self.caption)))
            notes = [" ".join(self.notes)] if i == len(self.grids) - 1 else []
            lines += grid.to_latex(caption, f"{self.name}-{grid.name}", notes)
        return "\n".join([*lines, ""])


def _joined(titles: Sequence[str]) -> str:
    return ", ".join(filter(None, titles))


def _spanning(titles: Sequence[tuple[str, int]]) -> str:
    return "".join(f"& \\multicolumn{{{count}}}{{c}}{{{latex(title)}}} " for title, count in titles).rstrip()


def _rules(starts: dict[int, int], stubs: int) -> str:
    """Under each title of a header the rule that joins its columns."""
    return " ".join(f"\\cmidrule(lr){{{stubs + start + 1}-{stubs + start + count}}}" for start, count in starts.items())
