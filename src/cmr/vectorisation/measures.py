"""What a list of word pairs or questions says of word vectors, with intervals, and resamples for paired differences.

A vectoriser with several seeds has a value a seed. Its value is their mean; intervals and resamples are over the pairs
of that mean. Resamples draw pairs with replacement, the same draws for every vectoriser, so that differences of two
vectorisers are paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from cmr.statistics import mean_interval
from cmr.vectorisation.vectors import UnitVectors

Floats = NDArray[np.float64]

# Cosines that are equal but for rounding tie.
DECIMALS = 9
QUESTIONS_AT_ONCE = 512


@dataclass(frozen=True)
class Outcome:
    """One measure of one vectoriser.

    Attributes
    ----------
    values : (s,) one a seed.
    low, high : ends of the 95 % interval of their mean.
    resampled : (r,) that mean in each resample.
    """

    values: Floats
    low: float
    high: float
    resampled: Floats

    @property
    def value(self) -> float:
        return float(self.values.mean())


def mean_cosine(cosines: Floats, draws: NDArray[np.int64], level: float = 0.95) -> Outcome:
    """Mean cosine of n pairs; the interval is Student's over the pairs.

    cosines : (s, n), a row a seed.
    draws : (r, n) places of pairs, of `draws_of_pairs`.
    """
    pairs = cosines.mean(axis=0)
    _, low, high = mean_interval(pairs, level)
    return Outcome(cosines.mean(axis=1), low, high, pairs[draws].mean(axis=1))


def separation(
    related: Floats,
    floor: Floats,
    draws: NDArray[np.int64],
    draws_of_floor: NDArray[np.int64],
    level: float = 0.95,
) -> Outcome:
    """How often a related pair has a higher cosine than a random pair, ties half: the area under the ROC curve.

    0.5 is chance. Unlike the mean cosine it is the same for all spaces that order pairs alike, whether their cosines
    lie near 0 or near 1. The interval is that of the bootstrap, resampling related and random pairs.

    related, floor : (s, n) and (s, m) cosines.
    """
    related, floor = np.round(related, DECIMALS), np.round(floor, DECIMALS)
    wins = np.stack([_wins(one, other) for one, other in zip(related, floor, strict=True)])  # (s, n, m)
    mean, n, m = wins.mean(axis=0), related.shape[1], floor.shape[1]
    resampled = ((_counts(draws, n) @ mean) * _counts(draws_of_floor, m)).sum(axis=1) / (n * m)
    return Outcome(wins.mean(axis=(1, 2)), *_percentiles(resampled, level), resampled)


def rank_correlation(cosines: Floats, judgements: ArrayLike, draws: NDArray[np.int64], level: float = 0.95) -> Outcome:
    """Spearman's rho of cosines and human judgements.

    The interval is Fisher's z, its variance (1 + rho^2 / 2) / (n - 3) by Bonett and Wright, Psychometrika 65, 2000.
    Cosines that are all equal have rho 0: its expectation over the orders of ties.

    cosines : (s, n). judgements : (n,). draws : (r, n).
    """
    cosines, judgements = np.round(cosines, DECIMALS), np.asarray(judgements, dtype=np.float64)
    values = np.array([_spearman(row[None], judgements[None])[0] for row in cosines])
    judged = judgements[draws]
    resampled = np.mean([_spearman(row[draws], judged) for row in cosines], axis=0)
    return Outcome(values, *fisher_interval(float(values.mean()), cosines.shape[1], level), resampled)


def accuracy(hits: Floats, weights: Floats, level: float = 0.95) -> Outcome:
    """Share of n questions that are answered; the interval is Wilson's, as if questions were independent.

    hits : (s, n), between 0 and 1. weights : (r, n) how often each question is in a resample, of `draws_of_questions`.
    """
    with np.errstate(invalid="ignore"):  # a resample may hold no question: it is left out of percentiles
        resampled = (weights @ hits.mean(axis=0)) / weights.sum(axis=1)
    values = hits.mean(axis=1)
    return Outcome(values, *wilson_interval(float(values.mean()), hits.shape[1], level), resampled)


def answer_analogies(vectors: UnitVectors, questions: pd.DataFrame) -> Floats:
    """(n,) 1 where the word nearest to b - a + c (3CosAdd, unit vectors), the three left out, is d; else 0.

    Words are looked for among all of `vectors`. Where k words are equally near, d among them, it is 1 / k: the
    expectation over the orders of ties.

    questions : columns a, b, c, d; all words known.
    """
    used = sorted(set(questions[["a", "b", "c"]].to_numpy().ravel()))
    cosines, row_of = vectors.cosines_to_all(used), {word: row for row, word in enumerate(used)}
    rows = {name: questions[name].map(row_of).to_numpy() for name in "abc"}
    columns = {name: questions[name].map(vectors.place).to_numpy() for name in "abcd"}
    hits = np.zeros(len(questions))
    for start in range(0, len(questions), QUESTIONS_AT_ONCE):
        block = slice(start, start + QUESTIONS_AT_ONCE)
        a, b, c = (cosines[rows[name][block]] for name in "abc")
        nearness = np.round(b - a + c, DECIMALS)
        each = np.arange(len(nearness))
        for name in "abc":
            nearness[each, columns[name][block]] = -np.inf
        nearest = nearness == nearness.max(axis=1, keepdims=True)
        hits[block] = nearest[each, columns["d"][block]] / nearest.sum(axis=1)
    return hits


def difference(one: Outcome, other: Outcome, level: float = 0.95) -> tuple[float, float, float]:
    """Value of `one` minus that of `other`, and the interval of the paired bootstrap (percentiles)."""
    return one.value - other.value, *_percentiles(one.resampled - other.resampled, level)


def draws_of_pairs(n: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """(resamples, n) places of n pairs drawn with replacement."""
    return np.random.default_rng(seed).integers(n, size=(resamples, n))


def draws_of_questions(questions: pd.DataFrame, resamples: int, seed: int) -> Floats:
    """(resamples, n) weights of questions when the word pairs that they are made of are drawn with replacement.

    A section crosses each of its pairs with the others, so that questions share pairs and are far from independent. The
    pairs of each section are drawn, and a question counts as often as the product of its two pairs (Owen, "The
    pigeonhole bootstrap", Annals of Applied Statistics 1, 2007).
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((resamples, len(questions)))
    for _, places in sorted(questions.groupby("section").indices.items()):
        own = questions.iloc[places]
        halves = [list(zip(own[x], own[y], strict=True)) for x, y in ("ab", "cd")]
        number = {pair: k for k, pair in enumerate(sorted({*halves[0], *halves[1]}))}
        counts = _counts(rng.integers(len(number), size=(resamples, len(number))), len(number))
        first, second = ([number[pair] for pair in half] for half in halves)
        weights[:, places] = counts[:, first] * counts[:, second]
    return weights


def random_pairs(words: Sequence[str], besides: set[tuple[str, str]], most: int, seed: int) -> pd.DataFrame:
    """At most `most` different pairs of two different words, columns first and second, none of them in `besides`.

    All are as likely, however often `words` repeats a word. A pair is in alphabetical order, in `besides` too.
    """
    words = sorted(set(words))
    pairs = [pair for i, one in enumerate(words) for other in words[i + 1 :] if (pair := (one, other)) not in besides]
    chosen = np.random.default_rng(seed).choice(len(pairs), size=min(most, len(pairs)), replace=False)
    return pd.DataFrame([pairs[i] for i in np.sort(chosen)], columns=["first", "second"])


def fisher_interval(rho: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Of Spearman's rho of n > 3 pairs."""
    half = ndtri((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    with np.errstate(divide="ignore"):
        z = np.arctanh(rho)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def wilson_interval(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Of a share of n trials (Wilson, JASA 22, 1927)."""
    z2 = ndtri((1 + level) / 2) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _percentiles(resampled: Floats, level: float) -> tuple[float, float]:
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _counts(draws: NDArray[np.int64], n: int) -> Floats:
    """(r, n) how often each of n places is drawn."""
    shifted = draws + n * np.arange(len(draws))[:, None]
    return np.bincount(shifted.ravel(), minlength=n * len(draws)).reshape(len(draws), n).astype(np.float64)


def _wins(related: Floats, floor: Floats) -> Floats:
    return (related[:, None] > floor) + 0.5 * (related[:, None] == floor)


def _spearman(one: Floats, other: Floats) -> Floats:
    """Of each row of two (r, n) arrays; 0 where all of a row are equal."""
    one, other = (rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (one, other))
    scale = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.divide((one * other).sum(axis=1), scale, out=np.zeros(len(one)), where=scale > 0)
