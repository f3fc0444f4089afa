"""What a method makes of single items: of an image and its text, a number for every class."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cmr.drawing.own_data import figure_data
from cmr.figure_style import NONE_APPLICABLE, PALETTE, SMALL, WHOLE_WIDTH, WIDTH, notice
from cmr.results import Study

SIDES = {"image": PALETTE[0], "text": PALETTE[4]}  # the darker one first: they differ in grey too
TRUE = "▼"  # stands over the bars of a class that the pair belongs to
TITLE_WIDTH = WHOLE_WIDTH - 10  # characters of a line of a panel's title
NAMED = 40  # classes, at most; more have no room for their names


def class_bars(study: Study, spec: dict[str, Any]) -> Figure:
    """A panel an example pair; in it, for each class, a bar of the image and one of its text, true classes marked."""
    values = figure_data(study, spec)
    if values.empty:
        return notice(NONE_APPLICABLE)
    pairs, classes = list(values["pair"].unique()), list(values["class"].unique())
    titles = [_title(values[values["pair"] == pair]) for pair in pairs]
    further = 0.16 * sum(title.count("\n") for title in titles)
    named = len(classes) <= NAMED
    height = 1.15 * len(pairs) + 0.6 + further + (0.075 * max(map(len, classes)) if named else 0)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = figure.subplots(len(pairs), 1, sharex=True, sharey=True, squeeze=False).ravel()
    places = np.arange(len(classes))
    for panel, pair, title in zip(panels, pairs, titles, strict=True):
        own = values[values["pair"] == pair]
        for side, shift in zip(SIDES, (-0.21, 0.21), strict=True):
            bars = own[own["side"] == side].set_index("class").loc[classes, "value"]
            panel.bar(places + shift, bars, 0.4, color=SIDES[side], linewidth=0, label=side)
        top = own.groupby("class")["value"].max()
        for name in dict.fromkeys(own.loc[own["true"], "class"]):
            at = (classes.index(name), max(0, top[name]))
            panel.annotate(TRUE, at, (0, 2), textcoords="offset points", ha="center", fontsize=8)
        panel.set_title(title, fontsize=SMALL, fontweight="normal")
        panel.set(xticks=places, xlim=(-0.7, len(classes) - 0.3))
        panel.margins(y=0.2)
        panel.tick_params(axis="x", length=0)
        panel.tick_params(axis="y", labelsize=8)
        panel.grid(axis="x", visible=False)
    panels[-1].set_xticklabels(classes if named else [""] * len(classes), rotation=90, fontsize=8)
    if not named:
        panels[-1].set_xlabel(f"{len(classes)} classes", fontsize=SMALL)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, handlelength=1.2)
    return figure


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


def _title(own: pd.DataFrame) -> str:
    text = own["text"].iloc[0]
    return textwrap.fill(f"{_true(own)}: {f'“{text}”' if text else own['pair'].iloc[0]}", TITLE_WIDTH)


def _true(own: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(own.loc[own["true"], "class"]))
