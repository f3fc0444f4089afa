import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmr import store
from cmr.errors import UserError
from cmr.evaluation import TASKS, evaluate, evaluate_run
from cmr.metrics import bimodal_map

ROOT = Path(__file__).parents[2]
METRICS = ["map_all", "map_at_40_hits", "map_at_50_hits", "map_at_50_min"] + [
    f"{m}_at_{k}" for m in ("precision", "recall") for k in (1, 5, 10)
]


@pytest.fixture
def part():
    rng = np.random.default_rng(0)
    return *rng.normal(size=(2, 90, 5)), rng.random((90, 4)) < 0.4


def value(scores, task, metric):
    return scores.set_index(["task", "metric"]).loc[(task, metric), "value"]


def test_every_task_has_every_metric_and_a_curve(part):
    scores, curves = evaluate(*part, "cosine")
    assert list(scores.columns) == ["task", "metric", "value"]
    assert scores.groupby("task", sort=False)["metric"].apply(list).to_dict() == dict.fromkeys(TASKS, METRICS)
    assert list(curves.columns) == ["task", "recall", "precision"]
    for task in TASKS:
        np.testing.assert_allclose(curves.loc[curves["task"] == task, "recall"], np.arange(1, 101) / 100)
    for values in (scores["value"], curves["precision"]):
        assert values.between(0, 1).all()


def plain_scores(ranking):
    """Every metric of one ranking without ties (relevance, best first), and its curve, from their definitions."""
    relevant = int(ranking.sum())
    precision = np.cumsum(ranking) / np.arange(1, len(ranking) + 1)
    head, head_sum = ranking[:50], precision[:50][ranking[:50]].sum()
    short, short_sum = ranking[:40], precision[:40][ranking[:40]].sum()
    scores = {
        "map_all": precision[ranking].mean(),
        "map_at_40_hits": short_sum / short.sum(),
        "map_at_50_hits": head_sum / head.sum(),
        "map_at_50_min": head_sum / min(50, relevant),
    }
    scores |= {f"precision_at_{k}": ranking[:k].sum() / k for k in (1, 5, 10)}
    scores |= {f"recall_at_{k}": ranking[:k].sum() / relevant for k in (1, 5, 10)}
    shares = [-(-percent * relevant // 100) for percent in range(1, 101)]
    return scores, precision[ranking][np.array(shares) - 1]


def test_every_reported_value_is_the_mean_of_its_definition_over_queries(part):
    """Against galleries put together one query at a time, all-modal ones in another order."""
    images, texts, labels = part
    scores, curves = evaluate(*part, "cosine")
    zero = dict.fromkeys(METRICS, 0), np.zeros(100)
    for task in TASKS:
        queries, others = (images, texts) if task.startswith("img") else (texts, images)
        expected = []
        for i in range(len(queries)):
            gallery, gallery_labels = others, labels
            if task.endswith("all"):
                gallery = np.concatenate([others, np.delete(queries, i, axis=0)])
                gallery_labels = np.concatenate([labels, np.delete(labels, i, axis=0)])
            relevance = (gallery_labels & labels[i]).any(axis=1)
            cosine = gallery @ queries[i] / np.linalg.norm(gallery, axis=1)
            expected.append(plain_scores(relevance[np.argsort(-cosine)]) if relevance.any() else zero)
        means = pd.DataFrame([metrics for metrics, _ in expected]).mean()
        assert means.round(6).is_unique  # or columns that are swapped could pass
        for metric in METRICS:
            assert value(scores, task, metric) == pytest.approx(means[metric]), (task, metric)
        curve = np.mean([precisions for _, precisions in expected], axis=0)
        np.testing.assert_allclose(curves.loc[curves["task"] == task, "precision"], curve, rtol=1e-9)


def test_only_the_paired_side_is_found_where_each_pair_is_its_own_class():
    rng = np.random.default_rng(1)
    items = rng.normal(size=(12, 20))
    scores, curves = evaluate(items, items, np.eye(12, dtype=bool), "euclidean")
    # A query that stood in its own gallery would tie with its other side, and recall could not be 1 at the first place.
    for task in TASKS:
        for metric in ("map_all", "precision_at_1", "recall_at_1"):
            assert value(scores, task, metric) == 1
    np.testing.assert_array_equal(curves["precision"], 1)


def test_a_constant_embedding_scores_as_a_random_ranking():
    n, classes = 60, 3
    labels = np.eye(classes, dtype=bool)[np.arange(n) % classes]
    scores, curves = evaluate(np.ones((n, 4)), np.ones((n, 4)), labels, "cosine")
    for task in TASKS:
        size, relevant = (2 * n - 1, 2 * n // classes - 1) if task.endswith("all") else (n, n // classes)
        harmonic = (1 / np.arange(1, size + 1)).sum()
        expected = (relevant - 1) / (size - 1) + (size - relevant) / (size * (size - 1)) * harmonic
        assert value(scores, task, "map_all") == pytest.approx(expected)
        assert value(scores, task, "precision_at_5") == pytest.approx(relevant / size)
        assert value(scores, task, "recall_at_5") == pytest.approx(5 / size)
        # Of all sets of places of the relevant items, the wanted one is at t in C(t-1, wanted-1) C(size-t, rest).
        curve = []
        for percent in range(1, 101):
            wanted = -(-percent * relevant // 100)
            sets = {
                t: math.comb(t - 1, wanted - 1) * math.comb(size - t, relevant - wanted)
                for t in range(wanted, size - relevant + wanted + 1)
            }
            curve.append(sum(wanted / t * (count / math.comb(size, relevant)) for t, count in sets.items()))
        np.testing.assert_allclose(curves.loc[curves["task"] == task, "precision"], curve, rtol=1e-9)


def test_swapping_the_modalities_swaps_the_tasks(part):
    images, texts, labels = part
    swapped = {"img2txt": "txt2img", "txt2img": "img2txt", "img2all": "txt2all", "txt2all": "img2all"}
    there, back = evaluate(images, texts, labels, "cosine"), evaluate(texts, images, labels, "cosine")
    for table, other, keys in zip(there, back, (["task", "metric"], ["task", "recall"]), strict=True):
        renamed = other.assign(task=other["task"].map(swapped))
        pd.testing.assert_frame_equal(table, table[keys].merge(renamed, on=keys))


def test_selection_sees_the_score_that_is_reported(part):
    scores, _ = evaluate(*part, "correlation")
    reported = (value(scores, "img2txt", "map_all") + value(scores, "txt2img", "map_all")) / 2
    assert bimodal_map(*part, "correlation") == pytest.approx(reported, rel=1e-14)


@pytest.fixture
def run(tmp_path):
    """Embeddings of two seeds; the first is perfect, the second is constant."""
    rng = np.random.default_rng(2)
    ids = [f"item{i}" for i in range(30)]
    labels = [["cat"] if i % 2 else ["cat", "dog"] if i % 4 else ["dog"] for i in range(30)]
    pairs = pd.DataFrame({"id": ids, "image": "", "text": "", "labels": labels, "group": ids})
    store.write_table(tmp_path / "pairs.parquet", pairs, {"classes": ["cat", "dog"]})
    arrays = {}
    for part, chosen in {"valid": rng.permutation(30)[:10], "test": rng.permutation(30)[:18]}.items():
        points = np.array([["cat" in labels[i], "dog" in labels[i]] for i in chosen], dtype=np.float32)
        arrays[f"{part}/ids"] = np.array(ids)[chosen]
        for side in ("images", "texts"):
            arrays[f"0/{part}/{side}"] = points
            arrays[f"7/{part}/{side}"] = np.ones_like(points)
    store.write_arrays(
        tmp_path / "embeddings.h5",
        arrays,
        {"similarity": "cosine", "seeds": [0, 7], "not_applicable": None, "inputs": {}},
    )
    return tmp_path


def script(folder):
    options = {"embeddings": "embeddings.h5", "pairs": "pairs.parquet", "metrics": "m.parquet"}
    options |= {"curves": "c.parquet", "queries": "q.parquet"}
    arguments = [part for name, file in options.items() for part in (f"--{name}", folder / file)]
    return subprocess.run(
        [sys.executable, ROOT / "scripts/evaluate.py", *arguments], capture_output=True, text=True, check=False
    )


def test_the_script_scores_every_seed_on_its_own_labels(run):
    assert script(run).stderr.startswith(f"{2 * 2 * 4 * len(METRICS)} scores of 4 tasks, ")
    scores, curves = store.read_table(run / "m.parquet"), store.read_table(run / "c.parquet")
    assert list(scores.columns) == ["seed", "part", "task", "metric", "value"]
    assert list(curves.columns) == ["seed", "part", "task", "recall", "precision"]
    assert len(scores) == 2 * 2 * 4 * len(METRICS)
    assert len(curves) == 2 * 4 * 100
    assert set(curves["part"]) == {"test"}
    # Points that share a label have a cosine above 0, all others 0: only labels in the order of the ids give 1.
    maps = scores[scores["metric"] == "map_all"].set_index(["seed", "part", "task"])["value"]
    np.testing.assert_array_equal(maps.loc[0], 1)
    assert (maps.loc[7] < 0.95).all()


def test_queries_are_told_one_by_one_with_their_own_id(run):
    arrays, attributes = store.read_arrays(run / "embeddings.h5")
    pairs = store.read_table(run / "pairs.parquet")
    rng = np.random.default_rng(3)
    for side in ("images", "texts"):
        arrays[f"0/test/{side}"] = rng.normal(size=(18, 3))
    scores, _, queries = evaluate_run(arrays, attributes, pairs)
    assert list(queries) == ["seed", "task", "id", "map_all", "map_at_40_hits", "map_at_50_hits"]
    assert len(queries) == 2 * 4 * 18 and set(queries["id"]) == set(arrays["test/ids"])
    told = queries.melt(["seed", "task", "id"], var_name="metric").astype({"value": float})
    means = told.groupby(["seed", "task", "metric"])["value"].mean()
    expected = scores.query("part == 'test'").set_index(["seed", "task", "metric"])["value"]
    np.testing.assert_allclose(means, expected.loc[means.index], rtol=1e-6)
    labels = dict(zip(pairs["id"], map(set, pairs["labels"]), strict=True))
    for row, item in enumerate(arrays["test/ids"]):
        cosine = arrays["0/test/texts"] @ arrays["0/test/images"][row]
        cosine /= np.linalg.norm(arrays["0/test/texts"], axis=1)
        relevance = np.array([bool(labels[item] & labels[other]) for other in arrays["test/ids"]])
        one = told.query("seed == 0 and task == 'img2txt' and id == @item").set_index("metric")["value"]
        assert one["map_all"] == pytest.approx(plain_scores(relevance[np.argsort(-cosine)])[0]["map_all"], rel=1e-6)


def test_without_scores_tables_have_their_types(run):
    arrays, attributes = store.read_arrays(run / "embeddings.h5")
    pairs = store.read_table(run / "pairs.parquet")
    full = evaluate_run(arrays, attributes, pairs)
    empty = evaluate_run({}, attributes | {"not_applicable": "never"}, pairs)
    for some, none in zip(full, empty, strict=True):
        assert not len(none) and none.dtypes.to_dict() == some.dtypes.to_dict()


def test_without_classes_what_belongs_together_is_relevant():
    """Two captions an image: the gallery holds two relevant items a query."""
    ids = [f"i{k}" for k in range(6)]
    pairs = pd.DataFrame({"id": ids, "labels": [[]] * 6, "group": ["a", "a", "b", "b", "c", "c"]})
    pairs.attrs["classes"] = []
    points = np.repeat(np.eye(3), 2, axis=0)
    arrays = {f"{part}/ids": np.array(ids) for part in ("valid", "test")}
    arrays |= {f"0/{part}/{side}": points for part in ("valid", "test") for side in ("images", "texts")}
    scores, *_ = evaluate_run(arrays, {"similarity": "cosine", "seeds": [0], "not_applicable": None}, pairs)
    scores = scores.query("part == 'test' and task == 'img2txt'").set_index("metric")["value"]
    assert scores["map_all"] == 1
    assert scores["precision_at_5"] == pytest.approx(2 / 5)
    arrays["0/test/texts"] = np.roll(points, 2, axis=0)  # every group finds another
    scores, *_ = evaluate_run(arrays, {"similarity": "cosine", "seeds": [0], "not_applicable": None}, pairs)
    assert scores.query("part == 'test' and metric == 'precision_at_1'")["value"].iloc[0] == 0


def test_items_of_another_data_set_are_refused(run):
    pairs = store.read_table(run / "pairs.parquet")
    store.write_table(run / "pairs.parquet", pairs[:3], {"classes": ["cat", "dog"]})
    result = script(run)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "items of the valid part, the first is 'item" in result.stderr
    assert not list(run.glob("[mcq].parquet"))


def test_a_side_of_another_length_is_refused(part):
    images, texts, labels = part
    with pytest.raises(UserError, match="gallery: 89 embeddings but 90 rows of labels"):
        evaluate(images, texts[1:], labels, "cosine")
