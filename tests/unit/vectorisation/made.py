"""Made word vectors and lists of pairs whose right answers are known."""

import itertools

import numpy as np
import pandas as pd

from cmr.vectorisation.benchmarks import Benchmarks
from cmr.vectorisation.comparison import Protocol
from cmr.vectorisation.vectors import UnitVectors


def word(number):
    """A word a number: aa, ab, ac, ..."""
    return "".join("abcdefghijklmnopqrstuvwxyz"[place] for place in divmod(number, 26))


def grid(directions, stems=6, dimensions=40, noise=0.0, seed=0):
    """Vectors of words `<stem><direction>`: a stem's own vector plus that of the direction."""
    rng = np.random.default_rng(seed)
    names = [f"stem{i}" for i in range(stems)]
    parts = {name: rng.normal(size=dimensions) for name in (*names, *directions)}
    words = [f"{name}{direction}" for name in names for direction in ("", *directions)]
    origin = np.zeros(dimensions)
    values = [parts[name] + parts.get(d, origin) for name in names for d in ("", *directions)]
    return UnitVectors.of(words, np.array(values) + noise * rng.normal(size=(len(words), dimensions)))


def grid_questions(direction, stems=6, kind="syntactic"):
    rows = [
        (kind, direction, f"stem{i}", f"stem{i}{direction}", f"stem{j}", f"stem{j}{direction}")
        for i, j in itertools.permutations(range(stems), 2)
    ]
    return pd.DataFrame(rows, columns=["kind", "section", *"abcd"])


JUDGED = pd.DataFrame(
    [(f"stem{i}", f"stem{j}", 10.0 - 2 * abs(i - j)) for i, j in itertools.combinations(range(6), 2)],
    columns=["first", "second", "judgement"],
)


def made_lists():
    questions = pd.concat([grid_questions("s"), grid_questions("wife", kind="semantic")], ignore_index=True)
    return Benchmarks({"simlex": JUDGED, "wordsim": JUDGED.head(3)}, questions, {})


def made_vectorisers():
    good = [grid(["s", "wife"], noise=0.02, seed=seed) for seed in range(2)]
    rng = np.random.default_rng(9)
    words = good[0].words
    noise = UnitVectors.of([*words, "more"], rng.normal(size=(len(words) + 1, 30)))
    # Knows less, and says nothing: every word is the same but for its length.
    same = UnitVectors.of(words[:-1], np.ones((len(words) - 1, 3)))
    return {"glove": good, "noise": [noise], "same": [same]}


PROTOCOL = Protocol(related_from=5.0, random_pairs=200, fewest_pairs=6, resamples=200, seed=0)
