"""The figure of the study of vectorisers: bars of every measure on every data set."""

import altair as alt
import pandas as pd

from cmr.drawing.vectorisers import draw_vectorisers
from cmr.vectorisation.summary import TITLES, Summary, rows_of


def draw(summary: Summary) -> alt.ConcatChart:
    """A panel a measure; see `draw_vectorisers`."""
    return draw_vectorisers({title: bars_of(summary, key) for key, title in TITLES.items()})


def bars_of(summary: Summary, key: tuple[str, str]) -> pd.DataFrame:
    """The scores of one measure and list of pairs, a key of `TITLES`, under titles and in the order of the summary."""
    titles = {"dataset": summary.about["datasets"], "vectoriser": summary.vectorisers}
    rows = rows_of(summary.scores, key)
    rows = rows.sort_values([*titles], key=lambda names: names.map(list(titles[names.name]).index))
    return rows.assign(**{column: rows[column].map(known) for column, known in titles.items()})
