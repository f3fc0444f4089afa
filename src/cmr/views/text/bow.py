"""Bags of words, their tf-idf weighting, and the occurrence of tags."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from cmr.views.base import State, words_array
from cmr.views.text.tokenized import TokenizedView, most_frequent, require_choice, require_positive, require_words

WEIGHTINGS = {"counts": lambda count: count, "binary": np.sign, "log": np.log1p}


@dataclass
class Bag(TokenizedView):
    """A view whose columns are the most frequent words of the train texts.

    Parameters
    ----------
    vocabulary_size : the number of words kept, by occurrences in the train texts; of words that occur equally often at
        the cut, the first by code point are kept.
    """

    vocabulary_size: int = 1000

    def __post_init__(self) -> None:
        require_positive(self, "vocabulary_size")

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn the vocabulary from the train texts."""
        words = most_frequent(map(self.tokens, texts), self.vocabulary_size)
        require_words(words, texts)
        self._count(sorted(words))
        return self

    def state(self) -> State:
        """`words` (d,), those of the columns."""
        return {"words": words_array(self.vocabulary())}

    def restore(self, state: State) -> Self:
        """Take up what `state` gave."""
        self._count(state["words"].tolist())
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d); words outside the vocabulary do not count."""
        return self.sparse(texts).toarray()

    def sparse(self, texts: Sequence[str]) -> csr_matrix:
        """What `transform` gives, (n, d) float32, as a sparse matrix."""
        return self._weighted(self._vectorizer.transform(texts))

    def vocabulary(self) -> list[str]:
        """The words of the d columns, by code point."""
        return list(self._vectorizer.get_feature_names_out())

    def _count(self, words: list[str]) -> None:
        self._vectorizer = CountVectorizer(analyzer=self.tokens, vocabulary=words, dtype=np.float32)

    @abstractmethod
    def _weighted(self, counts: csr_matrix) -> csr_matrix:
        """The features of texts with these counts of words; `counts` may be changed."""


@dataclass
class BagOfWords(Bag):
    """How often a text holds each of the most frequent words of the train texts.

    Parameters
    ----------
    weighting : of a word that a text holds c times: `counts` c, `binary` 1, `log` ln(1 + c).
    """

    weighting: Literal["counts", "binary", "log"] = "counts"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("weighting", self.weighting, WEIGHTINGS)

    @property
    def counts(self) -> bool:
        """Whether the features are the counts themselves."""
        return self.weighting == "counts"

    def _weighted(self, counts: csr_matrix) -> csr_matrix:
        counts.data = WEIGHTINGS[self.weighting](counts.data)
        return counts


@dataclass
class TfIdf(Bag):
    """Bag of words weighted by inverse document frequency in the train texts, rows of unit length.

    Weight of word w in a text: (1 + ln count) * (1 + ln((1 + n) / (1 + n_w))), n train texts of which n_w hold w. A
    text without a known word is a zero row.
    """

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn vocabulary and document frequencies from the train texts."""
        super().fit(texts)
        self._weighting = TfidfTransformer(sublinear_tf=True).fit(self._vectorizer.transform(texts))
        return self

    def state(self) -> State:
        """Also `idf` (d,), the weights of the words."""
        return super().state() | {"idf": self._weighting.idf_}

    def restore(self, state: State) -> Self:
        """Take up what `state` gave."""
        super().restore(state)
        self._weighting = TfidfTransformer(sublinear_tf=True)
        self._weighting.idf_ = state["idf"]
        return self

    def _weighted(self, counts: csr_matrix) -> csr_matrix:
        # Scikit-learn refuses to weigh no texts.
        return self._weighting.transform(counts) if counts.shape[0] else counts


@dataclass
class Tags(Bag):
    """Which of the most frequent train tags a text holds, 0 or 1: for data sets whose texts are tags between blanks.

    A tag counts as it is: no stop words, no stems, no change of case, whatever the tokenizer of the data set.
    """

    def tokens(self, text: str) -> list[str]:
        """The tags of a text."""
        return text.split()

    def _weighted(self, counts: csr_matrix) -> csr_matrix:
        counts.data = np.sign(counts.data)
        return counts


def term_vectors(view: Bag, texts: Sequence[str]) -> tuple[list[str], csr_matrix]:
    """Words as the texts that hold them: a word's vector is its column of the document-term matrix of `texts`.

    Returns
    -------
    The V words of a fitted view, and (V, n) float32, sparse, weighted as the view weighs.
    """
    return view.vocabulary(), view.sparse(texts).T.tocsr()
