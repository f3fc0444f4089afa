"""The tied autoencoder against its equations in the features, whole views and dense matrices."""

from itertools import islice

import numpy as np
import pytest
import scipy.linalg

from cmr.methods.base import Pairs
from cmr.methods.linear.consensus import labelled_code
from cmr.methods.linear.principal import principal_views
from cmr.methods.linear.tied_autoencoder import encoder, tied_autoencoder
from tests.unit.methods.linear.made import standardised

WEIGHTS = {"decoder_weight": 0.1, "code_weight": 1.0, "sparsity": 0.1, "ridge": 0.01}


@pytest.fixture(params=["more items", "more features"])
def either(request, pairs):
    """The made pairs, and few pairs of many features."""
    if request.param == "more items":
        return pairs
    rng = np.random.default_rng(3)
    return Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 40)), np.eye(3, dtype=bool)[np.arange(30) % 3])


def rounds(pairs, **weights):
    return tied_autoencoder(principal_views(pairs), labelled_code(pairs, 3, 0.01, 1.0), **WEIGHTS | weights)


def features_of(pairs):
    return [standardised(x) / np.sqrt(x.shape[1]) for x in (pairs.images, pairs.texts)]


def lifted(pairs, weights):
    """Weights of the features of `features_of`."""
    views = zip(principal_views(pairs), weights, strict=True)
    return [view.projection(own).weights * np.sqrt(view.features) for view, own in views]


def objective(pairs, semantic, weights, code, *, decoder_weight, code_weight, sparsity, ridge):
    """As it is printed, from the features."""
    total = code_weight * np.sum((code - semantic) ** 2) + sparsity * np.sum(np.abs(code))
    for x, p in zip(features_of(pairs), weights, strict=True):
        total += np.sum((x @ p - code) ** 2) + decoder_weight * np.sum((x - code @ p.T) ** 2)
        total += ridge * len(x) / x.shape[1] * np.sum(p**2)
    return total


def test_encoders_solve_their_sylvester_equation(either):
    for view, x in zip(principal_views(either), features_of(either), strict=True):
        code = np.random.default_rng(7).normal(size=(len(x), 4)) @ np.diag([1.0, 1, 1, 0])  # of rank 3
        product, gram = view.rows.T @ code, code.T @ code
        p = encoder(view, product, gram, 0.7, 0.3)
        left = np.diag(view.values) + 0.3 * np.eye(len(view.values))
        residual = left @ p + 0.7 * p @ gram - 1.7 * product
        assert np.linalg.norm(residual) < 1e-12 * np.linalg.norm(product)
        expected = scipy.linalg.solve_sylvester(x.T @ x + 0.3 * np.eye(x.shape[1]), 0.7 * gram, 1.7 * x.T @ code)
        found = view.projection(p).weights * np.sqrt(x.shape[1])
        assert np.linalg.norm(found - expected) < 1e-12 * np.linalg.norm(expected)


def test_objective_is_the_printed_one_of_the_features(either):
    semantic = labelled_code(either, 3, 0.01, 1.0)
    for at in islice(rounds(either), 3):
        expected = objective(either, semantic, lifted(either, at.state.weights), at.state.code, **WEIGHTS)
        assert at.objective == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("decoder_weight", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_objective_never_rises(either, decoder_weight, sparsity):
    values = [at.objective for at in islice(rounds(either, decoder_weight=decoder_weight, sparsity=sparsity), 40)]
    assert (np.diff(values) <= 1e-12 * values[0]).all()
    assert values[-1] < 0.99 * values[0]


def test_no_neighbouring_weights_or_code_are_better_once_it_has_settled(pairs):
    semantic = labelled_code(pairs, 3, 0.01, 1.0)
    *_, at = islice(rounds(pairs), 400)
    weights = lifted(pairs, at.state.weights)
    best = objective(pairs, semantic, weights, at.state.code, **WEIGHTS)
    assert (at.state.code == 0).any()
    rng = np.random.default_rng(0)
    for size in (1e-2, 1e-4):
        for _ in range(20):
            moved = [p + size * rng.normal(size=p.shape) for p in weights]
            assert objective(pairs, semantic, moved, at.state.code, **WEIGHTS) > best
            code = at.state.code + size * rng.normal(size=at.state.code.shape) * (
                rng.random(at.state.code.shape) < 0.02
            )
            assert objective(pairs, semantic, weights, code, **WEIGHTS) > best


def test_a_large_weight_holds_the_code_at_the_semantic_one(pairs):
    *_, at = islice(rounds(pairs, code_weight=1e6), 5)
    np.testing.assert_allclose(at.state.code, labelled_code(pairs, 3, 0.01, 1.0), atol=1e-4)
