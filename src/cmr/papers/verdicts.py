"""Verdicts: what becomes of each published number when it is measured here, and why.

A published value is `reproduced`, or ours is `lower` or `higher`, only where all that the number depends on is as
published. Otherwise it is `not comparable`; where nothing was measured, `not applicable` or `not run`. A rehearsal, on
other data than the paper's, withholds them all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cmr.errors import UserError
from cmr.papers import records
from cmr.papers.measured import CELL, paper_of, runs_of
from cmr.papers.plan import first_run
from cmr.papers.published import AVERAGE, MEAN, MEASURED_BY, RESULT, Published, measured_task
from cmr.results import Study, budget_of, metric_title
from cmr.tables import CAVEATS

COMPARABLE = ("reproduced", "lower", "higher")
VERDICTS = (*COMPARABLE, "not comparable", "not applicable", "not run")
WITHHELD = "withheld"
COLUMNS = [
    *RESULT, "published", "measured", "low", "high", "n_seeds", "random_floor", "verdict", "reason", "cell",
]  # fmt: skip
_NUMBERS = ["published", "measured", "low", "high", "random_floor"]
_TYPES = dict.fromkeys(COLUMNS, "str") | dict.fromkeys(_NUMBERS, "float64") | {"n_seeds": "Int64"}
SIZE_TOLERANCE = 0.02  # how far the size of a part may be from the published one, as a share of that
WIDE = 0.1  # mAP: an interval of this width holds values that nobody would call the same
UNNAMED = "unspecified"  # features that the paper does not name
_ROUNDING = 1e-9  # the ends of an interval are computed, and a published value may lie on one


@dataclass(frozen=True)
class Cell:
    """A measured number, or why there is none: `not_applicable`, or else `missing`."""

    measured: float = np.nan
    low: float = np.nan
    high: float = np.nan
    not_applicable: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Protocol:
    """What a number is measured on. A size is None where it is not known.

    Attributes
    ----------
    features : what the features are called; of ours, those of the paper where all is as printed.
    metric : of ours, which names the cut-off and the normaliser.
    learning, test : items of the parts, the valid part with those that are learnt from.
    """

    dataset: str
    features: str
    metric: str
    learning: int | None = None
    test: int | None = None


def judge(published: Published, study: Study, measured: pd.DataFrame) -> pd.DataFrame:
    """One row for each number that the study's paper prints, in order: columns `COLUMNS`.

    measured : of `cmr.papers.measured.measure`.

    Judged is the first alternative of a setting that is run here; what it measures stands in the row even where it is
    not comparable. Nothing stands there where nothing is run. `cell` is a key of `cmr.papers.cells.cells`.
    """
    paper = paper_of(study)
    if paper["id"] not in set(published.artifacts["paper"]):
        raise UserError(f"nothing published is known of the paper {paper['id']}; expected rows of it in artifacts.csv")
    printed = published.results[published.results["paper"] == paper["id"]]
    tasks = printed.groupby("table")["task"].unique()
    cells = {tuple(cell[name] for name in CELL): cell for cell in measured.to_dict("records")}
    averages = published.averages
    off = averages[averages["differs"]].set_index(MEAN)["recomputed"].to_dict()
    rows = []
    for row in printed.to_dict("records"):
        found = _found(row, list(tasks[row["table"]]), study, cells)
        differences = _differences(row, found, study, published) if found.row else []
        verdict, reason = verdict_of(row["value"], found.cell, paper["tolerance"], differences, _rehearsed(study))
        remarks = [*_readings(row, found), *_remarks(row)]
        mean = off.get(tuple(row[name] for name in MEAN))
        if row["task"] == AVERAGE and mean is not None:
            remarks.append(_about_mean(row["printed"], mean, found.cell, paper["tolerance"], verdict))
        numbers = [found.row.get(name) for name in ("measured", "low", "high", "n_seeds", "random_floor")]
        told = " ".join(f"{sentence[0].upper()}{sentence[1:].rstrip('.')}." for sentence in [reason, *remarks])
        rows.append((*(row[name] for name in RESULT), row["value"], *numbers, verdict, told, found.key))
    return pd.DataFrame(rows, columns=COLUMNS).astype(_TYPES)


def verdict_of(
    published: float, cell: Cell, tolerance: float, differences: Sequence[str] = (), rehearsal: str = ""
) -> tuple[str, str]:
    """The verdict on one published value, and the reason in a sentence without its end.

    differences : all that is not as published, phrases. rehearsal : what is run instead of the paper's own, if it is.
    """
    if rehearsal:
        return WITHHELD, f"rehearsed on {rehearsal}"
    if cell.missing:
        return "not run", cell.missing
    if np.isnan(cell.measured):
        return "not applicable", cell.not_applicable
    if differences:
        return "not comparable", "; ".join(differences)
    low, high = (cell.measured if np.isnan(end) else end for end in (cell.low, cell.high))
    verdict = "reproduced"
    if published > high + tolerance + _ROUNDING:
        verdict = "lower"
    elif published < low - tolerance - _ROUNDING:
        verdict = "higher"
    place = {"reproduced": "within", "lower": "above", "higher": "below"}[verdict]
    apart, side = abs(cell.measured - published), "above" if cell.measured > published else "below"
    wide = f"; so wide an interval, {high - low:.3f}, tells little" if high - low > WIDE else ""
    return verdict, (
        f"ours is {apart:.3f} {side} the published value, which lies {place} the interval {low:.3f} to {high:.3f} when "
        f"that is widened by {tolerance:g}{wide}"
    )


def differences_of(theirs: Protocol, ours: Protocol, excused: Sequence[str] = ()) -> list[str]:
    """Phrases for all in which what ours is measured on is not what theirs is.

    excused : codes of readings under which other sizes of the parts are taken as meant.
    """
    found = []
    if ours.dataset != theirs.dataset:
        found.append(f"measured on {ours.dataset}, published on {theirs.dataset}")
    if ours.features != theirs.features:
        found.append(f"not as printed: {ours.features}")
    elif theirs.features == UNNAMED:
        found.append("the paper does not name its features")
    if ours.metric != theirs.metric:
        found.append(f"measured by {metric_title(ours.metric)}, published by {metric_title(theirs.metric)}")
    if not excused:
        found += _other_sizes(theirs, ours)
    return found


def summary(verdicts: pd.DataFrame) -> pd.DataFrame:
    """How many numbers have which verdict: a row a table of the paper and a last one, `all`; columns are verdicts."""
    counts = pd.crosstab(verdicts["table"], verdicts["verdict"])
    counts = counts.reindex(index=verdicts["table"].unique(), columns=[*VERDICTS, WITHHELD], fill_value=0)
    counts.loc["all"] = counts.sum()
    return counts.rename_axis(index="table", columns=None)


def read(path: Path) -> pd.DataFrame:
    """What `cmr.papers.records.write` wrote of them: columns `COLUMNS`; missing texts are empty."""
    return records.read(path, _TYPES)


@dataclass(frozen=True)
class _Found:
    """What stands against a published number: its cell, and where something is run, its row of `measured`."""

    cell: Cell
    row: Mapping[str, Any] = field(default_factory=dict)
    alternative: Mapping[str, Any] = field(default_factory=dict)
    method: str = ""  # of ours, which the paper's is, whatever stands in for it here
    key: str = ""
    doubts: Sequence[Mapping[str, Any]] = ()  # of the setting


def _found(
    row: Mapping[str, Any], tasks: Sequence[str], study: Study, cells: Mapping[tuple[Any, ...], Mapping[str, Any]]
) -> _Found:
    settings = paper_of(study)["settings"]
    place = {key: row[key] for key in ("dataset", "features")}
    name = next((name for name, setting in settings.items() if setting["of"] == place), None)
    if name is None:
        return _Found(Cell(missing=f"the study has no setting of {row['dataset']} with features {row['features']}"))
    setting = settings[name]
    if row["method"] not in setting["methods"]:
        return _Found(Cell(missing=f"no method of ours stands for {row['method']}"))
    alternative = first_run(setting)
    if alternative is None:
        return _Found(Cell(missing=_missing(setting)))
    number = setting["alternatives"].index(alternative)
    cell = (name, number, row["method"], measured_task(row["task"], tasks), MEASURED_BY[row["metric"]])
    if cell not in cells:
        raise UserError(f"nothing is measured of {' '.join(map(str, cell))}; measure the study again")
    own = cells[cell]
    return _Found(
        Cell(own["measured"], own["low"], own["high"], own["not_applicable"]),
        own,
        alternative,
        setting["methods"][row["method"]],
        "/".join(map(str, cell[:3])),
        setting.get("no_target", ()),
    )


def _missing(setting: Mapping[str, Any]) -> str:
    """What no alternative of a setting can do without."""
    if not setting["alternatives"]:
        return "no configuration of ours describes its data"
    told = [
        f"{'as printed' if one['exact'] else 'on a substitute'} it needs {', '.join(one['missing'])}"
        for one in setting["alternatives"]
    ]
    return "; ".join(dict.fromkeys(told))


def _differences(row: Mapping[str, Any], found: _Found, study: Study, published: Published) -> list[str]:
    alternative, own = found.alternative, found.row
    theirs = _published_protocol(row, published)
    exact = alternative["exact"] and not alternative["differs"]
    features = theirs.features if exact else "; ".join(alternative["differs"]) or "a substitute"
    ours = [
        Protocol(alternative["dataset"], features, own["metric"], *sizes)
        for sizes in _sizes(study, alternative, own["run_method"]) or [(None, None)]
    ]
    differences = [phrase for one in ours for phrase in differences_of(theirs, one, alternative["reading"])]
    title = study.method_title(own["run_method"])
    if own["run_method"] != found.method:
        differences.append(f"{title} stands in for {row['method']}")
    if budget := budget_of(study.facts["methods"][own["run_method"]]):
        differences.append(f"{title} is trained otherwise: {budget.rstrip('.')}")
    if own["caveat"]:
        differences.append(f"{title} {CAVEATS[own['caveat']].rstrip('.')}")
    if own["not_applicable"]:
        differences.append(f"not applicable to splits that the number leaves out: {own['not_applicable'].rstrip('.')}")
    return list(dict.fromkeys([*differences, *_no_target(row, found)]))


def _no_target(row: Mapping[str, Any], found: _Found) -> Iterator[str]:
    """Why a published number is none to aim at, whatever is measured."""
    for doubt in found.doubts:
        wanted = {"table": [doubt["table"]], "method": doubt["methods"], "task": doubt.get("tasks", [row["task"]])}
        if all(row[key] in values for key, values in wanted.items()):
            yield f"no target: {doubt['why'].rstrip('.')}"


def _published_protocol(row: Mapping[str, Any], published: Published) -> Protocol:
    about = published.datasets
    about = about[(about["paper"] == row["paper"]) & (about["dataset"] == row["dataset"])]
    sizes = {name: about[name].iloc[0] if len(about) else pd.NA for name in ("n_train", "n_val", "n_test")}
    train, valid, test = (None if pd.isna(size) else int(size) for size in sizes.values())
    learning = None if train is None else train + (valid or 0)
    return Protocol(row["dataset"], row["features"], MEASURED_BY[row["metric"]], learning, test)


def _sizes(study: Study, alternative: Mapping[str, Any], method: str) -> set[tuple[int, int]]:
    """Sizes of the parts of a method's runs: what is learnt from or chosen on, and what is tested on."""
    facts = dict(zip(study.runs, study.facts["runs"], strict=True))
    sizes = [facts[run]["sizes"] for run in runs_of(alternative, method) if run in facts]
    return {(one["train"] + one.get("valid", 0), one["test"]) for one in sizes}


def _other_sizes(theirs: Protocol, ours: Protocol) -> Iterator[str]:
    parts = [("learns", "from", theirs.learning, ours.learning), ("tests", "on", theirs.test, ours.test)]
    for verb, preposition, their, our in parts:
        if their is not None and our is not None and abs(our - their) > SIZE_TOLERANCE * their:
            yield f"another split: the paper {verb} {preposition} {their} items, ours {preposition} {our}"


def _readings(row: Mapping[str, Any], found: _Found) -> Iterator[str]:
    """What is taken as meant, since the paper contradicts itself or says nothing."""
    if found.row and found.alternative["reading"]:
        yield f"sizes of the parts are read by {', '.join(found.alternative['reading'])}"
    if found.row and row["metric"] != "map_all":
        yield "the paper does not say by what it divides; here by the relevant items above the cut-off"


def _remarks(row: Mapping[str, Any]) -> Iterator[str]:
    """What is known of the published number; averages are told by numbers of our own."""
    for note in row["note"].split("; "):
        if note and not note.startswith("average_"):
            yield f"published number: {note.replace('suspect_copy', 'suspected copy')}"


def _about_mean(printed: str, recomputed: float, cell: Cell, tolerance: float, verdict: str) -> str:
    told = f"the printed average is {printed}, but the mean of the two printed task values is {recomputed:g}"
    if verdict in COMPARABLE and (other := verdict_of(recomputed, cell, tolerance)[0]) != verdict:
        told += f", by which it would be {other}"
    return told


def _rehearsed(study: Study) -> str:
    dataset = paper_of(study)["rehearsal"]
    return study.facts["datasets"].get(dataset, {}).get("title", dataset) if dataset else ""
