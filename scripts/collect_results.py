"""Collect the results of a study's runs into four files."""

import argparse
import json
from pathlib import Path

from cmr.errors import run_main
from cmr.results import collect


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
    parser.add_argument(
        "--metrics",
        type=Path,
        nargs="*",
        required=True,
        help="metrics.parquet of every run, in .../<dataset>/<split>/<image view>+<text view>/<method>/;"
        " curves.parquet, history.parquet and selection.json lie beside it",
    )
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
    runs = [path.parent for path in arguments.metrics]
    study = collect(arguments.study, config, runs, arguments.pairs, arguments.splits, arguments.images)
    study.write(arguments.results, arguments.curves, arguments.history, arguments.facts)


if __name__ == "__main__":
    run_main(main)
