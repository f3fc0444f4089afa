"""Bags of words know the train texts' words alone, and weigh them as defined."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from cmr.errors import UserError
from cmr.views.text.bow import BagOfWords, TfIdf
from cmr.views.text.tokens import english

TRAIN = ["A red apple on a tree.", "The red car drives", "green apples, green trees", "driving a green car"]
UNSEEN = ["An apple and a zeppelin", "zeppelin"]


def test_words_of_other_parts_are_unknown():
    view = BagOfWords().fit(TRAIN)
    assert "zeppelin" not in view.vocabulary()
    assert view.transform(UNSEEN).sum(axis=1).tolist() == [1, 0]


def test_counts_are_counts():
    view = BagOfWords().fit(TRAIN)
    row = dict(zip(view.vocabulary(), view.transform([TRAIN[2]])[0], strict=True))
    assert row["green"] == 2 and row["appl"] == 1 and row["car"] == 0


def test_vocabulary_keeps_the_most_frequent_words_of_train():
    assert set(BagOfWords(vocabulary_size=1).fit(["x x y", "x z"]).vocabulary()) == {"x"}


def test_tfidf_equals_scikit_learns_vectorizer():
    oracle = TfidfVectorizer(tokenizer=english, lowercase=False, token_pattern=None, sublinear_tf=True).fit(TRAIN)
    np.testing.assert_allclose(TfIdf().fit(TRAIN).transform(UNSEEN), oracle.transform(UNSEEN).toarray(), atol=1e-6)


def test_texts_of_stop_words_alone_are_refused():
    with pytest.raises(UserError, match="no word is left in 2 train texts"):
        TfIdf().fit(["the", "a an"])


@pytest.mark.parametrize("view", [BagOfWords(), TfIdf()], ids=lambda view: type(view).__name__)
def test_text_does_not_depend_on_the_texts_beside_it(view):
    view.fit(TRAIN)
    together = view.transform(UNSEEN)
    np.testing.assert_array_equal(view.transform(UNSEEN[1:])[0], together[1])
