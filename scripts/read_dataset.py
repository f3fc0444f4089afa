"""Read a data set from its assets into one table of image-text pairs, leaving out or refusing unusable ones."""

import argparse
import json
import logging
from pathlib import Path

from cmr import store
from cmr.assets import check_asset
from cmr.configuration import read_yaml
from cmr.construct import READERS, call
from cmr.datasets.pairs import check_whole, classes_of, pair_table, separate_bad_items
from cmr.jobs import run_job
from cmr.progress import Progress


def main() -> None:
    """Arguments in, pairs.parquet and dropped.parquet out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config/datasets/NAME.yaml, for what a whole copy holds (`expected`)")
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

    folders = {name: arguments.raw / name for name in arguments.assets}
    for folder in folders.values():
        check_asset(folder, Progress())
    table = pair_table(call(arguments.reader, READERS, folders, **arguments.options), arguments.raw, Progress())
    check_whole(table, arguments.config.stem, read_yaml(arguments.config).get("expected", {}))
    good, bad = separate_bad_items(table, arguments.on_bad_item)
    for reason, count in bad["reason"].value_counts().items():
        logging.info("dropped %d items: %s", count, reason)
    logging.info("%d pairs of %d classes", len(good), len(classes_of(good)))
    for side in ("image", "text"):
        if good[side].isna().all():
            logging.info("no item has %s: this copy has none, or none is published", side)
    store.write_table(arguments.pairs, good, {"classes": classes_of(good), "dropped": len(bad)})
    store.write_table(arguments.dropped, bad)


if __name__ == "__main__":
    run_job(main)
