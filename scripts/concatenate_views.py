"""Put the features of several views of a data set side by side."""

import argparse
import logging
from pathlib import Path

from cmr.jobs import run_job
from cmr.views.concatenation import concatenate


def main() -> None:
    """Arguments in, one view file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", type=Path, nargs="+", help="view files, in the order of their columns")
    parser.add_argument("--view", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()
    concatenate(arguments.parts, arguments.view)
    logging.info("%d views side by side", len(arguments.parts))


if __name__ == "__main__":
    run_job(main)
