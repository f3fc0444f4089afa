"""What all figures have in common: colours, type, sizes, and how methods are told apart.

A method has one colour and line style in all figures of the same methods. Sizes are those of a phone's screen, so that
nothing is scaled down there.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from cmr.methods import FLOOR
from cmr.results import Study

# Okabe and Ito's palette, safe for colour-blind readers, its yellow and black left out: both vanish on one background.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # not as many as colours, so that few pairs of them occur twice
FLOOR_COLOUR = "#7f8790"
INK = "#1b2530"  # text and axes; the report replaces it by its own text colour

WIDTH = 4.3  # inches
SMALL = 8.5  # points
SHORT_LABEL = 14  # characters; of longer ones only two fit side by side
HALF_WIDTH = 22  # characters that fit into half of a figure; longer legends stand below each other, longer titles wrap
WHOLE_WIDTH = 64  # characters of `SMALL` type that fit into a line
LINE = 0.17  # inches a line of it
NONE_APPLICABLE = "No method is applicable to these data."
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.fonttype": "none",
    "svg.hashsalt": "cmr",
}


def methods_in(study: Study, frame: pd.DataFrame) -> list[str]:
    """Methods that occur, in study order, the floor last."""
    present = set(frame["method"])
    return sorted((method for method in study.methods if method in present), key=lambda method: method == FLOOR)


def style_of(study: Study, spec: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Colour and dashes of a method: by its place among the methods that the figure names, or the study."""
    if method == FLOOR:
        return {"color": FLOOR_COLOUR, "linestyle": (0, (4, 3))}
    place = [other for other in spec.get("methods", study.methods) if other != FLOOR].index(method)
    return {"color": PALETTE[place % len(PALETTE)], "linestyle": DASHES[place // len(PALETTE) % len(DASHES)]}


def legend_below(figure: Figure, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels))
    columns = 3 if longest <= SHORT_LABEL else 2 if longest <= HALF_WIDTH else 1
    labels = [textwrap.fill(label, 2 * HALF_WIDTH) for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.4, handlelength=2.2)


def notice(text: str) -> Figure:
    """Words in the place of a figure that there is nothing to draw of."""
    lines = textwrap.fill(text, WHOLE_WIDTH)
    figure = Figure(figsize=(WIDTH, max(1.2, 0.5 + LINE * (1 + lines.count("\n")))), layout="constrained")
    figure.text(0.5, 0.5, lines, ha="center", va="center", fontsize=SMALL)
    return figure


def put_above(figure: Figure, lines: Sequence[str]) -> None:
    """Lines above a whole figure, which grows by as much."""
    wrapped = [part for line in lines for part in textwrap.wrap(line, WHOLE_WIDTH)]
    if wrapped:
        figure.set_figheight(figure.get_figheight() + 0.05 + LINE * len(wrapped))
        figure.suptitle("\n".join(wrapped), x=0.02, ha="left", fontsize=SMALL)
