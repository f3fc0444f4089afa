"""Files of word vectors are read, or refused with the line; texts are pooled as defined; training is reproducible."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from gensim import models
from gensim.models import KeyedVectors

from cmr.errors import UserError
from cmr.files import write_json
from cmr.views.base import TextView
from cmr.views.text.coverage import out_of_vocabulary
from cmr.views.text.glove import GloVe
from cmr.views.text.vector_files import read_vectors
from cmr.views.text.word2vec import FastText, Word2Vec
from cmr.views.text.word_vectors import PretrainedVectors, PretrainedVectorsTfIdf

WORDS = ["the", "dog", "café", "n't", "grüße"]
VECTORS = np.array([[1, 0, 0.5], [0, 2, -1], [3, 3, 3e-5], [-1, 0.25, 8], [0.1, 0.2, 0.3]], np.float32)
TOPICS = ["cat dog fur paw tail", "fur dog tail cat", "paw cat tail dog"] * 20
TOPICS += ["engine wheel road petrol gear", "road gear engine", "petrol wheel engine road"] * 20


def write(folder, form):
    """The vectors above in one of the published forms, written by other code than reads them."""
    path = folder / "vectors.bin" if "binary" in form else folder / "vectors.txt"
    if "gz" in form:
        path = path.with_name(path.name + ".gz")
    if form == "numpy":
        np.save(folder / "vectors.npy", VECTORS)
        pd.DataFrame({"index": WORDS}).to_parquet(folder / "words.parquet")
    elif "word2vec" in form:
        model = KeyedVectors(VECTORS.shape[1])
        model.add_vectors(WORDS, VECTORS)
        model.save_word2vec_format(path, binary="binary" in form)
    else:
        lines = "".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in zip(WORDS, VECTORS, strict=True))
        path.write_bytes(gzip.compress(lines.encode()) if "gz" in form else lines.encode())
    return folder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "asset.json").write_text("{}")  # every asset has one; it is no file of vectors
    return tmp_path


@pytest.mark.parametrize(
    "form", ["glove", "glove gz", "word2vec", "word2vec gz", "word2vec binary", "word2vec binary gz", "numpy"]
)
def test_published_forms_are_told_by_their_content(folder, form):
    words, vectors = read_vectors(write(folder, form))
    assert words == WORDS and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS)
    assert read_vectors(folder, most_frequent=2)[0] == WORDS[:2]
    words, vectors = read_vectors(folder, keep={"dog", "grüße", "absent"})
    assert words == ["dog", "grüße"]
    np.testing.assert_array_equal(vectors, VECTORS[[1, 4]])


def test_words_may_hold_blanks_and_the_first_of_equal_words_counts(folder):
    (folder / "glove.txt").write_text("dog 1 2\n. . . 3 4\nto name@domain.com 5 6\ndog 7 8\n")
    words, vectors = read_vectors(folder)
    assert words == ["dog", ". . .", "to name@domain.com"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dog 1 2\ncat 3\n", "line 2: expected are a word and 2 numbers.* 1 parts after the first.*'cat 3"),
        ("dog 1 2\nbird 1 2\ncat 3 4 5\n", "line 3: expected are a word and 2 numbers"),
        ("2 2\ndog 1 2\ncat 3 x\n", "line 3: expected are a word and 2 numbers"),
        ("dog 1 2\n\n", "line 2"),
        ("2 2\ndog 1\ncat 3 4\n", "line 2 is no word and 2 numbers, as the first line says"),
        ("dog 1 2\ncat nan 4\n", "the vector of 'cat' has NaN"),
        ("<html>\n<body>\n", "the first line is no word and its numbers. Expected are lines"),
        ("", "the first line is no word"),
    ],
)
def test_other_files_are_refused_with_line_and_expectation(folder, text, message):
    (folder / "vectors.txt").write_text(text)
    with pytest.raises(UserError, match=f"vectors.txt.*{message}"):
        read_vectors(folder)


def test_damaged_binary_is_refused(folder):
    path = write(folder, "word2vec binary") / "vectors.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"vectors\.bin.*binary form it is damaged"):
        read_vectors(folder)


def test_truncated_archive_is_refused(folder):
    path = write(folder, "glove gz") / "vectors.txt.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(UserError, match="cannot be read"):
        read_vectors(folder)


@pytest.mark.parametrize("words", [WORDS[:-1], [*WORDS[:-1], None]])
def test_array_and_table_that_do_not_fit_are_refused(folder, words):
    write(folder, "numpy")
    pd.DataFrame({"index": words}).to_parquet(folder / "words.parquet")
    with pytest.raises(UserError, match=r"words\.parquet.*(4 rows|row 5 is no word)"):
        read_vectors(folder)


def test_of_several_files_one_is_to_be_named(folder):
    (folder / "glove.2d.txt").write_text("dog 1 2\n")
    (folder / "glove.3d.txt").write_text("dog 1 2 3\n")
    with pytest.raises(UserError, match=r"holds glove\.2d\.txt, glove\.3d\.txt: name one by the option file"):
        read_vectors(folder)
    assert PretrainedVectors(vectors=folder, file="glove.3d.txt").word_vectors()[1].shape == (1, 3)
    with pytest.raises(UserError, match=r"glove\.4d\.txt"):
        PretrainedVectors(vectors=folder, file="glove.4d.txt").word_vectors()


def test_texts_are_the_means_of_their_words_and_zero_without_one(folder):
    view = PretrainedVectors(vectors=write(folder, "glove"))
    rows = view.transform(["The dog, the zeppelin", "zeppelin", "CAFÉ"])
    np.testing.assert_allclose(rows, [(2 * VECTORS[0] + VECTORS[1]) / 3, np.zeros(3), VECTORS[2]], rtol=1e-6)
    assert rows.dtype == np.float32
    assert not view.learnt and view.vocabulary() == WORDS and view.tokens("The dogs") == ["the", "dogs"]


def test_rare_words_weigh_more_with_tfidf_pooling(folder):
    view = PretrainedVectorsTfIdf(vectors=write(folder, "glove")).fit(["the dog the", "the cat", "the"])
    weights = 1 + np.log([4 / 4, 4 / 2, 4 / 1])  # `the` in all three texts, `dog` in one, `café` in none
    the, dog, cafe = weights
    expected = (2 * the * VECTORS[0] + dog * VECTORS[1] + cafe * VECTORS[2]) / (2 * the + dog + cafe)
    np.testing.assert_allclose(view.transform(["the dog the café"]), [expected], rtol=1e-6)
    assert view.learnt


MODELS = [
    Word2Vec(dimension=8, architecture="cbow", epochs=2),
    Word2Vec(dimension=8, pooling="tfidf", epochs=2),
    GloVe(dimension=8, epochs=2),
    FastText(dimension=8, epochs=2, buckets=100),
]


@pytest.mark.parametrize("view", MODELS, ids=lambda view: type(view).__name__)
def test_trained_vectors_keep_the_contract(view):
    view.fit(TOPICS)
    words, vectors = view.word_vectors()
    assert isinstance(view, TextView) and view.learnt and not view.counts and view.kind == "vectors"
    assert words == view.vocabulary() and set(words) == {word for text in TOPICS for word in text.split()}
    assert vectors.shape == (len(words), 8) and vectors.dtype == np.float32 and len(np.unique(vectors, axis=0)) == 10
    texts = ["cat road", "zeppelin cat"]
    rows = view.transform(texts)
    np.testing.assert_array_equal(rows[1], view.transform(texts[1:])[0])
    assert view.transform([]).shape == (0, 8)
    np.testing.assert_array_equal(view.transform(["cat"]), [vectors[words.index("cat")]])
    view.fit(["road", "road zeppelin"] * 2).transform(texts)
    np.testing.assert_array_equal(view.fit(TOPICS).word_vectors()[1], vectors)
    np.testing.assert_array_equal(view.transform(texts), rows)


@pytest.mark.parametrize(
    "view",
    [
        Word2Vec(dimension=10, epochs=40, architecture="cbow"),
        Word2Vec(dimension=10, epochs=40),
        GloVe(dimension=10, epochs=60, x_max=10),
        FastText(dimension=10, epochs=200),
    ],
    ids=lambda view: getattr(view, "architecture", "glove"),
)
def test_words_used_alike_get_similar_vectors(view):
    words, vectors = view.fit(TOPICS).word_vectors()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    animals = np.array([word in TOPICS[0] for word in words])
    similarity = unit @ unit.T
    alike = (animals[:, None] == animals) & ~np.eye(len(words), dtype=bool)
    assert similarity[alike].mean() > similarity[animals[:, None] != animals].mean() + 0.1


SCRIPT = """
import json, sys
from cmr.views.text.glove import GloVe
from cmr.views.text.word2vec import FastText, Word2Vec
texts = json.load(sys.stdin)
models = (Word2Vec(dimension=4, epochs=2), GloVe(dimension=4, epochs=2), FastText(dimension=4, epochs=2, buckets=100))
print(json.dumps([[view.fit(texts).word_vectors()[0], view.word_vectors()[1].tolist()] for view in models]))
"""


def test_vectors_do_not_depend_on_the_process():
    outputs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=json.dumps(TOPICS),
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1] and len(outputs[0]) > 500


def test_vectors_follow_the_seed():
    first, second = (Word2Vec(dimension=4, epochs=1, seed=seed).fit(TOPICS).word_vectors()[1] for seed in (0, 1))
    assert not np.allclose(first, second)


def test_fasttext_gives_unseen_words_the_mean_of_their_parts():
    view = FastText(dimension=10, epochs=200).fit(TOPICS)
    unseen, other = view.transform(["engines", "xylophon"])
    assert "engines" not in view.vocabulary() and np.linalg.norm(unseen) > 0
    engine = view.word_vectors()[1][view.vocabulary().index("engine")]

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(unseen, engine) > 0.9 > cosine(other, engine)


@pytest.mark.parametrize(
    ("view", "words", "types", "texts"),
    [
        (FastText(dimension=4, epochs=1, buckets=100), 0, 0, 1 / 3),
        (Word2Vec(dimension=4, epochs=1), 2 / 3, 1 / 2, 2 / 3),
    ],
    ids=["fasttext", "word2vec"],
)
def test_known_words_are_those_that_have_a_vector(view, words, types, texts):
    rows = pd.DataFrame({"text": ["zeppelin zeppelin", "cat", "?"], "part": "test"})
    rates = out_of_vocabulary(view.fit(TOPICS), rows)
    assert rates == {"test": {"words": words, "types": types, "texts": texts}}
    assert (~view.transform(rows["text"].tolist()).any(axis=1)).mean() == texts


@pytest.mark.parametrize("architecture", ["cbow", "skip_gram"])
@pytest.mark.parametrize(("view", "model"), [(Word2Vec, models.Word2Vec), (FastText, models.FastText)])
def test_options_reach_gensim(view, model, architecture):
    texts = [*TOPICS, "cat zeppelin road zebra dog"]
    options = {"buckets": 50} if view is FastText else {}
    made = view(dimension=6, window=1, epochs=3, minimum_count=2, seed=4, architecture=architecture, **options)
    oracle = model(
        [text.split() for text in texts],
        vector_size=6,
        window=1,
        epochs=3,
        min_count=2,
        seed=4,
        sg=int(architecture == "skip_gram"),
        workers=1,
        **({"bucket": 50} if view is FastText else {}),
    )
    words, vectors = made.fit(texts).word_vectors()
    assert words == oracle.wv.index_to_key and "zebra" not in words
    np.testing.assert_array_equal(vectors, oracle.wv.vectors)


def test_a_corpus_gives_the_words_and_train_texts_their_rarity(tmp_path):
    (tmp_path / "corpus.txt").write_text("\n".join(TOPICS), "utf-8")
    write_json(tmp_path / "asset.json", {"asset": "corpus", "file": "corpus.txt", "unpacked_files": None})
    of_corpus = Word2Vec(dimension=4, epochs=2, corpus=tmp_path, pooling="tfidf").fit(["cat zeppelin", "cat"])
    of_texts = Word2Vec(dimension=4, epochs=2, pooling="tfidf").fit(TOPICS)
    assert of_corpus.vocabulary() == of_texts.vocabulary()
    np.testing.assert_array_equal(of_corpus.word_vectors()[1], of_texts.word_vectors()[1])
    cat, dog = (of_corpus.vectors_of([word])[0] for word in ("cat", "dog"))
    rarity = 1 + np.log(3 / 1)
    np.testing.assert_allclose(of_corpus.transform(["cat dog"]), [(cat + rarity * dog) / (1 + rarity)], rtol=1e-5)


def test_lines_of_a_text_are_documents_of_their_own():
    joined = Word2Vec(dimension=4, epochs=2).fit(["\n".join(TOPICS)])
    np.testing.assert_array_equal(
        joined.word_vectors()[1], Word2Vec(dimension=4, epochs=2).fit(TOPICS).word_vectors()[1]
    )


def test_long_documents_are_read_to_their_end():
    view = Word2Vec(dimension=4, epochs=1).fit(["a b " * 6000 + "c d " * 6000])
    whole = view.word_vectors()[1]
    cut = Word2Vec(dimension=4, epochs=1).fit(["a b " * 5000, "a b " * 1000 + "c d " * 4000, "c d " * 2000])
    np.testing.assert_array_equal(whole, cut.word_vectors()[1])


@pytest.mark.parametrize("model", [Word2Vec, GloVe, FastText])
def test_texts_that_leave_no_word_are_refused(model):
    with pytest.raises(UserError, match="no word occurs 9 times in the 2 texts"):
        model(minimum_count=9).fit(["a b", "b a"])


@pytest.mark.parametrize("options", [{"pooling": "max"}, {"architecture": "sg"}, {"window": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(UserError, match=next(iter(options))):
        Word2Vec(**options)
