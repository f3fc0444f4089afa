"""Demsar's critical difference diagram: average ranks of methods, a bar over those that Nemenyi's test tells not apart.

Names stand in one column: on both sides, as in the original and in scikit-posthocs, long ones leave no room for the
ranks on a phone. Source: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
"""

import math
import textwrap
from collections.abc import Mapping

import altair as alt
import pandas as pd

from cmr.figure_style import HALF_WIDTH, PALETTE, WIDTH, width_of
from cmr.statistics import nemenyi_critical_difference

UNIT = 16  # pixels of a line of text
HEAD = 3.4  # units above the axis of ranks
WORDS = 0.4 - HEAD  # where in them the words begin
LEVEL = 0.6  # units from bar to bar
TICKS = 8  # labelled ranks, at most
OVERHANG = 0.012  # of the axis, by which a bar juts out over its first and last method
GAP = 8  # pixels from a name to the diagram
MARGIN = 16  # pixels, right of the last rank


def draw(average_ranks: Mapping[str, float], n: int, alpha: float = 0.05) -> alt.LayerChart:
    """The diagram of two or more methods, the best on top.

    average_ranks : title of a method -> its rank, 1 the best, averaged over n blocks such as data sets.
    alpha : level of Nemenyi's test over all pairs.
    """
    ordered, difference = _ordered(average_ranks), nemenyi_critical_difference(n, len(average_ranks), alpha)
    names = [f"{textwrap.fill(name, HALF_WIDTH)}\u2002{rank:.2f}" for name, rank in ordered.items()]
    margin = OVERHANG * (len(ordered) - 1)
    joined = groups(average_ranks, n, alpha)
    spans = [(ordered[group[0]] - margin, ordered[group[-1]] + margin) for group in joined]
    bars = pd.DataFrame(_stacked(spans, gap=margin), columns=["low", "high", "level"])
    bars = bars.assign(y=LEVEL * (bars["level"] + 1), told=[" · ".join(group) for group in joined])
    lines = [1 + name.count("\n") for name in names]
    first = LEVEL * (1 + bars["level"].max() if joined else 1) + 1.0
    methods = pd.DataFrame({"name": names, "method": [*ordered], "rank": ordered.values()})
    methods = methods.assign(y=[first + sum(lines[:row]) for row in range(len(lines))])  # of a name's first line
    bottom = first + sum(lines) - 0.5
    x = alt.X(
        "rank:Q",
        title=None,
        scale=alt.Scale(domain=[1, len(ordered)], nice=False),
        axis=alt.Axis(
            orient="top", offset=-UNIT * HEAD, grid=False, values=[*range(1, len(ordered) + 1, _step(len(ordered)))]
        ),
    )
    y = alt.Y("y:Q", title=None, scale=alt.Scale(domain=[bottom, -HEAD], nice=False), axis=None)
    layers = [*_difference(len(ordered), difference), *_methods(methods), *_bars(bars)]
    chart = alt.layer(*layers, title="Average rank, 1 is best").encode(x, y)
    return chart.properties(width=WIDTH - width_of(names) - GAP - MARGIN, height=UNIT * (HEAD + bottom))


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


def _step(k: int) -> int:
    """From one labelled rank to the next."""
    return math.ceil(k / TICKS)


def _difference(k: int, difference: float) -> list[alt.Chart]:
    """The critical difference to the scale of the axis, above it."""
    words = [f"critical difference {difference:.2f}"]
    if difference > k - 1:
        words.append("wider than the axis")
    told = pd.DataFrame({"rank": 1.0, "y": [WORDS + row for row in range(len(words))], "text": words})
    text = alt.Chart(told).mark_text(align="left", baseline="middle").encode(text="text:N")
    if difference > k - 1:
        return [text]
    ends = pd.DataFrame({"rank": [1.0, 1 + difference], "y": WORDS + 1})
    span = alt.Chart(ends[:1].assign(end=1 + difference)).mark_rule(strokeWidth=1.2).encode(alt.X2("end:Q"))
    return [text, span, alt.Chart(ends).mark_tick(orient="vertical", size=7, thickness=1.2)]


def _methods(methods: pd.DataFrame) -> list[alt.Chart]:
    """A name, from it a line to below its rank, and up to the axis."""
    base = alt.Chart(methods.round(4)).encode(tooltip=["method:N", alt.Tooltip("rank:Q", title="average rank")])
    text = base.mark_text(align="right", baseline="middle", lineBreak="\n", lineHeight=UNIT)
    names = text.encode(x=alt.value(-GAP), text="name:N")
    return [
        base.transform_calculate(start="1").mark_rule(strokeWidth=0.9).encode(alt.X2("start:Q")),
        base.transform_calculate(axis="0").mark_rule(strokeWidth=0.9).encode(alt.Y2("axis:Q")),
        base.mark_circle(size=30, opacity=1),
        names,
    ]


def _bars(bars: pd.DataFrame) -> list[alt.Chart]:
    """Thick lines over methods that are not told apart."""
    if bars.empty:
        return []
    base = alt.Chart(bars.round(4)).mark_rule(strokeWidth=3.5, color=PALETTE[0])
    return [base.encode(alt.X("low:Q"), alt.X2("high:Q"), tooltip=alt.Tooltip("told:N", title="not told apart"))]
