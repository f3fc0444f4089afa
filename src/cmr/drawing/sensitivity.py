"""How much two hyper-parameters matter: valid mAP of every pair of values that was tried."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

from cmr.errors import UserError
from cmr.figure_style import NONE_APPLICABLE, SMALL, WIDTH, notice
from cmr.results import SETTING, Study

# Its lightness rises all the way: it reads in grey and to colour-blind readers alike.
COLOURS = colormaps["cividis"]
DARK, LIGHT = "#000000", "#ffffff"  # ink within cells, whose colours no page changes
NOT_TRIED = "-"


def sensitivity(study: Study, spec: dict[str, Any]) -> Figure:
    """A heat map: a column a value of the hyper-parameter `x`, a row a value of `y`, the mean over splits in each cell.

    The highest is bold. Values stand at equal distances, as they are mostly powers of ten.
    """
    means = _means(study, spec)
    if means.empty:
        return notice(NONE_APPLICABLE)
    rows, columns = means.shape
    figure = Figure(figsize=(WIDTH, 0.36 * rows + 0.85), layout="constrained")
    axes = figure.subplots()
    low, high = np.nanmin(means), np.nanmax(means)
    shades = ((means - low) / (high - low) if high > low else means * 0 + 0.5).to_numpy()
    axes.pcolormesh(np.ma.masked_invalid(shades), cmap=COLOURS, vmin=0, vmax=1, edgecolors=LIGHT, linewidth=0.8)
    size = SMALL if columns <= 6 else 6.5
    for (row, column), value in np.ndenumerate(means.to_numpy()):
        if np.isnan(value):
            axes.text(column + 0.5, row + 0.5, NOT_TRIED, ha="center", va="center", fontsize=size)
            continue
        ink = DARK if shades[row, column] > 0.5 else LIGHT
        weight = "bold" if f"{value:.3f}" == f"{high:.3f}" else "normal"
        at = {"ha": "center", "va": "center", "fontsize": size, "fontweight": weight}
        axes.text(column + 0.5, row + 0.5, f"{value:.3f}", color=ink, **at)
    axes.set_xticks(np.arange(columns) + 0.5, [f"{value:g}" for value in means.columns])
    axes.set_yticks(np.arange(rows) + 0.5, [f"{value:g}" for value in means.index])
    axes.set(xlabel=spec["x"], ylabel=spec["y"], title=f"{study.method_label(spec['method'])}: valid mAP")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


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
