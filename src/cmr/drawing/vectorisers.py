"""How close vectorisers put related words: bars of every vectoriser on every data set."""

import textwrap
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cmr.drawing.own_data import figure_data
from cmr.figure_style import CHARACTER, PALETTE, TINY, WIDTH, width_of
from cmr.results import Study

FLOOR, FLOOR_DASHES = "no knowledge", [3, 2]
COLUMNS = 2
PANEL_WIDTH, PANEL_HEIGHT = (WIDTH - 80) // COLUMNS, 110  # pixels; beside it stand the numbers
GAP = 0.2  # of the room of a data set, between its bars and the next ones


def draw_vectorisers(panels: Mapping[str, pd.DataFrame]) -> alt.ConcatChart:
    """A panel a title, a group of bars a data set, a bar a vectoriser with its interval, its floor a dashed line.

    panels : title -> columns dataset, vectoriser (titles, in the order in which they are shown), n, value, low, high
        (NaN where n is too small) and floor.
    """
    titles = list(panels)
    drawn = []
    for k, (title, cells) in enumerate(panels.items()):
        row = titles[k // COLUMNS * COLUMNS :][:COLUMNS]
        reach = pd.concat([panels[other][["value", "low", "high", "floor"]] for other in row]).to_numpy()
        drawn.append(_panel(cells, reach[np.isfinite(reach)]).properties(title=title))
    return alt.concat(*drawn, columns=COLUMNS)


def vectorisers(study: Study, spec: dict[str, Any]) -> alt.ConcatChart:
    """See `draw_vectorisers`; a panel a kind of pairs."""
    return draw_vectorisers(_panels(study, spec))


def words_of_vectorisers(study: Study, spec: dict[str, Any]) -> str:
    """Every bar and its floor."""
    told = [
        f"{title}, {dataset}: {', '.join(map(_bar, own.itertuples(index=False)))}."
        for title, cells in _panels(study, spec).items()
        for dataset, own in cells.groupby("dataset", sort=False)
    ]
    return f"Mean cosine of related words, in brackets that of random pairs of the same words. {' '.join(told)}"


def _panels(study: Study, spec: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    return dict(iter(figure_data(study, spec).groupby("pairs", sort=False)))


def _bar(cell: Any) -> str:
    if np.isnan(cell.value):
        return f"{cell.vectoriser} too few pairs ({cell.n})"
    return f"{cell.vectoriser} {cell.value:.3f} ({cell.floor:.3f})"


def _panel(cells: pd.DataFrame, numbers: np.ndarray) -> alt.LayerChart:
    """numbers : what the scale reaches from and to."""
    datasets, names = (list(cells[key].unique()) for key in ("dataset", "vectoriser"))
    room = PANEL_WIDTH / len(datasets)
    lines = {dataset: textwrap.fill(dataset, max(8, int(room / (CHARACTER * TINY)))) for dataset in datasets}
    cells = cells.assign(name=cells["dataset"].map(lines)).round(4)
    hues = [PALETTE[k % len(PALETTE)] for k in range(len(names))]
    # Scales, axes and legends are those of the bars; the layers on them only say where they stand.
    place = alt.X(
        "name:N",
        title=None,
        scale=alt.Scale(domain=list(lines.values()), paddingInner=GAP, paddingOuter=GAP / 2),
        axis=alt.Axis(
            labelExpr="split(datum.label, '\\n')", labelFontSize=TINY, labelAngle=0, ticks=False, domain=False
        ),
    )
    height = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[min([0, *numbers]), max(numbers, default=1)], nice=True),
        axis=alt.Axis(grid=True, tickCount=4, labelFontSize=TINY, ticks=False, domain=False),
    )
    fitting = int((WIDTH - width_of([FLOOR]) - 40) // (width_of(names) + 30))
    legend = alt.Legend(columns=min(max(fitting, 1), 3), symbolOpacity=1)
    hue = alt.Color("vectoriser:N", title=None, scale=alt.Scale(domain=names, range=hues), legend=legend)
    measured = cells.dropna(subset="value")[["vectoriser", "dataset", "name", "value", "low", "high", "floor", "n"]]
    bar = alt.Chart(measured).encode(
        alt.X("name:N"),
        alt.XOffset("vectoriser:N", scale=alt.Scale(domain=names)),
        tooltip=["vectoriser", "dataset", "value", "low", "high", alt.Tooltip("floor:Q", title=FLOOR), "n"],
    )
    bars = bar.mark_bar(opacity=0.6).encode(place, height, hue)
    interval = bar.mark_rule().encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    caps = [
        bar.mark_tick(orient="horizontal", size=4, thickness=1, opacity=1).encode(alt.Y(f"{end}:Q"))
        for end in ("low", "high")
    ]
    width = (1 - GAP) * room / len(names)
    dashed = alt.Legend(symbolType="stroke", symbolSize=300, symbolOpacity=1)
    floor = bar.transform_calculate(line=f"'{FLOOR}'").mark_point(
        shape="stroke", size=width**2, strokeWidth=1.3, opacity=1
    )
    floor = floor.encode(
        alt.Y("floor:Q"),
        alt.StrokeDash("line:N", title=None, scale=alt.Scale(domain=[FLOOR], range=[FLOOR_DASHES]), legend=dashed),
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule().encode(alt.Y("zero:Q"))
    empty = cells.groupby("dataset", sort=False).filter(lambda own: own["value"].isna().all())
    few = empty.drop_duplicates("dataset")[["name", "n"]].assign(zero=0)
    few = alt.Chart(few).transform_calculate(told="'too few: ' + datum.n").mark_text(dy=-9, fontSize=TINY)
    few = few.encode(alt.X("name:N"), alt.Y("zero:Q"), text="told:N")
    return alt.layer(bars, zero, interval, *caps, floor, few).properties(width=PANEL_WIDTH, height=PANEL_HEIGHT)
