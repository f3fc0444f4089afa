"""MPEG-7 descriptors against closed forms, counting by hand and other implementations of their transforms."""

import colorsys

import numpy as np
import pytest
from PIL import Image
from scipy.fft import idctn

from cmr.views.image.mpeg7 import (
    Mpeg7,
    colour_layout,
    colour_structure,
    edge_histogram,
    haar,
    quantise_hmmd,
    scalable_colour,
    structure,
)
from tests.unit.views.pictures import ODD, picture

UPRIGHT, LEVEL, AT_45, AT_135, OTHER = range(5)


def grey_picture(values):
    return Image.fromarray(np.asarray(values, dtype=np.uint8)).convert("RGB")


def test_haar_keeps_lengths_and_angles():
    transform = np.array([haar(row.reshape(16, 4, 4)) for row in np.eye(256)])
    np.testing.assert_allclose(transform @ transform.T, np.eye(256), atol=1e-12)


@pytest.mark.parametrize(
    ("kept", "shape"),
    [
        (128, (8, 4, 4)),  # to 16, those of the standard
        (64, (8, 2, 4)),
        (32, (8, 2, 2)),
        (16, (4, 2, 2)),
        (8, (2, 2, 2)),
        (4, (2, 1, 2)),
        (2, (2, 1, 1)),
        (1, (1, 1, 1)),
    ],
)
def test_the_first_coefficients_make_coarser_histograms(kept, shape):
    histogram = np.random.default_rng(0).random((16, 4, 4))
    transform = np.array([haar(row.reshape(16, 4, 4)) for row in np.eye(256)]).T
    coefficients = haar(histogram)
    coefficients[kept:] = 0
    smooth = (transform.T @ coefficients).reshape(16, 4, 4)
    h, s, v = np.array([16, 4, 4]) // shape
    blocks = histogram.reshape(shape[0], h, shape[1], s, shape[2], v).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(smooth, blocks.repeat(h, 0).repeat(s, 1).repeat(v, 2), atol=1e-12)


def test_scalable_colour_is_the_transform_of_the_hsv_histogram():
    image = picture(40, 50)
    histogram = np.zeros((16, 4, 4))
    for rgb in np.asarray(image).reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
        histogram[int(hue * 16), min(3, int(saturation * 4)), min(3, int(value * 4))] += 1 / 2000
    # A pixel on a border of two bins may fall on either side.
    np.testing.assert_allclose(scalable_colour(image), haar(histogram), atol=2e-3)
    assert scalable_colour(image)[0] == pytest.approx(1 / 16)


def test_one_colour_has_no_structure_in_its_layout():
    layout = colour_layout(Image.new("RGB", (33, 17), (255, 0, 0))).reshape(3, 64)
    np.testing.assert_allclose(layout[:, 0], 8 * np.array([0.299, -0.168736, 0.5]), atol=2e-3)
    np.testing.assert_allclose(layout[:, 1:], 0, atol=1e-6)


def test_layout_is_the_cosine_transform_of_the_cells_in_zigzag():
    image = picture(64, 80)
    cells = np.asarray(image).reshape(8, 8, 8, 10, 3).mean(axis=(1, 3)) / 255
    red, green, blue = np.moveaxis(cells, -1, 0)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = luminance, (blue - luminance) / 1.772, (red - luminance) / 1.402
    for values, plane in zip(colour_layout(image).reshape(3, 64), planes, strict=True):
        coefficients = np.zeros((8, 8))
        for value, cell in zip(values, zigzag(), strict=True):
            coefficients[cell] = value
        np.testing.assert_allclose(idctn(coefficients, norm="ortho"), plane, atol=1e-3)


def zigzag():
    """The 64 cells of a block in the order of JPEG, by walking."""
    y, x, up = 0, 0, True
    for _ in range(64):
        yield y, x
        if up and (y == 0 or x == 7):
            y, x, up = (y + 1, x, False) if x == 7 else (y, x + 1, False)
        elif not up and (x == 0 or y == 7):
            y, x, up = (y, x + 1, True) if y == 7 else (y + 1, x, True)
        else:
            y, x = (y - 1, x + 1) if up else (y + 1, x - 1)


def colour_at(rgb):
    """The 256 colours of the standard's table, for one pixel; None where its hue is on a border."""
    difference, total = max(rgb) - min(rgb), max(rgb) + min(rgb)
    first, hues, sums = next(
        entry[1:]
        for entry in [(6, 0, 1, 32), (20, 32, 4, 8), (60, 64, 16, 4), (110, 128, 16, 4), (256, 192, 16, 4)]
        if difference < entry[0]
    )
    hue = colorsys.rgb_to_hsv(*(int(value) for value in rgb))[0]
    if hue and abs(hue * hues - round(hue * hues)) < 1e-4:
        return None
    return first + int(hue * hues) * sums + int(total / 512 * sums)


def test_the_256_colours_are_those_of_the_table():
    rng = np.random.default_rng(0)
    rgb = rng.integers(256, size=(50, 60, 3), dtype=np.uint8)
    rgb[::2] = 0.15 * rgb[::2] + 0.8 * rng.integers(256, size=(25, 60, 1))  # pale ones, too
    expected = [colour_at(pixel) for pixel in rgb.reshape(-1, 3).astype(int)]
    found = quantise_hmmd(Image.fromarray(rgb)).ravel()
    told = [(ours, theirs) for ours, theirs in zip(found, expected, strict=True) if theirs is not None]
    assert all(ours == theirs for ours, theirs in told)
    assert len(told) > 2700 and len({ours for ours, _ in told}) > 200


@pytest.mark.parametrize("shape", [(20, 27), (8, 8), (5, 30), (30, 1)])
def test_structure_counts_positions_that_hold_a_colour(shape):
    labels = np.random.default_rng(0).integers(200, size=shape, dtype=np.uint8)
    height, width = min(8, shape[0]), min(8, shape[1])
    positions = [(y, x) for y in range(shape[0] - height + 1) for x in range(shape[1] - width + 1)]
    expected = np.zeros(256)
    for y, x in positions:
        expected[list(set(labels[y : y + height, x : x + width].ravel()))] += 1
    np.testing.assert_allclose(structure(labels, 256), expected / len(positions))


def test_one_colour_is_in_every_element():
    parts = colour_structure(Image.new("RGB", (30, 20), (255, 0, 0)))
    assert parts[colour_at((255, 0, 0))] == 1 and parts.sum() == 1


def test_structure_tells_scattered_from_clumped():
    clumped = np.zeros((64, 64), dtype=np.uint8)
    clumped[28:36, 28:36] = 255
    scattered = np.zeros((64, 64), dtype=np.uint8)
    scattered[::8, ::8] = 255  # as many white pixels
    near, far = (colour_structure(grey_picture(values))[colour_at((255, 255, 255))] for values in (clumped, scattered))
    assert near == pytest.approx(15**2 / 57**2) and far == 1


def test_large_images_are_thinned_for_their_structure():
    large = picture(400, 400)
    thinned = Image.fromarray(np.asarray(large)[::2, ::2].copy())
    np.testing.assert_array_equal(colour_structure(large), colour_structure(thinned))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (lambda y, x: x // 5 % 2 * 200, UPRIGHT),
        (lambda y, x: y // 5 % 2 * 200, LEVEL),
        (lambda y, x: (x + y) // 6 % 2 * 200, AT_45),  # edges that rise to the right
        (lambda y, x: (x - y) // 6 % 2 * 200, AT_135),
        (lambda y, x: (x // 3 + y // 3) % 2 * 200, OTHER),
    ],
)
def test_stripes_are_edges_of_their_type(values, kind):
    image = grey_picture(values(*np.mgrid[:240, :240]))  # blocks of 6 pixels
    types = edge_histogram(image).reshape(16, 5)
    assert (types.argmax(axis=1) == kind).all()
    assert (np.delete(types, kind, axis=1) < 0.5 * types[:, [kind]]).all()


def test_edges_equal_filtering_block_by_block():
    image = picture(150, 213).convert("L").convert("RGB")
    luminance = np.asarray(image)[..., 0].astype(float)
    filters = np.array(
        [[1, -1, 1, -1], [1, 1, -1, -1], [2**0.5, 0, 0, -(2**0.5)], [0, 2**0.5, -(2**0.5), 0], [2, -2, -2, 2]]
    )
    counts, blocks = np.zeros((4, 4, 5)), np.zeros((4, 4, 1))
    for y in range(0, 147, 4):  # blocks of 4 x 4 pixels
        for x in range(0, 210, 4):
            block = luminance[y : y + 4, x : x + 4]
            quarters = [block[:2, :2].mean(), block[:2, 2:].mean(), block[2:, :2].mean(), block[2:, 2:].mean()]
            responses = abs(filters @ quarters)
            cell = int(4 * y / 150), int(4 * x / 213)
            blocks[cell] += 1
            if responses.max() >= 11:
                counts[cell][responses.argmax()] += 1
    found = edge_histogram(image).reshape(4, 4, 5)
    assert (found.sum(axis=(0, 1)) > 0.5).all()  # every type occurs
    np.testing.assert_allclose(found, counts / blocks)


def test_edges_count_in_their_sub_image_as_parts_of_its_blocks():
    values = np.zeros((240, 240))
    values[60:120, 123:180] = 200  # row 1, column 2 of the 4 x 4; its left side cuts 10 of 10 x 10 blocks in half
    types = edge_histogram(grey_picture(values)).reshape(4, 4, 5)
    assert types[1, 2, UPRIGHT] == pytest.approx(0.1)
    types[1, 2] = 0
    assert not types.any()


@pytest.mark.parametrize(("step", "edges"), [(5, 0), (6, 0.1)])
def test_an_edge_needs_a_response_of_11(step, edges):
    values = np.full((240, 240), 100)
    values[:, 123:] += step  # a response of twice the step
    assert edge_histogram(grey_picture(values)).reshape(4, 4, 5)[:, 2, UPRIGHT] == pytest.approx(edges)


def test_the_784_values_are_the_four_descriptors():
    image = picture(90, 70)
    parts = [scalable_colour(image), colour_layout(image), colour_structure(image), edge_histogram(image)]
    assert [len(part) for part in parts] == [256, 192, 256, 80]
    np.testing.assert_allclose(Mpeg7().describe(image), np.concatenate(parts), atol=1e-6)


@pytest.mark.parametrize("image", ODD.values(), ids=ODD)
def test_odd_images_have_finite_features(image):
    features = Mpeg7().features([image])
    assert features.shape == (1, 784) and features.dtype == np.float32 and np.isfinite(features).all()


def test_large_images_are_shrunk_first():
    large = picture(200, 400)
    small = large.resize((100, 50), Image.BILINEAR)
    np.testing.assert_array_equal(Mpeg7(longest=100).describe(large), Mpeg7(longest=100).describe(small))
