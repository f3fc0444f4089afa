"""Figures of a study: precision-recall curves, mAP bars, training histories.

The same study gives the same bytes: no dates, fixed ids, text as text. A method has one colour and line style in
all figures. Sizes are those of a phone's screen, so that nothing is scaled down there.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cmr import store
from cmr.results import FLOOR, TASK_TITLES, Study, metric_title

# Okabe and Ito's palette, safe for colour-blind readers, its yellow and black left out: both vanish on one background.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
FLOOR_COLOUR = "#7f8790"
INK = "#1b2530"  # text and axes; the report replaces it by its own text colour

WIDTH = 4.3  # inches
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


def draw(study: Study, name: str) -> Figure:
    """The figure `name` of the study's config."""
    spec = study.item("figures", name)
    with mpl.rc_context(STYLE):
        figure = KINDS[spec["kind"]](study, spec)
        FigureCanvasAgg(figure).draw()  # lay out while the style holds
    return figure


def save(figure: Figure, path: Path) -> None:
    """SVG or PNG by the suffix, on white."""
    with store.whole_file(path) as temporary:
        _write(figure, temporary, path.suffix.removeprefix("."), transparent=False)


def to_svg(figure: Figure, prefix: str) -> str:
    """An `<svg>` element for a page: no background, the page's own text colour, every id beginning with `prefix`."""
    buffer = io.StringIO()
    _write(figure, buffer, "svg", transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)


def describe(study: Study, name: str) -> str:
    """The figure in words, for readers who cannot see it: what is drawn, and the numbers that it shows."""
    spec = study.item("figures", name)
    if spec["kind"] == "map_bars":
        rows = [
            f"{TASK_TITLES[task]}: "
            + ", ".join(f"{study.method_title(r.method)} {r.mean:.3f}" for r in part.itertuples(index=False))
            for task, part in study.summary(spec).groupby("task", sort=False)
        ]
        return f"Bars of {metric_title(spec['metric'])}. " + ". ".join(rows) + "."
    if spec["kind"] == "precision_recall":
        curves = study.curves_of(spec)
        means = curves.groupby("method")["precision"].mean()
        rows = [f"{study.method_title(method)} {means[method]:.3f}" for method in study.methods if method in means]
        return f"Precision against recall, {TASK_TITLES[spec['task']]}. Mean precision: {', '.join(rows)}."
    history = study.history_of(spec)
    rows = [
        f"{study.method_title(method)} trained for {_span(history[history['method'] == method])} epochs"
        for method in study.methods
        if method in set(history["method"])
    ]
    return "Loss and valid mAP against the epoch. " + (", ".join(rows) or "No method learns by epochs") + "."


def _precision_recall(study: Study, spec: dict[str, Any]) -> Figure:
    """Precision against recall: mean over splits and seeds, the band from the lowest to the highest of them."""
    curves = study.curves_of(spec)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    axes = figure.subplots()
    for method in _methods_in(study, curves):
        at_recall = curves[curves["method"] == method].groupby("recall")["precision"].agg(["mean", "min", "max"])
        style = _style(study, method)
        axes.plot(at_recall.index, at_recall["mean"], label=_label(study, method), **style)
        axes.fill_between(
            at_recall.index, at_recall["min"], at_recall["max"], color=style["color"], alpha=0.18, linewidth=0
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Recall", ylabel="Precision", title=TASK_TITLES[spec["task"]])
    _legend_below(figure, axes)
    return figure


def _map_bars(study: Study, spec: dict[str, Any]) -> Figure:
    """A panel a task, a bar a method with its interval, under it a dot for each value behind the interval."""
    summary, values, tasks = study.summary(spec), study.values_of(spec), spec["tasks"]
    methods = _methods_in(study, summary)[::-1]  # the first on top
    columns = min(2, len(tasks))
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(WIDTH, rows * (0.36 * len(methods) + 0.5) + 0.35), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    reach = max(np.nanmax(summary[["mean", "high"]].to_numpy()), np.nanmax(values.to_numpy()))
    for panel, task in zip(panels, tasks, strict=False):
        cells = summary[summary["task"] == task].set_index("method")
        for place, method in enumerate(methods):
            cell, colour = cells.loc[method], _style(study, method)["color"]
            bar = place + 0.12
            panel.barh(bar, cell["mean"], height=0.46, color=colour, alpha=0.45, linewidth=0)
            panel.errorbar(
                (cell["low"] + cell["high"]) / 2,
                bar,
                xerr=(cell["high"] - cell["low"]) / 2,
                fmt="none",
                ecolor=INK,
                elinewidth=1.2,
                capsize=2.5,
            )
            end = np.nanmax([cell["mean"], cell["high"]]) + 0.03 * reach
            panel.text(end, bar, f"{cell['mean']:.3f}", va="center", fontsize=9)
            dots = values.xs(method, level="method")[task]
            panel.scatter(dots, np.full(len(dots), place - 0.26), s=12, color=colour, linewidths=0)
        panel.set(title=TASK_TITLES[task], yticks=np.arange(len(methods)) + 0.12, xlim=(0, 1.3 * reach))
        panel.set_yticklabels([_label(study, method) for method in methods])
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", visible=False)
    for panel in panels[len(tasks) :]:
        panel.set_visible(False)
    figure.supxlabel(metric_title(spec["metric"]).partition(" (")[0], fontsize=STYLE["font.size"])
    return figure


def _training_history(study: Study, spec: dict[str, Any]) -> Figure:
    """A row a method that learns by epochs: loss and valid mAP; thin lines are splits and seeds, a thick one a mean."""
    history = study.history_of(spec)
    methods = _methods_in(study, history)
    if not methods:
        return _notice("No method of this study learns by epochs.")
    figure = Figure(figsize=(WIDTH, 2.1 * len(methods) + 0.4), layout="constrained")
    rows = figure.subplots(len(methods), 2, sharex="row", squeeze=False)
    for (left, right), method in zip(rows, methods, strict=True):
        own, colour = history[history["method"] == method], _style(study, method)["color"]
        for panel, quantity, title in ((left, "loss", "training loss"), (right, "valid_map", "valid mAP")):
            runs = own[own["quantity"] == quantity].pivot(index="step", columns=["split", "seed"], values="value")
            panel.plot(runs.index, runs.to_numpy(), color=colour, alpha=0.4, linewidth=0.8)
            if quantity == "valid_map":  # losses of runs with other hyper-parameters are no scale to average on
                # Runs stop at different epochs: the mean goes as far as all of them do.
                mean = runs.dropna().mean(axis=1)
                panel.plot(mean.index, mean.to_numpy(), color=colour, linewidth=2.2)
            panel.set_title(f"{_label(study, method)}: {title}")
            panel.margins(x=0.02)
        right.set_ylim(bottom=0)
    for panel in rows[-1]:
        panel.set_xlabel("Epoch")
    return figure


KINDS: dict[str, Callable[[Study, dict[str, Any]], Figure]] = {
    "precision_recall": _precision_recall,
    "map_bars": _map_bars,
    "training_history": _training_history,
}


def _methods_in(study: Study, frame: pd.DataFrame) -> list[str]:
    """Methods that occur, in study order, the floor last."""
    present = set(frame["method"])
    return sorted((method for method in study.methods if method in present), key=lambda method: method == FLOOR)


def _style(study: Study, method: str) -> dict[str, Any]:
    """Colour and dashes of a method: by its place among the study's methods, the floor grey and dashed."""
    if method == FLOOR:
        return {"color": FLOOR_COLOUR, "linestyle": (0, (4, 3))}
    place = [other for other in study.methods if other != FLOOR].index(method)
    return {"color": PALETTE[place % len(PALETTE)], "linestyle": DASHES[place // len(PALETTE) % len(DASHES)]}


def _label(study: Study, method: str) -> str:
    title = study.method_title(method)
    return f"{title} (floor)" if method == FLOOR else title


def _legend_below(figure: Figure, axes: Any) -> None:
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=1.4, handlelength=2.2
    )


def _notice(text: str) -> Figure:
    figure = Figure(figsize=(WIDTH, 1.2), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def _span(history: pd.DataFrame) -> str:
    last = history[history["quantity"] == "loss"].groupby(["split", "seed"])["step"].max()
    return f"{last.min()} to {last.max()}" if last.min() < last.max() else f"{last.min()}"


def _write(figure: Figure, target: Any, form: str, transparent: bool) -> None:
    unsaid = ("Date", "Creator", "Format", "Type") if form == "svg" else ("Software",)
    with mpl.rc_context(STYLE):
        figure.savefig(target, format=form, dpi=200, transparent=transparent, metadata=dict.fromkeys(unsaid))
