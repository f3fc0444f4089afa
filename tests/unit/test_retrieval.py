import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cmr.errors import UserError
from cmr.retrieval import score_blocks, top

SIMILARITIES = ("cosine", "correlation", "euclidean", "inner")
ORACLES = {
    "cosine": lambda q, g: 1 - cdist(q, g, "cosine"),
    "correlation": lambda q, g: 1 - cdist(q, g, "correlation"),
    "euclidean": lambda q, g: -cdist(q, g),
    "inner": lambda q, g: q @ g.T,
}


def all_scores(queries, gallery, similarity, **options):
    return np.concatenate([scores for _, scores in score_blocks(queries, gallery, similarity, **options)])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("width", [2, 10, 300])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_scores_agree_with_scipy(similarity, width, rng):
    queries, gallery = (rng.normal(3, 2, size=(n, width)).astype(np.float32) for n in (23, 31))
    expected = ORACLES[similarity](queries.astype(np.float64), gallery.astype(np.float64))
    scores = all_scores(queries, gallery, similarity)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_scores_do_not_depend_on_blocks_or_on_the_order_of_rows(similarity, rng):
    queries, gallery = rng.normal(size=(2, 203, 37))
    whole = all_scores(queries, gallery, similarity)
    for rows in (1, 7, 64):
        block_bytes = 144 * len(gallery) * rows
        assert len(next(score_blocks(queries, gallery, similarity, block_bytes=block_bytes))[1]) == rows
        np.testing.assert_array_equal(all_scores(queries, gallery, similarity, block_bytes=block_bytes), whole)
    order = rng.permutation(len(gallery))
    np.testing.assert_array_equal(all_scores(queries, gallery[order], similarity), whole[:, order])
    np.testing.assert_array_equal(all_scores(queries[order], gallery, similarity), whole[order])


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_equal_items_score_equally(similarity, rng):
    queries, items = rng.normal(size=(50, 64)), rng.normal(size=(101, 64))
    scores = all_scores(queries, np.concatenate([items, items[::-1]]), similarity)
    np.testing.assert_array_equal(scores[:, :101], scores[:, :100:-1])


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_sign_codes_tie_exactly_where_their_hamming_distances_do(similarity, rng):
    queries, gallery = np.sign(rng.normal(size=(2, 60, 48)))
    if similarity == "correlation":  # which sees the number of ones too: give every code the same
        queries, gallery = (np.concatenate([codes, -codes], axis=1) for codes in (queries, gallery))
    hamming = (queries[:, None] != gallery).sum(axis=2)
    scores = all_scores(queries, gallery, similarity)
    for distance in np.unique(hamming):
        assert len(np.unique(scores[hamming == distance])) == 1
    assert len(np.unique(scores)) == len(np.unique(hamming))


@pytest.mark.parametrize("offset", [0, 1e6])
def test_equal_points_have_distance_zero(offset, rng):
    points = (offset + rng.normal(0, 1.6, size=(100, 300))).astype(np.float32)  # norms up to 31, just below 2^5
    np.testing.assert_array_equal(np.diag(all_scores(points, points, "euclidean")), 0)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_similarity_is_symmetric_to_the_last_bit(similarity, rng):
    few, many = rng.normal(size=(40, 20)), rng.normal(size=(70, 20))
    if similarity == "euclidean":  # whose grid follows the furthest point: let both sides have it
        few[0] = many[0] = 100
    else:
        many *= 100
    np.testing.assert_array_equal(all_scores(few, many, similarity), all_scores(many, few, similarity).T)


def test_lengths_of_very_different_size_keep_their_precision(rng):
    queries, gallery = rng.normal(size=(2, 20, 8))
    sizes = np.logspace(-15, 15, 20)[:, None]
    expected = all_scores(queries, gallery, "inner") * sizes.T
    np.testing.assert_allclose(all_scores(queries, gallery * sizes, "inner"), expected, rtol=1e-5)
    np.testing.assert_allclose(
        all_scores(queries * 1e-30, gallery * sizes, "cosine"), all_scores(queries, gallery, "cosine"), atol=2e-7
    )


@pytest.mark.parametrize("width", [2, 7, 30])
@pytest.mark.parametrize(("similarity", "flat"), [("cosine", 0.0), ("correlation", 0.1)])
def test_a_flat_row_is_similar_to_nothing(similarity, flat, width, rng):
    gallery = rng.normal(size=(6, width))
    gallery[2] = flat
    scores = all_scores(gallery, gallery, similarity)
    np.testing.assert_array_equal(scores[2], 0)
    np.testing.assert_array_equal(scores[:, 2], 0)
    assert np.isfinite(scores).all()


def test_own_item_is_not_in_the_gallery(rng):
    items = rng.normal(size=(5, 3))
    own = np.array([4, 3, 2, 1, 0])
    scores = all_scores(items, items, "cosine", own=own, block_bytes=1)
    np.testing.assert_array_equal(np.isneginf(scores), own[:, None] == np.arange(5))
    indices, _ = top(items, items, "cosine", 5, own)
    assert [sorted(row) for row in indices.tolist()] == [sorted({*range(5)} - {item}) for item in own]


def test_top_is_best_first_and_breaks_ties_by_gallery_order():
    gallery = np.array([[0, 1], [1, 0], [1, 1], [1, 0], [2, 0]])
    indices, scores = top([[1, 0]], gallery, "cosine", 4)
    assert indices.tolist() == [[1, 3, 4, 2]]
    np.testing.assert_allclose(scores, [[1, 1, 1, 0.5**0.5]], rtol=1e-6)
    indices, _ = top([[1, 0]], np.tile(gallery, (100, 1)), "cosine", 500)
    assert indices[0, :300].tolist() == [i for i in range(500) if i % 5 in (1, 3, 4)]


def test_a_block_stays_within_its_memory(rng):
    queries, gallery = (rng.normal(size=(n, 8)).astype(np.float32) for n in (1500, 20_000))
    tracemalloc.start()
    for _ in score_blocks(queries, gallery, "euclidean", block_bytes=16 << 20):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The whole matrix of scores would take 120 MB; prepared copies of the rows take a few.
    assert peak < 24e6


@pytest.mark.parametrize(
    ("queries", "gallery", "similarity", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], "manhattan", "unknown similarity"),
        ([[1.0, 2.0]], [[1.0, 2.0]], "hamming", "queries must be packed binary codes"),
        ([[1.0, 2.0]], [[1.0]], "cosine", "2 dimensions and the gallery has 1"),
        ([[1.0], [np.nan]], [[1.0]], "cosine", "queries: 1 rows hold NaN.* row 1"),
        ([[1.0]], [[1e39]], "cosine", "gallery: 1 rows hold NaN or infinite"),
        ([[1.0]], np.zeros((0, 1)), "cosine", "gallery must be a table"),
        ([[1e30]], [[1e30]], "inner", "beyond float32"),
        ([[3e38]], [[-3e38]], "euclidean", "beyond float32"),
    ],
)
def test_bad_input_is_named(queries, gallery, similarity, message):
    with pytest.raises(UserError, match=message):
        all_scores(queries, gallery, similarity)


def test_top_needs_a_positive_k():
    with pytest.raises(UserError, match="at least 1"):
        top([[1.0]], [[1.0]], "cosine", 0)


def test_a_query_far_out_makes_no_distance_of_others_coarser():
    rng = np.random.default_rng(0)
    near, gallery = rng.normal(size=(4, 3)), rng.normal(size=(50, 3))
    (_, alone), *_ = score_blocks(near, gallery, "euclidean")
    (_, beside), *_ = score_blocks(np.concatenate([near[:2], 1e9 * near[:1], near[2:]]), gallery, "euclidean")
    np.testing.assert_array_equal(np.delete(beside, 2, axis=0), alone)
    far = np.float32(1e9 * near[0])
    np.testing.assert_allclose(beside[2], -np.linalg.norm(far - np.float32(gallery), axis=1), rtol=1e-6)


def test_hamming_scores_count_the_bits_that_differ():
    rng = np.random.default_rng(0)
    queries, gallery = (rng.integers(256, size=(n, 3), dtype=np.uint8) for n in (5, 70))
    (_, scores), *more = score_blocks(queries, gallery, "hamming")
    assert not more and scores.dtype == np.float32
    expected = [[-sum(int(a ^ b).bit_count() for a, b in zip(q, g, strict=True)) for g in gallery] for q in queries]
    np.testing.assert_array_equal(scores, expected)
