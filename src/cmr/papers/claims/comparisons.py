"""Tests that compare measured scores: of methods, tasks and metrics, and with published ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cmr.papers.claims.evidence import Difference, Evidence, NotDecidedError, Side, Site
from cmr.papers.claims.finding import Finding, as_list, decided, listed
from cmr.papers.claims.measured import HOLDS_ZERO, NO_INTERVAL, InSettings, all_above, judged
from cmr.papers.published import MEASURED_BY, measured_task
from cmr.results import budget_of


@dataclass(frozen=True, kw_only=True)
class Above(InSettings):
    """Methods above others by every metric in every task.

    Attributes
    ----------
    method : one or more; each must be above.
    others : names of the setting, or `<setting>/<name>`; by default all other methods that the paper has there. What is
        not applicable, or not run, takes no part.
    over : `all` others, or `most`, more than half of them.
    """

    method: str | list[str]
    others: list[str] = field(default_factory=list)
    over: Literal["all", "most"] = "all"
    metrics: list[str]
    tasks: list[str]

    @property
    def words(self) -> str:
        which = ", ".join(name.rpartition("/")[2] for name in self.others)
        quantity = "more than half of" if self.over == "most" else "each of"
        what = f"{', '.join(self.metrics)} of {', '.join(self.tasks)}"
        return f"{what}: {', '.join(as_list(self.method))} above {quantity} {which or 'the other methods'}"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        cells, left_out = [], {}
        others = self.others or list(site.setting["methods"])
        for metric in self.metrics:
            for task in self.tasks:
                for method in as_list(self.method):
                    own = evidence.side(site, method, metric, task)
                    gaps = []
                    for name in others:
                        try:
                            other = evidence.side(site, name, metric, task)
                        except NotDecidedError as error:
                            left_out[name] = error.finding.reason
                            continue
                        same = other.name in as_list(self.method) or other.method == own.method
                        if other.elsewhere or not same:
                            gaps.append(evidence.gap(own, other))
                    if not gaps:
                        reason = listed(left_out.values()) or "there is nothing to compare with"
                        raise NotDecidedError(Finding("not run", reason=reason))
                    cells.append(gaps)
        reason = f"without {listed(f'{name}: {why}' for name, why in left_out.items())}" if left_out else ""
        if self.over == "all":
            return all_above([gap for gaps in cells for gap in gaps], reason)
        return self._most_above(cells, reason)

    def _most_above(self, cells: Sequence[Sequence[Difference]], reason: str) -> Finding:
        told = []
        for gaps in cells:
            above, below = sum(gap.above for gap in gaps), sum(gap.below for gap in gaps)
            told.append(f"above {above}, below {below}, undecided against {len(gaps) - above - below} of {len(gaps)}")
        if all(2 * sum(gap.above for gap in gaps) > len(gaps) for gaps in cells):
            return Finding("holds", listed(told), reason)
        if any(2 * sum(gap.below for gap in gaps) >= len(gaps) for gaps in cells):
            return Finding("does not hold", listed(told), reason)
        return Finding("undecided", listed(told), "; ".join(filter(None, ["too many intervals hold 0", reason])))


@dataclass(frozen=True, kw_only=True)
class Gap(InSettings):
    """One method against another.

    Attributes
    ----------
    expected : the first is `higher` or `lower` than the second, `different` from it, or `alike`: within `margin` of it.
    margin : in mAP; the paper's tolerance by default. Where all of an interval is within, methods are alike.
    """

    first: str
    second: str
    expected: Literal["higher", "lower", "different", "alike"]
    metrics: list[str]
    tasks: list[str]
    margin: float | None = None

    @property
    def words(self) -> str:
        relation = {"higher": "above", "lower": "below", "different": "different from", "alike": "like"}[self.expected]
        near = f", within {self.margin}" if self.margin is not None else ""
        return f"{', '.join(self.metrics)} of {', '.join(self.tasks)}: {self.first} {relation} {self.second}{near}"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        gaps = [
            evidence.gap(*(evidence.side(site, name, metric, task) for name in (self.first, self.second)))
            for metric in self.metrics
            for task in self.tasks
        ]
        if self.expected == "higher":
            return all_above(gaps)
        if self.expected == "lower":
            return judged(gaps, all(gap.below for gap in gaps), any(gap.above for gap in gaps))
        margin = evidence.tolerance if self.margin is None else self.margin
        alike = all(-margin <= gap.low and gap.high <= margin for gap in gaps)
        if self.expected == "alike":
            apart = any(gap.low > margin or gap.high < -margin for gap in gaps)
            return judged(gaps, alike, apart, f"an interval reaches beyond {margin} on one side alone")
        differ = all(gap.above or gap.below for gap in gaps)
        return judged(gaps, differ and not alike, alike)


@dataclass(frozen=True, kw_only=True)
class Tasks(InSettings):
    """One task above another, by every method named."""

    methods: list[str]
    higher: str
    lower: str
    metrics: list[str]

    @property
    def words(self) -> str:
        return f"{', '.join(self.metrics)} of {', '.join(self.methods)}: {self.higher} above {self.lower}"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        return all_above(
            [
                evidence.gap(*(evidence.side(site, name, metric, task) for task in (self.higher, self.lower)))
                for metric in self.metrics
                for name in self.methods
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Only(InSettings):
    """One task above another by this method, and by none of the others, by default all that the paper has there."""

    method: str
    higher: str
    lower: str
    others: list[str] = field(default_factory=list)
    metric: str = "map_all"

    @property
    def words(self) -> str:
        others = f"none of {', '.join(self.others)}" if self.others else "no other method"
        return f"{self.metric}: {self.higher} above {self.lower} by {self.method} and {others}"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        gaps = {}
        for name in dict.fromkeys([self.method, *(self.others or site.setting["methods"])]):
            try:
                sides = [evidence.side(site, name, self.metric, task) for task in (self.higher, self.lower)]
            except NotDecidedError:
                if name == self.method:
                    raise
                continue
            gaps[name] = evidence.gap(*sides)
        own, others = gaps.pop(self.method), gaps.values()
        shown = [own, *sorted(others, key=lambda gap: -gap.mean)[:3]]
        return judged(
            shown, own.above and all(gap.below for gap in others), own.below or any(gap.above for gap in others)
        )


@dataclass(frozen=True, kw_only=True)
class Metrics(InSettings):
    """One metric above another on the same rankings, by every method named."""

    methods: list[str]
    higher: str
    lower: str
    tasks: list[str]

    @property
    def words(self) -> str:
        what = f"{', '.join(self.tasks)} of {', '.join(self.methods)}"
        return f"{what}: {self.higher} above {self.lower} on the same rankings"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        gaps = [
            evidence.gap(*(evidence.side(site, name, metric, task) for metric in (self.higher, self.lower)))
            for name in self.methods
            for task in self.tasks
        ]
        return all_above(gaps, every=True)


@dataclass(frozen=True, kw_only=True)
class Reaches(InSettings):
    """A measured value as high as a published one, less the paper's tolerance.

    It is undecided, whatever the numbers are, where they were measured on a substitute, or of another method than the
    setting's: what is printed is not of that. So is a value that is missed by a method trained otherwise than in its
    paper.

    Attributes
    ----------
    method : of the setting.
    published_as : its name in results.csv, where that is another.
    tasks : of results.csv.
    """

    method: str
    published_as: str
    tasks: list[str]
    table: str

    @property
    def words(self) -> str:
        return f"{self.method} as high as {self.table} prints of {self.published_as}: {', '.join(self.tasks)}"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        gaps = []
        where = {**site.setting["of"], "table": self.table, "method": self.published_as}
        tasks = list(evidence.printed.cells(where)["task"])
        for row in evidence.printed.cells(where, {"task": self.tasks}).to_dict("records"):
            side = evidence.side(site, self.method, MEASURED_BY[row["metric"]], measured_task(row["task"], tasks))
            what = f"{row['task']}, {evidence.title(side)} {evidence.mean(side):.3f} against {row['value']} printed"
            gaps.append(evidence.difference(what, [side], offset=float(row["value"])))
        others = (
            [] if site.exact and not site.alternative["differs"] else ["what is printed is of other data or features"]
        )
        if site.methods[self.method] != (ours := site.setting["methods"].get(self.method, self.method)):
            others.append(f"{evidence.study.method_title(site.methods[self.method])} stands in for {ours}")
        if others:
            return Finding("undecided", listed(map(str, gaps), 6), "; ".join(others))
        reached = [gap.low >= -evidence.tolerance for gap in gaps]
        missed = [gap.high < -evidence.tolerance for gap in gaps]
        budget = budget_of(evidence.study.facts["methods"][site.methods[self.method]])
        if budget and any(missed):
            return Finding("undecided", listed(map(str, gaps), 6), f"trained otherwise: {budget.rstrip('.')}")
        return judged(
            gaps,
            all(reached),
            any(missed),
            f"an interval reaches below and above what is printed less {evidence.tolerance}",
        )


@dataclass(frozen=True, kw_only=True)
class Gain(InSettings):
    """So many per cent above the best of the other methods, which is the one with the highest mean here.

    An interval that holds the percentage and 0 besides decides nothing.
    """

    method: str
    percent: float
    tasks: list[str]
    metric: str = "map_all"

    @property
    def words(self) -> str:
        return f"{self.metric} of {', '.join(self.tasks)}: {self.method} {self.percent} % above the best other method"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        told, inside, ahead = [], [], []
        for task in self.tasks:
            own, best = _with_best_rival(evidence, site, self.method, self.metric, task)
            gap, base = evidence.gap(own, best), evidence.mean(best) / 100
            low, high = gap.low / base, gap.high / base
            inside.append(None if np.isnan(low) else low <= self.percent <= high)
            ahead.append(low > 0)
            told.append(f"{gap.what}: {gap.mean / base:+.1f} % ({low:+.1f} to {high:+.1f} over {gap.over})")
        if None in inside:
            return Finding("undecided", listed(told), NO_INTERVAL)
        if all(inside) and not all(ahead):
            return Finding("undecided", listed(told), HOLDS_ZERO)
        return decided(all(inside), listed(told))


@dataclass(frozen=True, kw_only=True)
class Lead(InSettings):
    """By how much a method leads its best rival: more in one task than in another."""

    method: str
    more_in: str
    less_in: str
    metrics: list[str]

    @property
    def words(self) -> str:
        metrics = ", ".join(self.metrics)
        return (
            f"{metrics}: the lead of {self.method} over its best rival, in {self.more_in} larger than in {self.less_in}"
        )

    def find(self, evidence: Evidence, site: Site) -> Finding:
        gaps = []
        for metric in self.metrics:
            more, less = (
                _with_best_rival(evidence, site, self.method, metric, task) for task in (self.more_in, self.less_in)
            )
            leads = [
                f"{evidence.mean(own) - evidence.mean(best):+.3f} over {evidence.title(best)} in {own.task}"
                for own, best in (more, less)
            ]
            gaps.append(evidence.difference(f"{metric}, {' and '.join(leads)}", [more[0], less[1]], [more[1], less[0]]))
        return all_above(gaps)


def _with_best_rival(evidence: Evidence, site: Site, method: str, metric: str, task: str) -> tuple[Side, Side]:
    own, rivals = evidence.side(site, method, metric, task), []
    for name in site.setting["methods"]:
        try:
            side = evidence.side(site, name, metric, task)
        except NotDecidedError:
            continue
        if side.method != own.method:
            rivals.append(side)
    if not rivals:
        raise NotDecidedError(Finding("not run", reason=f"there is no other method than {method}"))
    return own, max(rivals, key=evidence.mean)
