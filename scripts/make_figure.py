"""Draw one figure of a study."""

import argparse
from pathlib import Path

from cmr import figures
from cmr.jobs import run_job
from cmr.results import Study


def main() -> None:
    """Arguments in, one drawing in every asked form out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    parser.add_argument("figure", help="its name in the study's config")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files that end in .svg or .png")
    arguments = parser.parse_args()

    figure = figures.draw(Study.read(arguments.study), arguments.figure)
    for path in arguments.output:
        figures.save(figure, path)


if __name__ == "__main__":
    run_job(main)
