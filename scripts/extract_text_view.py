"""Turn all texts of a data set into features; what learns, learns from the split's train texts."""

import logging
from pathlib import Path

from cmr import store
from cmr.errors import UserError
from cmr.jobs import run_job
from cmr.progress import Progress
from cmr.views.base import TextView, stored_arrays
from cmr.views.configured import arguments as arguments_of_view
from cmr.views.configured import configured, provenance
from cmr.views.text.coverage import out_of_vocabulary

TEXTS_AT_ONCE = 1024
LARGEST_VOCABULARY = 100_000  # that is stored


def main() -> None:
    """Arguments in, one view file out."""
    parser = arguments_of_view(__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--split", type=Path, help="needed by what learns")
    parser.add_argument("--view", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()

    pairs = store.read_table(arguments.pairs)
    if pairs["text"].isna().any():
        raise UserError(
            "this copy of the data set has no texts: choose text features that come with it, or get its texts "
            "(`python -m cmr datasets` says how)"
        )
    view = configured(
        TextView, arguments.implementation, arguments.options, arguments.assets, arguments.split is not None
    )
    inputs, arrays = {"pairs": arguments.pairs}, {}
    pairs["part"] = "all"
    if arguments.split:
        inputs["split"] = arguments.split
        split = store.read_table(arguments.split, pairs=arguments.pairs)
        pairs["part"] = pairs["id"].map(split.set_index("id")["part"])
    train = pairs[pairs["part"] == "train"]
    view.fit(train["text"].tolist())
    if view.learnt:
        arrays["train_ids"] = train["id"].to_numpy()
    starts = range(0, len(pairs), TEXTS_AT_ONCE)
    texts = pairs["text"].tolist()
    blocks = (
        view.transform(texts[start : start + TEXTS_AT_ONCE])
        for start in Progress().track(starts, "transforming texts", unit=" blocks")
    )
    unknown = out_of_vocabulary(view, pairs)
    for part, rates in unknown.items():
        logging.info("%s: %.1f %% of the words are out of vocabulary", part, 100 * rates["words"])
    about = provenance(view, arguments.implementation, arguments.options, arguments.assets, inputs)
    # Of the hundreds of thousands of words that others have trained vectors for, the number will do.
    vocabulary = view.vocabulary()
    words = {"vocabulary": vocabulary} if len(vocabulary) <= LARGEST_VOCABULARY else {}
    about |= {"counts": view.counts, "vocabulary_size": len(vocabulary), **words, "out_of_vocabulary": unknown}
    store.write_view(arguments.view, pairs["id"], blocks, about, arrays=arrays | stored_arrays(view))
    logging.info("%d texts, a vocabulary of %d", len(pairs), len(vocabulary))


if __name__ == "__main__":
    run_job(main)
