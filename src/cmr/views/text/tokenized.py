"""What all views of texts share: their tokenizer, and the words that they keep."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cmr.errors import UserError
from cmr.views.base import TextView
from cmr.views.text.tokens import Tokenizer, surface_tokenizer, tokenizer


@dataclass(kw_only=True)
class TokenizedView(TextView):
    """A view of the tokens of texts.

    Parameters
    ----------
    tokenizer : a name of `cmr.views.text.tokens`; the data set's language decides.
    wordnet : folder of WordNet, for the tokenizers that look for lemmas.
    """

    tokenizer: str = "english"
    wordnet: Path | None = None

    def tokens(self, text: str) -> list[str]:
        """The words of a text, in the form in which `vocabulary` holds them."""
        return self._tokenizer(text)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return tokenizer(self.tokenizer, self.wordnet)


class SurfaceView(TokenizedView):
    """A view of the words as they stand in the text: for vectors of words, which know no stems."""

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return surface_tokenizer(self.tokenizer, self.wordnet)


def most_frequent(documents: Iterable[Iterable[str]], size: int | None = None, minimum_count: int = 1) -> list[str]:
    """Words by descending number of occurrences, and by code point where that is equal, so that any cut is defined.

    Parameters
    ----------
    size : how many are kept at most; None: all.
    minimum_count : occurrences that a word needs.
    """
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(document)
    kept = [word for word, count in counts.items() if count >= minimum_count]
    return sorted(kept, key=lambda word: (-counts[word], word))[:size]


def require_words(words: Sequence[object], texts: Sequence[str]) -> None:
    """UserError when the train texts leave nothing to learn from."""
    if not len(words):
        raise UserError(
            f"no word is left in {len(texts)} train texts: all are empty, or hold but stop words and words too rare"
        )


def require_choice(option: str, value: object, choices: Iterable[object]) -> None:
    """UserError when an option has none of its values."""
    choices = list(choices)
    if value not in choices:
        raise UserError(f"option {option} is {value!r}; it can be {', '.join(map(str, choices))}")


def require_positive(view: object, *options: str) -> None:
    """UserError when a number among the options is below one; None counts as not given."""
    for option in options:
        value = getattr(view, option)
        if value is not None and value < 1:
            raise UserError(f"option {option} of {type(view).__name__} is {value}; it must be at least 1")
