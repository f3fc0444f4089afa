"""Tests on what the papers print. No number of ours takes part, so that each of them holds or does not.

Numbers are compared as they are printed, as decimals: 0.495 - 0.463 is 0.032.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import pandas as pd

from cmr.configuration import check_name
from cmr.errors import UserError
from cmr.papers.claims.finding import Finding, as_list
from cmr.papers.published import Published

Where = Mapping[str, Any]  # a column of results.csv -> the value, or the values, of the rows meant


@dataclass(frozen=True)
class Printed:
    """The printed numbers, as a test of one claim looks at them.

    Attributes
    ----------
    results : columns of `Published.results`; `value` as decimals.
    where : the claim, for errors.
    """

    published: Published
    paper: str
    where: str
    results: pd.DataFrame

    @classmethod
    def of(cls, published: Published, paper: str, where: str) -> "Printed":
        results = published.results.assign(value=[Decimal(text) for text in published.results["printed"]])
        return cls(published, paper, where, results)

    def cells(self, *selections: Where) -> pd.DataFrame:
        """The rows that fit all selections; of this claim's paper where they name none.

        Raises
        ------
        UserError : a value is in no row of its column, or no row fits.
        """
        rows = self.results
        for selection in ({"paper": self.paper} if not any("paper" in one for one in selections) else {}, *selections):
            for column, wanted in selection.items():
                for value in as_list(wanted):
                    check_name(value, self.results[column].unique(), self.where, column)
                rows = rows[rows[column].isin(as_list(wanted))]
        if rows.empty:
            words = " ".join(f"{key} {value}" for selection in selections for key, value in selection.items())
            raise UserError(f"{self.where}: no printed number fits {words or 'it'}")
        return rows


class PrintedTest(Protocol):
    """A kind of test; its fields are the keys of a test in a file of claims."""

    @property
    def words(self) -> str:
        """What is compared."""

    def check(self, printed: Printed) -> Finding:
        """Raises UserError where it names what is not printed."""


def names(names: str | list[str]) -> str:
    return ", ".join(as_list(names))


def selection(where: Where) -> str:
    return " ".join(names(value) for value in where.values())


def on_selection(where: Where) -> str:
    return f": {selection(where)}" if where else ""
