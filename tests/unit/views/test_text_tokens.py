"""Tokens of every tokenizer, their names, and lemmas as NLTK finds them."""

import warnings

import nltk.data
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.tokenize import NLTKWordTokenizer

from cmr.errors import UserError
from cmr.views.text.bow import BagOfWords, TfIdf
from cmr.views.text.lda import LDA
from cmr.views.text.sequences import TokenSequences
from cmr.views.text.tokens import characters, english, english_words, surface_tokenizer, tokenizer, words
from cmr.views.text.word2vec import Word2Vec
from cmr.views.text.wordnet import NounLemmatizer

ENDINGS = [
    "s",
    "es",
    "ses",
    "ves",
    "xes",
    "zes",
    "ches",
    "shes",
    "men",
    "ies",
    "f",
    "x",
    "z",
    "ch",
    "sh",
    "man",
    "y",
    "",
]
NOUNS = ["a", "ash", "axe", "box", "bus", "child", "church", "dog", "focus", "fox", "glass", "hobby", "knife", "knive"]
NOUNS += ["leaf", "man", "men", "quiz", "s", "us", "u", "wolf", "woman"]
IRREGULAR = {"children": ["child"], "axes": ["ax", "axis", "axe"], "geese": ["goose"], "wolves": ["wolf"]}


@pytest.fixture
def wordnet(tmp_path):
    """A folder of WordNet's format, with what NLTK's reader wants beside the two files that we need."""
    licence = "  1 This software and database is WordNet 3.0 Copyright 2006 by Princeton University.\n"
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"index.{part}").write_text(licence)
        (tmp_path / f"data.{part}").write_text(licence)
        (tmp_path / f"{part}.exc").write_text("")
    (tmp_path / "lexnames").write_text("00\tadj.all\t3\n")
    lines = (f"{noun} n 1 1 @ 1 1 {i:08d}  \n" for i, noun in enumerate(NOUNS, 1))
    (tmp_path / "index.noun").write_text(licence + "".join(lines))
    (tmp_path / "noun.exc").write_text("".join(f"{word} {' '.join(forms)}\n" for word, forms in IRREGULAR.items()))
    return tmp_path


class OwnFolderReader(WordNetCorpusReader):
    """NLTK's reader without the map from another WordNet, which it would look for among its own data."""

    def map_wn(self, version="wordnet"):
        return None


def test_tokens_are_stems_without_stop_words():
    assert english("The CARS drive by; 3 apples, naïve Übung!") == ["car", "drive", "appl", "naïv", "übung"]


def test_what_apostrophes_join_leaves_no_rest():
    assert english(
        "The dog's bone doesn't, CAN\u2019T and won't: they're girls' boxes, it's so, I'd sing we've it"
    ) == [*["dog", "bone", "girl", "box", "sing"]]
    assert english("a horse 's head, they do n't see; the 1960's at five o'clock") == ["hors", "head", "o'clock"]


def test_english_words_are_parted_as_in_the_penn_treebank():
    joined = (
        "The dog's bone doesn't fit, CAN'T fit; won't they've, we'd, I'm, you'll, they're girls' 'toys' at 5 o'clock"
    )
    expected = [token for token in NLTKWordTokenizer().tokenize(joined.lower()) if any(map(str.isalpha, token))]
    expected = ["toys" if token == "'toys" else token for token in expected]  # a quotation mark is no part of a word
    assert english_words(joined) == english_words(joined.replace("'", "\u2019")) == expected
    assert {"'s", "n't", "'ve", "'d", "'m", "'ll", "'re", "o'clock"} < set(expected)
    assert english_words("rock'n'roll, a horse 's head do n't, cafe\u0301's 'slide'") == [
        *["rock'n'roll", "a", "horse", "'s", "head", "do", "n't", "cafe\u0301", "'s", "slide"]
    ]


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
    known = "english, words, characters, english_lemmas, english_lemmas_stems"
    with pytest.raises(UserError, match=f'unknown tokenizer "german"; known are {known}'):
        BagOfWords(tokenizer="german").fit(texts)


@pytest.mark.parametrize("name", ["english", "english_lemmas", "english_lemmas_stems"])
def test_word_vectors_see_words_as_they_stand_in_the_text(name, wordnet):
    tokens_of = surface_tokenizer(name, None if name == "english" else wordnet)
    assert tokens_of("The Cars drove, 2 by 2") == ["the", "cars", "drove", "by"]


def test_word_vectors_and_sequences_see_each_character_once_and_in_order():
    texts = ["红苹果, 绿 2", "红果"]
    assert set(Word2Vec(tokenizer="characters", epochs=1).fit(texts).vocabulary()) == set("红苹果绿2")
    sequences = TokenSequences(tokenizer="characters", length=6).fit(texts)
    letters = ["", "", *sequences.vocabulary()]
    assert [[letters[number] for number in row] for row in sequences.transform(texts)] == [
        ["红", "苹", "果", "绿", "2", ""],
        ["红", "果", "", "", "", ""],
    ]


def test_surface_words_ask_for_what_their_tokenizer_asks(wordnet):
    with pytest.raises(UserError, match="unknown tokenizer"):
        surface_tokenizer("german")
    with pytest.raises(UserError, match="needs WordNet"):
        surface_tokenizer("english_lemmas")
    with pytest.raises(UserError, match="makes no use of WordNet"):
        surface_tokenizer("english", wordnet)


def test_lemmas_are_those_of_nltk(wordnet, monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [str(wordnet)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that other languages are missing
        reader = OwnFolderReader(str(wordnet), None)
    made = {noun[: len(noun) - cut] + ending for noun in NOUNS for cut in range(4) for ending in ENDINGS}
    ours = NounLemmatizer(wordnet)
    changed = 0
    for word in sorted(made | set(IRREGULAR)):
        # The rule of NLTK's WordNetLemmatizer.lemmatize, which itself cannot be given a reader.
        expected = min(reader._morphy(word, "n"), key=len, default=word)
        assert ours(word) == expected, word
        changed += expected != word
    assert changed > 30  # else there was little to tell apart


def test_lemmas_come_without_stop_words_and_may_be_stemmed(wordnet):
    text = "The WOMEN and their children running with wolves and axes"
    lemmas = ["woman", "child", "running", "wolf", "axe"]
    assert tokenizer("english_lemmas", wordnet)(text) == lemmas
    assert tokenizer("english_lemmas_stems", wordnet)(text) == ["woman", "child", "run", "wolf", "axe"]
    assert LDA(topics=2, tokenizer="english_lemmas", wordnet=wordnet).fit([text]).vocabulary() == sorted(lemmas)


def test_lemmas_need_wordnet(tmp_path):
    with pytest.raises(UserError, match=r"needs WordNet: give the view the option wordnet.*wordnet-base"):
        BagOfWords(tokenizer="english_lemmas").fit(["dogs"])
    with pytest.raises(UserError, match=r"index\.noun cannot be read .* expected is the folder of WordNet 3"):
        BagOfWords(tokenizer="english_lemmas", wordnet=tmp_path).fit(["dogs"])


def test_wordnet_given_in_vain_is_refused(wordnet):
    with pytest.raises(UserError, match=r'"english" makes no use of WordNet.*choose english_lemmas'):
        BagOfWords(wordnet=wordnet).fit(["dogs"])
