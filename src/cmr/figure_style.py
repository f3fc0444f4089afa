"""What all figures have in common: colours, type, sizes, what the pointer does, and how methods are told apart.

Figures are Vega-Lite charts, made with Altair. A page shows them as pictures that need no script, and makes them
interactive where it can; the same charts are saved as SVG and PNG. A method has one colour and line style in all
figures of the same methods. Sizes are those of a phone's screen, so that nothing is scaled down there.
"""

import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from cmr.methods import FLOOR
from cmr.results import Study

# Okabe and Ito's palette, safe for colour-blind readers, its yellow and black left out: both vanish on one background.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SOLID = (1, 0)
DASHES = (SOLID, (7, 2.5), (2, 2), (9, 2.5, 2, 2.5))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke")  # not as many as colours
FLOOR_COLOUR, FLOOR_DASHES = "#7f8790", (6, 4)
INK = "#1b2530"  # text and axes of figures on white
PAGES_INK = "currentColor"  # of figures in a page, which are dark where it is

WIDTH = 400  # pixels
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # the first comes with the renderer: the same figure everywhere
SIZE, SMALL, TINY = 12, 11, 10  # pixels
LINE = 13  # pixels from a line of `SMALL` type to the next, the first of which stands where the text does
CHARACTER = 0.56  # of the size of the type: how wide a character is on average
SHORT_LABEL = 14  # characters; of longer ones only two fit side by side
HALF_WIDTH = 22  # characters that fit into half of a figure; longer legends stand below each other, longer titles wrap
WHOLE_WIDTH = 66  # characters of `SMALL` type that fit into a line
LEGEND_WIDTH = 48  # of a legend, beside its symbols
NONE_APPLICABLE = "No method is applicable to these data."

# A page scrolls by wheel and finger as ever: figures are zoomed with shift, and moved with the mouse.
_ZOOM = "wheel![event.shiftKey]"
_MOVE = "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!"


def theme(ink: str, background: str | None) -> dict[str, Any]:
    """Vega-Lite's configuration for all figures.

    ink : colour of text, axes and marks that have none of their own.
    """
    lines = {"gridColor": ink, "gridOpacity": 0.12, "domainColor": ink, "tickColor": ink}
    return {
        "aria": False,  # the words beside a figure tell what it shows; single marks would be read by the hundred
        "background": background,
        "font": FONT,
        "axis": lines
        | {"labelColor": ink, "titleColor": ink, "labelFontSize": SMALL, "titleFontSize": SIZE}
        | {"titleFontWeight": "normal", "labelLimit": 0, "titleLimit": 0, "labelFlush": False, "labelSeparation": 4},
        "legend": {"labelColor": ink, "titleColor": ink, "labelFontSize": SMALL, "titleFontSize": SMALL}
        | {"labelLimit": 0, "symbolStrokeWidth": 2, "orient": "bottom", "title": None},
        "title": {"color": ink, "subtitleColor": ink, "fontSize": SIZE, "subtitleFontSize": SMALL, "anchor": "start"}
        | {"frame": "group", "limit": 0},
        "view": {"stroke": None},
        "text": {"color": ink, "fontSize": SMALL},
        "rule": {"color": ink},
        "tick": {"color": ink, "opacity": 1},
        "point": {"color": ink},
        "circle": {"color": ink},
        "line": {"strokeWidth": 1.8},
        "concat": {"spacing": 14},
    }


def methods_in(study: Study, frame: pd.DataFrame) -> list[str]:
    """Methods that occur, in study order, the floor last."""
    present = set(frame["method"])
    return sorted((method for method in study.methods if method in present), key=lambda method: method == FLOOR)


def labels_of(study: Study, methods: Sequence[str]) -> dict[str, str]:
    """Method -> how figures call it; methods with one title between them are told apart by their names."""
    labels = {method: study.method_label(method) for method in methods}
    shared = [label for label in labels.values() if [*labels.values()].count(label) > 1]
    return {method: f"{label} ({method})" if label in shared else label for method, label in labels.items()}


def colour_of(study: Study, spec: Mapping[str, Any], method: str) -> str:
    """By its place among the methods that the figure names, or the study."""
    return FLOOR_COLOUR if method == FLOOR else PALETTE[_place(study, spec, method) % len(PALETTE)]


def dashes_of(study: Study, spec: Mapping[str, Any], method: str) -> tuple[float, ...]:
    """Likewise, of its line."""
    if method == FLOOR:
        return FLOOR_DASHES
    return DASHES[_place(study, spec, method) // len(PALETTE) % len(DASHES)]


def _place(study: Study, spec: Mapping[str, Any], method: str) -> int:
    return [other for other in spec.get("methods", study.methods) if other != FLOOR].index(method)


def colour(study: Study, spec: Mapping[str, Any], methods: Sequence[str], legend: alt.Legend | None) -> alt.Color:
    """The channel of the field `method`, which holds labels."""
    labels = [*labels_of(study, methods).values()]
    colours = [colour_of(study, spec, method) for method in methods]
    return alt.Color("method:N", title=None, scale=alt.Scale(domain=labels, range=colours), legend=legend)


def dashes(study: Study, spec: Mapping[str, Any], methods: Sequence[str], legend: alt.Legend | None) -> alt.StrokeDash:
    """The channel of the field `method`, which holds labels; its legend joins that of `colour`."""
    labels = [*labels_of(study, methods).values()]
    styles = [list(dashes_of(study, spec, method)) for method in methods]
    return alt.StrokeDash("method:N", title=None, scale=alt.Scale(domain=labels, range=styles), legend=legend)


def legend_of(labels: Iterable[str], **settings: Any) -> alt.Legend:
    """Below a figure, in as many columns as the longest label leaves room for."""
    lines = {label: textwrap.wrap(label, LEGEND_WIDTH) for label in labels}
    longest = max(map(len, lines))
    columns = 3 if longest <= SHORT_LABEL else 2 if longest <= HALF_WIDTH else 1
    if longest > LEGEND_WIDTH:
        settings["labelExpr"] = f"{json.dumps(lines)}[datum.label]"
    return alt.Legend(columns=columns, symbolOpacity=1, **settings)


def chosen_in_legend(name: str) -> alt.Parameter:
    """Clicked entries of the legend of the field `method`, or all."""
    return alt.selection_point(name=name, fields=["method"], bind="legend")


def zoomed(name: str) -> alt.Parameter:
    """Scales that are moved by dragging and zoomed by shift and wheel; a double click sets them back."""
    return alt.selection_interval(name=name, bind="scales", zoom=_ZOOM, translate=_MOVE)


def in_lines(frame: pd.DataFrame, by: Sequence[str], digits: int = 4) -> pd.DataFrame:
    """A row a line: all columns but `by` as lists, which take a fraction of the room that a row a point would take.

    `transform_flatten` of a chart undoes it. Numbers are rounded to so many digits after the point; JSON has none that
    are not finite, which become null.
    """
    others = [column for column in frame if column not in by]
    finite = frame.round(digits).replace([math.inf, -math.inf], math.nan)
    rows = finite.groupby(list(by), sort=False)[others]
    return rows.agg(lambda values: [None if pd.isna(value) else value for value in values]).reset_index()


def width_of(labels: Iterable[str], size: float = SMALL) -> float:
    """Pixels that the longest line of some labels takes."""
    return CHARACTER * size * max((len(line) for label in labels for line in label.split("\n")), default=0)


def notice(text: str) -> alt.Chart:
    """Words in the place of a figure that there is nothing to draw of."""
    lines = textwrap.wrap(text, WHOLE_WIDTH)
    words = alt.Chart(pd.DataFrame({"text": ["\n".join(lines)]}), width=WIDTH, height=40 + LINE * len(lines))
    return words.mark_text(lineBreak="\n", baseline="middle", lineHeight=LINE, dy=-LINE * (len(lines) - 1) / 2).encode(
        text="text:N"
    )


def titled(chart: alt.TopLevelMixin, lines: Sequence[str]) -> alt.TopLevelMixin:
    """The chart with lines above the whole of it."""
    wrapped = [part for line in lines for part in textwrap.wrap(line, WHOLE_WIDTH)]
    if not wrapped:
        return chart
    title = alt.Title(wrapped, fontSize=SMALL, fontWeight="normal", offset=10, frame="bounds")
    if chart.to_dict(validate=False).get("title"):  # a title of its own keeps its place
        return alt.vconcat(chart, title=title)
    return chart.properties(title=title)
