"""How much two hyper-parameters matter: valid mAP of every pair of values that was tried."""

import textwrap
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from cmr.errors import UserError
from cmr.figure_style import CHARACTER, NONE_APPLICABLE, SIZE, SMALL, WHOLE_WIDTH, WIDTH, notice, width_of
from cmr.results import SETTING, Study

COLOURS = "cividis"  # its lightness rises all the way: it reads in grey and to colour-blind readers alike
DARK, LIGHT = "#000000", "#ffffff"  # ink within cells, whose colours no page changes
NOT_TRIED = "-"
ROW = 34  # pixels
LETTERS = 5  # of a number in a cell


def sensitivity(study: Study, spec: dict[str, Any]) -> alt.LayerChart | alt.Chart:
    """A heat map: a column a value of the hyper-parameter `x`, a row a value of `y`, the mean over splits in each cell.

    The highest is bold. Values stand at equal distances, as they are mostly powers of ten.
    """
    means = _means(study, spec)
    if means.empty:
        return notice(NONE_APPLICABLE)
    names_x, names_y = ([f"{value:g}" for value in axis] for axis in (means.columns, means.index))
    low, high = means.min().min(), means.max().max()
    cells = means.set_axis(names_x, axis=1).set_axis(names_y).rename_axis("y").reset_index()
    cells = cells.melt("y", var_name="x", value_name="score")
    cells["printed"] = cells["score"].map("{:.3f}".format).where(cells["score"].notna(), NOT_TRIED)
    cells["best"] = cells["printed"] == f"{high:.3f}"
    cells["ink"] = (cells["score"] > (low + high) / 2).map({True: DARK, False: LIGHT})
    width = WIDTH - width_of(names_y) - 3 * SIZE
    angle = 0 if width_of(names_x) < width / len(names_x) else -45
    bare = {"ticks": False, "domain": False, "grid": False}
    base = alt.Chart(cells.round(4)).encode(
        alt.X("x:N", title=spec["x"], scale=alt.Scale(domain=names_x), axis=alt.Axis(labelAngle=angle, **bare)),
        # The lowest at the bottom.
        alt.Y("y:N", title=spec["y"], scale=alt.Scale(domain=names_y[::-1]), axis=alt.Axis(**bare)),
        tooltip=[
            alt.Tooltip("x:N", title=spec["x"]),
            alt.Tooltip("y:N", title=spec["y"]),
            alt.Tooltip("score:Q", title="valid mAP"),
        ],
    )
    between = [low, high] if high > low else [low - 1, low + 1]
    tried, missing = (base.transform_filter(f"{sign}isValid(datum.score)") for sign in ("", "!"))
    shade = alt.Color("score:Q", scale=alt.Scale(scheme=COLOURS, domain=between, nice=False), legend=None)
    size = min(SMALL, (width / len(names_x) - 3) / (LETTERS * CHARACTER))
    numbers = [
        chart.mark_text(fontSize=size, fontWeight=weight).encode(text="printed:N", color=alt.Color("ink:N", scale=None))
        for chart, weight in (
            (tried.transform_filter("!datum.best"), "normal"),
            (tried.transform_filter("datum.best"), "bold"),
        )
    ]
    layers = alt.layer(
        tried.mark_rect(stroke=LIGHT, strokeWidth=0.8).encode(shade),
        *numbers,
        missing.mark_text(fontSize=size).encode(text="printed:N"),
    )
    title = textwrap.wrap(f"{study.method_label(spec['method'])}: valid mAP", WHOLE_WIDTH - 10)
    return layers.resolve_scale(color="independent").properties(width=width, height=ROW * len(names_y), title=title)


def words_of_sensitivity(study: Study, spec: dict[str, Any]) -> str:
    """The range of the means, where its ends are, and how many splits they are of."""
    means = _means(study, spec)
    if means.empty:
        return NONE_APPLICABLE
    cells = means.stack()
    splits, others = means.attrs["splits"], means.attrs["others"]
    told = [f"the best over {', '.join(others)}"] if others else []
    told.append(f"mean of {splits} splits" if splits > 1 else "1 split")
    (y_best, x_best), (y_worst, x_worst) = cells.idxmax(), cells.idxmin()
    return (
        f"Valid mAP of {study.method_label(spec['method'])} for {means.shape[1]} values of {spec['x']} and "
        f"{means.shape[0]} of {spec['y']} ({', '.join(told)}): from {cells.min():.3f} ({spec['x']} {x_worst:g}, "
        f"{spec['y']} {y_worst:g}) to {cells.max():.3f} ({spec['x']} {x_best:g}, {spec['y']} {y_best:g})."
    )


def _means(study: Study, spec: Mapping[str, Any]) -> pd.DataFrame:
    """Rows: values of `y`, columns: values of `x`; NaN where a split has no candidate that could be fitted.

    Where candidates differ in `others` too, those are the hyper-parameters of which the best is taken, as in selection.
    `attrs` holds these and the number of `splits`.
    """
    method, x, y = spec["method"], spec["x"], spec["y"]
    setting = study.setting_of(method, spec)
    runs = [run for run in study.facts["runs"] if run["method"] == method]
    runs = [run for run in runs if all(run[key] == setting[key] for key in SETTING)]
    candidates = [(run["split"], values, score) for run in runs for values, score in run["scores"]]
    for name in (x, y):
        if unknown := [values for _, values, _ in candidates if name not in values]:
            raise UserError(
                f"study {study.facts['study']}: {method} has no hyper-parameter {name}; it has {', '.join(unknown[0])}"
            )
    tried = pd.DataFrame(
        [(split, values[y], values[x], score) for split, values, score in candidates], columns=["split", y, x, "score"]
    )
    means = tried.groupby(["split", y, x])["score"].max().unstack(["split"]).mean(axis=1, skipna=False).unstack(x)
    names = {name for _, values, _ in candidates for name in values} - {x, y}
    others = [name for name in sorted(names) if len({str(values.get(name)) for _, values, _ in candidates}) > 1]
    means.attrs = {"others": others, "splits": tried["split"].nunique()}
    return means
