"""PLS against independent oracles."""

import numpy as np
import pytest
from scipy.linalg import hadamard
from sklearn.cross_decomposition import PLSCanonical

from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.cfa import CFA
from cmr.methods.linear.moments import moments
from cmr.methods.linear.pls import PLS
from tests.unit.methods.linear.made import columnwise_correlations, standardised


def scores(model, pairs):
    """Of the train part, in float64."""
    return (
        standardised(pairs.images) @ model.image.weights,
        standardised(pairs.texts) @ model.text.weights,
    )


@pytest.fixture(scope="module")
def wide():
    """150 pairs of 90 and 70 features: such of which leading singular pairs are found by iterations."""
    rng = np.random.default_rng(4)
    latent = rng.normal(size=(150, 12)) * 0.8 ** np.arange(12)
    views = (latent @ rng.normal(size=(12, d)) + 0.3 * rng.normal(size=(150, d)) for d in (90, 70))
    return Pairs(*views, np.ones((150, 1), dtype=bool))


@pytest.mark.parametrize("data, k", [("pairs", 5), ("wide", 12)])
def test_scores_equal_scikit_learns(request, data, k):
    given = request.getfixturevalue(data)
    oracle = PLSCanonical(n_components=k, algorithm="svd").fit(given.images, given.texts)
    for own, expected in zip(
        scores(PLS(k).fit(given), given), oracle.transform(given.images, given.texts), strict=True
    ):
        np.testing.assert_allclose(np.abs(columnwise_correlations(own, expected)), 1, atol=1e-12)


@pytest.mark.parametrize("data, k", [("pairs", 5), ("wide", 30)])
def test_scores_of_a_view_are_orthogonal(request, data, k):
    given = request.getfixturevalue(data)
    for own in scores(PLS(k).fit(given), given):
        gram = own.T @ own
        norms = np.sqrt(np.diag(gram))
        np.testing.assert_allclose(gram / np.outer(norms, norms), np.eye(k), atol=1e-9)


def test_covariances_are_those_of_the_scores_and_fall(wide):
    model = PLS(12).fit(wide)
    t, u = scores(model, wide)
    np.testing.assert_allclose((t * u).mean(axis=0), model.facts["covariances"], rtol=1e-9)
    assert (np.diff(model.facts["covariances"]) < 0).all()


def test_first_component_is_that_of_cfa(pairs):
    pls, cfa = PLS(1).fit(pairs), CFA(1).fit(pairs)
    np.testing.assert_allclose(pls.image.weights, cfa.image.weights, atol=1e-12)
    np.testing.assert_allclose(pls.text.weights, cfa.text.weights, atol=1e-12)


def test_later_components_are_not_those_of_cfa(pairs):
    pls, cfa = PLS(4).fit(pairs), CFA(4).fit(pairs)
    assert not np.allclose(pls.image.weights[:, 1:], cfa.image.weights[:, 1:], atol=1e-2)


def test_views_of_more_features_than_items_give_scikit_learns_scores():
    rng = np.random.default_rng(5)
    few = Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 50)), np.ones((30, 1), dtype=bool))
    oracle = PLSCanonical(n_components=6, algorithm="svd").fit(few.images, few.texts)
    for own, expected in zip(scores(PLS(6).fit(few), few), oracle.transform(few.images, few.texts), strict=True):
        np.testing.assert_allclose(np.abs(columnwise_correlations(own, expected)), 1, atol=1e-12)


@pytest.mark.parametrize("order", [(2, 4, 3), (4, 2, 3), (3, 2, 4)])
def test_the_order_of_candidates_plays_no_part(pairs, order):
    shared = Pairs(pairs.images, pairs.texts, pairs.labels)
    before = moments(pairs).cross
    for k in order:
        alone = PLS(k).fit(Pairs(pairs.images, pairs.texts, pairs.labels))
        found = PLS(k).fit(shared)
        np.testing.assert_array_equal(found.image.weights, alone.image.weights)
        np.testing.assert_array_equal(found.text.weights, alone.text.weights)
    np.testing.assert_array_equal(shared.once(moments).cross, before)  # which other methods share


def test_components_beyond_the_rank_are_refused_with_the_limit(pairs):
    texts = pairs.texts - pairs.texts.mean(axis=1, keepdims=True)  # as topics that sum to one: of rank four
    dependent = Pairs(pairs.images, texts.astype(np.float32), pairs.labels)
    with pytest.raises(InfeasibleError, match="pls: n_components is 5, but these views allow at most 4"):
        PLS(5).fit(dependent)
    assert PLS(4).fit(dependent).text.weights.shape == (5, 4)
    with pytest.raises(InfeasibleError, match="at most 5"):
        PLS(6).fit(pairs)


def test_rounding_is_measured_by_the_first_component_and_not_by_the_one_before():
    """Covariances 0.9, 1e-3 and 1e-6: the last is less than 1e-5 of the first."""
    columns = hadamard(64).astype(float)
    shared, own, shares = columns[:, 1:4], columns[:, 4:7], np.array([0.9, 1e-3, 1e-6])
    given = Pairs(shared, shares * shared + np.sqrt(1 - shares**2) * own, np.ones((64, 1), dtype=bool))
    np.testing.assert_allclose(PLS(2).fit(given).facts["covariances"], shares[:2], rtol=1e-9)
    with pytest.raises(InfeasibleError, match="at most 2"):
        PLS(3).fit(given)


@pytest.mark.parametrize("rounding", [0, 1e-13])
@pytest.mark.parametrize("d", [1, 99])
def test_views_without_a_relation_are_refused(d, rounding):
    """Of few features or many; X'Y is zero to the last bit, or rounding."""
    columns = hadamard(256) + rounding * np.random.default_rng(0).normal(size=(256, 256))
    images, texts = columns[:, 1 : 1 + d], columns[:, 100 : 100 + d]
    with pytest.raises(InfeasibleError, match="these views allow at most 0"):
        PLS(1).fit(Pairs(images, texts, np.ones((256, 1), dtype=bool)))
