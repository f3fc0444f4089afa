import json
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from cmr.datasets.statistics import dataset_facts, random_map
from cmr.evaluation import evaluate_run
from cmr.metrics import relevance_labels


def table(**columns):
    """Pairs of a small data set; what is not given is absent, or of no interest."""
    count = len(next(iter(columns.values())))
    ids = [f"item-{i}" for i in range(count)]
    columns = {
        "id": ids,
        "image": [None] * count,
        "text": [None] * count,
        "labels": [[] for _ in ids],
        "part": [None] * count,
        "group": ids,
    } | columns
    pairs = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    pairs.attrs = {"classes": sorted({name for names in columns["labels"] for name in names}), "dropped": 3}
    return pairs


def split_of(pairs, parts):
    split = pd.DataFrame({"id": pairs["id"], "part": parts})
    return split[split["part"] != ""]


def facts_of_split(pairs, parts, images=None):
    return dataset_facts(pairs, {"a": split_of(pairs, parts)}, images)["splits"]["a"]


def pictures(pairs, digests, sizes=None):
    """A checked table of images; those without a digest cannot be used."""
    sizes = sizes or [(4, 3)] * len(pairs)
    good = [digest is not None for digest in digests]
    sides = [[size[side] if fine else None for size, fine in zip(sizes, good, strict=True)] for side in (0, 1)]
    return pd.DataFrame(
        {
            "id": pairs["id"],
            "sha256": pd.Series(digests, dtype=object),
            "width": pd.array(sides[0], dtype="Int64"),
            "height": pd.array(sides[1], dtype="Int64"),
            "problem": pd.Series([None if fine else "cut short" for fine in good], dtype=object),
        }
    )


def average_precision(relevant):
    """By the definition, of one ranking."""
    hits = np.flatnonzero(relevant) + 1
    return np.mean(np.arange(1, len(hits) + 1) / hits) if len(hits) else 0.0


@pytest.mark.parametrize(
    "classes",
    [
        [["a"], ["a"], ["b"], ["b"], ["b"], ["c"]],
        [["a", "b"], ["b", "c"], ["c"], [], ["d"], ["a", "d", "c"]],
        [["a"]],
        [[], []],
    ],
)
def test_random_map_is_the_mean_over_all_rankings(classes):
    sets = [set(names) for names in classes]
    rankings = [
        np.mean([average_precision([bool(query & sets[item]) for item in order]) for query in sets])
        for order in permutations(range(len(sets)))
    ]
    assert random_map(classes) == pytest.approx(np.mean(rankings), abs=1e-12)


@pytest.mark.parametrize("with_classes", [True, False])
def test_random_map_is_what_the_evaluator_gives_constant_embeddings(with_classes):
    # More than 64 items and labels that differ in number, so that bits fill several words.
    rng = np.random.default_rng(0)
    labels = [list(rng.choice(list("abcdefgh"), rng.integers(0, 4), replace=False)) for _ in range(150)]
    columns = {"labels": labels} if with_classes else {"group": [f"g{i // 5}" for i in range(150)]}
    pairs = table(**columns)
    parts = ["train"] * 9 + ["valid"] * 11 + ["test"] * 130
    ids = {part: pairs["id"][np.array(parts) == part].to_numpy() for part in ("valid", "test")}
    embeddings = {f"{part}/ids": items for part, items in ids.items()}
    embeddings |= {f"0/{part}/{side}": np.ones((len(ids[part]), 2)) for part in ids for side in ("images", "texts")}
    scores, *_ = evaluate_run(embeddings, {"similarity": "cosine", "seeds": [0], "not_applicable": None}, pairs)
    (score,) = scores.query("part == 'test' and task == 'img2txt' and metric == 'map_all'")["value"]
    assert facts_of_split(pairs, parts)["random_map"] == pytest.approx(score, abs=1e-12)


def test_random_map_of_many_items_follows_the_definition_of_relevance():
    rng = np.random.default_rng(1)
    hot = rng.random((3000, 81)) < 0.03
    relevance = relevance_labels(hot, np.arange(3000)).astype(np.float32)
    relevant = (relevance @ relevance.T > 0).sum(axis=1)
    n, harmonic = 3000, (1 / np.arange(1, 3001)).sum()
    expected = np.where(relevant > 0, (harmonic + (relevant - 1) / (n - 1) * (n - harmonic)) / n, 0).mean()
    assert random_map([[f"c{i}" for i in np.flatnonzero(row)] for row in hot]) == pytest.approx(expected, abs=1e-9)


def test_classes_and_labels_are_counted_by_pair():
    facts = dataset_facts(table(labels=[["b"], ["a", "b"], ["a", "b", "c"], ["b"]]), {})
    assert facts["classes"] == {"a": 2, "b": 4, "c": 1}
    assert facts["labels"] == {"mean": 7 / 4, "max": 3}
    assert (facts["pairs"], facts["dropped"], facts["groups"]) == (4, 3, 4)


def test_words_end_at_blanks_of_any_kind():
    words = dataset_facts(table(text=["one", "a b\tc\n d ", "two words", "x " * 7]), {})["texts"]["words"]
    assert (words["least"], words["median"], words["mean"], words["most"]) == (1, 3.0, 3.5, 7)
    assert words["histogram"] == {"first": 1, "width": 1, "counts": [1, 1, 0, 1, 0, 0, 1], "beyond": 0}


def test_one_huge_text_does_not_flatten_the_histogram():
    lengths = [*range(1, 1001), 50_000]
    histogram = dataset_facts(table(text=["w " * length for length in lengths]), {})["texts"]["words"]["histogram"]
    assert (histogram["first"], sum(histogram["counts"]) + histogram["beyond"]) == (1, 1001)
    assert len(histogram["counts"]) <= 30
    assert 0 < histogram["beyond"] <= 11
    # The bars cover what they count: a text of the last bar's end and no longer one.
    end = histogram["first"] + histogram["width"] * len(histogram["counts"])
    assert histogram["beyond"] == sum(length >= end for length in lengths)


def test_what_a_copy_lacks_has_no_facts():
    facts = dataset_facts(table(labels=[["a"], ["b"]]), {})
    assert facts["texts"] == {"number": 0}
    assert facts["images"] == {"number": 0}
    assert facts["duplicates"] == {"group": 0, "text": 0}


def test_sizes_are_those_of_the_images_that_can_be_read():
    pairs = table(image=["a.png", "b.png", "c.png", "d.png"])
    images = pictures(pairs, ["1", None, "3", "4"], [(10, 20), (9, 9), (400, 100), (30, 300)])
    facts = dataset_facts(pairs, {}, images)["images"]
    assert (facts["number"], facts["unreadable"]) == (4, 1)
    size = facts["size"]
    assert (size["median"], size["smallest"], size["largest"]) == ([30, 100], [10, 20], [400, 100])
    assert sum(size["width"]["counts"]) + size["width"]["beyond"] == 3


def test_duplicates_are_pairs_whose_group_text_or_image_another_has():
    pairs = table(
        image=["a", "b", "c", "d", "e"],
        text=["A  cat", "a CAT", "dog", " a cat", "bird"],
        group=["g", "g", "h", "i", "j"],
    )
    images = pictures(pairs, ["1", "1", None, None, "2"])
    assert dataset_facts(pairs, {}, images)["duplicates"] == {"group": 2, "text": 3, "image": 2}
    assert dataset_facts(pairs, {})["duplicates"] == {"group": 2, "text": 3}


def test_a_split_tells_its_sizes_and_what_its_parts_share():
    pairs = table(image=list("abcdef"), text=["t", "T", "u", "v", "v", "t"], group=["g", "h", "h", "i", "j", "k"])
    images = pictures(pairs, ["1", "2", "2", "1", None, "1"])
    split = facts_of_split(pairs, ["train", "valid", "test", "test", "train", ""], images)
    assert [split[key] for key in ("train", "valid", "test", "left_out")] == [2, 1, 2, 1]
    # t is in train and valid, v in train and test; group h in valid and test; image 1 in train and test, 2 in
    # valid and test.
    assert split["overlaps"] == {"group": 1, "text": 2, "image": 2}
    assert split["overlaps_train_test"] == {"group": 0, "text": 1, "image": 1}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["train", "valid", "test", "test"], True),
        (["valid", "train", "test", "test"], True),
        (["train", "test", "test", "valid"], False),
        (["train", "valid", "test", ""], False),
    ],
)
def test_a_test_part_is_the_sources_where_it_has_the_same_items(parts, expected):
    pairs = table(labels=[["a"]] * 4, part=["train", "train", "test", "test"])
    assert facts_of_split(pairs, parts)["test_of_source"] is expected
    assert not facts_of_split(pairs.assign(part=None), parts)["test_of_source"]


def test_facts_are_json():
    pairs = table(text=["a b", "c"], image=["x", "y"], labels=[["a"], ["a", "b"]])
    facts = dataset_facts(pairs, {"a": split_of(pairs, ["train", "test"])}, pictures(pairs, ["1", "2"]))
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
