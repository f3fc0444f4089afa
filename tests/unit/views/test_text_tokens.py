"""Tokens of every tokenizer, and their names."""

import pytest

from cmr.errors import UserError
from cmr.views.text.bow import BagOfWords, TfIdf
from cmr.views.text.lda import LDA
from cmr.views.text.tokens import characters, english, tokenizer, words


def test_tokens_are_stems_without_stop_words():
    assert english("The CARS drive by; 3 apples, naïve Übung!") == ["car", "drive", "appl", "naïv", "übung"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The CARS, 3 of them", ["the", "cars", "3", "of", "them"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),  # one character, or a letter and its accent
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs belong to their word
        ("кошка и собака", ["кошка", "и", "собака"]),
        ("d80_nikon", ["d80", "nikon"]),
    ],
)
def test_words_of_any_script_are_told_apart(text, tokens):
    assert words(text) == tokens


def test_characters_serve_scripts_without_blanks():
    assert characters("红苹果, 苹") == ["红", "苹", "果", "红苹", "苹果", "苹"]


def test_the_tokenizer_is_chosen_by_name():
    texts = ["红苹果", "绿苹果", "红汽车"]
    assert set(BagOfWords(tokenizer="words").fit(texts).vocabulary()) == set(texts)
    assert "苹果" in TfIdf(tokenizer="characters").fit(texts).vocabulary()
    assert "苹果" in LDA(topics=2, tokenizer="characters").fit(texts).vocabulary()
    assert tokenizer("english") is english
    with pytest.raises(UserError, match='unknown tokenizer "german"; known are english, words, characters'):
        BagOfWords(tokenizer="german").fit(texts)
