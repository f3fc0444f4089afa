"""How methods learn: losses and valid mAP against the epoch, objectives against the iteration."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmr.figure_style import DASHES, HALF_WIDTH, STYLE, WIDTH, methods_in, notice, style_of
from cmr.results import Study, span

OBJECTIVE = "objective"  # how the name of a quantity ends that an iterating solver lowers or raises
NONE_ITERATES = "No method of this study iterates on an objective"


def training_history(study: Study, spec: dict[str, Any]) -> Figure:
    """A row a method that learns by epochs: loss and valid mAP; thin lines are splits and seeds, a thick one a mean."""
    history = _epochs_of(study, spec)
    methods = methods_in(study, history)
    if not methods:
        return notice("No method of this study learns by epochs.")
    height = 2.1 if len(methods) <= 3 else 1.3
    names = [textwrap.fill(f"{study.method_label(method)}: loss", HALF_WIDTH) for method in methods]
    further = 0.17 * "".join(names).count("\n")  # inches of the lines that long names add
    figure = Figure(figsize=(WIDTH, height * len(methods) + 0.4 + further), layout="constrained")
    rows = figure.subplots(len(methods), 2, sharex="row", squeeze=False)
    for (left, right), method, name in zip(rows, methods, names, strict=True):
        own, colour = history[history["method"] == method], style_of(study, spec, method)["color"]
        for panel, quantity, title in zip((left, right), ("loss", "valid_map"), (name, "valid mAP"), strict=True):
            runs = own[own["quantity"] == quantity].pivot(index="step", columns=["split", "seed"], values="value")
            panel.plot(runs.index, runs.to_numpy(), color=colour, alpha=0.4, linewidth=0.8)
            if quantity == "valid_map":  # losses of runs with other hyper-parameters are no scale to average on
                # Runs stop at different epochs: the mean goes as far as all of them do.
                mean = runs.dropna().mean(axis=1)
                panel.plot(mean.index, mean.to_numpy(), color=colour, linewidth=2.2)
            panel.set_title(title)
            panel.margins(x=0.02)
            panel.yaxis.set_major_locator(MaxNLocator(3))
        right.set_ylim(bottom=0)
    for panel in rows[-1]:
        panel.set_xlabel("Epoch")
    return figure


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


def convergence(study: Study, spec: dict[str, Any]) -> Figure:
    """A panel a method that iterates on an objective: its value as a share of the first, a line a split and seed.

    Of several objectives, such as those of two classifiers, the first is drawn solid and others are dashed.
    """
    history = _objectives(study, spec)
    methods = methods_in(study, history)
    if not methods:
        return notice(f"{NONE_ITERATES}.")
    columns = min(2, len(methods))
    rows = -(-len(methods) // columns)
    figure = Figure(figsize=(WIDTH, max(1.7 * rows, 2.1) + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, method in zip(panels, methods, strict=False):
        own, colour = history[history["method"] == method], style_of(study, spec, method)["color"]
        quantities = sorted(set(own["quantity"]))
        for (_, _, quantity), line in own.groupby(["split", "seed", "quantity"]):
            values = line.sort_values("step")["value"].to_numpy()
            dashes = DASHES[quantities.index(quantity) % len(DASHES)]
            shares = values / values[0] if values[0] else values
            panel.plot(np.arange(len(values)), shares, color=colour, linestyle=dashes, alpha=0.7, linewidth=1.1)
        panel.set_title(textwrap.fill(study.method_label(method), HALF_WIDTH))
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for panel in panels[len(methods) :]:
        panel.set_visible(False)
    figure.supxlabel("Iteration", fontsize=STYLE["font.size"])
    figure.supylabel("Objective / its first value", fontsize=STYLE["font.size"])
    return figure


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
