"""Compare the word vectors of one data set on word pairs and analogy questions."""

import argparse
import json
import logging
from pathlib import Path

from cmr import store
from cmr.errors import UserError
from cmr.jobs import run_job
from cmr.provenance import file_sha256, versions
from cmr.vectorisation.benchmarks import Benchmarks
from cmr.vectorisation.comparison import Protocol, compare
from cmr.vectorisation.vectors import read_word_vectors


def main() -> None:
    """Arguments in, scores and answers out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path, nargs="+", help="files of learn_word_vectors.py, named <vectoriser>.h5")
    parser.add_argument("--split", required=True, help="name of the split whose train part they learnt from")
    parser.add_argument("--claimed", nargs="+", required=True, metavar="VECTORISER", help="those that are said to win")
    parser.add_argument("--protocol", type=json.loads, required=True, metavar="JSON", help="its parameters")
    parser.add_argument("--scores", type=Path, required=True, help="output, Parquet")
    parser.add_argument("--answers", type=Path, required=True, help="output, Parquet")
    arguments = parser.parse_args()

    vectorisers, learnt = {}, {}
    for path in arguments.vectors:
        vectorisers[path.stem], learnt[path.stem] = read_word_vectors(path)
    if len({tuple(sorted(about["inputs"].items())) for about in learnt.values()}) > 1:
        raise UserError(f"{', '.join(map(str, arguments.vectors))} were learnt from different texts")
    benchmarks = Benchmarks.installed()
    protocol = Protocol(**arguments.protocol)
    comparison = compare(vectorisers, arguments.claimed, benchmarks, protocol)
    logging.info("%d words are known to all of %s", comparison.words, ", ".join(vectorisers))
    facts = {
        "split": arguments.split,
        "texts": next(iter(learnt.values()))["texts"],
        "words": comparison.words,
        "protocol": vars(protocol),
        "benchmarks": benchmarks.provenance,
        "vectors": {path.name: file_sha256(path) for path in arguments.vectors},
        "learnt": learnt,
        "versions": versions(),
    }
    store.write_table(arguments.scores, comparison.scores, facts)
    store.write_table(arguments.answers, comparison.answers, facts)


if __name__ == "__main__":
    run_job(main)
