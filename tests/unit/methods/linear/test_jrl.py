"""JRL against dense graphs and posteriors counted item by item."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from cmr import training
from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs, Standardiser, Unlabelled
from cmr.methods.linear import jrl
from cmr.methods.linear.jrl import JRL, NeighbourPosteriors
from cmr.methods.linear.projections import Projection, Projections
from cmr.methods.linear.row_sparsity import EPSILON
from tests.unit.methods.linear.made import standardised

CONVERGED = {"max_iterations": 300, "tolerance": 1e-14}


@pytest.fixture(scope="module")
def several(pairs):
    """The same pairs with one or two classes each."""
    return Pairs(
        pairs.images, pairs.texts, pairs.labels | (np.roll(pairs.labels, 1, axis=1) & (pairs.texts[:, :1] > 0))
    )


@pytest.fixture(scope="module")
def unlabelled():
    rng = np.random.default_rng(7)
    return Unlabelled(rng.normal(size=(30, 7)) + 0.5, rng.normal(size=(45, 5)))


def fresh(part):
    """The same pairs, of which nothing has been computed."""
    return Pairs(part.images, part.texts, part.labels)


def normalised_laplacian(x, k):
    distances = cdist(x, x)
    np.fill_diagonal(distances, np.inf)
    weights = np.zeros_like(distances)
    for i, row in enumerate(np.argsort(distances, axis=1)[:, :k]):
        weights[i, row] = weights[row, i] = 1
    degrees = weights.sum(axis=1)
    return np.eye(len(x)) - weights / np.sqrt(np.outer(degrees, degrees))


def dense_objective(part, method, further=None):
    """A function of U and V stacked, and its gradient."""
    x, y = standardised(part.images), standardised(part.texts)
    all_x, all_y = x, y
    if further is not None:
        all_x = np.vstack([x, (further.images - part.images.mean(axis=0)) / part.images.std(axis=0)])
        all_y = np.vstack([y, (further.texts - part.texts.mean(axis=0)) / part.texts.std(axis=0)])
    smooth_x = all_x.T @ normalised_laplacian(all_x, method.neighbours) @ all_x
    smooth_y = all_y.T @ normalised_laplacian(all_y, method.neighbours) @ all_y
    t = part.labels - part.labels.mean(axis=0)
    sparsity = method.sparsity * len(part) / 2000

    def objective(flat):
        u, v = np.split(flat.reshape(-1, t.shape[1]), [x.shape[1]])
        x_error, y_error, apart = x @ u - t, y @ v - t, x @ u - y @ v
        u_norms, v_norms = (np.sqrt((w**2).sum(axis=1) + EPSILON) for w in (u, v))
        value = method.label_weight * ((x_error**2).sum() + (y_error**2).sum()) + method.pair_weight * (apart**2).sum()
        value += method.graph_weight * (np.trace(u.T @ smooth_x @ u) + np.trace(v.T @ smooth_y @ v))
        value += sparsity * (u_norms.sum() + v_norms.sum())
        u_slope = 2 * x.T @ (method.label_weight * x_error + method.pair_weight * apart)
        v_slope = 2 * y.T @ (method.label_weight * y_error - method.pair_weight * apart)
        u_slope += 2 * method.graph_weight * smooth_x @ u + sparsity * u / u_norms[:, None]
        v_slope += 2 * method.graph_weight * smooth_y @ v + sparsity * v / v_norms[:, None]
        return value, np.vstack([u_slope, v_slope]).ravel()

    return objective


def weights_of(model):
    projections = getattr(model, "projections", model)
    return np.vstack([projections.image.weights, projections.text.weights])


def counted_posteriors(projected, voters, labels, k):
    """Posteriors (b, c), an item and a voter at a time; no two voters at the same distance."""
    posteriors = np.zeros((len(projected), labels.shape[1]))
    for i, item in enumerate(projected.astype(np.float64)):
        distances = np.linalg.norm(voters - item, axis=1)
        chosen = np.argsort(distances)[:k]
        total = sum(1 / (1 + np.exp(distances[j])) for j in chosen)
        for j in chosen:
            posteriors[i] += labels[j] / (1 + np.exp(distances[j])) / total
    return posteriors


@pytest.mark.parametrize("transductive", [False, True])
def test_iterations_reach_the_minimum_of_the_dense_objective(several, unlabelled, transductive):
    method = JRL(150.0, 0.8, 0.7, 1.3, neighbours=6, transductive=transductive, **CONVERGED)
    model = method.fit(several, unlabelled=unlabelled)
    objective = dense_objective(several, method, unlabelled if transductive else None)
    assert model.history["objective"][-1] == pytest.approx(objective(weights_of(model).ravel())[0], rel=1e-9)
    start = np.random.default_rng(0).normal(size=weights_of(model).size)
    oracle = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(weights_of(model).ravel(), oracle.x, atol=1e-5)


@pytest.mark.parametrize("transductive", [False, True])
def test_features_count_singly_where_there_are_more_than_items(transductive):
    rng = np.random.default_rng(5)
    few = Pairs(rng.normal(size=(30, 50)), rng.normal(size=(30, 4)), np.eye(2, dtype=bool)[np.arange(30) % 2])
    further = Unlabelled(rng.normal(size=(12, 50)), rng.normal(size=(15, 4)))
    method = JRL(
        100.0, 0.8, neighbours=6, ranking="cosine", transductive=transductive, max_iterations=1000, tolerance=0
    )
    model = method.fit(few, unlabelled=further)
    value, slope = dense_objective(few, method, further if transductive else None)(weights_of(model).ravel())
    assert model.history["objective"][-1] == pytest.approx(value, rel=1e-9)
    assert np.abs(slope).max() < 1e-4 and np.linalg.norm(model.image.weights, axis=1).min() < 1e-3


@pytest.mark.parametrize("graph_weight, pair_weight", [(0.5, 1.0), (1000.0, 1.0), (0.001, 100.0)])
def test_objective_never_rises(pairs, graph_weight, pair_weight):
    method = JRL(100.0, graph_weight, pair_weight, neighbours=6, max_iterations=50, tolerance=0.0)
    objective = np.array(method.fit(pairs).history["objective"])
    assert len(objective) > 10 and objective[1] < objective[0]
    assert (np.diff(objective) <= 1e-12 * objective[0]).all()


def test_second_view_follows_the_first_within_an_iteration(pairs):
    method = JRL(sparsity=0.0, pair_weight=5.0, neighbours=6, max_iterations=1)
    _, slope = dense_objective(pairs, method)(weights_of(method.fit(pairs)).ravel())
    image_slope, text_slope = np.split(slope.reshape(-1, 3), [7])
    assert np.abs(text_slope).max() < 1e-8 and np.abs(image_slope).max() > 1


def test_without_penalties_it_is_least_squares(pairs):
    model = JRL(sparsity=0.0, graph_weight=0.0, pair_weight=0.0).fit(pairs).projections
    t = pairs.labels - pairs.labels.mean(axis=0)
    for view, projection in ((pairs.images, model.image), (pairs.texts, model.text)):
        expected = np.linalg.lstsq(standardised(view), t, rcond=None)[0]
        np.testing.assert_allclose(projection.weights, expected, atol=1e-11)


def test_pairs_draw_together_as_their_weight_grows(pairs):
    def distance(pair_weight):
        model = JRL(pair_weight=pair_weight, ranking="cosine", **CONVERGED).fit(pairs)
        images, texts = model.embed_images(pairs.images), model.embed_texts(pairs.texts)
        return np.linalg.norm(images - texts) / np.linalg.norm(images)

    assert distance(10.0) < 0.8 * distance(0.01)


@pytest.mark.parametrize("k", [1, 40, 399])
@pytest.mark.parametrize("which", ["pairs", "several"])
def test_posteriors_are_those_counted_item_by_item(which, k, request):
    part = request.getfixturevalue(which)
    model = JRL(posterior_neighbours=k).fit(part)
    images, texts = model.projections.embed_images(part.images), model.projections.embed_texts(part.texts)
    voters, labels = np.vstack([images, texts]).astype(np.float64), np.vstack([part.labels, part.labels])
    np.testing.assert_allclose(
        model.embed_images(part.images), counted_posteriors(images, voters, labels, k), atol=1e-6
    )
    np.testing.assert_allclose(model.embed_texts(part.texts), counted_posteriors(texts, voters, labels, k), atol=1e-6)


def test_posteriors_of_one_class_a_pair_sum_to_one(pairs):
    np.testing.assert_allclose(JRL().fit(pairs).embed_texts(pairs.texts).sum(axis=1), 1, atol=1e-6)


def test_posteriors_by_all_train_items_are_nearly_the_prior(pairs):
    prior = pairs.labels.mean(axis=0)
    few, all_items = (JRL(posterior_neighbours=k).fit(pairs).embed_images(pairs.images) for k in (20, 400))
    assert np.abs(all_items - prior).max() < 0.15 < np.abs(few - prior).max()


def test_items_at_one_distance_share_the_votes_of_those_among_the_nearest():
    """Two voters of different classes at distance zero, three at distance one, and four that have a vote."""
    identity = Projection(Standardiser(np.zeros(2), np.ones(2)), np.eye(2))
    voters = np.array([[0, 0], [0, 0], [1, 0], [0, 1], [0, -1], [9, 0]], dtype=np.float32)
    labels = np.array([[1, 0], [0, 1], [1, 0]], dtype=bool)  # of voters 0, 1, 2 and of 3, 4, 5
    near, far = 0.5, 1 / (1 + np.e)
    # Voters 2, 3 and 4, of classes 0, 0 and 1, have two votes among them.
    expected = np.array([near + far * 2 / 3 * 2, near + far * 2 / 3])
    for order in ([0, 1, 2], [1, 2, 0]):
        moved = np.concatenate([voters[:3][order], voters[3:][order]])
        model = NeighbourPosteriors(Projections(identity, identity, {}, {}), moved, labels[order], 4)
        np.testing.assert_allclose(model.embed_texts(np.zeros((1, 2)))[0], expected / expected.sum(), rtol=1e-6)


def test_posterior_of_an_item_far_from_all_is_finite(pairs):
    far = JRL().fit(pairs).embed_images(pairs.images * 1e5)
    np.testing.assert_allclose(far.sum(axis=1), 1, atol=1e-6)


def test_posteriors_do_not_depend_on_the_block_size(pairs, monkeypatch):
    model = JRL(posterior_neighbours=30).fit(pairs)
    whole = model.embed_images(pairs.images)
    monkeypatch.setattr(jrl, "SCORES_BYTES", 400 * 144 * 7)  # seven items
    np.testing.assert_array_equal(model.embed_images(pairs.images), whole)


def test_ranking_by_cosine_gives_the_projections_alone(pairs):
    posterior, cosine = JRL(), JRL(ranking="cosine")
    assert (posterior.similarity, cosine.similarity) == ("inner", "cosine")
    model = cosine.fit(pairs)
    assert isinstance(model, Projections) and isinstance(cosine.restore(model.state()), Projections)
    np.testing.assert_array_equal(weights_of(model), weights_of(posterior.fit(pairs)))


def test_only_a_transductive_fit_looks_at_unlabelled_items(pairs, unlabelled):
    blind = [weights_of(JRL(graph_weight=1.0).fit(pairs, unlabelled=given)) for given in (None, unlabelled)]
    np.testing.assert_array_equal(*blind)
    seeing = JRL(graph_weight=1.0, transductive=True)
    assert not np.allclose(weights_of(seeing.fit(pairs, unlabelled=unlabelled)), blind[0], atol=1e-4)
    with pytest.raises(UserError, match=r"^jrl: transductive is true, but fit is given no unlabelled items"):
        seeing.fit(pairs)


@pytest.mark.parametrize("transductive, items", [(False, (200, 200)), (True, (230, 230))])
def test_candidates_of_a_grid_search_neighbours_once(pairs, monkeypatch, transductive, items):
    searches, search = [], jrl.nearest
    monkeypatch.setattr(jrl, "nearest", lambda x, k: searches.append(len(x)) or search(x, k))
    parts = {
        "train": fresh(pairs),
        "valid": pairs,
        "test": Pairs(pairs.images[:30], pairs.texts[:30], pairs.labels[:30]),
    }
    grid = {"sparsity": [1.0, 10.0], "graph_weight": [0.1, 1.0]}
    training.train("cmr.methods.linear.jrl.JRL", {"transductive": transductive}, grid, parts, [0, 1])
    assert tuple(searches) == items


def test_too_few_items_are_refused(pairs, unlabelled):
    few = Pairs(pairs.images[:8], pairs.texts[:8], pairs.labels[:8])
    JRL(neighbours=7, posterior_neighbours=16).fit(few)
    with pytest.raises(InfeasibleError, match=r"^jrl: neighbours is 8, .* only 7 others; lower neighbours"):
        JRL(neighbours=8, posterior_neighbours=16).fit(few)
    with pytest.raises(
        InfeasibleError,
        match=r"^jrl: posterior_neighbours is 17, .* only 16 train items of both views; lower posterior_neighbours",
    ):
        JRL(neighbours=7, posterior_neighbours=17).fit(few)
    JRL(neighbours=7, posterior_neighbours=17, ranking="cosine").fit(few)
    seeing = {"posterior_neighbours": 16, "transductive": True}
    JRL(neighbours=37, **seeing).fit(few, unlabelled=unlabelled)
    with pytest.raises(InfeasibleError, match=r"^jrl: neighbours is 38, .* only 37 others; lower neighbours"):
        JRL(neighbours=38, **seeing).fit(few, unlabelled=unlabelled)


def test_equations_that_are_singular_are_refused(pairs):
    same = Pairs(np.column_stack([pairs.images, pairs.images]), pairs.texts, pairs.labels)
    with pytest.raises(InfeasibleError, match=r"^jrl: its equations are singular"):
        JRL(sparsity=0.0).fit(same)
    JRL(sparsity=1.0).fit(same)


def test_classes_are_required(pairs):
    with pytest.raises(NotApplicableError, match=r"^jrl: it learns from classes"):
        JRL().fit(Pairs(pairs.images, pairs.texts, pairs.labels[:, :0]))
