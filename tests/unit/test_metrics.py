"""The oracle ranks every order of the tied items and averages; it knows nothing of closed forms."""

import itertools
import math
import subprocess
import sys
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

from cmr.errors import UserError
from cmr.metrics import (
    RECALL_LEVELS,
    average_precision,
    average_precision_at,
    bimodal_map,
    place,
    place_blocks,
    precision_at,
    precision_at_recall,
    recall_at,
)

NORMALISERS = ("hits", "min", "all")


def rankings(scores, relevance):
    """Relevance, best first, of each order that agrees with the scores: every order of every tie group."""
    groups = [[bool(r) for r, s in zip(relevance, scores, strict=True) if s == v] for v in sorted(set(scores))[::-1]]
    for orders in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield np.array(list(itertools.chain(*orders)))


def plain_ap(ranking, cutoff, normaliser):
    head = ranking[:cutoff]
    total = sum(head[: i + 1].mean() for i in np.flatnonzero(head))
    divisor = {"hits": head.sum(), "min": min(cutoff, ranking.sum()), "all": ranking.sum()}[normaliser]
    return total / divisor if divisor else 0.0


def plain_curve(ranking):
    """Precision of the shortest head of a ranking that holds each share of the relevant items."""
    hits = np.cumsum(ranking)
    last = np.searchsorted(100 * hits, np.arange(1, 101) * hits[-1])
    return hits[last] / (last + 1)


def tie_group_curve(above, relevant_above, tied, relevant_tied):
    """Expected precision at each relevant item of a tie group, in whole numbers: of all C(tied, relevant_tied) sets of
    places, those in which the j-th relevant item stands at t are C(t-1, j-1) C(tied-t, relevant_tied-j)."""
    sets = math.comb(tied, relevant_tied)
    values = []
    for j in range(1, relevant_tied + 1):
        places = range(j, tied - relevant_tied + j + 1)
        count = [math.comb(t - 1, j - 1) * math.comb(tied - t, relevant_tied - j) for t in places]
        total = sum(Fraction(c, above + t) for c, t in zip(count, places, strict=True))
        values.append(float((relevant_above + j) * total / sets))
    return np.array(values)


def tiny_cases():
    rng = np.random.default_rng(0)
    for levels in (1, 2, 3, 6):
        for items in (1, 2, 4, 6):
            for _ in range(3):
                yield rng.integers(0, levels, items).astype(np.float32), rng.random(items) < rng.uniform(0.2, 0.9)


@pytest.mark.parametrize(("scores", "relevance"), list(tiny_cases()))
def test_every_metric_is_the_mean_over_all_orders_of_ties(scores, relevance):
    places = place(scores[None], relevance[None])
    orders = list(rankings(scores.tolist(), relevance))
    for cutoff in range(1, len(scores) + 2):
        for normaliser in NORMALISERS:
            expected = np.mean([plain_ap(ranking, cutoff, normaliser) for ranking in orders])
            result = average_precision_at(places, cutoff, normaliser)
            np.testing.assert_allclose(result, expected, atol=1e-12, err_msg=f"{normaliser} at {cutoff}")
        hits = np.mean([ranking[:cutoff].sum() for ranking in orders])
        np.testing.assert_allclose(precision_at(places, cutoff), hits / cutoff, atol=1e-12)
        np.testing.assert_allclose(recall_at(places, cutoff), hits / max(1, relevance.sum()), atol=1e-12)
    everything = np.mean([plain_ap(ranking, len(scores), "all") for ranking in orders])
    np.testing.assert_allclose(average_precision(places), everything, atol=1e-12)
    if relevance.any():
        curve = np.mean([plain_curve(ranking) for ranking in orders], axis=0)
        np.testing.assert_allclose(precision_at_recall(places), curve[None], atol=1e-12)


def test_the_curve_of_two_tied_items_is_the_mean_of_both_orders():
    curve = precision_at_recall(place([[1.0, 1.0]], [[True, False]]))
    np.testing.assert_allclose(curve, (1 + 1 / 2) / 2)


@pytest.mark.parametrize(
    ("above", "tied", "relevant"),
    [(0, 90, 1), (0, 90, 40), (0, 90, 85), (7, 90, 30), (400, 90, 60), (400, 90, 89), (3, 90, 90), (2000, 120, 100)],
)
def test_curves_within_large_tie_groups_are_exact(above, tied, relevant):
    """Groups of which the recursion starts at the first, a middle or the last relevant item."""
    scores = np.concatenate([np.arange(above, 0, -1) + 1.0, np.ones(tied), np.zeros(30)])
    relevance = np.zeros((2, len(scores)), dtype=bool)
    relevance[:, above : above + relevant] = True
    relevance[1, : min(above, 10)] = True
    scores = np.stack([scores, scores])
    for row, curve in zip(relevance, precision_at_recall(place(scores, relevance)), strict=True):
        before = int(row[:above].sum())
        precisions = np.concatenate([np.ones(before), tie_group_curve(above, before, tied, relevant)])
        wanted = [-(-percent * (before + relevant) // 100) for percent in range(1, 101)]
        np.testing.assert_allclose(curve, precisions[np.array(wanted) - 1], rtol=1e-11)


def test_curves_agree_with_average_precision_where_every_relevant_item_is_a_level():
    """Both are expectations of the precisions at the relevant items, by different formulas."""
    rng = np.random.default_rng(6)
    scores = rng.binomial(16, 0.5, (30, 3000)).astype(np.float32)
    relevance = rng.permuted(np.tile(np.arange(3000) < 100, (30, 1)), axis=1)
    places = place(scores, relevance)
    np.testing.assert_allclose(precision_at_recall(places).mean(axis=1), average_precision(places), rtol=1e-11)


def test_without_ties_average_precision_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    scores = rng.permuted(np.tile(np.arange(300.0), (40, 1)), axis=1)
    relevance = rng.random(scores.shape) < 0.2
    result = average_precision(place(scores, relevance))
    expected = [average_precision_score(marks, row) for marks, row in zip(relevance, scores, strict=True)]
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    np.testing.assert_allclose(result.mean(), label_ranking_average_precision_score(relevance, scores), rtol=1e-12)


def test_large_tie_groups_agree_with_sampled_orders():
    """A group of 2000 that reaches over the cut-off, where logarithms of factorials could lose digits."""
    rng = np.random.default_rng(2)
    scores = np.repeat([3.0, 2.0, 1.0], [20, 2000, 500]).astype(np.float32)
    relevance = rng.random(len(scores)) < 0.1
    samples = [np.concatenate([rng.permutation(part) for part in np.split(relevance, [20, 2020])]) for _ in range(4000)]
    places = place(scores[None], relevance[None])
    for normaliser in NORMALISERS:
        sampled = np.array([plain_ap(ranking, 50, normaliser) for ranking in samples])
        error = sampled.std() / np.sqrt(len(samples))
        assert abs(average_precision_at(places, 50, normaliser)[0] - sampled.mean()) < 4 * error
    curves = np.array([plain_curve(ranking) for ranking in samples[:1000]])
    error = curves.std(axis=0) / np.sqrt(len(curves))
    assert (abs(precision_at_recall(places)[0] - curves.mean(axis=0)) < 4 * error + 1e-12).all()


def test_when_all_items_tie_the_ranking_is_random():
    n, relevant = 1000, 130
    relevance = np.arange(n) < relevant
    places = place(np.zeros((1, n), np.float32), relevance[None])
    # Expected average precision of a random order (Bestgen, "Exact expected average precision of the random baseline").
    harmonic = (1 / np.arange(1, n + 1)).sum()
    expected = (relevant - 1) / (n - 1) + (n - relevant) / (n * (n - 1)) * harmonic
    np.testing.assert_allclose(average_precision(places), expected, rtol=1e-12)
    np.testing.assert_allclose(precision_at(places, 10), relevant / n, rtol=1e-12)
    np.testing.assert_allclose(recall_at(places, 10), 10 / n, rtol=1e-12)
    rng = np.random.default_rng(7)
    curves = np.array([plain_curve(rng.permutation(relevance)) for _ in range(2000)])
    error = curves.std(axis=0) / np.sqrt(len(curves))
    curve = precision_at_recall(places)[0]
    assert (abs(curve - curves.mean(axis=0)) < 4 * error).all()
    # Precision just at a relevant item is above that of the whole gallery, most of all where few items are found.
    assert (np.diff(curve) < 0).all()
    assert curve[-1] > relevant / n


def test_a_query_without_relevant_items_scores_zero_and_stays():
    places = place([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], [[False] * 3, [True] * 3])
    for normaliser in NORMALISERS:
        np.testing.assert_array_equal(average_precision_at(places, 2, normaliser)[0], 0)
    for values in (average_precision(places), precision_at(places, 1), recall_at(places, 3)):
        np.testing.assert_array_equal(values, [0, 1])
    np.testing.assert_array_equal(precision_at_recall(places), [[0] * 100, [1] * 100])


def test_recall_levels_are_reached_at_whole_items():
    """29 % of 100 relevant items is 29 of them, whatever 0.29 * 100 is in floating point."""
    assert len(RECALL_LEVELS) == 100
    scores = -np.arange(200.0)[None]
    relevance = np.ones((1, 200), dtype=bool)
    relevance[0, 28:128] = False  # the 29th relevant item stands at place 129
    curve = precision_at_recall(place(scores, relevance))[0]
    np.testing.assert_allclose(curve[27:29], [1, 29 / 129])


def test_relevance_is_at_least_one_shared_label():
    rng = np.random.default_rng(3)
    queries, gallery = rng.normal(size=(20, 4)), rng.normal(size=(30, 4))
    query_labels, gallery_labels = rng.random((20, 5)) < 0.3, rng.random((30, 5)) < 0.3
    shared = [[bool((a & b).any()) for b in gallery_labels] for a in query_labels]
    found = np.concatenate([p.relevant for p in place_blocks(queries, gallery, query_labels, gallery_labels, "cosine")])
    np.testing.assert_array_equal(found, np.sum(shared, axis=1))


@pytest.mark.parametrize("similarity", ["cosine", "correlation", "euclidean", "inner"])
@pytest.mark.parametrize("codes", [False, True], ids=["no ties", "sign codes"])
def test_bimodal_map_does_not_depend_on_the_order_of_pairs(similarity, codes):
    rng = np.random.default_rng(4)
    images, texts = rng.normal(size=(2, 150, 6))
    if codes:
        images, texts = np.sign(images), np.sign(texts)
    labels = rng.random((150, 4)) < 0.4
    order = rng.permutation(150)
    value = bimodal_map(images, texts, labels, similarity)
    assert bimodal_map(images[order], texts[order], labels[order], similarity) == pytest.approx(value, rel=1e-14)
    assert bimodal_map(texts, images, labels, similarity) == value


def test_bimodal_map_is_the_mean_of_both_directions():
    images, texts = np.eye(3), np.array([[1.0, 0.1, 0.3], [0.2, 0, 1], [0, 1, 0.1]])
    labels = np.eye(3, dtype=bool)
    img2txt = np.mean([1, 1 / 3, 1 / 3])  # one relevant text each, at ranks 1, 3, 3
    txt2img = np.mean([1, 1 / 3, 1 / 2])
    assert bimodal_map(images, texts, labels, "cosine") == pytest.approx((img2txt + txt2img) / 2)


def test_blocks_do_not_change_the_values_and_bound_the_memory():
    rng = np.random.default_rng(5)
    queries, gallery = (rng.normal(size=(n, 8)).astype(np.float32) for n in (300, 8000))
    labels = np.eye(2, dtype=bool)
    sides = (labels[rng.integers(0, 2, 300)], labels[rng.integers(0, 2, 8000)])

    def values(block_bytes):
        blocks = place_blocks(queries, gallery, *sides, "cosine", block_bytes=block_bytes)
        return np.concatenate([average_precision_at(p, 50, "hits") + average_precision(p) for p in blocks])

    def curves(block_bytes):
        codes = np.sign(queries[:100]), np.sign(gallery)
        blocks = place_blocks(*codes, sides[0][:100], sides[1], "cosine", block_bytes=block_bytes)
        return np.concatenate([precision_at_recall(p) for p in blocks])

    whole = values(1 << 30)
    value, peak = traced(values, 8 << 20)
    np.testing.assert_array_equal(value, whole)
    assert peak < 10e6  # all queries at once take 120 MB
    np.testing.assert_allclose(curves(8 << 20), curves(1 << 30), rtol=1e-12)


def test_curves_of_large_tie_groups_take_little_memory():
    places = place(np.zeros((100, 8000), np.float32), np.tile(np.arange(8000) < 5, (100, 1)))
    assert traced(precision_at_recall, places)[1] < 15e6  # all places of all groups at once take 64 MB and more


def traced(function, argument):
    """The result and the peak of the memory that was taken for it, in bytes."""
    tracemalloc.start()
    result = function(argument)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak


def test_wrong_arguments_are_named():
    places = place([[1.0]], [[True]])
    with pytest.raises(UserError, match='unknown normaliser "none"; it is one of hits, min, all'):
        average_precision_at(places, 5, "none")
    with pytest.raises(ValueError, match="scores have shape"):
        place([[1.0]], [[True, False]])
    with pytest.raises(UserError, match="gallery: 2 embeddings but 1 rows of labels"):
        next(place_blocks([[1.0]], [[1.0], [2.0]], [[True]], [[True]], "cosine"))


def test_metrics_start_without_pandas_and_torch():
    code = "import sys, cmr.metrics; sys.exit(bool({'pandas', 'torch', 'sklearn', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
