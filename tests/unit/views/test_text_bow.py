"""Bags of words know the train texts' words alone, and weigh them as defined."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from cmr.errors import UserError
from cmr.views.base import TextView
from cmr.views.text.bow import BagOfWords, Tags, TfIdf, term_vectors
from cmr.views.text.tokens import english

TRAIN = ["A red apple on a tree.", "The red car drives", "green apples, green trees", "driving a green car"]
UNSEEN = ["An apple and a zeppelin", "zeppelin"]


def test_words_of_other_parts_are_unknown():
    view = BagOfWords().fit(TRAIN)
    assert "zeppelin" not in view.vocabulary()
    assert view.transform(UNSEEN).sum(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("weighting", "expected"), [("counts", [2, 1, 0]), ("binary", [1, 1, 0]), ("log", [np.log(3), np.log(2), 0])]
)
def test_words_weigh_as_asked(weighting, expected):
    view = BagOfWords(weighting=weighting).fit(TRAIN)
    features = view.transform([TRAIN[2]])
    row = dict(zip(view.vocabulary(), features[0], strict=True))
    assert features.dtype == np.float32
    np.testing.assert_allclose([row["green"], row["appl"], row["car"]], expected, rtol=1e-6)


def test_only_counts_are_said_to_be_counts():
    counts = {weighting: BagOfWords(weighting=weighting).counts for weighting in ("counts", "binary", "log")}
    assert counts == {"counts": True, "binary": False, "log": False}
    assert not TfIdf.counts and not Tags.counts


def test_vocabulary_keeps_the_most_frequent_words_of_train():
    assert BagOfWords(vocabulary_size=1).fit(["x x y", "x z"]).vocabulary() == ["x"]


def test_cut_between_equally_frequent_words_does_not_depend_on_the_order_of_texts():
    texts = ["delta alpha", "gamma beta", "omega omega"]
    for order in (texts, texts[::-1]):
        assert BagOfWords(vocabulary_size=3, tokenizer="words").fit(order).vocabulary() == ["alpha", "beta", "omega"]


def test_vocabulary_equals_scikit_learns_where_no_words_tie():
    rng = np.random.default_rng(0)
    words = [f"w{i:02d}" for i in range(30)]
    texts = [" ".join(rng.permutation(words[start:])) for start in range(30)]  # w29 in all texts, w00 in one
    oracle = CountVectorizer(max_features=12).fit(texts)
    view = BagOfWords(vocabulary_size=12, tokenizer="words").fit(texts)
    assert view.vocabulary() == list(oracle.get_feature_names_out())
    np.testing.assert_array_equal(view.transform(texts), oracle.transform(texts).toarray())


def test_tfidf_equals_scikit_learns_vectorizer():
    texts = [*TRAIN, *UNSEEN, "apple tree apple car apple"]
    oracle = TfidfVectorizer(tokenizer=english, lowercase=False, token_pattern=None, sublinear_tf=True).fit(TRAIN)
    np.testing.assert_allclose(TfIdf().fit(TRAIN).transform(texts), oracle.transform(texts).toarray(), atol=1e-6)


def test_tfidf_weighs_as_defined():
    view = TfIdf(tokenizer="words").fit(["a a b", "a c", "a", "c"])  # of 4 texts, 3 hold a, 1 holds b, 2 hold c
    a, b, c = (1 + np.log(3)) * (1 + np.log(5 / 4)), 1 + np.log(5 / 2), (1 + np.log(2)) * (1 + np.log(5 / 3))
    assert view.vocabulary() == ["a", "b", "c"]
    np.testing.assert_allclose(view.transform(["a c b a c a d"]), [np.array([a, b, c]) / np.hypot(a, np.hypot(b, c))])
    assert not view.transform(["d"]).any()


def test_texts_of_stop_words_alone_are_refused():
    with pytest.raises(UserError, match="no word is left in 2 train texts"):
        TfIdf().fit(["the", "a an"])


def test_tags_are_taken_as_they_are_and_counted_once():
    texts = ["running canon-eos running", "the running Canon-EOS", "2007 the 2007 the"]
    view = Tags(vocabulary_size=3, tokenizer="english").fit(texts)
    assert view.vocabulary() == ["2007", "running", "the"]
    assert view.transform([*texts, "2007", ""]).tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("option", [{"weighting": "tf"}, {"vocabulary_size": 0}])
def test_impossible_options_are_refused(option):
    with pytest.raises(UserError, match=next(iter(option))):
        BagOfWords(**option)


@pytest.mark.parametrize("view", [BagOfWords(), BagOfWords(weighting="log"), TfIdf(), Tags()], ids=str)
def test_words_are_vectors_over_the_texts_that_hold_them(view):
    words, vectors = term_vectors(view.fit(TRAIN), TRAIN)
    assert words == view.vocabulary()
    np.testing.assert_array_equal(vectors.toarray(), view.transform(TRAIN).T)


@pytest.mark.parametrize("view", [BagOfWords(), TfIdf(), Tags()], ids=lambda view: type(view).__name__)
def test_text_does_not_depend_on_the_texts_beside_it(view):
    view.fit(TRAIN)
    together = view.transform(UNSEEN)
    np.testing.assert_array_equal(view.transform(UNSEEN[1:])[0], together[1])
    assert view.transform([]).shape == (0, together.shape[1])
    assert isinstance(view, TextView) and view.learnt and view.arrays() == {}


def test_vocabulary_holds_what_tokens_give():
    for view in (BagOfWords(), TfIdf(), Tags()):
        known = set(view.fit(TRAIN).vocabulary())
        assert known == {token for text in TRAIN for token in view.tokens(text)}
