"""Row-sparse penalties and the regression that their methods share, against dense oracles."""

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs
from cmr.methods.linear.descent import repeat, settle
from cmr.methods.linear.moments import moments
from cmr.methods.linear.regression import label_variation, squared_error
from cmr.methods.linear.row_sparsity import EPSILON, in_coordinates, row_norm, row_weights, solve_reweighted
from tests.unit.methods.linear.made import standardised

GROUPS = np.array([0, 0, 1, 1, 2])


@pytest.fixture
def u():
    u = np.random.default_rng(0).normal(size=(5, 3))
    u[1:3] = 0
    return u


def test_norm_sums_rows_or_groups_of_rows(u):
    slack = 5 * np.sqrt(EPSILON)
    assert row_norm(u) == pytest.approx(sum(np.linalg.norm(row) for row in u), abs=slack)
    blocks = (u[:2], u[2:4], u[4:])
    assert row_norm(u, GROUPS) == pytest.approx(sum(np.linalg.norm(block) for block in blocks), abs=slack)


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_twice_the_weighted_rows_are_the_gradient_of_the_norm(u, groups):
    """Finite differences, at a zero row too, where the norm is smooth on the scale of sqrt(EPSILON)."""
    step = 1e-7
    for i, j in np.ndindex(u.shape):
        bump = np.zeros_like(u)
        bump[i, j] = step
        slope = (row_norm(u + bump, groups) - row_norm(u - bump, groups)) / (2 * step)
        assert slope == pytest.approx(2 * row_weights(u, groups)[i] * u[i, j], abs=1e-6)


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_reweighted_steps_reach_what_proximal_gradients_reach(groups):
    """Block soft thresholding solves the problem without smoothing; one row or group is zero in it."""
    rng = np.random.default_rng(1)
    x, penalty = rng.normal(size=(40, 5)), 9.0
    t = x[:, :2] + rng.normal(size=(40, 2))
    gram, right = x.T @ x, x.T @ t
    members = np.eye(5) if groups is None else np.eye(3)[groups]
    found, expected, step = np.zeros((5, 2)), np.zeros((5, 2)), 1 / np.linalg.norm(gram, 2)
    objectives = []
    for _ in range(500):
        found = solve_reweighted(gram, 2 * penalty * row_weights(found, groups), right, "test")
        objectives.append(0.5 * np.linalg.norm(x @ found - t) ** 2 + penalty * row_norm(found, groups))
        expected = expected - step * (gram @ expected - right)
        norms = np.sqrt(members @ members.T @ (expected**2).sum(axis=1))[:, None]
        expected *= np.maximum(0, 1 - step * penalty / norms)
    assert (np.diff(objectives) <= 1e-10).all()
    assert not expected.any(axis=1).all() and expected.any()
    np.testing.assert_allclose(found, expected, atol=2e-4)  # smoothing leaves sqrt(EPSILON) of a zero row


def test_solution_leaves_the_gram_matrix_as_it_was():
    x = np.random.default_rng(2).normal(size=(9, 4))
    gram, diagonal, right = x.T @ x, np.arange(1.0, 5.0), x.T @ np.ones((9, 2))
    before = gram.copy()
    expected = np.linalg.inv(gram + np.diag(diagonal)) @ right
    np.testing.assert_allclose(solve_reweighted(gram, diagonal, right, "test"), expected, atol=1e-12)
    np.testing.assert_array_equal(gram, before)


def test_weights_found_in_the_row_space_are_those_of_the_equations_of_all_features():
    rng = np.random.default_rng(4)
    few = Pairs(rng.normal(size=(12, 30)), rng.normal(size=(12, 3)), np.eye(2, dtype=bool)[np.arange(12) % 2])
    view, labels = moments(few).x, moments(few).x_labels
    inner = rng.normal(size=(11, 11))
    inner = view.gram + inner @ inner.T
    diagonal = 10.0 ** rng.uniform(-2, 4, size=30)  # as reweighting spreads them
    found = solve_reweighted(inner, diagonal, labels, "test", view.rotation)
    lifted = view.rotation @ inner @ view.rotation.T
    np.testing.assert_allclose((lifted + np.diag(diagonal)) @ found, view.rotation @ labels, atol=1e-9)
    x = standardised(few.images)
    np.testing.assert_allclose(x @ found, view.coordinates(few.images) @ in_coordinates(view, found), atol=1e-12)
    full = moments(few, reduce=False).x
    np.testing.assert_array_equal(in_coordinates(full, found), found)


@pytest.mark.parametrize("rotation", [None, np.eye(5)[:, :3]])
def test_singular_equations_are_refused(rotation):
    with pytest.raises(InfeasibleError, match=r"^test: its equations are singular"):
        solve_reweighted(np.zeros((3, 3)), np.zeros(3 if rotation is None else 5), np.ones((3, 1)), "test", rotation)


def test_squared_error_is_that_of_centred_labels(pairs):
    x, t = standardised(pairs.images), pairs.labels - pairs.labels.mean(axis=0)
    u = np.random.default_rng(3).normal(size=(7, 3))
    found = squared_error(x.T @ x, x.T @ pairs.labels, label_variation(pairs, "test"), u)
    assert found == pytest.approx(np.linalg.norm(x @ u - t) ** 2)


def test_labels_that_tell_nothing_apart_are_refused(pairs):
    with pytest.raises(NotApplicableError, match=r"^test: it learns from classes"):
        label_variation(Pairs(pairs.images, pairs.texts, pairs.labels[:, :0]), "test")
    same = np.tile([True, False, True], (200, 1))
    with pytest.raises(UserError, match=r"^test: all pairs .* the same classes"):
        label_variation(Pairs(pairs.images, pairs.texts, same), "test")


@pytest.mark.parametrize("most, tolerance, steps", [(10, 0.0, 10), (10, 0.3, 3), (0, 0.3, 0)])
def test_descent_ends_by_its_tolerance_or_its_limit(most, tolerance, steps):
    def halve(x):
        return x / 2

    def objective(x):
        return 1 + x  # changes by 1/4, 1/6 * ... of itself

    rounds = repeat(halve, 4.0, objective)
    state, values = settle(rounds, max_iterations=most, tolerance=tolerance, method="test")
    assert values == [1 + 4.0 / 2**i for i in range(steps + 1)]
    assert state == 4.0 / 2**steps
