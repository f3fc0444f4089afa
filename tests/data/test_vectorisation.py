"""Vectorisers learnt from real captions of Flickr8k; a mirror has to hold them."""

import re

import numpy as np
import pytest

from cmr.assets import mirror_folders
from cmr.datasets import flickr8k
from cmr.vectorisation.benchmarks import Benchmarks
from cmr.vectorisation.comparison import Protocol, compare
from cmr.vectorisation.learning import learn
from cmr.vectorisation.vectors import UnitVectors
from cmr.views.text.bow import BagOfWords
from cmr.views.text.word2vec import Word2Vec

IMAGES = 1500


@pytest.fixture(scope="module")
def captions():
    path = "flickr8k/Flickr8k.token.txt"
    for mirror in mirror_folders([]):
        if (mirror / path).is_file():
            folder = (mirror / path).parent
            pairs = flickr8k.read({"flickr8k_text": folder, "flickr8k_images": folder / "Flicker8k_Dataset"})
            texts = [pair.text for pair in pairs if pair.part == "train"][:IMAGES]
            return [caption for text in texts for caption in text.split("\n")]
    pytest.skip(f"no mirror of the environment variable CMR_MIRRORS holds {path}")


@pytest.fixture(scope="module")
def vectorisers(captions):
    views = {
        "bow": BagOfWords(tokenizer="words", vocabulary_size=100_000),
        "skip_gram": Word2Vec(tokenizer="words", architecture="skip_gram", dimension=50, minimum_count=5, epochs=10),
    }
    return {name: [UnitVectors.of(*learn(view, captions))] for name, view in views.items()}


def test_words_of_a_bag_are_their_counts_in_the_captions(captions, vectorisers):
    (bag,) = vectorisers["bow"]
    girl, dress = (
        np.array([len(re.findall(rf"\b{word}\b", caption.lower())) for caption in captions])
        for word in ("girl", "dress")
    )
    assert bag.units.shape[1] == len(captions)
    assert bag.cosines(["girl"], ["dress"])[0] == pytest.approx(girl @ dress / np.sqrt((girl @ girl) * (dress @ dress)))


def test_vectors_of_captions_know_related_words_from_random_ones(vectorisers):
    protocol = Protocol(related_from=5.0, random_pairs=1000, fewest_pairs=10, resamples=200, seed=0)
    comparison = compare(vectorisers, ["skip_gram"], Benchmarks.installed(), protocol)
    scores = comparison.scores.set_index(["measure", "pairs", "vectoriser"]).sort_index()
    assert 500 < comparison.words < 5000
    syntactic = scores.loc["separation", "syntactic", "skip_gram"]
    assert syntactic["n"] >= 30
    assert syntactic["low"] > 0.5
    assert scores.loc["rho", "simlex", "skip_gram"]["n"] >= 50
    # The bag knows every word of the captions, the other only those that occur often.
    assert scores.loc["rho", "simlex", "bow"]["known"] > scores.loc["rho", "simlex", "bow"]["n"]
