"""Tests on what a paper computes from its numbers, and on the sizes of its data sets."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import pandas as pd

from cmr.configuration import check_name
from cmr.papers.claims.finding import Finding, decided, listed
from cmr.papers.claims.printed import Printed, Where, on_selection
from cmr.papers.published import RESULT
from cmr.statistics import average_ranks, friedman_of_average_ranks, iman_davenport


@dataclass(frozen=True)
class Averages:
    """Printed averages against the means of the two printed values; what is off by more than a unit is no rounding."""

    where: Where = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"printed averages, the means of the two values beside them{on_selection(self.where)}"

    def check(self, printed: Printed) -> Finding:
        wanted = printed.cells(self.where, {"task": "average"})
        key = [name for name in RESULT if name != "task"]
        own = printed.published.averages.merge(wanted[[*key, "printed"]].rename(columns={"printed": "text"}), on=key)
        off, rounded = [], 0
        for row in own.to_dict("records"):
            average, mean = Decimal(row["text"]), Decimal(str(round(row["recomputed"], 10)))
            apart = abs(average - mean)
            rounded += 2 * apart <= Decimal(1).scaleb(average.as_tuple().exponent)
            if row["inconsistent"]:
                at = f"{row['table']} {row['dataset']} {row['features']} {row['method']} {row['metric']}"
                off.append((apart, f"{at}: {average} printed, {mean.normalize()} computed"))
        explained = len(own) - rounded - len(off)
        furthest = listed((text for _, text in sorted(off, key=lambda one: -one[0])), 4)
        count = f"{len(off)} of {len(own)} off by more than rounding explains, {explained} within it, {rounded} right"
        return decided(not off, f"{count}; {furthest}" if off else count)


@dataclass(frozen=True)
class Friedman:
    """A printed statistic of ranks against the one that the printed ranks give.

    Attributes
    ----------
    statistic : `chi2` (Friedman), `f` (Iman and Davenport), or `rejection`: whether the printed F is above the critical
        value at 5 %, as is claimed.
    printed : the statistic as it is printed; right when it is off by less than a unit of its last digit.
    """

    metric: str
    statistic: Literal["chi2", "f", "rejection"]
    printed: float

    @property
    def words(self) -> str:
        if self.statistic == "rejection":
            return f"the printed F of {self.metric}, {self.printed}, above the critical value at 5 %"
        name = {"chi2": "chi^2", "f": "F"}[self.statistic]
        return f"the printed {name} of {self.metric}, {self.printed}, against that of the printed ranks"

    def check(self, printed: Printed) -> Finding:
        ranks = _ranks(printed, self.metric)
        n, k = len(ranks["datasets"].iloc[0].split("+")), len(ranks)
        chi2 = friedman_of_average_ranks(ranks["average_rank"], n)
        f = iman_davenport(chi2.chi2, n, k)
        if self.statistic == "rejection":
            numbers = f"critical value {f.critical:.4f}; the F of the printed ranks is {f.f:.4f}"
            return decided(self.printed > f.critical, numbers)
        right = chi2.chi2 if self.statistic == "chi2" else f.f
        unit = Decimal(1).scaleb(Decimal(str(self.printed)).as_tuple().exponent)
        p = chi2.p if self.statistic == "chi2" else f.p
        return decided(
            abs(right - self.printed) < unit, f"right is {right:.4f}, p {p:.4f}, of {k} methods on {n} data sets"
        )


@dataclass(frozen=True)
class Ranks:
    """Printed average ranks against those that the paper's tables give, ties sharing their mean."""

    metric: str
    task: str
    where: Where = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"the printed average ranks of {self.metric}, those of {self.task} in the tables"

    def check(self, printed: Printed) -> Finding:
        ranks = _ranks(printed, self.metric).set_index("method")["average_rank"]
        rows = printed.cells(self.where, {"metric": self.metric, "task": self.task})
        wide = rows.pivot(index=["dataset", "features"], columns="method", values="value")[list(ranks.index)]
        own = dict(zip(ranks.index, average_ranks(wide.astype(float)), strict=True))
        told = [f"{name} {rank:g} printed, {own[name]:g} in the tables" for name, rank in ranks.items()]
        # As many decimals as quarters need: ranks of n data sets are multiples of 1 / 2n.
        return decided(all(abs(own[name] - rank) < 0.01 for name, rank in ranks.items()), listed(told))


@dataclass(frozen=True)
class Sizes:
    """The printed sizes of a data set's parts, together no more than it has; or, `whole`, all of it."""

    dataset: str
    pairs: int
    whole: bool = False

    @property
    def words(self) -> str:
        of_it = "all" if self.whole else "at most"
        return f"the printed sizes of {self.dataset}, together {of_it} of its {self.pairs} pairs"

    def check(self, printed: Printed) -> Finding:
        own = printed.published.datasets
        own = own[own["paper"] == printed.paper]
        check_name(self.dataset, own["dataset"], printed.where, "data set of the paper")
        row = own[own["dataset"] == self.dataset].iloc[0]
        sizes = {part: int(row[f"n_{part}"]) for part in ("train", "val", "test") if not pd.isna(row[f"n_{part}"])}
        total = sum(sizes.values())
        told = " and ".join(f"{size} {part}" for part, size in sizes.items())
        return decided(total == self.pairs if self.whole else total <= self.pairs, f"{told} are {total}")


def _ranks(printed: Printed, metric: str) -> pd.DataFrame:
    ranks = printed.published.ranks
    ranks = ranks[ranks["paper"] == printed.paper]
    check_name(metric, ranks["metric_ranked"].unique(), printed.where, "metric of printed ranks")
    return ranks[ranks["metric_ranked"] == metric]
