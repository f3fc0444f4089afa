"""Word vectors from the captions of a train part, whatever kind of text view they are of."""

from collections.abc import Iterable, Sequence

import pandas as pd

from cmr.errors import UserError
from cmr.vectorisation.vectors import Matrix
from cmr.views.base import TextView
from cmr.views.text import word_vectors
from cmr.views.text.bow import Bag, term_vectors
from cmr.views.text.tokens import words as tokens_of


def learn(view: TextView, texts: Sequence[str]) -> tuple[list[str], Matrix]:
    """Fit a view on texts: its V words and their vectors (V, d).

    Of a bag of words, a word's vector is its column of the document-term matrix of these texts (sparse, d texts).
    """
    if not isinstance(view, word_vectors.WordVectors | Bag):
        raise UserError(f"{type(view).__name__} is no vectoriser: it has neither word vectors nor counts of words")
    view.fit(texts)
    return term_vectors(view, texts) if isinstance(view, Bag) else view.word_vectors()


def train_texts(pairs: pd.DataFrame, split: pd.DataFrame) -> list[str]:
    """Texts of the train part, each line of an item's text a text of its own: one that has several captions."""
    train = pairs[pairs["id"].isin(split.loc[split["part"] == "train", "id"])]
    if train["text"].isna().any():
        raise UserError(
            "this copy of the data set has no texts: get them (`python -m cmr datasets` says how), or leave the data "
            "set out of config/vectorisation.yaml"
        )
    return [line for text in train["text"] for line in text.split("\n") if line.strip()]


def relevant_words(known: Sequence[str], texts: Iterable[str], asked: Iterable[str]) -> list[int]:
    """Places of those words that occur in the texts or are asked about: of a pretrained model some of very many."""
    relevant = set(asked).union(*map(tokens_of, texts))
    return [place for place, word in enumerate(known) if word in relevant]
