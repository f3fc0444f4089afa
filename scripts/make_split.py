"""Partition a data set into train, valid and test parts."""

import argparse
import json
import logging
from pathlib import Path

from cmr import store
from cmr.datasets.splits import make_split, overlaps
from cmr.jobs import run_job
from cmr.provenance import digests_of


def main() -> None:
    """Arguments in, one table of ids and parts out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--images", type=Path, help="images.parquet of the data set, to keep equal images together")
    parser.add_argument(
        "--protocol",
        type=json.loads,
        required=True,
        metavar="JSON",
        help='e.g. \'{"sizes": {"train": 0.6, "valid": 0.1, "test": 0.3}}\', see config/datasets',
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--split", type=Path, required=True, help="output, Parquet")
    arguments = parser.parse_args()

    pairs, digests = store.read_table(arguments.pairs), None
    if arguments.images:
        digests = pairs["id"].map(store.read_table(arguments.images, pairs=arguments.pairs).set_index("id")["sha256"])
    split = make_split(pairs, arguments.protocol, arguments.seed, digests)
    logging.info("%s", split["part"].value_counts().to_dict())
    known = None if digests is None else dict(zip(pairs["id"], digests, strict=True))
    for what, count in overlaps(pairs, split, known).items():
        if count:
            logging.warning("%d values of %s occur in more than one part", count, what)
    inputs = {name: path for name, path in (("pairs", arguments.pairs), ("images", arguments.images)) if path}
    store.write_table(arguments.split, split, {"inputs": digests_of(inputs)})


if __name__ == "__main__":
    run_job(main)
