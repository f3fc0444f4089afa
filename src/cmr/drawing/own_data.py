"""What a figure needs besides the four collected files: files of its own in the study's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cmr import store
from cmr.errors import UserError
from cmr.results import Study


def figure_data(study: Study, spec: Mapping[str, Any]) -> pd.DataFrame:
    """`figure_data/<figure>.parquet`, which scripts/collect_examples.py makes."""
    return store.read_table(_folder(study) / "figure_data" / f"{spec['name']}.parquet")


def verdicts(study: Study) -> pd.DataFrame:
    """`verdicts.csv`: a row a published number, with ours beside it; NaN where we have none."""
    path = _folder(study) / "verdicts.csv"
    try:
        return pd.read_csv(path, dtype={"dataset": str, "features": str, "method": str})
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _folder(study: Study) -> Path:
    if study.folder is None:
        raise ValueError("a study that was not read from a folder has no files of its own")
    return study.folder
