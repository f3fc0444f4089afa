"""Views in their principal axes against whole standardised ones."""

from dataclasses import dataclass

import numpy as np
import pytest

from cmr import rows
from cmr.methods.base import Pairs
from cmr.methods.linear.principal import principal_cross, principal_views, products, projected
from tests.unit.methods.linear.made import standardised


@dataclass
class Streamed:
    """Rows that are given a few at a time."""

    array: np.ndarray

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype

    def __len__(self):
        return len(self.array)

    def pieces(self):
        for start in range(0, len(self.array), 9):
            yield self.array[start : start + 9]


@pytest.fixture(params=["more items", "more features"])
def both(request, pairs):
    """(pairs, their two views, standardised and of mean squared row norm one), with fewer and with more features."""
    if request.param == "more features":
        rng = np.random.default_rng(3)
        pairs = Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 40)), np.eye(3, dtype=bool)[np.arange(30) % 3])
    return pairs, [standardised(x) / np.sqrt(x.shape[1]) for x in (pairs.images, pairs.texts)]


def test_axes_are_principal_and_keep_inner_products(both):
    pairs, expected = both
    for view, x in zip(principal_views(pairs), expected, strict=True):
        np.testing.assert_allclose(view.rows @ view.rows.T, x @ x.T, atol=1e-10)
        np.testing.assert_allclose(view.rows.T @ view.rows, np.diag(view.values), atol=1e-10)
        assert view.values.sum() == pytest.approx(len(pairs))
        assert view.mean_value == pytest.approx(len(pairs) / x.shape[1])
    np.testing.assert_allclose(np.linalg.norm(principal_cross(pairs)), np.linalg.norm(expected[0].T @ expected[1]))


def test_projections_map_features_as_the_axes_are_mapped(both):
    pairs, _ = both
    for view, x in zip(principal_views(pairs), (pairs.images, pairs.texts), strict=True):
        weights = np.random.default_rng(0).normal(size=(len(view.values), 3))
        np.testing.assert_allclose(view.projection(weights)(x), view.rows @ weights, atol=1e-5)  # float32


def test_constant_columns_change_nothing(pairs):
    images = np.column_stack([pairs.images, np.full((len(pairs), 4), 3.0)])
    plain, padded = (principal_views(Pairs(x, pairs.texts, pairs.labels))[0] for x in (pairs.images, images))
    np.testing.assert_allclose(padded.values, plain.values, atol=1e-10)
    assert padded.features == plain.features == 7


def test_products_and_projections_gathered_in_blocks_are_those_of_whole_views(both, monkeypatch):
    pairs, _ = both
    views = principal_views(pairs)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 7 * sum(len(view.values) for view in views))
    code = np.random.default_rng(1).normal(size=(len(pairs), 3))
    weights = [np.random.default_rng(2).normal(size=(len(view.values), 3)) for view in views]
    for view, own, product, image in zip(views, weights, products(views, code), projected(views, weights), strict=True):
        np.testing.assert_allclose(product, view.rows.T @ code, atol=1e-10)
        np.testing.assert_allclose(image, view.rows @ own, atol=1e-10)


def test_views_on_disk_stay_there_unless_their_row_space_is_small(both):
    pairs, expected = both
    streamed = principal_views(Pairs(Streamed(pairs.images), Streamed(pairs.texts), pairs.labels))
    for own, view, x in zip(streamed, principal_views(pairs), expected, strict=True):
        assert isinstance(own.rows, np.ndarray) == (x.shape[1] > len(x))
        np.testing.assert_allclose(rows.in_memory(own.rows), view.rows, atol=1e-10)
