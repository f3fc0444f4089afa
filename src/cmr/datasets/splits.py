"""Named partitions of a data set into train, valid and test."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from cmr.errors import UserError

PARTS = ("train", "valid", "test")


def random_split(pairs: pd.DataFrame, folds: Mapping[str, int], seed: int) -> pd.DataFrame:
    """Partition by stratified folds in which equal texts stay together.

    Parameters
    ----------
    pairs : columns id, text, labels.
    folds : how many folds each part gets, e.g. train 6, valid 1, test 3 for 60/10/30 %.
    seed : another seed, another split; the same seed gives the same split on every machine.

    Returns
    -------
    Columns id, part, in the order of `pairs`. Items with several labels are stratified by their rarest one.
    """
    n_folds = sum(folds.values())
    frequency = pairs["labels"].explode().value_counts()
    # Ties between equally rare labels go to the first by name, so that the order of a file does not matter.
    stratum = pairs["labels"].map(lambda labels: min(labels, key=lambda name: (frequency[name], name)))
    if (rare := stratum.value_counts()).min() < n_folds:
        names = ", ".join(f"{name} ({count})" for name, count in rare[rare < n_folds].items())
        raise UserError(
            f"a class needs at least {n_folds} items to be split {dict(folds)}, but these are smaller: {names}"
        )
    group = pairs["text"].str.casefold().str.split().str.join(" ")
    part_of_fold = np.repeat(list(folds), list(folds.values()))
    part = np.empty(len(pairs), dtype=object)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(splitter.split(pairs, stratum, group)):
        part[rows] = part_of_fold[fold]
    return pd.DataFrame({"id": pairs["id"], "part": part})
