"""Write down what a study was made of and by, to be compared later."""

import argparse
import json
import logging
from pathlib import Path

from cmr import files
from cmr.catalogue import Catalogue
from cmr.configuration import read_yaml
from cmr.jobs import run_job
from cmr.study_lock import lock


def main() -> None:
    """Arguments in, one JSON file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="its name, e.g. quickstart")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout, by default the current folder")
    parser.add_argument(
        "--settings", type=json.loads, default={}, metavar="JSON", help="in place of those of config/config.yaml"
    )
    parser.add_argument("--code", type=Path, nargs="*", default=[], help="files of the programs that made its numbers")
    parser.add_argument("--lock", type=Path, required=True, help="output, JSON")
    arguments = parser.parse_args()

    config = read_yaml(arguments.root / "config/config.yaml") | arguments.settings
    made = lock(Catalogue.read(arguments.root, config), arguments.root, arguments.study, arguments.code)
    files.write_json(arguments.lock, made)
    counts = [len(made["what"][kind]) for kind in ("files", "assets", "code")]
    logging.info("%d files, %d assets, %d modules; fingerprint %s", *counts, made["fingerprint"])


if __name__ == "__main__":
    run_job(main)
