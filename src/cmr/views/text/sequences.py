"""Texts as sequences of word numbers, for networks that read word by word."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.views.base import Kind, State, words_array
from cmr.views.text.tokenized import SurfaceView, most_frequent, require_positive, require_words
from cmr.views.text.vector_files import read_vectors
from cmr.views.text.word2vec import Word2Vec

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2


@dataclass
class TokenSequences(SurfaceView):
    """Numbers of the words of a text in their order: 0 padding at the end, 1 an unknown word, from 2 on known words.

    Known words are numbered by descending frequency in the train texts, equal ones by code point.

    Parameters
    ----------
    length : l, words a text; what exceeds it is cut off. A caption has some 10 words, at most 40; of articles 64 words
        are their first sentences.
    vocabulary_size : number of known words at most; None: all that occur often enough.
    minimum_count : occurrences in the train texts that a known word needs.
    vectors : folder of an asset with pretrained word vectors, as for `PretrainedVectors`; `file` its name, where the
        folder holds several.
    trained_dimension : train word vectors of this dimension on the train texts (word2vec, skip-gram).
    seed : of trained vectors, and of vectors for known words that the pretrained lack.
    """

    length: int = 64
    vocabulary_size: int | None = None
    minimum_count: int = 1
    vectors: Path | None = None
    file: str | None = None
    trained_dimension: int | None = None
    seed: int = 0
    kind: ClassVar[Kind] = "tokens"

    def __post_init__(self) -> None:
        require_positive(self, "length", "vocabulary_size", "minimum_count", "trained_dimension")
        if self.vectors is not None and self.trained_dimension is not None:
            raise UserError("word vectors are pretrained (option vectors) or trained (trained_dimension), not both")

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn the words of the train texts, and their vectors where asked."""
        words = most_frequent(map(self.tokens, texts), self.vocabulary_size, self.minimum_count)
        require_words(words, texts)
        self._number(words)
        self._arrays = {}
        if self.vectors is not None:
            self._arrays = {"word_vectors": self._table(*read_vectors(self.vectors, self.file, keep=self._numbers))}
        elif self.trained_dimension is not None:
            model = Word2Vec(
                dimension=self.trained_dimension,
                minimum_count=self.minimum_count,
                seed=self.seed,
                tokenizer=self.tokenizer,
                wordnet=self.wordnet,
            )
            self._arrays = {"word_vectors": self._table(*model.fit(texts).word_vectors())}
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """(n, length)."""
        sequences = np.full((len(texts), self.length), PADDING, np.int32)
        for row, text in zip(sequences, texts, strict=True):
            words = self.tokens(text)[: self.length]
            row[: len(words)] = [self._numbers.get(word, UNKNOWN) for word in words]
        return sequences

    def vocabulary(self) -> list[str]:
        """The known words, the first with number 2."""
        return self._words

    def arrays(self) -> State:
        """`word_vectors` (V + 2, d) float32, where asked for, by word number: row 0 is zero, row 1 the known mean.

        A known word that the pretrained vectors lack gets uniform noise of the mean and variance of the others, an
        entry by its dimension (as Kim, EMNLP 2014, keeps the variance).
        """
        return self._arrays

    def state(self) -> State:
        """`words` (V,), in the order of their numbers, and `arrays`."""
        return {"words": words_array(self._words)} | self._arrays

    def restore(self, state: State) -> Self:
        """Take up what `state` gave."""
        self._number(state["words"].tolist())
        self._arrays = {name: array for name, array in state.items() if name == "word_vectors"}
        return self

    def _number(self, words: list[str]) -> None:
        self._words = words
        self._numbers = {word: number for number, word in enumerate(words, FIRST_WORD)}

    def _table(self, words: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        position = {word: i for i, word in enumerate(words)}
        found = np.array([word in position for word in self._words])
        if not found.any():
            raise UserError(f"none of the {len(self._words)} words of the train texts has a vector in {self.vectors}")
        known = vectors[[position[word] for word in self._words if word in position]].astype(np.float64)
        mean, reach = known.mean(axis=0), known.std(axis=0) * np.sqrt(3)
        table = np.empty((FIRST_WORD + len(self._words), vectors.shape[1]))
        table[PADDING], table[UNKNOWN] = 0, mean
        table[FIRST_WORD:] = np.random.default_rng(self.seed).uniform(
            mean - reach, mean + reach, table[FIRST_WORD:].shape
        )
        table[FIRST_WORD:][found] = known
        return table.astype(np.float32)
