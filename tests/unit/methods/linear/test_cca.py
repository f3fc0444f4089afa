"""CCA against independent oracles."""

import numpy as np
import pytest
import scipy.linalg
from cca_zoo.linear import RidgeCCA
from scipy.linalg import hadamard
from sklearn.cross_decomposition import CCA as SklearnCCA

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.algebra import fix_signs
from cmr.methods.linear.cca import CCA
from tests.unit.methods.linear.made import columnwise_correlations, standardised


def test_correlations_without_ridge_are_the_cosines_of_principal_angles(pairs):
    model = CCA(n_components=5, ridge=0.0).fit(pairs)
    angles = scipy.linalg.subspace_angles(standardised(pairs.images), standardised(pairs.texts))
    np.testing.assert_allclose(model.facts["correlations"], np.sort(np.cos(angles))[::-1], atol=1e-10)


def test_correlations_without_ridge_are_singular_values_of_the_views_orthonormal_bases(pairs):
    model = CCA(n_components=5, ridge=0.0).fit(pairs)
    q_x, q_y = (np.linalg.qr(standardised(view))[0] for view in (pairs.images, pairs.texts))
    expected = np.linalg.svd(q_x.T @ q_y, compute_uv=False)
    np.testing.assert_allclose(model.facts["correlations"], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("n, d_x, d_y, ridge", [(200, 7, 5, 0.0), (200, 7, 5, 0.4), (30, 80, 50, 0.4)])
def test_unseen_items_are_embedded_as_by_cca_zoo(n, d_x, d_y, ridge):
    rng = np.random.default_rng(6)
    latent = rng.normal(size=(2 * n, 4))
    images, texts = (latent @ rng.normal(size=(4, d)) + rng.normal(size=(2 * n, d)) for d in (d_x, d_y))
    model = CCA(4, ridge=ridge).fit(Pairs(images[:n], texts[:n], np.ones((n, 1), dtype=bool)))
    # cca-zoo's (1 - c) C + c I, whose C is divided by n - 1.
    ratio = ridge * n / (n - 1)
    train = [standardised(view[:n]) for view in (images, texts)]
    oracle = RidgeCCA(4, shrinkage=ratio / (1 + ratio)).fit(train)
    theirs = oracle.transform([(v[n:] - v[:n].mean(axis=0)) / v[:n].std(axis=0) for v in (images, texts)])
    for own, their in zip((model.embed_images(images[n:]), model.embed_texts(texts[n:])), theirs, strict=True):
        scale = (own * their).sum(axis=0) / (their**2).sum(axis=0)  # theirs have another norm and sign
        np.testing.assert_allclose(own, scale * their, atol=1e-5)  # float32 embeddings
        np.testing.assert_allclose(np.abs(scale), np.abs(scale[0]), rtol=1e-5)


def test_correlations_equal_scikit_learns(pairs):
    model = CCA(n_components=3, ridge=0.0).fit(pairs)
    oracle = SklearnCCA(n_components=3, max_iter=5000, tol=1e-12).fit(pairs.images, pairs.texts)
    expected = columnwise_correlations(*oracle.transform(pairs.images, pairs.texts))
    np.testing.assert_allclose(model.facts["correlations"], expected, atol=1e-6)  # scikit-learn iterates


def test_train_correlation_of_a_component_is_its_singular_value(pairs):
    model = CCA(n_components=4, ridge=0.0).fit(pairs)
    x, y = model.image.scaling(pairs.images) @ model.image.weights, model.text.scaling(pairs.texts) @ model.text.weights
    np.testing.assert_allclose(columnwise_correlations(x, y), model.facts["correlations"], atol=1e-10)


def test_directions_are_orthonormal_under_the_regularised_covariance(pairs):
    ridge = 0.3
    # Columns that are constant halve the mean variance of images, and lower that of texts to 5/6.
    images, texts = (np.column_stack([v, np.ones((200, d))]) for v, d in ((pairs.images, 7), (pairs.texts, 1)))
    model = CCA(n_components=5, ridge=ridge).fit(Pairs(images, texts, pairs.labels))
    for projection, view, share in ((model.image, pairs.images, 1 / 2), (model.text, pairs.texts, 5 / 6)):
        z = standardised(view)
        weights, d = projection.weights[: z.shape[1]], z.shape[1]
        c = z.T @ z / len(z) + ridge * share * np.eye(d)
        np.testing.assert_allclose(weights.T @ c @ weights, np.eye(5), atol=1e-10)


def test_swapping_the_views_transposes_the_solution(pairs):
    model = CCA(n_components=4).fit(pairs)
    swapped = CCA(n_components=4).fit(Pairs(pairs.texts, pairs.images, pairs.labels))
    np.testing.assert_allclose(swapped.facts["correlations"], model.facts["correlations"], atol=1e-12)
    np.testing.assert_allclose(np.abs(swapped.image.weights), np.abs(model.text.weights), atol=1e-8)


def test_invertible_map_of_a_view_changes_nothing_without_ridge(pairs):
    rng = np.random.default_rng(3)
    mapped = Pairs(pairs.images @ rng.normal(size=(7, 7)), pairs.texts, pairs.labels)
    first, second = CCA(5, ridge=0.0).fit(pairs), CCA(5, ridge=0.0).fit(mapped)
    np.testing.assert_allclose(second.facts["correlations"], first.facts["correlations"], atol=1e-9)
    a, b = first.embed_images(pairs.images), second.embed_images(mapped.images)
    np.testing.assert_allclose(np.abs(columnwise_correlations(a, b)), 1.0, atol=1e-6)


def test_more_features_than_items_equals_the_ridge_solution_by_generalised_eigenvalues():
    rng = np.random.default_rng(5)
    few = Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 50)), np.ones((30, 1), dtype=bool))
    ridge = 0.5
    model = CCA(n_components=6, ridge=ridge).fit(few)
    x, y = standardised(few.images), standardised(few.texts)
    cx, cy, cxy = x.T @ x / 30, y.T @ y / 30, x.T @ y / 30
    cx += ridge * np.trace(cx) / 80 * np.eye(80)
    cy += ridge * np.trace(cy) / 50 * np.eye(50)
    left = np.block([[np.zeros((80, 80)), cxy], [cxy.T, np.zeros((50, 50))]])
    values = scipy.linalg.eigh(left, scipy.linalg.block_diag(cx, cy), eigvals_only=True)
    np.testing.assert_allclose(model.facts["correlations"], values[::-1][:6], atol=1e-10)


def test_power_weights_the_directions_by_their_correlations(pairs):
    flat, weighted = CCA(4, power=0.0).fit(pairs), CCA(4, power=2.0).fit(pairs)
    ratio = weighted.embed_texts(pairs.texts) / flat.embed_texts(pairs.texts)
    np.testing.assert_allclose(
        ratio, np.tile(flat.facts["correlations"] ** 2, (200, 1)), rtol=1e-4
    )  # float32 embeddings


def test_signs_are_fixed_by_the_largest_entry_of_each_image_direction(pairs):
    u, v = np.array([[1.0, -1], [-3, 2]]), np.array([[1.0, 2], [3, 4], [5, 6]])
    fixed_u, fixed_v = fix_signs(u, v)
    np.testing.assert_array_equal(fixed_u, [[-1, -1], [3, 2]])
    np.testing.assert_array_equal(fixed_v, [[-1, 2], [-3, 4], [-5, 6]])
    for given in (pairs, Pairs(-pairs.images, -pairs.texts, pairs.labels)):
        w_x = CCA(5).fit(given).image.weights
        assert (w_x.max(axis=0) == np.abs(w_x).max(axis=0)).all()


def test_too_many_components_are_refused_with_the_limit(pairs):
    with pytest.raises(InfeasibleError, match="at most 5"):
        CCA(n_components=6).fit(pairs)


@pytest.fixture(scope="module")
def partly_related():
    """Five features a view, two pairs of which have correlation 0.99, and all others none but for rounding."""
    columns = hadamard(64) + 1 / 3
    shared, own = columns[:, 1:3], columns[:, 3:5]
    texts = np.hstack([0.99 * shared + np.sqrt(1 - 0.99**2) * own, columns[:, 10:13]])
    return Pairs(np.hstack([shared, columns[:, 20:23]]), texts, np.ones((64, 1), dtype=bool))


@pytest.mark.parametrize("ridge", [0.0, 0.01, 1e9])
def test_directions_without_a_correlation_are_no_components(partly_related, ridge):
    found = CCA(0, ridge).fit(partly_related).facts["correlations"]
    np.testing.assert_allclose(found, 0.99 / (1 + ridge), rtol=1e-6)
    assert len(found) == 2
    with pytest.raises(InfeasibleError, match="cca: n_components is 5, but these views allow at most 2"):
        CCA(5, ridge).fit(partly_related)


@pytest.mark.parametrize("k", [0, 1])
def test_views_without_a_relation_are_refused(partly_related, k):
    unrelated = Pairs(partly_related.images[:, 2:], partly_related.texts[:, 2:], partly_related.labels)
    with pytest.raises(InfeasibleError, match=f"cca: n_components is {k}, but these views allow at most 0"):
        CCA(k).fit(unrelated)


@pytest.mark.parametrize("d_x, d_y", [(40, 5), (15, 15)])
def test_perfect_correlations_for_lack_of_items_are_told_once(caplog, d_x, d_y):
    rng = np.random.default_rng(3)
    few = Pairs(rng.normal(size=(30, d_x)), rng.normal(size=(30, d_y)), np.ones((30, 1), dtype=bool))
    np.testing.assert_allclose(CCA(1, ridge=0.0).fit(few).facts["correlations"], 1, atol=1e-9)
    CCA(2, ridge=0.0).fit(few)
    CCA(2, ridge=0.01).fit(few)
    (message,) = (message for message in caplog.messages if "give it a ridge" in message)
    assert message.startswith("cca: ridge is 0, and 30 train pairs are too few for views of ")
    assert f" of {min(d_x, 29) + d_y} dimensions together: some directions correlate perfectly" in message


def test_views_of_enough_items_are_not_told_to_take_a_ridge(caplog):
    rng = np.random.default_rng(3)
    enough = Pairs(rng.normal(size=(30, 15)), rng.normal(size=(30, 14)), np.ones((30, 1), dtype=bool))
    assert CCA(2, ridge=0.0).fit(enough).facts["correlations"][0] < 1 - 1e-6
    assert not caplog.messages


def test_constant_columns_do_no_harm(pairs):
    images = np.column_stack([pairs.images, np.full(200, 3.0)])
    model = CCA(4).fit(Pairs(images, pairs.texts, pairs.labels))
    assert np.isfinite(model.embed_images(images)).all()
    np.testing.assert_allclose(model.image.weights[-1], 0, atol=1e-12)


def test_constant_view_is_refused(pairs):
    with pytest.raises(UserError, match="constant over the train part"):
        CCA(1).fit(Pairs(np.ones((200, 3)), pairs.texts, pairs.labels))
