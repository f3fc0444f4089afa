"""Packed sign codes, and how they are ranked."""

import numpy as np
import pytest

from cmr.methods.hashing.codes import pack, positive
from cmr.metrics import mean_average_precision
from cmr.retrieval import score_blocks


def test_signs_of_products_are_bits_and_zero_is_plus_one():
    features, weights = np.array([[1.0, 2.0], [-1.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [-1.0, 1.0]])
    np.testing.assert_array_equal(positive(features, weights), [[False, True], [False, True], [True, True]])


def test_a_product_that_only_rounding_keeps_from_zero_is_plus_one_in_any_block():
    rng = np.random.default_rng(0)
    half, weights = rng.normal(size=(500, 40)), rng.normal(size=(40, 3))
    order = rng.permutation(80)
    features, weights = np.hstack([half, -half])[:, order], np.vstack([weights, weights])[order]
    assert (features @ weights < 0).any() and (features @ weights > 0).any()
    assert positive(features, weights).all()
    assert all(positive(features[i : i + 1], weights).all() for i in range(500))


def test_a_small_product_that_is_no_rounding_keeps_its_sign():
    assert not positive(np.array([[1.0, -1.0 - 1e-10]]), np.array([[1.0], [1.0]])).any()


@pytest.mark.parametrize("bits", [8, 11, 16])
def test_distances_of_packed_codes_are_those_of_their_bits(bits):
    rng = np.random.default_rng(bits)
    one, other = rng.random((6, bits)) < 0.5, rng.random((9, bits)) < 0.5
    ((_, scores),) = score_blocks(pack(one), pack(other), "hamming")
    np.testing.assert_array_equal(-scores, (one[:, None] != other).sum(axis=2))


def test_a_gallery_sorted_by_class_scores_like_the_mean_over_orders_of_its_ties():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(5), 20)
    labels = np.eye(5, dtype=bool)[classes]
    queries, gallery = pack(rng.random((100, 4)) < 0.5), pack(rng.random((100, 4)) < 0.5)
    ((_, scores),) = score_blocks(queries, gallery, "hamming")
    found = mean_average_precision(queries, gallery, labels, "hamming")

    def broken_by(order):
        """Plain mAP where tied items stand in a given order."""
        ranking = order[np.argsort(-scores[:, order], axis=1, kind="stable")]
        relevant = classes[ranking] == classes[:, None]
        precision = relevant.cumsum(axis=1) / np.arange(1, 101)
        return ((precision * relevant).sum(axis=1) / 20).mean()

    shuffled = [broken_by(rng.permutation(100)) for _ in range(300)]
    assert abs(found - np.mean(shuffled)) < 4 * np.std(shuffled) / np.sqrt(300)
    assert abs(found - broken_by(np.arange(100))) > 0.005  # the order of the file would decide
