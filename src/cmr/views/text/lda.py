"""Latent Dirichlet allocation (Blei, Ng & Jordan, JMLR 2003), by gensim."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from gensim.corpora import Dictionary
from gensim.models import LdaModel
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cmr.views.base import State, words_array
from cmr.views.text.tokenized import TokenizedView, require_positive, require_words


@dataclass
class LDA(TokenizedView):
    """Topic proportions of a text under a topic model of the train texts.

    Learnt by online variational Bayes (Hoffman, Blei & Bach, NIPS 2010); the topics' prior weights are learnt, too.

    Parameters
    ----------
    topics : number of topics d.
    passes : sweeps over the train texts.
    iterations : at most so many updates of a text's topics in a sweep, fewer when they no longer change.
    chunk_size : texts between two updates of the model.
    seed : of the first topics.
    """

    topics: int = 10
    passes: int = 20
    iterations: int = 50
    chunk_size: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(self, "topics", "passes", "iterations", "chunk_size")

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn vocabulary and topics from the train texts."""
        self._dictionary = Dictionary(map(self.tokens, texts))
        require_words(self._dictionary, texts)
        # One thread: matrices are too small for more, and sums in another order would give other topics.
        with threadpool_limits(1):
            self._model = self._topic_model([self._dictionary.doc2bow(self.tokens(text)) for text in texts])
        return self

    def state(self) -> State:
        """`words` (V,), `prior` (topics,), and `word_weights` (topics, V), of which inference makes a text's topics."""
        model = self._model
        return {"words": words_array(self.vocabulary()), "prior": model.alpha, "word_weights": model.expElogbeta}

    def restore(self, state: State) -> Self:
        """Take up what `state` gave."""
        self._dictionary = Dictionary()
        self._dictionary.token2id = {word: number for number, word in enumerate(state["words"].tolist())}
        self._model = self._topic_model(None)
        self._model.alpha, self._model.expElogbeta = state["prior"], state["word_weights"]
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, topics), rows sum to one; a text without a known word gets the prior's proportions."""
        rows = np.zeros((len(texts), self.topics), np.float32)
        with threadpool_limits(1):
            for row, text in zip(rows, texts, strict=True):
                row[:] = self._proportions(text)
        return rows

    def vocabulary(self) -> list[str]:
        """The words known to the model."""
        return [self._dictionary[i] for i in range(len(self._dictionary))]

    def _topic_model(self, corpus: list[list[tuple[int, int]]] | None) -> LdaModel:
        """Of the texts of a corpus, or none yet."""
        return LdaModel(
            corpus,
            num_topics=self.topics,
            id2word=self._dictionary,
            passes=self.passes,
            iterations=self.iterations,
            chunksize=self.chunk_size,
            alpha="auto",
            eval_every=None,
            random_state=self.seed,
            dtype=np.float64,
        )

    def _proportions(self, text: str) -> NDArray[np.float64]:
        # Inference starts at random: the same start for every text keeps its topics independent of the others'.
        self._model.random_state = np.random.RandomState(self.seed)
        words = self._dictionary.doc2bow(self.tokens(text))
        shares = np.zeros(self.topics)
        for topic, share in self._model.get_document_topics(words, minimum_probability=0.0):
            shares[topic] = share
        return shares / shares.sum()
