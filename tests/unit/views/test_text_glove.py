"""GloVe counts, weighs and minimises what its paper defines."""

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.views.text.glove import (
    Entries,
    GloVe,
    Parameters,
    cooccurrences,
    factorise,
    objective_and_gradient,
    weighted_entries,
)


def test_cooccurrences_are_sums_of_reciprocal_distances_within_documents():
    rng = np.random.default_rng(0)
    documents = [rng.integers(6, size=n).tolist() for n in (0, 1, 2, 5, 9, 30)]
    expected = np.zeros((6, 6))
    for document in documents:
        for i, word in enumerate(document):
            for j, context in enumerate(document):
                if 0 < abs(i - j) <= 4:
                    expected[word, context] += 1 / abs(i - j)
    np.testing.assert_allclose(cooccurrences(documents, 6, window=4).toarray(), expected, rtol=1e-12)


def test_weights_grow_to_one_at_the_cut():
    counts = cooccurrences([[0, 1]] * 5 + [[1, 2]] * 40, 3, window=2)
    entries = weighted_entries(counts, x_max=20, alpha=0.75)
    of = {(i, j): (w, x) for i, j, x, w in zip(*entries, strict=True)}
    assert of[0, 1] == of[1, 0] == (pytest.approx(0.25**0.75), pytest.approx(np.log(5)))
    assert of[1, 2] == of[2, 1] == (1.0, pytest.approx(np.log(40)))
    assert len(of) == 4


def test_gradient_equals_finite_differences():
    rng = np.random.default_rng(1)
    counts = cooccurrences([rng.integers(5, size=12).tolist()], 5, window=3)
    entries = weighted_entries(counts, x_max=3, alpha=0.75)
    assert len(entries) < 25  # words that do not co-occur contribute nothing
    parameters = Parameters(*(rng.normal(size=shape) for shape in ((5, 3), (5, 3), 5, 5)))
    value, gradient = objective_and_gradient(parameters, entries)
    dense = counts.toarray()
    residual = parameters.words @ parameters.contexts.T + parameters.word_biases[:, None] + parameters.context_biases
    residual = residual - np.log(np.where(dense > 0, dense, 1))
    assert value == pytest.approx(np.sum((dense > 0) * np.minimum(1, (dense / 3) ** 0.75) * residual**2))
    step = 1e-6
    for parameter, slope in zip(parameters, gradient, strict=True):
        for place in np.ndindex(parameter.shape):
            kept = parameter[place]
            parameter[place] = kept + step
            above, _ = objective_and_gradient(parameters, entries)
            parameter[place] = kept - step
            below, _ = objective_and_gradient(parameters, entries)
            parameter[place] = kept
            assert slope[place] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-6)


def test_table_of_low_rank_is_recovered():
    rng = np.random.default_rng(2)
    words, contexts, a, b = (rng.normal(size=shape) for shape in ((9, 2), (9, 2), 9, 9))
    table = words @ contexts.T + a[:, None] + b
    rows, columns = (index.ravel() for index in np.indices(table.shape))
    entries = Entries(rows, columns, table.ravel(), rng.uniform(0.5, 1, table.size))
    options = {"epochs": 1500, "learning_rate": 0.3, "batch_size": 27, "seed": 0}
    found, objective = factorise(entries, 9, dimension=2, **options)
    made = found.words @ found.contexts.T + found.word_biases[:, None] + found.context_biases
    np.testing.assert_allclose(made, table, atol=1e-3)
    assert objective[-1] < 1e-6 < objective[0]
    # One dimension less cannot hold the table: its best error is at least that of the centred rest, by singular values.
    centred = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    least = 0.5 * np.sum(np.linalg.svd(centred, compute_uv=False)[1:] ** 2)
    assert factorise(entries, 9, dimension=1, **options)[1][-1] > least > 0.1


def test_objective_falls_and_starts_at_that_of_the_first_parameters():
    rng = np.random.default_rng(3)
    texts = [" ".join(f"w{i}" for i in rng.zipf(1.5, 12) if i < 50) for _ in range(200)]
    view = GloVe(tokenizer="words", dimension=5, epochs=15, x_max=10, batch_size=10**6).fit(texts)
    assert len(view.objective) == 15 and (np.diff(view.objective) < 0).all()
    numbers = {word: i for i, word in enumerate(view.vocabulary())}
    documents = [[numbers[word] for word in text.split()] for text in texts]
    entries = weighted_entries(cooccurrences(documents, len(numbers), 10), 10, 0.75)
    nothing = np.sum(entries.weights * entries.logarithms**2)  # parameters begin near zero
    assert view.objective[0] == pytest.approx(nothing, rel=0.1)


def test_vectors_are_sums_of_words_and_contexts():
    texts = ["a b c d", "b c a", "d c b a a"] * 3
    view = GloVe(dimension=3, epochs=4, tokenizer="words").fit(texts)
    numbers = {word: i for i, word in enumerate(view.vocabulary())}
    documents = [[numbers[word] for word in text.split()] for text in texts]
    entries = weighted_entries(cooccurrences(documents, 4, 10), 100, 0.75)
    parameters, _ = factorise(entries, 4, dimension=3, epochs=4, learning_rate=0.05, batch_size=8192, seed=0)
    np.testing.assert_allclose(view.word_vectors()[1], parameters.words + parameters.contexts, rtol=1e-6)


def test_rare_words_are_taken_out_before_neighbours_are_counted():
    with_rare = GloVe(dimension=3, epochs=4, window=1, minimum_count=2).fit(["cat rare dog", "cat dog"])
    without = GloVe(dimension=3, epochs=4, window=1, minimum_count=2).fit(["cat dog", "cat dog"])
    np.testing.assert_array_equal(with_rare.word_vectors()[1], without.word_vectors()[1])


def test_words_without_neighbours_are_refused():
    with pytest.raises(UserError, match="no two words stand together"):
        GloVe().fit(["cat", "dog"])
