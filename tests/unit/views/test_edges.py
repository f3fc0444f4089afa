"""Edges fall into the bins of their directions, and pixels are counted once."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cmr.views.image.edges import EdgeDirectionHistogram
from tests.unit.views.pictures import ODD, picture, turned


def half_plane(degrees, size=101):
    """Bright on the side to which this direction points, anticlockwise from the x axis; a soft border of one pixel."""
    return pictured(255 * step(degrees, size))


def step(degrees, size=101):
    """(size, size) from 0 to 1."""
    y, x = np.mgrid[:size, :size] - size // 2
    along = x * np.cos(np.radians(degrees)) - y * np.sin(np.radians(degrees))
    return np.clip(along + 0.5, 0, 1)


def pictured(values):
    return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")


def longest_gradient(values):
    """Of the Sobel gradient after a Gaussian of 1 pixel, in double precision."""
    smooth = ndimage.gaussian_filter(values, 1.0, mode="nearest")
    return np.hypot(ndimage.sobel(smooth, axis=0), ndimage.sobel(smooth, axis=1)).max()


def described(image):
    return EdgeDirectionHistogram().describe(image)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 180, 255, 270, 355])
def test_an_edge_counts_in_the_bin_of_its_direction(degrees):
    histogram = described(half_plane(degrees))
    assert histogram[:72].argmax() == degrees // 5
    near = [(degrees // 5 + step) % 72 for step in (-1, 0, 1)]
    assert histogram[near].sum() > 0.9 * histogram[:72].sum() > 0


def test_an_upright_edge_is_one_pixel_wide():
    step = np.zeros((40, 50, 3), dtype=np.uint8)
    step[:, 25:] = 255
    histogram = described(Image.fromarray(step))
    assert histogram[0] == pytest.approx(1 / 50, abs=2 / 2000)  # the rows at top and bottom may lack theirs
    assert histogram[72] == pytest.approx(1 - histogram[0])


def test_a_quarter_turn_shifts_the_bins_by_a_quarter():
    image = picture(180, 200)
    before, after = described(image), described(turned(image))
    shifted = np.roll(before[:72], 18)
    assert before[72] == pytest.approx(after[72], abs=2e-3)
    # Pixels where two directions are equally strong are thinned from another side after the turn.
    assert abs(shifted - after[:72]).sum() < 0.1 * shifted.sum()
    assert abs(before[:72] - after[:72]).sum() > 0.2 * shifted.sum()


def test_a_disc_has_edges_of_all_directions():
    y, x = np.mgrid[:201, :201] - 100
    disc = Image.fromarray(np.rint(255 * np.clip(80.5 - np.hypot(x, y), 0, 1)).astype(np.uint8)).convert("RGB")
    histogram = described(disc)[:72]
    assert histogram.min() > 0.4 * histogram.mean()
    np.testing.assert_allclose(histogram.reshape(4, 18).sum(axis=1), histogram.sum() / 4, rtol=0.05)


@pytest.mark.parametrize("degrees", [0, 45, 90, 160])
def test_an_edge_begins_where_the_gradient_has_a_length_of_150(degrees):
    shape = step(degrees)
    below, above = (pictured(100 + share * 150 / longest_gradient(shape) * shape) for share in (0.94, 1.06))
    assert described(below)[72] == 1
    assert described(above)[72] < 0.995


@pytest.mark.parametrize("degrees", [0, 180])
def test_an_edge_goes_on_while_the_gradient_has_a_length_of_50(degrees):
    shape = step(degrees)
    gradients = np.linspace(220, 20, 101)[:, None]  # from row to row 2 less: below 50 after row 85
    histogram = described(pictured(100 + gradients / longest_gradient(shape) * shape))
    assert 101**2 * (1 - histogram[72]) == pytest.approx(85, abs=2.5)


def test_weak_changes_are_no_edges():
    ramp = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (50, 1))).convert("RGB")
    assert described(ramp)[72] == 1


def test_grain_is_no_edge():
    grain = np.random.default_rng(0).integers(95, 161, size=(80, 80, 1), dtype=np.uint8).repeat(3, axis=2)
    assert described(Image.fromarray(grain))[72] > 0.99


@pytest.mark.parametrize("image", ODD.values(), ids=ODD)
def test_every_pixel_of_odd_images_counts_once(image):
    features = EdgeDirectionHistogram().features([image])
    assert features.shape == (1, 73) and features.dtype == np.float32
    assert features.sum() == pytest.approx(1, abs=1e-6)


def test_large_images_are_shrunk_first():
    large = picture(200, 400)
    small = large.resize((100, 50), Image.BILINEAR)
    view = EdgeDirectionHistogram(longest=100)
    np.testing.assert_array_equal(view.describe(large), view.describe(small))
