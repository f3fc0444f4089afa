"""What single figures of papers need besides scores: classes of example pairs (EISR), and word pairs (IDCMR).

Each makes the table that a figure's file `figure_data/<figure>.parquet` holds.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cmr.datasets.pairs import label_matrix
from cmr.errors import UserError
from cmr.evaluation import embeddings_of
from cmr.gallery import draw_items
from cmr.vectorisation.figure import bars_of
from cmr.vectorisation.summary import PAPERS_MEASURE, TITLES, Summary

CLASS_VALUES = ["pair", "side", "class", "value", "true", "text"]
COSINES = ["pairs", "dataset", "vectoriser", "n", "value", "low", "high", "floor"]
TEXT = 90  # characters of a text that are shown


def class_values(
    embeddings: Mapping[str, np.ndarray], attributes: Mapping[str, Any], pairs: pd.DataFrame, examples: int, seed: int
) -> pd.DataFrame:
    """Of some pairs of the test part, drawn at random and one a class, what a run has both sides be in every class.

    Parameters
    ----------
    embeddings, attributes : contents of the run's embeddings.h5, whose dimensions are the classes; its first seed.
    pairs : columns id, text, labels; attribute classes.
    examples : how many classes give a pair.

    Returns
    -------
    Columns `CLASS_VALUES`, a row a pair, side (image, text) and class, in the order of the data set's classes; `true`
    tells the pair's own classes. No row where the method is not applicable to the data.

    Raises UserError when the data set has no classes, or the dimensions are not as many as they are.
    """
    if attributes["not_applicable"]:
        return pd.DataFrame(columns=CLASS_VALUES)
    ids, classes = embeddings["test/ids"], pairs.attrs["classes"]
    sides = embeddings_of(embeddings, attributes["seeds"][0], "test", "img2txt")
    if not classes or any(side.shape[1] != len(classes) for side in sides):
        found = " and ".join(str(width) for width in sorted({side.shape[1] for side in sides}))
        raise UserError(
            f"the embeddings have {found} dimensions, and the data set has {len(classes)} classes: a figure of "
            "class_bars needs a method with a dimension a class, such as eisr"
        )
    table, labels = pairs.set_index("id").loc[ids], label_matrix(pairs, ids)
    rows = [
        (
            ids[row],
            side,
            name,
            float(values[row, column]),
            bool(labels[row, column]),
            _shortened(table["text"].iloc[row]),
        )
        for row in draw_items(table["labels"], examples, seed)
        for side, values in zip(("image", "text"), sides, strict=True)
        for column, name in enumerate(classes)
    ]
    return pd.DataFrame(rows, columns=CLASS_VALUES)


def related_words(summary: Summary) -> pd.DataFrame:
    """Mean cosine of semantic and of syntactic word pairs by every vectoriser on every data set.

    Columns `COSINES`: data sets, vectorisers and kinds of pairs by their titles; `floor` is that of random pairs.
    """
    kinds = [key for key in TITLES if key[0] == PAPERS_MEASURE]
    return pd.concat([bars_of(summary, key).assign(pairs=TITLES[key]) for key in kinds])[COSINES].reset_index(drop=True)


def _shortened(text: str | None) -> str:
    return "" if pd.isna(text) else textwrap.shorten(text, TEXT, placeholder=" …")
