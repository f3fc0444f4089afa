"""Tests on printed cells: which is higher, which are equal, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import pandas as pd

from cmr.errors import UserError
from cmr.papers.claims.finding import Finding, as_list, decided, listed
from cmr.papers.claims.printed import Printed, Where, names, on_selection, selection
from cmr.papers.published import ALL_MODAL, AVERAGE, RESULT


@dataclass(frozen=True)
class Above:
    """Methods above others in every cell, by data set, features, metric and task.

    Attributes
    ----------
    method : one or more; each must be above.
    others : by default all other methods of a cell.
    over : `all` others, or `most`: in every cell more than half of them.
    ties : whether an equal value will do.
    across_features : whether cells hold all features of a data set, as where a paper gives each method its own.
    """

    method: str | list[str]
    others: list[str] = field(default_factory=list)
    where: Where = field(default_factory=dict)
    over: Literal["all", "most"] = "all"
    ties: bool = False
    across_features: bool = False

    @property
    def words(self) -> str:
        than = "not below" if self.ties else "above"
        others = f"{'each' if self.over == 'all' else 'more than half'} of {names(self.others) or 'the other methods'}"
        return f"{names(self.method)} {than} {others} in every cell{on_selection(self.where)}"

    def check(self, printed: Printed) -> Finding:
        own = as_list(self.method)
        for name in [*own, *self.others]:
            printed.cells({"method": name})
        key = ["dataset", *([] if self.across_features else ["features"]), "metric", "task"]
        met, lost = [], []
        for place, rows in printed.cells(self.where).groupby(key, sort=False):
            values = _one_each(rows, printed.where)
            rivals = {name: v for name, v in values.items() if name not in own and name in (self.others or values)}
            for method in [name for name in own if name in values and rivals]:
                self._compare(f"{_place(place)}: {method} {values[method]}", values[method], rivals, met, lost)
        if not met and not lost:
            raise UserError(f"{printed.where}: no printed cell holds {names(own)} and something to compare with")
        count = f"in {len(met)} of {len(met) + len(lost)} cells"
        if lost:
            return decided(False, f"{count}; {listed(lost)}")
        if self.over == "most":
            return decided(True, f"{count}; {listed(told for _, told in met)}")
        lead, closest = min(met)
        return decided(True, f"{count}; smallest lead {lead}, {closest}")

    def _compare(
        self,
        place: str,
        value: Decimal,
        rivals: Mapping[str, Decimal],
        met: list[tuple[Decimal, str]],
        lost: list[str],
    ) -> None:
        """Append what one cell tells to `met`, with the method's lead, or to `lost`."""
        unbeaten = {name: v for name, v in rivals.items() if v > value or (v == value and not self.ties)}
        shown = listed((f"{name} {v}" for name, v in unbeaten.items()), 4)
        if self.over == "all" and unbeaten:
            lost.append(f"{place} is not above {shown}")
        elif self.over == "all":
            best = max(rivals, key=rivals.__getitem__)
            met.append((value - rivals[best], f"{place}, {best} {rivals[best]}"))
        elif 2 * len(unbeaten) < len(rivals):
            met.append((value, f"{place} above {len(rivals) - len(unbeaten)} of {len(rivals)}"))
        else:
            lost.append(f"{place} is not above {len(unbeaten)} of {len(rivals)}: {shown}")


@dataclass(frozen=True)
class Cells:
    """Cells that differ only in what `first` and `second` name, set against each other one by one.

    Attributes
    ----------
    relation : what the first is: `above` the second, `equal` to it, so much above it (`by`, in mAP), no further from
        it than (`within`, in mAP), or so many per cent above it (`percent`).
    value : of the last three, with the digits that decide.
    """

    first: Where
    second: Where
    relation: Literal["above", "equal", "by", "within", "percent"]
    value: float | None = None
    where: Where = field(default_factory=dict)

    @property
    def words(self) -> str:
        relation = {
            "above": "above",
            "equal": "equal to",
            "by": f"above by {self.value}",
            "within": f"no further than {self.value} from",
            "percent": f"above by {self.value} %",
        }[self.relation]
        cells = f"the cells of {selection(self.first)} {relation} those of {selection(self.second)}"
        return f"{cells}{on_selection(self.where)}"

    def check(self, printed: Printed) -> Finding:
        named = {*self.first, *self.second}
        key = [name for name in RESULT if name not in named]
        first, second = (printed.cells(one, self.where) for one in (self.first, self.second))
        for rows in (first, second):
            if rows.duplicated(key).any():
                raise UserError(
                    f"{printed.where}: several printed numbers fit one side; name more of {', '.join(RESULT)}"
                )
        pairs = (
            first.merge(second, on=key, suffixes=("", "_of_second"))
            if key
            else first.merge(second, how="cross", suffixes=("", "_of_second"))
        )
        if pairs.empty:
            raise UserError(f"{printed.where}: no two printed cells differ in {', '.join(sorted(named))} alone")
        told, wrong = [], []
        for row in pairs.to_dict("records"):
            a, b = row["value"], row["value_of_second"]
            varying = [row[name] for name in ("dataset", "features", "method", "metric", "task") if name in key]
            text = f"{' '.join(varying)}: {a} and {b}, {self._distance(a, b)}".lstrip(": ")
            (told if self._fits(a, b) else wrong).append(text)
        return decided(not wrong, f"{len(told)} of {len(pairs)}; {listed(wrong or told)}")

    def _distance(self, a: Decimal, b: Decimal) -> str:
        return f"{_percent(a, b, 2):+} %" if self.relation == "percent" else f"difference {a - b:+}"

    def _fits(self, a: Decimal, b: Decimal) -> bool:
        if self.relation == "above":
            return a > b
        if self.relation == "equal":
            return a == b
        value = Decimal(str(self.value))
        if self.relation == "within":
            return abs(a - b) <= value
        digits = -value.as_tuple().exponent
        return (round(a - b, digits) if self.relation == "by" else _percent(a, b, digits)) == value


@dataclass(frozen=True)
class Stated:
    """Cells against a value that stands elsewhere; equal, or no further from it than `within`."""

    value: float
    where: Where
    within: float = 0.0

    @property
    def words(self) -> str:
        near = f"no further than {self.within} from" if self.within else "equal to"
        return f"the cells of {selection(self.where)} {near} {self.value}"

    def check(self, printed: Printed) -> Finding:
        value, within = Decimal(str(self.value)), Decimal(str(self.within))
        told, wrong = [], []
        for row in printed.cells(self.where).to_dict("records"):
            text = f"{row['table']} {row['dataset']} {row['features']} {row['method']} {row['task']}: {row['value']}"
            (told if abs(row["value"] - value) <= within else wrong).append(text)
        return decided(not wrong, f"{len(told)} of {len(told) + len(wrong)}; {listed(wrong or told)}")


@dataclass(frozen=True)
class Place:
    """A method's place in every cell of a data set, all its features together: 1 is the highest."""

    method: str
    place: int
    where: Where

    @property
    def words(self) -> str:
        return f"{self.method} in place {self.place}{on_selection(self.where)}"

    def check(self, printed: Printed) -> Finding:
        printed.cells({"method": self.method})
        told, right = [], True
        for place, rows in printed.cells(self.where).groupby(["dataset", "metric", "task"], sort=False):
            values = _one_each(rows, printed.where)
            if self.method not in values:
                raise UserError(f"{printed.where}: {_place(place)} has no printed number of {self.method}")
            above = {name: value for name, value in values.items() if value > values[self.method]}
            right &= 1 + len(above) == self.place
            better = listed(f"{name} {value}" for name, value in above.items()) or "none"
            told.append(f"{_place(place)}: place {1 + len(above)} with {values[self.method]}; above it: {better}")
        return decided(right, listed(told))


@dataclass(frozen=True)
class Lead:
    """By how much a method leads its best rival: more in one task than in another, in every cell."""

    method: str
    more_in: str
    less_in: str
    where: Where

    @property
    def words(self) -> str:
        lead = f"the lead of {self.method} over its best rival"
        return f"{lead}, larger in {self.more_in} than in {self.less_in}{on_selection(self.where)}"

    def check(self, printed: Printed) -> Finding:
        printed.cells({"method": self.method})
        told, right = [], True
        for place, rows in printed.cells(self.where).groupby(["dataset", "features", "metric"], sort=False):
            leads = {}
            for task in (self.more_in, self.less_in):
                values = _one_each(rows[rows["task"] == task], printed.where)
                if self.method not in values or len(values) < 2:
                    raise UserError(f"{printed.where}: {_place(place)} has no printed lead of {self.method} in {task}")
                leads[task] = values.pop(self.method) - max(values.values())
            right &= leads[self.more_in] > leads[self.less_in]
            told.append(f"{_place(place)}: {', '.join(f'{lead:+} in {task}' for task, lead in leads.items())}")
        return decided(right, listed(told))


@dataclass(frozen=True)
class Only:
    """One task above another by this method and by no other one, in every cell."""

    method: str
    higher: str
    lower: str
    where: Where = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"{self.higher} above {self.lower} by {self.method} and no other method{on_selection(self.where)}"

    def check(self, printed: Printed) -> Finding:
        printed.cells({"method": self.method})
        rows = printed.cells(self.where, {"task": [self.higher, self.lower]})
        told, right = [], True
        for place, cell in rows.groupby(["dataset", "features", "metric"], sort=False):
            wide = cell.pivot(index="method", columns="task", values="value")
            above = [name for name, row in wide.iterrows() if row[self.higher] > row[self.lower]]
            right &= above == [self.method]
            told.append(f"{_place(place)}: of {len(wide)} methods {', '.join(above) or 'none'}")
        return decided(right, listed(told))


@dataclass(frozen=True)
class Spread:
    """Printed values of one method on one data set, in all papers, no further apart than `at_most`.

    Averages within both modalities take no part: beside averages between them they are another task.
    """

    where: Where
    at_most: float

    @property
    def words(self) -> str:
        return (
            f"the lowest and the highest of {selection(self.where)} in all papers no further apart than {self.at_most}"
        )

    def check(self, printed: Printed) -> Finding:
        rows = printed.cells({"paper": list(printed.results["paper"].unique())}, self.where)
        key = [name for name in RESULT if name != "task"]
        within_all = printed.results[printed.results["task"].isin(ALL_MODAL)]
        of_all = rows.set_index(key).index.isin(within_all.set_index(key).index)
        rows = rows[(rows["task"] != AVERAGE) | ~of_all]
        rows = rows.sort_values("value", kind="stable")
        texts = [
            f"{value} ({paper} {table}, {features}, {metric})"
            for paper, table, features, metric, value in rows[
                ["paper", "table", "features", "metric", "value"]
            ].itertuples(index=False)
        ]
        apart = rows["value"].iloc[-1] - rows["value"].iloc[0]
        return decided(apart <= Decimal(str(self.at_most)), f"{apart} apart: {listed(texts)}")


def _one_each(rows: pd.DataFrame, where: str) -> dict[str, Decimal]:
    """Method -> its value in a cell; a number that is printed twice counts once."""
    distinct = rows[["method", "value"]].drop_duplicates()
    if (twice := distinct[distinct["method"].duplicated()]).size:
        raise UserError(f"{where}: {twice['method'].iloc[0]} is printed with several values; name the table")
    return dict(distinct.itertuples(index=False))


def _percent(a: Decimal, b: Decimal, digits: int) -> Decimal:
    return round(100 * (a / b - 1), digits)


def _place(place: tuple[str, ...]) -> str:
    return " ".join(part for part in place if part != "unspecified")
