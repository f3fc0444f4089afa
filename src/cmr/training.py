"""Training a method on one split and view pair: candidates chosen on a part of it, then one model a seed."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from cmr import store
from cmr.compute import CPU, Compute
from cmr.construct import METHODS, build
from cmr.datasets.pairs import group_numbers, label_matrix
from cmr.errors import UserError
from cmr.methods.base import (
    FitsSeeds,
    InfeasibleError,
    Method,
    Model,
    NotApplicableError,
    Pairs,
    PerTask,
    Unlabelled,
    embed_sides,
    spaces,
)
from cmr.metrics import mean_average_precision
from cmr.progress import SILENT, Progress
from cmr.provenance import check_made_of, digests_of, versions
from cmr.rows import Rows, in_memory, row_blocks

log = logging.getLogger(__name__)

IN_MEMORY = 256 << 20  # bytes; a larger view is read in blocks, again in every pass


@dataclass(frozen=True)
class Run:
    """The data of one run: pairs and ids of each part, and how many items of it a view has left out."""

    parts: dict[str, Pairs]
    ids: dict[str, np.ndarray]
    left_out: dict[str, int]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """One fitted model a seed, and how the hyper-parameters were chosen; none of a method that is not applicable."""

    method: Method
    models: dict[int, Model | PerTask]
    selection: dict[str, Any]

    @property
    def not_applicable(self) -> str | None:
        """Why the method is not defined for these data, if it is not."""
        return self.selection.get("not_applicable")


def read_run(
    pairs: Path,
    split: Path,
    image_view: Path,
    text_view: Path,
    image_patches: Path | None = None,
    text_patches: Path | None = None,
) -> Run:
    """Join labels, split and two views by item id, without the items that a view leaves out.

    `image_patches` and `text_patches` hold the parts of the items of the views beside them.

    Raises UserError where a file is damaged, or was made of others than those given.
    """
    given = {
        "pairs": pairs, "split": split, "image_view": image_view, "text_view": text_view,
        "image_patches": image_patches, "text_patches": text_patches,
    }  # fmt: skip
    files = {name: path for name, path in given.items() if path is not None}
    table, parts = store.read_table(pairs), store.read_table(split, pairs=pairs)
    images, texts = _Features.read(image_view, image_patches), _Features.read(text_view, text_patches)
    for view in (images.whole, images.parts, texts.whole, texts.parts):
        if view is not None:
            check_made_of(view.path, view.attributes.get("inputs", {}), {"pairs": pairs, "split": split})
    unusable = parts["id"].isin(images.left_out | texts.left_out)
    ids = {part: images.in_order(rows["id"].to_numpy()) for part, rows in parts[~unusable].groupby("part")}
    if gone := set(parts["part"]) - set(ids):
        raise UserError(f"no item of the {gone.pop()} part is left after those whose image or text cannot be used")
    return Run(
        parts={
            part: Pairs(
                images=images.rows(items),
                texts=texts.rows(items),
                labels=label_matrix(table, items),
                texts_are_counts=texts.whole.attributes["counts"],
                groups=group_numbers(table, items),
                image_kind=images.kind,
                text_kind=texts.kind,
                image_arrays=images.whole.arrays,
                text_arrays=texts.whole.arrays,
            )
            for part, items in ids.items()
        },
        ids=ids,
        left_out=parts[unusable]["part"].value_counts().to_dict(),
        provenance=digests_of(files),
    )


def train(
    implementation: str,
    hyperparameters: Mapping[str, Any],
    grid: Mapping[str, Sequence[Any]],
    parts: Mapping[str, Pairs],
    seeds: Sequence[int],
    compute: Compute = CPU,
    progress: Progress = SILENT,
    select_on: Literal["valid", "test"] = "valid",
) -> Trained:
    """Choose among the grid's candidates by mAP on the valid part with the first seed, then fit every seed.

    Parameters
    ----------
    implementation : dotted class name of the method.
    hyperparameters : fixed values; `grid` overrides those that it names.
    grid : candidate values a hyper-parameter; the candidates are their Cartesian product. Empty: nothing to choose.
    parts : `train` and `valid`; of `test`, a transductive method is given the features, and no other looks at it.
    select_on : `test` puts the test part, labels included, in the place of the valid part wherever a method or the
        choice among candidates looks at that: what some publications do, and no fair score. Every `valid_map` is then
        the mAP of the test part, and `selection` says `selected_on_test`.

    A method of which no candidate can be fitted to these data gives no model, and its `selection` the reason as
    `not_applicable`: one impossible cell must not cost a study all others.
    """
    started = time.monotonic()
    candidates = [dict(hyperparameters) | choice for choice in _choices(grid)]
    if len(candidates) > 1 and select_on not in parts:
        raise UserError(
            f"{len(candidates)} candidates need a {select_on} part to choose among them, but the split has none"
        )
    train_part, valid_part = parts["train"], parts.get(select_on)

    def fit(method: Method, seeds: Sequence[int]) -> dict[int, Model | PerTask]:
        more = {"unlabelled": parts["test"].once(_unlabelled)} if getattr(method, "transductive", False) else {}
        common = {"compute": compute, "progress": progress, **more}
        if isinstance(method, FitsSeeds):
            return method.fit_seeds(train_part, valid_part, seeds=seeds, **common)
        return {
            seed: method.fit(train_part, valid_part, seed=seed, **common)
            for seed in progress.track(seeds, "seeds", len(seeds), "seed")
        }

    circumstances = {
        "device": compute.device,
        "mixed_precision": compute.mixed_precision,
        **{
            caveat: any(getattr(build(implementation, one, METHODS), caveat, False) for one in candidates)
            for caveat in ("transductive", "sees_pairs")
        },
        "selected_on_test": select_on == "test",
        "seeds": [*seeds],
        "sizes": {name: len(part) for name, part in parts.items()},
        "featureless": {name: _featureless(part) for name, part in parts.items()},
        "versions": versions(),
    }
    records: list[dict[str, Any]] = []
    best: tuple[float, dict[str, Any], Method, dict[int, Model | PerTask]] | None = None
    # Only the first seed takes part in the choice; where there is none to make, all train in one go.
    deciding = seeds[:1] if len(candidates) > 1 else seeds
    for candidate in progress.track(candidates, "candidates", len(candidates), "candidate"):
        method = build(implementation, candidate, METHODS)
        try:
            models = fit(method, deciding)
        except (NotApplicableError, InfeasibleError) as error:
            records.append({"hyperparameters": candidate, "infeasible": str(error)})
            log.info("%s: infeasible: %s", candidate, error)
            continue
        score = _valid_map(method, models[seeds[0]], valid_part)
        records.append({"hyperparameters": candidate, "valid_map": score})
        log.info("%s: %s mAP %.4f", candidate, select_on, score)
        if best is None or score > best[0]:  # the earlier of equals
            best = score, candidate, method, models
    if best is None:
        reason = records[0]["infeasible"]
        log.warning("not applicable, no candidate can be fitted: %s", reason)
        return Trained(method, {}, {"not_applicable": reason, "candidates": records, **circumstances})

    _, chosen, method, models = best
    log.info("chosen: %s", chosen)
    if others := [seed for seed in seeds if seed not in models]:
        try:
            models |= fit(method, others)
        except InfeasibleError as error:
            reason = f"with seeds other than {seeds[0]}, which chose {chosen}: {error}"
            log.warning("not applicable, not every seed can be fitted: %s", reason)
            return Trained(method, {}, {"not_applicable": reason, "candidates": records, **circumstances})
    selection = {
        "candidates": records,
        "chosen": chosen,
        "seconds": round(time.monotonic() - started, 3),
        **circumstances,
    }
    return Trained(method, models, selection)


def embeddings(trained: Trained, run: Run) -> dict[str, np.ndarray]:
    """Arrays of embeddings.h5 for the parts valid and test.

    `<part>/ids`, and `<seed>/<part>/images`, `<seed>/<part>/texts`; of a method with two spaces
    `<seed>/<part>/<task>/images` and `.../texts`, of the tasks img2txt and txt2img.
    """
    parts = [part for part in ("valid", "test") if part in run.parts]
    arrays = {f"{part}/ids": run.ids[part] for part in parts}
    for seed, model in trained.models.items():
        for part in parts:
            for task, space in spaces(model).items():
                place = "/".join(filter(None, [str(seed), part, task]))
                images, texts = embed_sides(trained.method, space, run.parts[part])
                arrays |= {f"{place}/images": images, f"{place}/texts": texts}
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


@dataclass(frozen=True)
class _Values:
    """A view: which rows there are, and where they lie."""

    path: Path
    ids: np.ndarray
    attributes: dict[str, Any]
    arrays: dict[str, np.ndarray]  # what belongs to it besides, such as the vectors of its words
    values: np.ndarray | None  # None: larger than IN_MEMORY, and read block by block

    @classmethod
    def read(cls, path: Path) -> Self:
        with store.ViewFile.open(path) as view:
            ids, attributes, size = view.ids, view.attributes, view.values.nbytes
            # Neither how a view makes features nor which items it learnt that from is the business of a network.
            needed = attributes["kind"] in ("pixels", "tokens")
            stored = view.arrays().items() if needed else ()
            arrays = {name: a for name, a in stored if name != "train_ids" and not name.startswith(f"{store.LEARNT}/")}
        return cls(path, ids, attributes, arrays, store.read_view(path).values if size <= IN_MEMORY else None)

    @property
    def left_out(self) -> frozenset[str]:
        return frozenset(self.attributes["left_out"])

    def rows(self, ids: np.ndarray) -> Rows:
        positions = self.positions(ids)
        if self.values is not None:
            return self.values[positions]
        if (np.diff(positions) < 0).any():
            raise UserError(f"{self.path} has its items in another order than the view of images. Make both anew")
        log.info("%s stays on disk and is read block by block", self.path)
        return store.ViewRows(self.path, positions)

    def positions(self, ids: np.ndarray) -> np.ndarray:
        positions = pd.Index(self.ids).get_indexer(ids)
        if (absent := positions < 0).any():
            raise UserError(
                f"item {ids[absent][0]!r} has no row in {self.path}: the view was made from other data. "
                "Delete it and run again"
            )
        return positions


@dataclass(frozen=True)
class _Features:
    """What a method is given of a modality: a view, and where it looks at parts of items, the view of these."""

    whole: _Values
    parts: _Values | None

    @classmethod
    def read(cls, view: Path, patches: Path | None) -> Self:
        return cls(_Values.read(view), None if patches is None else _Values.read(patches))

    @property
    def kind(self) -> store.Kind:
        return self.whole.attributes["kind"] if self.parts is None else "patches"

    @property
    def left_out(self) -> frozenset[str]:
        return self.whole.left_out | (self.parts.left_out if self.parts else frozenset())

    def in_order(self, ids: np.ndarray) -> np.ndarray:
        """Items in the order of the file."""
        return ids[np.argsort(self.whole.positions(ids), kind="stable")]

    def rows(self, ids: np.ndarray) -> Rows:
        """One row an item; with parts (n, 1 + p, d), the whole item first."""
        whole = self.whole.rows(ids)
        if self.parts is None:
            return whole
        parts = in_memory(self.parts.rows(ids))
        if parts.ndim != 3 or parts.shape[-1] != whole.shape[-1]:
            raise UserError(
                f"{self.parts.path} has rows of shape {parts.shape[1:]}; parts of {self.whole.path} are needed, "
                f"{whole.shape[-1]} numbers each"
            )
        if self.parts.attributes.get("counts") != self.whole.attributes.get("counts"):
            raise UserError(
                f"of {self.parts.path} and {self.whole.path} only one holds word counts: parts need the same"
            )
        return np.concatenate([in_memory(whole)[:, None], parts], axis=1)


def _unlabelled(test: Pairs) -> Unlabelled:
    log.info("transductive: the features of the test part, without its labels, take part in training")
    return Unlabelled(test.images, test.texts)


def _featureless(part: Pairs) -> dict[str, int]:
    """How many images and texts have no feature at all, such as captions without a word of the train part."""
    return {
        side: sum(
            int((~block.reshape(len(block), -1).any(axis=1)).sum()) for _, block in row_blocks(getattr(part, side))
        )
        for side in ("images", "texts")
    }


def _choices(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _valid_map(method: Method, model: Model | PerTask, valid: Pairs | None) -> float:
    """Mean of image-to-text and text-to-image mAP over all, each in the space in which the task is solved."""
    if valid is None:
        return float("nan")
    scores = []
    for task, space in spaces(model).items():
        images, texts = embed_sides(method, space, valid)
        sides = {"img2txt": (images, texts), "txt2img": (texts, images)}
        scores += [
            mean_average_precision(*sides[direction], valid.relevance, method.similarity)
            for direction in ([task] if task else sides)
        ]
    return sum(scores) / len(scores)
