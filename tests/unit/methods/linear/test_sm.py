"""Semantic matching against independent oracles."""

import logging
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cmr.errors import UserError
from cmr.methods.base import Pairs
from cmr.methods.linear.sm import SM
from tests.unit.methods.linear.made import standardised


def merged(pairs, classes):
    """The same pairs, whose last classes are one."""
    return Pairs(pairs.images, pairs.texts, np.eye(classes, dtype=bool)[np.minimum(pairs.classes("test"), classes - 1)])


def test_posteriors_equal_scikit_learns(pairs):
    model = SM(c=0.5).fit(pairs)
    scaler = StandardScaler().fit(pairs.images)
    oracle = LogisticRegression(C=0.5, max_iter=5000, tol=1e-10).fit(
        scaler.transform(pairs.images), pairs.classes("test")
    )
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
        return -log_p[np.arange(n), pairs.classes("test")].mean() + (weights**2).sum() / (2 * c * n)

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
        return -log_p[np.arange(n), two.classes("test")].mean() + (weights**2).sum() / (2 * c * n)

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
    assert (posteriors.argmax(axis=1) == two.classes("test")).mean() > 0.8


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
