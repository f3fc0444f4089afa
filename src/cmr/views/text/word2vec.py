"""word2vec (Mikolov et al., NIPS 2013) and fastText (Bojanowski et al., TACL 2017), by gensim."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from gensim import models
from gensim.models.word2vec import MAX_WORDS_IN_BATCH
from numpy.typing import NDArray

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
        model = self.model(
            vector_size=self.dimension,
            window=self.window,
            min_count=self.minimum_count,
            sg=self.architecture == "skip_gram",
            seed=self.seed,
            workers=1,  # more would update the vectors in an order of chance
            **self._model_options(),
        )
        model.build_vocab(sentences)
        if not len(model.wv):
            return [], np.zeros((0, self.dimension), np.float32)
        model.train(sentences, total_examples=model.corpus_count, epochs=self.epochs)
        self._keyed = model.wv
        return list(model.wv.index_to_key), model.wv.vectors

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

    def _model_options(self) -> dict[str, Any]:
        return {"bucket": self.buckets}
