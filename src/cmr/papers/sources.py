"""What the tables of a paper's study are made of: the study, what the paper prints, and the files beside the study."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.papers import measured, verdicts
from cmr.papers.measured import CELL
from cmr.papers.published import AVERAGE, MEAN, MEASURED_BY, Published
from cmr.results import Study
from cmr.statistics import ranks

NOT_RUN = "\N{EN DASH}"
VERDICT = ["table", "dataset", "features", "method", "task", "metric"]


@dataclass(frozen=True)
class Sources:
    """All that a table of a paper's study is made of.

    Attributes
    ----------
    numbers : what was measured: setting, alternative, method, task, metric -> a row of measured.csv.
    verdicts : table, dataset, features, method, task, metric -> verdict.
    """

    study: Study
    published: Published
    numbers: Mapping[tuple[Any, ...], Any]
    verdicts: Mapping[tuple[str, ...], str]

    @property
    def paper(self) -> dict[str, Any]:
        return self.study.config["paper"]

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """The study's, and one that nothing can be run of for whatever else the paper prints numbers on."""
        own = self.paper["settings"]
        known = {tuple(setting["of"].values()) for setting in own.values()}
        blocks = self.own_results[["dataset", "features"]].drop_duplicates()
        others = {
            f"{dataset}/{features}": {
                "of": {"dataset": dataset, "features": features},
                "title": f"{self.dataset_title(dataset)}, {features}",
                "methods": {},
                "also": [],
                "alternatives": [],
            }
            for dataset, features in blocks.itertuples(index=False, name=None)
            if (dataset, features) not in known
        }
        return own | others

    @property
    def warning(self) -> str:
        """What a rehearsal says of itself; empty where the study is none."""
        if not (dataset := self.paper["rehearsal"]):
            return ""
        title = self.dataset_title(dataset)
        return f"A rehearsal: all our numbers are of another data set, {title}, and no verdict is given."

    @cached_property
    def own_results(self) -> pd.DataFrame:
        """`Published.results` of the paper, and `recomputed`.

        `recomputed` is the mean of the two task values, rounded to the printed digits, as text, where no rounding
        explains a printed average; else it is empty.
        """
        odd = self.published.averages
        odd = odd[odd["inconsistent"]].assign(task=AVERAGE)[[*MEAN, "task", "recomputed"]]
        rows = self.published.results[self.published.results["paper"] == self.paper["id"]].merge(odd, "left")
        pairs = zip(rows["recomputed"], rows["printed"], strict=True)
        return rows.assign(recomputed=["" if np.isnan(mean) else _rounded(mean, like) for mean, like in pairs])

    def printed(self, item: str) -> pd.DataFrame:
        """`own_results` of a table."""
        return self.own_results[self.own_results["table"] == item]

    @property
    def ranks(self) -> pd.DataFrame:
        """The average ranks that the paper prints."""
        return self.published.ranks[self.published.ranks["paper"] == self.paper["id"]]

    @cached_property
    def _setting_names(self) -> dict[tuple[str, str], str]:
        return {(one["of"]["dataset"], one["of"]["features"]): name for name, one in self.settings.items()}

    def setting_of(self, dataset: str, features: str) -> str:
        """The name of the setting that is about this data set and these features of the paper."""
        return self._setting_names[dataset, features]

    def runs(self, setting: str) -> list[int]:
        """Numbers of the alternatives of a setting that were run."""
        return [i for i, one in enumerate(self.settings[setting]["alternatives"]) if not one["missing"]]

    def measured(self, setting: str, alternative: int, method: str, task: str, metric: str) -> Any:
        """A row of measured.csv."""
        key = (setting, alternative, method, task, metric)
        return self._row_of(self.numbers, key, CELL, "measured.csv")

    def verdict(self, key: tuple[str, ...]) -> str:
        """That on a printed number, by the columns `VERDICT`."""
        return self._row_of(self.verdicts, key, VERDICT, "verdicts.csv")

    def _row_of(self, rows: Mapping[tuple[Any, ...], Any], key: tuple[Any, ...], names: list[str], file: str) -> Any:
        try:
            return rows[key]
        except KeyError as error:
            told = ", ".join(f"{name} {value}" for name, value in zip(names, key, strict=True))
            raise UserError(f"{self.study.folder}/{file} has no row of {told}; make the study again") from error

    def method_title(self, method: str) -> str:
        """The title of a method of ours: by the block `paper`, or else by the runs; its id where neither knows it."""
        return self._title("methods", method)

    def dataset_title(self, dataset: str) -> str:
        """The title of a data set, found as that of a method."""
        return self._title("datasets", dataset)

    def _title(self, kind: str, name: str) -> str:
        about = self.study.facts[kind].get(name, {})
        return self.paper.get("titles", {}).get(kind, {}).get(name) or about.get("title") or name

    def measured_values(self, metric: str, methods: Sequence[str]) -> pd.DataFrame:
        """What was measured of all of the methods, on each data set once: a row a setting, a column a method.

        metric : as published. The values are means of both directions between images and texts, in the first
            alternative of each setting that was run.
        """
        values, datasets = {}, set()
        for name, setting in self.settings.items():
            if (runs := self.runs(name)) and set(methods) <= setting["methods"].keys():
                rows = [self.measured(name, runs[0], method, "mean", MEASURED_BY[metric]) for method in methods]
                if rows[0].dataset not in datasets and not any(np.isnan(row.measured) for row in rows):
                    values[name] = [row.measured for row in rows]
                    datasets.add(rows[0].dataset)
        return pd.DataFrame.from_dict(values, "index", columns=list(methods), dtype=float)

    def measured_ranks(self, metric: str, methods: Sequence[str]) -> NDArray[np.float64] | None:
        """Ranks of `measured_values`, settings by methods; None where they are of fewer than two data sets."""
        values = self.measured_values(metric, methods)
        return ranks(values) if len(values) > 1 else None

    def why_no_ranks(self, metric: str, methods: Sequence[str]) -> str:
        """Why `measured_ranks` has none, a sentence."""
        names = list(self.measured_values(metric, methods).index)
        place = (
            self.dataset_title(self.settings[names[0]]["alternatives"][self.runs(names[0])[0]]["dataset"])
            if names
            else "none"
        )
        lacking = [one["title"] for name, one in self.settings.items() if not self.runs(name)]
        told = f" Not run: {', '.join(lacking)}." if lacking else ""
        return f"Average ranks need at least two data sets; here all methods were run on {place}.{told}"


def read_sources(folder: Path, published: Published) -> Sources:
    """The study in `folder`, with measured.csv and verdicts.csv there."""
    numbers, judged = measured.read(folder / "measured.csv"), verdicts.read(folder / "verdicts.csv")
    return Sources(
        Study.read(folder),
        published,
        dict(zip(_keys(numbers, CELL), numbers.itertuples(index=False), strict=True)),
        dict(zip(_keys(judged, VERDICT), judged["verdict"], strict=True)),
    )


def _keys(frame: pd.DataFrame, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    return frame[columns].itertuples(index=False, name=None)


def _rounded(value: float, like: str) -> str:
    """With as many digits as another number has, half away from zero: means of two end in a five."""
    return str(Decimal(str(value)).quantize(Decimal(like), ROUND_HALF_UP))
