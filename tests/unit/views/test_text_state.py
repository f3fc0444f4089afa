"""What a text view has learnt lies in its file, and is enough to treat a new text as the fitted view does."""

import json
import subprocess
import sys
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pandas as pd
import pytest

import cmr.views.text
from cmr import store
from cmr.errors import UserError
from cmr.training import read_run
from cmr.views.base import TextView, restore_stored, stored_arrays
from cmr.views.text.bow import BagOfWords, Tags, TfIdf
from cmr.views.text.glove import GloVe
from cmr.views.text.lda import LDA
from cmr.views.text.segments import Sentences
from cmr.views.text.sequences import TokenSequences
from cmr.views.text.word2vec import FastText, Word2Vec
from cmr.views.text.word_vectors import PretrainedVectors, PretrainedVectorsTfIdf

ROOT = Path(__file__).parents[3]
TRAIN = [
    "A red fox runs over the snow. It is cold",
    "The red car, and a blue car",
    "Grüße aus Köln: foxes and cars",
    "a bird sings; birds sing in trees",
    "snow on trees",
]
NEW = ["red birds in the snow", "unheard-of zebras", "", "a Car. A fox! Köln", "bird " * 70]
VECTORS = "red 1 0 2\nsnow 0 3 1\nbird -1 2 0.5\ncar 0.25 0 1\n"


def short(cls, **options):
    return lambda folder: cls(dimension=4, epochs=2, **options)


def on_vectors(cls, **options):
    return lambda folder: cls(vectors=folder, **options)


CASES = {
    "bow": lambda folder: BagOfWords(vocabulary_size=6, weighting="log"),
    "tfidf": lambda folder: TfIdf(vocabulary_size=9, tokenizer="words"),
    "tags": lambda folder: Tags(vocabulary_size=9),
    "lda": lambda folder: LDA(topics=3, passes=3),
    "word2vec": short(Word2Vec, pooling="tfidf", window=2),
    "fasttext": short(FastText, buckets=500),
    "fasttext, rare words left out": short(FastText, buckets=500, minimum_count=2, pooling="tfidf"),
    "glove": short(GloVe, pooling="tfidf"),
    "pretrained": on_vectors(PretrainedVectors),
    "pretrained, tfidf": on_vectors(PretrainedVectorsTfIdf),
    "sequences": lambda folder: TokenSequences(length=6),
    "sequences, trained": lambda folder: TokenSequences(length=6, trained_dimension=4),
    "sequences, pretrained": on_vectors(TokenSequences, length=6),
    "sentences": lambda folder: Sentences("cmr.views.text.bow.TfIdf", {"vocabulary_size": 9}, segments=3),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "asset").mkdir()
    (tmp_path / "asset/vectors.txt").write_text(VECTORS)
    (tmp_path / "asset/asset.json").write_text("{}")
    return tmp_path / "asset"


@pytest.mark.parametrize("case", CASES)
def test_a_restored_view_transforms_new_texts_as_the_fitted_one(case, folder, tmp_path):
    view = CASES[case](folder).fit(TRAIN)
    path = tmp_path / "view.h5"
    store.write_view(path, map(str, range(5)), view.transform(TRAIN), {}, arrays=stored_arrays(view))
    with store.ViewFile.open(path) as file:
        restored = restore_stored(CASES[case](folder), file.arrays())
    expected, found = view.transform(NEW), restored.transform(NEW)
    assert expected.any() and found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    assert restored.vocabulary() == view.vocabulary()
    words = [word for text in NEW for word in view.tokens(text)]
    assert restored.known(words) == view.known(words)
    for name, array in view.arrays().items():
        np.testing.assert_array_equal(restored.arrays()[name], array)
    np.testing.assert_array_equal(store.read_view(path).values, view.transform(TRAIN))


def test_every_text_view_is_among_the_cases(folder):
    """A new class must be restored, too."""
    modules = [import_module(f"cmr.views.text.{found.name}") for found in iter_modules(cmr.views.text.__path__)]
    classes = {
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, TextView) and not isabstract(thing)
    }
    assert classes == {type(case(folder)) for case in CASES.values()}


def test_fasttext_refuses_vectors_that_start_from_another_draw(folder):
    state = FastText(dimension=4, epochs=1, buckets=50).fit(TRAIN).state()
    with pytest.raises(UserError, match="Delete the view and run again"):
        FastText(dimension=4, epochs=1, buckets=50, seed=1).restore(state)


def test_parts_that_training_leaves_alone_take_no_room():
    """A vector of each of 100 000 parts would be most of a file."""
    state = FastText(dimension=4, epochs=1, buckets=100_000).fit(TRAIN).state()
    assert 0 < len(state["parts"]) == len(state["vectors_of_parts"]) < 400


def write_made(tmp_path):
    pairs = pd.DataFrame({"id": [f"i{n}" for n in range(5)], "image": None, "text": TRAIN, "part": None})
    pairs = pairs.assign(labels=[["a"]] * 5, group=pairs["id"]).astype({"image": object})
    store.write_table(tmp_path / "pairs.parquet", pairs, {"classes": ["a"]})
    parts = ["train", "train", "train", "valid", "test"]
    store.write_table(tmp_path / "split.parquet", pairs[["id"]].assign(part=parts))
    about = {"kind": "vectors", "counts": False}
    store.write_view(tmp_path / "image.h5", pairs["id"], np.eye(5, dtype=np.float32), about)


def test_the_script_stores_the_state_and_no_method_is_given_it(tmp_path):
    """The views of networks hand over what is beside the numbers of words, and that is the words' vectors alone."""
    write_made(tmp_path)
    options = {"length": 6, "trained_dimension": 4}
    script = [sys.executable, ROOT / "scripts/extract_text_view.py", "cmr.views.text.sequences.TokenSequences"]
    files = ["--pairs", "pairs.parquet", "--split", "split.parquet", "--view", "text.h5"]
    subprocess.run([*script, "--options", json.dumps(options), *files], cwd=tmp_path, check=True, capture_output=True)
    with store.ViewFile.open(tmp_path / "text.h5") as file:
        restored = restore_stored(TokenSequences(**options), file.arrays())
        assert sorted(file.arrays()) == ["learnt/words", "train_ids", "word_vectors"]
    fitted = TokenSequences(**options).fit(TRAIN[:3])
    np.testing.assert_array_equal(restored.transform(NEW), fitted.transform(NEW))
    run = read_run(*(tmp_path / name for name in ("pairs.parquet", "split.parquet", "image.h5", "text.h5")))
    assert list(run.parts["train"].text_arrays) == ["word_vectors"]
