"""Example retrievals: queries drawn at random and the first results of one method, for the eye.

Nothing here is chosen for looking good: a random generator with a fixed seed draws the classes and one query in each.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from cmr import store
from cmr.datasets.images import load_rgb
from cmr.errors import UserError
from cmr.evaluation import embeddings_of
from cmr.results import TASK_TITLES, Study
from cmr.retrieval import top
from cmr.tables import explained

THUMBNAIL = 160  # pixels, the longer side


@dataclass(frozen=True)
class Item:
    """One side of a pair, as shown: an image (`source`, a data URI) or a text."""

    id: str
    text: str
    labels: tuple[str, ...]
    source: str | None = None
    featureless: bool = False  # its view has nothing but zeros for it


@dataclass(frozen=True)
class Result:
    item: Item
    relevant: bool  # shares a class with the query; without classes, a group


@dataclass(frozen=True)
class Retrieval:
    query: Item
    results: tuple[Result, ...]

    @property
    def hits(self) -> int:
        return sum(result.relevant for result in self.results)


@dataclass(frozen=True)
class Gallery:
    """Retrievals of one run, by task.

    Attributes
    ----------
    method, dataset, split : what the retrievals are of; method and data set by their titles.
    classes : all classes of the data set, or groups where it has none; a query is drawn from each of some of them.
    kind : "class" or "group".
    tasks : title of each task -> its retrievals, the same queries for the same side.
    not_applicable : why there are none, where the method is not applicable to the data.
    caveat : what the mark behind the method's title means; empty where it has none.
    """

    method: str
    dataset: str
    split: str
    classes: int
    kind: str
    tasks: dict[str, tuple[Retrieval, ...]]
    not_applicable: str = ""
    caveat: str = ""

    @property
    def drawn(self) -> int:
        """How many classes gave a query."""
        return max(map(len, self.tasks.values()))

    @property
    def has_featureless(self) -> bool:
        """Whether an item without features is shown, as a query or as a result."""
        retrievals = [retrieval for found in self.tasks.values() for retrieval in found]
        items = [item for r in retrievals for item in (r.query, *(result.item for result in r.results))]
        return any(item.featureless for item in items)


def read_gallery(study: Study, pairs: Path, embeddings: Path, image_view: Path, text_view: Path, raw: Path) -> Gallery:
    """The gallery that the study's config asks for, from the files of its data set, its views and its run."""
    spec = study.config["gallery"]
    arrays, attributes = store.read_arrays(embeddings)
    dataset, method = study.facts["datasets"][spec["dataset"]]["title"], study.method_label(spec["method"])
    if attributes["not_applicable"]:
        return Gallery(method, dataset, spec["split"], 0, "class", {}, attributes["not_applicable"])
    views = {"img": store.read_view(image_view), "txt": store.read_view(text_view)}
    featureless = {side: ~view.rows(arrays["test/ids"]).any(axis=1) for side, view in views.items()}
    gallery = make_gallery(spec, dataset, method, store.read_table(pairs), arrays, attributes, featureless, raw)
    return replace(gallery, caveat=" ".join(explained({study.caveats.get(spec["method"], "")})))


def make_gallery(
    spec: Mapping[str, Any],
    dataset: str,
    method: str,
    pairs: pd.DataFrame,
    embeddings: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
    featureless: Mapping[str, np.ndarray],
    raw: Path,
) -> Gallery:
    """Draw queries from the test part and find their first results.

    Parameters
    ----------
    spec : the study's `gallery`: `split`, `tasks`, `classes` (how many), `results` (how many a query) and `seed`.
    dataset, method : their titles.
    pairs : columns id, image, text, labels, group; attribute classes.
    embeddings, attributes : contents of the run's embeddings.h5; its first seed is shown.
    featureless : "img" and "txt" -> (n,) bool, the items of the test part whose features are all zero.
    raw : folder that the image paths start from.
    """
    ids, seed = embeddings["test/ids"], attributes["seeds"][0]
    table = pairs.set_index("id")
    if unknown := [item for item in ids if item not in table.index]:
        raise UserError(f"item {unknown[0]!r} is not in the data set: the embeddings were made from other data")
    table = table.loc[ids]
    has_classes = bool(pairs.attrs["classes"])
    relevant_by = table["labels"] if has_classes else table["group"].map(lambda group: [group])
    queries = _draw(relevant_by, spec["classes"], spec["seed"])
    shelf = _Shelf(table, relevant_by, featureless, raw)
    tasks = {
        TASK_TITLES[task]: _retrieve(
            task, _sides(embeddings, seed, task), queries, shelf, attributes["similarity"], spec["results"]
        )
        for task in spec["tasks"]
    }
    classes = len(pairs.attrs["classes"]) or table["group"].nunique()
    return Gallery(method, dataset, spec["split"], classes, "class" if has_classes else "group", tasks)


def render(gallery: Gallery) -> str:
    """The gallery as one page that loads nothing."""
    return templates().get_template("gallery.html.j2").render(gallery=gallery)


def templates() -> Environment:
    """The library's page templates: everything that they insert is escaped, an unknown name is an error."""
    return Environment(
        loader=PackageLoader("cmr"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _draw(labels: pd.Series, classes: int, seed: int) -> np.ndarray:
    """Row numbers of one item in each of `classes` classes, in the order of the classes' names."""
    generator = np.random.default_rng(seed)
    present = sorted({label for of_item in labels for label in of_item})
    chosen = sorted(generator.choice(present, size=min(classes, len(present)), replace=False))
    rows = []
    for name in chosen:
        candidates = [row for row, of_item in enumerate(labels) if name in of_item and row not in rows]
        if candidates:  # with several labels an item all of a class's items may be taken
            rows.append(int(generator.choice(candidates)))
    return np.asarray(rows)


def _sides(embeddings: Mapping[str, np.ndarray], seed: int, task: str) -> dict[str, np.ndarray]:
    return dict(zip(("img", "txt"), embeddings_of(embeddings, seed, "test", task), strict=True))


def _retrieve(
    task: str, sides: Mapping[str, np.ndarray], queries: np.ndarray, shelf: "_Shelf", similarity: Any, k: int
) -> tuple[Retrieval, ...]:
    asked = task[:3]
    other = "txt" if asked == "img" else "img"
    n = len(sides[asked])
    if task.endswith("all"):
        # The query's own side comes first, so that a query is its own row of the gallery.
        gallery, own, kinds = np.concatenate([sides[asked], sides[other]]), queries, (asked, other)
    else:
        gallery, own, kinds = sides[other], None, (other,)
    nearest, _ = top(sides[asked][queries], gallery, similarity, k, own)
    return tuple(
        Retrieval(
            shelf.item(asked, query),
            tuple(Result(shelf.item(kinds[row // n], row % n), shelf.are_relevant(query, row % n)) for row in found),
        )
        for query, found in zip(queries, nearest, strict=True)
    )


class _Shelf:
    """The items of the test part, each image read once."""

    def __init__(
        self, table: pd.DataFrame, relevant_by: pd.Series, featureless: Mapping[str, np.ndarray], raw: Path
    ) -> None:
        self.table, self.relevant_by, self.featureless, self.raw = table, relevant_by, featureless, raw
        self.sources: dict[int, str | None] = {}

    def item(self, kind: str, row: int) -> Item:
        """The image ("img") or the text ("txt") of the pair in this row."""
        pair = self.table.iloc[row]
        if kind == "img" and row not in self.sources:
            try:
                self.sources[row] = _thumbnail(self.raw / pair["image"])
            except UserError:  # features that came with the data set know it, though its picture is damaged
                self.sources[row] = None
        source = self.sources[row] if kind == "img" else None
        text = pair["text"] or f"{pair.name} (this copy has no texts)"
        if kind == "img" and source is None:
            text = f"{pair.name} (its picture cannot be read)"
        return Item(str(pair.name), text, tuple(pair["labels"]), source, bool(self.featureless[kind][row]))

    def are_relevant(self, row: int, other: int) -> bool:
        return not set(self.relevant_by.iloc[row]).isdisjoint(self.relevant_by.iloc[other])


def _thumbnail(path: Path) -> str:
    """A JPEG data URI of at most `THUMBNAIL` pixels a side, transparency on white."""
    image = load_rgb(path)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
