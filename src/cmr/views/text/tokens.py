"""From a text to its tokens: one tokenizer a kind of language, chosen by the data set."""

import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import regex
from nltk.stem import PorterStemmer
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from cmr.errors import UserError

_letters = regex.compile(r"\p{L}[\p{L}\p{M}]*")  # marks: vowel signs of Indic scripts, accents that stand alone
_words = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*")
_stemmer = PorterStemmer()


@cache
def _stem(word: str) -> str:
    return _stemmer.stem(word)


def english(text: str) -> list[str]:
    """Lower-case runs of letters without English stop words, reduced to their Porter stems."""
    return [_stem(word) for word in _letters.findall(text.lower()) if word not in ENGLISH_STOP_WORDS]


def words(text: str) -> list[str]:
    """Runs of letters and digits of any script, equal whatever their case and Unicode form; none is left out."""
    return _words.findall(_folded(text))


def characters(text: str) -> list[str]:
    """Letters and digits, and pairs of neighbours: for scripts that do not part words, such as Chinese and Thai."""
    tokens = []
    for word in words(text):
        tokens += [*word, *(first + second for first, second in pairwise(word))]
    return tokens


def tokenizer(name: str) -> Callable[[str], list[str]]:
    """The function of this name; raises UserError for an unknown one."""
    known = {function.__name__: function for function in (english, words, characters)}
    if name not in known:
        raise UserError(f'unknown tokenizer "{name}"; known are {", ".join(known)}')
    return known[name]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
