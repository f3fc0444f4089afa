"""Three-view kernel CCA against dense dual problems and linear three-view CCA."""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist, pdist

from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs
from cmr.methods.kernel import tv_kcca
from cmr.methods.kernel.tv_kcca import ThreeViewKCCA
from cmr.methods.linear.tv_cca import ThreeViewCCA
from tests.unit.methods.kernel.made import Linear


def made(n, seed):
    """Pairs whose classes are rings of images and bands of texts, which no linear map tells apart."""
    rng = np.random.default_rng(seed)
    classes, angles = np.arange(n) % 3, rng.uniform(0, 2 * np.pi, n)
    images = (1 + classes)[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    texts = np.column_stack([rng.choice([-1, 1], n) * (1 + classes), rng.normal(size=n)])
    images, texts = (view + 0.1 * rng.normal(size=view.shape) for view in (images, texts))
    return Pairs(images, texts, np.eye(3, dtype=bool)[classes])


TRAIN, UNSEEN = made(90, 0), made(30, 1)


def centred(kernel):
    return kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()


def dual(method):
    """Eigenvalues, descending, and the embeddings of unseen images and texts, of the dense problem S a = value S_D a.

    S has blocks K_i K_j of centred kernels, with K_i K_i + e_i K_i on the diagonal, which S_D has alone.
    """
    kernels, unseen, ridges = [], [], []
    for own, other in ((TRAIN.images, UNSEEN.images), (TRAIN.texts, UNSEEN.texts)):
        x, z = ((rows - own.mean(axis=0)) / own.std(axis=0) for rows in (own, other))
        width = method.scale * pdist(x, "sqeuclidean").mean()
        kernel, rows = np.exp(-cdist(x, x, "sqeuclidean") / width), np.exp(-cdist(z, x, "sqeuclidean") / width)
        kernels.append(centred(kernel))
        unseen.append(rows - rows.mean(axis=1)[:, None] - kernel.mean(axis=0) + kernel.mean())
        # Relative to the mean variance of features: as many as the kernel has eigenvalues that are not rounding.
        values = np.linalg.eigvalsh(kernel)
        ridges.append(method.ridge * np.trace(kernels[-1]) / (values >= 1e-8 * values[-1]).sum())
    kernels.append(centred(TRAIN.labels.astype(float) @ TRAIN.labels.T))
    ridges.append(method.ridge * np.trace(kernels[-1]) / 3)

    # On the ranges of the kernels, since S_D is singular beyond them.
    ranges = []
    for kernel in kernels:
        values, axes = np.linalg.eigh(kernel)
        kept = values > 1e-9 * values[-1]
        ranges.append(axes[:, kept] / np.sqrt(values[kept]))
    products = [kernel @ basis for kernel, basis in zip(kernels, ranges, strict=True)]
    blocks = [[one.T @ other for other in products] for one in products]
    for i, ridge in enumerate(ridges):
        blocks[i][i] += ridge * ranges[i].T @ products[i]
    within = scipy.linalg.block_diag(*(blocks[i][i] for i in range(3)))
    values, vectors = scipy.linalg.eigh(np.block(blocks), within)
    values, vectors = values[::-1], vectors[:, ::-1] * np.sqrt(len(TRAIN))
    w_x, w_y, _ = np.split(vectors, np.cumsum([basis.shape[1] for basis in ranges])[:-1])
    return values, unseen[0] @ ranges[0] @ w_x, unseen[1] @ ranges[1] @ w_y


METHODS = [ThreeViewKCCA(4, ridge=1.0, power=0.0), ThreeViewKCCA(4, ridge=0.05, power=0.0, scale=0.5)]


@pytest.mark.parametrize("method", METHODS)
def test_all_items_as_landmarks_solve_the_dual_problem(method):
    values, images, texts = dual(method)
    model = method.fit(TRAIN)
    np.testing.assert_allclose(model.facts["eigenvalues"], values[:4], atol=1e-6)
    for found, expected in ((model.embed_images(UNSEEN.images), images), (model.embed_texts(UNSEEN.texts), texts)):
        signs = np.sign((found * expected[:, :4]).sum(axis=0))
        np.testing.assert_allclose(found * signs, expected[:, :4], atol=1e-4)  # float32, and eigenvalues left out


@dataclass(frozen=True)
class LinearThreeViewKCCA(ThreeViewKCCA):
    @property
    def kernel(self):
        return Linear()


@pytest.mark.parametrize("landmarks", [500, 20])
def test_a_linear_kernel_gives_linear_three_view_cca(landmarks):
    """Of as few landmarks as span the features already."""
    model = LinearThreeViewKCCA(3, ridge=0.1, landmarks=landmarks).fit(TRAIN)
    linear = ThreeViewCCA(3, ridge=0.1).fit(TRAIN)
    np.testing.assert_allclose(model.facts["eigenvalues"], linear.facts["eigenvalues"], atol=1e-10)
    for side in ("images", "texts"):
        x = getattr(UNSEEN, side)
        found, expected = (getattr(fitted, f"embed_{side}")(x) for fitted in (model, linear))
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)


def test_rings_that_no_linear_map_tells_apart_are_told_apart():
    def agreement(method):
        model = method.fit(TRAIN)
        nearest = cdist(model.embed_images(UNSEEN.images), model.embed_texts(UNSEEN.texts), "cosine").argmin(axis=1)
        return (UNSEEN.labels[nearest] == UNSEEN.labels).all(axis=1).mean()

    assert agreement(ThreeViewKCCA(2, scale=0.3)) > 0.9 > 0.6 > agreement(ThreeViewCCA(2))


def test_power_weights_directions_by_their_share_of_the_largest_eigenvalue():
    flat, weighted = (ThreeViewKCCA(3, power=power).fit(TRAIN) for power in (0.0, 2.0))
    shares = flat.facts["eigenvalues"] / flat.facts["eigenvalues"][0]
    np.testing.assert_allclose(
        weighted.embed_images(UNSEEN.images), flat.embed_images(UNSEEN.images) * shares**2, rtol=1e-4, atol=1e-7
    )


def test_another_seed_draws_other_landmarks():
    one, same, other = (ThreeViewKCCA(2, landmarks=30).fit(TRAIN, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(same.embed_texts(UNSEEN.texts), one.embed_texts(UNSEEN.texts))
    assert np.abs(np.abs(other.embed_texts(UNSEEN.texts)) - np.abs(one.embed_texts(UNSEEN.texts))).max() > 1e-3


def test_candidates_share_features_and_the_eigenproblem_of_a_ridge(monkeypatch):
    given, made_features, solved = Pairs(TRAIN.images, TRAIN.texts, TRAIN.labels), [], []
    features, solve = tv_kcca.kernel_features, tv_kcca.three_view_directions
    monkeypatch.setattr(tv_kcca, "kernel_features", lambda *of: (made_features.append(of), features(*of))[1])
    monkeypatch.setattr(tv_kcca, "three_view_directions", lambda *of: (solved.append(of), solve(*of))[1])
    for ridge in (0.1, 1.0):
        for n_components in (2, 3):
            ThreeViewKCCA(n_components, ridge).fit(given)
    assert len(made_features) == 1 and len(solved) == 2


def test_what_cannot_be_learnt_is_refused():
    with pytest.raises(InfeasibleError, match="tv_kcca: n_components is 300"):
        ThreeViewKCCA(300).fit(TRAIN)
    with pytest.raises(NotApplicableError, match="tv_kcca"):
        ThreeViewKCCA().fit(Pairs(TRAIN.images, TRAIN.texts, TRAIN.labels[:, :0]))
