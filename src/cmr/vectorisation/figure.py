"""The figure of the study of vectorisers: bars of every measure on every data set."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmr.figures import INK, PALETTE, STYLE, WIDTH
from cmr.vectorisation.summary import TITLES, Summary, rows_of

FLOOR_WIDTH, FLOOR_DASHES = 1.1, (0, (1.5, 1))


def draw(summary: Summary) -> Figure:
    """A panel a measure, a group of bars a data set, a bar a vectoriser with its interval, its floor a dashed line."""
    height = 1.75 * len(TITLES) / 2 + 0.7
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        panels = figure.subplots(len(TITLES) // 2, 2, sharey="row", squeeze=False).ravel()
        for panel, (key, title) in zip(panels, TITLES.items(), strict=True):
            _draw_panel(panel, summary, rows_of(summary.scores, key))
            panel.set_title(title, fontsize=8.5)
        handles, labels = panels[0].get_legend_handles_labels()
        handles.append(Line2D([], [], color=INK, linewidth=FLOOR_WIDTH, linestyle=FLOOR_DASHES))
        figure.legend(
            handles,
            [*labels, "no knowledge"],
            loc="outside lower center",
            ncols=3,
            columnspacing=1.2,
            handlelength=1.2,
            fontsize=9,
        )
        FigureCanvasAgg(figure).draw()  # lay out while the style holds
    return figure


def _draw_panel(panel: Axes, summary: Summary, rows: pd.DataFrame) -> None:
    datasets, names = list(rows["dataset"].unique()), list(summary.vectorisers)
    width = 0.8 / len(names)
    for place, (name, title) in enumerate(summary.vectorisers.items()):
        own = rows[rows["vectoriser"] == name].set_index("dataset").loc[datasets]
        at = np.arange(len(datasets)) + (place - (len(names) - 1) / 2) * width
        colour = PALETTE[place % len(PALETTE)]
        panel.bar(at, own["value"], 0.9 * width, color=colour, alpha=0.6, linewidth=0, label=title)
        middle, half = (own["low"] + own["high"]) / 2, (own["high"] - own["low"]) / 2
        panel.errorbar(at, middle, yerr=half, fmt="none", ecolor=INK, elinewidth=0.9, capsize=1.6)
        panel.hlines(
            own["floor"], at - width / 2, at + width / 2, color=INK, linewidth=FLOOR_WIDTH, linestyle=FLOOR_DASHES
        )
    for place, dataset in enumerate(datasets):
        own = rows[rows["dataset"] == dataset]
        if own["value"].isna().all():
            panel.text(place, 0, f"too few: {own['n'].iloc[0]}\n", ha="center", va="bottom", fontsize=7.5)
    panel.set(xticks=np.arange(len(datasets)), xlim=(-0.5, len(datasets) - 0.5))
    panel.set_xticklabels([summary.about["datasets"][dataset] for dataset in datasets], fontsize=7.5)
    panel.tick_params(axis="x", length=0)
    panel.tick_params(axis="y", labelsize=8)
    panel.axhline(0, color=INK, linewidth=0.8)
    panel.grid(axis="x", visible=False)
