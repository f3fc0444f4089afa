"""Test what a paper says in words on what it prints, and on what its study has measured."""

import argparse
import logging
from pathlib import Path

from cmr.jobs import run_job
from cmr.papers import records
from cmr.papers.claims.check import Claims, check_claims
from cmr.papers.claims.vectorisers import read_answers
from cmr.papers.measured import QueryFiles
from cmr.papers.published import Published
from cmr.results import Study

SCHEMA = Path(__file__).resolve().parents[1] / "workflow/schemas/claims.schema.yaml"


def main() -> None:
    """Arguments in, claims.csv out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    parser.add_argument("--claims", type=Path, required=True, help="config/claims/<paper>.yaml")
    parser.add_argument(
        "--published", type=Path, required=True, help="folder of results.csv, ranks.csv, datasets.csv, artifacts.csv"
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of all runs, such as results/runs")
    parser.add_argument(
        "--vectorisation",
        type=Path,
        nargs="*",
        default=[],
        help="<dataset>/answers.parquet of the study of vectorisers; other files of it are passed by",
    )
    parser.add_argument("--output", type=Path, required=True, help="claims.csv")
    arguments = parser.parse_args()

    study = Study.read(arguments.study)
    table = check_claims(
        Claims.read(arguments.claims, SCHEMA),
        Published.read(arguments.published),
        study,
        QueryFiles(study, arguments.runs),
        read_answers(arguments.vectorisation),
    )
    records.write(arguments.output, table)
    logging.info("%d claims tested\n%s", len(table), table.groupby(["of", "holds"]).size().to_string())


if __name__ == "__main__":
    run_job(main)
