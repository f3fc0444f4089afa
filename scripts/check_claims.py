"""Test what a paper says in words on what it prints, and on what its study has measured."""

import argparse
from pathlib import Path

from cmr import store
from cmr.errors import run_main
from cmr.papers.claims.check import Claims, check_claims, write
from cmr.papers.claims.vectorisers import read_answers
from cmr.papers.published import Published
from cmr.results import Run, Study

SCHEMA = Path(__file__).resolve().parents[1] / "workflow/schemas/claims.schema.yaml"


def main() -> None:
    """Arguments in, claims.csv out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    parser.add_argument("--claims", type=Path, required=True, help="config/claims/<paper>.yaml")
    parser.add_argument(
        "--published", type=Path, required=True, help="folder of results.csv, ranks.csv, datasets.csv, artifacts.csv"
    )
    parser.add_argument(
        "--queries",
        type=Path,
        nargs="*",
        default=[],
        help="queries.parquet of every run, in .../<dataset>/<split>/<image view>+<text view>/<method>/",
    )
    parser.add_argument("--vectorisation", type=Path, help="answers.csv of the study of vectorisers, where it was run")
    parser.add_argument("--output", type=Path, required=True, help="claims.csv")
    arguments = parser.parse_args()

    table = check_claims(
        Claims.read(arguments.claims, SCHEMA),
        Published.read(arguments.published),
        Study.read(arguments.study),
        {Run.of_folder(path.parent): store.read_table(path) for path in arguments.queries},
        read_answers(arguments.vectorisation) if arguments.vectorisation else None,
    )
    write(arguments.output, table)
    print(table.groupby(["of", "holds"]).size().to_string())


if __name__ == "__main__":
    run_main(main)
