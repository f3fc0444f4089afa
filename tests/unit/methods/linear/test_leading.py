"""Leading vectors by iterations against LAPACK's whole decompositions."""

import numpy as np
import pytest

from cmr.methods.linear import leading
from cmr.methods.linear.leading import leading_eigen, leading_singular


@pytest.fixture
def matrix():
    """(90, 80), with singular values that fall by a tenth each."""
    rng = np.random.default_rng(0)
    u, v = np.linalg.qr(rng.normal(size=(90, 80)))[0], np.linalg.qr(rng.normal(size=(80, 80)))[0]
    return u * 0.9 ** np.arange(80) @ v.T


@pytest.mark.parametrize("k, iterates", [(5, True), (40, False), (80, False)])
@pytest.mark.parametrize("transposed", [False, True])
def test_leading_singular_vectors_are_those_of_the_whole_decomposition(matrix, monkeypatch, k, iterates, transposed):
    matrix = matrix.T if transposed else matrix
    called = []
    monkeypatch.setattr(leading, "svds", lambda *a, svds=leading.svds, **b: called.append(1) or svds(*a, **b))
    u, values, v = leading_singular(matrix, k)
    assert bool(called) == iterates
    np.testing.assert_allclose(values, 0.9 ** np.arange(k), atol=1e-13)
    expected_u, _, expected_vt = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(np.abs((u * expected_u[:, :k]).sum(axis=0)), 1, atol=1e-12)
    np.testing.assert_allclose(np.abs((v * expected_vt[:k].T).sum(axis=0)), 1, atol=1e-12)
    np.testing.assert_allclose((u * (matrix @ v)).sum(axis=0), values, atol=1e-13)  # the signs of a pair agree


@pytest.mark.parametrize("k, iterates", [(5, True), (40, False), (80, False)])
def test_leading_eigenvalues_are_the_largest_and_not_the_largest_in_size(matrix, monkeypatch, k, iterates):
    called = []
    monkeypatch.setattr(leading, "eigsh", lambda *a, eigsh=leading.eigsh, **b: called.append(1) or eigsh(*a, **b))
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(80, 80)))[0]
    values = np.sort(rng.uniform(-30, 1, size=80))[::-1]
    found, vectors = leading_eigen(axes * values @ axes.T, k)
    assert bool(called) == iterates
    np.testing.assert_allclose(found, values[:k], atol=1e-12)
    np.testing.assert_allclose(np.abs((vectors * axes[:, :k]).sum(axis=0)), 1, atol=1e-10)


def test_a_matrix_of_zeros_has_singular_values_zero():
    u, values, v = leading_singular(np.zeros((200, 100)), 3)
    np.testing.assert_array_equal(values, np.zeros(3))
    assert u.shape == (200, 3) and v.shape == (100, 3)


def test_leading_vectors_are_the_same_in_every_run(matrix):
    for one, other in zip(leading_singular(matrix, 3), leading_singular(matrix, 3), strict=True):
        np.testing.assert_array_equal(one, other)
