"""Turn all texts of a data set into vectors by a model of the split's train texts."""

import argparse
import json
import logging
from pathlib import Path

from cmr import store
from cmr.construct import build
from cmr.errors import UserError, run_main
from cmr.provenance import file_sha256, versions


def main() -> None:
    """Arguments in, one view file out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--implementation", required=True, help="dotted class name, e.g. cmr.views.text.bow.TfIdf")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="its parameters")
    parser.add_argument("--view", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    pairs, split = store.read_table(arguments.pairs), store.read_table(arguments.split)
    if pairs["text"].isna().any():
        raise UserError(
            "this copy of the data set has no texts: choose text features that come with it, or get its texts "
            "(`python -m cmr datasets` says how)"
        )
    train_ids = split.loc[split["part"] == "train", "id"]
    train_texts = pairs.loc[pairs["id"].isin(train_ids), "text"].tolist()
    view = build(arguments.implementation, arguments.options).fit(train_texts)
    values = view.transform(pairs["text"].tolist())
    logging.info("%d texts, %d dimensions, learnt from %d train texts", *values.shape, len(train_texts))
    provenance = {
        "implementation": arguments.implementation,
        "options": arguments.options,
        "pairs": file_sha256(arguments.pairs),
        "split": file_sha256(arguments.split),
        "versions": versions(),
        "counts": view.counts,
        "vocabulary": view.vocabulary(),
    }
    store.write_view(arguments.view, pairs["id"], values, provenance)


if __name__ == "__main__":
    run_main(main)
