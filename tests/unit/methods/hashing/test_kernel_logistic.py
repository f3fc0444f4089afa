"""Logistic regression onto bits against scikit-learn's, one bit at a time."""

import logging

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cmr import rows
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
    found = kernel_logistic(features, bits, known, PENALTY)
    for b in range(4):
        oracle = LogisticRegression(C=1 / (2 * PENALTY), fit_intercept=False, tol=1e-10, max_iter=10_000)
        expected = oracle.fit(features[known], bits[known, b]).coef_[0]
        np.testing.assert_allclose(found[:, b], expected, atol=1e-3)


def test_gradient_is_zero_at_the_end(problem):
    features, bits, known = problem
    v = kernel_logistic(features, bits, known, PENALTY)
    x, targets = features[known], np.where(bits[known], 1.0, -1.0)
    gradient = 2 * PENALTY * v - x.T @ (targets / (1 + np.exp(targets * (x @ v))))
    assert np.abs(gradient).max() < 1e-2 < 0.1 * np.abs(x.T @ targets).max()


def test_blocks_change_nothing(problem, monkeypatch):
    whole = kernel_logistic(*problem, PENALTY)
    monkeypatch.setattr(module, "_BLOCK", 7)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 6 * 11)
    np.testing.assert_allclose(kernel_logistic(*problem, PENALTY), whole, atol=1e-4)


def test_a_fit_that_stops_early_warns(problem, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        kernel_logistic(*problem, PENALTY)
        assert not caplog.records
        monkeypatch.setattr(module, "MAX_ITERATIONS", 2)
        kernel_logistic(*problem, PENALTY)
    assert "after 2 iterations" in caplog.text
