"""Measures against other libraries, closed forms and counting."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from scipy import sparse
from sklearn.metrics import roc_auc_score

from cmr.vectorisation import measures
from cmr.vectorisation.vectors import UnitVectors
from tests.unit.vectorisation.made import grid, grid_questions, word


def test_rank_correlation_is_scipys_with_ties_and_in_every_resample():
    rng = np.random.default_rng(2)
    cosines, judgements = rng.normal(size=(2, 30)), rng.integers(0, 6, size=30).astype(float)
    draws = measures.draws_of_pairs(30, 20, seed=0)
    outcome = measures.rank_correlation(cosines, judgements, draws)
    assert outcome.values == pytest.approx([scipy.stats.spearmanr(row, judgements).statistic for row in cosines])
    expected = [
        np.mean([scipy.stats.spearmanr(row[draw], judgements[draw]).statistic for row in cosines]) for draw in draws
    ]
    assert outcome.resampled == pytest.approx(np.array(expected))


def test_interval_of_rho_is_fishers():
    """By hand: rho 0.5, n 103; z 0.549306, standard error sqrt(1.125 / 100) = 0.106066."""
    half = 1.959964 * 0.106066
    expected = np.tanh([0.549306 - half, 0.549306 + half])
    assert measures.fisher_interval(0.5, 103) == pytest.approx(expected, abs=1e-5)


def test_interval_of_rho_covers_its_bootstrap():
    rng = np.random.default_rng(3)
    judgements = rng.normal(size=400)
    cosines = (judgements + rng.normal(size=400))[None]
    outcome = measures.rank_correlation(cosines, judgements, measures.draws_of_pairs(400, 2000, seed=0))
    low, high = np.quantile(outcome.resampled, [0.025, 0.975])
    assert (outcome.low, outcome.high) == pytest.approx((low, high), abs=0.02)


def test_perfect_order_has_a_finite_interval():
    assert measures.fisher_interval(1.0, 20) == (1.0, 1.0)


def test_cosines_that_are_all_equal_have_no_correlation():
    outcome = measures.rank_correlation(np.zeros((1, 12)), np.arange(12), measures.draws_of_pairs(12, 10, seed=0))
    assert outcome.value == 0
    assert (outcome.resampled == 0).all()


@pytest.mark.parametrize(("hits", "n"), [(0, 12), (3, 12), (12, 12), (50, 871)])
def test_interval_of_accuracy_is_wilsons(hits, n):
    expected = scipy.stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert measures.wilson_interval(hits / n, n) == pytest.approx((expected.low, expected.high))


def test_mean_cosine_has_the_interval_of_the_t_test_over_pairs():
    cosines = np.random.default_rng(4).uniform(-1, 1, size=(3, 25))
    outcome = measures.mean_cosine(cosines, measures.draws_of_pairs(25, 4000, seed=0))
    pairs = cosines.mean(axis=0)
    expected = scipy.stats.ttest_1samp(pairs, 0).confidence_interval(0.95)
    assert (outcome.low, outcome.high) == pytest.approx((expected.low, expected.high))
    assert outcome.value == pytest.approx(pairs.mean())
    assert outcome.resampled.std() == pytest.approx(pairs.std() / 5, rel=0.05)


def test_separation_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(5)
    related, floor = rng.integers(1, 6, size=(1, 20)) / 5, rng.integers(0, 5, size=(1, 30)) / 5
    draws, draws_of_floor = measures.draws_of_pairs(20, 15, seed=0), measures.draws_of_pairs(30, 15, seed=1)
    outcome = measures.separation(related, floor, draws, draws_of_floor)
    truth = [1] * 20 + [0] * 30
    assert outcome.value == pytest.approx(roc_auc_score(truth, np.concatenate([related[0], floor[0]])))
    expected = [
        roc_auc_score(truth, np.concatenate([related[0, i], floor[0, j]]))
        for i, j in zip(draws, draws_of_floor, strict=True)
    ]
    assert outcome.resampled == pytest.approx(np.array(expected))


def test_separation_does_not_depend_on_how_wide_a_space_is():
    rng = np.random.default_rng(6)
    related, floor = rng.uniform(-1, 1, size=(2, 15)), rng.uniform(-1, 1, size=(2, 15))
    draws = measures.draws_of_pairs(15, 10, seed=0)
    wide = measures.separation(related, floor, draws, draws)
    narrow = measures.separation(0.9 + related / 20, 0.9 + floor / 20, draws, draws)
    assert narrow.value == wide.value


def test_difference_is_paired():
    """A constant lead is certain, however much the pairs themselves differ."""
    cosines, draws = np.random.default_rng(7).uniform(-1, 1, size=(1, 50)), measures.draws_of_pairs(50, 500, seed=0)
    one, other = measures.mean_cosine(cosines + 0.1, draws), measures.mean_cosine(cosines, draws)
    assert measures.difference(one, other) == pytest.approx((0.1, 0.1, 0.1))
    assert other.high - other.low > 0.2


def test_interval_of_a_difference_is_that_of_the_t_test_of_pairs():
    rng = np.random.default_rng(8)
    cosines, lead = rng.uniform(-1, 1, size=(1, 300)), rng.normal(0.05, 0.2, size=(1, 300))
    draws = measures.draws_of_pairs(300, 4000, seed=0)
    found = measures.difference(measures.mean_cosine(cosines + lead, draws), measures.mean_cosine(cosines, draws))
    expected = scipy.stats.ttest_1samp(lead[0], 0).confidence_interval(0.95)
    assert found == pytest.approx((lead.mean(), expected.low, expected.high), abs=2e-3)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_analogies_of_parallel_words_are_all_answered(form):
    vectors, questions = grid(["s"]), grid_questions("s")
    assert measures.answer_analogies(UnitVectors.of(vectors.words, form(vectors.units)), questions).tolist() == [1] * 30


def test_analogies_are_gensims():
    from gensim.models import KeyedVectors

    vectors = grid(["s", "ed"], noise=0.9)
    questions = pd.concat([grid_questions("s"), grid_questions("ed")])
    model = KeyedVectors(vectors.units.shape[1])
    model.add_vectors(list(vectors.words), vectors.units)
    expected = [
        model.most_similar(positive=[q.b, q.c], negative=[q.a], topn=1)[0][0] == q.d
        for q in questions.itertuples(index=False)
    ]
    hits = measures.answer_analogies(vectors, questions)
    assert hits.tolist() == expected
    assert 0.1 < hits.mean() < 0.9


def test_a_word_of_the_question_is_no_answer():
    """b - a + c lies on a, where b and c lie around it: d is the nearest of the others."""
    angle = 0.2
    around = [[np.cos(angle), sign * np.sin(angle), 0] for sign in (1, -1)]
    values = np.array([[1, 0, 0], *around, [0.8, 0, 0.6], [0.6, 0, 0.8]])
    vectors = UnitVectors.of(["a", "b", "c", "d", "far"], values)
    target = vectors.units[1] - vectors.units[0] + vectors.units[2]
    assert np.argmax(vectors.units @ target) == 0
    question = pd.DataFrame([["s", *"abcd"]], columns=["section", *"abcd"])
    assert measures.answer_analogies(vectors, question).tolist() == [1]


def test_an_answer_that_ties_with_another_counts_half():
    values = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [0, 1, 1]])
    vectors = UnitVectors.of(["a", "b", "c", "d", "twin"], values)
    question = pd.DataFrame([["s", *"abcd"]], columns=["section", *"abcd"])
    assert measures.answer_analogies(vectors, question).tolist() == [0.5]


def test_questions_are_drawn_by_the_pairs_they_are_made_of():
    """Of three pairs of a section, a resample is three draws; a question counts the product of its pairs' draws."""
    questions = pd.concat([grid_questions("s", stems=3), grid_questions("ed", stems=4)], ignore_index=True)
    weights = measures.draws_of_questions(questions, 4000, seed=0)
    own = weights[:, questions["section"] == "s"]
    possible = {tuple(sorted(np.bincount(draw, minlength=3))) for draw in itertools.product(range(3), repeat=3)}
    products = {tuple(sorted([x * y for x, y in itertools.permutations(counts, 2)])) for counts in possible}
    assert {tuple(sorted(row)) for row in own} == products
    # E[x y] of multinomial counts: n (n - 1) / n^2
    assert own.mean() == pytest.approx(2 / 3, abs=0.03)
    assert weights[:, questions["section"] == "ed"].mean() == pytest.approx(3 / 4, abs=0.03)


def test_accuracy_is_a_weighted_share_and_no_question_is_no_number():
    hits, weights = np.array([[1.0, 0, 1], [1, 0, 0]]), np.array([[2.0, 1, 1], [0, 0, 0]])
    outcome = measures.accuracy(hits, weights)
    assert outcome.values == pytest.approx([2 / 3, 1 / 3])
    assert outcome.resampled[0] == pytest.approx((2 * 1 + 0 + 0.5) / 4)
    assert np.isnan(outcome.resampled[1])


def test_random_pairs_are_different_pairs_of_two_words_and_none_of_the_related():
    words, related = [word(i) for i in range(10)], {("aa", "ab"), ("ac", "af")}
    pairs = measures.random_pairs(words, related, 1000, seed=0)
    assert set(pairs.itertuples(index=False, name=None)) == set(itertools.combinations(words, 2)) - related
    some = measures.random_pairs(words[::-1] * 2, related, 20, seed=0)
    assert len(set(some.itertuples(index=False, name=None)) - related) == 20
    assert some.equals(measures.random_pairs(words, related, 20, seed=0))
    assert not some.equals(measures.random_pairs(words, related, 20, seed=1))
