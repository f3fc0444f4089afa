"""Write one table of a study as CSV, Markdown and LaTeX."""

import argparse
from pathlib import Path

from cmr import files
from cmr.errors import UserError
from cmr.jobs import run_job
from cmr.papers.published import Published
from cmr.papers.tables import make_paper_table
from cmr.results import Study
from cmr.tables import make_table


def main() -> None:
    """Arguments in, three files out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    parser.add_argument("table", help="its name in the study's config")
    parser.add_argument(
        "--published",
        type=Path,
        help="folder of what papers print; needed by a paper's study, whose folder holds measured.csv and verdicts.csv",
    )
    parser.add_argument("--csv", type=Path, required=True, help="output")
    parser.add_argument("--markdown", type=Path, required=True, help="output")
    parser.add_argument("--latex", type=Path, required=True, help="output; its head names the packages it needs")
    arguments = parser.parse_args()

    study = Study.read(arguments.study)
    if "kind" not in study.item("tables", arguments.table):
        table = make_table(study, arguments.table)
    elif arguments.published is None:
        raise UserError(f"the table {arguments.table} is of a paper: give the folder of what it prints by --published")
    else:
        table = make_paper_table(arguments.study, Published.read(arguments.published), arguments.table)
    files.write_text(arguments.csv, table.to_csv())
    files.write_text(arguments.markdown, table.to_markdown())
    files.write_text(arguments.latex, table.to_latex())


if __name__ == "__main__":
    run_job(main)
