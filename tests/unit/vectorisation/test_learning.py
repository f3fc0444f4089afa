"""Word vectors are learnt from the captions of the train part."""

import numpy as np
import pandas as pd
import pytest

from cmr.errors import UserError
from cmr.vectorisation.learning import learn, relevant_words, train_texts
from cmr.views.text.bow import BagOfWords
from cmr.views.text.lda import LDA
from cmr.views.text.word2vec import Word2Vec


def test_every_caption_of_the_train_part_is_a_text_and_no_other():
    texts = ["one dog\n two dogs\n\n", "a test", "three", "to choose by"]
    pairs = pd.DataFrame({"id": ["x", "y", "z", "w"], "text": texts})
    split = pd.DataFrame({"id": ["x", "y", "z", "w"], "part": ["train", "test", "train", "valid"]})
    assert train_texts(pairs, split) == ["one dog", " two dogs", "three"]


def test_a_copy_without_texts_is_refused():
    pairs, split = pd.DataFrame({"id": ["x"], "text": [None]}), pd.DataFrame({"id": ["x"], "part": ["train"]})
    with pytest.raises(UserError, match="has no texts"):
        train_texts(pairs, split)


def test_of_a_pretrained_model_the_words_of_texts_and_lists_are_kept():
    assert relevant_words(["the", "paris", "xylem", "dog"], ["A Dog."], {"paris"}) == [1, 3]


def test_learning_twice_gives_equal_vectors_and_another_seed_others():
    texts = ["a small dog runs", "two dogs run", "a dog and a cat run", "the cat sleeps"] * 5
    options = {"tokenizer": "words", "dimension": 8, "minimum_count": 2}
    learnt = [learn(Word2Vec(**options, seed=seed), texts) for seed in (0, 0, 1)]
    assert learnt[0][0] == learnt[1][0]
    assert np.array_equal(learnt[0][1], learnt[1][1])
    assert not np.array_equal(learnt[0][1], learnt[2][1])


def test_a_word_of_a_bag_is_the_counts_of_its_occurrences_in_the_texts():
    words, vectors = learn(BagOfWords(tokenizer="words", vocabulary_size=100), ["the dog", "The dogs", "the the cat"])
    counts = dict(zip(words, vectors.toarray().tolist(), strict=True))
    assert counts == {"the": [1, 1, 2], "dog": [1, 0, 0], "dogs": [0, 1, 0], "cat": [0, 0, 1]}


def test_a_view_without_words_is_refused():
    with pytest.raises(UserError, match="LDA is no vectoriser"):
        learn(LDA(), ["a dog"])
