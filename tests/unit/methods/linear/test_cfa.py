"""CFA against independent oracles."""

import numpy as np
import pytest
from scipy.linalg import hadamard
from sklearn.cross_decomposition import PLSSVD

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.cfa import CFA
from tests.unit.methods.linear.made import standardised


def test_directions_equal_scikit_learns_pls_svd(pairs):
    model = CFA(4).fit(pairs)
    oracle = PLSSVD(n_components=4).fit(pairs.images, pairs.texts)
    for own, expected in ((model.image, oracle.x_weights_), (model.text, oracle.y_weights_)):
        np.testing.assert_allclose(np.abs((own.weights * expected).sum(axis=0)), 1, atol=1e-13)
        np.testing.assert_allclose(own.weights.T @ own.weights, np.eye(4), atol=1e-13)
    signs = (model.image.weights * oracle.x_weights_).sum(axis=0) * (model.text.weights * oracle.y_weights_).sum(axis=0)
    np.testing.assert_allclose(signs, 1, atol=1e-12)  # a pair of directions keeps its common sign


def test_distance_of_the_pairs_is_what_the_singular_values_leave(pairs):
    model = CFA(3).fit(pairs)
    x, y = standardised(pairs.images), standardised(pairs.texts)
    a, b = x @ model.image.weights, y @ model.text.weights
    singular = np.linalg.svd(x.T @ y, compute_uv=False)[:3]
    expected = (a**2).sum() + (b**2).sum() - 2 * singular.sum()
    np.testing.assert_allclose(((a - b) ** 2).sum(), expected, rtol=1e-11)
    np.testing.assert_allclose(model.facts["covariances"], singular / len(x), rtol=1e-11)


def test_no_other_rotations_of_square_views_bring_pairs_nearer(pairs):
    x, y = standardised(pairs.images[:, :5]), standardised(pairs.texts)
    model = CFA(5).fit(Pairs(pairs.images[:, :5], pairs.texts, pairs.labels))
    least = ((x @ model.image.weights - y @ model.text.weights) ** 2).sum()
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b = (np.linalg.qr(w + 0.1 * rng.normal(size=(5, 5)))[0] for w in (model.image.weights, model.text.weights))
        signs = np.sign((a * model.image.weights).sum(axis=0)), np.sign((b * model.text.weights).sum(axis=0))
        assert ((x @ (a * signs[0]) - y @ (b * signs[1])) ** 2).sum() > least


def test_rotating_a_view_rotates_its_directions():
    rng = np.random.default_rng(2)
    # Orthonormal columns stay standardised, up to their scale, when rotated.
    centred = rng.normal(size=(60, 6)) - rng.normal(size=6)
    x = np.linalg.qr(centred - centred.mean(axis=0))[0]
    y = x @ rng.normal(size=(6, 4)) + 0.1 * rng.normal(size=(60, 4))
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    labels = np.ones((60, 1), dtype=bool)
    one, other = CFA(4).fit(Pairs(x, y, labels)), CFA(4).fit(Pairs(x @ rotation, y, labels))
    expected = rotation.T @ one.image.weights
    np.testing.assert_allclose(np.abs((other.image.weights * expected).sum(axis=0)), 1, atol=1e-10)
    np.testing.assert_allclose(np.abs((other.text.weights * one.text.weights).sum(axis=0)), 1, atol=1e-10)


def test_views_of_more_features_than_items_give_the_directions_of_the_features():
    rng = np.random.default_rng(5)
    few = Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 50)), np.ones((30, 1), dtype=bool))
    model = CFA(6).fit(few)
    u, values, vt = np.linalg.svd(standardised(few.images).T @ standardised(few.texts))
    np.testing.assert_allclose(model.facts["covariances"], values[:6] / 30, rtol=1e-11)
    np.testing.assert_allclose(np.abs((model.image.weights * u[:, :6]).sum(axis=0)), 1, atol=1e-11)
    np.testing.assert_allclose(np.abs((model.text.weights * vt[:6].T).sum(axis=0)), 1, atol=1e-11)


def test_fewer_components_are_the_first_of_more(pairs):
    few, all_of_them = CFA(2).fit(pairs), CFA(0).fit(pairs)
    assert all_of_them.image.weights.shape == (7, 5)
    np.testing.assert_array_equal(few.image.weights, all_of_them.image.weights[:, :2])


def test_components_beyond_the_rank_are_refused_with_the_limit(pairs):
    texts = pairs.texts - pairs.texts.mean(axis=1, keepdims=True)  # as topics that sum to one: of rank four
    dependent = Pairs(pairs.images, texts.astype(np.float32), pairs.labels)
    with pytest.raises(InfeasibleError, match="cfa: n_components is 5, but these views allow at most 4"):
        CFA(5).fit(dependent)
    with pytest.raises(InfeasibleError, match="at most 5"):
        CFA(6).fit(pairs)
    assert CFA(0).fit(dependent).text.weights.shape == (5, 4)


def test_constant_view_is_refused(pairs):
    with pytest.raises(UserError, match="constant over the train part"):
        CFA(1).fit(Pairs(np.ones((200, 3)), pairs.texts, pairs.labels))


@pytest.mark.parametrize("rounding", [0, 1e-13])
@pytest.mark.parametrize("d", [1, 99])
@pytest.mark.parametrize("k", [0, 1])
def test_views_without_a_relation_are_refused(k, d, rounding):
    """Of few features or many; X'Y is zero to the last bit, or rounding."""
    columns = hadamard(256) + rounding * np.random.default_rng(0).normal(size=(256, 256))
    images, texts = columns[:, 1 : 1 + d], columns[:, 100 : 100 + d]
    with pytest.raises(InfeasibleError, match="these views allow at most 0"):
        CFA(k).fit(Pairs(images, texts, np.ones((256, 1), dtype=bool)))
