"""From a text to its tokens: one tokenizer a kind of language, chosen by the data set."""

import unicodedata
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import regex
from nltk.stem import PorterStemmer
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from cmr.errors import UserError
from cmr.views.text.wordnet import NounLemmatizer, noun_lemmatizer

Tokenizer = Callable[[str], list[str]]

# What English joins to a word: possessive, verbs, negation. Parted by the Penn Treebank, and by GloVe's authors, too.
ENDINGS = ("'s", "'re", "'ve", "'ll", "'m", "'d", "n't")
_over = r"(?![\p{L}\p{M}]|'\p{L})"  # neither a letter follows, nor an apostrophe and a letter
_ending = rf"(?:{'|'.join(ENDINGS)}){_over}"
_english_words = regex.compile(rf"{_ending}|\p{{L}}[\p{{L}}\p{{M}}']*?(?={_ending}|{_over})")
# Marks: vowel signs of Indic scripts, accents that stand alone.
_words = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*")
_many_marks = regex.compile(r"(\p{M}{30})\p{M}+")
_stemmer = PorterStemmer()

LONGEST_WORD = 200  # characters: vocabularies are arrays as wide as their longest word
STOP_WORDS = ENGLISH_STOP_WORDS.union(ENDINGS)


@cache
def _stem(word: str) -> str:
    return _stemmer.stem(word)


def english(text: str) -> list[str]:
    """Lower-case words of letters without English stop words, reduced to their Porter stems.

    Stop words are those of scikit-learn, the endings of `english_words`, and verbs before n't: of "the dog's bone
    doesn't" remain dog and bone.
    """
    return [_stem(word) for word in _content_words(text)]


def english_lemmas(lemma: NounLemmatizer, text: str) -> list[str]:
    """The words of `english`, reduced to their lemmas as nouns instead of stems."""
    return [lemma(word) for word in _content_words(text)]


def english_lemmas_stems(lemma: NounLemmatizer, text: str) -> list[str]:
    """Porter stems of the lemmas: irregular plurals fall together with their singulars, and verbs with their forms.

    Lemmas come first, since a stem often is no word that WordNet knows.
    """
    return [_stem(word) for word in english_lemmas(lemma, text)]


def english_words(text: str) -> list[str]:
    """Lower-case words of letters, with apostrophes inside; none is left out, none reduced.

    The endings 's, 're, 've, 'll, 'm, 'd and n't are words of their own, as in the Penn Treebank and among GloVe's
    words: dog 's, does n't, o'clock. Runs of more than LONGEST_WORD letters are no words.
    """
    found = _english_words.findall(text.lower().replace("\u2019", "'"))
    return [word for word in found if len(word) <= LONGEST_WORD]


def words(text: str) -> list[str]:
    """Runs of letters and digits of any script, equal whatever their case and Unicode form; none is left out.

    Of more than 30 accents and other marks on one letter the first 30 count. Runs of more than LONGEST_WORD letters are
    no words.
    """
    return [word for word in _runs(text) if len(word) <= LONGEST_WORD]


def characters(text: str) -> list[str]:
    """Letters and digits, and pairs of neighbours: for scripts that do not part words, such as Chinese and Thai."""
    tokens = []
    for word in _runs(text):
        tokens += [*word, *(first + second for first, second in pairwise(word))]
    return tokens


def single_characters(text: str) -> list[str]:
    """Letters and digits in their order."""
    return [character for word in _runs(text) for character in word]


PLAIN = {function.__name__: function for function in (english, words, characters)}
LEMMATISED = {function.__name__: function for function in (english_lemmas, english_lemmas_stems)}
SURFACE = {
    "english": english_words,
    "english_lemmas": english_words,
    "english_lemmas_stems": english_words,
    "words": words,
    "characters": single_characters,
}


def tokenizer(name: str, wordnet: Path | None = None) -> Tokenizer:
    """The function of this name.

    Parameters
    ----------
    wordnet : folder of WordNet, for the tokenizers that look for lemmas, and for no other.

    Raises
    ------
    UserError : unknown name, or WordNet missing or given in vain.
    """
    if name in LEMMATISED:
        if wordnet is None:
            raise UserError(
                f'tokenizer "{name}" needs WordNet: give the view the option wordnet, an asset that holds index.noun '
                "and noun.exc of Debian's package wordnet-base or of NLTK's wordnet.zip"
            )
        return partial(LEMMATISED[name], noun_lemmatizer(wordnet))
    if name not in PLAIN:
        raise UserError(f'unknown tokenizer "{name}"; known are {", ".join([*PLAIN, *LEMMATISED])}')
    if wordnet is not None:
        raise UserError(
            f'tokenizer "{name}" makes no use of WordNet: leave out the option wordnet, or choose '
            f"{' or '.join(LEMMATISED)}"
        )
    return PLAIN[name]


def surface_tokenizer(name: str, wordnet: Path | None = None) -> Tokenizer:
    """For vectors and sequences of words: what `tokenizer` makes its tokens of, all of a text and in its order.

    So English words come with stop words, without stems or lemmas, and characters without pairs. UserError as of
    `tokenizer`.
    """
    tokenizer(name, wordnet)
    return SURFACE[name]


def _content_words(text: str) -> list[str]:
    following = pairwise([*english_words(text), ""])
    return [word for word, after in following if word not in STOP_WORDS and after != "n't"]


def _runs(text: str) -> list[str]:
    return _words.findall(_folded(text))


def _folded(text: str) -> str:
    # The time of normalising grows with the square of such a run. Unicode's stream-safe format (UAX 15) has 30 at most.
    text = _many_marks.sub(r"\1", text)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
