"""Tests on how methods behave: along a precision-recall curve, in training, and over their hyper-parameters."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cmr.configuration import check_name
from cmr.papers.claims.evidence import Difference, Evidence, NotDecidedError, Side, Site
from cmr.papers.claims.finding import Finding, decided
from cmr.papers.claims.measured import InSettings, all_above, judged
from cmr.papers.measured import spec_of
from cmr.results import RUN, Run
from cmr.statistics import mean_interval


@dataclass(frozen=True, kw_only=True)
class Curve(InSettings):
    """How precision moves along a precision-recall curve, of every method and task.

    Attributes
    ----------
    moves : from one recall to another, `up`, `down`, or `flat`: by less than `margin`. An interval is over splits.
    """

    methods: list[str]
    tasks: list[str]
    moves: list[dict[str, Any]]
    margin: float = 0.05

    @property
    def words(self) -> str:
        moves = ", ".join(f"{move['move']} from recall {move['from']} to {move['to']}" for move in self.moves)
        return f"precision of {', '.join(self.methods)} in {', '.join(self.tasks)}: {moves}"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        steps, up, against = [], [], []
        for method in self.methods:
            for task in self.tasks:
                side = evidence.side(site, method, "map_all", task)
                curves = _curves(evidence, side)
                for move in self.moves:
                    start, end = (curves[round(100 * move[key])].to_numpy() for key in ("from", "to"))
                    title = f"{evidence.title(side)} {task}, recall {move['from']} to {move['to']}"
                    what = f"{title}, {start.mean():.3f} to {end.mean():.3f}"
                    step = Difference(what, *mean_interval(end - start), f"{len(curves)} splits")
                    steps.append(step)
                    flat = -self.margin <= step.low and step.high <= self.margin
                    beyond = step.low > self.margin or step.high < -self.margin
                    up.append({"up": step.above, "down": step.below, "flat": flat}[move["move"]])
                    against.append({"up": step.below, "down": step.above, "flat": beyond}[move["move"]])
        return judged(steps, all(up), any(against))


@dataclass(frozen=True, kw_only=True)
class Convergence(InSettings):
    """A quantity of training that hardly moves after some steps: by less than `share` of its whole way, in every run.

    Of a run that ends earlier, its last step but one is looked at.
    """

    method: str
    quantity: str
    steps: int
    share: float

    @property
    def words(self) -> str:
        return (
            f"{self.quantity} of {self.method} moves by less than {self.share:.0%} of its way after step {self.steps}"
        )

    def find(self, evidence: Evidence, site: Site) -> Finding:
        side = evidence.side(site, self.method, "map_all", "img2txt")
        history = _of_splits(evidence.study.history_of(spec_of(site.alternative, side.method)), site)
        check_name(
            self.quantity, history["quantity"].unique(), evidence.where, f"quantity in the history of {side.method}"
        )
        left, lengths = [], []
        for _, run in history[history["quantity"] == self.quantity].groupby(["split", "seed"]):
            values = run.sort_values("step")["value"].to_numpy()
            way = abs(values[0] - values[-1])
            at = min(self.steps, len(values) - 1)
            left.append(abs(values[at - 1] - values[-1]) / way if way else 0.0)
            lengths.append(len(values))
        numbers = (
            f"{len(left)} runs of {min(lengths)} to {max(lengths)} steps; at most {max(left):.2%} of the way is left"
        )
        if min(lengths) < 2:
            return Finding("undecided", numbers, "a run has a single step")
        return decided(max(left) < self.share, numbers)


@dataclass(frozen=True, kw_only=True)
class Sensitivity(InSettings):
    """Candidates of a hyper-parameter within a range, better on the valid part than others by their mean mAP."""

    method: str
    parameter: str
    low: float
    high: float

    @property
    def words(self) -> str:
        return f"valid mAP of {self.method}: {self.parameter} from {self.low:g} to {self.high:g} above other values"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        side = evidence.side(site, self.method, "map_all", "img2txt")
        runs = [run for run in evidence.study.facts["runs"] if Run(*(run[key] for key in RUN)) in evidence.runs(side)]
        candidates = pd.DataFrame([{**one, "split": run["split"]} for run in runs for one, _ in run["scores"]])
        known = [name for name in candidates if name != "split"]
        check_name(self.parameter, known, evidence.where, f"hyper-parameter of {side.method}")
        values = pd.Series([score for run in runs for _, score in run["scores"]], dtype="float64")
        within = candidates[self.parameter].between(self.low, self.high).rename("within")
        # Beside each other stand candidates that differ in this parameter alone, so far as both can be fitted.
        rest = candidates[[name for name in known if name != self.parameter]].to_dict("records")
        others = pd.Series([json.dumps(one) for one in rest], name="others")
        wide = values.groupby([candidates["split"], others, within]).mean().unstack("within")
        if set(wide) != {True, False} or (wide := wide.dropna()).empty:
            reason = "no two candidates within and outside the range were fitted"
            raise NotDecidedError(Finding("not run", reason=reason))
        differences = (wide[True] - wide[False]).groupby(level="split").mean()
        by_value = values.groupby(candidates[self.parameter]).mean()
        told = ", ".join(f"{value:g} {mean:.3f}" for value, mean in by_value.items())
        what = f"mean valid mAP by {self.parameter}: {told}; within minus outside"
        return all_above([Difference(what, *mean_interval(differences), f"{len(differences)} splits")])


@dataclass(frozen=True, kw_only=True)
class Trains(InSettings):
    """A method that can be trained on the data of a setting, on all splits."""

    method: str

    @property
    def words(self) -> str:
        return f"{self.method} can be trained"

    def find(self, evidence: Evidence, site: Site) -> Finding:
        check_name(self.method, site.methods, evidence.where, f"method of the setting {site.name}")
        side = Side(site, self.method, "map_all", "mean")
        if reason := evidence.reason(side):
            return decided(False, reason)
        side = evidence.side(site, self.method, "map_all", "mean")
        return decided(True, f"map_all mean {evidence.mean(side):.3f} on {len(evidence.values(side))} splits")


def _curves(evidence: Evidence, side: Side) -> pd.DataFrame:
    """A row a split, the mean over its seeds, and a column a recall in per cent."""
    spec = spec_of(side.site.alternative, side.method) | {"task": side.task}
    rows = _of_splits(evidence.study.curves_of(spec), side.site)
    return rows.assign(recall=(100 * rows["recall"]).round().astype(int)).pivot_table(
        index="split", columns="recall", values="precision"
    )


def _of_splits(rows: pd.DataFrame, site: Site) -> pd.DataFrame:
    return rows[rows["split"].isin(site.alternative["splits"])]
