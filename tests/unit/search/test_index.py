"""FAISS finds what comparing all would find."""

import numpy as np
import pytest

from cmr.retrieval import top
from cmr.search import index
from cmr.search.index import Codes, InvertedFile, open_index


def clustered(n, d, seed=0):
    """Points about 50 centres, as embeddings lie; lengths differ."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(50, d))
    return (centres[rng.integers(50, size=n)] + 0.5 * rng.normal(size=(n, d))) * rng.uniform(0.5, 2, size=(n, 1))


@pytest.mark.parametrize("similarity", ["cosine", "correlation", "euclidean", "inner"])
def test_few_of_the_nearest_are_missed_and_all_scores_are_exact(similarity):
    gallery, queries = clustered(4000, 16), clustered(50, 16, seed=1)
    built, hits = InvertedFile.build(gallery, similarity), 0
    assert built.approximate
    for query in queries:
        rows, scores = built.nearest(query[None], 10)
        (exact,), (best,) = top(query[None], gallery, similarity, 10)
        hits += len(set(rows) & set(exact))
        (all_rows,), (all_scores,) = top(query[None], gallery, similarity, len(gallery))
        expected = dict(zip(all_rows, all_scores, strict=True))
        np.testing.assert_allclose(scores, [expected[row] for row in rows], rtol=1e-4, atol=1e-5)
        assert (np.diff(scores) <= 0).all() and scores[0] <= best[0] + 1e-4
    assert hits / 500 >= 0.95


def test_binary_codes_are_ranked_exactly_ties_included():
    rng = np.random.default_rng(0)
    gallery = rng.integers(0, 4, size=(3000, 2), dtype=np.uint8)  # few different codes: most distances tie
    built = Codes.build(gallery)
    assert not built.approximate
    for query in rng.integers(0, 256, size=(20, 1, 2), dtype=np.uint8):
        rows, scores = built.nearest(query, 25)
        (exact,), (best,) = top(query, gallery, "hamming", 25)
        np.testing.assert_array_equal(rows, exact)
        np.testing.assert_array_equal(scores, best)


def test_more_results_than_items_are_cut():
    gallery = clustered(60, 5)
    assert len(InvertedFile.build(gallery, "cosine").nearest(gallery[:1], 100)[0]) <= 60
    assert len(Codes.build(np.arange(6, dtype=np.uint8)[:, None]).nearest(np.zeros((1, 1), np.uint8), 9)[0]) == 6


def test_equal_items_and_zero_rows_do_no_harm():
    """Such as captions without a known word, which all have one embedding."""
    gallery = np.vstack([np.zeros((500, 6)), np.ones((500, 6)), clustered(1000, 6)])
    for similarity in ("cosine", "correlation", "euclidean", "inner"):
        rows, scores = InvertedFile.build(gallery, similarity).nearest(gallery[-1:], 10)
        assert len(set(rows)) == 10 and np.isfinite(scores).all()
    assert InvertedFile.build(gallery, "cosine").nearest(gallery[-1:], 1)[0] == [1999]


def test_up_to_the_documented_size_all_items_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "EXACT", 100)
    gallery = clustered(101, 4)
    assert not open_index(lambda: gallery[:100], 100, "cosine", tmp_path, model="a").approximate
    assert not list(tmp_path.iterdir())
    assert open_index(lambda: gallery, 101, "cosine", tmp_path, model="a").approximate


@pytest.mark.parametrize("similarity", ["cosine", "hamming"])
def test_a_damaged_index_is_made_anew_and_one_of_another_model_removed(similarity, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "EXACT", 10)
    gallery = clustered(200, 8)
    if similarity == "hamming":
        gallery = np.packbits(gallery > 0, axis=1)
    calls = []

    def opened(**identity):
        def embeddings():
            calls.append(identity)
            return gallery

        return open_index(embeddings, 200, similarity, tmp_path, **identity).nearest(gallery[7:8], 3)[0].tolist()

    first = opened(model="a")
    assert opened(model="a") == first and len(calls) == 1
    (path,) = tmp_path.glob("*.faiss")
    path.write_bytes(path.read_bytes()[:40])
    assert opened(model="a") == first and len(calls) == 2
    assert opened(model="b") == first and len(calls) == 3
    assert len(list(tmp_path.glob("*.faiss"))) == 1
