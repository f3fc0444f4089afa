"""The tables of a paper's study as CSV files, written and read alike by all modules that make them."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cmr import files
from cmr.spreadsheets import to_csv


def write(path: Path, table: pd.DataFrame) -> None:
    """Six decimals, `true` and `false`, and nothing where a value is missing."""
    truths = {name: table[name].map({True: "true", False: "false"}) for name in table.select_dtypes("bool")}
    files.write_text(path, to_csv(table.assign(**truths)))


def read(path: Path, types: Mapping[str, str]) -> pd.DataFrame:
    """The columns of these types, in their order; a text that is missing is empty.

    Raises UserError where the file cannot be read, or is of another table.
    """
    numbers = {name: "" for name, kind in types.items() if kind != "str"}
    try:
        return pd.read_csv(path, dtype=dict(types), keep_default_na=False, na_values=numbers)[list(types)]
    except (OSError, ValueError, KeyError) as error:
        raise files.unreadable(path, error) from error
