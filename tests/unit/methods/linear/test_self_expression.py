"""Self-expression against dense n x n matrices, and LASSOs and rotations against independent solvers."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from scipy.linalg import null_space, polar
from sklearn.linear_model import Lasso

from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear import self_expression as module
from cmr.methods.linear.consensus import labelled_code
from cmr.methods.linear.csaec import neighbour_lists
from cmr.methods.linear.principal import principal_views
from cmr.methods.linear.self_expression import express, expression, residual_gram, rotate, self_expression
from cmr.methods.linear.tied_autoencoder import tied_autoencoder
from tests.unit.methods.linear.made import standardised

WEIGHTS = {"structure_weight": 0.1, "code_weight": 1.0, "sparsity": 0.1, "structure_sparsity": 0.1, "ridge": 0.01}

SPAN = null_space(np.ones((1, 3)))  # of centred labels of three classes, one an item


@pytest.fixture(params=["more items", "more features"])
def either(request, pairs):
    """The made pairs, and few pairs of many features."""
    if request.param == "more items":
        return pairs
    rng = np.random.default_rng(3)
    return Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 40)), np.eye(3, dtype=bool)[np.arange(30) % 3])


def rounds(pairs, orthonormal=False, **weights):
    return rounds_of(principal_views(pairs), pairs, orthonormal, **weights)


def rounds_of(views, pairs, orthonormal=False, **weights):
    semantic, neighbours = labelled_code(pairs, 3, 0.01, 1.0), neighbour_lists(pairs, 6)
    span = SPAN if orthonormal else None
    return self_expression(views, semantic, neighbours, **WEIGHTS | weights, span=span)


def features_of(pairs):
    return [standardised(x) / np.sqrt(x.shape[1]) for x in (pairs.images, pairs.texts)]


def test_neighbours_are_the_nearest_by_both_views_and_none_is_its_own(either):
    x = np.hstack(features_of(either))
    distances = ((x[:, None] - x[None]) ** 2).sum(axis=2) + np.diag(np.full(len(x), np.inf))
    neighbours = neighbour_lists(either, 6)
    np.testing.assert_array_equal(np.sort(neighbours), np.sort(distances.argsort(axis=1)[:, :6]))
    structure = expression(neighbours, np.random.default_rng(0).random((len(x), 6))).toarray()
    np.testing.assert_array_equal(np.diag(structure), 0.0)
    assert (np.count_nonzero(structure, axis=1) == 6).all()


def test_residual_gram_in_blocks_equals_the_dense_one(pairs, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    structure = expression(neighbour_lists(pairs, 6), np.random.default_rng(0).normal(size=(len(pairs), 6)))
    z = features_of(pairs)[0]
    residual = (np.eye(len(z)) - structure.toarray()) @ z
    np.testing.assert_allclose(residual_gram(structure, z), residual.T @ residual, atol=1e-12)


def test_items_are_expressed_as_by_scikit_learns_lasso(pairs, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    rng = np.random.default_rng(1)
    z, neighbours = (
        rng.normal(size=(20, 8)),
        np.array([rng.permutation(np.delete(np.arange(20), i))[:5] for i in range(20)]),
    )
    shares = np.full((20, 5), 0.2)
    for _ in range(20):
        shares = express(z, neighbours, shares, 0.8)
    for own, around, row in zip(z, neighbours, shares, strict=True):
        fit = Lasso(alpha=0.8 / (2 * 8), fit_intercept=False, tol=1e-12, max_iter=100_000).fit(z[around].T, own)
        np.testing.assert_allclose(row, fit.coef_, atol=1e-8)


@pytest.mark.parametrize("orthonormal", [False, True])
def test_objective_is_the_printed_one_of_the_features(either, orthonormal, monkeypatch):
    semantic, neighbours, seen = labelled_code(either, 3, 0.01, 1.0), neighbour_lists(either, 6), []
    monkeypatch.setattr(module, "expression", lambda *arguments: seen.append(expression(*arguments)) or seen[-1])
    views = principal_views(either)
    for at in islice(rounds(either, orthonormal, structure_sparsity=0.01), 3):
        structure = seen[-1].toarray()
        assert not structure[np.arange(len(either))[:, None] == np.arange(len(either))].any()
        expected = (
            np.sum((at.state.code - semantic) ** 2) + 0.1 * np.abs(at.state.code).sum() + 0.01 * np.abs(structure).sum()
        )
        for view, x, own in zip(views, features_of(either), at.state.weights, strict=True):
            p = view.projection(own).weights * np.sqrt(view.features)
            expected += np.sum((x @ p - at.state.code) ** 2) + 0.1 * np.sum((x @ p - structure @ x @ p) ** 2)
            if not orthonormal:
                expected += 0.01 * len(x) / x.shape[1] * np.sum(p**2)
        assert at.objective == pytest.approx(expected, rel=1e-10)
    assert len(seen) == 3 and neighbours.size > np.count_nonzero(structure) > 0


@pytest.mark.parametrize("structure_weight", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("orthonormal", [False, True])
def test_objective_never_rises(either, orthonormal, structure_weight):
    values = [at.objective for at in islice(rounds(either, orthonormal, structure_weight=structure_weight), 30)]
    assert (np.diff(values) <= 1e-12 * values[0]).all()
    assert values[-1] < 0.99 * values[0]


def test_weights_solve_the_normal_equations_of_the_features(either):
    views, neighbours = principal_views(either), neighbour_lists(either, 6)
    at = next(rounds(either, structure_weight=2.0))
    structure = expression(neighbours, np.full(neighbours.shape, 1 / 6)).toarray()
    for view, x, own in zip(views, features_of(either), at.state.weights, strict=True):
        n, d = x.shape
        residual = x - structure @ x
        left = x.T @ x + 2.0 * residual.T @ residual + 0.01 * n / d * np.eye(d)
        expected = np.linalg.solve(left, x.T @ at.state.code)
        np.testing.assert_allclose(view.projection(own).weights * np.sqrt(d), expected, atol=1e-9)


def test_without_structure_both_kinds_of_autoencoder_are_the_same(pairs):
    semantic = labelled_code(pairs, 3, 0.01, 1.0)
    tied = tied_autoencoder(
        principal_views(pairs), semantic, decoder_weight=0.0, code_weight=1.0, sparsity=0.3, ridge=0.01
    )
    for one, other in islice(zip(tied, rounds(pairs, structure_weight=0.0, sparsity=0.3), strict=False), 5):
        np.testing.assert_allclose(one.state.code, other.state.code, atol=1e-6)  # one solves for the code by iterating
        for p, q in zip(one.state.weights, other.state.weights, strict=True):
            np.testing.assert_allclose(p, q, atol=1e-5)


def test_a_large_weight_holds_the_code_at_the_semantic_one(pairs):
    *_, at = islice(rounds(pairs, code_weight=1e6), 5)
    np.testing.assert_allclose(at.state.code, labelled_code(pairs, 3, 0.01, 1.0), atol=1e-4)


def test_rotations_settle_where_no_orthonormal_weights_nearby_are_better():
    rng = np.random.default_rng(5)
    x, target = rng.normal(size=(30, 8)), rng.normal(size=(30, 3))
    hessian, product = x.T @ x, x.T @ target

    def objective(p):
        return np.sum((x @ p - target) ** 2)

    start = polar(product)[0]
    p = rotate(hessian, product, start)
    assert objective(p) < objective(start)
    for _ in range(100):
        p = rotate(hessian, product, p)
    np.testing.assert_allclose(p.T @ p, np.eye(3), atol=1e-12)
    # Stationary: the gradient has no part along the manifold, where it is P times a symmetric matrix.
    gradient = hessian @ p - product
    multipliers = p.T @ gradient
    np.testing.assert_allclose(multipliers, multipliers.T, atol=1e-7)
    np.testing.assert_allclose(gradient, p @ multipliers, atol=1e-7)


def test_rotations_gain_within_one_call_all_but_a_millionth_of_what_there_is_to_gain():
    rng = np.random.default_rng(5)
    x, target = rng.normal(size=(30, 8)) * np.linspace(1, 0.3, 8), rng.normal(size=(30, 3))
    hessian, product = x.T @ x, x.T @ target

    def objective(p):
        return np.sum((x @ p - target) ** 2)

    start = polar(product)[0]
    p = least = rotate(hessian, product, start)
    for _ in range(20):
        least = rotate(hessian, product, least)
    assert objective(p) - objective(least) < 1e-6 * (objective(start) - objective(least))


def test_of_fewer_ranks_than_directions_the_rows_are_orthonormal(pairs):
    # Topic shares sum to one: as many features as directions, but one rank less.
    texts = np.column_stack([pairs.texts[:, 0], -pairs.texts[:, 0]])
    values = []
    for at in islice(rounds(Pairs(pairs.images, texts, pairs.labels), orthonormal=True), 30):
        weights = at.state.weights[1]
        assert weights.shape == (1, 3)
        np.testing.assert_allclose(weights @ weights.T, np.eye(1), atol=1e-10)
        values.append(at.objective)
    assert (np.diff(values) <= 1e-12 * values[0]).all()


def test_orthonormal_weights_are_those_of_the_directions_of_the_code_and_of_no_basis_of_them(pairs):
    rotation = np.linalg.qr(np.random.default_rng(7).normal(size=(2, 2)))[0]
    semantic, neighbours = labelled_code(pairs, 3, 0.01, 1.0), neighbour_lists(pairs, 6)
    found = []
    for span in (SPAN, SPAN @ rotation):
        *_, at = islice(self_expression(principal_views(pairs), semantic, neighbours, **WEIGHTS, span=span), 5)
        found.append(at.state)
    for p, q in zip(found[0].weights, found[1].weights, strict=True):
        np.testing.assert_allclose(p.T @ p, np.eye(3) - 1 / 3, atol=1e-12)
        np.testing.assert_allclose(q, p, atol=1e-9)
    np.testing.assert_allclose(found[1].code, found[0].code, atol=1e-9)


@pytest.mark.parametrize("orthonormal", [False, True])
def test_signs_of_principal_axes_change_nothing(either, orthonormal):
    rng = np.random.default_rng(8)
    views, turned = principal_views(either), []
    for view in views:
        signs = rng.choice([-1.0, 1.0], size=len(view.values))
        turned.append(replace(view, axes=view.axes * signs, rows=view.rows * signs))
    *_, at = islice(rounds_of(views, either, orthonormal), 5)
    *_, other = islice(rounds_of(turned, either, orthonormal), 5)
    for view, p, turn, q in zip(views, at.state.weights, turned, other.state.weights, strict=True):
        np.testing.assert_allclose(turn.projection(q).weights, view.projection(p).weights, atol=1e-9)


def test_a_direction_of_which_a_view_tells_nothing_has_no_orthonormal_weights(pairs):
    # What one of the two directions of the code explains is taken out of the texts, to rounding.
    images, texts = principal_views(pairs)
    told = labelled_code(pairs, 3, 0.01, 1.0) @ SPAN[:, :1]
    blind = replace(texts, rows=texts.rows - told @ np.linalg.lstsq(told, texts.rows, rcond=None)[0])
    with pytest.raises(InfeasibleError, match="csaec: a view tells nothing of some of the 2 directions of the code"):
        next(rounds_of((images, blind), pairs, orthonormal=True))


def test_rounding_does_not_choose_orthonormal_weights(pairs):
    *_, at = islice(rounds(pairs, orthonormal=True), 3)
    rng = np.random.default_rng(3)
    images, texts = (x * (1 + 1e-13 * rng.normal(size=x.shape)) for x in (pairs.images, pairs.texts))
    *_, moved = islice(rounds(Pairs(images, texts, pairs.labels), orthonormal=True), 3)
    for p, q in zip(at.state.weights, moved.state.weights, strict=True):
        np.testing.assert_allclose(q, p, atol=1e-9)
