"""The study of vectorisers on all data sets: what was found, under the titles that tables, figure and answer share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cmr import store
from cmr.vectorisation.comparison import ANSWERS, SCORES

TITLES = {
    ("cosine", "semantic"): "Cosine, semantic pairs",
    ("cosine", "syntactic"): "Cosine, syntactic pairs",
    ("separation", "semantic"): "Separation, semantic pairs",
    ("separation", "syntactic"): "Separation, syntactic pairs",
    ("rho", "simlex"): "Rho, SimLex-999",
    ("rho", "wordsim"): "Rho, WordSim-353",
    ("accuracy", "semantic"): "Analogies, semantic",
    ("accuracy", "syntactic"): "Analogies, syntactic",
}
PAPERS_MEASURE = "cosine"  # what the paper draws


@dataclass(frozen=True)
class Summary:
    """What was found on every data set.

    Attributes
    ----------
    scores, answers : those of `cmr.vectorisation.comparison`, with `dataset` and `split` in front.
    facts : dataset -> split, texts (number of texts learnt from), words (known to all), provenance.
    about : `datasets` and `vectorisers`, name -> title, in the order in which they are shown.
    """

    scores: pd.DataFrame
    answers: pd.DataFrame
    facts: Mapping[str, Mapping[str, Any]]
    about: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, folders: Iterable[Path], about: Mapping[str, Mapping[str, str]]) -> "Summary":
        """From the folders of the data sets, named after them, with scores.parquet and answers.parquet."""
        facts, tables = {}, {"scores": [], "answers": []}
        for folder in folders:
            for name, found in tables.items():
                table = store.read_table(folder / f"{name}.parquet")
                facts[folder.name] = table.attrs
                table.insert(0, "dataset", folder.name)
                table.insert(1, "split", table.attrs["split"])
                table.attrs = {}  # pandas compares them, value by value, when tables are put together
                found.append(table)
        scores, answers = (pd.concat(found, ignore_index=True) for found in tables.values())
        return cls(scores[["dataset", "split", *SCORES]], answers[["dataset", "split", *ANSWERS]], facts, about)

    @property
    def vectorisers(self) -> Mapping[str, str]:
        """Name -> title."""
        return self.about["vectorisers"]

    def title(self, dataset: str) -> str:
        """The data set, its split, and what was learnt from."""
        facts = self.facts[dataset]
        return (
            f"{self.about['datasets'][dataset]}, train part of the split {facts['split']}: {facts['texts']} texts, "
            f"{facts['words']} words known to all vectorisers"
        )


def printed(value: float, low: float, high: float) -> tuple[str, str]:
    """The value and its interval as every table prints them."""
    if np.isnan(value):
        return "too few", ""
    return f"{value:.3f}", f"({low:.3f} to {high:.3f})"


def rows_of(rows: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    """Of one measure and list of pairs, a key of `TITLES`."""
    return rows[(rows["measure"] == key[0]) & (rows["pairs"] == key[1])]
