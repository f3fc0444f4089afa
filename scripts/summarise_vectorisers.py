"""Put the comparison of vectorisers on all data sets into tables, a figure and an answer."""

import argparse
import json
from pathlib import Path

from cmr import figures, files
from cmr.jobs import run_job
from cmr.spreadsheets import to_csv
from cmr.vectorisation.answer import answer
from cmr.vectorisation.figure import draw
from cmr.vectorisation.summary import Summary
from cmr.vectorisation.tables import to_latex, to_markdown


def main() -> None:
    """Arguments in, whole files out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="one a data set, of scores.parquet and answers.parquet")
    parser.add_argument(
        "--about", type=json.loads, required=True, metavar="JSON", help="datasets and vectorisers: name -> title"
    )
    parser.add_argument("--csv", type=Path, required=True, help="output: every number")
    parser.add_argument("--markdown", type=Path, required=True, help="output")
    parser.add_argument("--latex", type=Path, required=True, help="output; needs the package booktabs")
    parser.add_argument("--figure", type=Path, nargs="+", required=True, help="outputs that end in .svg or .png")
    parser.add_argument("--answers", type=Path, required=True, help="output, CSV")
    parser.add_argument("--answer", type=Path, required=True, help="output: the answers in words, Markdown")
    arguments = parser.parse_args()

    summary = Summary.read(arguments.folders, arguments.about)
    files.write_text(arguments.csv, to_csv(summary.scores))
    files.write_text(arguments.markdown, to_markdown(summary))
    files.write_text(arguments.latex, to_latex(summary))
    files.write_text(arguments.answers, to_csv(summary.answers))
    files.write_text(arguments.answer, answer(summary))
    figure = draw(summary)
    for path in arguments.figure:
        figures.save(figure, path)


if __name__ == "__main__":
    run_job(main)
