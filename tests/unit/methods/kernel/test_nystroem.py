"""Nyström features against kernels of scikit-learn."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.preprocessing import StandardScaler

from cmr import rows
from cmr.methods.base import InfeasibleError
from cmr.methods.kernel.nystroem import Gaussian, NystroemMap, Polynomial
from cmr.rows import in_memory
from tests.unit.methods.kernel.made import Linear


@pytest.fixture
def view():
    return np.random.default_rng(0).normal(size=(80, 6)) * np.arange(1, 7) + 5.0


def fitted(view, kernel, landmarks, seed=0):
    return NystroemMap.fit(view, kernel, landmarks, np.random.default_rng(seed))


def expected_kernel(kernel, x, z, landmarks):
    """Of standardised rows, in the words of the papers."""
    if isinstance(kernel, Gaussian):
        return rbf_kernel(x, z, gamma=1 / (kernel.scale * pdist(landmarks, "sqeuclidean").mean()))
    if isinstance(kernel, Polynomial):
        return polynomial_kernel(x, z, degree=kernel.degree, gamma=1 / (landmarks**2).sum(axis=1).mean(), coef0=1)
    return x @ z.T


KERNELS = [Gaussian(), Gaussian(0.2), Polynomial(2), Polynomial(3), Polynomial(5), Linear()]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("landmarks", [80, 1000])
def test_features_of_all_items_reproduce_the_kernel(view, kernel, landmarks):
    features = fitted(view, kernel, landmarks)(view)
    x = StandardScaler().fit_transform(view)
    expected = expected_kernel(kernel, x, x, x)
    # Eigenvalues below 1e-8 of the largest are dropped.
    np.testing.assert_allclose(features @ features.T, expected, atol=1e-8 * np.linalg.norm(expected, 2))


def test_features_of_all_items_are_exact_where_no_eigenvalue_is_dropped(view):
    features = fitted(view, Gaussian(0.05), 80)(view)
    assert features.shape == (80, 80)
    x = StandardScaler().fit_transform(view)
    np.testing.assert_allclose(features @ features.T, expected_kernel(Gaussian(0.05), x, x, x), atol=1e-13)


def test_eigenvalues_below_a_hundred_millionth_of_the_largest_give_no_feature():
    view = np.random.default_rng(3).normal(size=(200, 3))
    x = StandardScaler().fit_transform(view)
    values = np.linalg.eigvalsh(expected_kernel(Gaussian(), x, x, x))
    expected = (values > 1e-8 * values[-1]).sum()
    assert expected < (values > 1e-10 * values[-1]).sum()
    assert fitted(view, Gaussian(), 200)(view).shape == (200, expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_inner_products_with_landmarks_are_exact_for_unseen_items(view, kernel):
    mapped = fitted(view, kernel, 30)
    scaler = StandardScaler().fit(view)
    unseen = np.random.default_rng(1).normal(size=(9, 6)) * 4
    z = (scaler.transform(view))[drawn(mapped, scaler.transform(view))]
    expected = expected_kernel(kernel, scaler.transform(unseen), z, z)
    landmarks = scaler.inverse_transform(z)
    np.testing.assert_allclose(mapped(unseen) @ mapped(landmarks).T, expected, rtol=1e-4, atol=1e-5 * expected.max())


def drawn(mapped, x):
    """Which rows of a standardised view are landmarks, whatever their unit."""
    cosines = (x / np.linalg.norm(x, axis=1)[:, None]) @ (
        mapped.landmarks / np.linalg.norm(mapped.landmarks, axis=1)[:, None]
    ).T
    np.testing.assert_allclose(cosines.max(axis=0), 1)
    return cosines.argmax(axis=0)


def test_landmarks_are_different_items_drawn_by_the_seed(view):
    x = StandardScaler().fit_transform(view)
    first, again, other = (drawn(fitted(view, Gaussian(), 20, seed), x) for seed in (0, 0, 1))
    assert len(set(first)) == 20
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_features_do_not_depend_on_the_scale_of_a_view(view):
    one, other = fitted(view, Polynomial(3), 30), fitted(1e4 * view + 7, Polynomial(3), 30)
    np.testing.assert_allclose(np.abs(other(1e4 * view + 7)), np.abs(one(view)), atol=1e-6)


def test_repeated_items_give_no_feature_of_their_own(view):
    twice = np.vstack([view, view])
    mapped = fitted(twice, Gaussian(0.05), 160)
    assert mapped(view).shape == (80, 80)
    features = mapped(twice)
    np.testing.assert_allclose(features[:80], features[80:], atol=1e-9)


def test_signs_of_features_are_fixed_by_the_largest_entry_of_the_normaliser(view):
    normaliser = fitted(view, Gaussian(), 30).normaliser
    assert (normaliser.max(axis=0) == np.abs(normaliser).max(axis=0)).all()


def test_features_of_a_narrow_view_are_made_in_blocks_of_bounded_memory(view, monkeypatch):
    mapped = fitted(view, Gaussian(0.05), 80)
    whole = mapped(view)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 80 * 10)  # ten rows of features, 133 of the view
    pieces = list(mapped.rows(view).pieces())
    assert [len(piece) for piece in pieces] == [10] * 8
    np.testing.assert_allclose(in_memory(mapped.rows(view)), whole, atol=1e-12)


@pytest.mark.parametrize("kernel", [Gaussian(), Polynomial(2), Linear()])
def test_landmarks_that_are_all_alike_are_refused(view, kernel):
    with pytest.raises(InfeasibleError, match="80 landmarks of a view are all alike"):
        fitted(np.ones((80, 3)), kernel, 500)
    with pytest.raises(InfeasibleError, match="1 landmarks"):
        fitted(view, kernel, 1)
