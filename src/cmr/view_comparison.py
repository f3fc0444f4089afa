"""How much the views of a study matter: every image view with every text view, by the same methods on the same splits.

All combinations share their splits: a difference is taken within each split, and its interval is over those of splits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from cmr.errors import UserError
from cmr.methods import FLOOR
from cmr.results import RUN, Run, Study
from cmr.spreadsheets import to_csv
from cmr.statistics import mean_interval

FACTORS = ("image_view", "text_view", "method", "split")  # the axes of scores
COLUMNS = ["image_view", "text_view", "method", "task", "mean", "low", "high", "n_splits", "floor"]


@dataclass(frozen=True)
class Lead:
    """By how much the best is ahead of the runner-up, split by split: mean, and the ends of its 95 % interval."""

    best: tuple[str, ...]
    runner_up: tuple[str, ...]
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Scores of all combinations, in the order of the study's config.

    Attributes
    ----------
    names : factor -> its levels; the factors are those of `FACTORS`.
    scores : task -> (image views, text views, methods, splits), each value the mean over the seeds of its run.
    floors : task -> (image views, text views, splits): what a random ranking scores on the same test items; NaN where
        that is not known.
    """

    names: dict[str, list[str]]
    scores: dict[str, np.ndarray]
    floors: dict[str, np.ndarray]

    @property
    def tasks(self) -> list[str]:
        return list(self.scores)

    def summary(self) -> pd.DataFrame:
        """Columns `COLUMNS`: mean and Student's t interval over splits, and the floor's mean over the same splits."""
        rows = [
            (*names, task, *mean_interval(scores[place]), len(self.names["split"]), self.floors[task][place[:2]].mean())
            for place, names in self._places(FACTORS[:3])
            for task, scores in self.scores.items()
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def to_csv(self) -> str:
        """The summary; an interval that a single split does not have is empty."""
        return to_csv(self.summary())

    def averages(
        self, task: str, factors: Sequence[str], method: str | None = None
    ) -> dict[tuple[str, ...], np.ndarray]:
        """Levels of `factors` -> (splits,) scores, averaged over all else; of one method where it is named."""
        scores = self.scores[task]
        if method is not None:
            scores = scores[:, :, [self.names["method"].index(method)]]
        others = tuple(axis for axis, factor in enumerate(FACTORS[:3]) if factor not in factors)
        means = scores.mean(axis=others, keepdims=True)
        return {
            names: means[tuple(place[factors.index(f)] if f in factors else 0 for f in FACTORS[:3])]
            for place, names in self._places(factors)
        }

    def lead(self, task: str, factors: Sequence[str], method: str | None = None) -> Lead | None:
        """The best of `averages` against the runner-up; None when there is one alone."""
        averages = self.averages(task, factors, method)
        ranked = sorted(averages, key=lambda names: -averages[names].mean())  # the earlier of equals
        if len(ranked) < 2:
            return None
        return Lead(*ranked[:2], *mean_interval(averages[ranked[0]] - averages[ranked[1]]))

    def level_means(self, task: str) -> dict[str, np.ndarray]:
        """Factor -> (levels,) means of a task's scores over all other factors."""
        axes = range(len(FACTORS))
        return {
            factor: self.scores[task].mean(axis=tuple(other for other in axes if other != axis))
            for axis, factor in enumerate(FACTORS)
        }

    def shares(self, task: str) -> dict[str, float]:
        """How much of the variance of a task's scores each factor explains by itself, and `rest`; together they are 1.

        The classical decomposition of a complete design: a factor's part is the variance of its levels' means, the rest
        is what only combinations of levels, and chance, explain. All are 0 when all scores are equal.
        """
        scores = self.scores[task]
        explained = {factor: means.var() for factor, means in self.level_means(task).items()}
        total = scores.var()
        explained["rest"] = max(0.0, total - sum(explained.values()))  # rounding may leave less than nothing
        return {name: float(part / total) if np.ptp(scores) else 0.0 for name, part in explained.items()}

    def _places(self, factors: Sequence[str]) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
        """Indices and names of all combinations of levels."""
        levels = [self.names[factor] for factor in factors]
        places = product(*(range(len(names)) for names in levels))
        return list(zip(places, product(*levels), strict=True))


def compare(study: Study, splits: Sequence[str]) -> Comparison:
    """The comparison that the study's config asks for, on these splits.

    A random ranking's score depends on the test items alone. It is taken from the study's runs of the floor on the same
    split, those that had as many test items. Raises UserError naming the first run that is missing.
    """
    spec = study.config["view_comparison"]
    names = {
        "image_view": spec["image_views"],
        "text_view": spec["text_views"],
        "method": spec["methods"],
        "split": list(splits),
    }
    wide = study.scores_of_views(spec).groupby(level=list(FACTORS)).mean()
    wanted = pd.MultiIndex.from_product(names.values(), names=FACTORS)
    if len(missing := wanted.difference(wide.index, sort=False)):
        image_view, text_view, method, split = missing[0]
        lacking = Run(spec["dataset"], split, image_view, text_view, method)
        reasons = [
            f": {run['reason']}. Take the method out of the comparison"
            for run in study.facts["not_applicable"]
            if all(run[key] == getattr(lacking, key) for key in RUN)
        ]
        raise UserError(
            f"study {study.facts['study']}: its comparison of views lacks the run "
            f"{spec['dataset']}/{split}/{image_view}+{text_view}/{method}{''.join(reasons)}"
        )
    shape = tuple(map(len, names.values()))
    floors = _floors(study, spec["dataset"], wide, names)
    return Comparison(
        names,
        {task: wide.loc[wanted, task].to_numpy().reshape(shape) for task in spec["tasks"]},
        {task: floors[task].to_numpy().reshape(*shape[:2], shape[3]) for task in spec["tasks"]},
    )


def _floors(study: Study, dataset: str, wide: pd.DataFrame, names: Mapping[str, list[str]]) -> pd.DataFrame:
    """Index (image_view, text_view, split), a column a task."""
    sizes = {tuple(run[key] for key in RUN): run["sizes"]["test"] for run in study.facts["runs"]}

    def test_items(image_view: str, text_view: str, method: str, split: str) -> int:
        return sizes[dataset, split, image_view, text_view, method]

    floors = wide[wide.index.get_level_values("method") == FLOOR]
    known = {(index[3], test_items(*index)): row for index, row in floors.iterrows()}
    combinations = list(product(names["image_view"], names["text_view"], names["split"]))
    unknown = pd.Series(np.nan, index=wide.columns)
    rows = [known.get((s, test_items(i, t, names["method"][0], s)), unknown) for i, t, s in combinations]
    return pd.DataFrame(rows, columns=wide.columns)
