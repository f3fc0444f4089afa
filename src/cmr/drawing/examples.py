"""What a method makes of single items: of an image and its text, a number for every class."""

import textwrap
from typing import Any

import altair as alt
import pandas as pd

from cmr.drawing.own_data import figure_data
from cmr.figure_style import (
    NONE_APPLICABLE,
    PALETTE,
    SMALL,
    TINY,
    WHOLE_WIDTH,
    WIDTH,
    in_lines,
    legend_of,
    notice,
    width_of,
)
from cmr.results import Study

SIDES = {"image": PALETTE[0], "text": PALETTE[4]}  # the darker one first: they differ in grey too
TRUE = "▼"  # stands over the bars of a class that the pair belongs to
TITLE_WIDTH = WHOLE_WIDTH - 8  # characters of a line of a panel's title
NAMED = 40  # classes, at most; more have no room for their names
INNER, HEIGHT = WIDTH - 30, 72  # pixels of a panel; beside it stand the numbers


def class_bars(study: Study, spec: dict[str, Any]) -> alt.VConcatChart | alt.Chart:
    """A panel an example pair; in it, for each class, a bar of the image and one of its text, true classes marked."""
    values = figure_data(study, spec)
    if values.empty:
        return notice(NONE_APPLICABLE)
    pairs, classes = list(values["pair"].unique()), list(values["class"].unique())
    named = len(classes) <= NAMED
    low, high = min(0, values["value"].min()), max(0, values["value"].max())
    reach = alt.Scale(domain=[low, high + 0.25 * ((high - low) or 1)], nice=False)  # above the bars, room for a mark
    upright = width_of(classes, TINY) < 0.9 * INNER / len(classes)
    names = alt.Axis(labels=named, labelAngle=0 if upright else -90, labelFontSize=TINY, ticks=False, domain=False)
    names.title = None if named else f"{len(classes)} classes"
    numbers = alt.Axis(grid=True, tickCount=3, labelFontSize=TINY, domain=False, ticks=False)
    panels = []
    for pair in pairs:
        own = values[values["pair"] == pair]
        axis = names if pair == pairs[-1] else None
        place = alt.X("class:N", scale=alt.Scale(domain=classes, paddingInner=0.2), axis=axis)
        height = alt.Y("value:Q", title=None, scale=reach, axis=numbers)
        bars = alt.Chart(in_lines(own[["side", "class", "value"]], ["side"])).transform_flatten(["class", "value"])
        bars = bars.mark_bar().encode(
            place,
            height,
            alt.XOffset("side:N", scale=alt.Scale(domain=list(SIDES))),
            alt.Color(
                "side:N",
                scale=alt.Scale(domain=list(SIDES), range=list(SIDES.values())),
                legend=legend_of(SIDES),
            ),
            tooltip=["class", "side", "value"],
        )
        top = own[own["true"]].groupby("class", sort=False)["value"].max().clip(lower=0).round(4).reset_index()
        marks = alt.Chart(top).mark_text(text=TRUE, baseline="bottom", dy=-1, fontSize=TINY).encode(place, height)
        zero = alt.Chart(pd.DataFrame({"value": [0]})).mark_rule(strokeWidth=0.8).encode(height)
        panels.append(alt.layer(bars, zero, marks).properties(width=INNER, height=HEIGHT, title=_title(own)))
    return alt.vconcat(*panels, spacing=12)


def words_of_class_bars(study: Study, spec: dict[str, Any]) -> str:
    """Of each pair its classes, and the class with the highest number on either side."""
    values = figure_data(study, spec)
    if values.empty:
        return NONE_APPLICABLE
    told = []
    for pair, own in values.groupby("pair", sort=False):
        highest = own.loc[own.groupby("side")["value"].idxmax()].set_index("side")
        sides = ", ".join(f"{side} {highest.loc[side, 'class']} {highest.loc[side, 'value']:.2f}" for side in SIDES)
        told.append(f"{pair} ({_true(own)}): {sides}.")
    about = values.attrs
    return (
        f"{study.method_label(about['method'])}, test part of split {about['split']}: a number for each class, of an "
        f"image and of its text. The highest: {' '.join(told)}"
    )


def _title(own: pd.DataFrame) -> alt.Title:
    text = own["text"].iloc[0]
    told = f"{_true(own)}: {f'“{text}”' if text else own['pair'].iloc[0]}"
    return alt.Title(textwrap.wrap(told, TITLE_WIDTH), fontSize=SMALL, fontWeight="normal")


def _true(own: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(own.loc[own["true"], "class"]))
