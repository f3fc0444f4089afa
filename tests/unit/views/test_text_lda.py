"""Topics are proportions, reproducible, and of their own text alone."""

import numpy as np

from cmr.views.text.lda import LDA

TRAIN = ["A red apple on a tree.", "The red car drives", "green apples, green trees", "driving a green car"]
UNSEEN = ["An apple and a zeppelin", "zeppelin"]


def test_text_does_not_depend_on_the_texts_beside_it():
    view = LDA(topics=3).fit(TRAIN)
    together = view.transform(UNSEEN)
    np.testing.assert_array_equal(view.transform(UNSEEN[1:])[0], together[1])


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
