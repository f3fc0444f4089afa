"""Latent Dirichlet allocation (Blei, Ng & Jordan, JMLR 2003), by gensim."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from gensim.corpora import Dictionary
from gensim.matutils import corpus2dense
from gensim.models import LdaModel
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.views.text.tokens import tokenizer


@dataclass
class LDA:
    """Topic proportions of a text under a topic model of the train texts.

    Parameters
    ----------
    topics : number of topics d.
    passes : sweeps over the train texts.
    seed : of gensim's variational inference.
    tokenizer : a name of `cmr.views.text.tokens`.
    """

    topics: int = 10
    passes: int = 20
    seed: int = 0
    tokenizer: str = "english"
    counts: ClassVar[bool] = False

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn vocabulary and topics from the train texts."""
        documents = list(map(tokenizer(self.tokenizer), texts))
        self._dictionary = Dictionary(documents)
        if not self._dictionary:
            raise UserError(f"no word is left in {len(texts)} train texts after removing stop words")
        self._model = LdaModel(
            [self._dictionary.doc2bow(document) for document in documents],
            num_topics=self.topics,
            id2word=self._dictionary,
            passes=self.passes,
            alpha="auto",
            random_state=self.seed,
            dtype=np.float64,
        )
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, topics), rows sum to one; a text without a known word gets the prior's proportions."""
        dense = corpus2dense(map(self._proportions, texts), num_terms=self.topics, num_docs=len(texts)).T
        return (dense / dense.sum(axis=1, keepdims=True)).astype(np.float32)

    def vocabulary(self) -> list[str]:
        """The words known to the model."""
        return [self._dictionary[i] for i in range(len(self._dictionary))]

    def _proportions(self, text: str) -> list[tuple[int, float]]:
        # Inference starts at random: the same start for every text keeps its topics independent of the others'.
        self._model.random_state = np.random.RandomState(self.seed)
        words = self._dictionary.doc2bow(tokenizer(self.tokenizer)(text))
        return self._model.get_document_topics(words, minimum_probability=0.0)
