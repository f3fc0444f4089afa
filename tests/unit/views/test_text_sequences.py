"""Sequences hold the words of a text in their order, and the vectors of the words stand at their numbers."""

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.views.base import TextView
from cmr.views.text.sequences import TokenSequences
from cmr.views.text.word2vec import Word2Vec

TRAIN = ["The dog and the cat", "the dog runs", "a cat, the bird"]


def test_words_are_numbered_by_frequency_after_padding_and_unknown():
    view = TokenSequences(length=5).fit(TRAIN)
    assert isinstance(view, TextView) and view.learnt and view.kind == "tokens" and view.arrays() == {}
    assert view.vocabulary() == ["the", "cat", "dog", "a", "and", "bird", "runs"]
    sequences = view.transform(["The dogs: the cat runs", "", "bird"])
    assert sequences.dtype == np.int32
    assert view.transform([]).shape == (0, 5)
    assert sequences.tolist() == [[2, 1, 2, 3, 8], [0, 0, 0, 0, 0], [7, 0, 0, 0, 0]]


def test_long_texts_are_cut():
    assert TokenSequences(length=2).fit(TRAIN).transform(["cat dog the"]).tolist() == [[3, 4]]


def test_rare_words_and_those_beyond_the_vocabulary_are_unknown():
    assert TokenSequences(minimum_count=2).fit(TRAIN).vocabulary() == ["the", "cat", "dog"]
    view = TokenSequences(vocabulary_size=2, length=3).fit(TRAIN)
    assert view.vocabulary() == ["the", "cat"]
    assert view.transform(["the dog cat"]).tolist() == [[2, 1, 3]]


def test_pretrained_vectors_stand_at_the_numbers_of_their_words(tmp_path):
    known = {"the": [1, 0], "dog": [0, 4], "cat": [2, 2], "elsewhere": [100, 100]}
    (tmp_path / "vectors.txt").write_text("".join(f"{word} {x} {y}\n" for word, (x, y) in known.items()))
    view = TokenSequences(vectors=tmp_path).fit(TRAIN)
    table = view.arrays()["word_vectors"]
    assert table.shape == (2 + 7, 2) and table.dtype == np.float32
    assert table[0].tolist() == [0, 0]
    np.testing.assert_allclose(table[1], [1, 2])  # the mean of the, dog and cat
    for word in ("the", "dog", "cat"):
        assert table[2 + view.vocabulary().index(word)].tolist() == known[word]
    noise = table[5:]
    assert len(np.unique(noise, axis=0)) == 4
    spread = np.sqrt(3) * np.std([known[word] for word in ("the", "dog", "cat")], axis=0)
    assert (np.abs(noise - [1, 2]) <= spread + 1e-6).all()
    np.testing.assert_array_equal(TokenSequences(vectors=tmp_path).fit(TRAIN).arrays()["word_vectors"], table)


def test_noise_has_mean_and_variance_of_the_known_vectors(tmp_path):
    rng = np.random.default_rng(0)
    known = rng.normal([1, -20], [0.5, 3], size=(50, 2))
    (tmp_path / "vectors.txt").write_text("".join(f"known{i} {x} {y}\n" for i, (x, y) in enumerate(known)))
    missing = [f"missing{i}" for i in range(5000)]
    texts = [" ".join([f"known{i}" for i in range(50)]), " ".join(missing)]
    view = TokenSequences(vectors=tmp_path, tokenizer="words").fit(texts)
    noise = view.arrays()["word_vectors"][[2 + view.vocabulary().index(word) for word in missing]]
    np.testing.assert_allclose(noise.std(axis=0), known.std(axis=0), rtol=0.03)
    np.testing.assert_allclose(noise.mean(axis=0), known.mean(axis=0), atol=0.2)


def test_trained_vectors_are_skip_grams_of_the_train_texts():
    view = TokenSequences(trained_dimension=4).fit(TRAIN)
    words, vectors = Word2Vec(dimension=4).fit(TRAIN).word_vectors()
    table = view.arrays()["word_vectors"]
    assert table.shape == (9, 4)
    for word, vector in zip(words, vectors, strict=True):
        np.testing.assert_array_equal(table[2 + view.vocabulary().index(word)], vector)


def test_vectors_come_from_one_source(tmp_path):
    with pytest.raises(UserError, match="not both"):
        TokenSequences(vectors=tmp_path, trained_dimension=4)


def test_vectors_of_another_language_are_refused(tmp_path):
    (tmp_path / "vectors.txt").write_text("hund 1 2\n")
    with pytest.raises(UserError, match="none of the 7 words of the train texts has a vector"):
        TokenSequences(vectors=tmp_path).fit(TRAIN)
