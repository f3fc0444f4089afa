"""Put one outside file, verified and unpacked, into its folder below data/raw."""

import argparse
import json
from pathlib import Path

from cmr import assets
from cmr.errors import run_main
from cmr.progress import Progress


def main() -> None:
    arguments = parse_arguments()
    folder = arguments.manifest.parent
    mirrors = assets.mirror_folders(arguments.mirrors)
    assets.obtain(arguments.name, arguments.spec, mirrors=mirrors, folder=folder, progress=Progress())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="the asset, a key of config/assets.yaml")
    parser.add_argument("--spec", type=json.loads, required=True, help="the asset's entry there, as JSON")
    parser.add_argument("--mirrors", type=Path, nargs="*", default=[], help="folders that are searched first")
    parser.add_argument("--manifest", type=Path, required=True, help="the file to make, data/raw/NAME/asset.json")
    return parser.parse_args()


if __name__ == "__main__":
    run_main(main)
