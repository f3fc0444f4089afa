"""JFSSL against dense graphs over all images and texts."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs
from cmr.methods.linear import jfssl
from cmr.methods.linear.jfssl import JFSSL
from cmr.methods.linear.row_sparsity import EPSILON
from tests.unit.methods.linear.made import standardised


@pytest.fixture(scope="module")
def several(pairs):
    """The same pairs with one, two or no classes each."""
    labels = pairs.labels | (np.roll(pairs.labels, 1, axis=1) & (pairs.texts[:, :1] > 0))
    labels[:3] = False
    return Pairs(pairs.images, pairs.texts, labels)


def neighbour_weights(x, k):
    distances = cdist(x, x)
    np.fill_diagonal(distances, np.inf)
    chosen = np.argsort(distances, axis=1)[:, :k]
    width = np.mean(np.take_along_axis(distances, chosen, axis=1) ** 2)
    weights = np.zeros_like(distances)
    for i, row in enumerate(chosen):
        for j in row:
            weights[i, j] = weights[j, i] = np.exp(-(distances[i, j] ** 2) / (2 * width))
    return weights


def label_weights(labels):
    weights = np.zeros((len(labels), len(labels)))
    for i, one in enumerate(labels):
        for j, other in enumerate(labels):
            if (one & other).any():
                weights[i, j] = (one & other).sum() / np.sqrt(one.sum() * other.sum())
    return weights


def joint_weights(pairs, k, neighbour_weight=1.0):
    """(2n, 2n): the neighbour graphs on the diagonal, and edges between views of the same mean degree beside it."""
    nothing = np.zeros((len(pairs), len(pairs)))
    within = np.block(
        [
            [neighbour_weights(standardised(pairs.images), k), nothing],
            [nothing, neighbour_weights(standardised(pairs.texts), k)],
        ]
    )
    between = label_weights(pairs.labels)
    between = np.block([[nothing, between], [between, nothing]])
    between *= within.sum() / between.sum()
    joint = neighbour_weight * within + between
    return joint / joint.sum(axis=1).mean()


def dense_objective(pairs, sparsity, graph_weight, weights):
    """A function of U and V stacked, and its gradient."""
    x, y = standardised(pairs.images), standardised(pairs.texts)
    z = np.block([[x, np.zeros((len(x), y.shape[1]))], [np.zeros((len(y), x.shape[1])), y]])
    t = np.vstack([pairs.labels - pairs.labels.mean(axis=0)] * 2)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    sparsity *= len(pairs) / 2000

    def objective(flat):
        w = flat.reshape(z.shape[1], -1)
        error, norms = z @ w - t, np.sqrt((w**2).sum(axis=1) + EPSILON)
        value = (error**2).sum() + sparsity * norms.sum() + graph_weight * np.trace(w.T @ z.T @ laplacian @ z @ w)
        slope = 2 * z.T @ error + sparsity * w / norms[:, None] + 2 * graph_weight * z.T @ laplacian @ z @ w
        return value, slope.ravel()

    return objective


def stacked(model):
    return np.vstack([model.image.weights, model.text.weights])


@pytest.mark.parametrize("neighbour_weight", [0.3, 2.0])
@pytest.mark.parametrize("which", ["pairs", "several"])
def test_factored_graph_is_the_dense_one(which, neighbour_weight, request):
    part = request.getfixturevalue(which)
    weights = joint_weights(part, 6, neighbour_weight)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    graph = part.once(jfssl._joint_graph, 6, neighbour_weight)
    x, y, n = standardised(part.images), standardised(part.texts), len(part)
    np.testing.assert_allclose(graph.x, x.T @ laplacian[:n, :n] @ x, atol=1e-9)
    np.testing.assert_allclose(graph.y, y.T @ laplacian[n:, n:] @ y, atol=1e-9)
    np.testing.assert_allclose(graph.cross, x.T @ laplacian[:n, n:] @ y, atol=1e-9)


@pytest.mark.parametrize("neighbour_weight", [0.0, 1.0])
def test_joint_laplacian_is_positive_semi_definite(several, neighbour_weight):
    graph = several.once(jfssl._joint_graph, 6, neighbour_weight)
    values = np.linalg.eigvalsh(np.block([[graph.x, graph.cross], [graph.cross.T, graph.y]]))
    assert values[0] > -1e-12 * values[-1]


@pytest.mark.parametrize("neighbour_weight", [0.0, 1.0])
def test_rows_of_the_joint_laplacian_sum_to_zero(neighbour_weight):
    """Where edges join items of a class alone, it is zero for what is the same over each class."""
    rng, classes = np.random.default_rng(4), np.repeat(np.arange(3), [8, 12, 20])
    images, texts, targets = (rng.normal(size=(3, d))[classes] for d in (7, 5, 2))
    part = Pairs(images, texts, np.eye(3, dtype=bool)[classes])
    graph = part.once(jfssl._joint_graph, 6, neighbour_weight)
    a, b = (np.linalg.lstsq(standardised(x), targets - targets.mean(axis=0))[0] for x in (images, texts))
    np.testing.assert_allclose(graph.x @ a + graph.cross @ b, 0, atol=1e-11)
    np.testing.assert_allclose(graph.cross.T @ a + graph.y @ b, 0, atol=1e-11)
    assert np.abs(graph.cross @ b).max() > 1


def test_graph_penalises_differences_along_its_edges(several):
    graph, weights = several.once(jfssl._joint_graph, 6, 1.0), joint_weights(several, 6)
    u, v = (np.random.default_rng(d).normal(size=(d, 3)) for d in (7, 5))
    z = np.vstack([standardised(several.images) @ u, standardised(several.texts) @ v])
    assert graph.roughness(u, v) == pytest.approx((weights * cdist(z, z, "sqeuclidean")).sum() / 2)
    assert graph.roughness(u, v) >= 0


@pytest.mark.parametrize("which", ["pairs", "several"])
def test_iterations_reach_the_minimum_of_the_dense_objective(which, request):
    part = request.getfixturevalue(which)
    model = JFSSL(sparsity=200.0, graph_weight=3.0, neighbours=6, max_iterations=300, tolerance=1e-14).fit(part)
    objective = dense_objective(part, 200.0, 3.0, joint_weights(part, 6))
    assert model.history["objective"][-1] == pytest.approx(objective(stacked(model).ravel())[0], rel=1e-9)
    start = np.random.default_rng(0).normal(size=stacked(model).size)
    oracle = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(stacked(model).ravel(), oracle.x, atol=1e-5)


@pytest.mark.parametrize("graph_weight, neighbour_weight", [(0.1, 1.0), (30.0, 0.0), (1000.0, 1.0)])
def test_objective_never_rises(several, graph_weight, neighbour_weight):
    method = JFSSL(50.0, graph_weight, neighbours=6, neighbour_weight=neighbour_weight, max_iterations=50, tolerance=0)
    objective = np.array(method.fit(several).history["objective"])
    assert len(objective) > 10 and objective[1] < objective[0]
    assert (np.diff(objective) <= 1e-12 * objective[0]).all()


def test_second_view_follows_the_first_within_an_iteration(pairs):
    model = JFSSL(sparsity=0.0, graph_weight=5.0, neighbours=6, max_iterations=1).fit(pairs)
    _, slope = dense_objective(pairs, 0.0, 5.0, joint_weights(pairs, 6))(stacked(model).ravel())
    image_slope, text_slope = np.split(slope.reshape(-1, 3), [7])
    assert np.abs(text_slope).max() < 1e-8 and np.abs(image_slope).max() > 1


def test_without_penalties_it_is_least_squares(pairs):
    model = JFSSL(sparsity=0.0, graph_weight=0.0).fit(pairs)
    t = pairs.labels - pairs.labels.mean(axis=0)
    for view, projection in ((pairs.images, model.image), (pairs.texts, model.text)):
        expected = np.linalg.lstsq(standardised(view), t, rcond=None)[0]
        np.testing.assert_allclose(projection.weights, expected, atol=1e-11)


def test_without_graph_a_view_is_regressed_alone(pairs):
    other = Pairs(pairs.images, pairs.texts[::-1] ** 2, pairs.labels)
    alone = [JFSSL(graph_weight=0.0, tolerance=0).fit(part).image.weights for part in (pairs, other)]
    together = [JFSSL(graph_weight=1.0, tolerance=0).fit(part).image.weights for part in (pairs, other)]
    np.testing.assert_allclose(alone[0], alone[1], atol=1e-12)
    assert not np.allclose(together[0], together[1], atol=1e-3)


def test_features_that_tell_nothing_are_dropped(pairs):
    noise = np.random.default_rng(1).normal(size=(200, 4))
    part = Pairs(np.column_stack([pairs.images, noise]), pairs.texts, pairs.labels)
    rows = np.linalg.norm(JFSSL(sparsity=500.0, max_iterations=100).fit(part).image.weights, axis=1)
    assert rows[7:].max() < 1e-3 and rows[:7].max() > 0.05


def test_a_penalty_means_the_same_for_any_number_of_items(pairs):
    twice = Pairs(*(np.concatenate([array, array]) for array in (pairs.images, pairs.texts, pairs.labels)))
    one, other = (JFSSL(sparsity=100.0, graph_weight=0.0).fit(part) for part in (pairs, twice))
    np.testing.assert_allclose(stacked(other), stacked(one), atol=1e-10)


def test_neighbours_that_are_all_equal_do_no_harm(pairs):
    part = Pairs(*(np.repeat(array[:60], 4, axis=0) for array in (pairs.images, pairs.texts, pairs.labels)))
    weights = jfssl.gaussian_graph(np.repeat(np.eye(3), 4, axis=0), 3)
    np.testing.assert_array_equal(weights.toarray(), np.kron(np.eye(3), np.ones((4, 4)) - np.eye(4)))
    assert np.isfinite(JFSSL(neighbours=3).fit(part).embed_images(part.images)).all()


def test_candidates_of_a_grid_search_neighbours_once(pairs, monkeypatch):
    searches = []
    monkeypatch.setattr(jfssl, "nearest", lambda x, k, search=jfssl.nearest: searches.append(x.shape) or search(x, k))
    part = Pairs(pairs.images, pairs.texts, pairs.labels)
    for sparsity, neighbour_weight in ((1.0, 1.0), (10.0, 1.0), (10.0, 0.5)):
        JFSSL(sparsity, neighbour_weight=neighbour_weight).fit(part)
    assert searches == [(200, 7), (200, 5)]


def test_neighbours_must_be_fewer_than_items(pairs):
    few = Pairs(pairs.images[:8], pairs.texts[:8], pairs.labels[:8])
    JFSSL(neighbours=7).fit(few)
    with pytest.raises(InfeasibleError, match=r"^jfssl: neighbours is 8, .* only 7 others; lower neighbours"):
        JFSSL(neighbours=8).fit(few)


def test_equations_that_are_singular_are_refused(pairs):
    same = Pairs(np.column_stack([pairs.images, pairs.images]), pairs.texts, pairs.labels)
    with pytest.raises(InfeasibleError, match=r"^jfssl: its equations are singular"):
        JFSSL(sparsity=0.0).fit(same)
    JFSSL(sparsity=1.0).fit(same)


def test_classes_are_required(pairs):
    with pytest.raises(NotApplicableError, match=r"^jfssl: it learns from classes"):
        JFSSL().fit(Pairs(pairs.images, pairs.texts, pairs.labels[:, :0]))


def test_features_count_singly_where_there_are_more_than_items():
    rng = np.random.default_rng(5)
    few = Pairs(rng.normal(size=(30, 50)), rng.normal(size=(30, 4)), np.eye(2, dtype=bool)[np.arange(30) % 2])
    model = JFSSL(sparsity=100.0, graph_weight=3.0, neighbours=6, max_iterations=1000, tolerance=1e-15).fit(few)
    value, slope = dense_objective(few, 100.0, 3.0, joint_weights(few, 6))(stacked(model).ravel())
    assert model.history["objective"][-1] == pytest.approx(value, rel=1e-9)
    assert np.abs(slope).max() < 1e-4 and np.linalg.norm(model.image.weights, axis=1).min() < 1e-3
