"""What a reader sees of a figure: panels, marks and words where they stand, and numbers by the axes beside them.

Read from the scene that Vega draws, not from the chart: what is told to a chart and not drawn does not count.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np
import vl_convert
from PIL import ImageFont

from cmr import figures


@dataclass(frozen=True)
class Word:
    """A line of text and the box that it takes, in pixels of the whole figure."""

    text: str
    role: str  # axis-label, axis-title, title-text, title-subtitle, legend-label, or mark
    left: float
    right: float
    top: float
    bottom: float
    style: dict[str, Any]

    def overlaps(self, other: "Word") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


@dataclass
class Panel:
    """Axes, marks and title of one panel; places are in pixels from its upper left corner.

    Attributes
    ----------
    left, top : of the panel in the figure.
    labels : axis, `x` or `y` -> its labels with their places.
    titles : axis -> its title.
    """

    left: float
    top: float
    width: float
    height: float
    title: str = ""
    labels: dict[str, dict[str, float]] = field(default_factory=lambda: {"x": {}, "y": {}})
    titles: dict[str, str] = field(default_factory=dict)
    drawn: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)

    def marks(self, kind: str) -> list[dict[str, Any]]:
        """All of `rect`, `rule`, `symbol`, `text` and so on, in the order in which they are drawn."""
        return [item for other, items in self.drawn if other == kind for item in items]

    def lines(self, kind: str = "line") -> list[list[dict[str, Any]]]:
        """The points of each line, or area."""
        return [items for other, items in self.drawn if other == kind]

    def number(self, axis: str, place: float) -> float:
        """What a reader takes a place for, by the numbers on a linear axis."""
        numbers = {
            float(text.replace("\N{MINUS SIGN}", "-").replace(",", "")): at for text, at in self.labels[axis].items()
        }
        slope, start = np.polyfit(list(numbers.values()), list(numbers), 1)
        return float(slope * place + start)

    def name(self, axis: str, place: float) -> str:
        """The label that stands nearest."""
        return min(self.labels[axis], key=lambda text: abs(self.labels[axis][text] - place))


@dataclass
class Drawn:
    """A whole figure.

    Attributes
    ----------
    legend : label -> its symbol.
    """

    width: float
    height: float
    panels: list[Panel] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    legend: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, *roles: str) -> list[Word]:
        return [word for word in self.words if word.role in roles]

    @property
    def apart(self) -> bool:
        """Whether no two words overlap."""
        return not any(one.overlaps(other) for k, one in enumerate(self.words) for other in self.words[:k])

    @property
    def text(self) -> str:
        """From top to bottom."""
        return " ".join(word.text for word in sorted(self.words, key=lambda word: (round(word.top), word.left)))

    @property
    def inside(self) -> bool:
        """Whether every word is, but for a pixel."""
        return all(
            min(word.left, word.top) >= -1 and word.right <= self.width + 1 and word.bottom <= self.height + 1
            for word in self.words
        )


def drawn(chart: alt.TopLevelMixin) -> Drawn:
    """The figure as a page shows it, its axes not rounded to whole pixels, so that numbers can be read back."""
    spec = json.loads(str(figures.in_page(chart, "a", "", "").spec))
    spec["config"]["axis"] |= {"tickRound": False, "translate": 0}
    scene = vl_convert.vegalite_to_scenegraph(spec)
    left, top = scene["origin"]
    found = Drawn(scene["width"], scene["height"])
    for group in scene["scenegraph"]["items"]:
        _look_into(group, left, top, found)
    found.panels = [panel for panel in found.panels if panel.drawn]
    return found


def _look_into(group: dict[str, Any], left: float, top: float, found: Drawn) -> None:
    """Take in a panel, or what stands around panels."""
    left, top = left + group.get("x", 0), top + group.get("y", 0)
    panel = Panel(left, top, group.get("width", 0), group.get("height", 0))
    found.panels.append(panel)
    for mark in group["items"]:
        if mark["marktype"] == "group" and mark["role"] == "scope" and not mark["name"].endswith("pathgroup"):
            for inner in mark["items"]:
                _look_into(inner, left, top, found)
        elif mark["role"] == "axis":
            for axis in mark["items"]:
                _take_axis(axis, panel, found)
        elif mark["role"] == "title":
            words = [word for item in mark["items"] for word in _words(item, left, top)]
            found.words += words
            panel.title = " ".join(word.text for word in words)
        elif mark["role"] == "legend":
            for item in mark["items"]:
                found.words += _words(item, left, top)
                _take_legend(item, found)
        else:
            _take_marks(mark, panel, found)


def _take_marks(mark: dict[str, Any], panel: Panel, found: Drawn) -> None:
    if mark["marktype"] == "group":
        for item in mark["items"]:
            for inner in item["items"]:
                _take_marks(inner, panel, found)
    elif mark["role"] == "mark" and mark["items"]:
        panel.drawn.append((mark["marktype"], mark["items"]))
        if mark["marktype"] == "text":
            found.words += _boxes(mark, panel.left, panel.top)


def _take_axis(axis: dict[str, Any], panel: Panel, found: Drawn) -> None:
    along = "x" if axis["orient"] in ("top", "bottom") else "y"
    found.words += _words(axis, panel.left, panel.top)
    for mark in axis["items"]:
        for item in mark["items"] if mark["marktype"] == "text" else ():
            text = " ".join(_lines(item))
            if mark["role"] == "axis-label" and text:
                panel.labels[along][text] = item.get(along, 0) + axis.get(along, 0)
            elif mark["role"] == "axis-title" and text:
                panel.titles[along] = text


def _take_legend(group: dict[str, Any], found: Drawn) -> None:
    kinds = {mark["role"]: mark["items"] for mark in group.get("items", ())}
    if "legend-label" in kinds and "legend-symbol" in kinds:
        for label, symbol in zip(kinds["legend-label"], kinds["legend-symbol"], strict=True):
            found.legend[" ".join(_lines(label))] = symbol
    for mark in group.get("items", ()):
        for item in mark["items"] if mark["marktype"] == "group" else ():
            _take_legend(item, found)


def _words(group: dict[str, Any], left: float, top: float) -> list[Word]:
    """All words in a group and in those within."""
    left, top = left + group.get("x", 0), top + group.get("y", 0)
    found = []
    for mark in group["items"]:
        if mark["marktype"] == "text":
            found += _boxes(mark, left, top)
        elif mark["marktype"] == "group":
            found += [word for item in mark["items"] for word in _words(item, left, top)]
    return found


def _boxes(mark: dict[str, Any], left: float, top: float) -> list[Word]:
    found = []
    for item in mark["items"]:
        lines, size = _lines(item), item.get("fontSize", 11)
        font = ImageFont.load_default(10 * size)  # of about the widths of the renderer's, where it is not hinted
        step = item.get("lineHeight", size + 2)
        rise = {"top": 0.8 * size, "middle": 0.3 * size, "bottom": -0.2 * size}.get(item.get("baseline"), 0)
        for k, line in enumerate(lines):
            width = min(font.getlength(line) / 10, item.get("limit") or math.inf)
            start = {"center": -width / 2, "right": -width}.get(item.get("align"), 0) + item.get("dx", 0)
            base = rise + k * step + item.get("dy", 0)
            turn = math.radians(item.get("angle") or 0)
            corners = [
                (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn))
                for x in (start, start + width)
                for y in (base - 0.72 * size, base)  # of capitals: no line of text overlaps the next
            ]
            xs, ys = ([corner[axis] for corner in corners] for axis in (0, 1))
            x, y = left + item.get("x", 0), top + item.get("y", 0)
            found.append(Word(line, mark["role"], x + min(xs), x + max(xs), y + min(ys), y + max(ys), item))
    return found


def _lines(item: dict[str, Any]) -> list[str]:
    text = item.get("text", "")
    lines = text if isinstance(text, list) else str(text).split(item.get("lineBreak") or "\n")
    return [line for line in lines if line]
