"""How close vectorisers put related words: bars of every vectoriser on every data set."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmr.drawing.own_data import figure_data
from cmr.figure_style import INK, PALETTE, STYLE, WIDTH
from cmr.results import Study

FLOOR_WIDTH, FLOOR_DASHES = 1.1, (0, (1.5, 1))


def draw_vectorisers(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel a title, a group of bars a data set, a bar a vectoriser with its interval, its floor a dashed line.

    panels : title -> columns dataset, vectoriser (titles, in the order in which they are shown), n, value, low, high
        (NaN where n is too small) and floor.
    """
    rows = -(-len(panels) // 2)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.75 * rows + 0.7), layout="constrained")
        axes = figure.subplots(rows, 2, sharey="row", squeeze=False).ravel()
        for panel, (title, cells) in zip(axes, panels.items(), strict=True):
            _draw_panel(panel, cells)
            panel.set_title(title, fontsize=8.5)
        handles, labels = axes[0].get_legend_handles_labels()
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


def vectorisers(study: Study, spec: dict[str, Any]) -> Figure:
    """See `draw_vectorisers`; a panel a kind of pairs."""
    return draw_vectorisers(_panels(study, spec))


def words_of_vectorisers(study: Study, spec: dict[str, Any]) -> str:
    """Every bar and its floor."""
    told = [
        f"{title}, {dataset}: {', '.join(map(_bar, own.itertuples(index=False)))}."
        for title, cells in _panels(study, spec).items()
        for dataset, own in cells.groupby("dataset", sort=False)
    ]
    return f"Mean cosine of related words, in brackets that of random pairs of the same words. {' '.join(told)}"


def _panels(study: Study, spec: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    return dict(iter(figure_data(study, spec).groupby("pairs", sort=False)))


def _bar(cell: Any) -> str:
    if np.isnan(cell.value):
        return f"{cell.vectoriser} too few pairs ({cell.n})"
    return f"{cell.vectoriser} {cell.value:.3f} ({cell.floor:.3f})"


def _draw_panel(panel: Axes, cells: pd.DataFrame) -> None:
    datasets, names = (list(cells[key].unique()) for key in ("dataset", "vectoriser"))
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        own = cells[cells["vectoriser"] == name].set_index("dataset").loc[datasets]
        at = np.arange(len(datasets)) + (place - (len(names) - 1) / 2) * width
        colour = PALETTE[place % len(PALETTE)]
        panel.bar(at, own["value"], 0.9 * width, color=colour, alpha=0.6, linewidth=0, label=name)
        middle, half = (own["low"] + own["high"]) / 2, (own["high"] - own["low"]) / 2
        panel.errorbar(at, middle, yerr=half, fmt="none", ecolor=INK, elinewidth=0.9, capsize=1.6)
        panel.hlines(
            own["floor"], at - width / 2, at + width / 2, color=INK, linewidth=FLOOR_WIDTH, linestyle=FLOOR_DASHES
        )
    for place, dataset in enumerate(datasets):
        own = cells[cells["dataset"] == dataset]
        if own["value"].isna().all():
            panel.text(place, 0, f"too few: {own['n'].iloc[0]}\n", ha="center", va="bottom", fontsize=7.5)
    panel.set(xticks=np.arange(len(datasets)), xlim=(-0.5, len(datasets) - 0.5))
    panel.set_xticklabels(datasets, fontsize=7.5)
    panel.tick_params(axis="x", length=0)
    panel.tick_params(axis="y", labelsize=8)
    panel.axhline(0, color=INK, linewidth=0.8)
    panel.grid(axis="x", visible=False)
