"""Train one method on one split and view pair, all its seeds in one process."""

import argparse
import json
import logging
import shutil
from pathlib import Path

import numpy as np

from cmr import files, store, training
from cmr.compute import Compute
from cmr.jobs import run_job
from cmr.progress import Progress
from cmr.provenance import commit, digests_of, machine


def main() -> None:
    """Arguments in, four whole files out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("implementation", help="dotted class name of the method, e.g. cmr.methods.linear.cca.CCA")
    parser.add_argument(
        "--hyperparameters", type=json.loads, default={}, metavar="JSON", help="e.g. '{\"ridge\": 0.1}'"
    )
    parser.add_argument(
        "--grid", type=json.loads, default={}, metavar="JSON", help="candidates, chosen on the valid part"
    )
    parser.add_argument(
        "--select-on",
        choices=["valid", "test"],
        default="valid",
        help="test: as no fair score is made, but some published",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (methods that use torch)")
    parser.add_argument("--mixed-precision", action="store_true", help="bfloat16 where safe (methods that use torch)")
    parser.add_argument("--compile", action="store_true", help="let torch compile losses (methods that use torch)")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--image-view", type=Path, required=True)
    parser.add_argument("--text-view", type=Path, required=True)
    parser.add_argument("--image-patches", type=Path, help="view of the parts of images, for methods that look at them")
    parser.add_argument("--text-patches", type=Path, help="view of the parts of texts")
    parser.add_argument("--stages", type=Path, help="folder of what methods share, such as layers that several train")
    parser.add_argument("--checkpoints", type=Path, help="folder for the state of an unfinished training")
    parser.add_argument("--model", type=Path, required=True, help="output, HDF5")
    parser.add_argument("--embeddings", type=Path, required=True, help="output, HDF5")
    parser.add_argument("--selection", type=Path, required=True, help="output, JSON")
    parser.add_argument("--history", type=Path, required=True, help="output, Parquet")
    arguments = parser.parse_args()

    made_by = commit()  # at once: what is checked out may be another when training ends
    device = arguments.device
    if device != "cpu":
        from cmr.device import resolve_device  # imports torch, which closed-form methods do without

        device = str(resolve_device(device))
    run = training.read_run(
        arguments.pairs,
        arguments.split,
        arguments.image_view,
        arguments.text_view,
        arguments.image_patches,
        arguments.text_patches,
    )
    trained = training.train(
        arguments.implementation,
        arguments.hyperparameters,
        arguments.grid,
        run.parts,
        arguments.seeds,
        Compute(device, arguments.mixed_precision, arguments.compile),
        Progress(checkpoints=arguments.checkpoints, stages=arguments.stages),
        arguments.select_on,
    )
    description = {
        "implementation": arguments.implementation,
        "hyperparameters": trained.selection.get("chosen"),
        "similarity": trained.method.similarity,
        "seeds": arguments.seeds,
        "not_applicable": trained.not_applicable,
        "inputs": run.provenance,
    }
    states: dict[str, np.ndarray] = {}
    for seed, model in trained.models.items():
        states |= store.under(str(seed), model.state())
    store.write_arrays(arguments.model, states, description)
    store.write_arrays(arguments.embeddings, training.embeddings(trained, run), description)
    store.write_table(arguments.history, training.histories(trained))
    outputs = {name: vars(arguments)[name] for name in ("model", "embeddings", "history")}
    of_run = {
        "left_out": run.left_out,
        "inputs": run.provenance,
        "outputs": digests_of(outputs),
        "commit": made_by,
        "machine": machine(),
    }
    files.write_json(arguments.selection, trained.selection | of_run)
    if arguments.checkpoints and arguments.checkpoints.exists():
        shutil.rmtree(arguments.checkpoints)
    counts = len(trained.models), trained.selection["sizes"]["train"], len(trained.selection["candidates"])
    logging.info("models: %d, trained on %d pairs; candidates compared: %d", *counts)


if __name__ == "__main__":
    run_job(main)
