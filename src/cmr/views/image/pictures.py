"""From items to the pictures that they show."""

from pathlib import Path

import numpy as np
import pandas as pd

from cmr.datasets.pairs import label_matrix
from cmr.views.base import LabelledImages


def labelled_images(pairs: pd.DataFrame, rows: pd.DataFrame, raw: Path) -> LabelledImages:
    """Every picture that some items show, once, with the classes of all of them.

    Parameters
    ----------
    pairs : all usable items, as `usable_images` gives them.
    rows : the items of one part.
    raw : folder that image paths start from.
    """
    number, _ = pd.factorize(rows["sha256"])
    labels = np.zeros((number.max(initial=-1) + 1, len(pairs.attrs["classes"])), dtype=bool)
    np.logical_or.at(labels, number, label_matrix(pairs, rows["id"]))
    return LabelledImages([raw / path for path in rows.drop_duplicates("sha256")["image"]], labels)
