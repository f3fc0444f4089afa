"""Metrics and rankings of whatever scores: the mean over all orders of ties, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cmr.errors import UserError
from cmr.metrics import (
    average_precision,
    average_precision_at,
    place,
    place_blocks,
    precision_at,
    precision_at_recall,
    recall_at,
)
from cmr.retrieval import score_blocks, top
from tests.hostile.properties import examples
from tests.unit.test_metrics import NORMALISERS, plain_ap, plain_curve, rankings

SIMILARITIES = ("cosine", "correlation", "inner", "euclidean", "hamming")


@st.composite
def scored(draw, most: int):
    """Scores of some items, of which many are equal, and which of them are relevant."""
    few = draw(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
    items = draw(st.lists(st.tuples(st.sampled_from(few), st.booleans()), min_size=1, max_size=most))
    scores, relevance = zip(*items, strict=True)
    return np.array(scores, np.float32), np.array(relevance)


def all_metrics(scores, relevance) -> np.ndarray:
    places = place(scores[None], relevance[None])
    cutoffs = (1, 2, 3, 5, 50)
    values = [average_precision_at(places, k, normaliser) for k in cutoffs for normaliser in NORMALISERS]
    values += [metric(places, k) for k in cutoffs for metric in (precision_at, recall_at)]
    return np.concatenate([*values, average_precision(places), precision_at_recall(places)[0]])


@examples(60)
@given(scored(most=6))
def test_every_metric_is_the_mean_over_all_orders_of_ties(items):
    scores, relevance = items
    places = place(scores[None], relevance[None])
    orders = list(rankings(scores.tolist(), relevance))
    for cutoff in (1, 2, 4, 7):
        for normaliser in NORMALISERS:
            expected = np.mean([plain_ap(ranking, cutoff, normaliser) for ranking in orders])
            np.testing.assert_allclose(average_precision_at(places, cutoff, normaliser), expected, atol=1e-12)
        hits = np.mean([ranking[:cutoff].sum() for ranking in orders])
        np.testing.assert_allclose(precision_at(places, cutoff), hits / cutoff, atol=1e-12)
        np.testing.assert_allclose(recall_at(places, cutoff), hits / max(1, relevance.sum()), atol=1e-12)
    if relevance.any():
        curve = np.mean([plain_curve(ranking) for ranking in orders], axis=0)
        np.testing.assert_allclose(precision_at_recall(places)[0], curve, atol=1e-12)


@examples(60)
@given(scored(most=40), st.randoms(use_true_random=False))
def test_the_order_of_a_gallery_changes_nothing(items, random):
    scores, relevance = items
    order = random.sample(range(len(scores)), len(scores))
    np.testing.assert_allclose(all_metrics(scores[order], relevance[order]), all_metrics(*items), atol=1e-12)


@examples(60)
@given(scored(most=40))
def test_only_the_order_of_scores_counts(items):
    scores, relevance = items
    ranks = np.unique(scores, return_inverse=True)[1]
    for other in (ranks, ranks * 7.5 - 100, np.exp2(ranks.astype(float))):
        np.testing.assert_array_equal(all_metrics(other.astype(np.float32), relevance), all_metrics(*items))


@examples(60)
@given(scored(most=40))
def test_metrics_are_shares(items):
    values = all_metrics(*items)
    assert (values >= 0).all() and (values <= 1 + 1e-12).all()
    if not items[1].any():
        assert not values.any()
    if items[1].all():
        np.testing.assert_allclose(average_precision(place(items[0][None], items[1][None])), 1, atol=1e-12)


@examples(60)
@given(scored(most=40), st.integers(1, 5))
def test_irrelevant_items_at_the_end_change_nothing_and_at_the_head_improve_nothing(items, number):
    scores, relevance = items
    no = np.zeros(number, dtype=bool)
    relevance_with = np.concatenate([relevance, no])
    lowest, highest = np.nextafter(scores.min(), np.float32(-np.inf)), np.nextafter(scores.max(), np.float32(np.inf))
    before = all_metrics(scores, relevance)
    for last in (lowest, np.float32(-np.inf)):  # -inf: not in the gallery at all
        with_last = np.concatenate([scores, np.full(number, last)])
        np.testing.assert_allclose(all_metrics(with_last, relevance_with), before, atol=1e-12)
    if np.isfinite(highest):
        places = place(np.concatenate([scores, np.full(number, highest)])[None], relevance_with[None])
        assert (average_precision(places) <= average_precision(place(scores[None], relevance[None])) + 1e-12).all()
        assert (precision_at_recall(places) <= precision_at_recall(place(scores[None], relevance[None])) + 1e-12).all()


@examples(60)
@given(scored(most=40), st.data())
def test_a_relevant_item_that_rises_never_does_harm(items, data):
    scores, relevance = items
    if relevance.any():
        item = data.draw(st.sampled_from(np.flatnonzero(relevance).tolist()))
        better = scores.copy()
        better[item] = scores.max()
        before, after = (average_precision(place(values[None], relevance[None])) for values in (scores, better))
        assert (after >= before - 1e-12).all()


@st.composite
def embedded(draw):
    """Queries and a gallery, with rows that are equal, zero and of any size that float32 has."""
    width = draw(st.integers(1, 5))
    similarity = draw(st.sampled_from(SIMILARITIES))
    if similarity == "hamming":
        numbers, kind = st.integers(0, 255), np.uint8
    else:
        plain = st.floats(-3, 3, width=32) | st.sampled_from([0.0, -0.0, 1.0, 2.0**-130])
        numbers, kind = plain | st.floats(-(2.0**50), 2.0**50, width=32), np.float32
    row = hnp.arrays(kind, (width,), elements=numbers)
    few = draw(st.lists(row, min_size=1, max_size=4))
    sides = [np.stack(draw(st.lists(st.sampled_from(few), min_size=1, max_size=12))) for _ in range(2)]
    return *sides, similarity


def whole(queries, gallery, similarity, **options) -> np.ndarray:
    return np.concatenate([scores for _, scores in score_blocks(queries, gallery, similarity, **options)])


@examples(120)
@given(embedded())
def test_scores_do_not_depend_on_blocks_or_neighbours(sides):
    queries, gallery, similarity = sides
    scores = whole(*sides)
    assert scores.shape == (len(queries), len(gallery)) and np.isfinite(scores).all()
    np.testing.assert_array_equal(whole(*sides, block_bytes=1), scores)
    np.testing.assert_array_equal(whole(queries[::-1], gallery[::-1], similarity), scores[::-1, ::-1])
    if similarity != "euclidean":  # whose grid is that of the gallery
        np.testing.assert_array_equal(whole(queries[:1], gallery, similarity), scores[:1])
    for i, j in zip(*np.triu_indices(len(gallery)), strict=True):
        if (gallery[i] == gallery[j]).all():
            np.testing.assert_array_equal(scores[:, i], scores[:, j])


@examples(120)
@given(embedded(), st.integers(1, 15))
def test_the_nearest_are_the_first_of_all(sides, k):
    indices, values = top(*sides, k)
    scores = whole(*sides)
    expected = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))


@examples(60)
@given(embedded(), st.data())
def test_metrics_in_blocks_are_those_of_the_whole(sides, data):
    queries, gallery, similarity = sides
    labels = [data.draw(hnp.arrays(bool, (len(side), 3))) for side in (queries, gallery)]
    at_once, in_blocks = (
        np.concatenate([average_precision(p) for p in place_blocks(*sides[:2], *labels, similarity, block_bytes=size)])
        for size in (1 << 26, 1)
    )
    np.testing.assert_array_equal(at_once, in_blocks)
    relevance = (labels[0].astype(int) @ labels[1].T.astype(int)) > 0
    np.testing.assert_allclose(at_once, average_precision(place(whole(*sides), relevance)), atol=1e-12)


@examples(100)
@given(
    hnp.arrays(np.float32, (3, 2), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    st.sampled_from(SIMILARITIES[:-1]),
)
def test_whatever_is_no_number_is_refused_and_all_else_is_scored(rows, similarity):
    good = np.ones((2, 2), np.float32)
    if np.isfinite(rows).all():
        try:
            assert np.isfinite(whole(rows, good, similarity)).all()
        except UserError as error:
            assert "beyond float32" in str(error)
    else:
        for sides in ((rows, good), (good, rows)):
            with pytest.raises(UserError, match="hold NaN or infinite values"):
                whole(*sides, similarity)
