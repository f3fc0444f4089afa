"""The lists of word pairs and questions."""

import pytest

from cmr.errors import UserError
from cmr.vectorisation.benchmarks import Benchmarks, read_judged, read_questions
from tests.unit.vectorisation.made import made_lists


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


def test_a_pair_judged_as_high_as_asked_is_related():
    related = set(made_lists().alike(8.0).itertuples(index=False, name=None))
    assert related == {(f"stem{i}", f"stem{i + 1}") for i in range(5)}  # judged at 8; the next at 6


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
