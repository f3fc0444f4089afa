"""Partition a data set into train, valid and test parts."""

import argparse
import json
import logging
from pathlib import Path

from cmr import store
from cmr.datasets.splits import random_split
from cmr.errors import run_main


def main() -> None:
    """Arguments in, one table of ids and parts out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--folds", type=json.loads, required=True, help='e.g. \'{"train": 6, "valid": 1, "test": 3}\'')
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--split", type=Path, required=True, help="output, Parquet")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    split = random_split(store.read_table(arguments.pairs), arguments.folds, arguments.seed)
    logging.info("%s", split["part"].value_counts().to_dict())
    store.write_table(arguments.split, split)


if __name__ == "__main__":
    run_main(main)
