"""Extract a network's features of all images of a data set."""

import argparse
import logging
import shutil
from pathlib import Path

from cmr import store
from cmr.assets import single_file
from cmr.device import resolve_device
from cmr.errors import run_main
from cmr.progress import Progress
from cmr.provenance import code_digest, file_sha256, versions
from cmr.views.image.extraction import extract
from cmr.views.image.networks import build_network


def main() -> None:
    """Arguments in, one view file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--images", type=Path, required=True, help="images.parquet of the data set")
    parser.add_argument("--raw", type=Path, required=True, help="folder that the image paths start from")
    parser.add_argument("--network", required=True, help="e.g. efficientnet_lite0")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the weights asset")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1, help="batches in the making at once")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--view", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    pairs = store.read_table(arguments.pairs).merge(store.read_table(arguments.images), on="id")
    usable = pairs[pairs["problem"].isna()]
    pictures = usable.drop_duplicates("sha256")  # captions may share one
    weights = single_file(arguments.weights)
    provenance = {
        "network": arguments.network,
        "weights": file_sha256(weights),
        "pairs": file_sha256(arguments.pairs),
        "images": file_sha256(arguments.images),
        "versions": versions(),
    }
    # Parts of an interrupted extraction wait beside the view, under a name that no rule declares.
    parts = arguments.view.with_name(f".{arguments.view.name}.parts")
    features = extract(
        [arguments.raw / path for path in pictures["image"]],
        pictures["sha256"],
        build_network(arguments.network, weights),
        batch_size=arguments.batch_size,
        device=resolve_device(arguments.device),
        workers=arguments.workers,
        parts=parts,
        identity=provenance | {"code": code_digest()},
        progress=Progress(),
    )
    rows = dict(zip(pictures["sha256"], range(len(pictures)), strict=True))
    values = features[[rows[digest] for digest in usable["sha256"]]]
    left_out = pairs.loc[pairs["problem"].notna(), "id"]
    store.write_view(arguments.view, usable["id"], values, provenance | {"counts": False}, left_out)
    shutil.rmtree(parts)


if __name__ == "__main__":
    run_main(main)
