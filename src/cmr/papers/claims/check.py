"""A file of claims, and what becomes of each of them in a paper's study."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cmr.configuration import StrictValidator, check, check_name, read_yaml
from cmr.errors import UserError
from cmr.papers.claims import behaviour, comparisons, printed_cells, printed_statistics, vectorisers
from cmr.papers.claims.evidence import Evidence
from cmr.papers.claims.finding import Finding
from cmr.papers.claims.measured import InSettings, MeasuredTest
from cmr.papers.claims.printed import Printed, PrintedTest
from cmr.papers.measured import Queries, paper_of
from cmr.papers.published import Published
from cmr.results import Study

COLUMNS = ["claim", "paper", "code", "sentence", "test", "of", "holds", "numbers", "reason"]
PRINTED: dict[str, type[PrintedTest]] = {
    "above": printed_cells.Above,
    "averages": printed_statistics.Averages,
    "cells": printed_cells.Cells,
    "friedman": printed_statistics.Friedman,
    "lead": printed_cells.Lead,
    "only": printed_cells.Only,
    "place": printed_cells.Place,
    "ranks": printed_statistics.Ranks,
    "sizes": printed_statistics.Sizes,
    "spread": printed_cells.Spread,
    "stated": printed_cells.Stated,
}
MEASURED: dict[str, type[MeasuredTest]] = {
    "above": comparisons.Above,
    "convergence": behaviour.Convergence,
    "curve": behaviour.Curve,
    "gain": comparisons.Gain,
    "gap": comparisons.Gap,
    "lead": comparisons.Lead,
    "metrics": comparisons.Metrics,
    "only": comparisons.Only,
    "reaches": comparisons.Reaches,
    "sensitivity": behaviour.Sensitivity,
    "tasks": comparisons.Tasks,
    "trains": behaviour.Trains,
    "vectorisers": vectorisers.Vectorisers,
}

Row = tuple[str, str, str, Finding]  # claim, what is compared, of, what was found


@dataclass(frozen=True)
class Claims:
    """The claims of a paper, checked against their schema.

    Attributes
    ----------
    paper : its id.
    claims : id -> `sentence`, `code` where an item of inconsistencies is about it, `published` and `measured`: tests.
    file : where they stand, for errors.
    """

    paper: str
    claims: Mapping[str, Mapping[str, Any]]
    file: Path

    @classmethod
    def read(cls, file: Path, schema: Path) -> "Claims":
        """Raises UserError naming the file and the key that is wrong."""
        value = read_yaml(file)
        check(value, StrictValidator(read_yaml(schema)), str(file))
        return cls(value["paper"], value["claims"], file)

    def where(self, claim: str) -> str:
        return f"{self.file}: claims: {claim}"


def check_claims(
    claims: Claims,
    published: Published,
    study: Study,
    queries: Queries,
    answers: pd.DataFrame,
) -> pd.DataFrame:
    """Every test of every claim: columns `COLUMNS`, in the order of the file.

    Parameters
    ----------
    study : of the same paper.
    queries : of its runs, the average precision of each query, as for `cmr.papers.measured.measure`.
    answers : what `read_answers` reads of the study of vectorisers; no rows where it was not run.

    Raises
    ------
    UserError : the study is of another paper, or a claim names what is not printed, or not in the study.
    """
    if (paper := paper_of(study)["id"]) != claims.paper:
        raise UserError(
            f"{claims.file} holds claims of {claims.paper}, but the study is of {paper}; give that of {claims.paper}"
        )
    check_names(claims, paper_of(study)["settings"])
    evidence = Evidence(study, queries, Printed.of(published, claims.paper, ""), answers, "")
    return _table(claims, [*_on_printed(claims, published), *_on_measured(claims, evidence)])


def check_names(claims: Claims, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises UserError where a test on what is measured names a setting or a method that the paper's study has not.

    settings : of the study, by name, each with `methods` (names in the paper) and `also` (ours); run or not.
    """
    for claim, one in claims.claims.items():
        for test in one.get("measured", []):
            built = MEASURED[test["kind"]](**_options(test))
            for name in built.settings if isinstance(built, InSettings) else []:
                check_name(name, settings, claims.where(claim), "setting")
                for method in built.named:
                    other, slash, own = method.rpartition("/")
                    setting = other if slash else name
                    check_name(setting, settings, claims.where(claim), "setting")
                    known = [*settings[setting]["methods"], *settings[setting]["also"]]
                    check_name(own, known, claims.where(claim), f"method of the setting {setting}")


def check_printed(claims: Claims, published: Published) -> pd.DataFrame:
    """The tests on what is printed alone: those rows of `check_claims`."""
    return _table(claims, _on_printed(claims, published))


def _on_printed(claims: Claims, published: Published) -> Iterator[Row]:
    numbers = Printed.of(published, claims.paper, "")
    for claim, settings in claims.claims.items():
        for test in settings.get("published", []):
            one = PRINTED[test["kind"]](**_options(test))
            yield claim, one.words, "published", one.check(replace(numbers, where=claims.where(claim)))


def _on_measured(claims: Claims, evidence: Evidence) -> Iterator[Row]:
    for claim, settings in claims.claims.items():
        own = evidence.at(claims.where(claim))
        for test in settings.get("measured", []):
            for words, found in MEASURED[test["kind"]](**_options(test)).rows(own):
                yield claim, words, "measured", found


def _options(test: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in test.items() if key != "kind"}


def _table(claims: Claims, found: Iterable[Row]) -> pd.DataFrame:
    by_claim: dict[str, list[Row]] = {claim: [] for claim in claims.claims}
    for row in found:
        by_claim[row[0]].append(row)
    rows = [
        (
            claim,
            claims.paper,
            settings.get("code", ""),
            settings["sentence"],
            words,
            of,
            one.holds,
            one.numbers,
            one.reason,
        )
        for claim, settings in claims.claims.items()
        for _, words, of, one in by_claim[claim]
    ]
    return pd.DataFrame(rows, columns=COLUMNS, dtype="str")
