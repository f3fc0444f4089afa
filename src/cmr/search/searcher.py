"""One query after another, answered by a trained run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock

import numpy as np
from PIL.Image import Image

from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.search.explain import NEIGHBOURS, Neighbour, Posteriors, are_posteriors, shares
from cmr.search.index import Index, open_index
from cmr.search.pipeline import Pipeline, of_image, of_text, read_pipeline, require_computed
from cmr.search.runs import GALLERIES, OTHER, Modality, TrainedRun, Wanted, choose, takes

MOST = 1000  # results


def check_top(top: int) -> None:
    """Refuse a number of results that cannot be shown."""
    if not 1 <= top <= MOST:
        raise UserError(f"{top} results cannot be shown: ask for 1 to {MOST}")


@dataclass(frozen=True)
class Result:
    """An item found: rank from 1; the higher its score, the nearer."""

    rank: int
    score: float
    id: str
    text: str | None
    labels: tuple[str, ...]
    picture: Path | None  # its file, which may be missing
    featureless: bool  # what was compared has nothing but zeros in its view


@dataclass(frozen=True)
class Answer:
    """The results of a query, and how they came about.

    Attributes
    ----------
    query : the modality of the query; the results are those whose other side is nearest.
    method, dataset : their titles.
    searched : how many different pictures or texts were compared, and of which parts of the split.
    unknown : words of the query that had no say.
    """

    query: Modality
    method: str
    dataset: str
    split: str
    seed: int
    similarity: str
    approximate: bool
    searched: int
    parts: tuple[str, ...]
    unknown: tuple[str, ...]
    results: tuple[Result, ...]
    posteriors: Posteriors | None = None
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class Gallery:
    """Items of which one side is searched, without those whose picture came before."""

    parts: tuple[str, ...]
    ids: np.ndarray
    index: Index


class Searcher:
    """A trained run that is asked; calls from several threads wait for each other.

    queries : the modality of all queries, where it is known: a run that cannot take them is refused at once, and in any
        case one that takes none.

    Raises UserError as `choose`, `TrainedRun.read` and `read_pipeline` do; of views when they are first needed.
    """

    def __init__(self, catalogue: Catalogue, root: Path, wanted: Wanted, queries: Modality | None = None) -> None:
        self._catalogue, self._root = catalogue, root
        run = choose(catalogue, wanted)
        if queries is not None or not takes(catalogue, run):
            require_computed(catalogue, root, run, queries or "text")
        self.trained = TrainedRun.read(catalogue, root, run, wanted.seed)
        self._galleries: dict[tuple[str, Modality, Modality], Gallery] = {}
        self._pipelines: dict[Modality, Pipeline] = {}
        self._lock = RLock()

    def by_text(self, text: str, *, top: int = 10, gallery: str = "all", explain: bool = False) -> Answer:
        """The items whose pictures are nearest to a text. Raises UserError for a text without a known word."""
        with self._lock:
            features, unknown = of_text(self._pipeline("text"), text)
            return self._answer("text", features, tuple(unknown), top, gallery, explain)

    def by_image(self, image: Image, *, top: int = 10, gallery: str = "all", explain: bool = False) -> Answer:
        """The items whose texts are nearest to a picture in RGB."""
        with self._lock:
            return self._answer("image", of_image(self._pipeline("image"), image), (), top, gallery, explain)

    def picture(self, item: str) -> Path | None:
        """The file of an item's picture; None where there is no such item, or none is published."""
        pairs = self.trained.pairs
        name = pairs.at[item, "image"] if item in pairs.index else None
        return None if name is None else self.trained.data / "raw" / name

    def _pipeline(self, modality: Modality) -> Pipeline:
        if modality not in self._pipelines:
            self._pipelines[modality] = read_pipeline(self._catalogue, self._root, self.trained.run, modality)
        return self._pipelines[modality]

    def _answer(
        self, query: Modality, features: np.ndarray, unknown: tuple[str, ...], top: int, name: str, explain: bool
    ) -> Answer:
        check_top(top)
        trained, gallery = self.trained, self._gallery(name, OTHER[query], query)
        embedding = trained.embed(query, features, query)
        rows, scores = gallery.index.nearest(embedding, top)
        compared = trained.features_of(OTHER[query], gallery.ids[rows])
        featureless = ~compared.reshape(len(rows), -1).any(axis=1)
        results = tuple(
            Result(rank, float(score), item, *self._told(item), self.picture(item), bool(nothing))
            for rank, (item, score, nothing) in enumerate(zip(gallery.ids[rows], scores, featureless, strict=True), 1)
        )
        posteriors, neighbours = None, ()
        if explain:
            of_results = trained.embed(OTHER[query], compared, query)
            if are_posteriors(np.concatenate([embedding, of_results]), self._classes):
                told = [shares(row, self._classes) for row in (embedding[0], *of_results)]
                posteriors = Posteriors(told[0], tuple(told[1:]))
            else:
                neighbours = self._neighbours(query, embedding)
        return Answer(
            query=query,
            method=self._catalogue.method(trained.run.method)["title"],
            dataset=self._catalogue.dataset(trained.run.dataset)["title"],
            split=trained.run.split,
            seed=trained.seed,
            similarity=trained.similarity,
            approximate=gallery.index.approximate,
            searched=len(gallery.ids),
            parts=gallery.parts,
            unknown=unknown,
            results=results,
            posteriors=posteriors,
            neighbours=neighbours,
        )

    def _neighbours(self, query: Modality, embedding: np.ndarray) -> tuple[Neighbour, ...]:
        train = self._gallery("train", query, query)
        rows, scores = train.index.nearest(embedding, NEIGHBOURS)
        return tuple(
            Neighbour(item, float(score), *self._told(item))
            for item, score in zip(train.ids[rows], scores, strict=True)
        )

    def _told(self, item: str) -> tuple[str | None, tuple[str, ...]]:
        pair = self.trained.pairs.loc[item]
        return pair["text"], tuple(pair["labels"])

    def _gallery(self, name: str, modality: Modality, query: Modality) -> Gallery:
        """One side of the items of some parts, in the space in which queries of a modality are answered."""
        key = (name, modality, query)
        if key not in self._galleries:
            trained = self.trained
            parts = tuple(part for part in GALLERIES[name] if part in trained.parts.ids)
            ids = np.concatenate([trained.parts.ids[part] for part in parts])
            kept = self._first_of_each_picture(ids) if modality == "image" else np.arange(len(ids))

            def embeddings() -> np.ndarray:
                return np.concatenate([trained.embeddings(modality, part, query) for part in parts])[kept]

            index = open_index(
                embeddings,
                len(kept),
                trained.similarity,
                self._index_folder(*key),
                model=trained.digest,
                seed=trained.seed,
                inputs=trained.parts.provenance,
            )
            self._galleries[key] = Gallery(parts, ids[kept], index)
        return self._galleries[key]

    def _index_folder(self, *names: str) -> Path:
        results = self._root / self._catalogue.config["results"]
        return self.trained.run.folder(results / "search/index") / str(self.trained.seed) / "-".join(names)

    def _first_of_each_picture(self, ids: Sequence[str]) -> np.ndarray:
        """Rows of `ids` without those whose picture came before, as that of several captions does."""
        pictures = self.trained.pairs["image"].loc[ids]
        return np.flatnonzero(~(pictures.duplicated() & pictures.notna()))

    @cached_property
    def _classes(self) -> list[str]:
        return self.trained.pairs.attrs["classes"]
