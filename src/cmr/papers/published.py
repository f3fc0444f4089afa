"""What the papers print: every mAP value, average ranks, sizes of data sets, and the list of tables and figures."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Self

import pandas as pd

from cmr.errors import UserError

# What a published metric is measured by. No paper states by what it divides where it cuts a ranking off; our reading
# is the relevant items before the cut-off, the usual choice of this literature.
MEASURED_BY = {"map_all": "map_all", "map_at_40": "map_at_40_hits", "map_at_50": "map_at_50_hits"}
BIMODAL, ALL_MODAL = ("img2txt", "txt2img"), ("img2all", "txt2all")
AVERAGE = "average"
TABLE = ["paper", "table", "dataset", "features"]  # a block of a table: its rows are methods, its columns tasks
RESULT = [*TABLE, "method", "task", "metric"]
MEAN = [name for name in RESULT if name != "task"]

_TASKS = (*BIMODAL, *ALL_MODAL, AVERAGE)
_COLUMNS = {
    "results": [*RESULT, "value", "note"],
    "ranks": ["paper", "table", "datasets", "method", "metric_ranked", "average_rank"],
    "datasets": [
        "paper", "dataset", "n_train", "n_val", "n_test", "n_categories", "image_features", "text_features",
        "text_dim", "image_dim", "split_note",
    ],
    "artifacts": ["paper", "item", "kind", "regenerate", "datasets", "tasks", "methods", "features", "content"],
    "counts": ["paper", "results", "ranks", "datasets", "artifacts", "to_regenerate"],
}  # fmt: skip
_KEYS = {
    "results": RESULT,
    "ranks": ["paper", "table", "method", "metric_ranked"],
    "datasets": ["paper", "dataset"],
    "artifacts": ["paper", "item"],
    "counts": ["paper"],
}
_SIZES = ["n_train", "n_val", "n_test", "n_categories"]

# A column -> what its fields must be: in words, and the test.
_FIELDS: dict[str, dict[str, tuple[str, Callable[[str], object]]]] = {
    "results": {
        "task": (f"one of {', '.join(_TASKS)}", _TASKS.__contains__),
        "metric": (f"one of {', '.join(MEASURED_BY)}", MEASURED_BY.__contains__),
        "value": (
            "a decimal number above 0 and not above 1",
            lambda text: re.fullmatch(r"0\.\d+|1(\.0+)?", text) and float(text) > 0,
        ),
    },
    "ranks": {
        "metric_ranked": (f"one of {', '.join(MEASURED_BY)}", MEASURED_BY.__contains__),
        "average_rank": (
            "a decimal number of at least 1",
            lambda text: re.fullmatch(r"\d+(\.\d+)?", text) and float(text) >= 1,
        ),
    },
    "datasets": {name: ("a whole number, or nothing", re.compile(r"\d*").fullmatch) for name in _SIZES},
    "artifacts": {"regenerate": ("one of yes, no, optional", ("yes", "no", "optional").__contains__)},
    "counts": {
        name: ("a whole number", re.compile(r"\d+").fullmatch) for name in _COLUMNS["counts"] if name != "paper"
    },
}


@dataclass(frozen=True)
class Published:
    """The numbers and items of all papers, as frames in the order of their files.

    Attributes
    ----------
    results : columns `RESULT`, value, printed, note; one row a printed mAP value. `printed` is the value with as many
        digits as its paper prints.
    ranks : columns paper, table, datasets, method, metric_ranked, average_rank.
    datasets : columns paper, dataset, n_train, n_val, n_test, n_categories (missing where not printed), image_features,
        text_features, text_dim, image_dim, split_note; the rest as text.
    artifacts : columns paper, item, kind, regenerate (yes, no, optional), datasets, tasks, methods, features, content.
    """

    results: pd.DataFrame
    ranks: pd.DataFrame
    datasets: pd.DataFrame
    artifacts: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read results.csv, ranks.csv, datasets.csv and artifacts.csv, whose rows counts.csv counts.

        Raises
        ------
        UserError : a file is missing, has other columns, a field that is not in its vocabulary, a repeated key, a paper
            that counts.csv does not know, or another number of rows of a paper than it says.
        """
        counts = _read(folder, "counts")
        tables = {name: _read(folder, name, list(counts["paper"])) for name in _COLUMNS if name != "counts"}
        for expected in counts.to_dict("records"):
            own = {name: table[table["paper"] == expected["paper"]] for name, table in tables.items()}
            found = {name: len(rows) for name, rows in own.items()}
            found["to_regenerate"] = int((own["artifacts"]["regenerate"] == "yes").sum())
            for name, number in found.items():
                if number != int(expected[name]):
                    file, what = (name, "rows") if name in own else ("artifacts", "rows with regenerate yes")
                    raise UserError(
                        f"{folder / file}.csv has {number} {what} of the paper {expected['paper']}; expected "
                        f"{expected[name]}, as counts.csv beside it says"
                    )
        results, ranks, datasets = tables["results"], tables["ranks"], tables["datasets"]
        results.insert(results.columns.get_loc("note"), "printed", _padded(results))
        results["value"] = results["value"].astype(float)
        ranks["average_rank"] = ranks["average_rank"].astype(float)
        datasets[_SIZES] = datasets[_SIZES].apply(lambda sizes: pd.to_numeric(sizes.replace("", None)).astype("Int64"))
        return cls(results, ranks, datasets, tables["artifacts"])

    @property
    def averages(self) -> pd.DataFrame:
        """Printed averages beside the means of the two printed task values.

        Columns: `MEAN`, printed, recomputed, differs, inconsistent. An average differs when it is not the rounded mean.
        It is inconsistent when no rounding of the three numbers explains it: it is off by more than a unit of the last
        digit.
        """
        wide = self.results.pivot(index=MEAN, columns="task", values="printed")
        rows = []
        for key, printed in wide.loc[pd.MultiIndex.from_frame(self.results[MEAN].drop_duplicates())].iterrows():
            if isinstance(average := printed.get(AVERAGE), str):
                tasks = [Decimal(text) for task, text in printed.items() if task != AVERAGE and isinstance(text, str)]
                mean = sum(tasks) / len(tasks)
                unit = Decimal(1).scaleb(Decimal(average).as_tuple().exponent)
                off = abs(Decimal(average) - mean)
                rows.append((*key, float(average), float(mean), off > unit / 2, off > unit))
        return pd.DataFrame(rows, columns=[*MEAN, "printed", "recomputed", "differs", "inconsistent"])


def measured_task(task: str, tasks: Sequence[str]) -> str:
    """What a published task is measured by, in a table of these tasks: `average` is the mean of the table's two."""
    if task != AVERAGE:
        return task
    return "mean_all" if set(ALL_MODAL) & set(tasks) else "mean"


def _read(folder: Path, name: str, papers: Sequence[str] | None = None) -> pd.DataFrame:
    """A file's rows, all as text, after every check of single rows."""
    path, columns = folder / f"{name}.csv", _COLUMNS[name]
    rows: list[dict[str, str]] = []
    lines: dict[tuple[str, ...], int] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            if (head := next(reader, [])) != columns:
                raise UserError(f"{path} line 1: the columns are {', '.join(head)}; expected {', '.join(columns)}")
            for values in reader:
                where = f"{path} line {reader.line_num}"
                if len(values) != len(columns):
                    raise UserError(f"{where} has {len(values)} fields; expected {len(columns)}")
                row = dict(zip(columns, values, strict=True))
                _check(where, row, name, papers)
                key = tuple(row[column] for column in _KEYS[name])
                if key in lines:
                    raise UserError(f"{where} repeats line {lines[key]}: {', '.join(key)}; expected one row of each")
                lines[key] = reader.line_num
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return pd.DataFrame(rows, columns=columns, dtype="str")


def _check(where: str, row: Mapping[str, str], name: str, papers: Sequence[str] | None) -> None:
    for column in _KEYS[name]:
        if not row[column]:
            raise UserError(f"{where}: {column} is empty; expected a name")
    if papers is not None and row["paper"] not in papers:
        raise UserError(f'{where}: the paper is "{row["paper"]}"; expected one of {", ".join(papers)}')
    for column, (expected, fits) in _FIELDS[name].items():
        if not fits(row[column]):
            raise UserError(f'{where}: {column} is "{row[column]}"; expected {expected}')


def _padded(results: pd.DataFrame) -> pd.Series:
    """Values with as many digits as the longest of their paper: the files drop zeros at the end of some."""
    decimals = results["value"].str.partition(".")[2].str.len()
    most = decimals.groupby(results["paper"]).transform("max")
    return pd.Series(
        [f"{Decimal(value):.{digits}f}" for value, digits in zip(results["value"], most, strict=True)],
        results.index,
        dtype="str",
    )
