"""GloVe counts, weighs and minimises what its paper defines."""

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.views.text.glove import (
    Entries,
    GloVe,
    Parameters,
    adagrad_step,
    cooccurrences,
    disjoint_batches,
    factorise,
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


def objective(parameters, entries):
    products = np.sum(parameters.words[entries.rows] * parameters.contexts[entries.columns], axis=1)
    biases = parameters.word_biases[entries.rows] + parameters.context_biases[entries.columns]
    return np.sum(entries.weights * (products + biases - entries.logarithms) ** 2)


def some_entries(rng):
    entries = weighted_entries(cooccurrences([rng.integers(5, size=12).tolist()], 5, window=3), x_max=3, alpha=0.75)
    assert 15 < len(entries) < 25  # words that do not co-occur contribute nothing
    return entries


def some_parameters(rng):
    return Parameters(*(rng.normal(size=shape) for shape in ((5, 3), (5, 3), 5, 5)))


def test_first_step_goes_down_half_the_objective():
    rng = np.random.default_rng(1)
    entries, parameters = some_entries(rng), some_parameters(rng)
    batch = next(disjoint_batches(entries, 5, rng))
    slopes = Parameters(*map(np.zeros_like, parameters))
    for parameter, slope in zip(parameters, slopes, strict=True):
        for place in np.ndindex(parameter.shape):
            kept = parameter[place]
            around = []
            for parameter[place] in (kept + 1e-6, kept - 1e-6):
                around.append(objective(parameters, batch))
            parameter[place] = kept
            slope[place] = (around[0] - around[1]) / 2e-6
    before = Parameters(*map(np.copy, parameters))
    value = adagrad_step(parameters, Parameters(*map(np.ones_like, parameters)), batch, 0.3)
    assert value == pytest.approx(objective(before, batch))
    for new, old, slope in zip(parameters, before, slopes, strict=True):
        np.testing.assert_allclose(new - old, -0.3 * slope / 2, rtol=1e-6, atol=1e-8)


def test_batches_are_all_entries_in_changing_order_without_a_word_twice():
    rng = np.random.default_rng(4)
    entries = some_entries(rng)
    orders = []
    for _ in range(2):
        batches = list(disjoint_batches(entries, 5, rng))
        for batch in batches:
            assert len(set(batch.rows)) == len(set(batch.columns)) == len(batch) > 0
        orders.append([entry for batch in batches for entry in zip(*batch, strict=True)])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(zip(*entries, strict=True))


def test_learning_equals_the_authors_rule_entry_by_entry():
    entries = some_entries(np.random.default_rng(5))
    found, sums = factorise(entries, 5, dimension=3, epochs=3, learning_rate=0.2, seed=6)
    rng = np.random.default_rng(6)
    words, contexts, word_biases, context_biases = (
        rng.uniform(-0.5, 0.5, shape) / 4 for shape in ((5, 3), (5, 3), (5, 1), (5, 1))
    )
    word, context = np.hstack([words, word_biases]), np.hstack([contexts, context_biases])
    of_word, of_context = np.ones((5, 4)), np.ones((5, 4))
    for expected in sums:
        total = 0
        batches = disjoint_batches(entries, 5, rng)
        for i, j, logarithm, weight in (entry for batch in batches for entry in zip(*batch, strict=True)):
            difference = word[i, :3] @ context[j, :3] + word[i, 3] + context[j, 3] - logarithm
            total += weight * difference**2
            step = 0.2 * weight * difference * np.append(context[j, :3], 1)
            back = 0.2 * weight * difference * np.append(word[i, :3], 1)
            word[i] -= step / np.sqrt(of_word[i])
            context[j] -= back / np.sqrt(of_context[j])
            of_word[i] += step**2
            of_context[j] += back**2
        assert total == pytest.approx(expected)
    np.testing.assert_allclose(np.column_stack([found.words, found.word_biases]), word, rtol=1e-9)
    np.testing.assert_allclose(np.column_stack([found.contexts, found.context_biases]), context, rtol=1e-9)


def test_learning_that_diverges_is_refused():
    texts = ["a b c d", "b c a", "d c b a a"] * 9
    with pytest.raises(UserError, match=r"GloVe diverges in epoch \d+: lower the option learning_rate, which is 1e"):
        GloVe(dimension=3, tokenizer="words", learning_rate=1e80).fit(texts)


def test_table_of_low_rank_is_recovered():
    rng = np.random.default_rng(2)
    words, contexts, a, b = (rng.normal(size=shape) for shape in ((9, 2), (9, 2), 9, 9))
    table = words @ contexts.T + a[:, None] + b
    rows, columns = (index.ravel() for index in np.indices(table.shape))
    entries = Entries(rows, columns, table.ravel(), rng.uniform(0.5, 1, table.size))
    options = {"epochs": 1500, "learning_rate": 0.3, "seed": 0}
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
    view = GloVe(tokenizer="words", dimension=5, epochs=15, x_max=10).fit(texts)
    assert len(view.objective) == 15 and (np.diff(view.objective) < 0).all()
    numbers = {word: i for i, word in enumerate(view.vocabulary())}
    documents = [[numbers[word] for word in text.split()] for text in texts]
    entries = weighted_entries(cooccurrences(documents, len(numbers), 10), 10, 0.75)
    nothing = np.sum(entries.weights * entries.logarithms**2)  # parameters begin near zero
    assert view.objective[0] < nothing
    still = GloVe(tokenizer="words", dimension=5, epochs=1, x_max=10, learning_rate=1e-6).fit(texts)
    assert still.objective[0] == pytest.approx(nothing, rel=0.02)


def test_vectors_are_sums_of_words_and_contexts():
    texts = ["a b c d", "b c a", "d c b a a"] * 3
    view = GloVe(dimension=3, epochs=4, learning_rate=0.2, tokenizer="words").fit(texts)
    numbers = {word: i for i, word in enumerate(view.vocabulary())}
    documents = [[numbers[word] for word in text.split()] for text in texts]
    entries = weighted_entries(cooccurrences(documents, 4, 10), 100, 0.75)
    parameters, _ = factorise(entries, 4, dimension=3, epochs=4, learning_rate=0.2, seed=0)
    np.testing.assert_allclose(view.word_vectors()[1], parameters.words + parameters.contexts, rtol=1e-6)


def test_rare_words_are_taken_out_before_neighbours_are_counted():
    with_rare = GloVe(dimension=3, epochs=4, window=1, minimum_count=2).fit(["cat rare dog", "cat dog"])
    without = GloVe(dimension=3, epochs=4, window=1, minimum_count=2).fit(["cat dog", "cat dog"])
    np.testing.assert_array_equal(with_rare.word_vectors()[1], without.word_vectors()[1])


def test_words_without_neighbours_are_refused():
    with pytest.raises(UserError, match="no two words stand together"):
        GloVe().fit(["cat", "dog"])
