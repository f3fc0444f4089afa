"""Demsar's critical difference diagram: average ranks of methods, a bar over those that Nemenyi's test tells not apart.

Names stand in one column: on both sides, as in the original and in scikit-posthocs, long ones leave no room for the
ranks on a phone. Source: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
"""

import math
import textwrap
from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cmr.figure_style import HALF_WIDTH, INK, PALETTE, STYLE, WIDTH
from cmr.statistics import nemenyi_critical_difference

UNIT = 0.21  # inches of a line of text
HEAD = 3.2  # units above the axis of ranks
LEVEL = 0.55  # units from bar to bar
TICKS = 8  # labelled ranks, at most
OVERHANG = 0.012  # of the axis, by which a bar juts out over its first and last method


def draw(average_ranks: Mapping[str, float], n: int, alpha: float = 0.05) -> Figure:
    """The diagram of two or more methods, the best on top.

    average_ranks : title of a method -> its rank, 1 the best, averaged over n blocks such as data sets.
    alpha : level of Nemenyi's test over all pairs.
    """
    ordered, difference = _ordered(average_ranks), nemenyi_critical_difference(n, len(average_ranks), alpha)
    names = [textwrap.fill(name, HALF_WIDTH) for name in ordered]
    margin = OVERHANG * (len(ordered) - 1)
    joined = groups(average_ranks, n, alpha)
    bars = _stacked([(ordered[group[0]] - margin, ordered[group[-1]] + margin) for group in joined], gap=margin)
    lines = [1 + name.count("\n") for name in names]
    first = LEVEL * (1 + max((level for *_, level in bars), default=0)) + 1.0
    rows = [first + sum(lines[:row]) + (lines[row] - 1) / 2 for row in range(len(lines))]
    bottom = rows[-1] + lines[-1] / 2
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, UNIT * (HEAD + bottom) + 0.1), layout="constrained")
        axes = figure.subplots()
        axes.set(xlim=(1, len(ordered)), ylim=(bottom, -HEAD))
        _draw_axis(axes, len(ordered), difference)
        _draw_methods(axes, list(ordered.values()), names, rows)
        for low, high, level in bars:
            axes.hlines(LEVEL * (level + 1), low, high, color=PALETTE[0], linewidth=3.5, clip_on=False, zorder=3)
        FigureCanvasAgg(figure).draw()  # lay out while the style holds
    return figure


def words(average_ranks: Mapping[str, float], n: int, alpha: float = 0.05) -> str:
    """The diagram in words, for readers who cannot see it: ranks, critical difference, and which methods bars join."""
    ordered, difference = _ordered(average_ranks), nemenyi_critical_difference(n, len(average_ranks), alpha)
    joined = groups(average_ranks, n, alpha)
    listed = ", ".join(f"{name} {rank:.2f}" for name, rank in ordered.items())
    told = (
        f"Average ranks over {n} blocks, 1 is best: {listed}. "
        f"By Nemenyi's test at the level {alpha:g}, methods differ whose ranks are {difference:.2f} or more apart. "
    )
    if not joined:
        return told + "All methods differ from each other."
    if len(joined[0]) == len(ordered):
        return told + "No two methods differ."
    runs = (f"{group[0]} {'to' if len(group) > 2 else 'and'} {group[-1]}" for group in joined)
    return told + f"In this order, not told apart: {'; '.join(runs)}."


def groups(average_ranks: Mapping[str, float], n: int, alpha: float = 0.05) -> list[list[str]]:
    """The bars: largest groups of methods of which no two differ, each from its best to its worst."""
    ordered, difference = _ordered(average_ranks), nemenyi_critical_difference(n, len(average_ranks), alpha)
    names, ranks = list(ordered), list(ordered.values())
    found: list[list[str]] = []
    reached = 0
    for start, low in enumerate(ranks):
        end = sum(rank - low < difference for rank in ranks)
        if end > max(reached, start + 1):
            found.append(names[start:end])
            reached = end
    return found


def _ordered(average_ranks: Mapping[str, float]) -> dict[str, float]:
    k = len(average_ranks)
    wrong = [name for name, rank in average_ranks.items() if not 1 <= rank <= k]
    if wrong:
        raise ValueError(f"average ranks of {k} methods are between 1 and {k}; not so that of {', '.join(wrong)}")
    return dict(sorted(average_ranks.items(), key=lambda item: item[1]))


def _stacked(spans: list[tuple[float, float]], gap: float) -> list[tuple[float, float, int]]:
    """Each span with the first level on which there is a gap between it and the others."""
    ends: list[float] = []  # of each level so far
    stacked = []
    for low, high in spans:  # by their beginnings
        level = next((level for level, end in enumerate(ends) if end + gap < low), len(ends))
        ends[level : level + 1] = [high]
        stacked.append((low, high, level))
    return stacked


def _draw_axis(axes: Axes, k: int, difference: float) -> None:
    axes.xaxis.set_ticks_position("top")
    axes.spines["top"].set(visible=True, position=("data", 0))
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xticks(range(1, k + 1, math.ceil(k / TICKS)))
    axes.grid(visible=False)
    axes.set_title("Average rank, 1 is best")
    axes.text(1, -2.7, f"critical difference {difference:.2f}", va="center", fontsize=9)
    if difference <= k - 1:
        axes.errorbar(1 + difference / 2, -1.9, xerr=difference / 2, color=INK, elinewidth=1.2, capsize=3)
    else:
        axes.text(1, -1.9, "wider than the axis", va="center", fontsize=9)


def _draw_methods(axes: Axes, ranks: list[float], names: list[str], rows: list[float]) -> None:
    """A name, from it a line to below its rank, and up to the axis."""
    for rank, row in zip(ranks, rows, strict=True):
        axes.plot([1, rank, rank], [row, row, 0], color=INK, linewidth=0.9, clip_on=False)
        axes.plot([rank], [0], "o", color=INK, markersize=4, clip_on=False)
    axes.set_yticks(rows, [f"{name}  {rank:.2f}" for name, rank in zip(names, ranks, strict=True)])
    axes.tick_params(axis="y", length=0)
