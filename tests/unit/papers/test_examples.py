import json
import runpy
import sys

import numpy as np
import pandas as pd
import pytest

from cmr import figures, files, store
from cmr.errors import UserError
from cmr.papers.examples import class_values, related_words
from cmr.results import Study
from cmr.vectorisation.comparison import ANSWERS, SCORES
from cmr.vectorisation.summary import Summary
from tests.drawn import drawn
from tests.made_study import CLASSES, HOSTILE, made_study, write_dataset

ATTRIBUTES = {"similarity": "euclidean", "seeds": [3, 4], "not_applicable": None}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"))


def made_embeddings(pairs, width=3):
    """Of every second item, backwards: item i is i in its first dimension, i + 0.25 in the next; texts are 100 more."""
    ids = list(pairs["id"])[::-2]
    numbers = np.array([int(item[-2:]) for item in ids])[:, None] + 0.25 * np.arange(width)
    own = {"3/test/images": numbers, "3/test/texts": numbers + 100}
    other = {"4/test/images": -numbers, "4/test/texts": -numbers}
    return {"test/ids": np.asarray(ids, dtype=object)} | own | other


def test_each_class_has_its_own_dimension_of_the_first_seed(pairs):
    values = class_values(made_embeddings(pairs), ATTRIBUTES, pairs, examples=3, seed=0)
    assert list(values["class"].unique()) == list(CLASSES)
    for row in values.itertuples():
        expected = int(row.pair[-2:]) + 0.25 * CLASSES.index(row[3]) + 100 * (row.side == "text")
        assert row.value == expected


def test_pairs_are_test_items_one_a_class_with_their_true_classes(pairs):
    values = class_values(made_embeddings(pairs), ATTRIBUTES, pairs, examples=3, seed=0)
    labels = dict(zip(pairs["id"], pairs["labels"], strict=True))
    true = {pair: list(own.loc[own["true"], "class"].unique()) for pair, own in values.groupby("pair", sort=False)}
    assert true == {pair: labels[pair] for pair in true}
    assert list(true.values()) == [[name] for name in CLASSES]
    assert set(true) <= set(list(pairs["id"])[::-2])
    assert len(values) == 3 * 2 * 3


def test_a_seed_draws_the_same_pairs_and_another_one_others(pairs):
    drawn = [
        tuple(class_values(made_embeddings(pairs), ATTRIBUTES, pairs, examples=2, seed=seed)["pair"].unique())
        for seed in (0, 0, *range(1, 6))
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 3
    assert all(len(one) == 2 for one in drawn)


def test_texts_are_shortened_and_may_be_missing(pairs):
    long = pairs.assign(text=["word " * 60 if k % 2 else None for k in range(len(pairs))])
    long.attrs = pairs.attrs
    values = class_values(made_embeddings(pairs), ATTRIBUTES, long, examples=3, seed=0)
    for pair, text in zip(values["pair"], values["text"], strict=True):
        assert text == "" if int(pair[-2:]) % 2 == 0 else text.endswith("word …") and len(text) <= 90
    whole = class_values(made_embeddings(pairs), ATTRIBUTES, pairs.assign(text=HOSTILE), examples=1, seed=0)
    assert set(whole["text"]) == {HOSTILE}


@pytest.mark.parametrize("width", [2, 4])
def test_dimensions_that_are_no_classes_are_refused(pairs, width):
    with pytest.raises(UserError, match=f"have {width} dimensions, and the data set has 3 classes.*such as eisr"):
        class_values(made_embeddings(pairs, width), ATTRIBUTES, pairs, examples=3, seed=0)


def test_a_data_set_without_classes_is_refused(pairs):
    bare = pairs.assign(labels=[[] for _ in range(len(pairs))])
    bare.attrs = {"classes": []}
    with pytest.raises(UserError, match="the data set has 0 classes"):
        class_values(made_embeddings(pairs), ATTRIBUTES, bare, examples=3, seed=0)


def test_a_method_that_is_not_applicable_gives_no_row(pairs):
    assert class_values({}, ATTRIBUTES | {"not_applicable": "why"}, pairs, examples=3, seed=0).empty


ABOUT = {
    "datasets": {"made": "Made <texts>", "more": "More texts"},
    "vectorisers": {"glove": "GloVe", "bow": "BoW"},
}


def write_vectorisation(folder):
    """Every measure of two vectorisers on two data sets; values tell of what they are."""
    lists = [("cosine", "semantic"), ("separation", "semantic"), ("cosine", "syntactic"), ("rho", "simlex")]
    for k, dataset in enumerate(ABOUT["datasets"]):
        rows = [
            (*one, name, 40, 41, 42, value, value - 0.01, value + 0.02, 1, value, value, 0.05 * j, np.nan, np.nan)
            for i, one in enumerate(lists)
            for j, name in enumerate(("bow", "glove"))
            for value in [0.1 + 0.2 * i + 0.05 * j + 0.02 * k]
        ]
        store.write_table(folder / dataset / "scores.parquet", pd.DataFrame(rows, columns=SCORES), {"split": "s"})
        store.write_table(folder / dataset / "answers.parquet", pd.DataFrame(columns=ANSWERS), {"split": "s"})
    return [folder / dataset for dataset in ABOUT["datasets"]]


def test_related_words_are_the_cosines_under_titles_in_their_order(tmp_path):
    found = related_words(Summary.read(write_vectorisation(tmp_path), ABOUT))
    semantic = found[found["pairs"] == "Cosine, semantic pairs"]
    assert list(zip(semantic["dataset"], semantic["vectoriser"], strict=True)) == [
        ("Made <texts>", "GloVe"),
        ("Made <texts>", "BoW"),
        ("More texts", "GloVe"),
        ("More texts", "BoW"),
    ]
    assert list(semantic["value"]) == pytest.approx([0.15, 0.10, 0.17, 0.12])
    assert list(semantic["floor"]) == pytest.approx([0.05, 0, 0.05, 0])
    syntactic = found[found["pairs"] == "Cosine, syntactic pairs"]
    assert list(syntactic["value"]) == pytest.approx([0.55, 0.50, 0.57, 0.52])
    assert len(found) == 8


@pytest.fixture
def run(monkeypatch):
    def of(*arguments):
        monkeypatch.setattr(sys, "argv", ["collect_examples.py", *map(str, arguments)])
        runpy.run_path("scripts/collect_examples.py")["main"]()

    return of


def test_the_script_makes_what_the_figures_kind_needs(tmp_path, run, capsys):
    made_study(tmp_path)
    folder, embeddings = tmp_path / "study", tmp_path / "results/runs/made/random-1/pixels+bow/cca/embeddings.h5"
    facts = files.read_json(folder / "study.json")
    facts["config"]["figures"] = {
        "bars": {"kind": "class_bars", "method": "cca", "examples": 2, "seed": 0, "caption": "c"},
        "words": {"kind": "vectorisers", "caption": "c"},
    }
    files.write_json(folder / "study.json", facts)
    pairs = tmp_path / "data/datasets/made/pairs.parquet"
    store.write_arrays(embeddings, made_embeddings(store.read_table(pairs)), ATTRIBUTES)
    bars, words = (folder / f"figure_data/{name}.parquet" for name in ("bars", "words"))

    run(folder, "bars", "--pairs", pairs, "--embeddings", embeddings, "--output", bars)
    assert store.read_table(bars).attrs == {"method": "cca", "split": "random-1"}
    assert store.read_table(bars)["pair"].nunique() == 2

    compared = write_vectorisation(tmp_path / "vectorisation")
    run(folder, "words", "--vectorisation", *compared, "--about", json.dumps(ABOUT), "--output", words)
    assert len(store.read_table(words)) == 8

    with pytest.raises(SystemExit):
        run(folder, "words", "--pairs", pairs, "--embeddings", embeddings, "--output", tmp_path / "x")
    assert "words is of the kind vectorisers" in capsys.readouterr().err

    study = Study.read(folder)
    assert "split random-1" in figures.describe(study, "bars")
    assert "Made <texts>: GloVe 0.150 (0.050), BoW 0.100 (0.000)" in figures.describe(study, "words")
    bars, words = (drawn(figures.draw(study, name)) for name in ("bars", "words"))
    assert [len(panel.marks("rect")) for panel in bars.panels] == [2 * len(CLASSES)] * 2
    assert list(words.panels[0].labels["x"]) == list(ABOUT["datasets"].values())
