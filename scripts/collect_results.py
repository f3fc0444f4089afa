"""Collect the results of a study's runs into four files."""

import argparse
import json
import logging
from pathlib import Path

from cmr.jobs import run_job
from cmr.results import collect, folders_of


def main() -> None:
    """Arguments in, results.csv, curves.parquet, history.parquet and study.json out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="its name, e.g. quickstart")
    parser.add_argument("--config", type=json.loads, required=True, metavar="JSON", help="the study's own")
    parser.add_argument(
        "--methods", type=json.loads, required=True, metavar="JSON", help="method -> its config, in order"
    )
    parser.add_argument(
        "--datasets",
        type=json.loads,
        required=True,
        metavar="JSON",
        help="data set -> its title, source, licence, cautions",
    )
    # Not a file each: a study has hundreds of runs, and a command's length is limited.
    parser.add_argument("--runs", type=Path, required=True, help="folder of all runs, such as results/runs")
    parser.add_argument(
        "--pairs", type=Path, nargs="*", required=True, help="<dataset>/pairs.parquet of every data set"
    )
    parser.add_argument("--splits", type=Path, nargs="*", required=True, help="<dataset>/splits/<split>.parquet of all")
    parser.add_argument(
        "--images", type=Path, nargs="*", default=[], help="<dataset>/images.parquet where pictures are looked at"
    )
    parser.add_argument("--results", type=Path, required=True, help="output, CSV")
    parser.add_argument("--curves", type=Path, required=True, help="output, Parquet")
    parser.add_argument("--history", type=Path, required=True, help="output, Parquet")
    parser.add_argument("--facts", type=Path, required=True, help="output, JSON")
    arguments = parser.parse_args()

    config = {"study": arguments.config, "methods": arguments.methods, "datasets": arguments.datasets}
    runs = folders_of(arguments.config, arguments.runs)
    study = collect(arguments.study, config, runs, arguments.pairs, arguments.splits, arguments.images)
    study.write(arguments.results, arguments.curves, arguments.history, arguments.facts)
    logging.info("%d runs, %d scores", len(runs), len(study.scores))


if __name__ == "__main__":
    run_job(main)
