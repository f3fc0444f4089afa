"""KCCA against cca-zoo, dense dual problems and linear CCA."""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.linalg
from cca_zoo.nonparametric import KCCA
from scipy.spatial.distance import pdist

from cmr import rows
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.kernel import features
from cmr.methods.kernel.features import kernel_features
from cmr.methods.kernel.kcca import GaussianKCCA, KernelCCA, PolynomialKCCA
from cmr.methods.kernel.nystroem import Gaussian, Polynomial
from cmr.methods.linear.cca import CCA, canonical_directions
from cmr.methods.linear.moments import moments
from tests.unit.methods.kernel.made import Linear


def made(n, seed):
    """Pairs whose views share two curved coordinates."""
    rng = np.random.default_rng(seed)
    shared = rng.uniform(-1, 1, size=(n, 2))
    images = np.column_stack([shared[:, 0], shared[:, 1] ** 2, shared.prod(axis=1), rng.normal(size=(n, 2))])
    texts = np.column_stack([shared[:, 0] ** 2, np.sin(3 * shared[:, 1]), rng.normal(size=n)])
    images, texts = (view + 0.1 * rng.normal(size=view.shape) for view in (images, texts))
    return Pairs(images, texts, np.ones((n, 1), dtype=bool))


TRAIN, UNSEEN = made(120, 0), made(40, 1)


def standardised(view, train):
    return (view - train.mean(axis=0)) / train.std(axis=0)


def centred(kernel):
    return kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()


def kernel_of(method, x):
    """Dense, of a standardised view (n, d) all of whose items are landmarks; and what scikit-learn calls gamma."""
    if isinstance(method, GaussianKCCA):
        gamma = 1 / (method.scale * pdist(x, "sqeuclidean").mean())
        return np.exp(-gamma * ((x[:, None] - x) ** 2).sum(axis=2)), gamma
    gamma = 1 / (x**2).sum(axis=1).mean()
    return (1 + gamma * x @ x.T) ** method.degree, gamma


METHODS = [GaussianKCCA(4, 0.05), GaussianKCCA(4, 0.5, scale=0.3), PolynomialKCCA(4, 0.02), PolynomialKCCA(4, degree=2)]


@pytest.mark.parametrize("method", METHODS)
def test_all_items_as_landmarks_give_the_correlations_of_the_dual_problem(method):
    """(Kx + eI)^-1 Ky (Ky + eI)^-1 Kx a = rho^2 a, with e = n times the ridge of the covariances."""
    n = len(TRAIN)
    k_x, k_y = (centred(kernel_of(method, standardised(view, view))[0]) for view in (TRAIN.images, TRAIN.texts))
    e_x, e_y = (method.ridge * np.trace(k) / 10 for k in (k_x, k_y))
    product = np.linalg.solve(k_x + e_x * np.eye(n), k_y) @ np.linalg.solve(k_y + e_y * np.eye(n), k_x)
    expected = np.sqrt(np.sort(scipy.linalg.eigvals(product).real)[::-1][:4])
    np.testing.assert_allclose(method.fit(TRAIN).facts["correlations"], expected, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_unseen_items_are_embedded_as_by_cca_zoo(method):
    x, y = standardised(TRAIN.images, TRAIN.images), standardised(TRAIN.texts, TRAIN.texts)
    n, shrinkage, gammas = len(TRAIN), [], []
    for view in (x, y):
        kernel, gamma = kernel_of(method, view)
        ridge = method.ridge * np.trace(centred(kernel)) / (10 * n)
        # cca-zoo's (1 - c) K^2 / (n - 1) + c K is of the same directions as C + c / (1 - c) (n - 1) / n I.
        ratio = ridge * n / (n - 1)
        shrinkage.append(ratio / (1 + ratio))
        gammas.append(gamma)
    kind = {"kernel": "rbf"} if isinstance(method, GaussianKCCA) else {"kernel": "poly", "degree": method.degree}
    oracle = KCCA(n_components=4, shrinkage=shrinkage, gamma=gammas, **kind).fit([x, y])
    expected = oracle.transform([standardised(UNSEEN.images, TRAIN.images), standardised(UNSEEN.texts, TRAIN.texts)])
    model = method.fit(TRAIN)
    found = model.embed_images(UNSEEN.images), model.embed_texts(UNSEEN.texts)
    for own, their in zip(found, expected, strict=True):
        scale = (own * their).sum(axis=0) / (their**2).sum(axis=0)  # theirs have another norm and sign
        # Float32 embeddings, and eigenvalues that only cca-zoo keeps.
        np.testing.assert_allclose(own, scale * their, atol=1e-4 * np.abs(own).max())
        np.testing.assert_allclose(np.abs(scale), np.abs(scale[0]), rtol=1e-5)


@pytest.mark.parametrize("landmarks", [120, 30])
def test_polynomial_of_degree_one_is_linear_cca(landmarks):
    """Of any landmarks that span the features: the features are rotated and scaled, and the ridge follows them."""
    method = PolynomialKCCA(3, ridge=0.2, landmarks=landmarks, degree=1)
    model = method.fit(TRAIN)
    x, y = standardised(TRAIN.images, TRAIN.images), standardised(TRAIN.texts, TRAIN.texts)
    # tr(C)/10 of standardised features is d/10.
    whiten_x, whiten_y = (
        scipy.linalg.inv(scipy.linalg.sqrtm(v.T @ v / len(v) + 0.2 * v.shape[1] / 10 * np.eye(v.shape[1])))
        for v in (x, y)
    )
    u, expected, _ = np.linalg.svd(whiten_x @ (x.T @ y / len(TRAIN)) @ whiten_y)
    np.testing.assert_allclose(model.facts["correlations"], expected[:3], atol=1e-11)
    scores = standardised(UNSEEN.images, TRAIN.images) @ whiten_x @ u[:, :3]
    found = model.embed_images(UNSEEN.images)
    scale = (found * scores).sum(axis=0) / (scores**2).sum(axis=0)
    np.testing.assert_allclose(found, scale * scores, atol=1e-5)


@dataclass(frozen=True)
class LinearKCCA(KernelCCA):
    name = "kcca_linear"

    @property
    def kernel(self):
        return Linear()


def test_a_linear_kernel_gives_linear_cca_whose_ridge_is_that_of_the_dual_problem_over_n():
    """(K + eI) K = X (X'X + eI) X', and X'X/n + e/n I is the covariance of ridge CCA."""
    model = LinearKCCA(3, ridge=0.2).fit(TRAIN)
    # tr(C)/10 of standardised features is d/10, where the ridge of linear CCA is relative to tr(C)/d = 1.
    e_x, e_y = 0.2 * 5 / 10 * len(TRAIN), 0.2 * 3 / 10 * len(TRAIN)
    w_x, w_y, correlations = canonical_directions(moments(TRAIN), e_x / len(TRAIN), e_y / len(TRAIN))
    np.testing.assert_allclose(model.facts["correlations"], correlations[:3], atol=1e-11)
    for found, view, train, weights in (
        (model.embed_images(UNSEEN.images), UNSEEN.images, TRAIN.images, w_x),
        (model.embed_texts(UNSEEN.texts), UNSEEN.texts, TRAIN.texts, w_y),
    ):
        np.testing.assert_allclose(np.abs(found), np.abs(standardised(view, train) @ weights[:, :3]), atol=1e-5)


@pytest.mark.parametrize("kernel", [Gaussian(), Polynomial(3)])
def test_features_are_centred_on_the_train_part(kernel):
    found = kernel_features(TRAIN, kernel, 50, 0)
    for mapped, view, rows_ in (
        (found.image_map, found.moments.x, TRAIN.images),
        (found.text_map, found.moments.y, TRAIN.texts),
    ):
        made_features = mapped(rows_)
        assert np.abs(made_features.mean(axis=0)).max() > 0.1
        np.testing.assert_allclose(view.coordinates(made_features).mean(axis=0), 0, atol=1e-13)


def test_landmarks_of_the_views_are_not_the_same_items():
    same = Pairs(TRAIN.images, TRAIN.images, TRAIN.labels)
    found = kernel_features(same, Gaussian(), 30, 0)
    assert not (found.image_map.landmarks == found.text_map.landmarks).all(axis=1).any()


def test_seed_draws_the_landmarks_and_plays_no_part_where_all_items_are():
    few, every = GaussianKCCA(3, landmarks=40), GaussianKCCA(3, landmarks=120)
    one, other = (few.fit(TRAIN, seed=seed).embed_images(UNSEEN.images) for seed in (0, 1))
    assert not np.allclose(one, other, rtol=1e-2)
    one, other = (every.fit(TRAIN, seed=seed).embed_images(UNSEEN.images) for seed in (0, 1))
    np.testing.assert_array_equal(one, other)


def test_features_made_anew_in_every_pass_give_the_model_of_those_held(monkeypatch):
    held = GaussianKCCA(3, landmarks=40).fit(made(120, 0))
    monkeypatch.setattr(features, "IN_MEMORY", 0)
    monkeypatch.setattr(features, "in_memory", None)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 40 * 2 * 7)
    streamed = GaussianKCCA(3, landmarks=40).fit(made(120, 0))
    np.testing.assert_allclose(streamed.embed_texts(UNSEEN.texts), held.embed_texts(UNSEEN.texts), atol=1e-5)


def test_curved_relations_are_found_that_linear_cca_misses():
    linear = CCA(2).fit(TRAIN).facts["correlations"]
    for method in (GaussianKCCA(2, 0.01), PolynomialKCCA(2, 0.01)):
        model = method.fit(TRAIN)
        x, y = model.embed_images(UNSEEN.images), model.embed_texts(UNSEEN.texts)
        unseen = [np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(2)]
        assert min(unseen) > linear[1] + 0.2


def test_candidates_of_a_grid_share_the_features(monkeypatch):
    train = made(120, 0)
    GaussianKCCA(3, 0.1).fit(train)
    monkeypatch.setattr("cmr.methods.kernel.nystroem.NystroemMap.fit", None)
    GaussianKCCA(5, 10.0).fit(train)


@pytest.mark.parametrize(
    "method, name, limit",
    [(GaussianKCCA, "kcca_gaussian", 20), (PolynomialKCCA, "kcca_poly", 19)],  # a cubic of three features, but for 1
)
def test_more_components_than_features_are_refused_with_the_limit(method, name, limit):
    with pytest.raises(InfeasibleError, match=f"{name}: n_components is 30, .* at most {limit}"):
        method(30, landmarks=20).fit(TRAIN)
