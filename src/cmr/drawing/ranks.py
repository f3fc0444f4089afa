"""How methods rank over several data sets, by what a paper prints or by what was measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from cmr import critical_difference as diagram
from cmr.drawing.own_data import verdicts
from cmr.errors import UserError
from cmr.figure_style import notice
from cmr.results import TASK_TITLES, Study
from cmr.statistics import average_ranks

TASKS = TASK_TITLES | {"average": "Average"}
SOURCES = {"published": "values that the paper prints", "measured": "values measured here"}


@dataclass(frozen=True)
class Ranks:
    """Average ranks over blocks.

    Attributes
    ----------
    of : title of a method -> its average rank; empty where there are fewer than two blocks or methods.
    blocks : data set with its features, and task, of each block; of measured values those on the same data are one.
    left_out : titles of methods that some block has no value of.
    """

    of: dict[str, float]
    blocks: list[str]
    left_out: list[str]


def critical_difference(study: Study, spec: dict[str, Any]) -> alt.LayerChart | alt.Chart:
    """See `cmr.critical_difference`; a notice where there is nothing to compare ranks over."""
    found = _ranks(study, spec)
    return diagram.draw(found.of, len(found.blocks)) if found.of else notice(_too_few(spec, found))


def words_of_critical_difference(study: Study, spec: dict[str, Any]) -> str:
    """The ranks, and what they are averaged over."""
    found = _ranks(study, spec)
    if not found.of:
        return _too_few(spec, found)
    told = f"{SOURCES[spec['of']].capitalize()}. {diagram.words(found.of, len(found.blocks))}"
    told += f" Blocks: {'; '.join(found.blocks)}."
    return told + (f" Without a value in some block: {', '.join(found.left_out)}." if found.left_out else "")


def _too_few(spec: Mapping[str, Any], found: Ranks) -> str:
    blocks = f"{len(found.blocks)} ({'; '.join(found.blocks)})" if found.blocks else "0"
    return (
        f"Average ranks need two or more methods with {SOURCES[spec['of']]} on two or more data sets or tasks; "
        f"here there are {blocks}."
    )


def _ranks(study: Study, spec: Mapping[str, Any]) -> Ranks:
    """Ranks of the methods that have a value in every block that has any.

    spec : `of` ("published" or "measured"), `tables`, `metric` and `tasks` as the paper has them, perhaps `methods`,
        by their names in the paper. A block is a data set with its features and a task; with `across_features` all
        features of a data set are in one block, as where a paper gives each method its own.
    """
    rows, across = verdicts(study), spec.get("across_features", False)
    keys = ["dataset", *([] if across else ["features"]), "task"]
    wanted = {"table": spec["tables"], "metric": [spec["metric"]], "task": spec["tasks"]}
    for column, names in wanted.items():
        if unknown := [name for name in names if name not in set(rows[column])]:
            known = ", ".join(rows[column].unique())
            raise UserError(f"study {study.facts['study']}: the paper has no {column} {unknown[0]}; it has {known}")
        rows = rows[rows[column].isin(names)]
    rows = rows[rows["method"].isin(spec.get("methods", rows["method"]))].dropna(subset=spec["of"])
    if spec["of"] == "measured" and not across:
        rows = _once(study, rows)
    # A paper repeats some values in a second table.
    rows = rows.drop_duplicates([*keys, "method", spec["of"]])
    if (twice := rows[rows.duplicated([*keys, "method"])]).size:
        first = twice.iloc[0]
        raise UserError(
            f"study {study.facts['study']}: two values of {first['method']} on {first['dataset']}, {first['task']}; "
            "name tables that have one"
        )
    blocks = rows.pivot(index=keys, columns="method", values=spec["of"])
    blocks = blocks.loc[pd.MultiIndex.from_frame(rows[keys].drop_duplicates()), list(rows["method"].unique())]
    whole = blocks.dropna(axis="columns")
    titles = _titles(study, list(blocks), spec["of"])
    ranks = average_ranks(whole) if min(whole.shape) >= 2 else []
    return Ranks(
        {titles[name]: float(rank) for name, rank in zip(whole, ranks, strict=False)},
        [f"{_block_title(study, *place)}, {TASKS[task]}" for *place, task in blocks.index],
        [titles[name] for name in blocks if name not in whole],
    )


def _once(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Without settings that were measured on the same data as an earlier one: they are no further witness."""
    settings, seen = _settings(study), {}
    for key in dict.fromkeys(zip(rows["dataset"], rows["features"], strict=True)):
        run = _run_of(settings[key])
        seen.setdefault((run["dataset"], *run["splits"], run["image_view"], run["text_view"]), key)
    return rows[pd.MultiIndex.from_frame(rows[["dataset", "features"]]).isin(list(seen.values()))]


def _settings(study: Study) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(data set, features) in the paper -> setting."""
    settings = study.config["paper"]["settings"].values()
    return {(setting["of"]["dataset"], setting["of"]["features"]): setting for setting in settings}


def _block_title(study: Study, dataset: str, features: str | None = None) -> str:
    """Of a setting, or of all settings of a data set."""
    if features is not None:
        return _settings(study)[dataset, features]["title"]
    return study.config["paper"].get("titles", {}).get("datasets", {}).get(dataset, dataset)


def _run_of(setting: Mapping[str, Any]) -> Mapping[str, Any]:
    """The alternative of a setting that was measured: the first that lacks nothing."""
    return next(one for one in setting["alternatives"] if not one["missing"])


def _titles(study: Study, names: Sequence[str], source: str) -> dict[str, str]:
    """Name in the paper -> title of the method of ours that stands for it, or that was measured instead of that."""
    settings = list(reversed(_settings(study).values()))  # the first has the last word
    ours = dict(zip(names, names, strict=True))
    ours |= {name: method for setting in settings for name, method in setting["methods"].items()}
    if source == "measured":
        run = [setting for setting in settings if any(not one["missing"] for one in setting["alternatives"])]
        ours |= {
            name: _run_of(setting)["instead"].get(method, method)
            for setting in run
            for name, method in setting["methods"].items()
        }
    label = study.method_label if source == "measured" else study.method_title
    titles = {name: label(ours[name]) if ours[name] in study.methods else name for name in names}
    shared = [title for title in titles.values() if [*titles.values()].count(title) > 1]
    return {name: f"{title} ({name})" if title in shared else title for name, title in titles.items()}
