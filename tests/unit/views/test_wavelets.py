"""Wavelet texture against filtering by hand, and what stripes and contrast do to it."""

from itertools import chain

import numpy as np
import pytest
import pywt
from PIL import Image

from cmr.views.image.wavelets import WaveletTexture
from tests.unit.views.pictures import ODD, picture

BANDS = ("low", "level", "upright", "diagonal")


def described(image):
    """Mean and deviation of the pyramid (12, 2) and of the tree (52, 2)."""
    features = WaveletTexture().describe(image).reshape(-1, 2)
    return features[:12], features[12:]


def filtered(values, taps, axis):
    """Mirror, filter and keep every second value along an axis."""
    taps = np.array(taps)

    def one(line):
        border = len(taps) - 1
        return np.convolve(np.pad(line, border, mode="symmetric"), taps, mode="valid")[1::2]

    return np.apply_along_axis(one, axis, values)


def split(values):
    """Low, level, upright and diagonal sub-band of a (h, w) array, in double precision."""
    wavelet = pywt.Wavelet("db8")
    low, high = wavelet.dec_lo, wavelet.dec_hi
    rows = {"l": filtered(values, low, 0), "h": filtered(values, high, 0)}  # filtered down the columns
    return [filtered(rows["l"], low, 1), filtered(rows["h"], low, 1), filtered(rows["l"], high, 1),
            filtered(rows["h"], high, 1)]  # fmt: skip


def energies(bands):
    return np.array([(abs(band).mean(), abs(band).std()) for band in bands])


def test_texture_equals_filtering_by_hand():
    image = picture(60, 84)
    grey = np.asarray(image.convert("L")) / 255.0
    first = split(grey)
    second = [split(band) for band in first[:3]]
    third = [split(band) for family in second for band in family[:3]]
    pyramid, tree = described(image)
    atol = 2e-3  # Pillow and OpenCV round grey levels differently
    np.testing.assert_allclose(pyramid, energies([*first, *second[0], *third[0]]), atol=atol)
    np.testing.assert_allclose(tree, energies([*first, *chain(*second), *chain(*third)]), atol=atol)


@pytest.mark.parametrize(("axis", "band"), [(1, "upright"), (0, "level")])
def test_fine_stripes_lie_in_the_sub_band_of_their_direction(axis, band):
    stripes = Image.fromarray(np.indices((128, 128))[axis].astype(np.uint8) % 2 * 200).convert("RGB")
    means = described(stripes)[0][:4, 0]
    details = dict(zip(BANDS[1:], means[1:], strict=True))
    strongest = details.pop(band)
    assert strongest > 50 * max(details.values())


def test_coarse_stripes_lie_in_deeper_levels():
    x = np.tile(np.arange(128), (128, 1))
    waves = Image.fromarray(np.rint(127 + 100 * np.sin(2 * np.pi * x / 11)).astype(np.uint8)).convert("RGB")
    upright = described(waves)[0][2::4, 0]
    assert upright.argmax() == 2


def test_details_grow_with_contrast():
    values = np.random.default_rng(0).integers(60, size=(64, 64), dtype=np.uint8)
    weak, strong = (described(Image.fromarray(factor * values).convert("RGB"))[1] for factor in (1, 4))
    np.testing.assert_allclose(strong, 4 * weak, rtol=1e-4)


def test_one_colour_has_no_detail():
    pyramid, tree = described(Image.new("RGB", (64, 64), (51, 51, 51)))
    np.testing.assert_allclose(pyramid[::4, 0], [0.4, 0.8, 1.6], rtol=1e-4)  # orthogonal: twice the value a level
    details = np.delete(tree[:, 0], [0, 4, 16])
    np.testing.assert_allclose(details, 0, atol=1e-5)
    np.testing.assert_allclose(tree[:, 1], 0, atol=1e-5)


@pytest.mark.parametrize("image", ODD.values(), ids=ODD)
def test_odd_images_have_finite_features(image):
    features = WaveletTexture().features([image])
    assert features.shape == (1, 128) and features.dtype == np.float32 and np.isfinite(features).all()


def test_large_images_are_shrunk_first():
    large = picture(200, 400)
    small = large.resize((100, 50), Image.BILINEAR)
    view = WaveletTexture(longest=100)
    np.testing.assert_array_equal(view.describe(large), view.describe(small))
