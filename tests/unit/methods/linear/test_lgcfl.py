"""LGCFL against a version that keeps the margins of all items."""

import numpy as np
import pytest

from cmr import rows
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear import lgcfl
from cmr.methods.linear.lcfs import LCFS
from cmr.methods.linear.lgcfl import LGCFL, feature_groups, label_moves
from tests.unit.methods.linear.made import standardised


@pytest.fixture(scope="module")
def few():
    """More features than items in one view."""
    rng = np.random.default_rng(5)
    labels = np.eye(3, dtype=bool)[np.arange(40) % 3]
    images = rng.normal(size=(40, 60)) + np.repeat(labels @ rng.normal(size=(3, 15)), 4, axis=1)
    return Pairs(images, labels @ rng.normal(size=(3, 6)) + rng.normal(size=(40, 6)), labels)


def norms(w, size):
    """Smoothed norms of groups of `size` rows."""
    return np.sqrt((w.reshape(-1, size * w.shape[1]) ** 2).sum(axis=1) + 1e-8)


def iterated(pairs, sparsity, sizes, shared, iterations):
    """Weights and the objective from the start on, with margins M (n, c) in full."""
    n, t = len(pairs), pairs.labels.astype(float)
    signs = 2 * t - 1
    penalty = sparsity * n / 2000
    views = [standardised(pairs.images), standardised(pairs.texts)]
    weights = [np.linalg.solve(z.T @ z + 0.01 * n * np.eye(z.shape[1]), z.T @ t) for z in views]
    intercepts = [t.mean(axis=0)] * 2
    objectives = []
    for _ in range(iterations + 1):
        residuals = [z @ w + b - t for z, w, b in zip(views, weights, intercepts, strict=True)]
        if shared:
            margins = [np.maximum(signs * (residuals[0] + residuals[1]) / 2, 0)] * 2
        else:
            margins = [np.maximum(signs * residual, 0) for residual in residuals]
        objectives.append(
            sum(0.5 * np.linalg.norm(r - signs * m) ** 2 for r, m in zip(residuals, margins, strict=True))
            + penalty * sum(norms(w, size).sum() for w, size in zip(weights, sizes, strict=True))
        )
        final = weights
        targets = [t + signs * m for m in margins]
        intercepts = [target.mean(axis=0) for target in targets]
        weights = [
            np.linalg.solve(z.T @ z + penalty * np.diag(np.repeat(1 / norms(w, size), size)), z.T @ (target - b))
            for z, w, size, target, b in zip(views, weights, sizes, targets, intercepts, strict=True)
        ]
    return final, objectives


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("data, sizes", [("pairs", (1, 1)), ("pairs", (7, 5)), ("few", (1, 1)), ("few", (4, 2))])
def test_iterations_are_those_with_margins_in_full(data, sizes, shared, request):
    pairs = request.getfixturevalue(data)
    model = LGCFL(30.0, *sizes, shared, max_iterations=8, tolerance=0.0).fit(pairs)
    (u, v), objectives = iterated(pairs, 30.0, sizes, shared, 8)
    np.testing.assert_allclose(model.image.weights, u, atol=1e-9)
    np.testing.assert_allclose(model.text.weights, v, atol=1e-9)
    np.testing.assert_allclose(model.history["objective"], objectives, rtol=1e-10)
    assert (np.diff(objectives) < 0).all()


def test_labels_move_outward_only_by_what_leaves_the_least_error():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=(50, 4)).astype(float)
    residuals = [rng.normal(size=(50, 4)), rng.normal(size=(50, 4))]
    signs = 2 * labels - 1
    for shared in (True, False):
        moves = label_moves(residuals, labels, shared)
        margins = [signs * move for move in moves]
        assert all((margin >= 0).all() and (margin > 0).any() and (margin == 0).any() for margin in margins)
        assert np.array_equal(*moves) == shared
        for change in (0.01, -0.01):
            others = [np.maximum(margin + change, 0) for margin in margins]
            errors, worse = (
                sum((residual - signs * m) ** 2 for residual, m in zip(residuals, chosen, strict=True))
                for chosen in (margins, others)
            )
            assert (errors <= worse).all()


def test_labels_that_stay_leave_lcfs_without_its_trace_norm(pairs, monkeypatch):
    monkeypatch.setattr(lgcfl, "label_moves", lambda residuals, labels, shared: [np.zeros_like(r) for r in residuals])
    model = LGCFL(40.0, tolerance=0.0).fit(Pairs(**pairs.given))  # of which nothing is known yet
    expected = LCFS(40.0, trace_norm=0.0, max_iterations=30, tolerance=0.0).fit(pairs)
    np.testing.assert_allclose(model.image.weights, expected.image.weights, atol=1e-12)
    np.testing.assert_allclose(model.text.weights, expected.text.weights, atol=1e-12)


def test_pairs_play_no_part_where_margins_are_not_shared(pairs):
    rng = np.random.default_rng(4)
    classes, order = pairs.classes("test"), np.arange(200)
    for k in range(3):
        members = np.flatnonzero(classes == k)
        order[members] = rng.permutation(members)
    other = Pairs(pairs.images, pairs.texts[order], pairs.labels)
    separate, shared = (
        [LGCFL(shared_margins=own).fit(given).text.weights for given in (pairs, other)] for own in (False, True)
    )
    np.testing.assert_allclose(*separate, atol=1e-10)
    assert not np.allclose(*shared, atol=1e-4)


def test_embeddings_leave_out_the_intercept_of_the_classes(pairs):
    """Of classes that are not alike in size, it would turn all embeddings the same way."""
    uneven = Pairs(
        *(part[np.r_[:40, np.flatnonzero(pairs.labels[:, 0])]] for part in (pairs.images, pairs.texts, pairs.labels))
    )
    model = LGCFL().fit(uneven)
    np.testing.assert_allclose(model.embed_images(uneven.images).mean(axis=0), 0, atol=1e-6)


def test_group_is_kept_or_dropped_as_a_whole(few):
    """Groups of four image features: the first three tell the class together, the others nothing."""
    rng = np.random.default_rng(6)
    images = rng.normal(size=(40, 60))
    images[:, :12] += 0.8 * np.repeat(few.labels.astype(float), 4, axis=1)
    model = LGCFL(500.0, image_group_size=4, max_iterations=200).fit(Pairs(images, few.texts, few.labels))
    norms_of_rows = np.linalg.norm(model.image.weights, axis=1).reshape(15, 4)
    assert norms_of_rows[:3].min() > 1e-2
    assert norms_of_rows[3:].max() < 1e-3


def test_groups_number_consecutive_features():
    np.testing.assert_array_equal(feature_groups(6, 2, "image_group_size"), [0, 0, 1, 1, 2, 2])
    assert feature_groups(6, 1, "image_group_size") is None
    with pytest.raises(InfeasibleError, match="lgcfl: text_group_size is 4, but 6 features"):
        feature_groups(6, 4, "text_group_size")


def test_model_does_not_depend_on_the_size_of_blocks(pairs, monkeypatch):
    whole = LGCFL().fit(pairs)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 12 * 7)  # seven rows of both views
    cut = LGCFL().fit(Pairs(**pairs.given))
    np.testing.assert_allclose(cut.image.weights, whole.image.weights, atol=1e-12)


def test_repeating_all_items_changes_nothing(pairs):
    twice = Pairs(*(np.concatenate([part, part]) for part in (pairs.images, pairs.texts, pairs.labels)))
    once, again = (LGCFL(20.0).fit(given) for given in (pairs, twice))
    np.testing.assert_allclose(again.image.weights, once.image.weights, atol=1e-10)


def test_more_features_than_items_need_sparsity(few):
    with pytest.raises(InfeasibleError, match="lgcfl: its equations are singular"):
        LGCFL(sparsity=0.0).fit(few)
