"""How well methods retrieve: precision-recall curves, mAP bars, and dots with intervals."""

import textwrap
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cmr.figure_style import (
    CHARACTER,
    HALF_WIDTH,
    LINE,
    NONE_APPLICABLE,
    PALETTE,
    SHAPES,
    SIZE,
    TINY,
    WIDTH,
    chosen_in_legend,
    colour,
    dashes,
    in_lines,
    labels_of,
    legend_of,
    methods_in,
    notice,
    width_of,
    zoomed,
)
from cmr.results import TASK_TITLES, Study, metric_name, metric_title

WRAPPED = 27  # characters of a line of a bar's long name
LINES = "split(datum.label, '\\n')"
NUMBER = alt.Axis(grid=True, tickCount=4)


def precision_recall(study: Study, spec: dict[str, Any]) -> alt.LayerChart | alt.Chart:
    """Precision against recall: mean over splits and seeds, the band from the lowest to the highest of them."""
    curves = study.curves_of(spec)
    if curves.empty:
        return notice(NONE_APPLICABLE)
    methods = methods_in(study, curves)
    points = (
        curves.groupby(["method", "recall"])["precision"].agg(precision="mean", low="min", high="max").reset_index()
    )
    labels = labels_of(study, methods)
    points["method"] = points["method"].map(labels)
    chosen, of_unit = chosen_in_legend("chosen"), alt.Scale(domain=[0, 1], nice=False)
    legend = legend_of(labels.values(), symbolType="stroke", symbolSize=300)
    base = alt.Chart().encode(
        alt.X("recall:Q", title="Recall", scale=of_unit, axis=NUMBER),
        alt.Y("precision:Q", title="Precision", scale=of_unit, axis=NUMBER),
        colour(study, spec, methods, legend),
        tooltip=["method", "recall", "precision", "low", "high"],
    )
    band = base.mark_area(clip=True).encode(
        alt.Y("low:Q", title="Precision", scale=of_unit, axis=NUMBER),
        alt.Y2("high:Q"),
        opacity=alt.when(chosen).then(alt.value(0.18)).otherwise(alt.value(0.03)),
    )
    line = base.mark_line(clip=True).encode(
        dashes(study, spec, methods, legend),
        opacity=alt.when(chosen).then(alt.value(1)).otherwise(alt.value(0.12)),
    )
    # For the pointer, at every tenth of recall.
    dots = base.transform_filter("abs(10 * datum.recall - round(10 * datum.recall)) < 1e-6").mark_circle(
        size=140, opacity=0, clip=True
    )
    layers = alt.layer(band, line, dots, data=in_lines(points, ["method"])).add_params(chosen, zoomed("zoom"))
    return layers.transform_flatten(["recall", "precision", "low", "high"]).properties(
        width=WIDTH - 60, height=260, title=TASK_TITLES[spec["task"]]
    )


def words_of_precision_recall(study: Study, spec: dict[str, Any]) -> str:
    curves = study.curves_of(spec)
    means = curves.groupby("method")["precision"].mean()
    rows = [f"{study.method_label(method)} {means[method]:.3f}" for method in study.methods if method in means]
    told = f"Precision against recall, {TASK_TITLES[spec['task']]}. Mean precision: {', '.join(rows)}."
    return told if rows else NONE_APPLICABLE


def map_bars(study: Study, spec: dict[str, Any]) -> alt.ConcatChart | alt.Chart:
    """A panel a task, a bar a method with its interval, under it a dot for each value behind the interval."""
    summary, values, tasks = study.summary(spec), study.values_of(spec), spec["tasks"]
    methods = methods_in(study, summary)
    if not methods:
        return notice(NONE_APPLICABLE)
    labels = labels_of(study, methods)
    names = {method: textwrap.fill(label, WRAPPED) for method, label in labels.items()}
    lines = max(1 + name.count("\n") for name in names.values())
    row = max(30, LINE * lines + 6)
    # The first line of a label would stand in the middle of its row.
    more = [{"test": f"length({LINES}) === {count}", "value": -LINE * (count - 1) / 2} for count in range(2, lines + 1)]
    centred = {"condition": more, "value": 0} if more else 0
    reach = max(np.nanmax(summary[["mean", "high"]].to_numpy()), np.nanmax(values.to_numpy()))
    columns = min(2, len(tasks))
    measure = metric_name(spec["metric"])
    width = (WIDTH - width_of(names.values()) - 14 * columns) / columns
    number_title = textwrap.wrap(measure, int(width / (CHARACTER * SIZE)))
    panels = []
    for k, task in enumerate(tasks):
        cells = summary[summary["task"] == task].assign(
            name=lambda cell: cell["method"].map(names),
            end=lambda cell: cell[["mean", "high"]].max(axis=1),
            printed=lambda cell: cell["mean"].map("{:.3f}".format),
            method=lambda cell: cell["method"].map(labels),
        )
        dots = values[task].rename("value").reset_index().assign(name=lambda dot: dot["method"].map(names))
        dots["method"] = dots["method"].map(labels)
        axis = alt.Axis(labelExpr=LINES, labelOffset=centred, ticks=False, domain=False, labels=k % columns == 0)
        y = alt.Y("name:N", title=None, scale=alt.Scale(domain=list(names.values())), axis=axis)
        number = alt.Axis(grid=True, tickCount=3, title=number_title if k + columns >= len(tasks) else None)
        x = alt.X("mean:Q", scale=alt.Scale(domain=[0, 1.3 * reach], nice=False), axis=number)
        hue = colour(study, spec, methods, None)
        of_bar = alt.Chart(cells.round(4)).encode(y)
        tips = ["method", alt.Tooltip("mean:Q", title=measure), "low", "high", "n"]
        bars = of_bar.mark_bar(height={"band": 0.46}, yOffset=-3, opacity=0.45).encode(x, hue, tooltip=tips)
        with_interval = alt.Chart(cells.dropna().round(4)).encode(y, alt.X("low:Q"), alt.X2("high:Q"), tooltip=tips)
        interval = with_interval.mark_rule(yOffset=-3, strokeWidth=1.4)
        ends = [of_bar.transform_filter(f"isValid(datum.{end})") for end in ("low", "high")]
        caps = [
            chart.mark_tick(yOffset=-3, size=6, thickness=1.4).encode(alt.X(f"{end}:Q"))
            for chart, end in zip(ends, ("low", "high"), strict=True)
        ]
        number_of = of_bar.mark_text(yOffset=-3, align="left", dx=5, fontSize=TINY).encode(
            alt.X("end:Q"), text="printed:N"
        )
        behind = alt.Chart(dots.round(4)).mark_circle(size=12, yOffset=0.3 * row, opacity=1)
        behind = behind.encode(y, alt.X("value:Q"), hue, tooltip=["method", dots.columns[1], "value"])
        layers = alt.layer(bars, interval, *caps, number_of, behind)
        panels.append(layers.properties(width=width, height=alt.Step(row), title=TASK_TITLES[task]))
    return alt.concat(*panels, columns=columns)


def words_of_map_bars(study: Study, spec: dict[str, Any]) -> str:
    rows = [
        f"{TASK_TITLES[task]}: "
        + ", ".join(f"{study.method_label(r.method)} {r.mean:.3f}" for r in part.itertuples(index=False))
        for task, part in study.summary(spec).groupby("task", sort=False)
    ]
    return f"Bars of {metric_title(spec['metric'])}. {'. '.join(rows)}." if rows else NONE_APPLICABLE


def intervals(panels: Mapping[str, pd.DataFrame], label: str) -> alt.ConcatChart:
    first = next(iter(panels.values()))
    groups, series = (list(dict.fromkeys(first[key])) for key in ("group", "series"))
    columns = min(2, len(panels))
    width = (WIDTH - width_of(groups) - 14 * columns) / columns
    hues = [PALETTE[k % len(PALETTE)] for k in range(len(series))]
    shapes = [SHAPES[k % len(SHAPES)] for k in range(len(series))]
    legend = alt.Legend(columns=2 if max(map(len, series)) <= HALF_WIDTH else 1, symbolOpacity=1)
    lowest, highest = (
        edge(panel[["mean", end]].to_numpy())
        for panel in [pd.concat(panels.values())]
        for edge, end in ((np.nanmin, "low"), (np.nanmax, "high"))
    )
    drawn = []
    for k, (title, cells) in enumerate(panels.items()):
        own = cells[["group", "series", "mean", "low", "high"]].round(4)
        axis = alt.Axis(ticks=False, domain=False, labels=k % columns == 0)
        last_row = k + columns >= len(panels)
        title_of_numbers = textwrap.wrap(label, int(width / (CHARACTER * SIZE))) if last_row else None
        numbers = alt.Axis(grid=True, tickCount=3, title=title_of_numbers)
        place = alt.Scale(domain=[lowest, highest], zero=False, padding=6)
        base = alt.Chart(own).encode(
            alt.Y("group:N", title=None, scale=alt.Scale(domain=groups, paddingInner=0.25), axis=axis),
            alt.YOffset("series:N", scale=alt.Scale(domain=series)),
            alt.Color("series:N", title=None, scale=alt.Scale(domain=series, range=hues), legend=legend),
            tooltip=["group", "series", "mean", "low", "high"],
        )
        rule = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.4)
        rule = rule.encode(alt.X("low:Q", scale=place, axis=numbers), alt.X2("high:Q"))
        dots = base.mark_point(filled=True, size=34, opacity=1).encode(
            alt.X("mean:Q", scale=place, axis=numbers),
            alt.Shape("series:N", title=None, scale=alt.Scale(domain=series, range=shapes), legend=legend),
        )
        step = alt.Step(10, **{"for": "offset"})
        drawn.append(alt.layer(rule, dots).properties(width=width, height=step, title=title))
    return alt.concat(*drawn, columns=columns)
