"""Training a method on one split and view pair: candidates chosen on the valid part, then one model a seed."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cmr import store
from cmr.construct import build
from cmr.datasets.pairs import group_numbers, label_matrix
from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Method, Model, Pairs
from cmr.metrics import bimodal_map
from cmr.progress import SILENT, Progress
from cmr.provenance import file_sha256, versions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """The data of one run: pairs and ids of each part, and how many items of it a view has left out."""

    parts: dict[str, Pairs]
    ids: dict[str, np.ndarray]
    left_out: dict[str, int]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """One fitted model a seed, and how the hyper-parameters were chosen."""

    method: Method
    models: dict[int, Model]
    selection: dict[str, Any]


def read_run(pairs: Path, split: Path, image_view: Path, text_view: Path) -> Run:
    """Join labels, split and two views by item id, without the items that a view leaves out."""
    files = {"pairs": pairs, "split": split, "image_view": image_view, "text_view": text_view}
    table, parts = store.read_table(pairs), store.read_table(split)
    views = {"images": _read_vectors(image_view), "texts": _read_vectors(text_view)}
    unusable = parts["id"].isin(views["images"].left_out | views["texts"].left_out)
    ids = {part: rows["id"].to_numpy() for part, rows in parts[~unusable].groupby("part")}
    if gone := set(parts["part"]) - set(ids):
        raise UserError(f"no item of the {gone.pop()} part is left after those whose image or text cannot be used")
    return Run(
        parts={
            part: Pairs(
                images=views["images"].rows(items),
                texts=views["texts"].rows(items),
                labels=label_matrix(table, items),
                texts_are_counts=views["texts"].attributes["counts"],
                groups=group_numbers(table, items),
            )
            for part, items in ids.items()
        },
        ids=ids,
        left_out=parts[unusable]["part"].value_counts().to_dict(),
        provenance={name: file_sha256(path) for name, path in files.items()},
    )


def train(
    implementation: str,
    hyperparameters: Mapping[str, Any],
    grid: Mapping[str, Sequence[Any]],
    parts: Mapping[str, Pairs],
    seeds: Sequence[int],
    device: str = "cpu",
    progress: Progress = SILENT,
) -> Trained:
    """Choose among the grid's candidates by mAP on the valid part with the first seed, then fit every seed.

    Parameters
    ----------
    implementation : dotted class name of the method.
    hyperparameters : fixed values; `grid` overrides those that it names.
    grid : candidate values a hyper-parameter; the candidates are their Cartesian product. Empty: nothing to choose.
    parts : `train` and `valid`; test is not needed here and not looked at.
    """
    started = time.monotonic()
    candidates = [dict(hyperparameters) | choice for choice in _choices(grid)]
    if len(candidates) > 1 and "valid" not in parts:
        raise UserError(f"{len(candidates)} candidates need a valid part to choose among them, but the split has none")
    train_part, valid_part = parts["train"], parts.get("valid")
    first, *others = seeds

    records: list[dict[str, Any]] = []
    best: tuple[float, dict[str, Any], Method, Model] | None = None
    for candidate in progress.track(candidates, "candidates", len(candidates), "candidate"):
        method = build(implementation, candidate)
        try:
            model = method.fit(train_part, valid_part, seed=first, device=device, progress=progress)
        except InfeasibleError as error:
            records.append({"hyperparameters": candidate, "infeasible": str(error)})
            log.info("%s: infeasible: %s", candidate, error)
            continue
        score = _valid_map(method, model, valid_part)
        records.append({"hyperparameters": candidate, "valid_map": score})
        log.info("%s: valid mAP %.4f", candidate, score)
        if best is None or score > best[0]:  # the earlier of equals
            best = score, candidate, method, model
    if best is None:
        reasons = dict.fromkeys(f"  {record['infeasible']}" for record in records)
        raise UserError("\n".join(["no candidate can be fitted:", *reasons]))

    _, chosen, method, model = best
    log.info("chosen: %s", chosen)
    models = {first: model} | {
        seed: method.fit(train_part, valid_part, seed=seed, device=device, progress=progress)
        for seed in progress.track(others, "seeds", len(others), "seed")
    }
    selection = {
        "candidates": records,
        "chosen": chosen,
        "seconds": round(time.monotonic() - started, 3),
        "device": device,
        "sizes": {name: len(part) for name, part in parts.items()},
        "featureless": {name: _featureless(part) for name, part in parts.items()},
        "versions": versions(),
    }
    return Trained(method, models, selection)


def embeddings(trained: Trained, run: Run) -> dict[str, np.ndarray]:
    """Arrays of embeddings.h5: `<part>/ids`, `<seed>/<part>/images`, `<seed>/<part>/texts`, parts valid and test."""
    parts = [part for part in ("valid", "test") if part in run.parts]
    arrays = {f"{part}/ids": run.ids[part] for part in parts}
    for seed, model in trained.models.items():
        for part in parts:
            arrays[f"{seed}/{part}/images"] = model.embed_images(run.parts[part].images)
            arrays[f"{seed}/{part}/texts"] = model.embed_texts(run.parts[part].texts)
    return arrays


def histories(trained: Trained) -> pd.DataFrame:
    """Tidy histories of all seeds: seed, step, quantity, value; no row for closed forms."""
    rows = [
        (seed, step, quantity, float(value))
        for seed, model in trained.models.items()
        for quantity, values in model.history.items()
        for step, value in enumerate(values, start=1)
    ]
    table = pd.DataFrame(rows, columns=["seed", "step", "quantity", "value"])
    return table.astype({"seed": "int64", "step": "int64", "quantity": "str", "value": "float64"})


def _read_vectors(path: Path) -> store.View:
    view = store.read_view(path)
    if (kind := view.attributes["kind"]) != "vectors":
        raise UserError(f"{path} holds {kind}, but methods learn from one vector an item: choose another view")
    return view


def _featureless(part: Pairs) -> dict[str, int]:
    """How many images and texts have no feature at all, such as captions without a word of the train part."""
    return {side: int((~getattr(part, side).any(axis=1)).sum()) for side in ("images", "texts")}


def _choices(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _valid_map(method: Method, model: Model, valid: Pairs | None) -> float:
    if valid is None:
        return float("nan")
    return bimodal_map(
        model.embed_images(valid.images), model.embed_texts(valid.texts), valid.relevance, method.similarity
    )
