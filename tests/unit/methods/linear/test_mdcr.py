"""MDCR against the joint linear system of both views' weights, and gradient descent."""

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.mdcr import MDCR, coupled_regression
from tests.unit.methods.linear.made import standardised

RIDGE = 0.03


def dense(pairs):
    return standardised(pairs.images), standardised(pairs.texts), pairs.labels - pairs.labels.mean(axis=0)


def joint_solution(x, y, t, coupling):
    """U, V of one direction, x being the queries: all derivatives set to zero at once."""
    n, d = x.shape
    left = np.block([[x.T @ x, -coupling * x.T @ y], [-coupling * y.T @ x, coupling * y.T @ y]])
    right = np.vstack([(1 - coupling) * x.T @ t, np.zeros((y.shape[1], t.shape[1]))])
    solution = np.linalg.solve(left + RIDGE * n * np.eye(len(left)), right)
    return solution[:d], solution[d:]


@pytest.fixture(scope="module")
def few():
    """More features than items."""
    rng = np.random.default_rng(5)
    labels = np.eye(3, dtype=bool)[np.arange(30) % 3]
    return Pairs(labels @ rng.normal(size=(3, 80)) + rng.normal(size=(30, 80)), rng.normal(size=(30, 50)), labels)


@pytest.mark.parametrize("data", ["pairs", "few"])
def test_both_spaces_solve_their_joint_equations(data, request):
    pairs = request.getfixturevalue(data)
    model = MDCR(0.2, 0.6, RIDGE).fit(pairs)
    x, y, t = dense(pairs)
    u, v = joint_solution(x, y, t, 0.2)
    np.testing.assert_allclose(model.image_queries.image.weights, u, atol=1e-11)
    np.testing.assert_allclose(model.image_queries.text.weights, v, atol=1e-11)
    v, u = joint_solution(y, x, t, 0.6)
    np.testing.assert_allclose(model.text_queries.image.weights, u, atol=1e-11)
    np.testing.assert_allclose(model.text_queries.text.weights, v, atol=1e-11)


def test_gradient_descent_on_the_objective_ends_at_the_solution(pairs):
    x, y, t = dense(pairs)
    n, coupling = len(x), 0.4
    rng = np.random.default_rng(1)
    u, v = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    for _ in range(8000):
        apart = coupling * (x @ u - y @ v)
        slope_u = x.T @ (apart + (1 - coupling) * (x @ u - t)) + RIDGE * n * u
        slope_v = -y.T @ apart + RIDGE * n * v
        u, v = u - slope_u / (5 * n), v - slope_v / (5 * n)
    model = MDCR(image_query_coupling=coupling, ridge=RIDGE).fit(pairs).image_queries
    np.testing.assert_allclose(model.image.weights, u, atol=1e-9)
    np.testing.assert_allclose(model.text.weights, v, atol=1e-9)


def test_without_coupling_queries_are_a_ridge_regression_and_nothing_draws_the_others(pairs):
    x, y, t = dense(pairs)
    u, v = coupled_regression(x.T @ x, y.T @ y, x.T @ y, x.T @ t, coupling=0.0, ridge=2.0)
    np.testing.assert_allclose(u, np.linalg.solve(x.T @ x + 2.0 * np.eye(7), x.T @ t), atol=1e-12)
    np.testing.assert_array_equal(v, np.zeros((5, 3)))


def test_coupling_near_one_leaves_nothing_of_the_labels(pairs):
    sizes = [
        np.linalg.norm(MDCR(image_query_coupling=coupling).fit(pairs).image_queries.image.weights)
        for coupling in (0.5, 0.99, 1 - 1e-9)
    ]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] < 1e-6 * sizes[0]


def test_swapping_the_views_swaps_the_directions(pairs):
    model, swapped = MDCR(0.1, 0.5).fit(pairs), MDCR(0.5, 0.1).fit(Pairs(pairs.texts, pairs.images, pairs.labels))
    np.testing.assert_allclose(swapped.text_queries.text.weights, model.image_queries.image.weights, atol=1e-12)
    np.testing.assert_allclose(swapped.image_queries.text.weights, model.text_queries.image.weights, atol=1e-12)


def test_repeating_all_items_changes_nothing(pairs):
    twice = Pairs(*(np.concatenate([part, part]) for part in (pairs.images, pairs.texts, pairs.labels)))
    once, again = MDCR().fit(pairs), MDCR().fit(twice)
    np.testing.assert_allclose(again.text_queries.image.weights, once.text_queries.image.weights, atol=1e-12)


def test_several_labels_a_pair_are_regressed_onto_as_they_are(pairs):
    several = Pairs(
        pairs.images, pairs.texts, pairs.labels | np.roll(pairs.labels, 1, axis=1) & (pairs.texts[:, :1] > 0)
    )
    u, _ = joint_solution(*dense(several), 0.1)
    np.testing.assert_allclose(MDCR(ridge=RIDGE).fit(several).image_queries.image.weights, u, atol=1e-11)


def test_restored_model_keeps_each_space_in_its_place(pairs):
    method = MDCR()
    model = method.fit(pairs)
    restored = method.restore(model.state())
    assert not np.allclose(model.image_queries.text.weights, model.text_queries.text.weights)
    for task in ("img2txt", "txt2img"):
        np.testing.assert_array_equal(restored.embed_texts(pairs.texts, task), model.embed_texts(pairs.texts, task))


@pytest.mark.parametrize("coupling", [0.0, 1.0])
@pytest.mark.parametrize("name", ["image_query_coupling", "text_query_coupling"])
def test_couplings_that_leave_a_side_out_are_refused(pairs, name, coupling):
    with pytest.raises(InfeasibleError, match=f"mdcr: {name} is {coupling:g}, but must lie between"):
        MDCR(**{name: coupling}).fit(pairs)


def test_pairs_of_one_class_are_refused(pairs):
    with pytest.raises(UserError, match=r"mdcr: all pairs .* the same classes"):
        MDCR().fit(Pairs(pairs.images, pairs.texts, np.ones((200, 1), dtype=bool)))
