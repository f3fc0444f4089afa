"""What data sets hold: pairs of each class, words a text, sizes of images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from cmr.errors import UserError
from cmr.figure_style import PALETTE, STYLE, WIDTH, notice
from cmr.results import Study

NAMED_CLASSES = 100  # of a data set, at most; more have no room for their names
ONE_COLUMN = 16  # classes that stand below each other; more take two columns


def dataset_statistics(study: Study, spec: dict[str, Any]) -> Figure:
    """A block a data set: pairs of each class, then how many texts have how many words, and the sizes of images.

    A data set of which nothing of that is known has no block.
    """
    datasets = [dataset for dataset in _datasets_of(study, spec) if any(_heights(dataset))]
    if not datasets:
        return notice("No classes, no texts, and nobody has looked at pictures.")
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


def words_of_dataset_statistics(study: Study, spec: dict[str, Any]) -> str:
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


def size_in_words(size: Mapping[str, Any]) -> str:
    """Of images: median, smallest and largest."""
    median, smallest, largest = ("{:g} by {:g}".format(*size[which]) for which in ("median", "smallest", "largest"))
    return f"all {median} pixels" if smallest == largest else f"median {median} pixels, from {smallest} to {largest}"


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
