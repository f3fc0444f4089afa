"""From a new text or picture to the features that the items of a run have: by the views that made those.

A view says in its file what made it, and the file of what it learnt lies beside it or in it; nothing is fitted here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from PIL.Image import Image

from cmr import store
from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.provenance import file_sha256
from cmr.results import Run
from cmr.search.runs import Modality, name_of_view, takes, view_file
from cmr.views.base import ImageView, TextView, restore_stored
from cmr.views.configured import configured, digest_of_asset

View = TypeVar("View", ImageView, TextView)

PUNCTUATION = ".,;:!?()[]{}<>\"'“”„«»…\u2018\u2019"

MAKE = "Delete it and run the study again"

LONGEST = 100  # times the shorter side; views that bring that to a size would fill the memory with longer ones


@dataclass(frozen=True)
class Pipeline(Generic[View]):
    """The views of one modality of a run.

    Attributes
    ----------
    name : of the run's view.
    views : one, or several whose features stand side by side.
    patches : the view of an item's parts, for methods that look at them.
    """

    name: str
    views: tuple[View, ...]
    patches: View | None

    def features(self, of: Callable[[View], np.ndarray]) -> np.ndarray:
        """(1, d), or another kind of row that the run's method takes; `of` gives those of one view."""
        whole = np.concatenate([of(view) for view in self.views], axis=1) if self.views[1:] else of(self.views[0])
        return whole if self.patches is None else np.concatenate([whole[:, None], of(self.patches)], axis=1)


def of_text(pipeline: Pipeline[TextView], text: str) -> tuple[np.ndarray, list[str]]:
    """Features of a new text, and its words that no view knows, as they stand in it.

    Raises UserError for a text that is empty or has no known word.
    """
    if not text.strip():
        raise UserError("the text is empty: write what to look for")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"the text has characters that are not Unicode ({error}): write it in UTF-8") from error
    distinct = dict.fromkeys(text.split())
    words = {word: {token for view in pipeline.views for token in view.tokens(word)} for word in distinct}
    tokens = set().union(*words.values())
    known = set().union(*(view.known(tokens) for view in pipeline.views))
    unknown = [word.strip(PUNCTUATION) for word, own in words.items() if own and known.isdisjoint(own)]
    if not tokens:
        raise UserError(
            f'the text has no word that the text view "{pipeline.name}" looks at: it leaves out what is no word, and '
            "some views leave out words such as “the” and “of”. Write what to look for"
        )
    features = pipeline.features(lambda view: view.transform([text]))
    if not known or _is_nothing(features):
        raise UserError(
            f'the text view "{pipeline.name}" knows no word of the text ({_some(unknown)}): its features are all zero, '
            "which point nowhere, so that every ranking would be as good. Use words of the train texts"
        )
    return features, list(dict.fromkeys(unknown))


def of_image(pipeline: Pipeline[ImageView], image: Image) -> np.ndarray:
    """Features of a new picture, RGB; raises UserError where it has none, or is little but a line."""
    if max(image.size) > LONGEST * min(image.size):
        raise UserError(
            f"the picture has {image.width} x {image.height} pixels, and is little but a line: one side may be "
            f"{LONGEST} times as long as the other at most. Cut a part out of it"
        )
    features = pipeline.features(lambda view: view.features([image]))
    if _is_nothing(features):
        raise UserError(
            f'the image view "{pipeline.name}" finds nothing in this picture: its features are all zero, which point '
            "nowhere. Take a picture with more in it, or another run"
        )
    return features


def read_pipeline(catalogue: Catalogue, root: Path, run: Run, modality: Modality) -> Pipeline[Any]:
    """The views of a run's images or texts, as the run met them.

    Raises UserError for a view that the data set comes with, and where what made a view is gone or has changed.
    """
    require_computed(catalogue, root, run, modality)
    name = name_of_view(run, modality)
    reading = _Reading(catalogue, root / catalogue.config["data"], run, modality)
    patches = catalogue.patches_of(vars(run), modality)
    return Pipeline(name, tuple(reading.views(name)), reading.view(patches) if patches else None)


def require_computed(catalogue: Catalogue, root: Path, run: Run, modality: Modality) -> None:
    """UserError, naming a run that takes queries, for a view that the data set comes with."""
    if modality not in takes(catalogue, run):
        raise UserError(
            f'{run.dataset} comes with the {modality} features "{name_of_view(run, modality)}", and nothing here '
            f"computes them of a new {modality}. {_runs_that_can(catalogue, root, run, modality)}"
        )


@dataclass(frozen=True)
class _Reading:
    catalogue: Catalogue
    data: Path
    run: Run
    modality: Modality

    def views(self, name: str) -> Sequence[ImageView | TextView]:
        """The view of this name, or those that it puts side by side, in the order of their columns."""
        with store.ViewFile.open(self._file(name)) as file:
            about = file.attributes
        if "columns" not in about:
            return [self.view(name)]
        for part in about["columns"]:
            if not self._file(part).exists() or file_sha256(self._file(part)) != about["inputs"][part]:
                raise UserError(f"{self._file(part)} is gone or has changed since {self._file(name)} was made. {MAKE}")
        return [self.view(part) for part in about["columns"]]

    def view(self, name: str) -> ImageView | TextView:
        path = self._file(name)
        with store.ViewFile.open(path) as file:
            about = file.attributes
            learnt = file.arrays() if about["learnt"] and self.modality == "text" else {}
        assets = {option: self._asset(recorded, path) for option, recorded in about["assets"].items()}
        base = ImageView if self.modality == "image" else TextView
        view = configured(base, about["implementation"], about["options"], assets, about["learnt"])
        if not view.learnt:
            return view
        if self.modality == "image":
            return view.restore(self._fitted(path, about["inputs"]["fitted"]))
        if not store.group(learnt, store.LEARNT):
            raise UserError(f"{path} does not hold what the view has learnt, which a new text needs. {MAKE}")
        return restore_stored(view, learnt)

    def _file(self, name: str) -> Path:
        return view_file(self.catalogue, self.data, self.run, self.modality, name)

    def _asset(self, recorded: dict[str, str], view: Path) -> Path:
        folder = self.data / "raw" / recorded["asset"]
        try:
            found = digest_of_asset(folder)
        except UserError as error:
            raise UserError(
                f"{view} was made by the asset {recorded['asset']}: {error}. Run "
                f"`snakemake --cores 8 {self.catalogue.config['data']}/raw/{recorded['asset']}/asset.json`"
            ) from error
        if found["sha256"] != recorded["sha256"]:
            raise UserError(f"{view} was made by another {recorded['file']} than {folder} holds now. {MAKE}")
        return folder

    def _fitted(self, view: Path, digest: str) -> dict[str, np.ndarray]:
        path = view.with_suffix(".fitted.h5")
        if not path.exists() or file_sha256(path) != digest:
            raise UserError(f"{path} is gone or has changed since {view} was made by it. {MAKE}")
        learnt = store.read_arrays(path)[0]
        return {name: array for name, array in learnt.items() if name != "train_ids"}


def _runs_that_can(catalogue: Catalogue, root: Path, run: Run, modality: Modality) -> str:
    """Names a run of a study whose view of a modality is computed: a trained one first, then the most similar."""
    able = []
    for study in catalogue.studies:
        for other in (Run(**one) for one in catalogue.runs(study)):
            if modality in takes(catalogue, other):
                trained = (other.folder(root / catalogue.config["results"] / "runs") / "model.h5").exists()
                likeness = (trained, other.dataset == run.dataset, other.method == run.method, other.split == run.split)
                able.append((likeness, study, other))
    if not able:
        return f"No study has a run whose {modality} view is computed: see docs/views.md"
    (trained, *_), study, best = max(able, key=lambda one: one[0])
    names = {"dataset": best.dataset, "split": best.split, "image-view": best.image_view, "text-view": best.text_view}
    options = " ".join(f"--{option} {name}" for option, name in names.items())
    make = "" if trained else f", once `snakemake --cores 8 all --config studies=[{study}]` has trained it"
    return f"A run that can{make}: --study {study} --method {best.method} {options}"


def _is_nothing(features: np.ndarray) -> bool:
    """Whether all are zero; a black picture's pixels are bytes, and may be."""
    return features.dtype.kind == "f" and not features.any()


def _some(words: Sequence[str]) -> str:
    shown = [word if len(word) <= 30 else f"{word[:30]}…" for word in words[:5]]
    return ", ".join(shown) + (", …" if len(words) > 5 else "")
