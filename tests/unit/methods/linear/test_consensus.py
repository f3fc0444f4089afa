"""Semantic codes against dense brute force, an eigenproblem of size n x n, and cca-zoo."""

import numpy as np
import pytest
import scipy.linalg
from cca_zoo.linear import GCCA

from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.consensus import label_targets, labelled_code, unlabelled_code
from tests.unit.methods.linear.made import standardised


@pytest.fixture(params=["more items", "more features"])
def either(request, pairs):
    """The made pairs, and few pairs of many features."""
    if request.param == "more items":
        return pairs
    rng = np.random.default_rng(3)
    return Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 40)), np.eye(3, dtype=bool)[np.arange(30) % 3])


def unit_views(pairs):
    return [standardised(x) / np.sqrt(x.shape[1]) for x in (pairs.images, pairs.texts)]


def consensus_by_loops(pairs, targets, ridge, label_weight):
    """Item by item, from the features."""
    n, u = len(pairs), targets
    for _ in range(5):
        told = [x @ np.linalg.solve(x.T @ x + ridge * n * np.eye(x.shape[1]), x.T @ u) for x in unit_views(pairs)]
        agreed = np.empty_like(u)
        for i in range(n):
            g = np.array([0.5 / np.sqrt(np.sum((f[i] - u[i]) ** 2) + 1e-6) for f in told])
            g /= g.sum()
            agreed[i] = (label_weight * targets[i] + g[0] * told[0][i] + g[1] * told[1][i]) / (label_weight + 1)
        u = agreed * np.sqrt(n / np.sum(agreed**2))
    return u


@pytest.mark.parametrize("label_weight", [0.1, 1.0])
def test_labelled_code_equals_brute_force(either, label_weight):
    y = either.labels - either.labels.mean(axis=0)
    y = y * np.sqrt(len(y) / np.sum(y**2))
    code = labelled_code(either, 10, 0.05, label_weight)
    np.testing.assert_allclose(code, consensus_by_loops(either, y, 0.05, label_weight), atol=1e-9)


def test_labelled_code_of_fewer_components_than_classes_equals_brute_force(pairs):
    labels = np.random.default_rng(4).random((len(pairs), 6)) < 0.4
    several = Pairs(pairs.images, pairs.texts, labels)
    u, s, _ = np.linalg.svd(labels - labels.mean(axis=0), full_matrices=False)
    scores = u[:, :4] * s[:4]
    scores *= np.sqrt(len(pairs) / np.sum(scores**2))
    targets = label_targets(labels, 4)
    scores *= np.sign((scores * targets).sum(axis=0))
    np.testing.assert_allclose(targets, scores, atol=1e-5)
    np.testing.assert_allclose(
        labelled_code(several, 4, 0.05, 1.0), consensus_by_loops(several, scores, 0.05, 1.0), atol=1e-5
    )


@pytest.mark.parametrize("times", [3, 7, 11])
def test_rounding_does_not_choose_among_components_of_classes_of_one_size(times):
    labels = np.eye(7, dtype=bool)[np.arange(35) % 7]
    order = np.random.default_rng(times).permutation(35 * times)
    targets, repeated = label_targets(labels, 3), label_targets(np.repeat(labels, times, axis=0)[order], 3)
    np.testing.assert_allclose(repeated, np.repeat(targets, times, axis=0)[order], atol=1e-7)


def test_an_item_whose_text_is_far_off_follows_its_label_and_image(pairs):
    texts = pairs.texts.copy()
    texts[0] = 40 * texts[1]
    code = labelled_code(Pairs(pairs.images, texts, pairs.labels), 3, 0.01, 1.0)
    alone = labelled_code(Pairs(pairs.images, pairs.images, pairs.labels), 3, 0.01, 1.0)
    view = unit_views(Pairs(pairs.images, texts, pairs.labels))[1]
    told = view @ np.linalg.solve(view.T @ view + 0.01 * len(view) * np.eye(5), view.T @ code)
    from_label_and_image = np.linalg.norm(code[0] - alone[0])
    assert from_label_and_image < 0.5 * np.linalg.norm((told[0] - alone[0]) / 4)  # its share if views counted alike


def test_the_code_has_no_more_components_than_classes_that_tell_items_apart():
    labels = np.eye(3, dtype=bool)[np.arange(12) % 3]
    everyone, nobody = np.ones((12, 1), dtype=bool), np.zeros((12, 1), dtype=bool)
    targets = label_targets(np.hstack([everyone, labels, nobody]), 10)
    np.testing.assert_allclose(targets, (labels - 1 / 3) * np.sqrt(3 / 2), atol=1e-12)


def test_unlabelled_code_solves_the_maxvar_eigenproblem_over_items(either):
    n, k, ridge = len(either), 4, 0.05
    hats = [x @ np.linalg.solve(x.T @ x + ridge * n * np.eye(x.shape[1]), x.T) for x in unit_views(either)]
    _, vectors = scipy.linalg.eigh(sum(hats), subset_by_index=[n - k, n - 1])
    code = unlabelled_code(either, k, ridge)
    np.testing.assert_allclose(code.T @ code, np.eye(k) * n / k, atol=1e-8)
    np.testing.assert_allclose(np.abs(np.diag(code.T @ vectors[:, ::-1])), np.sqrt(n / k), atol=1e-8)


@pytest.mark.parametrize("shrinkage", [0.0, 0.02])
def test_unlabelled_code_equals_cca_zoos_generalised_cca(pairs, shrinkage):
    x, y = standardised(pairs.images), standardised(pairs.texts)
    views = [x / np.sqrt(7), y / np.sqrt(5)]
    model = GCCA(n_components=3, shrinkage=shrinkage).fit(views)
    n = len(pairs)
    # Its ridge is shrinkage / (1 - shrinkage) on a covariance with n - 1.
    code = unlabelled_code(pairs, 3, shrinkage / (1 - shrinkage) * (n - 1) / n)
    shared = sum(view @ weights for view, weights in zip(views, model.weights_, strict=True))
    correlations = [np.corrcoef(code[:, i], shared[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(np.abs(correlations), 1.0, atol=1e-9)


def test_more_shared_directions_than_there_are_is_refused(pairs):
    with pytest.raises(InfeasibleError, match="n_components is 13, but the two views have only 12 directions"):
        unlabelled_code(pairs, 13, 0.01)
