"""SCM against dense (n, n) similarities and generalised eigenproblems."""

import logging

import numpy as np
import pytest
import scipy.linalg

from cmr import rows
from cmr.errors import UserError
from cmr.methods.base import NotApplicableError, Pairs
from cmr.methods.hashing.scm import SCMOrth, SCMSeq
from cmr.methods.linear.cca import CCA
from cmr.methods.linear.moments import moments
from tests.unit.methods.linear.made import standardised

RIDGE = 0.05


def similarity(labels):
    """S (n, n)."""
    lengths = np.sqrt(labels.sum(axis=1))
    return 2 * labels @ labels.T / np.maximum(np.outer(lengths, lengths), 1) - 1


def covariance(x, ridge):
    c = x.T @ x / len(x)
    return c + ridge * np.trace(c) / len(c) * np.eye(len(c))


def directions(cross, x, y, ridge):
    """Values and W_x, W_y of a generalised eigenproblem, descending; W'(C + ridge)W = I."""
    cx, cy = covariance(x, ridge), covariance(y, ridge)
    left = np.block([[np.zeros((len(cx), len(cx))), cross], [cross.T, np.zeros((len(cy), len(cy)))]])
    values, vectors = scipy.linalg.eigh(left, scipy.linalg.block_diag(cx, cy))
    vectors = vectors[:, ::-1] * np.sqrt(2)
    return values[::-1], vectors[: len(cx)], vectors[len(cx) :]


def bits_of(codes, count):
    return np.unpackbits(codes, axis=1, count=count)


def same_up_to_sign(found, expected, **tolerance):
    found = found * np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected, **tolerance)


def both_weights(model):
    return model.image.projection.weights, model.text.projection.weights


@pytest.fixture(scope="module")
def views(pairs):
    return standardised(pairs.images), standardised(pairs.texts)


@pytest.fixture(scope="module")
def noisy(pairs):
    """Views in which little is seen of the labels, so that a few bits take up all that there is."""
    rng = np.random.default_rng(0)
    images, texts = (pairs.labels @ rng.normal(size=(4, d)) + 3 * rng.normal(size=(160, d)) for d in (9, 7))
    return Pairs(images, texts, pairs.labels)


def test_orthogonal_bits_of_labels_solve_the_dense_eigenproblem(pairs, views):
    x, y = views
    _, w_x, w_y = directions(x.T @ similarity(pairs.labels) @ y / len(x) ** 2, x, y, RIDGE)
    model = SCMOrth(bits=3, ridge=RIDGE).fit(pairs)
    for found, expected in zip(both_weights(model), (w_x, w_y), strict=True):
        same_up_to_sign(found, expected[:, :3], atol=1e-8)


def test_further_orthogonal_bits_are_canonical_directions_of_what_labels_leave(pairs, views):
    x, y = views
    cx, cy = covariance(x, RIDGE), covariance(y, RIDGE)
    rank = np.linalg.matrix_rank(x.T @ similarity(pairs.labels) @ y, tol=1e-6)
    model = SCMOrth(bits=7, ridge=RIDGE).fit(pairs)
    w_x, w_y = both_weights(model)
    l_x, l_y = w_x[:, :rank], w_y[:, :rank]
    left = (np.eye(9) - cx @ l_x @ l_x.T) @ (x.T @ y / len(x)) @ (np.eye(7) - l_y @ l_y.T @ cy)
    values, r_x, r_y = directions(left, x, y, RIDGE)
    assert rank < 7 and values[7 - rank - 1] > 1e-3
    same_up_to_sign(w_x[:, rank:], r_x[:, : 7 - rank], atol=1e-8)
    same_up_to_sign(w_y[:, rank:], r_y[:, : 7 - rank], atol=1e-8)


def test_all_orthogonal_bits_are_orthonormal_under_the_regularised_covariances(pairs, views):
    for weights, z in zip(both_weights(SCMOrth(bits=7, ridge=RIDGE).fit(pairs)), views, strict=True):
        np.testing.assert_allclose(weights.T @ covariance(z, RIDGE) @ weights, np.eye(7), atol=1e-10)


def test_more_orthogonal_bits_than_ranks_allow_are_refused_with_the_limit(pairs):
    with pytest.raises(NotApplicableError, match=r"^scm_orth: bits is 8, but these views have only 7 pairs"):
        SCMOrth(bits=8).fit(pairs)


def test_directions_that_only_rounding_correlates_are_not_offered(pairs):
    """The last two text features are of no image, and labels do not see them."""
    rng = np.random.default_rng(1)
    lengths = np.sqrt(np.maximum(pairs.labels.sum(axis=1, keepdims=True), 1))
    seen = np.linalg.qr(np.column_stack([np.ones(160), standardised(pairs.images), pairs.labels / lengths]))[0]
    noise = rng.normal(size=(160, 2))
    noise -= seen @ (seen.T @ noise)
    texts = np.column_stack([standardised(pairs.texts)[:, :2], noise])
    with pytest.raises(NotApplicableError, match="only 2 pairs"):
        SCMOrth(bits=4).fit(Pairs(pairs.images, texts, pairs.labels))


def test_more_features_than_items_give_the_codes_of_the_dense_eigenproblem():
    rng = np.random.default_rng(5)
    labels = np.eye(4, dtype=bool)[rng.integers(4, size=30)]
    few = Pairs(labels @ rng.normal(size=(4, 60)) + rng.normal(size=(30, 60)), rng.normal(size=(30, 50)), labels)
    x, y = standardised(few.images), standardised(few.texts)
    _, w_x, _ = directions(x.T @ similarity(labels) @ y / 30**2, x, y, 0.5)
    model = SCMOrth(bits=3, ridge=0.5).fit(few)
    same_up_to_sign(model.image.projection.weights, w_x[:, :3], atol=1e-8)


def sequential(x, y, labels, bits, ridge):
    """Codes of the train part, the singular value of each bit, and the residual norms, from dense matrices."""
    residual = bits * similarity(labels)
    whole = np.linalg.norm(residual)
    codes, values, norms = [], [], [1.0]
    for _ in range(bits):
        found, w_x, w_y = directions(x.T @ residual @ y / len(x) ** 2, x, y, ridge)
        h_x, h_y = (np.where(z @ w[:, 0] >= 0, 1.0, -1.0) for z, w in ((x, w_x), (y, w_y)))
        residual = residual - np.outer(h_x, h_y)
        codes.append((h_x, h_y))
        values.append(found[0])
        norms.append(np.linalg.norm(residual) / whole)
    return codes, np.array(values), norms


def agree(found, expected):
    """Both codes of each bit are as expected, or both are turned round."""
    for bit, (h_x, h_y) in enumerate(expected):
        turned = (found[0][:, bit] * h_x)[0]
        np.testing.assert_array_equal(found[0][:, bit], turned * h_x)
        np.testing.assert_array_equal(found[1][:, bit], turned * h_y)


def train_codes(model, pairs, bits):
    both = model.embed_images(pairs.images), model.embed_texts(pairs.texts)
    return tuple(np.where(bits_of(codes, bits), 1.0, -1.0) for codes in both)


def test_sequential_bits_are_those_of_dense_matrices_and_go_on_where_directions_are_too_few(noisy):
    x, y = standardised(noisy.images), standardised(noisy.texts)
    expected, values, norms = sequential(x, y, noisy.labels, 12, RIDGE)
    assert (np.diff(values) > 0.02).any()  # a value rises, but the views have seven canonical directions
    model = SCMSeq(bits=12, ridge=RIDGE).fit(noisy)
    agree(train_codes(model, noisy, 12), expected)
    np.testing.assert_allclose(model.history["objective"], norms, atol=1e-12)


def test_residual_falls_over_the_first_bits(pairs):
    assert (np.diff(SCMSeq(bits=16).fit(pairs).history["objective"][:6]) < 0).all()


def test_first_sequential_bit_is_the_first_orthogonal_one(pairs):
    for one, other in zip(
        both_weights(SCMSeq(bits=5, ridge=RIDGE).fit(pairs)),
        both_weights(SCMOrth(bits=5, ridge=RIDGE).fit(pairs)),
        strict=True,
    ):
        np.testing.assert_allclose(one[:, 0], other[:, 0], atol=1e-10)


def test_bits_after_a_rising_singular_value_are_the_canonical_directions_of_their_numbers(noisy, caplog):
    bits = 7
    _, values, _ = sequential(standardised(noisy.images), standardised(noisy.texts), noisy.labels, bits, RIDGE)
    learnt = int(np.flatnonzero(np.diff(values) > 0.05)[0]) + 1
    with caplog.at_level(logging.INFO):
        model = SCMSeq(bits=bits, ridge=RIDGE).fit(noisy)
    assert f"{learnt} of {bits} bits learnt" in caplog.text
    canonical = CCA(n_components=bits, ridge=RIDGE).fit(noisy)
    for found, expected in zip(both_weights(model), (canonical.image.weights, canonical.text.weights), strict=True):
        np.testing.assert_array_equal(found[:, learnt:], expected[:, learnt:])
        assert not np.isclose(found[:, :learnt], expected[:, :learnt]).all(axis=0).any()
    x, y = (codes[:, :bits] for codes in train_codes(model, noisy, bits))
    dense = np.linalg.norm(bits * similarity(noisy.labels) - x @ y.T) / np.linalg.norm(bits * similarity(noisy.labels))
    assert model.history["objective"][-1] == pytest.approx(dense, abs=1e-12)


@pytest.mark.parametrize("method", [SCMOrth(bits=7), SCMSeq(bits=20)])
def test_blocks_change_no_bit(pairs, method, monkeypatch):
    whole = method.fit(pairs)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 16 * 13)
    blocked = method.fit(Pairs(pairs.images, pairs.texts, pairs.labels))
    np.testing.assert_array_equal(blocked.embed_images(pairs.images), whole.embed_images(pairs.images))
    np.testing.assert_array_equal(blocked.embed_texts(pairs.texts), whole.embed_texts(pairs.texts))


def test_candidates_share_the_sums_of_the_data(pairs, monkeypatch):
    shared = Pairs(pairs.images, pairs.texts, pairs.labels)
    first = SCMOrth(bits=3, ridge=0.1).fit(shared)
    monkeypatch.setattr("cmr.methods.hashing.scm.unit_labels", None)  # would be called
    second = SCMOrth(bits=3, ridge=1.0).fit(shared)
    assert not np.allclose(*(both_weights(model)[0] for model in (first, second)))
    assert shared.once(moments) is not pairs.once(moments)


def test_labels_of_one_class_an_item_need_no_further_pass(monkeypatch):
    rng = np.random.default_rng(2)
    labels = np.eye(4, dtype=bool)[rng.integers(4, size=60)]
    labels[0] = False
    views = [labels @ rng.normal(size=(4, d)) + rng.normal(size=(60, d)) for d in (9, 7)]
    single = Pairs(*views, labels)
    x, y = (standardised(view) for view in views)
    monkeypatch.setattr("cmr.methods.hashing.scm.row_blocks", None)  # would be called
    model = SCMOrth(bits=3, ridge=RIDGE).fit(single)
    _, w_x, _ = directions(x.T @ similarity(labels) @ y / 60**2, x, y, RIDGE)
    same_up_to_sign(model.image.projection.weights, w_x[:, :3], atol=1e-8)


@pytest.mark.parametrize(("method", "name"), [(SCMOrth(bits=1), "scm_orth"), (SCMSeq(bits=3), "scm_seq")])
def test_a_view_that_is_uncorrelated_with_the_labels_is_refused(pairs, method, name):
    labels = np.eye(4, dtype=bool)[np.arange(160) % 4]
    texts = np.repeat(pairs.texts[:40], 4, axis=0)  # each with every class
    with pytest.raises(UserError, match=f"^{name}: the features of the texts are uncorrelated with every class"):
        method.fit(Pairs(pairs.images, texts, labels))


@pytest.mark.parametrize(("method", "name"), [(SCMOrth(bits=3), "scm_orth"), (SCMSeq(bits=3), "scm_seq")])
def test_labels_that_are_all_the_same_are_refused(pairs, method, name):
    with pytest.raises(UserError, match=f"^{name}: all pairs of the train part have the same classes"):
        method.fit(Pairs(pairs.images, pairs.texts, np.ones((160, 2), dtype=bool)))
