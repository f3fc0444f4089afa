"""Which trained run answers, and how it embeds: its own items, and the features of new ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from cmr import store, training
from cmr.catalogue import Catalogue
from cmr.configuration import check_name
from cmr.construct import METHODS, build
from cmr.errors import UserError
from cmr.evaluation import embeddings_of
from cmr.methods import FLOOR
from cmr.methods.base import Method, Model, PerTask, spaces
from cmr.provenance import file_sha256
from cmr.results import Run
from cmr.retrieval import Similarity
from cmr.rows import Rows, map_rows, take_rows

Modality = Literal["image", "text"]
OTHER: dict[Modality, Modality] = {"image": "text", "text": "image"}
TASK: dict[Modality, str] = {"image": "img2txt", "text": "txt2img"}  # by what the query is

GALLERIES = {"test": ("test",), "train": ("train",), "all": ("train", "valid", "test")}


@dataclass(frozen=True)
class Wanted:
    """What a user says of the run to search with; what is left open, the study's configuration decides."""

    study: str
    method: str
    dataset: str | None = None
    split: str | None = None
    image_view: str | None = None
    text_view: str | None = None
    seed: int | None = None


def choose(catalogue: Catalogue, wanted: Wanted) -> Run:
    """The one run of a study that is wanted: by default on the views of its tables, and on its first split.

    Raises UserError for a name that the study does not have, listing or suggesting what it has, and where several data
    sets or views are left to choose among.
    """
    settings = catalogue.studies[wanted.study]
    runs = [Run(**run) for run in catalogue.runs(wanted.study)]
    where = f"study {wanted.study}"
    check_name(wanted.method, dict.fromkeys(run.method for run in runs), where, "method")
    runs = [run for run in runs if run.method == wanted.method]
    setting = settings.get("setting", {})
    usual = setting | setting.get("views_of", {}).get(wanted.method, {})
    for key in ("dataset", "image_view", "text_view", "split"):
        there = list(dict.fromkeys(getattr(run, key) for run in runs))
        name = getattr(wanted, key)
        if name is not None:
            check_name(name, there, f"{where}, {wanted.method}", key.replace("_", " "))
        elif len(there) == 1 or key == "split":
            name = there[0]
        elif usual.get(key) in there:
            name = usual[key]
        else:
            raise UserError(
                f"{where} has {wanted.method} on several: name one by --{key.replace('_', '-')}: {', '.join(there)}"
            )
        runs = [run for run in runs if getattr(run, key) == name]
    return runs[0]


def view_file(catalogue: Catalogue, data: Path, run: Run, modality: Modality, view: str) -> Path:
    """Where a view of a run lies: one that the data set comes with, or a computed one."""
    if catalogue.is_ready(run.dataset, modality, view):
        return data / f"datasets/{run.dataset}/views/{modality}/{view}.h5"
    return data / catalogue.view_path(run.dataset, run.split, modality, view)


def name_of_view(run: Run, modality: Modality) -> str:
    return run.image_view if modality == "image" else run.text_view


def takes(catalogue: Catalogue, run: Run) -> tuple[Modality, ...]:
    """What new queries can be: features that the data set comes with are not computed of new items."""
    return tuple(side for side in OTHER if not catalogue.is_ready(run.dataset, side, name_of_view(run, side)))


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run of one seed, taken up from its files.

    Attributes
    ----------
    run : which.
    method, model, seed, similarity : what was learnt.
    parts : features, labels and ids of the items of each part of the split.
    pairs : the data set's table by id: image, text, labels; `pairs.attrs["classes"]`.
    data : the data folder.
    digest : SHA-256 of the file of the model.
    """

    run: Run
    method: Method
    model: Model | PerTask
    seed: int
    similarity: Similarity
    parts: training.Run
    pairs: pd.DataFrame
    data: Path
    folder: Path
    digest: str

    @classmethod
    def read(cls, catalogue: Catalogue, root: Path, run: Run, seed: int | None = None) -> Self:
        """Take up a run of the checkout `root`; by default its first seed.

        Raises UserError where it has not been trained or by a method that cannot rank, and where what it learnt from
        has changed since.
        """
        _refuse_what_ranks_nothing(catalogue, run.method)
        data, results = root / catalogue.config["data"], root / catalogue.config["results"]
        folder = run.folder(results / "runs")
        make = f"`snakemake --cores 8 {run.folder(Path(catalogue.config['results']) / 'runs')}/metrics.parquet`"
        if not (folder / "model.h5").exists():
            raise UserError(f"{run.method} is not trained: {folder / 'model.h5'} does not exist. Run {make}")
        arrays, about = store.read_arrays(folder / "model.h5")
        if reason := about["not_applicable"]:
            raise UserError(f"{run.method} is not applicable to {run.dataset}, and ranks nothing: {reason}")
        if seed is None:
            seed = about["seeds"][0]
        if seed not in about["seeds"]:
            raise UserError(f"{folder} has no seed {seed}; it has {', '.join(map(str, about['seeds']))}")
        files = files_of_run(catalogue, data, run)
        for file in files.values():
            if not file.exists():
                raise UserError(f"{file} does not exist, from which {run.method} learnt. Run {make}")
        parts = training.read_run(**files)
        if changed := [str(files[name]) for name in files if parts.provenance[name] != about["inputs"].get(name)]:
            raise UserError(f"{', '.join(changed)} changed after {run.method} had learnt from it. Run {make}")
        method = build(about["implementation"], about["hyperparameters"], METHODS)
        pairs = store.read_table(files["pairs"])
        return cls(
            run=run,
            method=method,
            model=method.restore(store.group(arrays, str(seed))),
            seed=seed,
            similarity=about["similarity"],
            parts=parts,
            pairs=pairs.set_index("id"),
            data=data,
            folder=folder,
            digest=file_sha256(folder / "model.h5"),
        )

    def embed(self, modality: Modality, features: Rows, query: Modality) -> np.ndarray:
        """(n, ...) features of images or texts -> (n, k), in the space in which queries of a modality are answered."""
        by_task = spaces(self.model)
        model = by_task.get(TASK[query], by_task.get(""))
        return map_rows(model.embed_images if modality == "image" else model.embed_texts, features)

    def embeddings(self, modality: Modality, part: str, query: Modality) -> np.ndarray:
        """(n, k) of the items of a part, in the order of `parts.ids`; stored ones where training has stored them."""
        if f"{part}/ids" in self._stored:
            images, texts = embeddings_of(self._stored, self.seed, part, TASK[query])
            return images if modality == "image" else texts
        return self.embed(modality, self.features(modality, part), query)

    def features(self, modality: Modality, part: str) -> Rows:
        """(n, ...) features of the items of a part."""
        pairs = self.parts.parts[part]
        return pairs.images if modality == "image" else pairs.texts

    def features_of(self, modality: Modality, ids: Sequence[str]) -> np.ndarray:
        """(n, ...) features of some items, in their order."""
        places = [self._places[item] for item in ids]
        return np.concatenate([take_rows(self.features(modality, part), [row]) for part, row in places])

    @cached_property
    def _places(self) -> dict[str, tuple[str, int]]:
        return {item: (part, row) for part, ids in self.parts.ids.items() for row, item in enumerate(ids)}

    @cached_property
    def _stored(self) -> dict[str, np.ndarray]:
        arrays, about = store.read_arrays(self.folder / "embeddings.h5")
        of_model: dict[str, Any] = store.read_arrays(self.folder / "model.h5", [])[1]
        if about != of_model:
            raise UserError(f"{self.folder} holds embeddings of another model. Delete the folder and run again")
        for part, ids in self.parts.ids.items():
            if f"{part}/ids" in arrays and not np.array_equal(arrays[f"{part}/ids"], ids):
                raise UserError(f"{self.folder} holds embeddings of other items. Delete the folder and run again")
        return arrays


def methods_that_rank(catalogue: Catalogue, root: Path, wanted: Wanted) -> dict[str, Run]:
    """The methods of a study to search with: their runs, chosen as `wanted` says but for its method, are trained.

    They take new texts or new images at least.
    """
    able = {}
    for method in dict.fromkeys(run["method"] for run in catalogue.runs(wanted.study)):
        try:
            _refuse_what_ranks_nothing(catalogue, method)
            run = choose(catalogue, Wanted(**{**vars(wanted), "method": method, "seed": None}))
        except UserError:  # of another split, say: this method cannot be chosen beside the others
            continue
        trained = (run.folder(root / catalogue.config["results"] / "runs") / "model.h5").exists()
        if trained and takes(catalogue, run):
            able[method] = run
    return able


def _refuse_what_ranks_nothing(catalogue: Catalogue, method: str) -> None:
    settings = catalogue.methods[method]
    if method == FLOOR:
        raise UserError(f"{method} ranks at random, and finds nothing; choose another method")
    if settings.get("sees_pairs"):
        raise UserError(
            f"{method} embeds an item with the help of its other side, which a query does not have; choose another "
            "method"
        )


def files_of_run(catalogue: Catalogue, data: Path, run: Run) -> dict[str, Path]:
    """The files that a run learnt from, by the arguments of `read_run`."""
    dataset, files = data / "datasets" / run.dataset, {}
    for modality in ("image", "text"):
        files[f"{modality}_view"] = view_file(catalogue, data, run, modality, name_of_view(run, modality))
        if patches := catalogue.patches_of(vars(run), modality):
            files[f"{modality}_patches"] = view_file(catalogue, data, run, modality, patches)
    return {"pairs": dataset / "pairs.parquet", "split": dataset / f"splits/{run.split}.parquet", **files}
