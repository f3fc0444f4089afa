"""What was measured, as tests of claims ask for it: differences with intervals, in a setting of a paper's study."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from cmr.configuration import check_name
from cmr.evaluation import PER_QUERY
from cmr.papers.claims.finding import Finding
from cmr.papers.claims.printed import Printed
from cmr.papers.measured import TASKS, Queries, on, paper_of, precision_of_items, queries_of, spec_of, with_scores
from cmr.papers.plan import first_run, methods_run, needs, views_run
from cmr.results import Run, Study
from cmr.statistics import mean_interval, paired_bootstrap


class NotDecidedError(Exception):
    """A test has no numbers to decide by; what it finds instead says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.reason)
        self.finding = finding


@dataclass(frozen=True)
class Site:
    """A setting where a test looks: the first of its alternatives that was run.

    Attributes
    ----------
    methods : name in the paper, or ours where it has none -> the method that was run.
    """

    name: str
    setting: Mapping[str, Any]
    alternative: Mapping[str, Any]
    methods: Mapping[str, str]

    @property
    def exact(self) -> bool:
        return self.alternative["exact"]


@dataclass(frozen=True)
class Side:
    """One of the numbers that are compared.

    Attributes
    ----------
    elsewhere : whether it is of another setting than that where the test looks.
    """

    site: Site
    name: str
    metric: str
    task: str
    elsewhere: bool = False

    @property
    def method(self) -> str:
        return self.site.methods[self.name]


@dataclass(frozen=True)
class Difference:
    """A mean difference and the ends of its 95 % interval, NaN where there is none; `over` what it is taken."""

    what: str
    mean: float
    low: float
    high: float
    over: str

    @property
    def above(self) -> bool:
        return self.low > 0

    @property
    def below(self) -> bool:
        return self.high < 0

    def __str__(self) -> str:
        interval = "no interval" if np.isnan(self.low) else f"{self.low:+.3f} to {self.high:+.3f} over {self.over}"
        return f"{self.what}: {self.mean:+.3f} ({interval})"


@dataclass(frozen=True)
class Evidence:
    """The study of a paper, as a test of one claim looks at it.

    Attributes
    ----------
    queries : of every run, the average precision of each query, as for `cmr.papers.measured.measure`.
    answers : what `read_answers` reads of the study of vectorisers; no rows where it was not run.
    where : the claim, for errors.
    """

    study: Study
    queries: Queries
    printed: Printed
    answers: pd.DataFrame
    where: str
    _known: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def at(self, where: str) -> Self:
        """The same for another claim."""
        return replace(self, where=where, printed=replace(self.printed, where=where))

    @property
    def settings(self) -> Mapping[str, Any]:
        return paper_of(self.study)["settings"]

    @property
    def tolerance(self) -> float:
        return paper_of(self.study)["tolerance"]

    def site(self, name: str) -> Site:
        """Raises NotDecidedError where the setting was not run, UserError where there is none of the name."""
        check_name(name, self.settings, self.where, "setting")
        setting = self.settings[name]
        if rehearsal := paper_of(self.study)["rehearsal"]:
            reason = f"a rehearsal on {rehearsal}: nothing is measured on the paper's data"
            raise NotDecidedError(Finding("withheld", reason=reason))
        alternative = first_run(setting)
        if alternative is None:
            raise NotDecidedError(Finding("not run", reason=f"needs {needs(setting)}"))
        return Site(name, setting, alternative, methods_run(setting, alternative))

    def side(self, site: Site, name: str, metric: str, task: str) -> Side:
        """Raises UserError for an unknown name, NotDecidedError where the method is not applicable to the data.

        name : a method of the setting, or `<setting>/<method>` of another.
        """
        setting, slash, own = name.rpartition("/")
        site, name = (self.site(setting), own) if slash else (site, name)
        check_name(name, site.methods, self.where, f"method of the setting {site.name}")
        check_name(metric, PER_QUERY, self.where, "metric")
        check_name(task, TASKS, self.where, "task")
        side = Side(site, name, metric, task, bool(slash))
        if self.values(side).empty:
            reason = self.reason(side) or f"the study has no scores of {side.method}"
            raise NotDecidedError(Finding("not run", reason=f"{self.title(side)}: {reason}"))
        return side

    def reason(self, side: Side) -> str:
        """Why a method is not applicable to the data of its setting, wholly or on some splits; empty where it is."""
        spec = spec_of(side.site.alternative, side.method)
        reason = on(self.study, side.site.alternative).not_applicable(spec).get(side.method, "")
        return self.study.reason_of(side.method, reason)

    def values(self, side: Side) -> pd.Series:
        """A value a split, the mean over its seeds."""

        def found() -> pd.DataFrame:
            spec = spec_of(side.site.alternative, side.method, side.metric)
            return on(self.study, side.site.alternative).scores_of(spec).groupby(level="split").mean()

        return self._once(("values", side.site.name, side.method, side.metric), found)[side.task]

    def mean(self, side: Side) -> float:
        return float(self.values(side).mean())

    def title(self, side: Side) -> str:
        """The method that was run, marked where its scores cannot be compared, and its views where they are its own."""
        label, usual = self.study.method_label(side.method), side.site.alternative
        views = views_run(usual, side.method)
        if side.elsewhere or views != (usual["image_view"], usual["text_view"]):
            return f"{label} (images as {views[0]}, texts as {views[1]})"
        return label

    def difference(
        self, what: str, first: Sequence[Side], second: Sequence[Side] = (), offset: float = 0
    ) -> Difference:
        """Sum of the first sides minus that of the second, minus `offset`, with its interval.

        As in `cmr.papers.measured`, the interval is taken over splits (Student t of the differences within each split)
        where test parts differ, and over queries (bootstrap, the same queries for all sides) where all share one.
        """
        sides = [*first, *second]
        if len({side.site.alternative["dataset"] for side in sides}) > 1:
            names = ", ".join(
                dict.fromkeys(f"{side.site.name} on {side.site.alternative['dataset']}" for side in sides)
            )
            raise NotDecidedError(Finding("undecided", reason=f"run on different data: {names}"))
        if len({part for side in sides for part in self._test_parts(side)}) == 1:
            wide = pd.concat([self._precision(side)[side.metric, side.task] for side in sides], axis=1)
            over = "queries"
        else:
            wide, over = pd.concat([self.values(side) for side in sides], axis=1, join="inner"), "splits"
        if wide.empty:
            raise NotDecidedError(Finding("undecided", reason="there is no split that all of them were run on"))
        values = wide.to_numpy()
        ours, theirs = values[:, : len(first)].sum(axis=1), values[:, len(first) :].sum(axis=1) + offset
        interval = paired_bootstrap(ours, theirs) if over == "queries" else mean_interval(ours - theirs)
        return Difference(what, *interval, f"{len(wide)} {over}")

    def gap(self, first: Side, second: Side) -> Difference:
        """One side minus the other, told by what they differ in."""
        if first.metric == second.metric and first.task == second.task:
            what, labels = f"{first.metric} {first.task}", [self.title(first), self.title(second)]
        elif first.metric == second.metric:
            what, labels = f"{self.title(first)}, {first.metric}", [first.task, second.task]
        else:
            what, labels = f"{self.title(first)}, {first.task}", [first.metric, second.metric]
        means = [f"{label} {self.mean(side):.3f}" for label, side in zip(labels, (first, second), strict=True)]
        return self.difference(f"{what}, {' against '.join(means)}", [first], [second])

    def told(self, site: Site) -> str:
        """The data that a setting was run on, and what is not as printed."""
        one = site.alternative
        title = self.study.facts["datasets"][one["dataset"]]["title"]
        n = len(one["splits"])
        data = f"on {title}, images as {one['image_view']}, texts as {one['text_view']}, {n} split{'s' * (n > 1)}"
        return data if site.exact else f"{data}, a substitute ({'; '.join(one['differs'])})"

    def runs(self, side: Side) -> list[Run]:
        """The runs that have scores, one a split."""
        return with_scores(on(self.study, side.site.alternative), side.site.alternative, side.method)

    def _tables(self, side: Side) -> list[pd.DataFrame]:
        return [queries_of(self.queries, run) for run in self.runs(side)]

    def _test_parts(self, side: Side) -> set[frozenset[str]]:
        def found() -> set[frozenset[str]]:
            return {frozenset(table["id"]) for table in self._tables(side)}

        return self._once(("test parts", side.site.name, side.method), found)

    def _precision(self, side: Side) -> pd.DataFrame:
        return self._once(("precision", side.site.name, side.method), lambda: precision_of_items(self._tables(side)))

    def _once(self, key: tuple[str, ...], found: Callable[[], Any]) -> Any:
        """What is asked for again and again, made once."""
        if key not in self._known:
            self._known[key] = found()
        return self._known[key]
