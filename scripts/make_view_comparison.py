"""Compare the views of a study: one page, and its numbers as CSV."""

import argparse
import json
from pathlib import Path

from cmr import files
from cmr.jobs import run_job
from cmr.results import Study
from cmr.view_comparison import compare
from cmr.view_page import read_dimensions, render


def main() -> None:
    """Arguments in, one HTML file and one CSV out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    parser.add_argument("--splits", nargs="+", required=True, help="those that are compared")
    parser.add_argument(
        "--views",
        type=json.loads,
        required=True,
        metavar="JSON",
        help='"image" and "text" -> view -> its config, of which the page shows what makes it',
    )
    for modality in ("image", "text"):
        parser.add_argument(
            f"--{modality}-views", type=Path, nargs="+", required=True, help="<view>.h5 of every split, for dimensions"
        )
    parser.add_argument(
        "--settings", type=json.loads, default={}, metavar="JSON", help="key -> value, repeated by commands for numbers"
    )
    parser.add_argument("--page", type=Path, required=True, help="output, HTML")
    parser.add_argument("--csv", type=Path, required=True, help="output")
    arguments = parser.parse_args()

    study = Study.read(arguments.study)
    comparison = compare(study, arguments.splits)
    dimensions = {"image": read_dimensions(arguments.image_views), "text": read_dimensions(arguments.text_views)}
    files.write_text(arguments.csv, comparison.to_csv())
    files.write_text(arguments.page, render(study, comparison, arguments.views, dimensions, arguments.settings))


if __name__ == "__main__":
    run_job(main)
