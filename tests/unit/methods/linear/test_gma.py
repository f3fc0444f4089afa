"""GMLDA and GMMFA against dense generalised eigenproblems, linear discriminant analysis, and graphs of all items."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear import graphs
from cmr.methods.linear.gma import GMLDA, GMMFA, between_classes, within_classes
from tests.unit.methods.linear.made import columnwise_correlations, standardised


def made(n, d_x, d_y, c, seed=0):
    """`c` classes in turn; both views see the class through noise."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % c
    latent = rng.normal(size=(c, 6))[classes] + rng.normal(scale=0.7, size=(n, 6))
    images = latent @ rng.normal(size=(6, d_x)) + rng.normal(scale=0.5, size=(n, d_x))
    texts = latent @ rng.normal(size=(6, d_y)) + rng.normal(scale=0.5, size=(n, d_y))
    return Pairs(images, texts, np.eye(c, dtype=bool)[classes])


def components(x, energy):
    """Principal components of the standardised view."""
    z = standardised(x)
    return z @ PCA(n_components=energy, svd_solver="full").fit(z).components_.T


def discriminant_scatters(z, classes):
    """A = Z'GZ and B = Z'(I - G)Z of the graph G with 1/n_c between items of a class."""
    same = classes[:, None] == classes
    g = same / same.sum(axis=1)
    return z.T @ g @ z, z.T @ (np.eye(len(z)) - g) @ z


def neighbours_of_a_class(z, classes, k):
    distances = np.where(classes[:, None] == classes, cdist(z, z), np.inf)
    np.fill_diagonal(distances, np.inf)
    graph = np.zeros(distances.shape)
    for i, own in enumerate(distances):
        chosen = np.argsort(own, kind="stable")[:k]
        graph[i, chosen[np.isfinite(own[chosen])]] = 1
    return np.maximum(graph, graph.T)


def margin(z, classes, k, scope):
    distances = np.triu(np.where(classes[:, None] == classes, np.inf, cdist(z, z)))
    distances[np.tril_indices(len(z))] = np.inf
    graph = np.zeros(distances.shape)
    for label in np.unique(classes) if scope == "class" else [None]:
        own = distances
        if label is not None:
            own = np.where((classes == label)[:, None] | (classes == label), distances, np.inf)
        first, second = np.unravel_index(np.argsort(own, axis=None, kind="stable")[:k], own.shape)
        finite = np.isfinite(own[first, second])
        graph[first[finite], second[finite]] = graph[second[finite], first[finite]] = 1
    return graph


def marginal_scatters(z, classes, method):
    same = neighbours_of_a_class(z, classes, method.neighbours)
    other = margin(z, classes, method.margin_pairs, method.margin_scope)
    between, within = (z.T @ (np.diag(graph.sum(axis=1)) - graph) @ z for graph in (other, same))
    return between, within


def dense_solution(method, pairs, k):
    """Projected items of both views, and eigenvalues, by the generalised eigenproblem as the paper states it."""
    classes = pairs.labels.argmax(axis=1)
    x, y = (components(view, method.energy) for view in (pairs.images, pairs.texts))
    if isinstance(method, GMLDA):
        (a_x, b_x), (a_y, b_y) = discriminant_scatters(x, classes), discriminant_scatters(y, classes)
    else:
        (a_x, b_x), (a_y, b_y) = marginal_scatters(x, classes, method), marginal_scatters(y, classes, method)
    if method.align == "pairs":
        z_x, z_y = x, y
    else:
        z_x, z_y = (np.stack([z[classes == label].mean(axis=0) for label in np.unique(classes)]) for z in (x, y))
    mu, gamma = np.trace(a_x) / np.trace(a_y), np.trace(b_x) / np.trace(b_y)
    a = method.alignment_weight * np.trace(a_x) / (np.linalg.norm(z_x) * np.linalg.norm(z_y))
    b_x, b_y = (b + method.ridge * np.trace(b) / len(b) * np.eye(len(b)) for b in (b_x, b_y))
    values, vectors = scipy.linalg.eigh(
        np.block([[a_x, a * z_x.T @ z_y], [a * z_y.T @ z_x, mu * a_y]]), scipy.linalg.block_diag(b_x, gamma * b_y)
    )
    w = vectors[:, ::-1][:, :k]
    return x @ w[: x.shape[1]], y @ w[x.shape[1] :], values[::-1][:k]


METHODS = {
    "gmlda": GMLDA(energy=0.95, ridge=0.1),
    "gmlda, nearly no ridge": GMLDA(energy=0.9, ridge=1e-6, alignment_weight=3.0),
    "gmlda, pairs": GMLDA(n_components=4, energy=0.95, align="pairs", alignment_weight=0.7),
    "gmmfa": GMMFA(energy=0.95, neighbours=3, margin_pairs=15),
    "gmmfa, margin of all": GMMFA(energy=0.95, neighbours=50, margin_pairs=40, margin_scope="all", ridge=0.01),
    "gmmfa, pairs": GMMFA(energy=0.95, neighbours=5, margin_pairs=10, align="pairs", alignment_weight=0.5),
}


@pytest.mark.parametrize("shape", [(90, 12, 8), (40, 70, 9)], ids=["items", "features"])
@pytest.mark.parametrize("name", METHODS)
def test_solution_is_that_of_the_dense_generalised_eigenproblem(name, shape):
    method, pairs = METHODS[name], made(*shape, c=4)
    model = method.fit(pairs)
    k = method.n_components or 3
    x, y, values = dense_solution(method, pairs, k)
    np.testing.assert_allclose(model.facts["eigenvalues"], values, rtol=1e-6)
    w_x, w_y = model.image.weights, model.text.weights
    found_x, found_y = standardised(pairs.images) @ w_x, standardised(pairs.texts) @ w_y
    signs = np.sign((found_x * x).sum(axis=0))
    scale = np.abs(x).max()
    np.testing.assert_allclose(found_x, x * signs, atol=1e-6 * scale)
    np.testing.assert_allclose(found_y, y * signs, atol=1e-6 * scale)


def discriminants(x, classes):
    oracle = LinearDiscriminantAnalysis(solver="eigen").fit(x, classes)
    return oracle.scalings_[:, : len(np.unique(classes)) - 1]


def by_view(model):
    """The directions of images and of texts of a model whose views do not meet: each lies in one of them."""
    images, texts = model.image.weights, model.text.weights
    of_images = np.linalg.norm(images, axis=0) > np.linalg.norm(texts, axis=0)
    assert np.abs(texts[:, of_images]).max() < 1e-9 and np.abs(images[:, ~of_images]).max() < 1e-9
    return images[:, of_images], texts[:, ~of_images]


def assert_each_view_spans_its_discriminants(model, pairs):
    classes = pairs.labels.argmax(axis=1)
    for weights, view in zip(by_view(model), (pairs.images, pairs.texts), strict=True):
        expected = discriminants(standardised(view), classes)
        assert weights.shape == expected.shape
        assert scipy.linalg.subspace_angles(weights, expected).max() < 1e-7


def test_without_alignment_each_view_spans_linear_discriminant_analysis(pairs):
    model = GMLDA(n_components=4, alignment_weight=0.0, ridge=0.0, energy=1.0).fit(pairs)
    assert_each_view_spans_its_discriminants(model, pairs)


def test_marginal_analysis_of_balanced_classes_with_all_pairs_is_linear_discriminant_analysis():
    pairs = made(60, 7, 5, c=3)
    method = GMMFA(4, alignment_weight=0.0, ridge=0.0, energy=1.0, neighbours=19, margin_pairs=20 * 40)
    for own in (method, replace(method, neighbours=500, margin_pairs=10**6, margin_scope="all")):
        assert_each_view_spans_its_discriminants(own.fit(pairs), pairs)


def test_scatters_of_discriminant_analysis_are_those_about_class_means_and_sum_to_the_whole(pairs):
    classes = pairs.labels.argmax(axis=1)
    for scatters, view in zip(GMLDA(energy=1.0).scatters(pairs), (pairs.images, pairs.texts), strict=True):
        z = standardised(view)
        within = sum(
            (z[classes == c] - z[classes == c].mean(axis=0)).T @ (z[classes == c] - z[classes == c].mean(axis=0))
            for c in range(3)
        )
        axes = scatters.axes
        np.testing.assert_allclose(axes @ np.diag(scatters.within) @ axes.T, within, atol=1e-9)
        np.testing.assert_allclose(axes @ (scatters.between + np.diag(scatters.within)) @ axes.T, z.T @ z, atol=1e-9)


@pytest.mark.parametrize("method", [GMLDA(), GMMFA(margin_pairs=30)], ids=["gmlda", "gmmfa"])
def test_a_view_met_twice_gets_the_same_weights(pairs, method):
    model = method.fit(Pairs(pairs.images, pairs.images, pairs.labels))
    np.testing.assert_allclose(model.image.weights, model.text.weights, atol=1e-10)


@pytest.mark.parametrize("method", [GMLDA(), GMMFA(margin_pairs=30)], ids=["gmlda", "gmmfa"])
def test_names_of_classes_and_order_of_pairs_play_no_part(pairs, method):
    order = np.random.default_rng(5).permutation(len(pairs))
    renamed = np.zeros((len(pairs), 7), dtype=bool)  # some classes have no item here
    renamed[:, [5, 0, 3]] = pairs.labels
    shuffled = Pairs(pairs.images[order], pairs.texts[order], renamed[order])
    first, second = method.fit(pairs), method.fit(shuffled)
    assert second.image.weights.shape == (7, 2)
    np.testing.assert_allclose(second.image.weights, first.image.weights, atol=1e-10)
    np.testing.assert_allclose(second.text.weights, first.text.weights, atol=1e-10)


@pytest.mark.parametrize("method", [GMLDA(), GMMFA(neighbours=10**6, margin_pairs=10**6)], ids=["gmlda", "gmmfa"])
def test_hyperparameters_are_relative_to_the_number_of_items(pairs, method):
    twice = Pairs(*(np.concatenate([own, own]) for own in (pairs.images, pairs.texts, pairs.labels)))
    first, second = method.fit(pairs), method.fit(twice)
    for one, other in (
        (first.embed_images(pairs.images), second.embed_images(pairs.images)),
        (first.embed_texts(pairs.texts), second.embed_texts(pairs.texts)),
    ):
        np.testing.assert_allclose(columnwise_correlations(one, other), 1, atol=1e-6)


def made_by_class(sizes, d=5):
    rng = np.random.default_rng(8)
    ends = np.cumsum(sizes)
    return (
        rng.normal(size=(ends[-1], d)),
        [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)],
        np.repeat(np.arange(len(sizes)), sizes),
    )


@pytest.mark.parametrize("neighbours", [1, 3, 8, 100])
def test_items_are_linked_to_their_nearest_of_the_same_class(neighbours):
    z, of_class, classes = made_by_class([6, 1, 20, 9])
    graph = within_classes(z, of_class, neighbours).toarray()
    np.testing.assert_array_equal(graph, neighbours_of_a_class(z, classes, neighbours))
    assert (graph[6] == 0).all()  # alone in its class


@pytest.mark.parametrize("pairs", [1, 25, 10**4])
@pytest.mark.parametrize("scope", ["class", "all"])
def test_margin_is_made_of_the_nearest_pairs_of_different_classes(pairs, scope, monkeypatch):
    monkeypatch.setattr(graphs, "DISTANCE_BYTES", 8 * 36 * 4)
    z, of_class, classes = made_by_class([6, 1, 20, 9])
    graph = between_classes(z, of_class, pairs, scope).toarray()
    np.testing.assert_array_equal(graph, margin(z, classes, pairs, scope))


def test_candidates_share_scatters_that_their_hyperparameters_leave_alone(pairs):
    method = GMMFA(margin_pairs=30)
    assert replace(method, ridge=0.1, alignment_weight=1.0).scatters(pairs) is method.scatters(pairs)
    assert replace(method, margin_pairs=31).scatters(pairs) is not method.scatters(pairs)


@pytest.mark.parametrize("energy", [0.5, 0.9, 1.0])
def test_as_many_principal_components_are_kept_as_the_energy_needs(pairs, energy):
    for scatters, view in zip(GMLDA(energy=energy).scatters(pairs), (pairs.images, pairs.texts), strict=True):
        shares = PCA().fit(standardised(view)).explained_variance_ratio_
        kept = len(scatters.within)
        assert shares[:kept].sum() >= energy - 1e-12 > shares[: kept - 1].sum()


def test_more_components_than_a_view_has_are_refused_with_the_limit(pairs):
    with pytest.raises(InfeasibleError, match="gmmfa: n_components is 6, but these views allow at most 5"):
        GMMFA(6, margin_pairs=30, energy=1.0).fit(pairs)


def test_default_is_one_component_less_than_classes_or_as_many_as_the_views_allow():
    assert GMLDA(energy=1.0).fit(made(100, 9, 8, c=6)).text.weights.shape == (8, 5)
    assert GMLDA(energy=1.0).fit(made(100, 9, 3, c=6)).text.weights.shape == (3, 3)


def test_more_components_than_raise_the_objective_are_refused(pairs):
    with pytest.raises(InfeasibleError, match="gmlda: n_components is 3, but only 2 directions"):
        GMLDA(3).fit(pairs)


def test_classes_on_a_line_give_one_component_by_default():
    rng = np.random.default_rng(0)
    classes = np.arange(90) % 3
    noise = rng.normal(size=(30, 4)).repeat(3, axis=0)  # the same in each class: means lie on a line
    x = noise + classes[:, None] * np.ones(4)
    assert GMLDA().fit(Pairs(x, x, np.eye(3, dtype=bool)[classes])).image.weights.shape == (4, 1)


def test_singular_scatter_without_ridge_is_infeasible():
    few = made(12, 30, 30, c=4)
    with pytest.raises(InfeasibleError, match="gmlda: the scatter within classes is singular"):
        GMLDA(ridge=0.0, energy=1.0).fit(few)
    assert np.isfinite(GMLDA(ridge=1e-3, energy=1.0).fit(few).embed_images(few.images)).all()


@pytest.mark.parametrize("method", [GMLDA(), GMMFA(margin_pairs=30)], ids=["gmlda", "gmmfa"])
def test_a_class_of_one_item_does_no_harm(pairs, method):
    labels = np.column_stack([pairs.labels, np.zeros(len(pairs), dtype=bool)])
    labels[0] = [False, False, False, True]
    assert method.fit(replace(pairs, labels=labels)).embed_texts(pairs.texts).shape == (200, 3)


@pytest.mark.parametrize(
    ("method", "message"),
    [(GMLDA(), "gmlda: no class has items that differ"), (GMMFA(), "gmmfa: .* no class has two in the train part")],
    ids=["gmlda", "gmmfa"],
)
def test_classes_of_one_item_each_are_refused(method, message):
    with pytest.raises(UserError, match=message):
        method.fit(made(8, 5, 5, c=8))


@pytest.mark.parametrize("method", [GMLDA(), GMMFA()], ids=["gmlda", "gmmfa"])
def test_a_single_class_is_refused(pairs, method):
    with pytest.raises(UserError, match="all pairs of the train part are of the same one"):
        method.fit(replace(pairs, labels=np.ones((200, 1), dtype=bool)))


def test_a_view_that_does_not_tell_classes_apart_is_refused(pairs):
    classes = np.arange(90) % 3
    texts = np.random.default_rng(0).normal(size=(30, 4)).repeat(3, axis=0)
    same = Pairs(pairs.images[:90], texts, np.eye(3, dtype=bool)[classes])
    with pytest.raises(UserError, match="gmlda: the classes have the same mean in a view, which therefore"):
        GMLDA().fit(same)
    marginal = GMMFA(margin_pairs=200)  # looks at more than means, but cannot draw these together
    with pytest.raises(UserError, match=r'gmmfa: the classes have the same mean .* set align to "pairs"'):
        marginal.fit(same)
    assert np.isfinite(replace(marginal, align="pairs").fit(same).embed_texts(texts)).all()


def test_a_margin_of_duplicates_is_infeasible_and_a_wider_one_is_not(pairs):
    texts = pairs.texts.copy()
    texts[:20] = texts[0]
    again = replace(pairs, texts=texts)
    with pytest.raises(InfeasibleError, match="gmmfa: all margin_pairs are duplicates"):
        GMMFA(margin_pairs=5).fit(again)
    assert GMMFA(margin_pairs=300).fit(again).embed_texts(texts).shape == (200, 2)


def test_graphs_are_drawn_in_principal_components_of_the_standardised_view(pairs):
    """Rescaled features have other neighbours, but the same ones once they are standardised."""
    scaled = replace(pairs, images=pairs.images * np.array([1e3, 1, 1, 1e-3, 1, 1, 10]))
    first, second = GMMFA(neighbours=3, margin_pairs=10).fit(pairs), GMMFA(neighbours=3, margin_pairs=10).fit(scaled)
    np.testing.assert_allclose(second.image.weights, first.image.weights, atol=1e-8)
