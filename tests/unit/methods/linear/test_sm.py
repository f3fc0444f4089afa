"""Semantic matching against independent oracles."""

import logging
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cmr.errors import UserError
from cmr.methods.base import Pairs
from cmr.methods.linear.sm import SM, logistic_regression
from tests.unit.methods.linear.made import standardised


def merged(pairs, classes):
    """The same pairs, whose last classes are one."""
    return Pairs(pairs.images, pairs.texts, np.eye(classes, dtype=bool)[np.minimum(pairs.classes("test"), classes - 1)])


def with_second_labels(pairs):
    """The same pairs, of which every other has a second class."""
    second = np.roll(pairs.labels, 1, axis=1) & (np.arange(len(pairs)) % 2 == 0)[:, None]
    return Pairs(pairs.images, pairs.texts, pairs.labels | second)


def few_of_many_features(labels):
    rng = np.random.default_rng(7)
    return Pairs(rng.normal(size=(30, 80)) + labels[:, :1], rng.normal(size=(30, 4)), labels)


def scikit_learns_posteriors(x, target, c):
    z = StandardScaler().fit_transform(x)
    return LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(z, target).predict_proba(z)


def scikit_learns_sigmoids(x, labels, c):
    return np.column_stack([scikit_learns_posteriors(x, column, c)[:, 1] for column in labels.T])


@pytest.mark.parametrize("c", [0.001, 0.5, 10.0])
def test_posteriors_equal_scikit_learns(pairs, c):
    model = SM(c=c).fit(pairs)
    for embed, x in ((model.embed_images, pairs.images), (model.embed_texts, pairs.texts)):
        expected = scikit_learns_posteriors(x, pairs.classes("test"), c)
        np.testing.assert_allclose(embed(x), expected, atol=2e-4)  # both stop at a small gradient


def test_posteriors_of_several_labels_are_scikit_learns_sigmoids_scaled_to_sum_one(pairs):
    several = with_second_labels(pairs)
    sigmoids = scikit_learns_sigmoids(several.texts, several.labels, 0.5)
    expected = sigmoids / sigmoids.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(SM(c=0.5).fit(several).embed_texts(several.texts), expected, atol=2e-4)


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_more_features_than_items_give_the_posteriors_of_all_features(c):
    one = np.eye(3, dtype=bool)[np.arange(30) % 3]
    few = few_of_many_features(one)
    expected = scikit_learns_posteriors(few.images, few.classes("test"), c)
    np.testing.assert_allclose(SM(c=c).fit(few).embed_images(few.images), expected, atol=2e-4)
    several = few_of_many_features(one | np.roll(one, 1, axis=1) & (np.arange(30) % 2 == 0)[:, None])
    sigmoids = scikit_learns_sigmoids(several.images, several.labels, c)
    expected = sigmoids / sigmoids.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(SM(c=c).fit(several).embed_images(several.images), expected, atol=2e-4)


def objective(x, classes, c, weights, bias):
    log_p = scipy.special.log_softmax(x @ weights + bias, axis=1)
    return -log_p[np.arange(len(x)), classes].mean() + (weights**2).sum() / (2 * c * len(x))


@pytest.mark.parametrize("classes", [2, 3])
def test_posteriors_minimise_the_penalised_likelihood(pairs, classes):
    """Finite differences of -(1/n) sum log p + |V|^2 / (2 C n) vanish at the solution, for weights and bias."""
    given, c, step = merged(pairs, classes), 0.1, 1e-5
    model = SM(c=c).fit(given).image
    x = model.projection.scaling(given.images)
    parameters = np.vstack([model.projection.weights, model.bias])

    def value(parameters):
        return objective(x, given.classes("test"), c, parameters[:-1], parameters[-1])

    for place in np.ndindex(parameters.shape):
        bump = np.zeros_like(parameters)
        bump[place] = step
        assert abs(value(parameters + bump) - value(parameters - bump)) / (2 * step) < 3e-6


@pytest.mark.parametrize("c", [0.001, 0.1, 10.0])
def test_two_classes_are_those_of_the_two_column_softmax(pairs, c):
    two = merged(pairs, 2)
    x, d = standardised(two.images), two.images.shape[1]

    def value(parameters):
        return objective(x, two.classes("test"), c, parameters[: 2 * d].reshape(d, 2), parameters[2 * d :])

    solution = scipy.optimize.minimize(value, np.zeros(2 * d + 2), tol=1e-9).x
    expected = solution[: 2 * d].reshape(d, 2)
    model = SM(c=c).fit(two)
    np.testing.assert_allclose(model.image.projection.weights, expected, rtol=1e-4, atol=1e-4)  # numerical gradients
    posteriors = scipy.special.softmax(x @ expected + solution[2 * d :], axis=1)
    np.testing.assert_allclose(model.embed_images(two.images), posteriors, atol=1e-4)


def test_posterior_rows_sum_to_one_in_every_setting(pairs):
    for given, width in ((pairs, 3), (with_second_labels(pairs), 3), (merged(pairs, 2), 2)):
        model = SM(c=10.0).fit(given)
        # Far from all classes every sigmoid is zero to rounding.
        for texts in (given.texts, 1e4 * given.texts):
            posteriors = model.embed_texts(texts)
            assert posteriors.shape == (200, width)
            np.testing.assert_allclose(posteriors.sum(axis=1), 1, atol=1e-6)


def test_permuting_class_ids_permutes_the_posteriors(pairs):
    order = [2, 0, 1]
    permuted = Pairs(pairs.images, pairs.texts, pairs.labels[:, order])
    np.testing.assert_allclose(
        SM().fit(permuted).embed_texts(pairs.texts), SM().fit(pairs).embed_texts(pairs.texts)[:, order], atol=1e-5
    )


def test_views_need_not_be_paired(pairs):
    """Other texts of the same classes leave the image classifier as it is."""
    shuffled = Pairs(pairs.images, np.random.default_rng(0).permutation(pairs.texts), pairs.labels)
    np.testing.assert_array_equal(
        SM().fit(shuffled).embed_images(pairs.images), SM().fit(pairs).embed_images(pairs.images)
    )


@pytest.mark.parametrize("multi_label", [False, True])
def test_features_that_are_zero_give_class_priors(multi_label):
    labels = np.array([[True, False], [True, False], [True, False], [False, True]])
    found = logistic_regression(np.zeros((4, 2)), labels, multi_label, 1.0, 1e-8, 100)
    priors = scipy.special.expit(found.bias) if multi_label else scipy.special.softmax(found.bias)
    np.testing.assert_allclose(priors, [0.75, 0.25], atol=1e-6)
    np.testing.assert_array_equal(found.weights, 0)


def test_objective_starts_at_that_of_equal_posteriors_and_falls_to_the_minimum(pairs):
    model = SM(c=0.5).fit(pairs)
    for side, values in (("image", model.history["image objective"]), ("text", model.history["text objective"])):
        fitted = getattr(model, side)
        x = fitted.projection.scaling(getattr(pairs, f"{side}s"))
        assert values[0] == pytest.approx(np.log(3))
        assert (np.diff(values) < 0).all()
        least = objective(x, pairs.classes("test"), 0.5, fitted.projection.weights, fitted.bias)
        assert values[-1] == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize("multi_label", [False, True])
def test_rare_classes_do_not_hold_up_the_fit(multi_label):
    """Biases, which have no penalty, converge as fast as weights: 21 iterations, but 79 or 58 in another unit."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(8), [120, 40, 20, 8, 4, 4, 2, 2])
    views = (rng.normal(size=(8, d))[classes] + rng.normal(scale=2, size=(200, d)) for d in (300, 60))
    labels = np.eye(8, dtype=bool)[classes]
    model = SM(c=0.01).fit(Pairs(*views, labels | np.roll(labels, 7, axis=0) if multi_label else labels))
    assert len(model.history["image objective"]) < 40


@dataclass
class Counted:
    """Rows that count how often they are read."""

    values: np.ndarray
    passes: list = field(default_factory=list)

    @property
    def shape(self):
        return self.values.shape

    @property
    def dtype(self):
        return self.values.dtype

    def __len__(self):
        return len(self.values)

    def pieces(self):
        self.passes.append(1)
        yield from np.array_split(self.values, 3)


def test_candidates_share_the_data_and_nothing_else(pairs):
    images = Counted(pairs.images)
    shared = Pairs(images, pairs.texts, pairs.labels)
    SM(c=10.0).fit(shared)
    read = len(images.passes)
    second = SM(c=0.1).fit(shared)
    assert len(images.passes) == read > 0
    alone = SM(c=0.1).fit(pairs)
    np.testing.assert_array_equal(second.embed_images(pairs.images), alone.embed_images(pairs.images))


def with_absent_classes(pairs):
    """The same pairs of a data set with two further classes."""
    nothing = np.zeros(len(pairs), dtype=bool)
    return Pairs(pairs.images, pairs.texts, np.column_stack([nothing, pairs.labels, nothing]))


@pytest.mark.parametrize("change", [lambda pairs: pairs, with_second_labels], ids=["one", "several"])
def test_classes_absent_from_train_have_posterior_zero_and_change_no_other(pairs, change):
    given = change(pairs)
    with_absent = SM(c=0.5).fit(with_absent_classes(given))
    for x in (pairs.texts, 1e4 * pairs.texts):
        found = with_absent.embed_texts(x)
        np.testing.assert_array_equal(found[:, [0, -1]], 0)
        np.testing.assert_array_equal(found[:, 1:-1], SM(c=0.5).fit(given).embed_texts(x))
    restored = SM(c=0.5).restore(with_absent.state())
    np.testing.assert_array_equal(restored.embed_images(pairs.images), with_absent.embed_images(pairs.images))


def without_labels(pairs, rows):
    labels = pairs.labels.copy()
    labels[rows] = False
    return Pairs(pairs.images, pairs.texts, labels)


def test_pairs_without_a_label_do_not_change_softmax_posteriors_to_sigmoids(pairs):
    """They take part in the standardisation of features alone."""
    model = SM(c=0.5).fit(without_labels(pairs, slice(0, 200, 10)))
    z, labelled = standardised(pairs.images), np.arange(200) % 10 != 0
    oracle = LogisticRegression(C=0.5, max_iter=5000, tol=1e-8).fit(z[labelled], pairs.classes("test")[labelled])
    np.testing.assert_allclose(model.embed_images(pairs.images), oracle.predict_proba(z), atol=2e-4)


def test_of_several_labels_a_pair_without_one_has_none_of_the_classes(pairs):
    several = without_labels(with_second_labels(pairs), slice(0, 200, 10))
    sigmoids = scikit_learns_sigmoids(several.texts, several.labels, 0.5)
    expected = sigmoids / sigmoids.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(SM(c=0.5).fit(several).embed_texts(several.texts), expected, atol=2e-4)


def test_features_that_tell_of_unlabelled_pairs_alone_are_refused():
    images = np.array([[1.0], [-1], [1], [-1], [5], [3]])
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]], dtype=bool)
    texts = labels[:, :1] + np.arange(6.0)[:, None]
    with pytest.raises(UserError, match="sm: the features of the images are uncorrelated"):
        SM().fit(Pairs(images, texts, labels))


def test_data_without_classes_to_tell_apart_are_refused(pairs):
    everywhere, nowhere = np.ones((200, 1), dtype=bool), np.zeros((200, 1), dtype=bool)
    for labels, message in (
        (everywhere, "pairs of the train part have less than two classes"),
        (np.column_stack([pairs.labels[:, 0], nowhere]), "pairs of the train part have less than two classes"),
        (np.column_stack([everywhere, nowhere, everywhere]), "all pairs of the train part have the same classes"),
    ):
        with pytest.raises(UserError, match=f"^sm: {message}"):
            SM().fit(Pairs(pairs.images, pairs.texts, labels))


def test_an_item_far_from_all_classes_has_the_posteriors_of_log_sigmoids(pairs):
    """Where every sigmoid is zero to rounding, and so is their sum."""
    model = SM(c=1.0).fit(with_second_labels(pairs)).text
    # A text with these scores, but for the biases.
    direction = np.linalg.lstsq(model.projection.weights.T, np.array([-2000.0, -2001, -2002]))[0]
    text = pairs.texts.mean(axis=0) + pairs.texts.std(axis=0) * direction
    scores = np.array([-2000.0, -2001, -2002]) + model.bias
    assert not scipy.special.expit(scores).any()
    # The logarithm of so small a sigmoid is its score.
    np.testing.assert_allclose(model(text[None])[0], scipy.special.softmax(scores), atol=1e-3)  # float32 scores


def test_a_class_that_all_pairs_have_has_posterior_one_before_scaling(pairs):
    several = with_second_labels(pairs)
    with_common = Pairs(pairs.images, pairs.texts, np.insert(several.labels, 1, True, axis=1))
    model = SM(c=1.0).fit(with_common)
    sigmoids = np.insert(scikit_learns_sigmoids(pairs.texts, several.labels, 1.0), 1, 1.0, axis=1)
    expected = sigmoids / sigmoids.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.embed_texts(pairs.texts), expected, atol=2e-4)
    restored = SM(c=1.0).restore(model.state())
    np.testing.assert_array_equal(restored.embed_texts(pairs.texts), model.embed_texts(pairs.texts))


@pytest.mark.parametrize("several", [False, True])
def test_a_fit_that_does_not_converge_is_told_in_one_line_with_view_and_c(pairs, caplog, several):
    given = with_second_labels(pairs) if several else pairs
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        SM(c=7.0, max_iterations=3).fit(given)
    assert len(caplog.messages) == 2
    for message, view in zip(caplog.messages, ("images", "texts"), strict=True):
        assert view in message and "C = 7 " in message and "3 iterations" in message and "\n" not in message
    caplog.clear()
    SM(c=7.0).fit(given)
    assert not caplog.messages
