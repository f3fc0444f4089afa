"""Make the front page of all studies."""

import argparse
import os
from pathlib import Path

from cmr import files
from cmr.front_page import make_front_page
from cmr.jobs import run_job


def main() -> None:
    """Arguments in, one HTML file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+", help="folders of studies whose pages are made, as to be shown")
    parser.add_argument("--others", nargs="*", default=[], help="names of studies beside them, of which links will do")
    parser.add_argument("--command", required=True, help="what makes all of them, shown to readers")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    folders = {folder.parent for folder in arguments.studies}
    if len(folders) > 1:
        parser.error("the folders of studies must lie in one folder")
    between = Path(os.path.relpath(folders.pop(), arguments.output.parent)).as_posix()
    files.write_text(arguments.output, make_front_page(arguments.studies, between, arguments.others, arguments.command))


if __name__ == "__main__":
    run_job(main)
