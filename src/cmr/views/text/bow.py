"""Bag of words and its tf-idf weighting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from cmr.errors import UserError
from cmr.views.text.tokens import tokenizer


@dataclass
class BagOfWords:
    """Counts of the most frequent words of the train texts.

    Parameters
    ----------
    vocabulary_size : the number of words kept, by frequency in the train texts.
    tokenizer : a name of `cmr.views.text.tokens`.
    """

    vocabulary_size: int = 1000
    tokenizer: str = "english"
    counts: ClassVar[bool] = True

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn the vocabulary from the train texts."""
        self._vectorizer = CountVectorizer(
            tokenizer=tokenizer(self.tokenizer), lowercase=False, token_pattern=None, max_features=self.vocabulary_size
        )
        try:
            self._vectorizer.fit(texts)
        except ValueError as error:
            raise UserError(f"no word is left in {len(texts)} train texts after removing stop words") from error
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) counts; words outside the vocabulary do not count."""
        return self._vectorizer.transform(texts).toarray().astype(np.float32)

    def vocabulary(self) -> list[str]:
        """The words of the d columns."""
        return list(self._vectorizer.get_feature_names_out())


@dataclass
class TfIdf(BagOfWords):
    """Bag of words weighted by inverse document frequency in the train texts, rows of unit length.

    Weight of word w in a text: (1 + ln count) * (1 + ln((1 + n) / (1 + n_w))), n train texts of which n_w hold w.
    """

    counts: ClassVar[bool] = False

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn vocabulary and document frequencies from the train texts."""
        super().fit(texts)
        self._weighting = TfidfTransformer(sublinear_tf=True).fit(super().transform(texts))
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d); a text without a known word is a zero row."""
        return self._weighting.transform(super().transform(texts)).toarray().astype(np.float32)
