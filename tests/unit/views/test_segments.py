# ruff: noqa: RUF001
"""Parts of texts are their sentences or clauses, and together say what the whole says."""

from pathlib import Path

import numpy as np
import pytest

from cmr.catalogue import Catalogue
from cmr.construct import VIEWS, build
from cmr.errors import UserError
from cmr.views.base import TextView
from cmr.views.configured import configured
from cmr.views.text.segments import Sentences, sentences

BOW, TFIDF = "cmr.views.text.bow.BagOfWords", "cmr.views.text.bow.TfIdf"
TRAIN = ["A red apple on a tree. The tree is old!", "The red car drives", "green apples, green trees", "A cat\nA car"]


def stripped(text, most=9):
    return [part.strip() for part in sentences(text, most)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dog. A cat! A bird? Rain", ["A dog.", "A cat!", "A bird?", "Rain"]),
        ("Roses\nTulips\r\n\r\nA lily", ["Roses", "Tulips", "A lily"]),
        ("It costs 3.5 euro at shop.example.org. Yes", ["It costs 3.5 euro at shop.example.org.", "Yes"]),
        ("Wait... What?!", ["Wait...", "What?!"]),
        ("一只狗。它很好！是吗？３．５元．好", ["一只狗。", "它很好！", "是吗？", "３．５元．好"]),
        ("कुत्ता है। बिल्ली है।", ["कुत्ता है।", "बिल्ली है।"]),
        ("هل هذا كلب؟ نعم", ["هل هذا كلب؟", "نعم"]),
    ],
)
def test_sentences_end_at_marks_of_any_script_and_at_line_breaks(text, expected):
    assert stripped(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red, white and blue.", ["red,", "white", "and blue."]),
        ("It rains; the SAND is wet But warm", ["It rains;", "the SAND is wet", "But warm"]),
        ("红色、白色，蓝色", ["红色、", "白色，", "蓝色"]),
        ("A candy cane", ["A candy cane"]),
        ("A dog, a cat. A bird", ["A dog, a cat.", "A bird"]),  # of several sentences, none is cut
    ],
)
def test_a_text_of_one_sentence_is_cut_into_clauses(text, expected):
    assert stripped(text) == expected


def test_the_last_part_takes_the_rest():
    assert stripped("One. Two. Three. Four.", 2) == ["One.", "Two. Three. Four."]
    assert stripped("One. Two.", 1) == ["One. Two."]


@pytest.mark.parametrize("text", ["", " ", "...", "!?\n"])
def test_a_text_without_words_has_no_part(text):
    assert sentences(text, 4) == []
    assert not Sentences(BOW, segments=2).fit(TRAIN).transform([text]).any()


@pytest.mark.parametrize("tokenizer", ["english", "words", "characters"])
def test_no_word_is_lost_or_counted_twice(tokenizer):
    texts = [
        *TRAIN,
        "He didn't go, and she did; it's late. \"Go!\" he said...\nAnd left",
        "一只狗。它很好！红色、白色",
        "कुत्ता है। बिल्ली है, और पेड़",
        "Größe, Straße und Maß! Ελλάδα· και; Москва, река.",
        "",
    ]
    whole = build(BOW, {"tokenizer": tokenizer}, VIEWS).fit(texts)
    parts = Sentences(BOW, tokenizer=tokenizer, segments=3).fit(texts)
    assert whole.vocabulary() == parts.vocabulary()
    features = parts.transform(texts)
    assert features.shape == (len(texts), 3, len(whole.vocabulary())) and features.dtype == np.float32
    np.testing.assert_array_equal(features.sum(axis=1), whole.transform(texts))


def test_each_part_is_what_the_view_makes_of_its_words_and_absent_parts_are_zero():
    view, whole = Sentences(TFIDF, segments=3).fit(TRAIN), build(TFIDF, {}, VIEWS).fit(TRAIN)
    first, second = view.transform(["A car. Two apples.", "A zeppelin. A cat. A tree. A car."])
    np.testing.assert_array_equal(first[:2], whole.transform(["A car", "Two apples"]))
    assert not first[2].any()
    np.testing.assert_array_equal(second, whole.transform(["zeppelin", "a cat", "tree car"]))


def test_words_and_their_weights_are_learnt_from_whole_train_texts():
    view = Sentences(TFIDF, segments=1).fit(["a b. a", "a", "c. c"])
    whole = build(TFIDF, {"tokenizer": "english"}, VIEWS).fit(["a b. a", "a", "c. c"])
    np.testing.assert_array_equal(view.transform(["b c"])[:, 0], whole.transform(["b c"]))


def test_it_says_of_itself_what_the_view_of_the_parts_says():
    bag, weighted = Sentences(BOW), Sentences(TFIDF)
    assert isinstance(bag, TextView) and bag.kind == "patches" and bag.learnt
    assert bag.counts and not weighted.counts
    assert bag.fit(TRAIN).known(["red", "zeppelin"]) == {"red"}
    assert bag.tokens("Two dogs") == build(BOW, {}, VIEWS).tokens("Two dogs") and bag.arrays() == {}
    assert Sentences("cmr.views.text.bow.Tags").fit(["red-car, sky"]).vocabulary() == ["red-car,", "sky"]
    pretrained = {"architecture": "cbow", "dimension": 4}
    assert Sentences("cmr.views.text.word2vec.Word2Vec", pretrained).fit(TRAIN).transform(TRAIN).shape == (4, 4, 4)


@pytest.mark.parametrize("name", ["cmr.views.text.sequences.TokenSequences", "cmr.views.image.gist.Gist"])
def test_only_vectors_of_texts_will_do(name):
    with pytest.raises(UserError, match=r"is no view of texts that makes vectors|has no option"):
        Sentences(name).fit(TRAIN)


@pytest.mark.parametrize("name", ["bow", "tfidf"])
def test_the_configured_views_have_the_words_of_the_views_that_they_go_with(name):
    views = Catalogue.read(Path(__file__).parents[3]).text_views
    whole, parts = (
        configured(TextView, spec["implementation"], spec["options"], {}, learnt=spec["learnt"]).fit(TRAIN)
        for spec in (views[name], views[f"{name}_sentences"])
    )
    assert whole.vocabulary() == parts.vocabulary() and whole.counts == parts.counts
    one_sentence = ["The red car drives"]
    np.testing.assert_array_equal(parts.transform(one_sentence)[:, 0], whole.transform(one_sentence))
