"""Decode every picture of a data set once and note its digest, its size, or why it cannot be used."""

import argparse
import logging
from pathlib import Path

from cmr import store
from cmr.datasets.images import check_images
from cmr.jobs import run_job
from cmr.progress import Progress
from cmr.provenance import digests_of


def main() -> None:
    """Arguments in, one table of images out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--raw", type=Path, required=True, help="folder that the image paths start from")
    parser.add_argument("--on-bad-item", choices=["stop", "drop"], default="stop")
    parser.add_argument("--images", type=Path, required=True, help="output, Parquet")
    arguments = parser.parse_args()

    images = check_images(store.read_table(arguments.pairs), arguments.raw, arguments.on_bad_item, Progress())
    for item in images[images["problem"].notna()].itertuples():
        logging.info("left out %s: %s", item.id, item.problem)
    store.write_table(arguments.images, images, {"inputs": digests_of({"pairs": arguments.pairs})})
    logging.info("%d images looked at, %d cannot be used", len(images), images["problem"].notna().sum())


if __name__ == "__main__":
    run_job(main)
