"""Texts as their sentences, each of which another view turns into features: parts beside the whole."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import regex
from numpy.typing import NDArray

from cmr.construct import VIEWS, build
from cmr.errors import UserError
from cmr.store import Kind
from cmr.views.base import State, TextView
from cmr.views.text.tokenized import require_positive

# Any script's end marks and line breaks, the last of several; but a full stop before a letter or digit is inside of a
# number, a name or an address.
_ends = r"[\p{STerm}\n\r\v\f\x85\u2028\u2029]"
_after_sentence = regex.compile(rf"(?<={_ends})(?!{_ends})(?<![.\uFF0E](?=[\p{{L}}\p{{N}}]))", regex.V1)
# Latin, wide, Chinese and Arabic commas and semicolons.
_after_clause = r"(?<=[,;\uFF0C\uFF1B\u3001\uFF64\u060C\u061B])"
_before_clause = r"\b(?=(?:and|but|or|while)\b)"
_between_clauses = regex.compile(f"{_after_clause}|{_before_clause}", regex.V1 | regex.IGNORECASE)
_word = regex.compile(r"[\p{L}\p{N}]")


@dataclass
class Sentences(TextView):
    """What another view, fitted on whole train texts, makes of each of the first sentences of a text.

    A text of one sentence is parted into its clauses, see `sentences`. The last part has all that is left of the text;
    parts that a text does not have are zero rows.

    Parameters
    ----------
    implementation : dotted class name of a view of `vectors`, such as cmr.views.text.bow.TfIdf.
    options : its parameters.
    segments : q, sentences a text.
    tokenizer, wordnet : of that view.
    """

    implementation: str
    options: Mapping[str, Any] = field(default_factory=dict)
    segments: int = 4
    tokenizer: str = "english"
    wordnet: Path | None = None
    kind: ClassVar[Kind] = "patches"

    def __post_init__(self) -> None:
        require_positive(self, "segments")

    @cached_property
    def view(self) -> TextView:
        """The view of each part; raises UserError for one that does not make vectors."""
        view = build(self.implementation, {**self.options, "tokenizer": self.tokenizer, "wordnet": self.wordnet}, VIEWS)
        if not isinstance(view, TextView) or view.kind != "vectors":
            raise UserError(f"{self.implementation} is no view of texts that makes vectors, one a sentence")
        return view

    @property
    def counts(self) -> bool:
        """Whether the features are word counts."""
        return self.view.counts

    @property
    def learnt(self) -> bool:
        """Whether the view of each part learns."""
        return self.view.learnt

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn from the whole train texts."""
        self.view.fit(texts)
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, q, d)."""
        parts = [sentences(text, self.segments) for text in texts]
        present = np.arange(self.segments) < np.array([len(own) for own in parts], dtype=int)[:, None]
        rows = self.view.transform([part for own in parts for part in own])
        values = np.zeros((*present.shape, rows.shape[1]), np.float32)
        values[present] = rows
        return values

    def tokens(self, text: str) -> list[str]:
        """See TextView."""
        return self.view.tokens(text)

    def vocabulary(self) -> list[str]:
        """See TextView."""
        return self.view.vocabulary()

    def known(self, words: Iterable[str]) -> set[str]:
        """See TextView."""
        return self.view.known(words)

    def arrays(self) -> State:
        """See TextView."""
        return self.view.arrays()

    def state(self) -> State:
        """See TextView."""
        return self.view.state()

    def restore(self, state: State) -> Self:
        """See TextView."""
        self.view.restore(state)
        return self


def sentences(text: str, most: int) -> list[str]:
    """The sentences of a text, `most` at most: the last one then takes the rest. A text without words has none.

    A sentence ends at a line break and after an end mark of any script, such as . ! ? and their wide forms. A text of
    one sentence is cut into clauses: after commas and semicolons, and before the English words and, but, or, while.
    Without any of these it is its own only part.
    """
    pieces = _pieces(_after_sentence, text)
    if len(pieces) == 1:
        pieces = _pieces(_between_clauses, text)
    return [*pieces[: most - 1], "".join(pieces[most - 1 :])] if len(pieces) > most else pieces


def _pieces(cuts: regex.Pattern, text: str) -> list[str]:
    return [piece for piece in cuts.split(text) if _word.search(piece)]
