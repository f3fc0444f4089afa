"""Topics are proportions, reproducible, and of their own text alone."""

import numpy as np
import pytest
from gensim.corpora import Dictionary
from gensim.models import LdaModel

from cmr.errors import UserError
from cmr.views.base import TextView
from cmr.views.text.lda import LDA
from cmr.views.text.tokens import english

TRAIN = ["A red apple on a tree.", "The red car drives", "green apples, green trees", "driving a green car"]
UNSEEN = ["An apple and a zeppelin", "zeppelin"]


def test_text_does_not_depend_on_the_texts_beside_it():
    view = LDA(topics=3).fit(TRAIN)
    together = view.transform([*UNSEEN, *TRAIN])
    for text, row in zip([*UNSEEN, *TRAIN], together, strict=True):
        np.testing.assert_array_equal(view.transform([text])[0], row)


def test_many_topics_do_not_depend_on_the_number_of_texts():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{number:d}" for number in rng.integers(100, size=20)) for _ in range(64)]
    view = LDA(topics=100, passes=1, tokenizer="words").fit(texts)
    np.testing.assert_array_equal(view.transform(texts), np.vstack([view.transform([text]) for text in texts]))
    assert view.transform([]).shape == (0, 100)


def test_topics_are_proportions_and_reproducible():
    first, second = (LDA(topics=3).fit(TRAIN).transform(UNSEEN) for _ in range(2))
    assert first.shape == (2, 3)
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(first, second)


def test_topics_separate_two_vocabularies():
    texts = ["cat dog fur paw tail"] * 20 + ["engine wheel road petrol gear"] * 20
    topics = LDA(topics=2).fit(texts).transform(["dog tail paw", "road wheel gear"])
    assert topics[0].argmax() != topics[1].argmax()
    assert topics.max(axis=1).min() > 0.8


def test_view_is_learnt_and_knows_the_stems_of_its_texts():
    view = LDA(topics=2).fit(TRAIN)
    assert isinstance(view, TextView) and view.learnt and not view.counts
    assert set(view.vocabulary()) == {token for text in TRAIN for token in view.tokens(text)}


def test_options_reach_gensim_and_inference_starts_from_the_seed():
    view = LDA(topics=3, passes=4, chunk_size=3, iterations=30, seed=5).fit(TRAIN)
    dictionary = Dictionary(map(english, TRAIN))
    model = LdaModel(
        [dictionary.doc2bow(english(text)) for text in TRAIN],
        num_topics=3,
        id2word=dictionary,
        passes=4,
        chunksize=3,
        iterations=30,
        alpha="auto",
        eval_every=None,  # evaluation would take random numbers
        random_state=5,
        dtype=np.float64,
    )
    model.random_state = np.random.RandomState(5)
    expected = dict(model.get_document_topics(dictionary.doc2bow(english(UNSEEN[0])), minimum_probability=0))
    np.testing.assert_allclose(view.transform(UNSEEN)[0], [expected[topic] for topic in range(3)], rtol=1e-5)


def test_impossible_options_are_refused():
    with pytest.raises(UserError, match="topics of LDA is 0"):
        LDA(topics=0)
    with pytest.raises(UserError, match="no word is left in 1 train texts"):
        LDA().fit(["the"])
