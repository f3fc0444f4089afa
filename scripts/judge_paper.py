"""Measure what a paper's study has run, and judge each number that the paper prints."""

import argparse
import json
import logging
from pathlib import Path

from cmr import files
from cmr.jobs import run_job
from cmr.papers import agreement, comparisons, measured, records, verdicts
from cmr.papers.cells import cells
from cmr.papers.published import MEASURED_BY, Published
from cmr.results import Study


def main() -> None:
    """Arguments in, measured.csv, verdicts.csv, agreement.csv, comparisons.csv and cells.json out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results; the outputs lie there too")
    parser.add_argument(
        "--published", type=Path, required=True, help="folder of results.csv, ranks.csv, datasets.csv, artifacts.csv"
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of all runs, such as results/runs")
    parser.add_argument(
        "--settings", type=json.loads, default={}, metavar="JSON", help="key -> value, repeated by commands for numbers"
    )
    arguments = parser.parse_args()

    study, published = Study.read(arguments.study), Published.read(arguments.published)
    queries = measured.QueryFiles(study, arguments.runs)
    printed = published.results[published.results["paper"] == measured.paper_of(study)["id"]]
    metrics = [ours for theirs, ours in MEASURED_BY.items() if theirs == "map_all" or theirs in set(printed["metric"])]

    numbers = measured.measure(study, queries)
    judged = verdicts.judge(published, study, numbers)
    records.write(arguments.study / "measured.csv", numbers)
    records.write(arguments.study / "verdicts.csv", judged)
    records.write(arguments.study / "agreement.csv", agreement.agree(published, study, numbers))
    records.write(arguments.study / "comparisons.csv", comparisons.compare(study, queries, metrics))
    files.write_json(arguments.study / "cells.json", cells(study, arguments.settings))
    logging.info("%s", verdicts.summary(judged).to_string())
    logging.info("%d numbers measured, %d published ones judged", len(numbers), len(judged))


if __name__ == "__main__":
    run_job(main)
