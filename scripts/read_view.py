"""Read features that a data set comes with into the form of all views."""

import argparse
import json
import logging
from pathlib import Path

from cmr import store
from cmr.construct import READERS, call
from cmr.datasets.ready import collect_rows
from cmr.jobs import run_job
from cmr.progress import Progress
from cmr.provenance import code, file_sha256, versions
from cmr.views.configured import digest_of_asset


def main() -> None:
    """Arguments in, one view file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the view, for messages")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--reader", required=True, help="dotted function name, e.g. cmr.datasets.arrays.features")
    parser.add_argument(
        "--options", type=json.loads, default={}, metavar="JSON", help="keyword arguments of the reader"
    )
    parser.add_argument("--assets", nargs="+", required=True, help="names of folders below --raw")
    parser.add_argument("--raw", type=Path, required=True, help="folder of all assets, e.g. data/raw")
    parser.add_argument("--counts", action="store_true", help="the features are word counts")
    parser.add_argument("--view", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()

    folders = {name: arguments.raw / name for name in arguments.assets}
    pairs = store.read_table(arguments.pairs)
    blocks = call(arguments.reader, READERS, folders, **arguments.options)
    values = collect_rows(arguments.name, blocks, pairs["id"], Progress())
    logging.info("%d items, %d dimensions", *values.shape)
    about = {
        "reader": arguments.reader,
        "options": arguments.options,
        "assets": {name: digest_of_asset(folder) for name, folder in folders.items()},
        "learnt": False,
        "kind": "vectors",
        "counts": arguments.counts,
        "inputs": {"pairs": file_sha256(arguments.pairs)},
        "versions": versions(),
        "code": code(),
    }
    store.write_view(arguments.view, pairs["id"], values, about)


if __name__ == "__main__":
    run_job(main)
