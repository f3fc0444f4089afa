"""The study of vectorisers, on made word vectors whose right answers are known."""

import csv
import io
import itertools
import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import yaml
from scipy import sparse
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity

from cmr import store
from cmr.catalogue import Catalogue
from cmr.construct import build
from cmr.errors import UserError
from cmr.vectorisation import measures
from cmr.vectorisation.answer import answer
from cmr.vectorisation.benchmarks import Benchmarks, read_judged, read_questions
from cmr.vectorisation.comparison import Protocol, compare
from cmr.vectorisation.figure import draw
from cmr.vectorisation.learning import learn, relevant_words, train_texts
from cmr.vectorisation.summary import Summary, to_csv
from cmr.vectorisation.tables import to_latex, to_markdown
from cmr.vectorisation.vectors import (
    UnitVectors,
    read_word_vectors,
    words_of_all,
    write_word_vectors,
)
from cmr.views.text.bow import Bag, BagOfWords
from cmr.views.text.lda import LDA
from cmr.views.text.word2vec import Word2Vec
from cmr.views.text.word_vectors import WordVectors
from tests.workflow.project import Project, copy_checkout

ROOT = Path(__file__).parents[2]


def word(number):
    """A word a number: aa, ab, ac, ..."""
    return "".join("abcdefghijklmnopqrstuvwxyz"[place] for place in divmod(number, 26))


def made_vectors(seed, words=60, dimensions=8):
    values = np.random.default_rng(seed).normal(size=(words, dimensions))
    return UnitVectors.of([word(i) for i in range(words)], values)


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


# Cosines


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.csc_matrix])
def test_cosines_are_those_of_brute_force_dense_or_sparse(form):
    rng = np.random.default_rng(0)
    values = rng.poisson(0.5, size=(12, 20)).astype(np.float32)
    values[:, 0] += 1  # no zero rows here
    words = [word(i) for i in range(12)]
    vectors = UnitVectors.of(words, form(values))
    expected = cosine_similarity(values.astype(np.float64))
    first, second = zip(*itertools.product(words, words), strict=True)
    assert vectors.cosines(first, second) == pytest.approx(expected.ravel(), abs=1e-12)
    assert vectors.cosines_to_all(words[3:7]) == pytest.approx(expected[3:7], abs=1e-12)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_a_word_whose_vector_is_zero_is_not_known(form):
    vectors = UnitVectors.of(["a", "none", "b"], form(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]])))
    assert vectors.words == ("a", "b")
    assert vectors.cosines(["a"], ["b"]) == pytest.approx([0.8])


def test_vectors_that_are_no_numbers_or_lack_a_word_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        UnitVectors.of(["a"], np.array([[np.nan]]))
    with pytest.raises(ValueError, match="2 vectors for 1 words"):
        UnitVectors.of(["a"], np.eye(2))
    with pytest.raises(ValueError, match="1 of them different"):
        UnitVectors.of(["a", "a"], np.eye(2))


def test_common_words_are_those_that_all_know_and_keep_their_vectors():
    one = UnitVectors.of(["b", "a", "c"], np.eye(3))
    other = UnitVectors.of(["d", "a", "b", "zero"], np.array([[1.0, 0], [1, 1], [0, 1], [0, 0]]))
    assert words_of_all([one, other]) == ["a", "b"]
    assert other.only(["a", "b"]).units == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, 1]]))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_written_vectors_are_read_again_by_seed(tmp_path, form):
    values = np.random.default_rng(1).integers(0, 3, size=(4, 5)).astype(np.float32) + np.eye(4, 5, dtype=np.float32)
    words = ["caf\u00e9", "a", "b", "c"]
    write_word_vectors(tmp_path / "v.h5", words, {2: form(values[::-1]), 0: form(values)}, {"texts": 3})
    seeds, attributes = read_word_vectors(tmp_path / "v.h5")
    assert attributes == {"texts": 3}
    assert [sparse.issparse(one.units) for one in seeds] == [form is sparse.csr_array] * 2
    for one, expected in zip(seeds, (values, values[::-1]), strict=True):
        assert one.words == tuple(words)
        assert one.cosines_to_all(words) == pytest.approx(cosine_similarity(expected), abs=1e-6)


# Texts


def test_every_caption_of_the_train_part_is_a_text():
    pairs = pd.DataFrame({"id": ["x", "y", "z"], "text": ["one dog\n two dogs\n\n", "a test", "three"]})
    split = pd.DataFrame({"id": ["x", "y", "z"], "part": ["train", "test", "train"]})
    assert train_texts(pairs, split) == ["one dog", " two dogs", "three"]


def test_a_copy_without_texts_is_refused():
    pairs, split = pd.DataFrame({"id": ["x"], "text": [None]}), pd.DataFrame({"id": ["x"], "part": ["train"]})
    with pytest.raises(UserError, match="has no texts"):
        train_texts(pairs, split)


def test_of_a_pretrained_model_the_words_of_texts_and_lists_are_kept():
    assert relevant_words(["the", "paris", "xylem", "dog"], ["A Dog."], {"paris"}) == [1, 3]


# Measures


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


# Analogies


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


# Random pairs and lists


def test_random_pairs_are_different_pairs_of_two_words_and_none_of_the_related():
    words, related = [word(i) for i in range(10)], {("aa", "ab"), ("ac", "af")}
    pairs = measures.random_pairs(words, related, 1000, seed=0)
    assert set(pairs.itertuples(index=False, name=None)) == set(itertools.combinations(words, 2)) - related
    some = measures.random_pairs(words[::-1] * 2, related, 20, seed=0)
    assert len(set(some.itertuples(index=False, name=None)) - related) == 20
    assert some.equals(measures.random_pairs(words, related, 20, seed=0))
    assert not some.equals(measures.random_pairs(words, related, 20, seed=1))


def test_installed_lists_are_the_published_ones():
    lists = Benchmarks.installed()
    assert {name: len(table) for name, table in lists.judged.items()} == {"simlex": 999, "wordsim": 353}
    simlex = lists.judged["simlex"].set_index(["first", "second"])["judgement"]
    assert (simlex["old", "new"], simlex["smart", "intelligent"]) == (1.58, 9.2)
    kinds = lists.questions.groupby("kind")["section"].unique()
    assert (len(kinds["semantic"]), len(kinds["syntactic"])) == (5, 9)
    assert (lists.questions["section"] == "family").sum() == 506
    assert len(lists.questions) == 19544
    assert {"athens", "greece"} <= lists.words()
    assert lists.provenance["gensim"] == __import__("gensim").__version__
    assert {len(digest) for digest in lists.provenance["sha256"].values()} == {64}


def test_related_pairs_are_different_words_each_pair_once():
    lists = Benchmarks.installed()
    for pairs in (lists.alike(5.0), lists.inflected()):
        ordered = {tuple(sorted(pair)) for pair in pairs.itertuples(index=False)}
        assert len(ordered) == len(pairs)
        assert (pairs["first"] < pairs["second"]).all()
    assert ("tiger", "tiger") not in set(lists.alike(0.0).itertuples(index=False, name=None))
    alike = set(lists.alike(5.0).itertuples(index=False, name=None))
    assert ("intelligent", "smart") in alike
    assert ("new", "old") not in alike
    assert {("amazing", "amazingly"), ("danced", "dancing")} <= set(
        lists.inflected().itertuples(index=False, name=None)
    )


def test_questions_are_in_lower_case_by_section_and_repeat_no_word(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text(": cities\nChicago Illinois Rockford Illinois\nAthens Greece Oslo Norway\n: gram8\na b c d\n")
    assert read_questions(path).to_numpy().tolist() == [
        ["semantic", "cities", "athens", "greece", "oslo", "norway"],
        ["syntactic", "gram8", "a", "b", "c", "d"],
    ]


def test_a_line_that_cannot_be_understood_is_named(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("# words\n\nold\tnew\t1.5\nsmart\tclever\n")
    with pytest.raises(UserError, match=r'pairs\.txt, line 4: "smart\tclever" is not two words and a number'):
        read_judged(path)
    path.write_text(": family\r\nboy girl brother sister\r\nboy girl\r\n")
    with pytest.raises(UserError, match=r'line 3: "boy girl" is not four words'):
        read_questions(path)
    path.write_text("boy girl brother sister\n")
    with pytest.raises(UserError, match='line 1: "boy girl brother sister" is not a section'):
        read_questions(path)
    path.write_text("# nothing\n")
    with pytest.raises(UserError, match="holds no words"):
        read_judged(path)
    with pytest.raises(UserError, match="install gensim again"):
        read_judged(tmp_path / "none.txt")


# Comparison


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


@pytest.fixture(scope="module")
def comparison():
    return compare(made_vectorisers(), ["glove"], made_lists(), PROTOCOL)


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


# Summary


ABOUT = {
    "datasets": {"made": "Made & 100 %", "more": "More"},
    "vectorisers": {"glove": "GloVe_1", "noise": "Noise", "same": "Same_2"},
}


@pytest.fixture(scope="module")
def found(comparison, tmp_path_factory):
    root = tmp_path_factory.mktemp("vectorisation")
    for name in ABOUT["datasets"]:
        facts = {"split": "random-0", "texts": 12, "words": comparison.words}
        store.write_table(root / name / "scores.parquet", comparison.scores, facts)
        store.write_table(root / name / "answers.parquet", comparison.answers, facts)
    return Summary.read([root / name for name in ABOUT["datasets"]], ABOUT)


def test_csv_holds_every_number_of_every_dataset(found, comparison):
    rows = list(csv.DictReader(io.StringIO(to_csv(found.scores))))
    assert len(rows) == 2 * 8 * 3
    assert {row["dataset"] for row in rows} == {"made", "more"}
    values = [float(row["value"]) if row["value"] else np.nan for row in rows[:24]]
    assert values == pytest.approx(comparison.scores["value"].tolist(), abs=1e-6, nan_ok=True)


def test_tables_mark_the_best_and_say_where_pairs_are_too_few(found):
    table = to_markdown(found)
    line = next(line for line in table.splitlines() if line.startswith("| Analogies, syntactic"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1].startswith("**1.000** (0.886 to 1.000)")  # Wilson's of 30 of 30
    assert cells[-1] == "30"
    wordsim = next(line for line in table.splitlines() if line.startswith("| Rho, WordSim"))
    assert wordsim.count("too few") == 3
    assert "**too few**" not in wordsim
    assert "| Semantic analogies, 30 | 30 | 30 | 20 | 20 |" in table
    assert "GloVe\\_1" in table


def test_the_range_over_seeds_is_told_of_what_has_several(found):
    lines = to_markdown(found).splitlines()
    place = lines.index("| Lowest to highest seed | GloVe\\_1, 2 seeds |")
    rho = (
        found.scores.set_index(["dataset", "measure", "pairs", "vectoriser"]).sort_index().loc["made", "rho", "simlex"]
    )
    row = rho.loc["glove"]
    expected = f"| Rho, SimLex-999 | {row['lowest_seed']:.3f} to {row['highest_seed']:.3f} |"
    assert expected in lines[place : place + 10]
    assert row["lowest_seed"] < row["highest_seed"]


def test_latex_has_as_many_cells_in_every_row_and_no_bare_special_characters(found):
    latex = to_latex(found)
    assert r"Made \& 100 \%" in latex
    assert r"GloVe\_1" in latex
    rows = [line for line in latex.splitlines() if "\\\\" in line]
    assert {line.replace("\\&", "").count("&") for line in rows} == {4}


def test_the_answer_names_the_best_other_and_tells_the_papers_measure_apart(found):
    page = answer(found)
    assert "## Made & 100 %, train part of the split random-0: 12 texts, 17 words known to all vectorisers" in page
    line = next(
        line for line in page.splitlines() if line.startswith("| Cosine, syntactic pairs, the paper's measure |")
    )
    assert "| Same\\_2 1.000 |" in line
    assert line.endswith("| no: the whole interval is below 0 |")
    assert "| Separation, syntactic pairs |" in page


def test_the_answer_counts_measures_that_have_a_number_without_the_papers(found):
    own = found.answers[found.answers["dataset"] == "made"].set_index(["measure", "pairs"])["answer"]
    assert own["cosine"].to_dict() == {"semantic": "no", "syntactic": "no"}
    assert own["rho", "wordsim"] == "too few"
    counted = own[(own.index.get_level_values("measure") != "cosine") & (own != "too few")].value_counts()
    assert counted.sum() == 5
    counts = ", ".join(f"{kind} {counted.get(kind, 0)}" for kind in ("yes", "no", "undecided"))
    told = "by the paper's measure no (semantic) and no (syntactic); of the 6 others 5 could be measured"
    assert answer(found).count(f"**GloVe\\_1: {told}: {counts}.**") == 2  # on each data set


def test_bars_stand_at_their_values_and_floors_across_them(found):
    figure = draw(found)
    panel = next(axes for axes in figure.axes if axes.get_title(loc="left") == "Cosine, syntactic pairs")
    own = found.scores[(found.scores["measure"] == "cosine") & (found.scores["pairs"] == "syntactic")]
    heights = [[bar.get_height() for bar in bars] for bars in panel.containers if hasattr(bars, "patches")]
    expected = [own.loc[own["vectoriser"] == name, "value"].tolist() for name in ABOUT["vectorisers"]]
    assert heights == [pytest.approx(values) for values in expected]
    lines = [collection.get_segments() for collection in panel.collections]
    floors = [segments for segments in lines if segments[0][0][0] < segments[0][1][0]]  # intervals stand upright
    drawn = [[start[1] for start, _ in segments] for segments in floors]
    expected = [own.loc[own["vectoriser"] == name, "floor"].tolist() for name in ABOUT["vectorisers"]]
    assert drawn == [pytest.approx(values) for values in expected]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["Made & 100 %", "More"]
    empty = next(axes for axes in figure.axes if axes.get_title(loc="left") == "Rho, WordSim-353")
    assert [text.get_text() for text in empty.texts] == ["too few: 3\n"] * 2


# Scripts


@pytest.fixture
def run(monkeypatch):
    """Runs a script of the checkout in this process: starting another takes longer than all that it does."""

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(ROOT / f"scripts/{script}.py"), run_name="__main__")

    return run


def test_scripts_compare_written_vectors_and_refuse_those_of_other_texts(tmp_path, run):
    for name, seeds in made_vectorisers().items():
        vectors = {k: one.units for k, one in enumerate(seeds)}
        write_word_vectors(tmp_path / f"{name}.h5", seeds[0].words, vectors, {"inputs": {"pairs": "p"}, "texts": 7})
    files = [tmp_path / f"{name}.h5" for name in made_vectorisers()]
    outputs = ["--scores", tmp_path / "scores.parquet", "--answers", tmp_path / "answers.parquet"]
    protocol = ["--protocol", json.dumps(vars(PROTOCOL))]
    run("compare_vectorisers", *files, "--split", "random-0", "--claimed", "glove", *protocol, *outputs)
    scores = store.read_table(tmp_path / "scores.parquet")
    assert scores.attrs["split"] == "random-0"
    assert scores.attrs["texts"] == 7
    assert set(scores["vectoriser"]) == {"glove", "noise", "same"}
    assert set(scores.attrs["benchmarks"]["sha256"]) == {"simlex999.txt", "wordsim353.tsv", "questions-words.txt"}

    write_word_vectors(tmp_path / "same.h5", ["a"], {0: np.ones((1, 2))}, {"inputs": {"pairs": "q"}, "texts": 7})
    with pytest.raises(SystemExit, match="were learnt from different texts"):
        run("compare_vectorisers", *files, "--split", "random-0", "--claimed", "glove", *protocol, *outputs)


# Configuration


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "workflow/schemas", tmp_path / "workflow/schemas")
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(run=["flickr9k"]), 'run: unknown data set "flickr9k"; did you mean "flickr8k"'),
        (lambda s: s["datasets"].update(flickr={"split": "official"}), 'datasets: unknown data set "flickr"; did you'),
        (lambda s: s["datasets"]["pascal_sentence"].update(split="hrl"), 'unknown split of pascal_sentence "hrl"'),
        (lambda s: s.update(claimed=["golve"]), 'claimed: unknown vectoriser "golve"; did you mean "glove"'),
        (lambda s: s.update(claimed=list(s["vectorisers"])), "claimed: leave out at least one vectoriser"),
        (lambda s: s["vectorisers"]["bow"].update(assets={"vectors": "glov"}), 'bow: assets: unknown asset "glov"'),
        (lambda s: s["vectorisers"]["bow"].update(implementation="cmr.none.Bag"), 'there is no class "cmr.none.Bag"'),
        (lambda s: s["vectorisers"]["bow"].update(option={}), 'bow: unknown key "option"; did you mean "options"'),
        (lambda s: s["protocol"].update(fewest_pairs=3), "protocol: fewest_pairs: 3 is less than the minimum of 4"),
        (lambda s: s.update(seeds=[]), "seeds: "),
    ],
)
def test_a_mistake_in_the_configuration_is_named(root, change, message):
    path = root / "config/vectorisation.yaml"
    settings = yaml.safe_load(path.read_text())
    change(settings)
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError) as error:
        Catalogue.read(root)
    assert str(error.value).startswith("config/vectorisation.yaml: ")
    assert message in str(error.value)


def test_configured_vectorisers_have_the_options_that_are_given():
    catalogue = Catalogue.read(ROOT)
    for name in catalogue.vectorisation["vectorisers"]:
        settings = catalogue.vectoriser(name)
        folders = {option: Path(asset) for option, asset in settings["assets"].items()}
        assert isinstance(build(settings["implementation"], settings["options"] | folders), WordVectors | Bag)
    assert Protocol(**catalogue.vectorisation["protocol"])


def test_the_workflow_plans_every_vectoriser_of_every_dataset(tmp_path):
    copy_checkout(tmp_path)
    planned = Project(tmp_path).planned("vectorisation")
    settings = Catalogue.read(tmp_path).vectorisation
    datasets = len(settings["run"])
    assert planned["learn_word_vectors", ""] == datasets * len(settings["vectorisers"])
    assert planned["compare_vectorisers", ""] == datasets
    assert planned["check_images", ""] == 0
    assert planned["summarise_vectorisers", ""] == 1


# Learning


def test_learning_twice_gives_equal_vectors_and_another_seed_others():
    texts = ["a small dog runs", "two dogs run", "a dog and a cat run", "the cat sleeps"] * 5
    options = {"tokenizer": "words", "dimension": 8, "minimum_count": 2}
    learnt = [learn(Word2Vec(**options, seed=seed), texts) for seed in (0, 0, 1)]
    assert learnt[0][0] == learnt[1][0]
    assert np.array_equal(learnt[0][1], learnt[1][1])
    assert not np.array_equal(learnt[0][1], learnt[2][1])


def test_a_word_of_a_bag_is_the_counts_of_its_occurrences_in_the_texts():
    words, vectors = learn(BagOfWords(tokenizer="words", vocabulary_size=100), ["the dog", "The dogs", "the the cat"])
    counts = dict(zip(words, vectors.toarray().tolist(), strict=True))
    assert counts == {"the": [1, 1, 2], "dog": [1, 0, 0], "dogs": [0, 1, 0], "cat": [0, 0, 1]}


def test_a_view_without_words_is_refused():
    with pytest.raises(UserError, match="LDA is no vectoriser"):
        learn(LDA(), ["a dog"])
