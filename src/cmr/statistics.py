"""Intervals and tests: over seeds, splits and queries, between pairs of methods, and between rankings of methods.

What each of them says and does not say is told in docs/statistics.md. Values are better the higher they are; rank 1 is
the best.
"""

from dataclasses import dataclass

import numpy as np
import scipy  # it loads scipy.stats where it is first used: that takes as long as the rest of the command line
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, fdtrc, fdtri, stdtrit

Array = NDArray[np.float64]

BLOCK = 2**21  # resampled values held at a time
RESAMPLES = 10_000
DRAWN = 2 * 10**8  # values that a bootstrap draws at most, in 1000 resamples or more
ROUNDING = 1e-12  # of a sum, relative to the sum of magnitudes: what is nearer counts as equal
PRINTED = 0.05  # how far a printed average rank may be from the true one


@dataclass(frozen=True)
class Friedman:
    """Friedman's test; `tied` is the statistic corrected for ties, NaN where only average ranks are known."""

    chi2: float
    p: float
    tied: float
    p_tied: float
    df: int


@dataclass(frozen=True)
class ImanDavenport:
    """Iman and Davenport's F; the ranks differ at the level asked for where `f` is above `critical`."""

    f: float
    p: float
    critical: float
    df: tuple[int, int]


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of n values and the ends of its Student t interval; the ends are NaN when n is 1.

    Over seeds on one split, the interval tells how far chance in training moves the mean. Over repeated random splits
    of one data set it measures the spread between splits and no more: the splits share items, so the values are not
    independent, and the interval is too narrow to be a confidence about new data (Nadeau and Bengio, "Inference for
    the generalization error", Machine Learning 52, 2003).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"one or more values are needed, but they have shape {values.shape}")
    mean = values.mean()
    if len(values) == 1:
        return float(mean), np.nan, np.nan
    half = stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return float(mean), float(mean - half), float(mean + half)


def bootstrap_interval(
    values: ArrayLike, level: float = 0.95, resamples: int | None = None, seed: int = 0
) -> tuple[float, float, float]:
    """Mean over queries and the ends of its percentile bootstrap interval; the ends are NaN for one query.

    values : (n,), such as the average precision of each query of one test part.

    As `bootstrap_intervals` of a single column.
    """
    mean, low, high = bootstrap_intervals(_finite(values, 1, "values")[:, None], level, resamples, seed)
    return float(mean[0]), float(low[0]), float(high[0])


def bootstrap_intervals(
    values: ArrayLike, level: float = 0.95, resamples: int | None = None, seed: int = 0
) -> tuple[Array, Array, Array]:
    """Means (m,) over queries and both ends (m,) of their percentile bootstrap intervals; NaN ends for one query.

    values : (n, m), a row a query, a column a quantity, such as a task; all columns are of the same drawn queries.
    resamples : by default 10 000, and fewer, but no less than 1000, of so many queries that more than `DRAWN` values
        would be drawn: the ends then move by a tenth of a standard error at most, which itself is tiny.

    The queries are drawn anew; the gallery, the split and the trained model stay. Source: Efron and Tibshirani, "An
    introduction to the bootstrap", 1993, chapter 13. SciPy's draws a column at a time, which takes minutes a method
    where there are tens of thousands of queries.
    """
    values = _finite(values, 2, "values")
    n, m = values.shape
    means = values.mean(axis=0)
    if n == 1:
        return means, np.full(m, np.nan), np.full(m, np.nan)
    resamples = resamples or int(np.clip(DRAWN // n, 1000, RESAMPLES))
    rng, rows = np.random.default_rng(seed), max(1, BLOCK // n)
    apart, moved = values - means, np.empty((resamples, m))
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        drawn = rng.integers(n, size=(block, n)) + n * np.arange(block)[:, None]
        times = np.bincount(drawn.ravel(), minlength=block * n).reshape(block, n)
        moved[start : start + block] = times.astype(np.float64) @ apart / n
    low, high = means + np.quantile(moved, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return means, low, high


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, level: float = 0.95, resamples: int | None = None, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of `first` - `second` over the same n queries, and the ends of its percentile bootstrap interval.

    Each resample takes the same queries for both (n,), which is to resample the differences.
    """
    first, second = _finite(first, 1, "first values"), _finite(second, 1, "second values")
    if len(first) != len(second):
        raise ValueError(f"the same queries are needed twice, but there are {len(first)} and {len(second)}")
    return bootstrap_interval(first - second, level, resamples, seed)


def randomisation_test(differences: ArrayLike, permutations: int = 10_000, seed: int = 0) -> Array:
    """Two-sided p (p,) of the paired sign-flip test: is the mean of each column of differences 0?

    differences : (n, p), a row a query, a column a pair of methods.

    If the two methods of a pair were exchangeable, each difference could as well have the other sign. All columns get
    the same flips. With b of m flips at least as far from 0 as what is seen, p is (b + 1) / (m + 1), which is never 0
    (Phipson and Smyth, "Permutation p-values should never be zero", 2010). Where all 2^n flips are not more than
    `permutations`, all of them are counted and p is exact. Source: Smucker, Allan and Carterette, "A comparison of
    statistical significance tests for information retrieval evaluation", CIKM 2007.
    """
    differences = _finite(differences, 2, "differences")
    n = len(differences)
    total = differences.sum(axis=0)
    # Sums of the same magnitudes in another order are equal, but for rounding.
    bound = np.abs(total) - ROUNDING * np.abs(differences).sum(axis=0)
    exact = n <= np.log2(permutations)
    count, rng = (2**n if exact else permutations), np.random.default_rng(seed)
    rows = max(1, BLOCK // max(differences.shape))
    reached = np.zeros(len(total), dtype=np.int64)
    for start in range(0, count, rows):
        block = min(rows, count - start)
        if exact:
            flipped = np.arange(start, start + block)[:, None] >> np.arange(n) & 1
        else:
            # Whole words: then the flips do not depend on the size of a block.
            words = rng.integers(2**64, size=(block, -(-n // 64)), dtype=np.uint64)
            flipped = np.unpackbits(words.view(np.uint8), axis=1, count=n)
        sums = total - 2 * (flipped.astype(np.float64) @ differences)
        reached += (np.abs(sums) >= bound).sum(axis=0)
    return reached / count if exact else (reached + 1) / (count + 1)


def holm(p: ArrayLike) -> Array:
    """p (m,) adjusted for m tests at once; a test without p (NaN) keeps NaN and does not count.

    The k-th smallest is multiplied by m - k + 1, is at least the one before it and at most 1. Source: Holm, "A simple
    sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    p = np.asarray(p, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    if p.ndim != 1 or ((p[known] < 0) | (p[known] > 1)).any():
        raise ValueError("p must be one row of numbers from 0 to 1, or NaN")
    ascending = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    adjusted[ascending] = np.minimum(1, np.maximum.accumulate(p[ascending] * np.arange(len(ascending), 0, -1)))
    return adjusted


def ranks(scores: ArrayLike) -> Array:
    """Ranks (n, k) of k methods within each of n blocks, such as data sets: 1 is the highest, ties share their mean."""
    return scipy.stats.rankdata(-_finite(scores, 2, "scores"), axis=1)


def average_ranks(scores: ArrayLike) -> Array:
    """Ranks of k methods averaged over n blocks: scores (n, k) -> (k,); 1 is the highest."""
    return ranks(scores).mean(axis=0)


def friedman(ranks: ArrayLike) -> Friedman:
    """Friedman's test on ranks (n, k) of k methods within n blocks: are all methods alike?

    Both statistics are compared with the chi-square distribution of k - 1 degrees of freedom, which wants many blocks:
    see `iman_davenport`. The correction for ties is NaN where all methods tie in all blocks. Source: Friedman, "The
    use of ranks to avoid the assumption of normality", JASA 32, 1937; for ties Conover, "Practical nonparametric
    statistics", 1999, chapter 5.8.
    """
    ranks = _finite(ranks, 2, "ranks")
    n, k = ranks.shape
    if not np.allclose(ranks.sum(axis=1), k * (k + 1) / 2):
        raise ValueError(f"the ranks of {k} methods must add up to {k * (k + 1) / 2:g} in every block")
    untied = friedman_of_average_ranks(ranks.mean(axis=0), n)
    spread = np.square(ranks - (k + 1) / 2).sum()  # n k (k^2 - 1) / 12 without ties
    tied = untied.chi2 * n * k * (k * k - 1) / 12 / spread if spread > 0 else np.nan
    return Friedman(untied.chi2, untied.p, float(tied), float(chdtrc(k - 1, tied)), k - 1)


def friedman_of_average_ranks(average_ranks: ArrayLike, n: int) -> Friedman:
    """Friedman's test from average ranks (k,) over n blocks, as papers print them: chi^2 without correction for ties.

    12 n / (k (k + 1)) (sum of squared ranks - k (k + 1)^2 / 4). Ranks whose sum rounding cannot explain are refused.
    """
    average_ranks = _finite(average_ranks, 1, "average ranks")
    k = len(average_ranks)
    _check_design(n, k)
    if abs(average_ranks.sum() - k * (k + 1) / 2) > PRINTED * k:
        total = average_ranks.sum()
        raise ValueError(f"average ranks of {k} methods must add up to {k * (k + 1) / 2:g}, but these to {total:g}")
    chi2 = max(0.0, 12 * n / (k * (k + 1)) * (np.square(average_ranks).sum() - k * (k + 1) ** 2 / 4))
    return Friedman(float(chi2), float(chdtrc(k - 1, chi2)), np.nan, np.nan, k - 1)


def iman_davenport(chi2: float, n: int, k: int, alpha: float = 0.05) -> ImanDavenport:
    """F of Friedman's chi^2 of k methods in n blocks: (n - 1) chi^2 / (n (k - 1) - chi^2).

    Degrees of freedom: k - 1 and (k - 1)(n - 1). With few blocks chi^2 rejects too seldom, and F less so. Where all
    blocks agree the denominator is 0; F is then infinite and p 0, which says no more than that: the chance of full
    agreement is k!^(1 - n). Source: Iman and Davenport, "Approximations of the critical region of the Friedman
    statistic", Communications in Statistics 9, 1980.
    """
    _check_design(n, k)
    largest = n * (k - 1)
    if not 0 <= chi2 <= largest * (1 + ROUNDING):
        raise ValueError(f"chi^2 of {k} methods in {n} blocks is between 0 and {largest}, not {chi2}")
    df = (k - 1, (k - 1) * (n - 1))
    left = largest - chi2
    f = (n - 1) * chi2 / left if left > ROUNDING * largest else np.inf
    p = fdtrc(*df, f) if np.isfinite(f) else 0.0
    return ImanDavenport(float(f), float(p), float(fdtri(*df, 1 - alpha)), df)


def nemenyi_critical_difference(n: int, k: int, alpha: float = 0.05) -> float:
    """How far average ranks of two of k methods over n blocks must be apart to differ at the level `alpha`.

    q sqrt(k (k + 1) / (6 n)), where q is the quantile of the studentized range over sqrt(2). Source: Demsar,
    "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
    """
    _check_design(n, k)
    q = scipy.stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(k * (k + 1) / (6 * n)))


def nemenyi(scores: ArrayLike) -> Array:
    """p (k, k) of Nemenyi's test of each pair of k methods on scores (n, k) in n blocks; it needs no adjustment."""
    import scikit_posthocs  # slow: it brings statsmodels and seaborn

    scores = _finite(scores, 2, "scores")
    _check_design(*scores.shape)
    return scikit_posthocs.posthoc_nemenyi_friedman(scores).to_numpy()


def kendall(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Kendall's tau-b between two rows of scores (k,) of the same methods, and its two-sided p.

    1: the same order; -1: the reverse. NaN below three methods: of two, tau could only be 1 or -1, by the toss of a
    coin; and NaN where all scores of a row are equal. Source: Kendall, "The treatment of ties in ranking problems",
    Biometrika 33, 1945.
    """
    first, second = _finite(first, 1, "first scores"), _finite(second, 1, "second scores")
    _check_same_methods(first, second)
    if len(first) < 3:
        return np.nan, np.nan
    tau, p = scipy.stats.kendalltau(first, second)
    return float(tau), float(p)


def kendall_interval(
    published: ArrayLike, values: ArrayLike, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """tau-b between published scores and the mean of ours over repetitions, and its percentile bootstrap interval.

    published : (k,), of k methods of which both sides have a score. It is taken as it is printed, without an error.
    values : (r, k), ours in r repetitions, such as splits; whole repetitions are drawn anew.

    The ends are NaN for one repetition, and where the means of all methods tie in a resample; all three are NaN where
    `kendall` is.
    """
    published, values = _finite(published, 1, "published scores"), _finite(values, 2, "values")
    _check_same_methods(published, values[0])
    k, r = len(published), len(values)
    if k < 3:
        return np.nan, np.nan, np.nan
    tau = _tau_b(published, values.mean(axis=0)[None])[0]
    if r == 1:
        return float(tau), np.nan, np.nan
    times = np.random.default_rng(seed).multinomial(r, np.full(r, 1 / r), size=resamples)
    rows = max(1, BLOCK // k**2)
    taus = [_tau_b(published, times[start : start + rows] @ values / r) for start in range(0, resamples, rows)]
    low, high = np.quantile(np.concatenate(taus), [(1 - level) / 2, (1 + level) / 2])
    return float(tau), float(low), float(high)


def _tau_b(first: Array, seconds: Array) -> Array:
    """tau-b of (k,) with each of (m, k): (m,). SciPy's takes one pair a call, too slow for thousands."""
    one, other = np.triu_indices(len(first), 1)
    order, gaps = np.sign(first[one] - first[other]), seconds[:, one] - seconds[:, other]
    # Means of the same values in another order differ by rounding and tie.
    orders = np.where(np.abs(gaps) <= ROUNDING * np.abs(seconds).max(), 0, np.sign(gaps))
    pairs = np.sqrt(np.count_nonzero(order) * np.count_nonzero(orders, axis=1))
    return np.divide(orders @ order, pairs, out=np.full(len(seconds), np.nan), where=pairs > 0)


def _finite(values: ArrayLike, ndim: int, name: str) -> Array:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != ndim or not values.size or not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite numbers in {ndim} dimension(s); they have shape {values.shape}")
    return values


def _check_design(n: int, k: int) -> None:
    if n < 2 or k < 2:
        raise ValueError(f"ranks are compared over two or more blocks and methods, but there are {n} and {k}")


def _check_same_methods(first: Array, second: Array) -> None:
    if len(first) != len(second):
        raise ValueError(f"the same methods are needed twice, but there are {len(first)} and {len(second)}")
