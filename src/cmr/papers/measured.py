"""What is measured of a paper: every method of every setting that can be run, with an interval and the random floor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cmr import store
from cmr.errors import UserError
from cmr.evaluation import PER_QUERY
from cmr.methods import FLOOR
from cmr.papers import records
from cmr.papers.plan import alternatives_run, methods_run, views_run
from cmr.papers.published import ALL_MODAL, BIMODAL
from cmr.results import MEANS, RUN, Run, Study, check_same_making
from cmr.spreadsheets import DIGITS
from cmr.statistics import bootstrap_intervals

TASKS = [*BIMODAL, "mean", *ALL_MODAL, "mean_all"]
CELL = ["setting", "alternative", "method", "task", "metric"]
COLUMNS = [
    "setting", "alternative", "exact", "dataset", "splits", "image_view", "text_view", "method", "run_method", "task",
    "metric", "measured", "low", "high", "n_splits", "n_seeds", "interval", "random_floor", "caveat", "not_applicable",
]  # fmt: skip
_TYPES = (
    dict.fromkeys(COLUMNS, "str")
    | dict.fromkeys(["measured", "low", "high", "random_floor"], "float64")
    | dict.fromkeys(["alternative", "n_splits", "n_seeds"], "int64")
    | {"exact": "bool"}
)
# The per-query files hold single precision; what is further from the run's own score is of another run.
_ROUNDING = 1e-5

Queries = Mapping[Run, pd.DataFrame]


@dataclass(frozen=True)
class QueryFiles(Mapping[Run, pd.DataFrame]):
    """The average precision of each query of runs, read whenever it is asked for: that of a study may be gigabytes.

    study : whose runs.
    folder : of all runs, such as results/runs.

    Raises UserError for a file that is of other embeddings than those that the study was collected from.
    """

    study: Study
    folder: Path

    @cached_property
    def _made(self) -> dict[Run, Mapping[str, Any]]:
        return dict(zip(self.study.runs, self.study.facts["runs"], strict=True))

    def __getitem__(self, run: Run) -> pd.DataFrame:
        made, path = self._made[run], run.folder(self.folder) / "queries.parquet"
        table = store.read_table(path)
        check_same_making(path, table, made)
        return table

    def __iter__(self) -> Iterator[Run]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def measure(study: Study, queries: Queries) -> pd.DataFrame:
    """Every measured number of a paper's study: columns `COLUMNS`, one row a number, by setting and alternative.
    Rounded as they are written, so that whoever reads them judges the same.

    study : of a paper, so that its config has the block `paper`.
    queries : of every run, the average precision of each query: columns seed, task, id and `PER_QUERY`.

    An interval is taken over `splits` (Student t) where a method has several whose test parts differ. Where there is
    one, or all share their test part, it is taken over the `queries` of that part, each one's precision averaged over
    splits and seeds; `mean` and `mean_all` draw the two queries of a pair together. It then says how far another
    choice of test items would move the score of these models, and nothing of other models.

    `n_splits` is the number of splits that the method has scores on, `n_seeds` that of the seeds on each of them, over
    which every value of a split is averaged. All numbers are missing where a method is not applicable to any split.

    Raises
    ------
    UserError : the study or the queries lack a run, or the queries are of other runs than the scores.
    """
    rows = [
        dict(zip(COLUMNS, (name, number, *row), strict=True))
        for name, number, setting, alternative in alternatives_run(paper_of(study)["settings"])
        for row in _rows(on(study, alternative), setting, alternative, queries)
    ]
    measured = pd.DataFrame(rows, columns=COLUMNS).astype(_TYPES).round(DIGITS)
    place = ["setting", "alternative", "task", "metric"]
    floors = measured[measured["run_method"] == FLOOR].drop_duplicates(place).set_index(place)["measured"]
    return measured.assign(random_floor=measured[place].join(floors, on=place)["measured"])


def paper_of(study: Study) -> dict[str, Any]:
    """What the study's config says of its paper; a UserError for a study of none."""
    try:
        return study.config["paper"]
    except KeyError as error:
        raise UserError(f"study {study.facts['study']} is of no paper: its config has no block `paper`") from error


def on(study: Study, alternative: Mapping[str, Any]) -> Study:
    """The study with the scores of an alternative's splits alone: settings may share their data, but not the splits."""
    scores, inapplicable = study.scores, study.facts["not_applicable"]
    own = scores[(scores["dataset"] == alternative["dataset"]) & scores["split"].isin(alternative["splits"])]
    facts = study.facts | {"not_applicable": [run for run in inapplicable if run["split"] in alternative["splits"]]}
    return replace(study, scores=own, facts=facts)


def spec_of(alternative: Mapping[str, Any], method: str, metric: str = "map_all") -> dict[str, Any]:
    """What `Study` asks for to tell the scores of a method in an alternative."""
    image_view, text_view = views_run(alternative, method)
    place = {"dataset": alternative["dataset"], "image_view": image_view, "text_view": text_view}
    return place | {"methods": [method], "metric": metric, "tasks": TASKS}


def runs_of(alternative: Mapping[str, Any], method: str) -> list[Run]:
    """The runs of a method in an alternative, one a split."""
    views = views_run(alternative, method)
    return [Run(alternative["dataset"], split, *views, method) for split in alternative["splits"]]


def with_scores(study: Study, alternative: Mapping[str, Any], method: str) -> list[Run]:
    """The runs of a method in an alternative to whose splits it is applicable."""
    present = set(starmap(Run, study.scores[RUN].drop_duplicates().to_numpy()))
    return [run for run in runs_of(alternative, method) if run in present]


def queries_of(queries: Queries, run: Run) -> pd.DataFrame:
    """The per-query table of a run."""
    try:
        return queries[run]
    except KeyError as error:
        place = f"{run.dataset}/{run.split}/{run.image_view}+{run.text_view}/{run.method}"
        raise UserError(f"queries.parquet of {place} is not among the files given; evaluate the run") from error


def precision_of_items(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The average precision of each test item, averaged over the splits and seeds in which it is tested.

    tables : per-query tables of the runs of one method.

    Returns a row an id, in order, and a column a (metric, task), means of tasks included.
    """
    columns = ["task", "id", *PER_QUERY]
    long = pd.concat([table[columns] for table in tables]).astype(dict.fromkeys(PER_QUERY, "float64"))
    wide = long.groupby(["id", "task"])[list(PER_QUERY)].mean().unstack("task")
    for metric in PER_QUERY:
        for name, tasks in MEANS.items():
            wide[metric, name] = wide[[(metric, task) for task in tasks]].mean(axis=1, skipna=False)
    return wide


def read(path: Path) -> pd.DataFrame:
    """What `cmr.papers.records.write` wrote of them: columns `COLUMNS`; missing texts are empty."""
    return records.read(path, _TYPES)


def _rows(
    study: Study, setting: Mapping[str, Any], alternative: Mapping[str, Any], queries: Queries
) -> Iterator[tuple[Any, ...]]:
    """Rows of an alternative, without what tells its place, and without the floor."""
    for name, method in methods_run(setting, alternative).items():
        spec, runs = spec_of(alternative, method), with_scores(study, alternative, method)
        reason = study.not_applicable(spec).get(method, "")
        if (lacking := [run for run in runs_of(alternative, method) if run not in runs]) and not reason:
            absent = lacking[0]
            raise UserError(
                f"study {study.facts['study']} has no scores of {method} on the split {absent.split} of "
                f"{absent.dataset}, {absent.image_view}+{absent.text_view}, though its config asks for them. "
                "Collect it again"
            )
        place = [alternative["exact"], alternative["dataset"], " ".join(alternative["splits"])]
        place += [spec["image_view"], spec["text_view"], name, method]
        told = (np.nan, study.caveats.get(method, ""), study.reason_of(method, reason))
        if not runs:
            yield from ((*place, t, m, np.nan, np.nan, np.nan, 0, 0, "", *told) for m in PER_QUERY for t in TASKS)
            continue
        tables = [queries_of(queries, run) for run in runs]
        n_seeds = max(table["seed"].nunique() for table in tables)
        one_part = len({frozenset(table["id"]) for table in tables}) == 1
        interval = "queries" if one_part else "splits"
        resampled = _resampled(precision_of_items(tables)) if one_part else None
        for metric in PER_QUERY:
            summary = study.summary(spec | {"metric": metric})
            if resampled is not None:
                summary = _over_queries(summary, resampled.loc[metric], runs[0])
            for row in summary.itertuples():
                count = (len(runs), n_seeds)
                yield (*place, row.task, metric, row.mean, row.low, row.high, *count, interval, *told)


def _resampled(items: pd.DataFrame) -> pd.DataFrame:
    """Of what `precision_of_items` gives: a row a (metric, task), its mean over queries, and the interval's ends."""
    intervals = dict(zip(["mean", "low", "high"], bootstrap_intervals(items.to_numpy()), strict=True))
    return pd.DataFrame(intervals, index=items.columns)


def _over_queries(summary: pd.DataFrame, resampled: pd.DataFrame, run: Run) -> pd.DataFrame:
    """A method's summary with intervals over the queries; resampled: a row a task."""
    own = resampled.loc[summary["task"]]
    if (apart := np.abs(own["mean"].to_numpy() - summary["mean"].to_numpy()).max()) > _ROUNDING:
        raise UserError(
            f"the average precisions of the queries of {run.method} on {run.dataset}/{run.split} have a mean that is "
            f"{apart:.6f} off its score: they are of another run. Evaluate it again"
        )
    return summary.assign(low=own["low"].to_numpy(), high=own["high"].to_numpy())
