"""Show random queries with their first results on one page."""

import argparse
from pathlib import Path

from cmr import files
from cmr.gallery import read_gallery, render
from cmr.jobs import run_job
from cmr.results import Study


def main() -> None:
    """Arguments in, one HTML file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument(
        "--embeddings", type=Path, nargs="+", required=True, help="embeddings.h5 of each method in turn"
    )
    parser.add_argument("--image-view", type=Path, required=True, help="HDF5 that the runs learnt from")
    parser.add_argument("--text-view", type=Path, required=True, help="HDF5 that the runs learnt from")
    parser.add_argument("--raw", type=Path, required=True, help="folder that image paths start from, e.g. data/raw")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    sources = (arguments.pairs, arguments.embeddings, arguments.image_view, arguments.text_view, arguments.raw)
    gallery = read_gallery(Study.read(arguments.study), *sources)
    files.write_text(arguments.output, render(gallery))


if __name__ == "__main__":
    run_job(main)
