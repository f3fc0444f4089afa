"""Figures of a study, as its config asks for them: `draw` for the eye, `describe` in words.

The same study gives the same bytes: every parameter of a chart has a name, and the renderer brings its font.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert
from markupsafe import Markup

from cmr import files
from cmr.drawing import datasets, examples, learning, ranks, scores, sensitivity, vectorisers
from cmr.figure_style import INK, PAGES_INK, notice, theme, titled
from cmr.results import Study, rehearsal

Chart = alt.TopLevelMixin
# Of no use in a still picture, and a third of it.
INERT = re.compile(r' (?:aria-hidden|aria-roledescription|class|pointer-events|role)="[^"]*"')


@dataclass(frozen=True)
class Drawing:
    """A figure as a page shows it.

    Attributes
    ----------
    words : what it shows, for readers who cannot see it.
    svg : the picture that stands there without scripts, in the page's own text colour.
    spec : the same in Vega-Lite, as JSON that can stand in a script element.
    item : what a paper calls it; without, the page numbers it.
    """

    name: str
    caption: str
    words: str
    svg: Markup
    spec: Markup
    item: str = ""


@dataclass(frozen=True)
class Kind:
    """How figures of a kind are drawn and told; both from the study and what its config says of the figure."""

    draw: Callable[[Study, dict[str, Any]], Chart]
    describe: Callable[[Study, dict[str, Any]], str]


KINDS = {
    "precision_recall": Kind(scores.precision_recall, scores.words_of_precision_recall),
    "map_bars": Kind(scores.map_bars, scores.words_of_map_bars),
    "training_history": Kind(learning.training_history, learning.words_of_training_history),
    "convergence": Kind(learning.convergence, learning.words_of_convergence),
    "dataset_statistics": Kind(datasets.dataset_statistics, datasets.words_of_dataset_statistics),
    "sensitivity": Kind(sensitivity.sensitivity, sensitivity.words_of_sensitivity),
    "class_bars": Kind(examples.class_bars, examples.words_of_class_bars),
    "vectorisers": Kind(vectorisers.vectorisers, vectorisers.words_of_vectorisers),
    "critical_difference": Kind(ranks.critical_difference, ranks.words_of_critical_difference),
}


def draw(study: Study, name: str) -> Chart:
    """The figure `name` of the study's config; a notice where the config says that it is unavailable."""
    spec = _named(study, name)
    chart = notice(_missing(spec)) if "unavailable" in spec else KINDS[spec["kind"]].draw(study, spec)
    return titled(chart, _head(study, spec))


def describe(study: Study, name: str) -> str:
    """The figure in words, for readers who cannot see it: what is drawn, and the numbers that it shows."""
    spec = _named(study, name)
    words = _missing(spec) if "unavailable" in spec else KINDS[spec["kind"]].describe(study, spec)
    return " ".join([*(f"{line[:1].upper()}{line[1:]}." for line in _head(study, spec)), words])


def draw_intervals(panels: Mapping[str, pd.DataFrame], label: str) -> Chart:
    """A panel a title; in it a block of rows a group, and in that a dot a series with its interval.

    panels : title -> columns group, series, mean, low, high (NaN where a mean has no interval); the first on top.
    label : of the axis of numbers.
    """
    return scores.intervals(panels, label)


def save(chart: Chart, path: Path) -> None:
    """SVG or PNG by the suffix, on white."""
    spec = _spec(chart, INK, "white")
    with files.whole_file(path) as temporary:
        if path.suffix == ".svg":
            temporary.write_text(_svg(spec, "figure"), "utf-8")
        else:
            temporary.write_bytes(vl_convert.vegalite_to_png(spec, scale=2.5))


def in_page(chart: Chart, name: str, caption: str, words: str, item: str = "") -> Drawing:
    """The chart for a page: no background, the page's own text colour, every id of the picture is its own."""
    spec = _spec(chart, PAGES_INK, None)
    script = json.dumps(spec, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Drawing(name, caption, words, Markup(_svg(spec, f"{name}-svg")), Markup(script), item)


def _spec(chart: Chart, ink: str, background: str | None) -> dict[str, Any]:
    with alt.data_transformers.disable_max_rows():
        spec = chart.to_dict()
    return {**spec, "config": theme(ink, background)}


def _svg(spec: Mapping[str, Any], name: str) -> str:
    """The picture, without what only the pointer and scripts find; its ids are `name` and a number.

    The renderer counts them on from picture to picture, so that a picture would depend on those before it.
    """
    svg = vl_convert.vegalite_to_svg(spec)
    numbers = {own: number for number, own in enumerate(dict.fromkeys(re.findall(r'<[^>]*\bid="([^"]+)"', svg)))}

    def tidy(tag: re.Match[str]) -> str:
        if tag[0].startswith("<path") and ' opacity="0"' in tag[0]:
            return ""
        bare = INERT.sub("", tag[0])
        return re.sub(r'(\bid="|href="#|url\(#)([^")]+)', lambda own: f"{own[1]}{name}-{numbers[own[2]]}", bare)

    return re.sub("<[^>]*>", tidy, svg)


def _named(study: Study, name: str) -> dict[str, Any]:
    """What the config says of a figure, with its `name`: files of its own are named after it."""
    return {**study.item("figures", name), "name": name}


def _missing(spec: Mapping[str, Any]) -> str:
    return f"Not drawn here: {spec['unavailable'].rstrip('.')}."


def _head(study: Study, spec: Mapping[str, Any]) -> list[str]:
    """What stands above a paper's figure: its name in the paper, and that a rehearsal shows none of its results."""
    lines = [spec["item"]] if "item" in spec else []
    shows_runs = spec["kind"] != "vectorisers" and spec.get("of") != "published" and "unavailable" not in spec
    return lines + (rehearsal(study) if shows_runs else [])
