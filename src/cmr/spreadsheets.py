"""Tables as CSV, which spreadsheets open too: a text in it stays a text, whoever has written it.

Names of classes, titles and reasons may come from strangers. Excel, LibreOffice and others take what begins with one of
a few signs for a formula, which can fetch addresses and start programs.
"""

import re

import pandas as pd

DIGITS = 6
FORMULA = re.compile("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\n]")  # full-width ones too


def to_csv(table: pd.DataFrame) -> str:
    """Six decimals, so that equal results are equal bytes; empty where there is no number."""
    texts = {}
    for name in table.columns:
        cells = [(cell, harmless(cell)) for cell in table[name]]
        # Any other column is left alone: its type decides how it is written.
        if any(before is not after for before, after in cells):
            texts[name] = pd.Series([after for _, after in cells], index=table.index, dtype=object)
    return table.assign(**texts).to_csv(index=False, float_format=f"%.{DIGITS}f", lineterminator="\n")


def harmless(cell: object) -> object:
    """A text that would be a formula with the apostrophe before it that makes it a text; anything else as it is."""
    if not isinstance(cell, str):
        return cell
    if "\r" in cell:  # which is not quoted, and ends a line where it is read
        cell = cell.replace("\r\n", "\n").replace("\r", "\n")
    if len(cell) < 2 or not FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
