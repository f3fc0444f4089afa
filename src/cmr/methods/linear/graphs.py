"""Sparse neighbour graphs: nearest items are found in blocks of rows, and n x n matrices stay sparse."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from sklearn.neighbors import NearestNeighbors

from cmr.errors import UserError
from cmr.rows import Rows, row_blocks

Array = NDArray[np.float64]


def nearest(x: Array, k: int) -> tuple[Array, NDArray[np.intp]]:
    """Squared Euclidean distances and indices (n, k) of the k nearest other rows of x (n, d), nearest first.

    Raises UserError where there are no k other rows.
    """
    if k >= len(x):
        raise UserError(f"{k} neighbours are asked for, but an item has only {len(x) - 1} others in the train part")
    distances, indices = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors()
    return distances**2, indices


def neighbour_graph(indices: NDArray[np.intp], weights: Array) -> csr_array:
    """Symmetric weights W (n, n) of neighbour lists (n, k): the greater of both where two items name each other."""
    n, k = indices.shape
    one_way = csr_array((weights.ravel(), indices.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    return one_way.maximum(one_way.T).tocsr()


def laplacian(weights: csr_array) -> csr_array:
    """L = D - W of symmetric weights; its rows sum to zero, and it is positive semi-definite."""
    return (diags_array(np.asarray(weights.sum(axis=1)).ravel()) - weights).tocsr()


def normalised_laplacian(weights: csr_array) -> csr_array:
    """L = I - D^-1/2 W D^-1/2 of symmetric weights; an item without neighbours has a zero row but for its one."""
    degrees = np.asarray(weights.sum(axis=1)).ravel()
    scale = diags_array(1 / np.sqrt(np.where(degrees > 0, degrees, 1.0)))
    return (diags_array(np.ones(len(degrees))) - scale @ weights @ scale).tocsr()


def quadratic(x: Rows, matrix: csr_array) -> Array:
    """X'MX (d, d) of x (n, d) and a sparse symmetric M (n, n): O(n k d + n d^2), without a dense n x n matrix."""
    x = np.concatenate([block for _, block in row_blocks(x)])
    product = x.T @ (matrix @ x)
    return (product + product.T) / 2  # symmetric to the last bit
