"""Vectorisers are compared on what all of them know."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from cmr.errors import UserError
from cmr.vectorisation import measures
from cmr.vectorisation.benchmarks import Benchmarks
from cmr.vectorisation.comparison import Protocol, compare
from cmr.vectorisation.vectors import UnitVectors
from tests.unit.vectorisation.made import JUDGED, PROTOCOL, grid, grid_questions, made_lists, made_vectorisers


def test_all_vectorisers_are_measured_on_the_pairs_that_all_know(comparison):
    scores = comparison.scores.set_index(["measure", "pairs", "vectoriser"]).sort_index()
    assert comparison.words == 17
    # stem5wife is the word that one vectoriser lacks: 30 questions of 6 pairs become 20 of 5.
    assert scores.loc[("accuracy", "semantic"), "n"].tolist() == [20, 20, 20]
    assert scores.loc[("accuracy", "semantic"), "known"].tolist() == [30, 30, 20]
    assert scores.loc[("accuracy", "semantic"), "total"].tolist() == [30, 30, 30]
    assert scores.loc[("cosine", "syntactic"), "n"].tolist() == [6, 6, 6]


def test_more_words_of_one_vectoriser_change_nothing(comparison):
    vectorisers = made_vectorisers()
    extra = UnitVectors.of(
        [*vectorisers["glove"][0].words, "x"], np.vstack([vectorisers["glove"][0].units, np.ones(40)])
    )
    again = compare(vectorisers | {"glove": [extra, vectorisers["glove"][1]]}, ["glove"], made_lists(), PROTOCOL)
    pd.testing.assert_frame_equal(again.scores, comparison.scores)


def test_scores_are_means_over_seeds_with_the_seeds_range(comparison):
    scores = comparison.scores.set_index(["measure", "pairs", "vectoriser"]).sort_index()
    row = scores.loc["rho", "simlex", "glove"]
    expected = [
        scipy.stats.spearmanr(one.cosines(JUDGED["first"], JUDGED["second"]), JUDGED["judgement"]).statistic
        for one in made_vectorisers()["glove"]
    ]
    assert row["value"] == pytest.approx(np.mean(expected))
    assert (row["lowest_seed"], row["highest_seed"]) == pytest.approx((min(expected), max(expected)))
    assert row["seeds"] == 2


def test_too_few_pairs_give_no_number(comparison):
    own = comparison.scores[comparison.scores["pairs"] == "wordsim"]
    assert own["n"].tolist() == [3, 3, 3]
    assert own[["value", "low", "high", "floor"]].isna().all(axis=None)
    answer = comparison.answers[comparison.answers["pairs"] == "wordsim"].iloc[0]
    assert answer["answer"] == "too few"
    assert np.isnan(answer["difference"])


def test_too_few_random_pairs_give_no_number_either():
    """Of four words all six pairs are related, so that nothing is left to be the floor."""
    words = ["stem0", "stem1", "stem2", "stem3"]
    vectors = {name: [UnitVectors.of(words, np.eye(4) + place)] for place, name in enumerate(("glove", "other"))}
    lists = Benchmarks({"simlex": JUDGED}, grid_questions("s"), {})
    found = compare(vectors, ["glove"], lists, Protocol(**vars(PROTOCOL) | {"related_from": 0.0}))
    semantic = found.scores[found.scores["pairs"] == "semantic"].set_index("measure")
    assert (semantic.loc[["cosine", "separation"], "n"] == 6).all()
    assert semantic[["value", "floor"]].isna().all(axis=None)
    rho = found.scores[found.scores["measure"] == "rho"]
    assert rho["n"].tolist() == [6, 6] and rho["value"].notna().all()


def test_chance_of_an_analogy_is_one_of_the_words_that_the_question_leaves(comparison):
    own = comparison.scores[comparison.scores["measure"] == "accuracy"]
    assert own["floor"].tolist() == pytest.approx([1 / 14] * 6)  # 17 words, three of them asked with


def test_random_pairs_are_resampled_apart_from_the_related(monkeypatch):
    """The same draws for both would tie the resamples of one to those of the other."""
    drawn, separation = [], measures.separation

    def seen(related, floor, draws, draws_of_floor):
        drawn.append((draws, draws_of_floor))
        return separation(related, floor, draws, draws_of_floor)

    monkeypatch.setattr(measures, "separation", seen)
    compare(made_vectorisers(), ["glove"], made_lists(), Protocol(**vars(PROTOCOL) | {"random_pairs": 6}))
    alike = [(one, other) for one, other in drawn if one.shape == other.shape]
    assert len(alike) == 3  # syntactic pairs are six too
    for one, other in alike:
        assert np.mean(one == other) == pytest.approx(1 / 6, abs=0.05)


def test_words_that_are_all_the_same_win_by_cosine_but_separate_nothing(comparison):
    """Why the mean cosine alone is no measure."""
    scores = comparison.scores.set_index(["measure", "pairs", "vectoriser"]).sort_index()
    same = scores.xs("same", level="vectoriser")
    assert same.loc[("cosine", "syntactic"), ["value", "floor"]].tolist() == pytest.approx([1, 1])
    assert same.loc[("separation", "syntactic"), "value"] == 0.5
    answers = comparison.answers.set_index(["measure", "pairs"])
    assert answers.loc[("cosine", "syntactic"), ["best_other", "answer"]].tolist() == ["same", "no"]
    assert answers.loc[("separation", "syntactic"), ["best_other", "answer"]].tolist()[1] == "yes"
    assert answers.loc[("accuracy", "syntactic"), "answer"] == "yes"


def test_equal_vectors_leave_it_undecided():
    vectors = [grid(["s", "wife"])]
    answers = compare({"glove": vectors, "other": vectors}, ["glove"], made_lists(), PROTOCOL).answers
    decided = answers[answers["answer"] != "too few"]
    assert set(decided["answer"]) == {"undecided"}
    assert (decided["difference"] == 0).all()


def test_claimed_vectorisers_are_not_each_others_rivals():
    vectors = made_vectorisers()
    answers = compare(vectors | {"twin": vectors["glove"]}, ["glove", "twin"], made_lists(), PROTOCOL).answers
    assert answers["claimed"].tolist()[:2] == ["glove", "twin"]
    assert set(answers["best_other"]) <= {"noise", "same", ""}


def test_comparing_twice_gives_the_same_numbers(comparison):
    again = compare(made_vectorisers(), ["glove"], made_lists(), PROTOCOL)
    pd.testing.assert_frame_equal(again.scores, comparison.scores)
    pd.testing.assert_frame_equal(again.answers, comparison.answers)


def test_vectorisers_without_a_common_word_are_refused():
    with pytest.raises(UserError, match="no word is known to all of x, y"):
        compare(
            {"x": [UnitVectors.of(["a"], np.eye(1))], "y": [UnitVectors.of(["b"], np.eye(1))]},
            ["x"],
            made_lists(),
            PROTOCOL,
        )
