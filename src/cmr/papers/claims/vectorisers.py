"""The test on vectorisers, by the answers of their own study: see docs/vectorisation.md."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cmr import store
from cmr.configuration import check_name
from cmr.papers.claims.evidence import Evidence
from cmr.papers.claims.finding import Finding, decided, listed
from cmr.papers.measured import paper_of
from cmr.vectorisation.comparison import ANSWERS

COLUMNS = ["dataset", *ANSWERS]


@dataclass(frozen=True, kw_only=True)
class Vectorisers:
    """A vectoriser better than the best of the others by some measures, on each data set by itself.

    The answers are those of the study of vectorisers: it holds where all are yes, and fails where one is no.
    """

    vectoriser: str
    measures: list[str]
    datasets: list[str]

    def rows(self, evidence: Evidence) -> Iterator[tuple[str, Finding]]:
        for dataset in self.datasets:
            words = f"{', '.join(self.measures)} of word pairs: {self.vectoriser} above the best other vectoriser"
            yield f"{words}; {dataset}", self._find(evidence, dataset)

    def _find(self, evidence: Evidence, dataset: str) -> Finding:
        if rehearsal := paper_of(evidence.study)["rehearsal"]:
            return Finding("withheld", reason=f"a rehearsal on {rehearsal}")
        answers = evidence.answers
        if dataset not in set(answers["dataset"]):
            return Finding("not run", reason=f"the study of vectorisers was not run on {dataset}")
        check_name(self.vectoriser, answers["claimed"].unique(), evidence.where, "vectoriser said to be best")
        for measure in self.measures:
            check_name(measure, answers["measure"].unique(), evidence.where, "measure of vectorisers")
        own = answers[(answers["dataset"] == dataset) & (answers["claimed"] == self.vectoriser)]
        own = own[own["measure"].isin(self.measures)]
        told = listed(
            f"{row.measure} {row.pairs}, {row.value:.3f} against {row.other:.3f} of {row.best_other}: "
            f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f}), {row.answer}"
            for row in own[own["answer"] != "too few"].itertuples()
        )
        given = set(own["answer"]) - {"too few"}
        if not given:
            return Finding("undecided", reason="too few pairs of words are known")
        if "no" in given or given == {"yes"}:
            return decided("no" not in given, told)
        return Finding("undecided", told, "an interval of a difference holds 0")


def read_answers(files: Iterable[Path]) -> pd.DataFrame:
    """The answers of the study of vectorisers: columns `COLUMNS`.

    files : `<dataset>/answers.parquet` of its data sets; others, such as scores.parquet, are passed by.
    """
    tables = [
        store.read_table(path).assign(dataset=path.parent.name) for path in files if path.name == "answers.parquet"
    ]
    for table in tables:
        table.attrs = {}  # pandas compares them, value by value, when tables are put together
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)
