"""All vectorisers of one data set on the same word pairs and questions: those whose words every one of them knows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from cmr.errors import UserError
from cmr.vectorisation import measures
from cmr.vectorisation.benchmarks import KINDS, Benchmarks
from cmr.vectorisation.measures import Outcome
from cmr.vectorisation.vectors import UnitVectors, words_of_all

Seeds = Sequence[UnitVectors]
Answer = Literal["yes", "no", "undecided", "too few"]

SCORES = ["measure", "pairs", "vectoriser", "n", "known", "total", "value", "low", "high"]
SCORES += ["seeds", "lowest_seed", "highest_seed", "floor", "floor_low", "floor_high"]
ANSWERS = ["measure", "pairs", "claimed", "best_other", "n", "value", "other", "difference", "low", "high", "answer"]


@dataclass(frozen=True)
class Protocol:
    """How vectorisers are compared.

    Parameters
    ----------
    related_from : semantic pairs count as related when people judge them at so much of 10 or more.
    random_pairs : at most so many random pairs are the floor of related pairs.
    fewest_pairs : from fewer pairs or questions no number is made.
    resamples : of the bootstrap.
    seed : of random pairs and resamples.
    """

    related_from: float
    random_pairs: int
    fewest_pairs: int
    resamples: int
    seed: int


@dataclass(frozen=True)
class Comparison:
    """One data set's numbers.

    Attributes
    ----------
    scores : columns `SCORES`, a row a measure, list of pairs and vectoriser. `n` pairs or questions are known to all
        vectorisers, and the values are of these; `known` are those that this one knows, of `total`. Values are NaN
        where n is too small.
    answers : columns `ANSWERS`, a row a measure, list and claimed winner: its value minus that of the best other.
    words : how many words all vectorisers know.
    """

    scores: pd.DataFrame
    answers: pd.DataFrame
    words: int


@dataclass(frozen=True)
class _List:
    """Pairs or questions, and how to measure a vectoriser on them.

    columns : those of `table` that hold words. known : rows whose words all vectorisers know. enough : whether these
    suffice for a number. floor : value, low, high of what no knowledge scores, of a vectoriser.
    """

    measure: str
    pairs: str
    table: pd.DataFrame
    columns: list[str]
    known: pd.DataFrame
    enough: bool
    score: Callable[[Seeds], Outcome]
    floor: Callable[[Seeds], tuple[float, float, float]]


def compare(
    vectorisers: Mapping[str, Seeds], claimed: Iterable[str], benchmarks: Benchmarks, protocol: Protocol
) -> Comparison:
    """Every measure of every vectoriser, and whether the claimed ones win.

    Parameters
    ----------
    vectorisers : name -> word vectors, one a seed.
    claimed : those that are said to win; each is compared with the best of the others that are not claimed.
    """
    claimed = list(claimed)
    words = words_of_all(seed for seeds in vectorisers.values() for seed in seeds)
    if not words:
        raise UserError(f"no word is known to all of {', '.join(vectorisers)}: they must learn from the same texts")
    same = {name: [seed.only(words) for seed in seeds] for name, seeds in vectorisers.items()}
    scores, answers = [], []
    for one in _lists(benchmarks, words, protocol):
        outcomes = {name: one.score(seeds) for name, seeds in same.items()} if one.enough else {}
        for name, seeds in vectorisers.items():
            known = len(_among(one.table, one.columns, words_of_all(seeds)))
            head = (one.measure, one.pairs, name, len(one.known), known, len(one.table))
            scores.append(
                head + (_numbers(outcomes[name], one.floor(same[name])) if one.enough else _no_numbers(seeds))
            )
        for name in claimed:
            rivals = {other: outcome for other, outcome in outcomes.items() if other not in claimed}
            head = (one.measure, one.pairs, name)
            answers.append(head + _answer(outcomes.get(name), rivals, len(one.known)))
    return Comparison(pd.DataFrame(scores, columns=SCORES), pd.DataFrame(answers, columns=ANSWERS), len(words))


def _lists(benchmarks: Benchmarks, words: list[str], protocol: Protocol) -> Iterable[_List]:
    related = dict(zip(KINDS, (benchmarks.alike(protocol.related_from), benchmarks.inflected()), strict=True))
    for kind, table in related.items():
        yield from _related_pairs(kind, table, words, protocol)
    for name, table in benchmarks.judged.items():
        yield _judged_pairs(name, table, words, protocol)
    for kind in KINDS:
        table = benchmarks.questions[benchmarks.questions["kind"] == kind]
        yield _questions(kind, table, words, protocol)


def _related_pairs(kind: str, table: pd.DataFrame, words: list[str], protocol: Protocol) -> Iterable[_List]:
    """Mean cosine and separation of related pairs, against random pairs of the same words."""
    columns = ["first", "second"]
    known = _among(table, columns, words)
    # Of the same words: frequent ones have high cosines with everything, and a floor of rare words would be too low.
    floor = measures.random_pairs(
        known[columns].to_numpy().ravel(),
        set(table.itertuples(index=False, name=None)),
        protocol.random_pairs,
        protocol.seed,
    )
    enough = min(len(known), len(floor)) >= protocol.fewest_pairs

    def draws(pairs: pd.DataFrame, stream: int) -> np.ndarray:
        return measures.draws_of_pairs(len(pairs), protocol.resamples, protocol.seed + stream)

    def cosine_of_floor(seeds: Seeds) -> tuple[float, float, float]:
        outcome = measures.mean_cosine(_cosines(seeds, floor), draws(floor, 1))
        return outcome.value, outcome.low, outcome.high

    def separation(seeds: Seeds) -> Outcome:
        return measures.separation(_cosines(seeds, known), _cosines(seeds, floor), draws(known, 0), draws(floor, 1))

    def mean_cosine(seeds: Seeds) -> Outcome:
        return measures.mean_cosine(_cosines(seeds, known), draws(known, 0))

    yield _List("cosine", kind, table, columns, known, enough, mean_cosine, cosine_of_floor)
    yield _List("separation", kind, table, columns, known, enough, separation, _constant(0.5))


def _judged_pairs(name: str, table: pd.DataFrame, words: list[str], protocol: Protocol) -> _List:
    columns = ["first", "second"]
    known = _among(table, columns, words)

    def score(seeds: Seeds) -> Outcome:
        draws = measures.draws_of_pairs(len(known), protocol.resamples, protocol.seed)
        return measures.rank_correlation(_cosines(seeds, known), known["judgement"], draws)

    enough = len(known) >= protocol.fewest_pairs
    return _List("rho", name, table, columns, known, enough, score, _constant(0.0))


def _questions(kind: str, table: pd.DataFrame, words: list[str], protocol: Protocol) -> _List:
    columns = list("abcd")
    known = _among(table, columns, words)

    def score(seeds: Seeds) -> Outcome:
        weights = measures.draws_of_questions(known, protocol.resamples, protocol.seed)
        return measures.accuracy(np.stack([measures.answer_analogies(one, known) for one in seeds]), weights)

    # One word of those that are left when the question's own three are out.
    enough, chance = len(known) >= protocol.fewest_pairs, 1 / max(1, len(words) - 3)
    return _List("accuracy", kind, table, columns, known, enough, score, _constant(chance))


def _cosines(seeds: Seeds, pairs: pd.DataFrame) -> np.ndarray:
    return np.stack([one.cosines(pairs["first"], pairs["second"]) for one in seeds])


def _among(table: pd.DataFrame, columns: list[str], words: Iterable[str]) -> pd.DataFrame:
    """Rows whose words are all known."""
    return table[table[columns].isin(set(words)).all(axis=1)]


def _constant(value: float) -> Callable[[Seeds], tuple[float, float, float]]:
    return lambda seeds: (value, np.nan, np.nan)


def _numbers(outcome: Outcome, floor: tuple[float, float, float]) -> tuple:
    values = outcome.values
    return (outcome.value, outcome.low, outcome.high, len(values), values.min(), values.max(), *floor)


def _no_numbers(seeds: Seeds) -> tuple:
    return (np.nan, np.nan, np.nan, len(seeds), *[np.nan] * 5)


def _answer(claimed: Outcome | None, rivals: Mapping[str, Outcome], n: int) -> tuple:
    """Everything of an answer after its claimed winner."""
    if claimed is None:
        return ("", n, *[np.nan] * 5, "too few")
    best = max(rivals, key=lambda name: rivals[name].value)
    value, low, high = measures.difference(claimed, rivals[best])
    return best, n, claimed.value, rivals[best].value, value, low, high, _in_words(low, high)


def _in_words(low: float, high: float) -> Answer:
    """Of an interval of a difference."""
    if low > 0:
        return "yes"
    return "no" if high < 0 else "undecided"
