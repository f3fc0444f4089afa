"""LCFS against a dense float64 version that builds the weighting of items (n, n)."""

import numpy as np
import pytest

from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.lcfs import LCFS, Coupled
from cmr.methods.linear.moments import moments
from tests.unit.methods.linear.made import standardised


def dense(pairs):
    return standardised(pairs.images), standardised(pairs.texts), pairs.labels - pairs.labels.mean(axis=0)


@pytest.fixture(scope="module")
def few():
    """More features than items in one view; the first five features tell the class."""
    rng = np.random.default_rng(5)
    labels = np.eye(3, dtype=bool)[np.arange(40) % 3]
    images = rng.normal(size=(40, 90))
    images[:, :5] += 2 * labels @ rng.normal(size=(3, 5))
    return Pairs(images, labels @ rng.normal(size=(3, 6)) + rng.normal(size=(40, 6)), labels)


def item_weighting(a, mu):
    """(AA' + mu I)^(-1/2), dense."""
    values, axes = np.linalg.eigh(a @ a.T + mu * np.eye(len(a)))
    return axes / np.sqrt(values) @ axes.T


def objective(x, y, t, u, v, sparsity, trace_norm, mu):
    """As on the card, for n = 2000, both norms smoothed; of the trace norm, without what is constant."""
    scale = len(x) / 2000
    rows = sum(np.sqrt((w**2).sum(axis=1) + 1e-8).sum() for w in (u, v))
    singular = np.linalg.svd(np.hstack([x @ u, y @ v]), compute_uv=False)
    return (
        0.5 * np.linalg.norm(x @ u - t) ** 2
        + 0.5 * np.linalg.norm(y @ v - t) ** 2
        + sparsity * scale * rows
        + trace_norm * np.sqrt(scale) * np.sqrt(singular**2 + mu).sum()
    )


def iterated(x, y, t, sparsity, trace_norm, smoothing, iterations):
    """Weights, mu, and the objective from the start on, from n x n matrices."""
    n = len(x)
    weights = [np.linalg.solve(z.T @ z + 0.01 * n * np.eye(z.shape[1]), z.T @ t) for z in (x, y)]
    a = np.hstack([x @ weights[0], y @ weights[1]])
    mu = smoothing * np.mean(np.linalg.svd(a, compute_uv=False) ** 2)
    objectives = [objective(x, y, t, *weights, sparsity, trace_norm, mu)]
    for _ in range(iterations):
        s = item_weighting(np.hstack([x @ weights[0], y @ weights[1]]), mu)
        weights = [
            np.linalg.solve(
                z.T @ z
                + trace_norm * np.sqrt(n / 2000) * z.T @ s @ z
                + sparsity * n / 2000 * np.diag(1 / np.sqrt((w**2).sum(axis=1) + 1e-8)),
                z.T @ t,
            )
            for z, w in zip((x, y), weights, strict=True)
        ]
        objectives.append(objective(x, y, t, *weights, sparsity, trace_norm, mu))
    return weights, mu, objectives


@pytest.mark.parametrize("data", ["pairs", "few"])
@pytest.mark.parametrize("sparsity, trace_norm", [(10.0, 0.001), (50.0, 3.0)])
def test_iterations_are_those_of_dense_matrices(data, sparsity, trace_norm, request):
    pairs = request.getfixturevalue(data)
    model = LCFS(sparsity, trace_norm, smoothing=1e-2, max_iterations=6, tolerance=0.0).fit(pairs)
    (u, v), _, objectives = iterated(*dense(pairs), sparsity, trace_norm, 1e-2, 6)
    np.testing.assert_allclose(model.image.weights, u, atol=1e-9)
    np.testing.assert_allclose(model.text.weights, v, atol=1e-9)
    np.testing.assert_allclose(model.history["objective"], objectives, rtol=1e-10)
    assert (np.diff(objectives) < 0).all()


@pytest.mark.parametrize("data", ["pairs", "few"])
def test_items_are_weighted_as_by_the_dense_matrix(data, request):
    pairs = request.getfixturevalue(data)
    rng = np.random.default_rng(2)
    m = moments(pairs)
    x, y, _ = dense(pairs)
    u, v = rng.normal(size=(x.shape[1], 3)), rng.normal(size=(y.shape[1], 3))
    u[:, 2] = 0  # a singular value of zero
    mu, trace_norm = 0.5, 7.0
    s = item_weighting(np.hstack([x @ u, y @ v]), mu)
    found = Coupled.of(m, u, v).weighted_grams(m, trace_norm, mu)
    for view, rows, of, gram in ((m.x, pairs.images, x, found[0]), (m.y, pairs.texts, y, found[1])):
        z = view.coordinates(rows)
        np.testing.assert_allclose(gram, z.T @ z + trace_norm * z.T @ s @ z, atol=1e-9)
        lifted = gram if view.rotation is None else view.rotation @ gram @ view.rotation.T
        np.testing.assert_allclose(lifted, of.T @ of + trace_norm * of.T @ s @ of, atol=1e-9)


def test_without_penalties_it_is_least_squares(pairs):
    model = LCFS(sparsity=0.0, trace_norm=0.0).fit(pairs)
    x, y, t = dense(pairs)
    np.testing.assert_allclose(model.image.weights, np.linalg.lstsq(x, t)[0], atol=1e-11)
    np.testing.assert_allclose(model.text.weights, np.linalg.lstsq(y, t)[0], atol=1e-11)


def test_objective_is_stationary_where_iterations_end(pairs):
    """Finite differences in every weight."""
    model = LCFS(20.0, 2.0, smoothing=1e-2, max_iterations=500, tolerance=0.0).fit(pairs)
    x, y, t = dense(pairs)
    _, mu, _ = iterated(x, y, t, 0.0, 0.0, 1e-2, 0)
    u, v = model.image.weights.copy(), model.text.weights.copy()
    step = 1e-6  # small beside the least row
    for weights in (u, v):
        for at in np.ndindex(weights.shape):
            middle, sides = weights[at], []
            for sign in (1, -1):
                weights[at] = middle + sign * step
                sides.append(objective(x, y, t, u, v, 20.0, 2.0, mu))
            weights[at] = middle
            assert abs(sides[0] - sides[1]) / (2 * step) < 1e-4


def test_sparsity_drops_features_that_tell_nothing_and_then_all(few):
    norms = {
        sparsity: np.linalg.norm(LCFS(sparsity, max_iterations=200).fit(few).image.weights, axis=1)
        for sparsity in (1.0, 300.0, 1e5)
    }
    assert (norms[1.0] > 1e-3).sum() > 20
    assert norms[300.0][:5].max() > 1e-2
    assert (norms[300.0][5:] < 1e-3).mean() > 0.9
    assert norms[1e5].max() < 1e-3


def test_trace_norm_of_both_embeddings_falls_by_its_penalty(pairs):
    norms = []
    for trace_norm in (0.0, 3.0, 10.0):
        model = LCFS(1.0, trace_norm, max_iterations=200).fit(pairs)
        joint = np.hstack([model.embed_images(pairs.images), model.embed_texts(pairs.texts)])
        norms.append(np.linalg.norm(joint, "nuc"))
    assert norms[1] < 0.95 * norms[0]
    assert norms[2] < 0.75 * norms[1]


def test_repeating_all_items_changes_nothing(pairs):
    twice = Pairs(*(np.concatenate([part, part]) for part in (pairs.images, pairs.texts, pairs.labels)))
    once, again = (LCFS(20.0, 2.0).fit(given) for given in (pairs, twice))
    np.testing.assert_allclose(again.image.weights, once.image.weights, atol=1e-10)
    np.testing.assert_allclose(again.text.weights, once.text.weights, atol=1e-10)


def test_more_features_than_items_need_sparsity(few):
    with pytest.raises(InfeasibleError, match="lcfs: its equations are singular"):
        LCFS(sparsity=0.0).fit(few)


def test_trace_norm_that_nothing_smooths_is_refused(pairs):
    with pytest.raises(InfeasibleError, match="lcfs: smoothing is 0, but the trace norm needs a positive one"):
        LCFS(smoothing=0.0).fit(pairs)
