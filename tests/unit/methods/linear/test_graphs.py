"""Sparse neighbour graphs against dense matrices of all items."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from scipy.spatial.distance import cdist

from cmr import rows
from cmr.methods.base import InfeasibleError
from cmr.methods.linear import graphs
from cmr.methods.linear.graphs import (
    laplacian,
    nearest,
    nearest_pairs,
    neighbour_graph,
    normalised_laplacian,
    pair_graph,
    quadratic,
)
from cmr.rows import MappedRows


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(graphs, "DISTANCE_BYTES", 8 * 120 * 7)  # seven of 120 items
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 5 * 11)  # eleven rows of five features
    monkeypatch.setattr(graphs, "BLOCK_BYTES", 8 * 5 * 11)


def items(n=120, d=5):
    return np.random.default_rng(1).normal(size=(n, d))


def duplicates(n=120, d=60):
    """Few different items, several times each: most distances are tied, and rounding hides it."""
    rng = np.random.default_rng(2)
    return rng.normal(size=(9, d))[rng.integers(9, size=n)]


def symmetric_weights(n=120):
    rng = np.random.default_rng(3)
    dense = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.1), 1)
    dense[:, 4] = dense[4] = 0  # an item without neighbours
    return dense + dense.T


def nearest_by_all_distances(x, k):
    distances = cdist(x, x, "sqeuclidean")
    np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, indices, axis=1), indices


def peak_bytes(function, *arguments):
    tracemalloc.start()
    function(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("k", [1, 10, 40, 119])
def test_nearest_are_those_of_all_distances(small_blocks, k):
    distances, indices = nearest(items(), k)
    expected_distances, expected = nearest_by_all_distances(items(), k)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-10)


@pytest.mark.parametrize("k", [3, 10, 40])
def test_among_duplicates_the_first_are_nearest(small_blocks, k):
    x = duplicates() + 3.0
    distances, indices = nearest(x, k)
    expected_distances, expected = nearest_by_all_distances(x, k)
    np.testing.assert_array_equal(np.sort(indices, axis=1), np.sort(expected, axis=1))
    np.testing.assert_allclose(distances, expected_distances, atol=1e-10)
    assert (distances >= 0).all()


def test_nearest_reads_single_precision_as_the_numbers_it_holds():
    x = items().astype(np.float32)
    np.testing.assert_array_equal(nearest(x, 5)[0], nearest(x.astype(np.float64), 5)[0])


def test_no_neighbours_are_lists_without_entries():
    distances, indices = nearest(items(1), 0)
    assert distances.shape == indices.shape == (1, 0)
    assert neighbour_graph(indices, distances).toarray() == 0


def test_more_neighbours_than_other_items_are_refused():
    with pytest.raises(InfeasibleError, match="only 2 others"):
        nearest(items(3), 3)


def test_memory_for_neighbours_does_not_grow_with_the_square_of_the_items(monkeypatch):
    monkeypatch.setattr(graphs, "DISTANCE_BYTES", 1 << 18)
    x, y = items(2000), slice(1000, 2000)
    assert peak_bytes(nearest, x, 5) < 2 << 20  # all distances: 32 MB
    assert peak_bytes(nearest_pairs, x, [(slice(0, 1000), y)], 5) < 2 << 20


def pairs_by_all_distances(x, between, k):
    found = [(cdist(x[i : i + 1], x[j : j + 1], "sqeuclidean")[0, 0], i, j) for i, j in between]
    return sorted(found, key=lambda pair: pair[0])[:k]  # stable: of equals the first


@pytest.mark.parametrize("x", [items(40), duplicates(40) + 3.0], ids=["distinct", "duplicates"])
@pytest.mark.parametrize("k", [1, 30, 290])
def test_nearest_pairs_are_those_of_all_pairs(small_blocks, x, k):
    between = [(slice(10, 20), slice(0, 10)), (slice(10, 20), slice(20, 40))]
    everything = [(i, j) for rows, columns in between for i in range(40)[rows] for j in range(40)[columns]]
    distances, first, second = nearest_pairs(x, between, k)
    expected = pairs_by_all_distances(x, everything, k)
    assert sorted(zip(first, second, strict=True)) == sorted((i, j) for _, i, j in expected)
    np.testing.assert_allclose(distances, [distance for distance, *_ in expected], atol=1e-10)
    assert (distances >= 0).all() and (np.diff(distances) >= 0).all()


def test_fewer_pairs_than_asked_for_are_all_returned():
    distances, first, second = nearest_pairs(items(6), [(slice(0, 2), slice(2, 5)), (slice(0, 2), slice(6, 6))], 100)
    assert {*zip(first, second, strict=True)} == {(i, j) for i in (0, 1) for j in (2, 3, 4)}
    assert (np.diff(distances) >= 0).all()


def test_neighbour_graph_takes_the_greater_weight_of_mutual_neighbours():
    indices = np.array([[1, 2], [0, 3], [3, 1], [0, 1]])
    weights = np.array([[0.5, 0.1], [0.9, 0.2], [0.3, 0.4], [0.6, 0.7]])
    dense = np.zeros((4, 4))
    np.put_along_axis(dense, indices, weights, axis=1)
    np.testing.assert_array_equal(neighbour_graph(indices, weights).toarray(), np.maximum(dense, dense.T))


def test_pairs_named_twice_count_once():
    graph = pair_graph(4, np.array([0, 2, 1, 0]), np.array([1, 3, 0, 1]))
    np.testing.assert_array_equal(graph.toarray(), [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])


def test_laplacian_is_degrees_less_weights():
    w = symmetric_weights()
    found = laplacian(scipy.sparse.csr_array(w))
    assert found.format == "csr"
    np.testing.assert_allclose(found.toarray(), np.diag(w.sum(axis=1)) - w, atol=1e-14)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-14)
    assert np.linalg.eigvalsh(found.toarray()).min() > -1e-12


def test_normalised_laplacian_scales_by_degrees_and_leaves_lone_items_out():
    w = symmetric_weights()
    degrees = w.sum(axis=1)
    some = degrees > 0
    expected = np.zeros_like(w)
    expected[np.ix_(some, some)] = np.eye(some.sum()) - w[np.ix_(some, some)] / np.sqrt(
        np.outer(degrees[some], degrees[some])
    )
    found = normalised_laplacian(scipy.sparse.csr_array(w))
    assert found.format == "csr"
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-14)
    np.testing.assert_allclose(found @ np.sqrt(degrees), 0, atol=1e-13)
    values = np.linalg.eigvalsh(found.toarray())
    assert values.min() > -1e-12 and values.max() < 2 + 1e-12


def test_quadratic_form_is_the_dense_one_for_arrays_and_for_rows_made_anew(small_blocks):
    x, w = items(), symmetric_weights()
    expected = x.T @ w @ x
    for source in (x, np.asfortranarray(x), MappedRows(x / 2, lambda block: 2 * block, 5)):
        found = quadratic(source, scipy.sparse.csr_array(w))
        np.testing.assert_allclose(found, expected, atol=1e-11)
        np.testing.assert_array_equal(found, found.T)
    single = x.astype(np.float32)
    found = quadratic(single, scipy.sparse.csr_array(w))
    np.testing.assert_allclose(found, quadratic(single.astype(np.float64), scipy.sparse.csr_array(w)), atol=1e-11)


def test_quadratic_form_copies_no_array_and_holds_other_rows_once(monkeypatch):
    for module in (rows, graphs):
        monkeypatch.setattr(module, "BLOCK_BYTES", 1 << 16)
    x, identity = np.ones((20000, 50)), scipy.sparse.eye_array(20000, format="csr")
    assert peak_bytes(quadratic, x, identity) < 0.1 * x.nbytes
    assert peak_bytes(quadratic, MappedRows(x, lambda block: block, 50), identity) < 1.1 * x.nbytes
