"""Colour features against scikit-image's colour spaces and counting pixel by pixel."""

import colorsys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from scipy.stats import moment
from skimage.color import rgb2lab

from cmr.views.image.colour import (
    BlockColourMoments,
    HsvCorrelogram,
    LabHistogram,
    auto_correlogram,
    hsv,
    lab,
    quantise_hsv,
)
from tests.unit.views.pictures import ODD, picture

VIEWS = {"lab": (LabHistogram(), 64), "correlogram": (HsvCorrelogram(), 144), "moments": (BlockColourMoments(), 225)}


def every_seventeenth_colour():
    """16^3 colours that fill the cube."""
    return Image.fromarray(17 * np.indices((16, 16, 16)).reshape(3, 64, 64).transpose(1, 2, 0).astype(np.uint8))


def test_lab_is_that_of_scikit_image():
    image = every_seventeenth_colour()
    np.testing.assert_allclose(lab(image), rgb2lab(np.asarray(image)), atol=0.03)


def test_hsv_is_that_of_the_standard_library():
    image = every_seventeenth_colour()
    expected = [colorsys.rgb_to_hsv(*rgb) for rgb in np.asarray(image).reshape(-1, 3) / 255]
    values = hsv(image).reshape(-1, 3) / (360, 1, 1)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert values[:, 0].max() < 1


def test_lab_histogram_is_the_histogram_of_the_ranges():
    image = picture(100, 120)
    ranges = [(0, 100), (-128, 127), (-128, 127)]
    counts, _ = np.histogramdd(rgb2lab(np.asarray(image)).reshape(-1, 3), bins=4, range=ranges)
    # Some pixels lie so near to a border that the two implementations of LAB part.
    np.testing.assert_allclose(LabHistogram().describe(image), counts.ravel() / counts.sum(), atol=5e-4)


def test_all_greys_of_one_brightness_share_a_bin():
    rows = LabHistogram().features([Image.new("RGB", (3, 3), (level,) * 3) for level in range(256)])
    assert set(rows.argmax(axis=1)) == {10, 26, 42, 58}
    assert (rows.max(axis=1) == 1).all()


def test_the_36_colours_part_as_described():
    image = every_seventeenth_colour()

    def colour(rgb):
        hue, saturation, value = colorsys.rgb_to_hsv(*(rgb / 255))
        borders = abs(hue * 360 - np.array([22, 45, 70, 155, 186, 278, 330]))
        if abs(saturation - 0.2) < 1e-4 or (saturation > 0.2 and borders.min() < 1e-3):
            return None  # on a border, to be rounded to either side
        if value < 0.2:
            return 0
        if saturation < 0.2:
            return 7 if value >= 0.8 else int((value - 0.2) * 10 + 1e-9) + 1
        names = [(22, 0), (45, 1), (70, 2), (155, 3), (186, 4), (278, 5), (330, 6), (361, 0)]
        name = next(name for end, name in names if hue * 360 < end)
        return 8 + 4 * name + 2 * (saturation > 0.65) + (value > 0.7)

    expected = [colour(rgb) for rgb in np.asarray(image).reshape(-1, 3)]
    found = quantise_hsv(hsv(image)).ravel()
    told = [(ours, theirs) for ours, theirs in zip(found, expected, strict=True) if theirs is not None]
    assert all(ours == theirs for ours, theirs in told)
    assert len(told) > 3900 and {ours for ours, _ in told} == set(range(36))


@pytest.mark.parametrize("shape", [(23, 31), (4, 40), (1, 9), (9, 1), (1, 1)])
def test_correlogram_equals_counting_pair_by_pair(shape):
    labels = np.random.default_rng(0).integers(5, size=shape, dtype=np.uint8)
    labels[:, : shape[1] // 2] //= 2  # uneven colours
    same, pairs = np.zeros((6, 4)), np.zeros((6, 4))
    distances = (1, 3, 5, 7)
    cells = list(np.ndindex(shape))
    for y, x in cells:
        for v, u in cells:
            distance = max(abs(y - v), abs(x - u))
            if distance in distances:
                pairs[labels[y, x], distances.index(distance)] += 1
                same[labels[y, x], distances.index(distance)] += labels[y, x] == labels[v, u]
    expected = np.divide(same, pairs, out=np.zeros_like(same), where=pairs > 0)
    np.testing.assert_allclose(auto_correlogram(labels, 6, distances), expected)


def test_correlogram_tells_clumped_from_scattered():
    clumped = np.zeros((64, 64), dtype=np.uint8)
    clumped[16:48, 16:48] = 255
    scattered = np.random.default_rng(0).permutation(clumped.ravel()).reshape(64, 64)
    near, far = (
        HsvCorrelogram().describe(Image.fromarray(values).convert("RGB")).reshape(36, 4)[7]
        for values in (clumped, scattered)
    )
    assert (np.diff(near) < 0).all() and near[0] > 0.9
    np.testing.assert_allclose(far, 0.25, atol=0.02)  # the chance to meet a white pixel, at any distance


def test_the_correlogram_of_an_image_is_that_of_its_36_colours_at_1_3_5_and_7_pixels():
    image = picture(60, 50)
    expected = auto_correlogram(quantise_hsv(hsv(image)), 36, (1, 3, 5, 7))
    np.testing.assert_allclose(HsvCorrelogram().describe(image), expected.ravel(), atol=1e-6)


def test_an_image_of_one_colour_is_certain_to_meet_its_colour():
    probabilities = HsvCorrelogram().describe(Image.new("RGB", (20, 20), "red")).reshape(36, 4)
    assert (probabilities[11] == 1).all() and probabilities.sum() == 4


@pytest.mark.parametrize("shape", [(50, 70), (53, 71)])
def test_block_moments_are_those_of_scipy(shape):
    image = picture(*shape)
    values = rgb2lab(np.asarray(image))
    rows, columns = (np.array([i * side // 5 for i in range(6)]) for side in shape)
    expected = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            block = values[top:bottom, left:right].reshape(-1, 3)
            expected += [block.mean(axis=0), block.std(axis=0), np.cbrt(moment(block, 3, axis=0))]
    np.testing.assert_allclose(BlockColourMoments().describe(image), np.concatenate(expected), atol=0.05)


def test_skewness_has_the_sign_of_the_longer_tail():
    dark = np.zeros((50, 50, 3), dtype=np.uint8)
    dark[::5, ::5] = 255
    rows = BlockColourMoments().features([Image.fromarray(dark), Image.fromarray(255 - dark)])
    skewness = rows.reshape(2, 25, 3, 3)[:, :, 2, 0]
    assert (skewness[0] > 0).all() and (skewness[1] < 0).all()


def test_blocks_of_one_colour_have_its_mean_and_no_spread():
    moments = BlockColourMoments().describe(ODD["one colour"]).reshape(25, 3, 3)
    np.testing.assert_allclose(moments[:, 0], np.tile(rgb2lab(np.uint8([[[12, 200, 99]]]))[0], (25, 1)), atol=0.1)
    np.testing.assert_allclose(moments[:, 1:], 0, atol=1e-4)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("image", ODD.values(), ids=ODD)
def test_odd_images_have_finite_features(view, image):
    described, dimension = VIEWS[view]
    features = described.features([image])
    assert features.shape == (1, dimension) and features.dtype == np.float32 and np.isfinite(features).all()


@pytest.mark.parametrize("view", [LabHistogram, HsvCorrelogram, BlockColourMoments])
def test_large_images_are_shrunk_first(view):
    large = picture(200, 400)
    small = large.resize((100, 50), Image.BILINEAR)
    np.testing.assert_array_equal(view(longest=100).describe(large), view(longest=100).describe(small))
