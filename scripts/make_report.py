"""Write the report of a study: one page that needs nothing else."""

import argparse
import json
from pathlib import Path

from cmr import files
from cmr.gallery import read_gallery
from cmr.jobs import run_job
from cmr.papers.published import Published
from cmr.report import make_report
from cmr.results import Study


def main() -> None:
    """Arguments in, one HTML file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    gallery = parser.add_argument_group("gallery", "given where the study's config has a gallery")
    gallery.add_argument("--pairs", type=Path, help="pairs.parquet of the data set")
    gallery.add_argument("--embeddings", type=Path, nargs="+", help="embeddings.h5 of each method in turn")
    gallery.add_argument("--image-view", type=Path, help="HDF5 that the runs learnt from")
    gallery.add_argument("--text-view", type=Path, help="HDF5 that the runs learnt from")
    gallery.add_argument("--raw", type=Path, help="folder that image paths start from, e.g. data/raw")
    parser.add_argument("--published", type=Path, help="folder of what papers print, for the study of a paper")
    parser.add_argument("--command", required=True, help="what makes the study, shown to readers")
    parser.add_argument(
        "--settings", type=json.loads, default={}, metavar="JSON", help="key -> value, repeated by commands for numbers"
    )
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    sources = (arguments.pairs, arguments.embeddings, arguments.image_view, arguments.text_view, arguments.raw)
    if any(sources) and not all(sources):
        parser.error("--pairs, --embeddings, --image-view, --text-view and --raw belong together")

    study = Study.read(arguments.study)
    published = Published.read(arguments.published) if arguments.published else None
    shown = read_gallery(study, *sources) if all(sources) else None
    files.write_text(arguments.output, make_report(study, shown, arguments.command, published, arguments.settings))


if __name__ == "__main__":
    run_job(main)
