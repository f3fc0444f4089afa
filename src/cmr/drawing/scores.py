"""How well methods retrieve: precision-recall curves, mAP bars, and dots with intervals."""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmr.figure_style import (
    HALF_WIDTH,
    INK,
    MARKERS,
    NONE_APPLICABLE,
    PALETTE,
    STYLE,
    WIDTH,
    legend_below,
    methods_in,
    notice,
    style_of,
)
from cmr.results import TASK_TITLES, Study, metric_name, metric_title

WRAPPED = 27  # characters of a line of a bar's long name


def precision_recall(study: Study, spec: dict[str, Any]) -> Figure:
    """Precision against recall: mean over splits and seeds, the band from the lowest to the highest of them."""
    curves = study.curves_of(spec)
    if curves.empty:
        return notice(NONE_APPLICABLE)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    axes = figure.subplots()
    for method in methods_in(study, curves):
        at_recall = curves[curves["method"] == method].groupby("recall")["precision"].agg(["mean", "min", "max"])
        style = style_of(study, spec, method)
        axes.plot(at_recall.index, at_recall["mean"], label=study.method_label(method), **style)
        axes.fill_between(
            at_recall.index, at_recall["min"], at_recall["max"], color=style["color"], alpha=0.18, linewidth=0
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Recall", ylabel="Precision", title=TASK_TITLES[spec["task"]])
    legend_below(figure, axes)
    return figure


def words_of_precision_recall(study: Study, spec: dict[str, Any]) -> str:
    curves = study.curves_of(spec)
    means = curves.groupby("method")["precision"].mean()
    rows = [f"{study.method_label(method)} {means[method]:.3f}" for method in study.methods if method in means]
    told = f"Precision against recall, {TASK_TITLES[spec['task']]}. Mean precision: {', '.join(rows)}."
    return told if rows else NONE_APPLICABLE


def map_bars(study: Study, spec: dict[str, Any]) -> Figure:
    """A panel a task, a bar a method with its interval, under it a dot for each value behind the interval."""
    summary, values, tasks = study.summary(spec), study.values_of(spec), spec["tasks"]
    methods = methods_in(study, summary)[::-1]  # the first on top
    if not methods:
        return notice(NONE_APPLICABLE)
    labels = [textwrap.fill(study.method_label(method), WRAPPED) for method in methods]
    size = STYLE["font.size"] if max(map(len, labels)) <= HALF_WIDTH else 8.5  # or nothing is left for the bars
    row = max(0.36, 0.145 * max(1 + label.count("\n") for label in labels))
    columns = min(2, len(tasks))
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(WIDTH, rows * (row * len(methods) + 0.5) + 0.35), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    reach = max(np.nanmax(summary[["mean", "high"]].to_numpy()), np.nanmax(values.to_numpy()))
    for panel, task in zip(panels, tasks, strict=False):
        cells = summary[summary["task"] == task].set_index("method")
        for place, method in enumerate(methods):
            cell, colour = cells.loc[method], style_of(study, spec, method)["color"]
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
        panel.set_yticklabels(labels, fontsize=size)
        panel.set_ylim(-0.6, len(methods) - 0.4)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", visible=False)
    for panel in panels[len(tasks) :]:
        panel.set_visible(False)
    figure.supxlabel(metric_name(spec["metric"]), fontsize=STYLE["font.size"])
    return figure


def words_of_map_bars(study: Study, spec: dict[str, Any]) -> str:
    rows = [
        f"{TASK_TITLES[task]}: "
        + ", ".join(f"{study.method_label(r.method)} {r.mean:.3f}" for r in part.itertuples(index=False))
        for task, part in study.summary(spec).groupby("task", sort=False)
    ]
    return f"Bars of {metric_title(spec['metric'])}. {'. '.join(rows)}." if rows else NONE_APPLICABLE


def intervals(panels: Mapping[str, pd.DataFrame], label: str) -> Figure:
    first = next(iter(panels.values()))
    groups, series = (list(dict.fromkeys(first[key])) for key in ("group", "series"))
    block = len(series) + 1  # rows, one of them empty
    columns = min(2, len(panels))
    rows, keys = -(-len(panels) // columns), -(-len(series) // 2)
    height = rows * (0.14 * block * len(groups) + 0.45) + 0.25 * keys + 0.35
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, (title, cells) in zip(axes, panels.items(), strict=False):
        for k, name in enumerate(series):
            own = cells[cells["series"] == name]
            places = [block * groups.index(group) + k for group in own["group"]]
            panel.errorbar(
                own["mean"],
                places,
                xerr=[own["mean"] - own["low"], own["high"] - own["mean"]],
                label=name,
                fmt=MARKERS[k % len(MARKERS)],
                color=PALETTE[k % len(PALETTE)],
                markersize=4,
                elinewidth=1.2,
                capsize=2,
            )
        panel.set(title=title, yticks=[block * k + (len(series) - 1) / 2 for k in range(len(groups))])
        panel.set_yticklabels(groups)
        panel.set_ylim(block * len(groups) - 1.2, -0.8)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", visible=False)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        for k in range(1, len(groups)):
            panel.axhline(block * k - 1, color=INK, alpha=0.12, linewidth=0.7)
    for panel in axes[len(panels) :]:
        panel.set_visible(False)
    figure.supxlabel(label, fontsize=STYLE["font.size"])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=9, handlelength=2.2)
    return figure
