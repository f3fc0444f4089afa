import itertools
import math
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from scipy.stats import ttest_1samp

from cmr import statistics
from cmr.statistics import mean_interval


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_interval_is_that_of_the_t_test(level):
    values = [0.31, 0.35, 0.30, 0.38, 0.33]
    expected = ttest_1samp(values, 0).confidence_interval(level)
    assert mean_interval(values, level) == pytest.approx((np.mean(values), expected.low, expected.high))


def test_five_values_against_the_printed_table():
    """t(0.975, 4) = 2.776 in every table."""
    mean, low, high = mean_interval([1, 2, 3, 4, 5])
    assert (mean, low, high) == pytest.approx((3, 3 - 2.776 * 0.5**0.5, 3 + 2.776 * 0.5**0.5), abs=1e-3)


def test_one_value_has_no_interval():
    mean, low, high = mean_interval([0.25])
    assert mean == 0.25
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_other_shapes_are_refused(values):
    with pytest.raises(ValueError, match="one or more values"):
        mean_interval(values)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bootstrap_of_shares_has_the_quantiles_of_the_binomial_distribution(level):
    """The mean of n resampled zeros and ones is binomial(n, share) / n."""
    values = np.repeat([0.0, 1.0], [140, 60])
    mean, low, high = statistics.bootstrap_interval(values, level)
    expected = scipy.stats.binom(200, 0.3).ppf([(1 - level) / 2, (1 + level) / 2]) / 200
    assert mean == pytest.approx(0.3)
    assert (low, high) == pytest.approx(expected, abs=1 / 200)  # one query: the quantiles are themselves estimates


def test_bootstrap_covers_the_mean_of_a_skewed_population_about_as_often_as_it_says(rng):
    """400 samples: an interval with coverage of 95 % fails to cover 20 +- 4.4 times."""
    samples = rng.beta(0.5, 1.5, size=(400, 60))  # mean 0.25
    intervals = [statistics.bootstrap_interval(sample, resamples=500, seed=k) for k, sample in enumerate(samples)]
    missed = sum(not low <= 0.25 <= high for _, low, high in intervals)
    assert 8 <= missed <= 40


def test_bootstrap_of_many_queries_agrees_with_the_normal_interval_in_bounded_memory(rng):
    values = rng.random(76_000)
    tracemalloc.start()
    mean, low, high = statistics.bootstrap_interval(values, resamples=400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=half / 5)  # quantiles of 400 resamples
    assert peak < 100e6  # 400 resamples at once are 243 MB, and as many bytes of indices


def test_bootstrap_of_one_query_has_no_ends():
    mean, *ends = statistics.bootstrap_interval([0.4])
    assert mean == 0.4
    assert np.isnan(ends).all()


@pytest.mark.parametrize("values", [[], [0.1, np.nan], [[0.1, 0.2]]])
def test_bootstrap_refuses_what_has_no_mean(values):
    with pytest.raises(ValueError, match="finite numbers"):
        statistics.bootstrap_interval(values)


def test_resampled_means_are_of_as_many_queries_as_there_are():
    """Of two queries, a quarter of the resamples takes each of them twice."""
    assert statistics.bootstrap_interval([0.0, 1.0]) == (0.5, 0.0, 1.0)


def test_columns_are_of_the_same_drawn_queries_and_each_as_alone(rng):
    values = rng.random((60, 3))
    together = np.column_stack(statistics.bootstrap_intervals(values))
    np.testing.assert_allclose(together, [statistics.bootstrap_interval(column) for column in values.T])
    opposite = np.column_stack([values[:, 0], 1 - values[:, 0]])
    _, low, high = statistics.bootstrap_intervals(opposite)
    np.testing.assert_allclose(low, 1 - high[::-1])


def test_a_block_holds_few_resamples_without_changing_them(rng, monkeypatch):
    values = rng.random((50, 2))
    whole = statistics.bootstrap_intervals(values)
    monkeypatch.setattr(statistics, "BLOCK", 7 * 50)
    np.testing.assert_allclose(statistics.bootstrap_intervals(values), whole)


def test_the_more_queries_the_fewer_resamples_but_never_below_a_thousand(rng, monkeypatch):
    values = rng.random(50)
    of_all = statistics.bootstrap_interval(values, resamples=10_000)
    assert statistics.bootstrap_interval(values) == of_all
    monkeypatch.setattr(statistics, "DRAWN", 50 * 2000)
    assert statistics.bootstrap_interval(values) == statistics.bootstrap_interval(values, resamples=2000) != of_all
    monkeypatch.setattr(statistics, "DRAWN", 1)
    assert statistics.bootstrap_interval(values) == statistics.bootstrap_interval(values, resamples=1000)


def test_paired_bootstrap_knows_that_both_have_the_same_queries(rng):
    """Queries are of very different difficulty, alike for both methods."""
    difficulty = rng.random(300)
    first, second = difficulty + 0.01 + rng.normal(0, 0.01, 300), difficulty
    mean, low, high = statistics.paired_bootstrap(first, second)
    assert mean == pytest.approx((first - second).mean())
    assert 0 < low < mean < high
    assert high - low == pytest.approx(2 * 1.96 * 0.01 / np.sqrt(300), rel=0.15)


def test_paired_bootstrap_is_that_of_scipy(rng):
    first, second = rng.random((2, 80))
    _, *ends = statistics.paired_bootstrap(first, second)
    expected = scipy.stats.bootstrap(
        (first, second),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=1,
    ).confidence_interval
    assert ends == pytest.approx(list(expected), abs=0.01)  # other resamples; the interval is 0.17 wide


def test_paired_bootstrap_refuses_other_queries():
    with pytest.raises(ValueError, match="there are 3 and 2"):
        statistics.paired_bootstrap([0.1, 0.2, 0.3], [0.1, 0.2])


@pytest.mark.parametrize("values", [[0.3, -0.1, 0.4, 0.2, 0.1, -0.2, 0.3, 0.5], [1, 1, 1, 1, 1], [0.1, -0.2, 0, 0.3]])
def test_randomisation_of_few_queries_is_exact(values):
    values = np.array(values, dtype=float)
    expected = scipy.stats.permutation_test(
        (values, np.zeros(len(values))), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples"
    )
    assert len(expected.null_distribution) == 2 ** len(values)
    assert statistics.randomisation_test(values[:, None]) == pytest.approx([expected.pvalue])


def test_equal_sums_count_as_equal_however_they_are_rounded(rng):
    """In tenths many flips tie with what is seen; in floating point 0.1 + 0.2 - 0.3 is not 0. Integers are exact."""
    tenths = rng.integers(-5, 6, size=(7, 50))
    flips = np.array(list(itertools.product([-1, 1], repeat=7)))
    expected = (np.abs(flips @ tenths) >= np.abs(tenths.sum(axis=0))).mean(axis=0)
    assert statistics.randomisation_test(tenths / 10).tolist() == expected.tolist()


def test_randomisation_of_many_pairs_takes_bounded_memory(rng):
    """All sums at once are 240 MB."""
    tracemalloc.start()
    statistics.randomisation_test(rng.normal(size=(20, 3000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_sampled_flips_count_themselves_so_that_p_is_never_zero():
    assert statistics.randomisation_test(np.ones((40, 1)), permutations=99) == pytest.approx([1 / 100])
    assert statistics.randomisation_test(np.zeros((40, 1)), permutations=99) == 1


def test_sampled_flips_agree_with_all_flips(rng):
    """16 queries: 65 536 flips, of which 10 000 are drawn."""
    differences = rng.normal(0.3, 1, size=(16, 5))
    exact = statistics.randomisation_test(differences, permutations=2**16)
    np.testing.assert_allclose(statistics.randomisation_test(differences), exact, atol=0.02)  # 4 standard errors
    assert ((exact * 2**16) % 2 == 0).all()  # a flip and its mirror image


def test_p_is_uniform_where_methods_do_not_differ(rng):
    p = statistics.randomisation_test(rng.exponential(size=(50, 1000)) * rng.choice([-1, 1], (50, 1000)), 999)
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01


def test_a_pair_has_the_same_p_alone_and_among_others(rng):
    """All pairs share the flips, though fewer are held at a time where there are more pairs."""
    differences = rng.normal(0.05, 1, size=(70, 3000))
    together = statistics.randomisation_test(differences, permutations=1500)
    alone = statistics.randomisation_test(differences[:, 7:8], permutations=1500)
    assert together[7] == pytest.approx(alone[0])
    assert len(set(together)) > 100


def test_randomisation_of_many_queries_has_the_p_of_the_normal_limit(rng):
    differences = rng.normal(size=(76_000, 1))
    differences += 1.5 / np.sqrt(len(differences)) - differences.mean()
    expected = 2 * scipy.stats.norm.sf(1.5 / np.sqrt(np.square(differences).mean()))
    assert statistics.randomisation_test(differences, 1000) == pytest.approx([expected], abs=0.04)


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.9, 0.01]) == pytest.approx([1, 1, 0.03])
    assert statistics.holm([]).shape == (0,)


def test_a_test_without_p_does_not_count():
    adjusted = statistics.holm([np.nan, 0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(adjusted, [np.nan, 0.03, np.nan, 0.06, 0.06])


def test_adjusted_p_decide_as_holms_steps_do(rng):
    """Reject from the smallest on, at alpha over the number of those left, until one is not rejected."""
    p = np.append(rng.random(12) ** 4, 0.02)
    adjusted = statistics.holm(p)
    for alpha in (0.01, 0.05, 0.2, 0.5):
        rejected = set()
        for left, place in zip(range(len(p), 0, -1), np.argsort(p), strict=True):
            if p[place] > alpha / left:
                break
            rejected.add(place)
        assert set(np.flatnonzero(adjusted <= alpha)) == rejected


@pytest.mark.parametrize("p", [[0.1, 1.2], [-0.1], [[0.1]]])
def test_holm_refuses_what_is_no_p(p):
    with pytest.raises(ValueError, match="from 0 to 1"):
        statistics.holm(p)


SCORES = np.array([[0.3, 0.2, 0.2, 0.1], [0.5, 0.5, 0.5, 0.9], [0.1, 0.4, 0.3, 0.2]])


def test_the_highest_score_has_rank_one_and_ties_share_their_mean():
    assert statistics.ranks(SCORES).tolist() == [[1, 2.5, 2.5, 4], [3, 3, 3, 1], [4, 1, 2, 3]]
    assert statistics.average_ranks(SCORES) == pytest.approx([8 / 3, 6.5 / 3, 7.5 / 3, 8 / 3])


def test_a_missing_score_has_no_rank():
    with pytest.raises(ValueError, match="finite numbers"):
        statistics.average_ranks([[0.1, np.nan], [0.2, 0.3]])


# CSAEC's four data sets and six methods: CCA, BLM, LCFS, LGCFL, JFSSL, CSAEC.
PRINTED = {"40": [4.375, 4.75, 2.75, 4.375, 3.75, 1], "all": [4.75, 4.375, 2.375, 4.75, 3.75, 1]}


@pytest.mark.parametrize(
    ("cut_off", "chi2", "p", "f", "p_of_f", "f_as_printed"),
    [("40", 11.3929, 0.0441, 3.9710, 0.0171, 2.7110), ("all", 13.1071, 0.0224, 5.7047, 0.0038, 3.6098)],
)
def test_printed_ranks_of_csaec(cut_off, chi2, p, f, p_of_f, f_as_printed):
    friedman = statistics.friedman_of_average_ranks(PRINTED[cut_off], n=4)
    assert (friedman.chi2, friedman.p) == pytest.approx((chi2, p), abs=5e-5)
    assert friedman.df == 5
    assert np.isnan([friedman.tied, friedman.p_tied]).all()
    test = statistics.iman_davenport(friedman.chi2, n=4, k=6)
    assert (test.f, test.p, test.critical) == pytest.approx((f, p_of_f, 2.9013), abs=5e-5)
    assert test.df == (5, 15)
    # The paper's denominator is n k - chi^2 where its own formula has n (k - 1) - chi^2.
    assert 3 * friedman.chi2 / (4 * 6 - friedman.chi2) == pytest.approx(f_as_printed, abs=5e-5)


@pytest.mark.parametrize(
    ("ranks", "chi2", "f", "p"),
    [
        ([5.75, 4.25, 3.75, 3.25, 3.0, 1], 14.0, 7.0, 0.0015),
        ([5.5, 4.5, 3.25, 3.25, 3.5, 1], 13.0, 5.5714, 0.0043),
        ([6.0, 4.25, 3.75, 3.25, 2.75, 1], 15.7143, 11.0, 0.00014),
    ],
)
def test_ranks_of_csaec_that_follow_from_its_other_columns(ranks, chi2, f, p):
    friedman = statistics.friedman_of_average_ranks(ranks, n=4)
    assert friedman.chi2 == pytest.approx(chi2, abs=5e-5)
    test = statistics.iman_davenport(friedman.chi2, n=4, k=6)
    assert (test.f, test.p) == pytest.approx((f, p), abs=5e-5)


# mAP@40 in the paper's Tables 1 to 4.
AVERAGE = [
    [0.492, 0.495, 0.517, 0.526, 0.526, 0.534],
    [0.627, 0.634, 0.651, 0.653, 0.656, 0.671],
    [0.768, 0.849, 0.837, 0.791, 0.765, 0.863],
    [0.859, 0.864, 0.891, 0.891, 0.893, 0.956],
]
IMG2TXT = [
    [0.436, 0.443, 0.461, 0.473, 0.474, 0.489],
    [0.629, 0.637, 0.647, 0.658, 0.654, 0.672],
    [0.782, 0.859, 0.843, 0.782, 0.767, 0.867],
    [0.873, 0.861, 0.895, 0.895, 0.904, 0.925],
]


@pytest.mark.parametrize(
    ("scores", "average", "chi2", "tied", "f", "p"),
    [
        (AVERAGE, [5.75, 4.25, 3.625, 3.25, 3.125, 1], 13.8214, 14.0217, 6.7110, 0.0018),
        (IMG2TXT, [5.375, 4.5, 3.625, 3.25, 3.25, 1], 12.4643, 12.6449, 4.9621, 0.0070),
    ],
)
def test_printed_scores_of_csaec(scores, average, chi2, tied, f, p):
    assert statistics.average_ranks(scores).tolist() == average
    friedman = statistics.friedman(statistics.ranks(scores))
    assert (friedman.chi2, friedman.tied) == pytest.approx((chi2, tied), abs=5e-5)
    test = statistics.iman_davenport(friedman.chi2, n=4, k=6)
    assert (test.f, test.p) == pytest.approx((f, p), abs=5e-5)


@pytest.mark.parametrize("digits", [1, 8])
def test_friedman_is_that_of_scipy(rng, digits):
    """With one digit most blocks have ties."""
    scores = (rng.random((9, 5)) + 0.1 * np.arange(5)).round(digits)
    ours = statistics.friedman(statistics.ranks(scores))
    expected = scipy.stats.friedmanchisquare(*scores.T)
    assert (ours.tied, ours.p_tied) == pytest.approx((expected.statistic, expected.pvalue))
    assert ours.df == 4
    assert ours.p == pytest.approx(scipy.stats.chi2.sf(ours.chi2, 4))
    assert (ours.chi2 < ours.tied - 1e-3) if digits == 1 else ours.chi2 == pytest.approx(ours.tied)


def test_friedman_sees_nothing_where_all_methods_tie():
    friedman = statistics.friedman(np.full((4, 3), 2.0))
    assert (friedman.chi2, friedman.p) == (0, 1)
    assert np.isnan([friedman.tied, friedman.p_tied]).all()


def test_ranks_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="must add up to 6 in every block"):
        statistics.friedman([[1, 2, 3], [1, 2, 2]])
    with pytest.raises(ValueError, match="must add up to 6, but these to 7"):
        statistics.friedman_of_average_ranks([1, 3, 3], n=4)
    with pytest.raises(ValueError, match="there are 1 and 3"):
        statistics.friedman_of_average_ranks([1, 2, 3], n=1)
    # Three ranks rounded to one digit may be 0.15 off together.
    assert statistics.friedman_of_average_ranks([1.3, 2.3, 2.3], n=3).df == 2


@pytest.mark.parametrize("n", range(2, 12))
def test_full_agreement_has_an_infinite_f(n):
    for k in range(2, 12):
        friedman = statistics.friedman([range(1, k + 1)] * n)
        assert friedman.chi2 == pytest.approx(n * (k - 1))
        test = statistics.iman_davenport(friedman.chi2, n, k)
        assert (test.f, test.p) == (np.inf, 0)


@pytest.mark.parametrize("chi2", [-0.1, 20.1, np.nan])
def test_a_chi2_that_cannot_be_is_refused(chi2):
    with pytest.raises(ValueError, match="between 0 and 20"):
        statistics.iman_davenport(chi2, n=4, k=6)


def test_f_follows_its_alpha():
    assert statistics.iman_davenport(5, n=4, k=6, alpha=0.01).critical == pytest.approx(4.5556, abs=5e-5)


@pytest.mark.parametrize(
    ("k", "q", "q_10"),
    [(2, 1.960, 1.645), (4, 2.569, 2.291), (6, 2.850, 2.589), (8, 3.031, 2.780), (10, 3.164, 2.920)],
)
def test_critical_difference_has_the_printed_quantiles(k, q, q_10):
    """Demsar 2006, table 5a."""
    scale = math.sqrt(k * (k + 1) / (6 * 14))
    assert statistics.nemenyi_critical_difference(14, k) == pytest.approx(q * scale, abs=1e-3 * scale)
    assert statistics.nemenyi_critical_difference(14, k, alpha=0.1) == pytest.approx(q_10 * scale, abs=1e-3 * scale)


def test_critical_difference_of_csaec():
    assert statistics.nemenyi_critical_difference(4, 6) == pytest.approx(3.770, abs=5e-4)


def test_nemenyi_agrees_with_the_critical_difference(rng):
    scores = rng.random((12, 5)) + 0.25 * np.arange(5)
    p, ranks = statistics.nemenyi(scores), statistics.average_ranks(scores)
    gaps = np.abs(ranks[:, None] - ranks)
    z = gaps * math.sqrt(6 * 12 / (5 * 6))
    np.testing.assert_allclose(p, scipy.stats.studentized_range.sf(z * math.sqrt(2), 5, np.inf), atol=1e-6)
    differ = p < 0.05
    assert (differ == (gaps > statistics.nemenyi_critical_difference(12, 5))).all()
    assert 0 < differ.sum() < 20


TIED = [[0.1, 0.2, 0.2, 0.4, 0.5], [0.2, 0.1, 0.3, 0.3, 0.3]]


def test_tau_b_by_hand():
    """Of 10 pairs one is tied in the first and three in the second; of the others 6 agree, and one does not."""
    tau, p = statistics.kendall(*TIED)
    assert tau == pytest.approx((5 - 1) / math.sqrt(9 * 7))
    assert p == pytest.approx(scipy.stats.kendalltau(*TIED).pvalue)


def test_p_of_tau_counts_orders():
    """Of the 24 orders of four methods two have |tau| = 1."""
    assert statistics.kendall([1, 2, 3, 4], [0.1, 0.3, 0.4, 0.9]) == pytest.approx((1, 2 / 24))
    assert statistics.kendall([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx((-1, 2 / 24))


@pytest.mark.parametrize("scores", [([0.1, 0.2], [0.3, 0.4]), ([0.1, 0.1, 0.1], [0.1, 0.2, 0.3])])
def test_no_order_has_no_tau(scores):
    assert np.isnan(statistics.kendall(*scores)).all()
    first, second = scores
    assert np.isnan(statistics.kendall_interval(first, [second, second])).all()


@pytest.mark.parametrize("level", [0.4, 0.8])
def test_tau_interval_is_over_all_resamples_of_repetitions(level):
    """Three repetitions have 27 resamples, all equally likely."""
    published = np.array([0.1, 0.2, 0.2, 0.4, 0.5])
    values = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.4, 0.3, 0.2, 0.6], [0.9, 0.1, 0.5, 0.2, 0.3]])
    tau, *ends = statistics.kendall_interval(published, values, level)
    assert tau == pytest.approx(scipy.stats.kendalltau(published, values.mean(axis=0)).statistic)
    picks = itertools.product(range(3), repeat=3)
    taus = [scipy.stats.kendalltau(published, values[list(pick)].mean(axis=0).round(9)).statistic for pick in picks]
    expected = {0.4: (0.3, 0.7), 0.8: (0.1, 0.9)}[level]
    assert ends == pytest.approx(np.quantile(taus, expected, method="inverted_cdf"))


def test_tau_interval_widens_with_its_level(rng):
    values = np.arange(8) + rng.normal(0, 2, size=(6, 8))
    narrow, wide = (statistics.kendall_interval(range(8), values, level) for level in (0.5, 0.95))
    assert wide[1] < narrow[1] < narrow[2] < wide[2]


def test_means_of_the_same_values_in_another_order_tie():
    """In floating point (0.1 + 0.2 + 0.3) / 3 and (0.3 + 0.2 + 0.1) / 3 differ."""
    values = np.array([[0.1, 0.3, 0.9, 0.8], [0.2, 0.2, 0.9, 0.8], [0.3, 0.1, 0.9, 0.8]])
    tau, *_ = statistics.kendall_interval([0.1, 0.2, 0.5, 0.6], values)
    assert tau == pytest.approx((4 - 1) / math.sqrt(6 * 5))


def test_one_repetition_has_a_tau_without_ends():
    tau, *ends = statistics.kendall_interval([1, 2, 3], [[0.1, 0.3, 0.2]])
    assert tau == pytest.approx(1 / 3)
    assert np.isnan(ends).all()


def test_a_resample_without_an_order_leaves_the_ends_open():
    tau, *ends = statistics.kendall_interval([1, 2, 3], [[0.1, 0.2, 0.3], [0.2, 0.2, 0.2]])
    assert tau == pytest.approx(1)
    assert np.isnan(ends).all()


def test_tau_refuses_other_methods():
    for call in (statistics.kendall, lambda a, b: statistics.kendall_interval(a, [b])):
        with pytest.raises(ValueError, match="there are 3 and 4"):
            call([1, 2, 3], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="finite numbers"):
        statistics.kendall([1, 2, np.nan], [1, 2, 3])


def test_the_same_numbers_come_out_every_time(rng):
    values = rng.random((50, 4))
    for call in (
        lambda seed: statistics.bootstrap_interval(values[:, 0], seed=seed),
        lambda seed: tuple(statistics.randomisation_test(values - 0.5, seed=seed)),
    ):
        assert call(0) == call(0) != call(1)
