"""Logistic regression onto bits against scikit-learn's, one bit at a time."""

import logging

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cmr import rows
from cmr.errors import UserError
from cmr.methods.hashing import kernel_logistic as module
from cmr.methods.hashing.kernel_logistic import kernel_logistic

PENALTY = 0.05


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(150, 6)) * np.array([5, 2, 1, 1, 0.1, 0.01])
    bits = features @ rng.normal(size=(6, 4)) + rng.normal(size=(150, 4)) > 0
    return features, bits, rng.random(150) < 0.8


def test_weights_are_those_of_scikit_learn_on_the_known_items(problem):
    features, bits, known = problem
    found = kernel_logistic(features, bits, known, PENALTY, "images")
    for b in range(4):
        oracle = LogisticRegression(C=1 / (2 * PENALTY), fit_intercept=False, tol=1e-10, max_iter=10_000)
        expected = oracle.fit(features[known], bits[known, b]).coef_[0]
        np.testing.assert_allclose(found[:, b], expected, atol=1e-3)


def test_gradient_is_zero_at_the_end(problem):
    features, bits, known = problem
    v = kernel_logistic(features, bits, known, PENALTY, "images")
    x, targets = features[known], np.where(bits[known], 1.0, -1.0)
    gradient = 2 * PENALTY * v - x.T @ (targets / (1 + np.exp(targets * (x @ v))))
    assert np.abs(gradient).max() < 1e-2 < 0.1 * np.abs(x.T @ targets).max()


def test_blocks_change_nothing(problem, monkeypatch):
    whole = kernel_logistic(*problem, PENALTY, "images")
    monkeypatch.setattr(module, "_BLOCK", 7)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 6 * 11)
    np.testing.assert_allclose(kernel_logistic(*problem, PENALTY, "images"), whole, atol=1e-4)


def test_features_that_give_all_items_the_same_bits_are_refused_in_the_name_of_the_view(problem):
    _, bits, known = problem
    for features in (np.ones((150, 1)), np.zeros((150, 2))):
        with pytest.raises(UserError, match="seph: by their features, all texts of the train part get the same code"):
            kernel_logistic(features, bits, known, PENALTY, "texts")
    one = np.zeros((150, 1))
    one[np.flatnonzero(known)[0]] = 1.0  # where all others are zero, a bit that is not set is enough
    assert kernel_logistic(one, np.zeros((150, 1), dtype=bool), known, PENALTY, "texts") < 0


def test_a_fit_that_stops_early_warns(problem, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        kernel_logistic(*problem, PENALTY, "images")
        assert not caplog.records
        monkeypatch.setattr(module, "MAX_ITERATIONS", 2)
        kernel_logistic(*problem, PENALTY, "images")
    assert "after 2 iterations" in caplog.text
