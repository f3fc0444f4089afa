"""Example retrievals: queries drawn at random and the first results of one or several methods, for the eye.

Nothing here is chosen for looking good: a random generator with a fixed seed draws one query in each class, and the
classes too where the study names none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from cmr import store
from cmr.datasets.images import data_uri, load_rgb, thumbnail
from cmr.errors import UserError
from cmr.evaluation import embeddings_of
from cmr.interactive import libraries
from cmr.provenance import check_made_of
from cmr.results import TASK_TITLES, Run, Study, rehearsal
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
class Ranking:
    """The first results of a query by one method, best first."""

    method: str
    results: tuple[Result, ...]

    @property
    def hits(self) -> int:
        return sum(result.relevant for result in self.results)


@dataclass(frozen=True)
class Retrieval:
    """A query with a ranking a method."""

    query: Item
    rankings: tuple[Ranking, ...]


@dataclass(frozen=True)
class Gallery:
    """Retrievals on one split by one or several methods, by task.

    Attributes
    ----------
    methods, dataset, split : what the retrievals are of; methods that are applicable and the data set by their titles.
    classes : all classes of the data set, or groups where it has none; a query is drawn from each of some of them.
    named : the classes that the study names, of each of which a query is drawn; none where they are drawn too.
    kind : "class" or "group".
    tasks : title of each task -> its retrievals, the same queries for the same side.
    not_applicable : title of a method that is not applicable to the data -> why.
    caveats : what the marks behind the methods' titles mean.
    item : its name in a paper; head : what is to be told above it.
    """

    methods: tuple[str, ...]
    dataset: str
    split: str
    classes: int
    named: tuple[str, ...]
    kind: str
    tasks: dict[str, tuple[Retrieval, ...]]
    not_applicable: dict[str, str] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    item: str = ""
    head: tuple[str, ...] = ()

    @property
    def drawn(self) -> int:
        """How many classes gave a query."""
        return max(map(len, self.tasks.values()))

    @property
    def has_featureless(self) -> bool:
        """Whether an item without features is shown, as a query or as a result."""
        retrievals = [retrieval for found in self.tasks.values() for retrieval in found]
        results = [result.item for r in retrievals for ranking in r.rankings for result in ranking.results]
        return any(item.featureless for item in (*results, *(r.query for r in retrievals)))


def methods_of(spec: Mapping[str, Any]) -> list[str]:
    """The methods whose retrievals a study's `gallery` shows."""
    return spec["methods"] if "methods" in spec else [spec["method"]]


def read_gallery(
    study: Study, pairs: Path, embeddings: Sequence[Path], image_view: Path, text_view: Path, raw: Path
) -> Gallery:
    """The gallery that the study's config asks for, from the files of its data set, its views and its runs.

    embeddings : of each method, in the order of `methods_of`.
    """
    spec = study.config["gallery"]
    methods = methods_of(spec)
    if [Run.of_folder(path.parent).method for path in embeddings] != methods:
        raise UserError(
            f"study {study.facts['study']}: the gallery shows {', '.join(methods)}, and the embeddings of each are "
            f"needed in this order; there are {', '.join(map(str, embeddings))}"
        )
    read = {method: store.read_arrays(path) for method, path in zip(methods, embeddings, strict=True)}
    made_of = {"pairs": pairs, "image_view": image_view, "text_view": text_view}
    for path, (_, attributes) in zip(embeddings, read.values(), strict=True):
        check_made_of(path, attributes.get("inputs", {}), made_of)
    reasons = {method: attributes["not_applicable"] for method, (_, attributes) in read.items()}
    runs = {study.method_label(method): run for method, run in read.items() if not reasons[method]}
    dataset = study.facts["datasets"][spec["dataset"]]["title"]
    if runs:
        views = {"img": store.read_view(image_view), "txt": store.read_view(text_view)}
        ids = next(iter(runs.values()))[0]["test/ids"]
        featureless = {side: ~view.rows(ids).any(axis=1) for side, view in views.items()}
        gallery = make_gallery(spec, dataset, runs, store.read_table(pairs), featureless, raw)
    else:
        gallery = Gallery((), dataset, spec["split"], 0, (), "class", {})
    return replace(
        gallery,
        not_applicable={
            study.method_label(method): study.reason_of(method, reason) for method, reason in reasons.items() if reason
        },
        caveats=tuple(explained({study.caveats.get(method, "") for method in methods})),
        item=spec.get("item", ""),
        head=tuple(rehearsal(study)),
    )


def make_gallery(
    spec: Mapping[str, Any],
    dataset: str,
    runs: Mapping[str, tuple[Mapping[str, np.ndarray], Mapping[str, Any]]],
    pairs: pd.DataFrame,
    featureless: Mapping[str, np.ndarray],
    raw: Path,
) -> Gallery:
    """Draw queries from the test part and find their first results.

    Parameters
    ----------
    spec : the study's `gallery`: `split`, `tasks`, `classes` (how many, or their names), `results` (how many a query)
        and `seed`.
    dataset : its title.
    runs : title of a method -> arrays and attributes of its embeddings.h5; its first seed is shown.
    pairs : columns id, image, text, labels, group; attribute classes.
    featureless : "img" and "txt" -> (n,) bool, the items of the test part whose features are all zero.
    raw : folder that the image paths start from.
    """
    ids = next(iter(runs.values()))[0]["test/ids"]
    for method, (arrays, _) in runs.items():
        if not np.array_equal(arrays["test/ids"], ids):
            raise UserError(f"the test items of {method} are not those of {next(iter(runs))}: name runs of one split")
    table = pairs.set_index("id")
    if unknown := [item for item in ids if item not in table.index]:
        raise UserError(f"item {unknown[0]!r} is not in the data set: the embeddings were made from other data")
    table = table.loc[ids]
    has_classes = bool(pairs.attrs["classes"])
    relevant_by = table["labels"] if has_classes else table["group"].map(lambda group: [group])
    queries = draw_items(relevant_by, spec["classes"], spec["seed"])
    shelf = _Shelf(table, relevant_by, featureless, raw)
    tasks = {}
    for task in spec["tasks"]:
        found = {
            method: _retrieve(
                task,
                _sides(arrays, attributes["seeds"][0], task),
                queries,
                shelf,
                attributes["similarity"],
                spec["results"],
            )
            for method, (arrays, attributes) in runs.items()
        }
        tasks[TASK_TITLES[task]] = tuple(
            Retrieval(
                shelf.item(task[:3], query),
                tuple(Ranking(method, of_queries[place]) for method, of_queries in found.items()),
            )
            for place, query in enumerate(queries)
        )
    return Gallery(
        methods=tuple(runs),
        dataset=dataset,
        split=spec["split"],
        classes=len(pairs.attrs["classes"]) or table["group"].nunique(),
        named=() if isinstance(spec["classes"], int) else tuple(spec["classes"]),
        kind="class" if has_classes else "group",
        tasks=tasks,
    )


def render(gallery: Gallery) -> str:
    """The gallery as one page that loads nothing."""
    return templates().get_template("gallery.html.j2").render(gallery=gallery)


def templates() -> Environment:
    """The library's page templates: everything that they insert is escaped, an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader("cmr"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["libraries"] = libraries
    return environment


def draw_items(labels: pd.Series, classes: int | Sequence[str], seed: int) -> np.ndarray:
    """Row numbers of one item in each class, drawn at random.

    labels : of each item, in the order of rows.
    classes : their names; or how many, which are then drawn too, and stand in the order of their names.
    """
    generator = np.random.default_rng(seed)
    present = sorted({label for of_item in labels for label in of_item})
    if isinstance(classes, int):
        chosen = sorted(generator.choice(present, size=min(classes, len(present)), replace=False))
    elif unknown := [name for name in classes if name not in present]:
        raise UserError(f'no test item is of the class "{unknown[0]}"; there are {", ".join(present)}')
    else:
        chosen = classes
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
) -> list[tuple[Result, ...]]:
    """The first k results of each query."""
    asked = task[:3]
    other = "txt" if asked == "img" else "img"
    n = len(sides[asked])
    if task.endswith("all"):
        # The query's own side comes first, so that a query is its own row of the gallery.
        gallery, own, kinds = np.concatenate([sides[asked], sides[other]]), queries, (asked, other)
    else:
        gallery, own, kinds = sides[other], None, (other,)
    nearest, _ = top(sides[asked][queries], gallery, similarity, k, own)
    return [
        tuple(Result(shelf.item(kinds[row // n], row % n), shelf.are_relevant(query, row % n)) for row in found)
        for query, found in zip(queries, nearest, strict=True)
    ]


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
                self.sources[row] = data_uri(thumbnail(load_rgb(self.raw / pair["image"]), THUMBNAIL))
            except UserError:  # features that came with the data set know it, though its picture is damaged
                self.sources[row] = None
        source = self.sources[row] if kind == "img" else None
        text = pair["text"] or f"{pair.name} (this copy has no texts)"
        if kind == "img" and source is None:
            text = f"{pair.name} (its picture cannot be read)"
        return Item(str(pair.name), text, tuple(pair["labels"]), source, bool(self.featureless[kind][row]))

    def are_relevant(self, row: int, other: int) -> bool:
        return not set(self.relevant_by.iloc[row]).isdisjoint(self.relevant_by.iloc[other])
