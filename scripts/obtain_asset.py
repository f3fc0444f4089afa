"""Put one outside file, verified and unpacked, into its folder below data/raw."""

import argparse
import logging
from pathlib import Path

from cmr import assets, files
from cmr.catalogue import Catalogue
from cmr.jobs import run_job
from cmr.progress import Progress


def main() -> None:
    arguments = parse_arguments()
    spec = Catalogue.read(arguments.root).assets[arguments.name]
    folder = arguments.manifest.parent
    mirrors = assets.mirror_folders(arguments.mirrors)
    manifest = assets.obtain(arguments.name, spec, mirrors=mirrors, folder=folder, progress=Progress())
    made = files.read_json(manifest)
    logging.info("%s: %.1f MB from %s", arguments.name, made["size"] / 1e6, made["from"])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="the asset, as in config/assets")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout, by default the current folder")
    parser.add_argument("--mirrors", type=Path, nargs="*", default=[], help="folders that are searched first")
    parser.add_argument("--manifest", type=Path, required=True, help="the file to make, data/raw/NAME/asset.json")
    return parser.parse_args()


if __name__ == "__main__":
    run_job(main)
