"""From a text to its tokens."""

from functools import cache

from nltk.stem import PorterStemmer
from nltk.tokenize import RegexpTokenizer
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

_words = RegexpTokenizer(r"[^\W\d_]+")  # runs of letters of any script
_stemmer = PorterStemmer()


@cache
def _stem(word: str) -> str:
    return _stemmer.stem(word)


def tokenize(text: str) -> list[str]:
    """Lower-case words without English stop words, reduced to their Porter stems."""
    return [_stem(word) for word in _words.tokenize(text.lower()) if word not in ENGLISH_STOP_WORDS]
