"""GIST against a direct evaluation of its definition, and what rotations, gratings and contrast do to it."""

import numpy as np
import pytest
from PIL import Image

from cmr.views.image.gist import GRID, ORIENTATIONS, SCALES, Gist, prefilter
from tests.unit.views.pictures import ODD, picture, turned


def described(image):
    return Gist().describe(image).reshape(SCALES, ORIENTATIONS, GRID, GRID)


def grey_picture(values):
    """(256, 256) from 0 to 255, as an image."""
    return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")


def grating(frequency, degrees, contrast=1.0):
    """Waves of `frequency` cycles a pixel that run into this direction, anticlockwise from the x axis."""
    y, x = np.mgrid[:256, :256]
    along = x * np.cos(np.radians(degrees)) - y * np.sin(np.radians(degrees))
    return 127.5 * (1 + contrast * np.sin(2 * np.pi * frequency * along))


def direct(image):
    """GIST of a 256 x 256 image in double precision: whole spectra, centred, one filter and one cell after another."""
    grey = np.asarray(image).astype(float).sum(axis=2) / 3
    grey = 255 * (grey - grey.min()) / (grey.max() - grey.min())

    def mirrored(values, border):
        index = np.concatenate([np.arange(border)[::-1], np.arange(256), 255 - np.arange(border)])
        return values[index][:, index]

    def centred_spectrum(values):
        return np.fft.fftshift(np.fft.fft2(values))

    def back(spectrum):
        return np.fft.ifft2(np.fft.ifftshift(spectrum))

    fx, fy = np.meshgrid(np.arange(-133, 133), np.arange(-133, 133))
    low = np.exp(-(fx**2 + fy**2) / (4 / np.sqrt(np.log(2))) ** 2)
    padded = mirrored(np.log(grey + 1), 5)
    detail = padded - back(centred_spectrum(padded) * low).real
    flat = detail / (0.2 + np.sqrt(abs(back(centred_spectrum(detail**2) * low))))
    spectrum = centred_spectrum(mirrored(flat[5:-5, 5:-5], 32))
    fx, fy = np.meshgrid(np.arange(-160, 160) / 320, np.arange(-160, 160) / 320)
    features = []
    for scale in range(4):
        for orientation in range(8):
            turn = np.arctan2(fy, fx) + orientation * np.pi / 8
            turn = turn - 2 * np.pi * np.round(turn / (2 * np.pi))
            radial = np.hypot(fx, fy) / (0.3 / 1.85**scale) - 1
            response = back(spectrum * np.exp(-10 * 0.35 * radial**2 - 2 * np.pi * turn**2))
            for row in range(32, 288, 64):
                for column in range(32, 288, 64):
                    features.append(abs(response[row : row + 64, column : column + 64]).mean())
    return np.array(features)


def test_gist_equals_the_definition_in_double_precision():
    image = picture(256, 256)
    np.testing.assert_allclose(Gist().describe(image), direct(image), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", range(SCALES))
@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_grating_excites_the_filter_of_its_frequency_and_direction_most(scale, orientation):
    energies = described(grey_picture(grating(0.3 / 1.85**scale, 22.5 * orientation))).mean(axis=(2, 3))
    assert np.unravel_index(energies.argmax(), energies.shape) == (scale, orientation)


def test_a_quarter_turn_moves_cells_and_orientations():
    image = picture(256, 256, seed=1)
    expected = np.roll(np.rot90(described(image), axes=(2, 3)), ORIENTATIONS // 2, axis=1)
    # Only frequencies at the very edge of the spectrum have no partner after the turn.
    np.testing.assert_allclose(described(turned(image)), expected, rtol=0.03)
    assert abs(described(image) / expected - 1).max() > 0.5


def test_brightness_and_contrast_of_the_whole_image_do_not_matter():
    values = np.random.default_rng(0).integers(20, 101, size=(256, 256))
    np.testing.assert_allclose(
        described(grey_picture(values)), described(grey_picture(2 * values + 13)), rtol=1e-3, atol=1e-5
    )


def test_local_contrast_is_evened_out():
    """Waves on the right with a third of the contrast of those on the left."""
    contrast = 0.3 + 0.6 / (1 + np.exp((np.linspace(0, 1, 256) - 0.5) * 40))
    values = grating(0.162, 0, contrast)
    cells = described(grey_picture(values))[1, 0]
    assert values[:, -64:].std() < 0.35 * values[:, :64].std()
    assert cells[:, 3].mean() > 0.6 * cells[:, 0].mean()


def test_the_prefilter_takes_out_slow_changes_of_light():
    waves = grating(0.1, 30, contrast=0.3) / 255
    light = np.linspace(60, 250, 256)
    evenly, unevenly = (prefilter((waves * brightness).astype(np.float32)) for brightness in (150, light))
    inside = (slice(40, -40),) * 2
    assert np.corrcoef(evenly[inside].ravel(), unevenly[inside].ravel())[0, 1] > 0.99
    assert unevenly[:, 200:-20].std() == pytest.approx(unevenly[:, 20:-200].std(), rel=0.15)


def test_the_central_square_counts():
    centre = picture(256, 256)
    wide = Image.new("RGB", (400, 256), "red")
    wide.paste(centre, (72, 0))
    np.testing.assert_allclose(described(wide), described(centre), atol=1e-6)


def test_size_hardly_matters():
    large = picture(512, 512)
    small = large.resize((256, 256), Image.BILINEAR)
    np.testing.assert_allclose(described(large), described(small), rtol=0.02)


@pytest.mark.parametrize("image", ODD.values(), ids=ODD)
def test_odd_images_have_finite_features(image):
    features = Gist().features([image])
    assert features.shape == (1, 512) and features.dtype == np.float32 and np.isfinite(features).all()


def test_an_image_of_one_colour_has_no_energy():
    assert not Gist().describe(ODD["one colour"]).any()
