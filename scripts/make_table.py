"""Write one table of a study as CSV, Markdown and LaTeX."""

import argparse
from pathlib import Path

from cmr import files
from cmr.errors import run_main
from cmr.results import Study
from cmr.tables import make_table


def main() -> None:
    """Arguments in, three files out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    parser.add_argument("table", help="its name in the study's config")
    parser.add_argument("--csv", type=Path, required=True, help="output")
    parser.add_argument("--markdown", type=Path, required=True, help="output")
    parser.add_argument("--latex", type=Path, required=True, help="output; needs the package booktabs")
    arguments = parser.parse_args()

    table = make_table(Study.read(arguments.study), arguments.table)
    files.write_text(arguments.csv, table.to_csv())
    files.write_text(arguments.markdown, table.to_markdown())
    files.write_text(arguments.latex, table.to_latex())


if __name__ == "__main__":
    run_main(main)
