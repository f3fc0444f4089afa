"""Three-view CCA against generalised eigenproblems, cca-zoo and two-view CCA."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
from cca_zoo.linear import GCCA, MCCA

from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs
from cmr.methods.linear.cca import CCA
from cmr.methods.linear.moments import moments
from cmr.methods.linear.tv_cca import ThreeViewCCA, three_view_directions
from tests.unit.methods.linear.made import columnwise_correlations, standardised


def with_second_labels(pairs):
    second = np.roll(pairs.labels, 1, axis=1) & (np.arange(len(pairs)) % 2 == 0)[:, None]
    return Pairs(pairs.images, pairs.texts, pairs.labels | second)


def few_of_many_features():
    rng = np.random.default_rng(5)
    labels = np.eye(3, dtype=bool)[np.arange(30) % 3]
    return Pairs(rng.normal(size=(30, 80)) + labels[:, :1], rng.normal(size=(30, 50)) - labels[:, 1:2], labels)


def views_of(pairs):
    """The three centred views that are compared, labels last."""
    return standardised(pairs.images), standardised(pairs.texts), pairs.labels - pairs.labels.mean(axis=0)


def generalised(pairs, ridge):
    """Eigenvalues, descending, and vectors of S w = value S_D w, built as it is written."""
    views = views_of(pairs)
    stacked = np.hstack(views)
    ridges = np.concatenate([np.full(v.shape[1], ridge * (v**2).sum() / v.size) for v in views])
    covariance = stacked.T @ stacked / len(stacked) + np.diag(ridges)
    blocks = np.cumsum([0, *(v.shape[1] for v in views)])
    within = scipy.linalg.block_diag(*(covariance[a:b, a:b] for a, b in pairwise(blocks)))
    values, vectors = scipy.linalg.eigh(covariance, within)
    return values[::-1], vectors[:, ::-1]


@pytest.mark.parametrize("ridge", [1e-3, 0.3])
@pytest.mark.parametrize("change", [lambda pairs: pairs, with_second_labels, lambda _: few_of_many_features()])
def test_directions_solve_the_generalised_eigenproblem(pairs, change, ridge):
    given = change(pairs)
    values, vectors = generalised(given, ridge)
    agreeing = int((values > 1 + 1e-8).sum())
    model = ThreeViewCCA(0, ridge, power=0.0).fit(given)
    np.testing.assert_allclose(model.facts["eigenvalues"], values[:agreeing], atol=1e-9)
    d_x, d_y = given.images.shape[1], given.texts.shape[1]
    for side, theirs in (("image", vectors[:d_x]), ("text", vectors[d_x : d_x + d_y])):
        own = getattr(model, side).weights[:, :4]
        signs = np.sign((own * theirs[:, :4]).sum(axis=0))
        np.testing.assert_allclose(own * signs, theirs[:, :4], atol=1e-6)


def test_without_ridge_components_are_those_of_cca_zoos_gcca(pairs):
    *features, labels = views_of(pairs)
    oracle = GCCA(n_components=2).fit([*features, labels[:, :2]])  # the third class follows from the other two
    model = ThreeViewCCA(2, ridge=0.0).fit(pairs)
    expected = oracle.transform([*features, labels[:, :2]])
    for found, theirs in zip(
        (model.embed_images(pairs.images), model.embed_texts(pairs.texts)), expected[:2], strict=True
    ):
        np.testing.assert_allclose(np.abs(columnwise_correlations(found, theirs)), 1, atol=1e-5)


def test_with_ridge_components_are_those_of_cca_zoos_mcca(pairs):
    *features, labels = views_of(pairs)
    labels = labels / np.sqrt((labels**2).mean())  # all views have mean variance one, so that one ridge does for all
    ratio = 0.4 * len(labels) / (len(labels) - 1)  # cca-zoo divides covariances by n - 1
    oracle = MCCA(n_components=3, shrinkage=ratio / (1 + ratio)).fit([*features, labels])
    model = ThreeViewCCA(3, ridge=0.4, power=0.0).fit(pairs)
    scales = []
    for own, theirs in zip((model.image.weights, model.text.weights), oracle.weights_[:2], strict=True):
        scales.append((own * theirs).sum(axis=0) / (theirs**2).sum(axis=0))
        np.testing.assert_allclose(own, theirs * scales[-1], atol=1e-6)
    np.testing.assert_allclose(*scales, rtol=1e-6)  # of both views alike


def test_the_three_blocks_together_are_orthonormal_under_the_regularised_covariances(pairs):
    ridge = 0.3
    found = three_view_directions(moments(pairs), pairs.labels, ridge)
    total = 0
    for weights, view in zip((found.image, found.text, found.label), views_of(pairs), strict=True):
        covariance = view.T @ view / len(view)
        covariance += ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        total = total + weights.T @ covariance @ weights
    np.testing.assert_allclose(total, np.eye(len(found.values)), atol=1e-10)
    assert (np.diff(found.values) <= 0).all() and found.values[-1] > 1 and found.values[0] <= 3


def test_labels_that_are_the_same_for_all_leave_two_view_cca(pairs):
    constant = Pairs(pairs.images, pairs.texts, np.ones((200, 2), dtype=bool))
    model, two = ThreeViewCCA(0, ridge=0.1, power=0.0).fit(constant), CCA(0, ridge=0.1).fit(constant)
    np.testing.assert_allclose(model.facts["eigenvalues"], 1 + two.facts["correlations"], atol=1e-13)
    np.testing.assert_allclose(model.image.weights, two.image.weights / np.sqrt(2), atol=1e-9)
    np.testing.assert_allclose(model.text.weights, two.text.weights / np.sqrt(2), atol=1e-9)


def test_views_that_agree_perfectly_have_eigenvalue_three(pairs):
    labels = pairs.labels.astype(float)
    model = ThreeViewCCA(2, ridge=0.0).fit(Pairs(labels[:, :2] * 5 + 1, labels[:, 1:] - 3, pairs.labels))
    np.testing.assert_allclose(model.facts["eigenvalues"], 3, atol=1e-12)


def test_order_of_the_views_and_of_the_classes_does_not_matter(pairs):
    model = ThreeViewCCA(4).fit(pairs)
    other = ThreeViewCCA(4).fit(Pairs(pairs.texts, pairs.images, pairs.labels[:, [2, 0, 1]]))
    np.testing.assert_allclose(other.facts["eigenvalues"], model.facts["eigenvalues"], atol=1e-12)
    np.testing.assert_allclose(np.abs(other.image.weights), np.abs(model.text.weights), atol=1e-8)
    np.testing.assert_allclose(np.abs(other.text.weights), np.abs(model.image.weights), atol=1e-8)


def test_power_weights_directions_by_their_share_of_the_largest_eigenvalue_without_overflow(pairs):
    flat, weighted, steep = (ThreeViewCCA(4, power=power).fit(pairs) for power in (0.0, 4.0, 1000.0))
    values = flat.facts["eigenvalues"]
    np.testing.assert_allclose(weighted.text.weights, flat.text.weights * (values / values[0]) ** 4, rtol=1e-12)
    np.testing.assert_allclose(weighted.image.weights, flat.image.weights * (values / values[0]) ** 4, rtol=1e-12)
    np.testing.assert_array_equal(steep.text.weights[:, 0], flat.text.weights[:, 0])
    assert np.isfinite(steep.embed_texts(pairs.texts)).all()


def test_labels_bring_items_of_a_class_closer_than_pairs_alone_do():
    """Views that share much and the class a little: the first direction is the class's only with labels."""
    rng = np.random.default_rng(1)
    classes = rng.integers(2, size=600)
    shared, signal = rng.normal(size=600), 1.2 * classes
    images = np.column_stack([shared, signal + rng.normal(scale=0.5, size=600)])
    texts = np.column_stack([shared + rng.normal(scale=0.3, size=600), signal + rng.normal(scale=0.5, size=600)])
    given = Pairs(images, texts, np.eye(2, dtype=bool)[classes])
    by_labels, by_pairs = (method.fit(given).embed_images(images)[:, 0] for method in (ThreeViewCCA(1), CCA(1)))
    assert abs(np.corrcoef(by_labels, classes)[0, 1]) > 0.6 > 0.2 > abs(np.corrcoef(by_pairs, classes)[0, 1])


def test_candidates_share_the_eigenproblem_of_a_ridge(pairs, monkeypatch):
    given, solved = Pairs(pairs.images, pairs.texts, pairs.labels), []
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (solved.append(1), eigh(matrix))[1])
    ThreeViewCCA(2).fit(given)
    first = len(solved)
    for other in (ThreeViewCCA(3), ThreeViewCCA(2, power=1.0)):
        other.fit(given)
    assert len(solved) == first > 0


def test_too_many_components_are_refused_with_the_limit(pairs):
    limit = len(ThreeViewCCA(0).fit(pairs).facts["eigenvalues"])
    with pytest.raises(InfeasibleError, match=f"tv_cca: n_components is 14, .* no more than {limit} directions"):
        ThreeViewCCA(14).fit(pairs)


def test_perfect_agreement_for_lack_of_items_is_told(caplog):
    few = few_of_many_features()
    ThreeViewCCA(2, ridge=0.1).fit(few)
    assert not caplog.messages
    ThreeViewCCA(2, ridge=0.0).fit(few)
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("tv_cca: ridge is 0, and 30 train pairs are too")


def test_data_without_classes_are_refused(pairs):
    with pytest.raises(NotApplicableError, match="tv_cca"):
        ThreeViewCCA().fit(Pairs(pairs.images, pairs.texts, pairs.labels[:, :0]))
