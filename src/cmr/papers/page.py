"""What the page of a paper's study tells besides tables and figures: verdicts, orders, claims, and what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from cmr import files
from cmr.errors import UserError
from cmr.papers import verdicts
from cmr.papers.claims.finding import Holds
from cmr.papers.grids import PaperTable
from cmr.papers.measured import paper_of
from cmr.papers.numbers import Number, numbers, ways_of_cells
from cmr.papers.published import Published
from cmr.papers.sources import read_sources
from cmr.papers.tables import make_paper_table
from cmr.results import TASK_TITLES, Study
from cmr.ways import Way


@dataclass(frozen=True)
class Alternative:
    """On what a setting is run, or would be."""

    what: str
    data: str
    differs: str
    missing: str


@dataclass(frozen=True)
class Setting:
    title: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class Claim:
    sentence: str
    code: str
    tests: list[dict[str, str]]
    not_run: list[dict[str, str]]


@dataclass(frozen=True)
class PaperPage:
    """What is told of a paper, in the words that the page shows.

    Attributes
    ----------
    warning : what must be known before any number is read; empty where nothing must.
    finding : counts of verdicts and the order of methods in a sentence or two.
    verdicts : heads and rows of the table of counts.
    numbers : every published number beside ours.
    ways : key of a cell of cells.json -> the way to its number.
    settings : what is run and what is missing.
    agreement : heads and rows of Kendall's tau a column of a table; columns of two methods, which have none, are left
        out.
    claims : each with its rows of claims.csv, those apart that could not be tested here.
    claims_told : how many tests of claims had which outcome, a sentence.
    left_out : items of the paper that are not made here, with what they need.
    """

    citation: str
    tolerance: float
    warning: str
    finding: str
    verdicts: tuple[list[str], list[list[str]]]
    numbers: list[Number]
    ways: dict[str, Way]
    settings: tuple[Setting, ...]
    agreement: tuple[list[str], list[list[str]]]
    claims: list[Claim]
    claims_told: str
    tables: list[PaperTable]
    left_out: list[str]


def make_page(study: Study, published: Published) -> PaperPage:
    """Of a study whose folder holds verdicts.csv, agreement.csv, claims.csv, measured.csv and cells.json.

    Raises UserError where the study has no folder or one of the files cannot be read.
    """
    if study.folder is None:
        raise UserError("the page of a paper is made of files in its study's folder: read the study from there")
    paper, folder = paper_of(study), study.folder
    judged = verdicts.read(folder / "verdicts.csv")
    counts, ways = verdicts.summary(judged), ways_of_cells(study, files.read_json(folder / "cells.json"))
    agreement, claims = _table(folder / "agreement.csv"), _table(folder / "claims.csv")
    left_out = paper.get("left_out", {}).values()
    return PaperPage(
        citation=paper["citation"],
        tolerance=paper["tolerance"],
        warning=f"A rehearsal on {paper['rehearsal']}: no number here is one of the paper."
        if paper["rehearsal"]
        else "",
        finding=_finding(counts, agreement),
        verdicts=_shown(counts),
        numbers=numbers(read_sources(folder, published), judged, ways),
        ways=ways,
        settings=tuple(_setting(setting) for setting in paper["settings"].values()),
        agreement=_agreement(study, agreement),
        claims=_claims(claims),
        claims_told=_claims_told(claims),
        tables=[make_paper_table(folder, published, name) for name in study.config["tables"]],
        left_out=[f"{spec['item']}: {_needs(paper['settings'][spec['setting']])}" for spec in left_out],
    )


def finding_of_paper(folder: Path) -> str:
    """Counts of verdicts and the order of methods in a sentence or two, of the study in a folder."""
    return _finding(verdicts.summary(verdicts.read(folder / "verdicts.csv")), _table(folder / "agreement.csv"))


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise files.unreadable(path, error) from error


def _shown(counts: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The verdicts that occur, with the sum of each row."""
    if counts.to_numpy().sum() == 0:
        return [], []
    occurring = [name for name in counts if counts[name].any()]
    rows = [[str(table), *map(str, row), str(sum(row))] for table, *row in counts[occurring].itertuples()]
    return ["Table", *(name.capitalize() for name in occurring), "Published"], rows


def _finding(counts: pd.DataFrame, agreement: pd.DataFrame) -> str:
    whole = counts.loc["all"]
    if not whole.sum():
        return "The paper prints no number that could be compared: it shows charts."
    told = ", ".join(f"{number} {name}" for name, number in whole.items() if number)
    sentence = f"Of {whole.sum()} published numbers: {told}."
    taus = pd.to_numeric(agreement["tau"]).dropna()
    if len(taus):
        sentence += (
            f" Kendall's tau between the published and the measured order of methods is {taus.median():.2f} in the "
            f"median of {len(taus)} columns, each on every alternative that was run, "
            f"from {taus.min():.2f} to {taus.max():.2f}."
        )
    return sentence


def _claims(rows: pd.DataFrame) -> list[Claim]:
    by_claim: dict[str, list[dict[str, str]]] = {}
    for row in rows.to_dict("records"):
        by_claim.setdefault(row["claim"], []).append(row)
    return [
        Claim(
            own[0]["sentence"],
            own[0]["code"],
            [row for row in own if row["holds"] != "not run"],
            [row for row in own if row["holds"] == "not run"],
        )
        for own in by_claim.values()
    ]


def _claims_told(claims: pd.DataFrame) -> str:
    counts = claims["holds"].value_counts()
    told = [f"{outcome} {counts[outcome]}" for outcome in get_args(Holds) if outcome in counts]
    return f"{len(claims)} tests of {claims['claim'].nunique()} claims: {', '.join(told)}." if told else ""


def _setting(setting: Mapping[str, Any]) -> Setting:
    return Setting(
        setting["title"],
        tuple(
            Alternative(
                what="as printed" if one["exact"] else "in its place",
                data=f"{one['dataset']}: {one['image_view']} and {one['text_view']}, splits {_splits(one['splits'])}",
                differs="; ".join(one["differs"]),
                missing=", ".join(one["missing"]),
            )
            for one in setting["alternatives"]
        ),
    )


def _splits(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _agreement(study: Study, agreement: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    settings = paper_of(study)["settings"]
    rows = []
    for row in agreement.to_dict("records"):
        one = settings[row["setting"]]["alternatives"][int(row["alternative"])]
        if not row["tau"]:
            continue
        ends = f"{float(row['low']):.2f} to {float(row['high']):.2f}" if row["low"] else ""
        task = TASK_TITLES.get(row["task"], row["task"].capitalize())
        metric, views = (
            row["metric"].replace("map_", "").replace("_", " "),
            f"{one['image_view']} and {one['text_view']}",
        )
        views += f"; {row['stand_ins']}" if row["stand_ins"] else ""
        tau = f"{float(row['tau']):.2f}"
        rows.append([row["table"], task, tau, ends, metric, row["n"], settings[row["setting"]]["title"], views])
    heads = ["Table", "Task", "Kendall's tau", "95 % interval", "mAP", "Methods", "Setting", "Measured on"]
    return (heads, rows) if rows else ([], [])


def _needs(setting: Mapping[str, Any]) -> str:
    return f"{setting['title']} needs {', '.join(setting['alternatives'][0]['missing'])}"
