"""Learn the vectors of words from the train texts of a split, once a seed."""

import logging
from dataclasses import fields
from pathlib import Path

from cmr import store
from cmr.construct import VIEWS, build, load
from cmr.errors import UserError
from cmr.jobs import run_job
from cmr.vectorisation.benchmarks import Benchmarks
from cmr.vectorisation.learning import learn, relevant_words, train_texts
from cmr.vectorisation.vectors import write_word_vectors
from cmr.views.configured import arguments as arguments_of_view
from cmr.views.configured import provenance


def main() -> None:
    """Arguments in, one file of word vectors out."""
    parser = arguments_of_view(__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="used if the class has an option `seed`")
    parser.add_argument("--vectors", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()
    logging.getLogger("gensim").setLevel(logging.WARNING)  # it tells of every epoch

    implementation, options, assets = arguments.implementation, arguments.options, arguments.assets
    texts = train_texts(store.read_table(arguments.pairs), store.read_table(arguments.split, pairs=arguments.pairs))
    has_seed = "seed" in [field.name for field in fields(load(implementation, VIEWS))]
    if not has_seed:
        logging.info("%s has no seed: it learns once", implementation)
    asked, words, vectors_of_seeds = Benchmarks.installed().words(), None, {}
    for seed in arguments.seeds if has_seed else [0]:
        view = build(implementation, {**options, **assets, **({"seed": seed} if has_seed else {})}, VIEWS)
        known, vectors = learn(view, texts)
        kept = relevant_words(known, texts, asked)
        if words not in (None, [known[i] for i in kept]):
            raise UserError(f"{implementation} knows other words with another seed: they cannot be compared")
        words, vectors_of_seeds[seed] = [known[i] for i in kept], vectors[kept]
        logging.info("seed %d: %d words, %d kept, %d dimensions", seed, len(known), len(kept), vectors.shape[1])
    inputs = {"pairs": arguments.pairs, "split": arguments.split}
    about = provenance(view, implementation, options, assets, inputs)
    write_word_vectors(
        arguments.vectors, words, vectors_of_seeds, {**about, "seeds": list(vectors_of_seeds), "texts": len(texts)}
    )


if __name__ == "__main__":
    run_job(main)
