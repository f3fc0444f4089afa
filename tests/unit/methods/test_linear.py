"""CCA and semantic matching against independent oracles (cards linear/10 and linear/20)."""

import logging
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.special
from sklearn.cross_decomposition import CCA as SklearnCCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs, Standardiser
from cmr.methods.linear.algebra import fix_signs, principal_axes, whitener
from cmr.methods.linear.cca import CCA
from cmr.methods.linear.sm import SM


@pytest.fixture(scope="module")
def pairs():
    """Three classes, 200 pairs; both views see the class through noise."""
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=200)
    centres = rng.normal(size=(3, 4))
    latent = centres[classes] + rng.normal(scale=0.7, size=(200, 4))
    images = latent @ rng.normal(size=(4, 7)) + rng.normal(scale=0.5, size=(200, 7))
    texts = latent @ rng.normal(size=(4, 5)) + rng.normal(scale=0.5, size=(200, 5))
    return Pairs(images, texts, np.eye(3, dtype=bool)[classes])


def columnwise_correlations(a, b):
    return np.array([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(a.shape[1])])


def merged(pairs, classes):
    """The same pairs, whose last classes are one."""
    return Pairs(pairs.images, pairs.texts, np.eye(classes, dtype=bool)[np.minimum(pairs.classes, classes - 1)])


def standardised(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def test_correlations_without_ridge_are_the_cosines_of_principal_angles(pairs):
    model = CCA(n_components=5, ridge=0.0).fit(pairs)
    angles = scipy.linalg.subspace_angles(standardised(pairs.images), standardised(pairs.texts))
    np.testing.assert_allclose(model.correlations, np.sort(np.cos(angles))[::-1], atol=1e-10)


def test_correlations_equal_scikit_learns(pairs):
    model = CCA(n_components=3, ridge=0.0).fit(pairs)
    oracle = SklearnCCA(n_components=3, max_iter=5000, tol=1e-12).fit(pairs.images, pairs.texts)
    expected = columnwise_correlations(*oracle.transform(pairs.images, pairs.texts))
    np.testing.assert_allclose(model.correlations, expected, atol=1e-6)  # scikit-learn iterates


def test_train_correlation_of_a_component_is_its_singular_value(pairs):
    model = CCA(n_components=4, ridge=0.0).fit(pairs)
    x, y = model.image_scaling(pairs.images) @ model.w_x, model.text_scaling(pairs.texts) @ model.w_y
    np.testing.assert_allclose(columnwise_correlations(x, y), model.correlations, atol=1e-10)


def test_directions_are_orthonormal_under_the_regularised_covariance(pairs):
    ridge = 0.3
    model = CCA(n_components=5, ridge=ridge).fit(pairs)
    x = standardised(pairs.images)
    c = x.T @ x / len(x)
    c += ridge * np.trace(c) / len(c) * np.eye(len(c))
    np.testing.assert_allclose(model.w_x.T @ c @ model.w_x, np.eye(5), atol=1e-10)


def test_swapping_the_views_transposes_the_solution(pairs):
    model = CCA(n_components=4).fit(pairs)
    swapped = CCA(n_components=4).fit(Pairs(pairs.texts, pairs.images, pairs.labels))
    np.testing.assert_allclose(swapped.correlations, model.correlations, atol=1e-12)
    np.testing.assert_allclose(np.abs(swapped.w_x), np.abs(model.w_y), atol=1e-8)


def test_invertible_map_of_a_view_changes_nothing_without_ridge(pairs):
    rng = np.random.default_rng(3)
    mapped = Pairs(pairs.images @ rng.normal(size=(7, 7)), pairs.texts, pairs.labels)
    first, second = CCA(5, ridge=0.0).fit(pairs), CCA(5, ridge=0.0).fit(mapped)
    np.testing.assert_allclose(second.correlations, first.correlations, atol=1e-9)
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
    np.testing.assert_allclose(model.correlations, values[::-1][:6], atol=1e-10)


def test_power_weights_the_directions_by_their_correlations(pairs):
    flat, weighted = CCA(4, power=0.0).fit(pairs), CCA(4, power=2.0).fit(pairs)
    ratio = weighted.embed_texts(pairs.texts) / flat.embed_texts(pairs.texts)
    np.testing.assert_allclose(ratio, np.tile(flat.correlations**2, (200, 1)), rtol=1e-4)  # float32 embeddings


def test_signs_are_fixed_by_the_largest_entry_of_each_image_direction(pairs):
    u, v = np.array([[1.0, -1], [-3, 2]]), np.array([[1.0, 2], [3, 4], [5, 6]])
    fixed_u, fixed_v = fix_signs(u, v)
    np.testing.assert_array_equal(fixed_u, [[-1, -1], [3, 2]])
    np.testing.assert_array_equal(fixed_v, [[-1, 2], [-3, 4], [-5, 6]])
    for given in (pairs, Pairs(-pairs.images, -pairs.texts, pairs.labels)):
        w_x = CCA(5).fit(given).w_x
        assert (w_x.max(axis=0) == np.abs(w_x).max(axis=0)).all()


def test_too_many_components_are_refused_with_the_limit(pairs):
    with pytest.raises(InfeasibleError, match="at most 5"):
        CCA(n_components=6).fit(pairs)


def test_constant_columns_do_no_harm(pairs):
    images = np.column_stack([pairs.images, np.full(200, 3.0)])
    model = CCA(4).fit(Pairs(images, pairs.texts, pairs.labels))
    assert np.isfinite(model.embed_images(images)).all()
    np.testing.assert_allclose(model.w_x[-1], 0, atol=1e-12)


def test_constant_view_is_refused(pairs):
    with pytest.raises(UserError, match="constant over the train part"):
        CCA(1).fit(Pairs(np.ones((200, 3)), pairs.texts, pairs.labels))


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_principal_axes_rebuild_the_covariance(shape):
    x = np.random.default_rng(2).normal(size=shape)
    x -= x.mean(axis=0)
    axes, variances = principal_axes(x)
    np.testing.assert_allclose(axes * variances @ axes.T, x.T @ x / len(x), atol=1e-12)
    np.testing.assert_allclose(axes.T @ axes, np.eye(len(variances)), atol=1e-10)


def test_whitener_whitens():
    x = np.random.default_rng(2).normal(size=(50, 6)) * [1, 2, 3, 4, 5, 6]
    x -= x.mean(axis=0)
    k = whitener(x, ridge=0.0)
    np.testing.assert_allclose(k.T @ (x.T @ x / 50) @ k, np.eye(6), atol=1e-10)


def test_standardiser_uses_train_statistics_and_clamps():
    train = np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    scaling = Standardiser.fit(train, clamp=2.0)
    expected = StandardScaler().fit(train).transform([[100.0, 6.0]])
    np.testing.assert_allclose(Standardiser.fit(train)([[100.0, 6.0]]), expected)
    np.testing.assert_allclose(scaling([[100.0, 6.0]]), [[2.0, 1.0]])


def test_posteriors_equal_scikit_learns(pairs):
    model = SM(c=0.5).fit(pairs)
    scaler = StandardScaler().fit(pairs.images)
    oracle = LogisticRegression(C=0.5, max_iter=5000, tol=1e-10).fit(scaler.transform(pairs.images), pairs.classes)
    expected = oracle.predict_proba(scaler.transform(pairs.images))
    np.testing.assert_allclose(model.embed_images(pairs.images), expected, atol=2e-4)  # the card's tolerance


@pytest.mark.parametrize("classes", [2, 3])
def test_posteriors_minimise_the_cards_objective(pairs, classes):
    """Finite differences of -(1/n) sum log p + |V|^2 / (2 C n) vanish at the solution."""
    c, n = 0.1, len(pairs)
    pairs = merged(pairs, classes)
    model = SM(c=c, max_iterations=5000).fit(pairs).image_classifier
    x = model.scaling(pairs.images)

    def objective(weights):
        log_p = scipy.special.log_softmax(x @ weights.T + model.bias, axis=1)
        return -log_p[np.arange(n), pairs.classes].mean() + (weights**2).sum() / (2 * c * n)

    step = 1e-5
    for i, j in np.ndindex(model.weights.shape):
        bump = np.zeros_like(model.weights)
        bump[i, j] = step
        slope = (objective(model.weights + bump) - objective(model.weights - bump)) / (2 * step)
        assert abs(slope) < 1e-5


@pytest.mark.parametrize("c", [0.001, 0.1, 10.0])
def test_posteriors_of_two_classes_are_those_of_the_two_column_softmax(pairs, c):
    two = merged(pairs, 2)
    x, n, d = standardised(two.images), len(two), two.images.shape[1]

    def objective(parameters):
        weights, bias = parameters[: 2 * d].reshape(2, d), parameters[2 * d :]
        log_p = scipy.special.log_softmax(x @ weights.T + bias, axis=1)
        return -log_p[np.arange(n), two.classes].mean() + (weights**2).sum() / (2 * c * n)

    solution = scipy.optimize.minimize(objective, np.zeros(2 * d + 2), tol=1e-9).x
    expected = solution[: 2 * d].reshape(2, d)
    model = SM(c=c, max_iterations=5000).fit(two)
    np.testing.assert_allclose(model.image_classifier.weights, expected, atol=1e-4)
    posteriors = scipy.special.softmax(x @ expected.T + solution[2 * d :], axis=1)
    np.testing.assert_allclose(model.embed_images(two.images), posteriors, atol=1e-4)


def test_posterior_rows_sum_to_one_in_every_setting(pairs):
    multi = Pairs(pairs.images, pairs.texts, pairs.labels | np.roll(pairs.labels, 1, axis=1))
    two = merged(pairs, 2)
    for given, width in ((pairs, 3), (multi, 3), (two, 2)):
        posteriors = SM().fit(given).embed_texts(given.texts)
        assert posteriors.shape == (200, width)
        np.testing.assert_allclose(posteriors.sum(axis=1), 1, atol=1e-6)


def test_two_classes_get_both_posteriors_in_order(pairs):
    two = merged(pairs, 2)
    posteriors = SM(c=10.0).fit(two).embed_images(two.images)
    assert (posteriors.argmax(axis=1) == two.classes).mean() > 0.8


def test_permuting_class_ids_permutes_the_posteriors(pairs):
    order = [2, 0, 1]
    permuted = Pairs(pairs.images, pairs.texts, pairs.labels[:, order])
    np.testing.assert_allclose(
        SM().fit(permuted).embed_texts(pairs.texts), SM().fit(pairs).embed_texts(pairs.texts)[:, order], atol=1e-4
    )


def test_features_without_information_give_class_priors(pairs):
    model = SM().fit(Pairs(np.zeros((200, 2)), pairs.texts, pairs.labels))
    np.testing.assert_allclose(model.embed_images(np.zeros((1, 2)))[0], pairs.labels.mean(axis=0), atol=1e-4)


def test_class_absent_from_train_is_named(pairs):
    labels = np.column_stack([pairs.labels, np.zeros(200, dtype=bool)])
    with pytest.raises(UserError, match=r"classes \[3\] have no item"):
        SM().fit(Pairs(pairs.images, pairs.texts, labels))


@pytest.mark.parametrize("n_labels, message", [(1, "a single class"), (2, "every pair .* has all classes")])
def test_data_without_classes_to_tell_apart_are_refused(pairs, n_labels, message):
    with pytest.raises(UserError, match=message):
        SM().fit(Pairs(pairs.images, pairs.texts, np.ones((200, n_labels), dtype=bool)))


def test_a_class_that_all_pairs_have_has_posterior_one_before_scaling(pairs):
    several = pairs.labels | np.roll(pairs.labels, 1, axis=1) & (np.arange(200) % 2 == 0)[:, None]
    with_common = Pairs(pairs.images, pairs.texts, np.insert(several, 1, True, axis=1))
    method = SM(c=1.0, max_iterations=5000)
    model = method.fit(with_common)
    z = StandardScaler().fit_transform(pairs.texts)
    sigmoids = np.ones((200, 4))
    for k in (0, 2, 3):
        sigmoids[:, k] = LogisticRegression(C=1.0, tol=1e-8).fit(z, with_common.labels[:, k]).predict_proba(z)[:, 1]
    expected = sigmoids / sigmoids.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.embed_texts(pairs.texts), expected, atol=2e-4)
    np.testing.assert_array_equal(
        method.restore(model.state()).embed_texts(pairs.texts), model.embed_texts(pairs.texts)
    )


@pytest.mark.parametrize("several", [False, True])
def test_a_fit_that_does_not_converge_is_told_in_one_line_with_view_and_c(pairs, caplog, several):
    labels = pairs.labels | np.roll(pairs.labels, 1, axis=1) if several else pairs.labels
    given = Pairs(pairs.images, np.zeros((200, 2)), labels)  # the text view converges at once
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        SM(c=7.0, max_iterations=12).fit(given)
    (message,) = caplog.messages
    assert "image" in message and "C = 7 " in message and "12 iterations" in message and "\n" not in message
    caplog.clear()
    SM(c=7.0, max_iterations=5000).fit(given)
    assert not caplog.messages


def test_rankings_use_the_similarities_of_the_cards():
    assert (CCA.similarity, SM.similarity) == ("cosine", "correlation")


def test_closed_form_methods_start_without_torch():
    code = (
        "import sys, cmr.training, cmr.methods.linear.cca, cmr.methods.linear.sm, cmr.methods.random;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
