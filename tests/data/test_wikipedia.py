"""The Wikipedia set's real lists and features; a mirror has to hold them."""

import numpy as np
import pytest

from cmr.assets import mirror_folders
from cmr.datasets import wikipedia
from cmr.datasets.mat import load_array
from cmr.metrics import average_precision, place

TRAIN = [138, 272, 244, 248, 202, 178, 186, 144, 214, 347]
TEST = [34, 88, 96, 85, 65, 58, 51, 41, 71, 104]
CATEGORIES = ["art", "biology", "geography", "history", "literature", "media", "music", "royalty", "sport", "warfare"]


def in_mirror(path):
    """The folder of the first mirror that holds `path`, or no test."""
    for mirror in mirror_folders([]):
        if (mirror / path).is_file():
            return (mirror / path).parent
    pytest.skip(f"no mirror of the environment variable CMR_MIRRORS holds {path}")


@pytest.fixture(scope="module")
def folders():
    return {"wikipedia": in_mirror("wikipedia_dataset/raw_features.mat")}


@pytest.fixture(scope="module")
def with_tfidf(folders):
    return folders | {"wikipedia_tfidf1000": in_mirror("wikipedia_extra/raw_features_with_tfidf1000.mat")}


@pytest.fixture(scope="module")
def with_roph(folders):
    return folders | {"wikipedia_roph": in_mirror("wikipedia_extra/roph_wiki.mat")}


@pytest.fixture(scope="module")
def pairs(folders):
    return list(wikipedia.read(folders))


def stacked(blocks):
    """Ids and rows of all blocks together."""
    ids, rows = zip(*blocks, strict=True)
    return [item for block in ids for item in block], np.concatenate(rows)


def test_there_are_2866_pairs_with_the_official_counts(pairs):
    assert len({pair.id for pair in pairs}) == len({pair.image for pair in pairs}) == len(pairs) == 2866
    for part, counts in (("train", TRAIN), ("test", TEST)):
        labels = [pair.labels for pair in pairs if pair.part == part]
        assert [labels.count((name,)) for name in CATEGORIES] == counts


def test_items_share_neither_text_nor_image(pairs):
    assert {pair.group for pair in pairs} == {None}


def test_four_fifths_of_the_test_items_come_from_articles_of_the_train_part(folders):
    pairs = list(wikipedia.read(folders, articles_together=True))
    articles = {part: [pair.group for pair in pairs if pair.part == part] for part in ("train", "test")}
    assert len(set(articles["train"]) | set(articles["test"])) == 1168
    assert len({(pair.group, pair.labels) for pair in pairs}) == 1168  # each within one category
    assert sum(article in set(articles["train"]) for article in articles["test"]) == 552


@pytest.mark.parametrize(("array", "width"), [("I", 128), ("T", 10)])
def test_official_features_are_distributions(folders, pairs, array, width):
    ids, rows = stacked(wikipedia.features(folders, array))
    assert ids == [pair.id for pair in pairs]
    assert rows.shape == (2866, width)
    assert rows.min() >= 0
    assert rows.sum(axis=1) == pytest.approx(1, abs=1e-5)  # single precision


def test_tfidf_rows_have_norm_one(with_tfidf, pairs):
    ids, rows = stacked(wikipedia.features(with_tfidf, "T_tfidf"))
    assert ids == [pair.id for pair in pairs]
    assert rows.shape == (2866, 1000)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)


def test_roph_image_is_a_principal_component_analysis_of_all_items(with_roph):
    """Centred and uncorrelated over train and test together, but not over the train part: hence the view's caution."""
    _, rows = stacked(wikipedia.roph_features(with_roph, "X1"))
    assert rows.shape == (2866, 128)
    rows = rows.astype(float)
    assert (np.diff(rows.var(axis=0)) < 0).all()
    everything, train = (np.corrcoef(part.T) - np.eye(128) for part in (rows, rows[:2173]))
    assert abs(rows.mean(axis=0)).max() < 1e-4 < 0.1 < abs(rows[:2173].mean(axis=0)).max()
    assert abs(everything).max() < 1e-4 < 0.02 < abs(train).max()


def test_roph_text_is_complete(with_roph):
    _, rows = stacked(wikipedia.roph_features(with_roph, "X2"))
    assert rows.shape == (2866, 100)
    assert np.isfinite(rows).all()
    assert (rows.std(axis=0) > 0).all()


def test_the_random_split_of_the_roph_file_is_another_than_the_official(with_roph):
    test = load_array(with_roph["wikipedia_roph"] / "roph_wiki.mat", "data.split.ind_test").ravel()
    assert set(test.astype(int) - 1) != set(range(2173, 2866))


@pytest.fixture(scope="module")
def relevance(pairs):
    label = np.array([pair.labels[0] for pair in pairs if pair.part == "test"])
    return label[:, None] == label


def test_chance_is_0_111_in_precision_and_0_118_in_map(relevance):
    """Mean share of relevant items, and the exact expectation of average precision over random rankings.

    For r relevant items of n, average precision has the mean (r - 1) / (n - 1) + (n - r) / (n (n - 1)) H_n.
    """
    assert relevance.mean() == pytest.approx(0.1105, abs=5e-5)
    n, r = len(relevance), relevance.sum(axis=1)
    harmonic = (1 / np.arange(1, n + 1)).sum()
    expected = ((r - 1) / (n - 1) + (n - r) / (n * (n - 1)) * harmonic).mean()
    assert expected == pytest.approx(0.1184, abs=5e-5)
    assert average_precision(place(np.zeros((n, n)), relevance)).mean() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("array", ["I", "T"])
def test_features_tell_categories(folders, relevance, array):
    """Nearest by cosine, each item in its own gallery: 0.155 and 0.567. Rows in another order reach 0.137."""
    _, (_, rows) = wikipedia.features(folders, array)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert average_precision(place(unit @ unit.T, relevance)).mean() > {"I": 0.15, "T": 0.5}[array]
