"""Sums gathered in blocks, and views turned into their row space, against what they stand for."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from cmr import rows
from cmr.errors import UserError
from cmr.methods.base import Pairs, Standardiser
from cmr.methods.linear.algebra import Spectrum
from cmr.methods.linear.moments import moments
from tests.unit.methods.linear.made import standardised


def test_standardiser_uses_train_statistics_and_clamps():
    train = np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    scaling = Standardiser.fit(train, clamp=2.0)
    expected = StandardScaler().fit(train[:, :1]).transform([[100.0]])
    np.testing.assert_allclose(Standardiser.fit(train)([[100.0, 6.0]]), [[*expected[0], 0.0]])
    np.testing.assert_allclose(scaling([[100.0, 6.0]]), [[2.0, 0.0]])


@pytest.mark.parametrize(("dtype", "spread"), [(np.float32, np.spacing(np.float32(0.1))), (np.float64, 1e-14)])
def test_a_column_that_varies_by_rounding_alone_is_constant(dtype, spread):
    noise = (0.1 + spread * (np.arange(50) % 2)).astype(dtype)
    assert len(np.unique(noise)) == 2
    x = np.column_stack([noise, 1000 + 0.01 * np.arange(50)]).astype(dtype)
    z = Standardiser.fit(x)(x)
    np.testing.assert_array_equal(z[:, 0], 0.0)
    assert z[:, 1].std() == pytest.approx(1)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 12 * 7)  # seven rows of both views of `pairs`


def test_moments_gathered_in_blocks_are_those_of_whole_views(pairs, small_blocks):
    m = moments(pairs)
    x, y, t = standardised(pairs.images), standardised(pairs.texts), pairs.labels - pairs.labels.mean(axis=0)
    for found, expected in ((m.x.gram, x.T @ x), (m.cross, x.T @ y), (m.x_labels, x.T @ t), (m.y_labels, y.T @ t)):
        np.testing.assert_allclose(found, expected, atol=1e-10)
    assert m.x.mean_variance == pytest.approx(1)


def test_block_statistics_survive_a_large_mean(small_blocks):
    x = np.random.default_rng(0).normal(size=(500, 3)) + 1e7
    scaling = Standardiser.fit(x)
    np.testing.assert_allclose(scaling.scale, x.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(scaling.mean, x.mean(axis=0), rtol=1e-14)


def test_row_space_keeps_inner_products_and_lifts_weights_exactly():
    rng = np.random.default_rng(5)
    few = Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 4)), np.ones((30, 1), dtype=bool))
    view = moments(few).x
    x, z = standardised(few.images), view.coordinates(few.images)
    assert z.shape == (30, 29)
    np.testing.assert_allclose(z @ z.T, x @ x.T, atol=1e-10)
    np.testing.assert_allclose(z.T @ z, view.gram, atol=1e-10)
    assert view.mean_variance == pytest.approx((x**2).sum() / (30 * 80))
    weights = rng.normal(size=(29, 2))
    np.testing.assert_allclose(x @ view.projection(weights).weights, z @ weights, atol=1e-10)
    assert moments(few, reduce=False).x.rotation is None


def test_spectrum_rebuilds_the_matrix_on_its_range_and_whitens_it():
    x = np.random.default_rng(2).normal(size=(6, 4))
    matrix = x @ x.T
    spectrum = Spectrum.of(matrix)
    assert spectrum.values.shape == (4,)
    assert (np.diff(spectrum.values) <= 0).all()
    np.testing.assert_allclose(spectrum.axes * spectrum.values @ spectrum.axes.T, matrix, atol=1e-12)
    assert (spectrum.axes.max(axis=0) == np.abs(spectrum.axes).max(axis=0)).all()
    k = spectrum.whitener(0.5)
    np.testing.assert_allclose(k.T @ (matrix + 0.5 * np.eye(6)) @ k, np.eye(4), atol=1e-12)


def test_candidates_share_what_depends_on_the_data_alone(pairs):
    assert pairs.once(moments) is pairs.once(moments)
    assert pairs.once(moments) is not pairs.once(moments, False)


def test_a_single_pair_is_refused(pairs):
    with pytest.raises(UserError, match="has 1 pairs"):
        moments(Pairs(pairs.images[:1], pairs.texts[:1], pairs.labels[:1]))
