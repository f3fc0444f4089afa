"""Join the shards of a view to one, as a virtual data set that points to them."""

import argparse
import logging
from pathlib import Path

from cmr import store
from cmr.jobs import run_job


def main() -> None:
    """Arguments in, one view file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=Path, nargs="+", help="in order; they must stay beside the view")
    parser.add_argument("--view", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()
    store.gather_view(arguments.view, arguments.shards)
    logging.info("%d shards gathered", len(arguments.shards))


if __name__ == "__main__":
    run_job(main)
