"""How methods learn: losses and valid mAP against the epoch, objectives against the iteration."""

import math
import textwrap
from typing import Any

import altair as alt
import pandas as pd

from cmr.figure_style import DASHES, HALF_WIDTH, WIDTH, colour_of, in_lines, methods_in, notice, zoomed
from cmr.results import Study, span

OBJECTIVE = "objective"  # how the name of a quantity ends that an iterating solver lowers or raises
NONE_ITERATES = "No method of this study iterates on an objective"
POINTED = 20  # points of a mean, about, that the pointer finds
LABELS = 40  # pixels of the labels of an axis
TITLE = 36  # pixels of the title of an axis
STEPS = alt.Axis(grid=True, tickCount=4, tickMinStep=1, format="d")
# The highest number stands at the top of every panel, so that titles beside each other have one height.
TICKS = 3
NUMBERS = alt.Axis(grid=True, tickCount=TICKS, format=".3~g", minExtent=30)


def training_history(study: Study, spec: dict[str, Any]) -> alt.ConcatChart | alt.Chart:
    """A row a method that learns by epochs: loss and valid mAP; thin lines are splits and seeds, a thick one a mean."""
    history = _epochs_of(study, spec)
    methods = methods_in(study, history)
    if not methods:
        return notice("No method of this study learns by epochs.")
    height = 120 if len(methods) <= 3 else 70
    panels = []
    for row, method in enumerate(methods):
        own, colour = history[history["method"] == method], colour_of(study, spec, method)
        epoch = alt.X(
            "step:Q",
            title="Epoch" if row == len(methods) - 1 else None,
            scale=alt.Scale(domain=[int(own["step"].min()), int(own["step"].max())], nice=False, padding=3),
            axis=STEPS,
        )
        for quantity, title in (("loss", f"{study.method_label(method)}: loss"), ("valid_map", "valid mAP")):
            runs = own[own["quantity"] == quantity]
            # Losses have no common scale to average on: hyper-parameters of runs differ.
            y = alt.Y("value:Q", title=None, axis=NUMBERS, scale=alt.Scale(zero=quantity == "valid_map", nice=TICKS))
            layers = [_lines(runs[["split", "seed", "step", "value"]], 0.8, 0.55, colour, epoch, y, ["epochs", "last"])]
            if quantity == "valid_map":
                layers += _mean(runs, colour, epoch, y)
            panel = alt.layer(*layers).add_params(zoomed(f"zoom_{row}_{quantity}"))
            panels.append(panel.properties(**_size(2, height), title=textwrap.wrap(title, HALF_WIDTH)))
    return alt.concat(*panels, columns=2)


def words_of_training_history(study: Study, spec: dict[str, Any]) -> str:
    history = _epochs_of(study, spec)
    rows = [
        f"{study.method_label(method)} trained for {_steps(history[history['method'] == method])} epochs"
        for method in study.methods
        if method in set(history["method"])
    ]
    return "Loss and valid mAP against the epoch. " + (", ".join(rows) or "No method learns by epochs") + "."


def _epochs_of(study: Study, spec: dict[str, Any]) -> pd.DataFrame:
    """Histories of losses and of valid mAP, of the methods that learn by epochs."""
    history = study.history_of(spec)
    return history[history["quantity"].isin(["loss", "valid_map"])]


def convergence(study: Study, spec: dict[str, Any]) -> alt.ConcatChart | alt.Chart:
    """A panel a method that iterates on an objective: its value as a share of the first, a line a split and seed.

    Of several objectives, such as those of two classifiers, the first is drawn solid and others are dashed.
    """
    history = _objectives(study, spec)
    methods = methods_in(study, history)
    if not methods:
        return notice(f"{NONE_ITERATES}.")
    columns = min(2, len(methods))
    height = 150 if len(methods) <= columns else 110
    history = history.sort_values("step")
    by_run = history.groupby(["method", "split", "seed", "quantity"])
    first = by_run["value"].transform("first")
    history = history.assign(step=by_run.cumcount(), value=history["value"] / first.where(first != 0, 1.0))
    panels = []
    for k, method in enumerate(methods):
        own = history[history["method"] == method]
        quantities = sorted(set(own["quantity"]))
        below = k + columns >= len(methods)
        left = k % columns == 0
        lines = _lines(
            own[["split", "seed", "quantity", "step", "value"]],
            1.1,
            0.7,
            colour_of(study, spec, method),
            alt.X("step:Q", title="Iteration" if below else None, scale=alt.Scale(nice=False), axis=STEPS),
            alt.Y(
                "value:Q",
                title=["Objective /", "its first value"] if left else None,
                axis=NUMBERS,
                scale=alt.Scale(zero=False, nice=TICKS),
            ),
            ["iterations", "last share"],
        )
        styles = [list(DASHES[place % len(DASHES)]) for place in range(len(quantities))]
        scale = alt.Scale(domain=quantities, range=styles)
        lines = lines.encode(alt.StrokeDash("quantity:N", scale=scale, legend=None))
        title = textwrap.wrap(study.method_label(method), HALF_WIDTH)
        panels.append(lines.add_params(zoomed(f"zoom_{k}")).properties(**_size(columns, height, TITLE), title=title))
    return alt.concat(*panels, columns=columns).resolve_scale(strokeDash="independent")  # quantities of their own


def words_of_convergence(study: Study, spec: dict[str, Any]) -> str:
    history = _objectives(study, spec)
    rows = [
        f"{study.method_label(method)} {_steps(history[history['method'] == method], after=1)}"
        for method in methods_in(study, history)
    ]
    return f"Objective against the iteration. {'Iterations: ' + ', '.join(rows) if rows else NONE_ITERATES}."


def _objectives(study: Study, spec: dict[str, Any]) -> pd.DataFrame:
    """Histories of objectives that closed forms and convex solvers iterate on."""
    history = study.history_of(spec)
    return history[history["quantity"].str.endswith(OBJECTIVE)]


def _steps(history: pd.DataFrame, after: int = 0) -> str:
    """How many steps the histories have, those of the beginning aside."""
    return span(history.groupby(["split", "seed"])["step"].max() - after)


def _lines(
    points: pd.DataFrame, stroke: float, opacity: float, colour: str, x: alt.X, y: alt.Y, told: list[str]
) -> alt.Chart:
    """A line a run, for the pointer with what names the run, the number of its steps and its last value.

    points : columns `step` and `value`, and those that tell runs apart.
    """
    by = [column for column in points if column not in ("step", "value")]
    lines = in_lines(points.sort_values("step"), by, _digits(points["value"]))
    lines = lines.assign(steps=lines["step"].str[-1], last=lines["value"].str[-1])
    tips = [*by, alt.Tooltip("steps", title=told[0]), alt.Tooltip("last", title=told[1])]
    chart = alt.Chart(lines).transform_flatten(["step", "value"])
    chart = chart.mark_line(strokeWidth=stroke, opacity=opacity, color=colour, clip=True)
    return chart.encode(x, y, detail=by, tooltip=tips)


def _mean(runs: pd.DataFrame, colour: str, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The mean of runs over the steps that all of them have: they stop at different epochs."""
    values = runs.pivot(index="step", columns=["split", "seed"], values="value").dropna()
    mean = values.mean(axis=1).rename("value").reset_index().assign(mean="mean")
    base = alt.Chart(in_lines(mean, ["mean"])).transform_flatten(["step", "value"])
    base = base.encode(x, y, tooltip=[alt.Tooltip("step:Q", title="epoch"), alt.Tooltip("value:Q", title="mean")])
    every = max(1, len(mean) // POINTED)
    dots = base.transform_filter(f"datum.step % {every} == 0").mark_circle(size=140, opacity=0, clip=True)
    return [base.mark_line(strokeWidth=2.2, color=colour, clip=True).encode(tooltip=alt.value(None)), dots]


def _size(columns: int, height: float, title: float = 0) -> dict[str, float]:
    """Of a panel, so that so many beside each other and their labels take the width of a figure."""
    return {"width": (WIDTH - title - columns * (LABELS + 14) + 14) / columns, "height": height}


def _digits(values: pd.Series) -> int:
    """Digits after the point that tell a ten-thousandth of the greatest of some values, or four where that is more."""
    greatest = values.abs().replace(math.inf, math.nan).max()
    return max(4, 4 - math.floor(math.log10(greatest))) if greatest > 0 else 4
