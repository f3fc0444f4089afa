"""Gather what one figure of a study needs besides scores: classes of example pairs, or cosines of related words."""

import argparse
import json
from pathlib import Path

from cmr import store
from cmr.jobs import run_job
from cmr.papers.examples import class_values, related_words
from cmr.results import Run, Study
from cmr.vectorisation.summary import Summary


def main() -> None:
    """Arguments in, one Parquet file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's collected results")
    parser.add_argument("figure", help="its name in the study's config; of the kind class_bars or vectorisers")
    bars = parser.add_argument_group("class_bars")
    bars.add_argument("--pairs", type=Path, help="pairs.parquet of the data set")
    bars.add_argument("--embeddings", type=Path, help="embeddings.h5 of the run")
    words = parser.add_argument_group("vectorisers")
    words.add_argument("--vectorisation", type=Path, nargs="+", help="one a data set, of scores and answers.parquet")
    words.add_argument("--about", type=json.loads, metavar="JSON", help="datasets and vectorisers: name -> title")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    spec = Study.read(arguments.study).item("figures", arguments.figure)
    if spec["kind"] == "class_bars" and arguments.pairs and arguments.embeddings:
        run = Run.of_folder(arguments.embeddings.parent)
        found = store.read_arrays(arguments.embeddings)
        values = class_values(*found, store.read_table(arguments.pairs), spec["examples"], spec["seed"])
        store.write_table(arguments.output, values, {"method": run.method, "split": run.split})
    elif spec["kind"] == "vectorisers" and arguments.vectorisation and arguments.about:
        store.write_table(arguments.output, related_words(Summary.read(arguments.vectorisation, arguments.about)))
    else:
        parser.error(
            f"{arguments.figure} is of the kind {spec['kind']}; class_bars need --pairs and --embeddings, vectorisers "
            "--vectorisation and --about"
        )


if __name__ == "__main__":
    run_job(main)
