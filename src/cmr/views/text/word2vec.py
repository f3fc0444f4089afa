"""word2vec (Mikolov et al., NIPS 2013) and fastText (Bojanowski et al., TACL 2017), by gensim."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self
from zlib import crc32

import numpy as np
from gensim import models
from gensim.models.word2vec import MAX_WORDS_IN_BATCH
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.views.base import State
from cmr.views.text.tokenized import require_choice
from cmr.views.text.vector_files import Vectors
from cmr.views.text.word_vectors import TrainedVectors

ARCHITECTURES = ("cbow", "skip_gram")


@dataclass(kw_only=True)
class Word2Vec(TrainedVectors):
    """Vectors from which a word's neighbours are told from random words: 5 of these a word, words thinned above 1e-3.

    Parameters
    ----------
    architecture : `cbow`, the word from the mean of its neighbours; `skip_gram`, each neighbour from the word.
    """

    architecture: Literal["cbow", "skip_gram"] = "skip_gram"
    model: ClassVar[type[models.Word2Vec]] = models.Word2Vec

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("architecture", self.architecture, ARCHITECTURES)

    def train(self, documents: list[list[str]]) -> Vectors:
        """Words by descending frequency, and vectors (V, d), the same for any number of cores."""
        # What exceeds this length gensim would leave out.
        sentences = [
            document[start : start + MAX_WORDS_IN_BATCH]
            for document in documents
            for start in range(0, len(document), MAX_WORDS_IN_BATCH)
        ]
        model = self._untrained()
        model.build_vocab(sentences)
        if not len(model.wv):
            return [], np.zeros((0, self.dimension), np.float32)
        model.train(sentences, total_examples=model.corpus_count, epochs=self.epochs)
        self._keyed = model.wv
        return list(model.wv.index_to_key), model.wv.vectors

    def _untrained(self) -> models.Word2Vec:
        return self.model(
            vector_size=self.dimension,
            window=self.window,
            min_count=self.minimum_count,
            sg=self.architecture == "skip_gram",
            seed=self.seed,
            workers=1,  # more would update the vectors in an order of chance
            **self._model_options(),
        )

    def _model_options(self) -> dict[str, Any]:
        return {}


@dataclass(kw_only=True)
class FastText(Word2Vec):
    """word2vec whose words are sums of parts of 3 to 6 letters, so that every word has a vector, even an unseen one.

    So no word is out of vocabulary, and only a text without words is a zero row.

    Parameters
    ----------
    buckets : vectors of parts; parts share one when their hashes agree. The authors take 2 000 000, for Wikipedia.
    """

    buckets: int = 100_000
    model: ClassVar[type[models.FastText]] = models.FastText

    def has_vector(self, word: str) -> bool:
        """Always: a word has parts."""
        return True

    def vectors_of(self, words: Sequence[str]) -> NDArray[np.float32]:
        """(m, d) of any m words; one outside the vocabulary is the mean of its parts."""
        return np.stack([self._keyed.get_vector(word) for word in words])

    def state(self) -> State:
        """Also the vectors of parts that training has changed, and a checksum of the others, which the seed tells."""
        drawn, trained = self._drawn_parts().vectors_ngrams, self._keyed.vectors_ngrams
        changed = np.flatnonzero((trained != drawn).any(axis=1))
        return super().state() | {
            "parts": changed,
            "vectors_of_parts": trained[changed],
            "checksum_of_drawn_parts": np.array(crc32(drawn), dtype=np.int64),
        }

    def restore(self, state: State) -> Self:
        """Take up what `state` gave; raises UserError where another version of gensim draws other vectors."""
        super().restore(state)
        self._keyed = self._drawn_parts()
        if crc32(self._keyed.vectors_ngrams) != state["checksum_of_drawn_parts"]:
            raise UserError(
                "the vectors that fastText begins with are others than when this view was made: gensim has another "
                "version. Delete the view and run again"
            )
        self._keyed.vectors_ngrams[state["parts"]] = state["vectors_of_parts"]
        self._keyed.index_to_key, self._keyed.vectors = self._trained
        self._keyed.key_to_index = {word: number for number, word in enumerate(self._keyed.index_to_key)}
        return self

    def _drawn_parts(self) -> models.fasttext.FastTextKeyedVectors:
        """What training begins with, of a vocabulary that does not matter."""
        model = self._untrained()
        model.build_vocab([["word"] * self.minimum_count])
        return model.wv

    def _model_options(self) -> dict[str, Any]:
        return {"bucket": self.buckets}
