"""Learn the vectors of words from the train texts of a split, once a seed."""

import argparse
import json
import logging
from dataclasses import fields
from pathlib import Path

from cmr import store
from cmr.construct import build, load
from cmr.errors import UserError, run_main
from cmr.provenance import file_sha256, versions
from cmr.vectorisation.benchmarks import Benchmarks
from cmr.vectorisation.vectors import relevant_words, train_texts, write_word_vectors


def main() -> None:
    """Arguments in, one file of word vectors out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--implementation", required=True, help="dotted class name, e.g. cmr.views.text.glove.GloVe")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="its parameters")
    parser.add_argument(
        "--assets", type=json.loads, default={}, metavar="JSON", help="parameters that are folders below --raw"
    )
    parser.add_argument("--raw", type=Path, required=True, help="folder of all assets, e.g. data/raw")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="used if it has a parameter `seed`")
    parser.add_argument("--vectors", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    texts = train_texts(store.read_table(arguments.pairs), store.read_table(arguments.split))
    folders = {option: arguments.raw / asset for option, asset in arguments.assets.items()}
    has_seed = "seed" in [field.name for field in fields(load(arguments.implementation))]
    if not has_seed:
        logging.info("%s has no seed: it learns once", arguments.implementation)
    asked, words, vectors_of_seeds = Benchmarks.installed().words(), None, {}
    for seed in arguments.seeds if has_seed else [0]:
        options = {**arguments.options, **folders, **({"seed": seed} if has_seed else {})}
        known, vectors = build(arguments.implementation, options).fit(texts).word_vectors()
        kept = relevant_words(known, texts, asked)
        if words not in (None, [known[i] for i in kept]):
            raise UserError(f"{arguments.implementation} knows other words with another seed: they cannot be compared")
        words, vectors_of_seeds[seed] = [known[i] for i in kept], vectors[kept]
        logging.info("seed %d: %d words, %d kept, %d dimensions", seed, len(known), len(kept), vectors.shape[1])
    provenance = {
        "implementation": arguments.implementation,
        "options": arguments.options,
        "assets": arguments.assets,
        "seeds": list(vectors_of_seeds),
        "texts": len(texts),
        "pairs": file_sha256(arguments.pairs),
        "split": file_sha256(arguments.split),
        "versions": versions(),
    }
    write_word_vectors(arguments.vectors, words, vectors_of_seeds, provenance)


if __name__ == "__main__":
    run_main(main)
