"""What data sets hold: pairs of each class, words a text, sizes of images."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cmr.errors import UserError
from cmr.figure_style import PALETTE, SIZE, TINY, WIDTH, in_lines, legend_of, notice, width_of
from cmr.results import Study

NAMED_CLASSES = 100  # of a data set, at most; more have no room for their names
ONE_COLUMN = 16  # classes that stand below each other; more take two columns
BESIDE = 42  # pixels of the numbers and the title of an axis
INNER = WIDTH - BESIDE
ROW = 14  # pixels a class
HEIGHT, TICKS = 120, 4  # pixels and numbers of a histogram


def dataset_statistics(study: Study, spec: dict[str, Any]) -> alt.VConcatChart | alt.Chart:
    """A block a data set: pairs of each class, then how many texts have how many words, and the sizes of images.

    A data set of which nothing of that is known has no block.
    """
    blocks = []
    for dataset in _datasets_of(study, spec):
        rows = [row for row in (_classes(dataset), _histograms(dataset)) if row is not None]
        if rows:
            title = alt.Title(dataset["title"], fontSize=SIZE + 1, offset=8)
            blocks.append(alt.vconcat(*rows, title=title).resolve_scale(color="independent"))
    if not blocks:
        return notice("No classes, no texts, and nobody has looked at pictures.")
    return alt.vconcat(*blocks, spacing=24).resolve_scale(color="independent")


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


def _ranked(classes: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(classes.items(), key=lambda item: (-item[1], item[0]))


def _classes(dataset: Mapping[str, Any]) -> alt.HConcatChart | alt.Chart | None:
    """A bar a class, the largest first; None without classes."""
    ranked = _ranked(dataset["classes"])
    if not ranked:
        return None
    several = f" ({dataset['labels']['mean']:.1f} classes a pair)" if dataset["labels"]["max"] > 1 else ""
    title = f"Pairs a class{several}"
    if len(ranked) > NAMED_CLASSES:
        return _outline(dataset["title"], [count for _, count in ranked]).properties(title=title)
    columns = 1 if len(ranked) <= ONE_COLUMN else 2
    rows = -(-len(ranked) // columns)
    width = (INNER - 14 * (columns - 1)) / columns
    room = min(width_of(dataset["classes"], TINY) + 4, 0.65 * width)
    # Names stand in the panel, not left of its axis: it begins where the other ones of the block begin.
    across = alt.Scale(domain=[0, ranked[0][1]], range=[room, width - width_of([str(ranked[0][1])], TINY) - 6])
    panels = []
    for part in (ranked[k : k + rows] for k in range(0, len(ranked), rows)):
        base = alt.Chart(pd.DataFrame(part, columns=["class", "pairs"])).encode(
            alt.X("pairs:Q", scale=across, axis=None),
            alt.Y("class:N", scale=alt.Scale(domain=[name for name, _ in part]), axis=None),
            tooltip=["class", "pairs"],
        )
        bar = base.mark_bar(color=PALETTE[0], opacity=0.75, height={"band": 0.7})
        count = base.mark_text(align="left", dx=3, fontSize=TINY).encode(text="pairs:Q")
        name = base.mark_text(align="left", limit=room - 4, fontSize=TINY).encode(alt.X(value=0), text="class:N")
        panels.append(alt.layer(bar, count, name).properties(width=width, height=alt.Step(ROW)))
    return alt.hconcat(*panels, title=title)


def _outline(dataset: str, counts: list[int]) -> alt.Chart:
    """Of classes that have no room for their names, the largest first."""
    ranks = pd.DataFrame({"dataset": dataset, "rank": range(1, len(counts) + 1), "pairs": counts})
    height = alt.Scale(type="log", domain=[max(1, counts[-1]) / 2, 1.2 * max(1, counts[0])], clamp=True, nice=False)
    area = alt.Chart(in_lines(ranks, ["dataset"])).transform_flatten(["rank", "pairs"])
    area = area.mark_area(interpolate="step", color=PALETTE[0])
    return area.encode(
        alt.X(
            "rank:Q",
            title=f"{len(counts)} classes, the largest first",
            scale=alt.Scale(domain=[0.5, len(counts) + 0.5], nice=False),
            axis=alt.Axis(tickCount=5, labelFontSize=TINY),
        ),
        alt.Y(
            "pairs:Q", title=None, scale=height, axis=alt.Axis(grid=True, tickCount=4, labelFontSize=TINY, format="~s")
        ),
    ).properties(width=INNER, height=HEIGHT)


def _histograms(dataset: Mapping[str, Any]) -> alt.HConcatChart | None:
    """Words a text, and widths and heights of images, as far as they are known; None where neither is."""
    words, size = dataset["texts"].get("words"), dataset["images"].get("size")
    panels = []
    if words:
        beyond = words["histogram"]["beyond"]
        reach = f"{beyond} more, up to {words['most']} words" if beyond else "words"
        panels.append(_histogram({"words": words["histogram"]}, "Words a text", reach, "texts"))
    if size:
        sides = {side: size[side] for side in ("width", "height")}
        panels.append(_histogram(sides, "Size of an image", "pixels", "images"))
    if not panels:
        return None
    width = (INNER - (BESIDE + 14) * (len(panels) - 1)) / len(panels)
    return alt.hconcat(*(panel.properties(width=width) for panel in panels)).resolve_scale(color="independent")


def _histogram(histograms: Mapping[str, Mapping[str, Any]], title: str, across: str, counted: str) -> alt.LayerChart:
    """One or two histograms over each other, told apart by their outlines."""
    frames = []
    for name, histogram in histograms.items():
        edges = histogram["first"] - 0.5 + histogram["width"] * np.arange(len(histogram["counts"]) + 1)
        # A bar of no height at each end, where the outline begins and ends.
        bars = {"from": [edges[0], *edges], "to": [edges[0], *edges[1:], edges[-1]]}
        frames.append(pd.DataFrame({"side": name, **bars, counted: [0, *histogram["counts"], 0]}))
    legend = legend_of(histograms) if len(histograms) > 1 else None
    # The highest number stands at the top of every panel, so that titles beside each other have one height.
    height = alt.Scale(nice=TICKS)
    amount = alt.Axis(grid=True, tickCount=TICKS, tickMinStep=1, labelFontSize=TINY, format="~s")
    base = alt.Chart(in_lines(pd.concat(frames), ["side"])).transform_flatten(["from", "to", counted])
    base = base.encode(
        alt.Y(f"{counted}:Q", title=counted, stack=None, scale=height, axis=amount),
        alt.Color(
            "side:N",
            title=None,
            scale=alt.Scale(domain=list(histograms), range=list(PALETTE[: len(histograms)])),
            legend=legend,
        ),
    )
    place = {
        "title": across,
        "scale": alt.Scale(zero=False, nice=False, padding=3),
        "axis": alt.Axis(tickCount=4, tickMinStep=1, labelFontSize=TINY),
    }
    bars = base.mark_bar(opacity=0.3, binSpacing=0).encode(
        alt.X("from:Q", bin="binned", **place), alt.X2("to:Q"), tooltip=["side", "from", "to", counted]
    )
    outline = base.mark_line(interpolate="step-after", strokeWidth=1.2).encode(alt.X("from:Q", **place))
    return alt.layer(bars, outline).properties(height=HEIGHT, title=title)
