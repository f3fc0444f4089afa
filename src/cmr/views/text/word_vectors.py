"""Texts as means of the vectors of their words: vectors that others have trained, and the ground for our own."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from pathlib import Path
from sys import intern
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cmr.assets import single_file
from cmr.errors import UserError
from cmr.views.base import State, words_array
from cmr.views.text.tokenized import SurfaceView, require_choice, require_positive
from cmr.views.text.vector_files import Vectors, read_vectors

Pooling = Literal["mean", "tfidf"]
POOLINGS = ("mean", "tfidf")


class WordVectors(SurfaceView):
    """A view that pools word vectors. A text in which no word has a vector is a zero row.

    Attributes
    ----------
    pooling : `mean`, each word as often as the text holds it; `tfidf`, that mean weighted by the word's
        1 + ln((1 + n) / (1 + n_w)), where n_w of the n train texts hold it.
    """

    pooling: Pooling

    @abstractmethod
    def word_vectors(self) -> Vectors:
        """The V words that have vectors, and (V, d) float32."""

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn from the train texts how common words are, where the pooling asks for it."""
        if self.pooling == "tfidf":
            self._texts = len(texts)
            self._texts_with = Counter(word for text in texts for word in set(self.tokens(text)))
        return self

    def state(self) -> State:
        """With `tfidf`: `texts`, n; `counted_words` (m,) and `texts_with` (m,), n_w of each. Else nothing."""
        if self.pooling == "mean":
            return {}
        # In one order: that of a set changes from one start of Python to the next.
        words = sorted(self._texts_with)
        return {
            "texts": np.array(self._texts),
            "counted_words": words_array(words),
            "texts_with": np.array([self._texts_with[word] for word in words], dtype=np.int64),
        }

    def restore(self, state: State) -> Self:
        """Take up what `state` gave."""
        if self.pooling == "tfidf":
            self._texts = int(state["texts"])
            self._texts_with = Counter(
                dict(zip(state["counted_words"].tolist(), state["texts_with"].tolist(), strict=True))
            )
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d), pooled."""
        rows = np.zeros((len(texts), self.word_vectors()[1].shape[1]), np.float32)
        for row, text in zip(rows, texts, strict=True):
            counts = Counter(filter(self.has_vector, self.tokens(text)))
            if counts:
                weights = np.array([count * self._weight(word) for word, count in counts.items()])
                row[:] = weights @ self.vectors_of(list(counts)) / weights.sum()
        return rows

    def vocabulary(self) -> list[str]:
        """The words of `word_vectors`."""
        return self.word_vectors()[0]

    def known(self, words: Iterable[str]) -> set[str]:
        """Those of some words that have vectors."""
        return set(filter(self.has_vector, words))

    def has_vector(self, word: str) -> bool:
        """Whether `vectors_of` knows the word."""
        return word in self._position

    def vectors_of(self, words: Sequence[str]) -> NDArray[np.float32]:
        """(m, d) of m words that have vectors."""
        return self.word_vectors()[1][[self._position[word] for word in words]]

    @cached_property
    def _position(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.word_vectors()[0])}

    def _weight(self, word: str) -> float:
        if self.pooling == "mean":
            return 1.0
        return 1 + log((1 + self._texts) / (1 + self._texts_with[word]))


@dataclass
class PretrainedVectors(WordVectors):
    """Mean of word vectors from a file; learns nothing.

    Words are looked up as the tokenizer gives them, in lower case. A NumPy array stays on disk; other files are read
    into memory, 4 d bytes a word.

    Parameters
    ----------
    vectors : folder of an asset with a file of `cmr.views.text.vector_files`.
    file : its name, where the folder holds several.
    most_frequent : take no more than so many words from the head of the file.
    """

    vectors: Path
    file: str | None = None
    most_frequent: int | None = None
    learnt: ClassVar[bool] = False
    pooling: ClassVar[Pooling] = "mean"

    def __post_init__(self) -> None:
        require_positive(self, "most_frequent")

    def word_vectors(self) -> Vectors:
        """The V words of the file, and (V, d) float32."""
        return self._read

    @cached_property
    def _read(self) -> Vectors:
        return read_vectors(self.vectors, self.file, self.most_frequent)


@dataclass
class PretrainedVectorsTfIdf(PretrainedVectors):
    """Mean of word vectors from a file, weighted by the rarity of the words in the train texts."""

    learnt: ClassVar[bool] = True
    pooling: ClassVar[Pooling] = "tfidf"


@dataclass(kw_only=True)
class TrainedVectors(WordVectors):
    """Word vectors that are trained on the train texts, or on a corpus.

    Parameters
    ----------
    dimension : d.
    window : words on either side that count as context.
    epochs : sweeps over the texts, or over their counts of co-occurring words.
    minimum_count : occurrences that a word needs to get a vector.
    seed : of every random choice.
    pooling : `mean` or `tfidf`, see `WordVectors`; the rarity of words is that in the train texts in any case.
    corpus : folder of an asset with one text file, UTF-8, a document a line; None: the train texts, where a line is a
        document, too, such as one of several captions.
    """

    dimension: int = 100
    window: int = 5
    epochs: int = 20
    minimum_count: int = 1
    seed: int = 0
    pooling: Pooling = "mean"
    corpus: Path | None = None

    def __post_init__(self) -> None:
        require_choice("pooling", self.pooling, POOLINGS)
        require_positive(self, "dimension", "window", "epochs", "minimum_count")

    @abstractmethod
    def train(self, documents: list[list[str]]) -> Vectors:
        """Words and vectors (V, d) from the words of documents; none if all words are too rare."""

    def fit(self, texts: Sequence[str]) -> Self:
        """Train the vectors, and learn from the train texts how common words are, where the pooling asks for it."""
        # Interned: a word that occurs often is held in memory once.
        documents = [[intern(word) for word in self.tokens(text)] for text in self._training_texts(texts)]
        self.__dict__.pop("_position", None)
        # One thread: sums in another order would give other vectors.
        with threadpool_limits(1):
            self._trained = self.train(documents)
        if not self._trained[0]:
            raise UserError(
                f"no word occurs {self.minimum_count} times in the {len(documents)} texts to train word vectors on"
            )
        return super().fit(texts)

    def word_vectors(self) -> Vectors:
        """The V words trained, by descending frequency, and (V, d) float32."""
        return self._trained

    def state(self) -> State:
        """Also `words` (V,) and `vectors` (V, d)."""
        words, vectors = self._trained
        return super().state() | {"words": words_array(words), "vectors": vectors}

    def restore(self, state: State) -> Self:
        """Take up what `state` gave."""
        self.__dict__.pop("_position", None)
        self._trained = state["words"].tolist(), state["vectors"]
        return super().restore(state)

    def _training_texts(self, texts: Sequence[str]) -> Iterator[str]:
        if self.corpus is None:
            for text in texts:
                yield from text.splitlines()
            return
        path = single_file(self.corpus)
        try:
            with path.open(encoding="utf-8") as lines:
                yield from lines
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read as UTF-8 text, a document a line: {error}") from error
