"""All scores of a model: four retrieval tasks, their metrics, their precision-recall curves, and single queries."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cmr.datasets.pairs import group_numbers, label_matrix
from cmr.errors import UserError
from cmr.metrics import (
    RECALL_LEVELS,
    Places,
    average_precision,
    average_precision_at,
    place_blocks,
    precision_at,
    precision_at_recall,
    recall_at,
    relevance_labels,
)
from cmr.retrieval import Similarity

TASKS = ("img2txt", "txt2img", "img2all", "txt2all")
PARTS = ("valid", "test")
PER_QUERY = ("map_all", "map_at_40_hits", "map_at_50_hits")  # as whose means the metrics of these names are told


def evaluate(
    images: ArrayLike, texts: ArrayLike, labels: ArrayLike, similarity: Similarity
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the embeddings of one part on every task, as means over queries.

    The gallery of `img2txt` is all texts, of `txt2img` all images; of `img2all` and `txt2all` it is all texts and all
    images but the query itself, whose paired other side stays. Items are relevant that share a label with the query.

    Parameters
    ----------
    images, texts : (n, k); row i of both is one pair.
    labels : (n, c) bool, multi-hot.

    Returns
    -------
    scores : columns task, metric, value. Metrics: `map_all`, `map_at_40_hits`, `map_at_50_hits`, `map_at_50_min`,
        `precision_at_1`, `_5`, `_10`, `recall_at_1`, `_5`, `_10`; defined in `cmr.metrics`.
    curves : columns task, recall (0.01, 0.02 ... 1), precision.
    """
    return _evaluate(dict.fromkeys(TASKS, (images, texts)), np.asarray(labels, dtype=bool), similarity)[:2]


def embeddings_of(arrays: Mapping[str, NDArray], seed: int, part: str, task: str) -> tuple[NDArray, NDArray]:
    """Embeddings (n, k) of images and texts in the space in which a task is solved, of the arrays of a run's file.

    Most methods have one space; others have one for image queries and one for text queries.
    """
    space = "img2txt" if task.startswith("img") else "txt2img"
    place = f"{seed}/{part}" if f"{seed}/{part}/images" in arrays else f"{seed}/{part}/{space}"
    return arrays[f"{place}/images"], arrays[f"{place}/texts"]


def _evaluate(
    by_task: Mapping[str, tuple[ArrayLike, ArrayLike]], labels: NDArray[np.bool_], similarity: Similarity
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, pd.DataFrame]]:
    """Scores, curves, and of each task a row a query with a column a metric."""
    scores, curves, queries = [], [], {}
    for task, (images, texts) in by_task.items():
        blocks = [(_metrics(p), precision_at_recall(p)) for p in _places(task, images, texts, labels, similarity)]
        queries[task] = pd.concat([metrics for metrics, _ in blocks], ignore_index=True)
        means = queries[task].mean()
        scores.append(pd.DataFrame({"task": task, "metric": means.index, "value": means.to_numpy()}))
        curve = np.concatenate([precision for _, precision in blocks]).mean(axis=0)
        curves.append(pd.DataFrame({"task": task, "recall": RECALL_LEVELS, "precision": curve}))
    return pd.concat(scores, ignore_index=True), pd.concat(curves, ignore_index=True), queries


def evaluate_run(
    embeddings: Mapping[str, NDArray], attributes: Mapping[str, Any], pairs: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Score the embeddings of a run, all its seeds, on the valid and the test part.

    Parameters
    ----------
    embeddings : for each part `<part>/ids` (n,), and for each seed the arrays that `embeddings_of` tells of.
    attributes : `similarity`, `seeds`, and `not_applicable`: None, or why the method is not defined for such data; then
        there are no embeddings, and no row comes back.
    pairs : the data set's table, with labels and group of every id; without classes, a group is what is relevant.

    Returns
    -------
    scores : columns seed, part, task, metric, value.
    curves : columns seed, part, task, recall, precision; of the test part only.
    queries : columns seed, task, id (of the query's pair) and `PER_QUERY` (float32), the average precision of one query
        each; of the test part only.
    """
    if attributes["not_applicable"]:
        return (
            _no_rows("part", "task", "metric", "value"),
            _no_rows("part", "task", "recall", "precision"),
            _no_rows("task", "id", *PER_QUERY),
        )
    known = set(pairs["id"])
    scores, curves, queries = [], [], []
    for part in PARTS:
        ids = embeddings[f"{part}/ids"]
        if unknown := [item for item in ids if item not in known]:
            raise UserError(
                f"{len(unknown)} items of the {part} part, the first is {unknown[0]!r}, are not in the data set: "
                "the embeddings were made from other data"
            )
        labels = relevance_labels(label_matrix(pairs, ids), group_numbers(pairs, ids))
        for seed in attributes["seeds"]:
            by_task = {task: embeddings_of(embeddings, seed, part, task) for task in TASKS}
            part_scores, part_curves, part_queries = _evaluate(by_task, labels, attributes["similarity"])
            scores.append(_labelled(part_scores, seed=seed, part=part))
            if part == "test":
                curves.append(_labelled(part_curves, seed=seed, part=part))
                queries += [
                    _labelled(table[[*PER_QUERY]].astype("float32"), seed=seed, task=task, id=ids)
                    for task, table in part_queries.items()
                ]
    return tuple(pd.concat(tables, ignore_index=True) for tables in (scores, curves, queries))


def _places(
    task: str, images: ArrayLike, texts: ArrayLike, labels: NDArray[np.bool_], similarity: Similarity
) -> Iterator[Places]:
    queries, others = (images, texts) if task.startswith("img") else (texts, images)
    if not task.endswith("all"):
        return place_blocks(queries, others, labels, labels, similarity)
    # The query's own side comes first, so that a query is its own number in the gallery.
    own = np.arange(len(labels))
    gallery = np.concatenate([queries, others])
    return place_blocks(queries, gallery, labels, np.concatenate([labels, labels]), similarity, own)


def _metrics(places: Places) -> pd.DataFrame:
    """A row a query, a column a metric."""
    return pd.DataFrame(
        {
            "map_all": average_precision(places),
            "map_at_40_hits": average_precision_at(places, 40, "hits"),
            "map_at_50_hits": average_precision_at(places, 50, "hits"),
            "map_at_50_min": average_precision_at(places, 50, "min"),
        }
        | {f"precision_at_{k}": precision_at(places, k) for k in (1, 5, 10)}
        | {f"recall_at_{k}": recall_at(places, k) for k in (1, 5, 10)}
    )


def _no_rows(*columns: str) -> pd.DataFrame:
    types = {"seed": "int64", "part": "str", "task": "str", "metric": "str", "id": "str"}
    types |= dict.fromkeys(("value", "recall", "precision"), "float64") | dict.fromkeys(PER_QUERY, "float32")
    return pd.DataFrame({name: pd.Series(dtype=types[name]) for name in ("seed", *columns)})


def _labelled(table: pd.DataFrame, **labels: Any) -> pd.DataFrame:
    """The table behind columns that tell what it is about."""
    return table.assign(**labels)[[*labels, *table]]
