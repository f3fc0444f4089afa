"""Score the embeddings of a run on every retrieval task."""

import argparse
import logging
from pathlib import Path

from cmr import store
from cmr.evaluation import evaluate_run
from cmr.jobs import run_job
from cmr.provenance import check_made_of, digests_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embeddings", type=Path, required=True, help="HDF5 file of the run's embeddings")
    parser.add_argument("--pairs", type=Path, required=True, help="Parquet table of the data set's pairs, for labels")
    parser.add_argument("--metrics", type=Path, required=True, help="output: seed, part, task, metric, value")
    parser.add_argument("--curves", type=Path, required=True, help="output: seed, part, task, recall, precision")
    parser.add_argument(
        "--queries", type=Path, required=True, help="output: seed, task, id, and the average precision of each query"
    )
    args = parser.parse_args()

    arrays, attributes = store.read_arrays(args.embeddings)
    check_made_of(args.embeddings, attributes["inputs"], {"pairs": args.pairs})
    metrics, curves, queries = evaluate_run(arrays, attributes, store.read_table(args.pairs))
    made_of = {"inputs": digests_of({"embeddings": args.embeddings, "pairs": args.pairs})}
    store.write_table(args.metrics, metrics, made_of)
    store.write_table(args.curves, curves, made_of)
    store.write_table(args.queries, queries, made_of)
    logging.info("%d scores of %d tasks, %d queries", len(metrics), metrics["task"].nunique(), queries["id"].nunique())


if __name__ == "__main__":
    run_job(main)
