"""Read a data set from its assets into one table of image-text pairs, leaving out or refusing what cannot be used."""

import argparse
import inspect
import json
import logging
from pathlib import Path

from cmr import store
from cmr.construct import load
from cmr.datasets.pairs import classes_of, pair_table, separate_bad_items
from cmr.errors import UserError, run_main
from cmr.progress import Progress


def main() -> None:
    """Arguments in, pairs.parquet and dropped.parquet out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", required=True, help="dotted function name, e.g. cmr.datasets.table.read")
    parser.add_argument(
        "--options", type=json.loads, default={}, metavar="JSON", help="keyword arguments of the reader"
    )
    parser.add_argument("--assets", nargs="+", required=True, help="names of folders below --raw")
    parser.add_argument("--raw", type=Path, required=True, help="folder of all assets, e.g. data/raw")
    parser.add_argument("--on-bad-item", choices=["stop", "drop"], default="stop")
    parser.add_argument("--pairs", type=Path, required=True, help="output, Parquet")
    parser.add_argument("--dropped", type=Path, required=True, help="output, Parquet: id and reason")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    read = load(arguments.reader)
    folders = {name: arguments.raw / name for name in arguments.assets}
    try:
        inspect.signature(read).bind(folders, **arguments.options)
    except TypeError as error:
        raise UserError(f"options of reader {arguments.reader}: {error}") from error
    table = pair_table(read(folders, **arguments.options), arguments.raw)
    good, bad = separate_bad_items(table, arguments.raw, arguments.on_bad_item, Progress())
    for item in bad.itertuples():
        logging.info("dropped %s: %s", item.id, item.reason)
    logging.info("%d pairs of %d classes", len(good), len(classes_of(good)))
    store.write_table(arguments.pairs, good, {"classes": classes_of(good), "dropped": len(bad)})
    store.write_table(arguments.dropped, bad)


if __name__ == "__main__":
    run_main(main)
