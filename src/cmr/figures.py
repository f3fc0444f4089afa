"""Figures of a study: precision-recall curves, mAP bars, training histories, statistics of its data sets.

The same study gives the same bytes: no dates, fixed ids, text as text. A method has one colour and line style in all
figures of the same methods. Sizes are those of a phone's screen, so that nothing is scaled down there.
"""

import io
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from cmr import files
from cmr.errors import UserError
from cmr.methods import FLOOR
from cmr.results import TASK_TITLES, Study, metric_name, metric_title, span

# Okabe and Ito's palette, safe for colour-blind readers, its yellow and black left out: both vanish on one background.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # not as many as colours, so that few pairs of them occur twice
FLOOR_COLOUR = "#7f8790"
INK = "#1b2530"  # text and axes; the report replaces it by its own text colour

WIDTH = 4.3  # inches
OBJECTIVE = "objective"  # how the name of a quantity ends that an iterating solver lowers or raises
SHORT_LABEL = 14  # characters; of longer ones only two fit side by side
HALF_WIDTH = 22  # characters that fit into half of a figure; longer legends stand below each other, longer titles wrap
WRAPPED = 27  # characters of a line of a bar's long name
NONE_APPLICABLE = "No method is applicable to these data."
NONE_ITERATES = "No method of this study iterates on an objective"
NAMED_CLASSES = 100  # of a data set, at most; more have no room for their names
ONE_COLUMN = 16  # classes that stand below each other; more take two columns
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


@dataclass(frozen=True)
class Drawing:
    """A figure as a page shows it; `words` tell what it shows, for readers who cannot see it."""

    name: str
    caption: str
    words: str
    svg: Markup


def draw(study: Study, name: str) -> Figure:
    """The figure `name` of the study's config."""
    spec = study.item("figures", name)
    with mpl.rc_context(STYLE):
        figure = KINDS[spec["kind"]](study, spec)
        FigureCanvasAgg(figure).draw()  # lay out while the style holds
    return figure


def draw_intervals(panels: Mapping[str, pd.DataFrame], label: str) -> Figure:
    """A panel a title; in it a block of rows a group, and in that a dot a series with its interval.

    panels : title -> columns group, series, mean, low, high (NaN where a mean has no interval); the first on top.
    label : of the axis of numbers.
    """
    with mpl.rc_context(STYLE):
        figure = _intervals(panels, label)
        FigureCanvasAgg(figure).draw()  # lay out while the style holds
    return figure


def save(figure: Figure, path: Path) -> None:
    """SVG or PNG by the suffix, on white."""
    with files.whole_file(path) as temporary:
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
    return WORDS[spec["kind"]](study, spec)


def size_in_words(size: Mapping[str, Any]) -> str:
    """Of images: median, smallest and largest."""
    median, smallest, largest = ("{:g} by {:g}".format(*size[which]) for which in ("median", "smallest", "largest"))
    return f"all {median} pixels" if smallest == largest else f"median {median} pixels, from {smallest} to {largest}"


def _words_of_map_bars(study: Study, spec: dict[str, Any]) -> str:
    rows = [
        f"{TASK_TITLES[task]}: "
        + ", ".join(f"{study.method_label(r.method)} {r.mean:.3f}" for r in part.itertuples(index=False))
        for task, part in study.summary(spec).groupby("task", sort=False)
    ]
    return f"Bars of {metric_title(spec['metric'])}. {'. '.join(rows)}." if rows else NONE_APPLICABLE


def _words_of_precision_recall(study: Study, spec: dict[str, Any]) -> str:
    curves = study.curves_of(spec)
    means = curves.groupby("method")["precision"].mean()
    rows = [f"{study.method_label(method)} {means[method]:.3f}" for method in study.methods if method in means]
    told = f"Precision against recall, {TASK_TITLES[spec['task']]}. Mean precision: {', '.join(rows)}."
    return told if rows else NONE_APPLICABLE


def _words_of_training_history(study: Study, spec: dict[str, Any]) -> str:
    history = _epochs_of(study, spec)
    rows = [
        f"{study.method_label(method)} trained for {_steps(history[history['method'] == method])} epochs"
        for method in study.methods
        if method in set(history["method"])
    ]
    return "Loss and valid mAP against the epoch. " + (", ".join(rows) or "No method learns by epochs") + "."


def _words_of_convergence(study: Study, spec: dict[str, Any]) -> str:
    history = _objectives(study, spec)
    rows = [
        f"{study.method_label(method)} {_steps(history[history['method'] == method], after=1)}"
        for method in _methods_in(study, history)
    ]
    return f"Objective against the iteration. {'Iterations: ' + ', '.join(rows) if rows else NONE_ITERATES}."


def _words_of_dataset_statistics(study: Study, spec: dict[str, Any]) -> str:
    return " ".join(map(_words_of_dataset, _datasets_of(study, spec)))


def _words_of_dataset(dataset: Mapping[str, Any]) -> str:
    classes, facts = _ranked(dataset["classes"]), []
    if len(classes) > NAMED_CLASSES:
        facts.append(f"{len(classes)} classes of {classes[-1][1]} to {classes[0][1]} pairs")
    elif classes:
        facts.append("pairs a class: " + ", ".join(f"{name} {count}" for name, count in classes))
    if words := dataset["texts"].get("words"):
        facts.append(f"words a text: {words['least']} to {words['most']}, median {words['median']:g}")
    if size := dataset["images"].get("size"):
        facts.append(f"size of an image: {size_in_words(size)}")
    return f"{dataset['title']}: {'; '.join(facts) or 'nothing to draw'}."


def _precision_recall(study: Study, spec: dict[str, Any]) -> Figure:
    """Precision against recall: mean over splits and seeds, the band from the lowest to the highest of them."""
    curves = study.curves_of(spec)
    if curves.empty:
        return _notice(NONE_APPLICABLE)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    axes = figure.subplots()
    for method in _methods_in(study, curves):
        at_recall = curves[curves["method"] == method].groupby("recall")["precision"].agg(["mean", "min", "max"])
        style = _style(study, spec, method)
        axes.plot(at_recall.index, at_recall["mean"], label=study.method_label(method), **style)
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
    if not methods:
        return _notice(NONE_APPLICABLE)
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
            cell, colour = cells.loc[method], _style(study, spec, method)["color"]
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


def _intervals(panels: Mapping[str, pd.DataFrame], label: str) -> Figure:
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


def _training_history(study: Study, spec: dict[str, Any]) -> Figure:
    """A row a method that learns by epochs: loss and valid mAP; thin lines are splits and seeds, a thick one a mean."""
    history = _epochs_of(study, spec)
    methods = _methods_in(study, history)
    if not methods:
        return _notice("No method of this study learns by epochs.")
    height = 2.1 if len(methods) <= 3 else 1.3
    names = [textwrap.fill(f"{study.method_label(method)}: loss", HALF_WIDTH) for method in methods]
    further = 0.17 * "".join(names).count("\n")  # inches of the lines that long names add
    figure = Figure(figsize=(WIDTH, height * len(methods) + 0.4 + further), layout="constrained")
    rows = figure.subplots(len(methods), 2, sharex="row", squeeze=False)
    for (left, right), method, name in zip(rows, methods, names, strict=True):
        own, colour = history[history["method"] == method], _style(study, spec, method)["color"]
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


def _convergence(study: Study, spec: dict[str, Any]) -> Figure:
    """A panel a method that iterates on an objective: its value as a share of the first, a line a split and seed.

    Of several objectives, such as those of two classifiers, the first is drawn solid and others are dashed.
    """
    history = _objectives(study, spec)
    methods = _methods_in(study, history)
    if not methods:
        return _notice(f"{NONE_ITERATES}.")
    columns = min(2, len(methods))
    rows = -(-len(methods) // columns)
    figure = Figure(figsize=(WIDTH, 1.7 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, method in zip(panels, methods, strict=False):
        own, colour = history[history["method"] == method], _style(study, spec, method)["color"]
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


def _objectives(study: Study, spec: dict[str, Any]) -> pd.DataFrame:
    """Histories of objectives that closed forms and convex solvers iterate on."""
    history = study.history_of(spec)
    return history[history["quantity"].str.endswith(OBJECTIVE)]


def _dataset_statistics(study: Study, spec: dict[str, Any]) -> Figure:
    """A block a data set: pairs of each class, then how many texts have how many words, and the sizes of images.

    A data set of which nothing of that is known has no block.
    """
    datasets = [dataset for dataset in _datasets_of(study, spec) if any(_heights(dataset))]
    if not datasets:
        return _notice("No classes, no texts, and nobody has looked at pictures.")
    heights = [0.3 + sum(_heights(dataset)) for dataset in datasets]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    blocks = figure.subfigures(len(datasets), 1, squeeze=False, height_ratios=heights).ravel()
    for block, dataset in zip(blocks, datasets, strict=True):
        block.suptitle(dataset["title"], x=0.02, ha="left", fontsize=STYLE["font.size"], fontweight="bold")
        drawn = [row for row in zip(_heights(dataset), (_draw_classes, _draw_histograms), strict=True) if row[0]]
        rows = block.subfigures(len(drawn), 1, squeeze=False, height_ratios=[height for height, _ in drawn]).ravel()
        for row, (_, draw_row) in zip(rows, drawn, strict=True):
            draw_row(row, dataset)
    return figure


def _datasets_of(study: Study, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Facts of the data set that a figure is about, or of all of the study."""
    datasets = study.facts["datasets"]
    if "dataset" not in spec:
        return list(datasets.values())
    if spec["dataset"] not in datasets:
        raise UserError(f"study {study.facts['study']} has no data set {spec['dataset']}; it has {', '.join(datasets)}")
    return [datasets[spec["dataset"]]]


def _heights(dataset: Mapping[str, Any]) -> tuple[float, float]:
    """Inches of a data set's classes and of its histograms; 0 where there are none."""
    classes = len(dataset["classes"])
    rows = classes if classes <= ONE_COLUMN else -(-classes // 2)
    drawn = "words" in dataset["texts"] or "size" in dataset["images"]
    return (2.0 if classes > NAMED_CLASSES else 0.15 * rows + 0.4) if classes else 0.0, 2.0 if drawn else 0.0


def _ranked(classes: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(classes.items(), key=lambda item: (-item[1], item[0]))


def _draw_classes(block: SubFigure, dataset: Mapping[str, Any]) -> None:
    """A bar a class, the largest first."""
    ranked, mean = _ranked(dataset["classes"]), dataset["labels"]["mean"]
    title = "Pairs a class" if dataset["labels"]["max"] == 1 else f"Pairs a class ({mean:.1f} classes a pair)"
    if len(ranked) > NAMED_CLASSES:
        panel = block.subplots()
        panel.stairs([count for _, count in ranked], np.arange(len(ranked) + 1) + 0.5, color=PALETTE[0], fill=True)
        panel.set(yscale="log", xlabel=f"{len(ranked)} classes, the largest first", xlim=(0.5, len(ranked) + 0.5))
        panel.set_title(title)
        return
    columns = 1 if len(ranked) <= ONE_COLUMN else 2
    rows = -(-len(ranked) // columns)
    panels = block.subplots(1, columns, sharex=True, squeeze=False).ravel()
    for column, panel in enumerate(panels):
        names, counts = zip(*ranked[column * rows : (column + 1) * rows], strict=True)
        places = np.arange(len(names))
        panel.barh(places, counts, height=0.7, color=PALETTE[0], alpha=0.75, linewidth=0)
        for place, count in zip(places, counts, strict=True):
            panel.text(count + 0.02 * ranked[0][1], place, count, va="center_baseline", fontsize=7)
        panel.set(xlim=(0, 1.25 * ranked[0][1]), ylim=(rows - 0.5, -0.5), xticks=[], yticks=places)
        panel.set_yticklabels([_short(name) for name in names], fontsize=7.5)
        panel.tick_params(axis="y", length=0)
        panel.grid(visible=False)
        panel.spines["bottom"].set_visible(False)
    panels[0].set_title(title)


def _draw_histograms(block: SubFigure, dataset: Mapping[str, Any]) -> None:
    """Words a text, and widths and heights of images, as far as they are known."""
    words, size = dataset["texts"].get("words"), dataset["images"].get("size")
    panels = iter(block.subplots(1, 2 if words and size else 1, squeeze=False).ravel())
    if words:
        panel = next(panels)
        _draw_histogram(panel, words["histogram"], PALETTE[0], label=None)
        beyond = words["histogram"]["beyond"]
        reach = f"{beyond} more, up to {words['most']} words" if beyond else "words"
        panel.set(title="Words a text", ylabel="texts")
        panel.set_xlabel(reach, fontsize=9)
    if size:
        panel = next(panels)
        for side, colour in (("width", PALETTE[0]), ("height", PALETTE[1])):
            _draw_histogram(panel, size[side], colour, label=side)
        panel.set(title="Size of an image", ylabel="images")
        panel.set_xlabel("pixels", fontsize=9)
        panel.legend(fontsize=8, handlelength=1.2)


def _draw_histogram(panel: Any, histogram: Mapping[str, Any], colour: str, label: str | None) -> None:
    edges = histogram["first"] - 0.5 + histogram["width"] * np.arange(len(histogram["counts"]) + 1)
    panel.stairs(histogram["counts"], edges, color=colour, alpha=0.3, fill=True)
    panel.stairs(histogram["counts"], edges, color=colour, linewidth=1.2, label=label)
    panel.tick_params(labelsize=8)
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"


KINDS: dict[str, Callable[[Study, dict[str, Any]], Figure]] = {
    "precision_recall": _precision_recall,
    "map_bars": _map_bars,
    "training_history": _training_history,
    "convergence": _convergence,
    "dataset_statistics": _dataset_statistics,
}
WORDS: dict[str, Callable[[Study, dict[str, Any]], str]] = {
    "precision_recall": _words_of_precision_recall,
    "map_bars": _words_of_map_bars,
    "training_history": _words_of_training_history,
    "convergence": _words_of_convergence,
    "dataset_statistics": _words_of_dataset_statistics,
}


def _methods_in(study: Study, frame: pd.DataFrame) -> list[str]:
    """Methods that occur, in study order, the floor last."""
    present = set(frame["method"])
    return sorted((method for method in study.methods if method in present), key=lambda method: method == FLOOR)


def _style(study: Study, spec: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Colour and dashes of a method: by its place among the methods that the figure names, or the study."""
    if method == FLOOR:
        return {"color": FLOOR_COLOUR, "linestyle": (0, (4, 3))}
    place = [other for other in spec.get("methods", study.methods) if other != FLOOR].index(method)
    return {"color": PALETTE[place % len(PALETTE)], "linestyle": DASHES[place // len(PALETTE) % len(DASHES)]}


def _legend_below(figure: Figure, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels))
    columns = 3 if longest <= SHORT_LABEL else 2 if longest <= HALF_WIDTH else 1
    labels = [textwrap.fill(label, 2 * HALF_WIDTH) for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.4, handlelength=2.2)


def _notice(text: str) -> Figure:
    figure = Figure(figsize=(WIDTH, 1.2), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def _epochs_of(study: Study, spec: dict[str, Any]) -> pd.DataFrame:
    """Histories of losses and of valid mAP, of the methods that learn by epochs."""
    history = study.history_of(spec)
    return history[history["quantity"].isin(["loss", "valid_map"])]


def _steps(history: pd.DataFrame, after: int = 0) -> str:
    """How many steps the histories have, those of the beginning aside."""
    return span(history.groupby(["split", "seed"])["step"].max() - after)


def _write(figure: Figure, target: Any, form: str, transparent: bool) -> None:
    unsaid = ("Date", "Creator", "Format", "Type") if form == "svg" else ("Software",)
    with mpl.rc_context(STYLE):
        figure.savefig(target, format=form, dpi=200, transparent=transparent, metadata=dict.fromkeys(unsaid))
