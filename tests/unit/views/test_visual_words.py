"""SIFT descriptors are what they are defined to be; visual words are learnt from train images and counted exactly."""

import math

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from skimage import data

from cmr.errors import UserError
from cmr.views.base import LabelledImages
from cmr.views.image import visual_words
from cmr.views.image.sift import BIN_SIZES, LocalFeatures, dense_sift, sparse_sift
from cmr.views.image.visual_words import BagOfVisualWords, PyramidHistogramOfVisualWords, nearest_words

PHOTOGRAPHS = ["astronaut", "camera", "chelsea", "coffee", "rocket", "brick"]  # come with scikit-image


def photograph(name: str, size: tuple[int, int] = (160, 120)) -> Image.Image:
    return Image.fromarray(getattr(data, name)()).convert("RGB").resize(size)


def grey(name: str, size: tuple[int, int] = (160, 120)) -> np.ndarray:
    return np.asarray(photograph(name, size).convert("L"))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return gaussian_filter(np.random.default_rng(seed).uniform(0, 255, (height, width)), 1).astype(np.float32)


def grid(image: np.ndarray, bin_size: int, step: int) -> np.ndarray:
    """Descriptors as (rows, columns, 4, 4, 8)."""
    positions, descriptors = dense_sift(image, [bin_size], step)
    return descriptors.reshape(len(np.unique(positions[:, 1])), -1, 4, 4, 8)


def by_definition(image: np.ndarray, x: float, y: float, bin_size: int) -> np.ndarray:
    """One descriptor, pixel by pixel, in float64."""
    smooth = np.pad(gaussian_filter(image.astype(np.float64), bin_size / 6, mode="nearest", truncate=6), 1, mode="edge")
    histogram = np.zeros((4, 4, 8))
    for row, column in np.ndindex(image.shape):
        right = (smooth[row + 1, column + 2] - smooth[row + 1, column]) / 2
        up = (smooth[row, column + 1] - smooth[row + 2, column + 1]) / 2
        u, v = (column - x) / bin_size, (row - y) / bin_size
        orientation = math.atan2(up, right) / (math.pi / 4)
        for i, j, k in np.ndindex(4, 4, 8):
            turn = abs((orientation - k + 4) % 8 - 4)
            shares = [max(0, 1 - abs(v - (i - 1.5))), max(0, 1 - abs(u - (j - 1.5))), max(0, 1 - turn)]
            histogram[i, j, k] += math.hypot(right, up) * math.prod(shares) * math.exp(-(u * u + v * v) / 8)
    clipped = np.minimum(histogram / np.linalg.norm(histogram), 0.2).ravel()
    return clipped / np.linalg.norm(clipped)


@pytest.mark.parametrize(("bin_size", "height", "width"), [(4, 21, 25), (5, 24, 21)])
def test_dense_sift_is_its_definition(bin_size, height, width):
    image = noise(height, width)
    positions, descriptors = dense_sift(image, [bin_size], step=4)
    expected = [by_definition(image, x, y, bin_size) for x, y in positions]
    assert len(expected) == ((height - 4 * bin_size) // 4 + 1) * ((width - 4 * bin_size) // 4 + 1)
    np.testing.assert_allclose(descriptors, expected, atol=1e-5)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_dense_sift_resembles_opencvs_at_the_same_keypoints(name):
    # OpenCV puts keypoints on whole pixels, as a grid in the centre of odd sizes is. In its first octave it smooths by
    # sqrt(1.6^2 - 0.5^2) = 1.52 pixels, here 9 / 6. A cell is 1.5 times the keypoint's size.
    image = grey(name, (201, 161))
    positions, ours = dense_sift(image, [9], step=8)
    keypoints = [cv2.KeyPoint(float(x), float(y), 6, 0) for x, y in positions]
    _, theirs = cv2.SIFT_create().compute(image, keypoints)
    structured = ours.any(axis=1)
    cosines = np.sum(ours * theirs, axis=1)[structured] / np.linalg.norm(theirs, axis=1)[structured]
    # Not 1: theirs are rounded to whole numbers of 512, their arc tangent to 0.3 degrees.
    assert structured.mean() > 0.5
    assert np.median(cosines) > 0.9999 and cosines.min() > 0.995


def test_brightness_and_contrast_leave_dense_descriptors_as_they_are():
    image = noise(60, 70)
    np.testing.assert_allclose(dense_sift(image * 0.4 + 100)[1], dense_sift(image)[1], atol=1e-4)


@pytest.mark.parametrize("bin_size", [4, 7])
def test_turning_the_image_turns_grid_cells_and_orientations(bin_size):
    image = noise(61, 82)
    turned = np.rot90(np.rot90(grid(image, bin_size, 5), axes=(0, 1)), axes=(2, 3))
    np.testing.assert_allclose(grid(np.rot90(image), bin_size, 5), np.roll(turned, 2, axis=-1), atol=1e-5)


def test_dense_descriptors_move_with_the_image():
    scene = noise(140, 150)
    before, after = grid(scene[:128, :128], 4, 8), grid(scene[8:136, 16:144], 4, 8)
    inner = slice(1, -1)  # the smoothing and the outermost cells of the others see the border
    np.testing.assert_allclose(after[inner, inner][:-1, :-2], before[inner, inner][1:, 2:], atol=1e-5)


def test_patches_lie_within_the_image_and_the_grid_in_its_centre():
    positions, _ = dense_sift(noise(50, 90), [10], step=8)
    x, y = np.unique(positions[:, 0]), np.unique(positions[:, 1])
    assert np.diff(x).tolist() == [8] * 6 and np.diff(y).tolist() == [8]
    assert x.min() - 20 >= -0.5 and y.min() - 20 >= -0.5
    assert x.mean() == 89 / 2 and y.mean() == 49 / 2


def test_dense_descriptors_of_all_scales_follow_each_other_and_have_length_one():
    image = grey("chelsea")
    positions, descriptors = dense_sift(image)
    alone = [dense_sift(image, [bin_size]) for bin_size in BIN_SIZES]
    np.testing.assert_array_equal(descriptors, np.concatenate([scale.descriptors for scale in alone]))
    np.testing.assert_array_equal(positions, np.concatenate([scale.positions for scale in alone]))
    lengths = np.linalg.norm(descriptors, axis=1)
    np.testing.assert_allclose(lengths[lengths > 0], 1, atol=1e-5)
    assert descriptors.dtype == positions.dtype == np.float32


def test_patches_without_structure_have_the_zero_descriptor():
    image = np.full((100, 200), 128, np.float32)
    image[:, :100] = noise(100, 100)
    image[:, 150:] += np.random.default_rng(1).uniform(-0.5, 0.5, (100, 50))  # the noise of a plain surface
    positions, descriptors = dense_sift(image, [4])
    structured = descriptors.any(axis=1)
    assert structured[positions[:, 0] < 95].all() and not structured[positions[:, 0] > 115].any()


@pytest.mark.parametrize("shape", [(1, 1), (15, 300), (300, 15)])
def test_an_image_smaller_than_a_patch_has_no_dense_descriptor(shape):
    positions, descriptors = dense_sift(np.zeros(shape, np.uint8))
    assert positions.shape == (0, 2) and descriptors.shape == (0, 128)


def test_sparse_descriptors_have_nearly_length_one_and_lie_in_the_image():
    positions, descriptors = sparse_sift(grey("astronaut"))
    assert len(descriptors) > 50 and descriptors.dtype == positions.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, atol=0.005)
    assert (positions >= 0).all() and (positions < [160, 120]).all()


def test_a_plain_surface_has_no_sparse_descriptor():
    positions, descriptors = sparse_sift(np.full((50, 60), 200, np.uint8))
    assert positions.shape == (0, 2) and descriptors.shape == (0, 128)


def test_nearest_words_are_those_of_a_search_in_double_precision():
    generator = np.random.default_rng(0)
    descriptors = generator.uniform(0, 1, (1500, 128)).astype(np.float32)
    words = generator.uniform(0, 1, (300, 128)).astype(np.float32)
    distances = cdist(descriptors.astype(np.float64), words.astype(np.float64))
    first, second = np.partition(distances, 1, axis=1)[:, :2].T
    clear = second - first > 1e-4
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(nearest_words(descriptors, words)[clear], distances.argmin(axis=1)[clear])


# Codebooks that need no learning: descriptors of a photograph, the first the zero descriptor.


def codebook(words: int) -> dict[str, np.ndarray]:
    descriptors = dense_sift(grey("coffee", (256, 256))).descriptors
    structured = descriptors[descriptors.any(axis=1)]
    chosen = np.random.default_rng(0).choice(len(structured), words - 1, replace=False)
    return {"words": np.concatenate([np.zeros((1, 128), np.float32), structured[chosen]])}


@pytest.mark.parametrize("detector", ["dense", "sparse"])
def test_a_histogram_holds_the_shares_of_the_words(detector):
    view = BagOfVisualWords(words=30, detector=detector).restore(codebook(30))
    image = photograph("camera")
    descriptors = {"dense": dense_sift, "sparse": sparse_sift}[detector](np.asarray(image.convert("L"))).descriptors
    words = cdist(descriptors, codebook(30)["words"]).argmin(axis=1)
    expected = [np.mean(words == word) for word in range(30)]
    features = view.features([image])
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [expected], atol=1.5 / len(descriptors))


def test_longer_images_are_shrunk_in_proportion():
    view = BagOfVisualWords(words=30, longest=100).restore(codebook(30))
    small = photograph("camera", (400, 300)).resize((100, 75), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(view.features([photograph("camera", (400, 300))]), view.features([small]))


def test_a_moved_object_keeps_its_words():
    view = BagOfVisualWords(words=50).restore(codebook(50))
    scenes = []
    for left, top in [(90, 80), (98, 104)]:
        scene = Image.new("RGB", (256, 256), (90, 90, 90))
        scene.paste(photograph("astronaut", (70, 60)), (left, top))
        scenes.append(scene)
    before, after = view.features(scenes)
    assert np.count_nonzero(before) > 10
    assert np.abs(after - before).sum() < 2e-3  # a few near ties of thousands


def test_images_without_descriptors_have_rows_of_zeros():
    plain, tiny = Image.new("RGB", (90, 80), "navy"), photograph("camera", (15, 40))
    for view in (BagOfVisualWords, PyramidHistogramOfVisualWords):
        assert not view(words=9, detector="sparse").restore(codebook(9)).features([plain]).any()
        dense = view(words=9).restore(codebook(9)).features([plain, tiny])
        assert dense[0, 0] > 0 and not dense[1].any()


def test_features_of_an_image_do_not_depend_on_the_others():
    view = BagOfVisualWords(words=30).restore(codebook(30))
    both = view.features([photograph("camera"), photograph("coffee", (90, 130))])
    np.testing.assert_array_equal(both[1:], view.features([photograph("coffee", (90, 130))]))


@pytest.mark.parametrize("detector", ["dense", "sparse"])
def test_the_default_pyramid_has_1000_dimensions_that_sum_to_one(detector):
    view = PyramidHistogramOfVisualWords(detector=detector).restore(codebook(200))
    features = view.features([photograph("camera"), photograph("rocket", (90, 140))])
    assert features.shape == (2, 1000) and features.dtype == np.float32
    np.testing.assert_allclose(features.sum(axis=1), 1, atol=1e-5)


def test_levels_of_the_pyramid_count_the_same_words_with_lazebniks_weights():
    image = photograph("coffee")
    flat = BagOfVisualWords(words=7).restore(codebook(7)).features([image])[0]
    pyramid = PyramidHistogramOfVisualWords(words=7, levels=3).restore(codebook(7)).features([image])[0]
    assert pyramid.shape == (7 * 21,)
    coarse, quarters, sixteenths = pyramid[:7], pyramid[7:35].reshape(4, 7), pyramid[35:].reshape(4, 4, 7)
    np.testing.assert_allclose(coarse, flat / 4, atol=1e-6)
    np.testing.assert_allclose(quarters.sum(axis=0), flat / 4, atol=1e-6)
    np.testing.assert_allclose(sixteenths.sum(axis=(0, 1)), flat / 2, atol=1e-6)
    blocks = sixteenths.reshape(2, 2, 2, 2, 7).sum(axis=(1, 3)).reshape(4, 7)
    np.testing.assert_allclose(blocks / 2, quarters, atol=1e-6)


def test_a_keypoint_between_pixels_counts_in_the_cell_of_its_pixel(monkeypatch):
    """The centres of two pixels are at 0 and 1, so that 0.4 lies on the first and 0.6 on the second."""
    positions = np.array([[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.6, 0.6]], np.float32)
    found = LocalFeatures(positions, np.zeros((4, 128), np.float32))
    monkeypatch.setitem(visual_words.DETECTORS, "sparse", lambda grey: found)
    view = PyramidHistogramOfVisualWords(words=1, detector="sparse").restore(codebook(1))
    features = view.features([Image.new("RGB", (2, 2))])
    np.testing.assert_allclose(features, [[1 / 2, 1 / 8, 1 / 8, 0, 1 / 4]])


@pytest.mark.parametrize(("corner", "cell"), [((0, 0), 0), ((212, 0), 1), ((0, 84), 2), ((212, 84), 3)])
def test_cells_of_the_pyramid_go_row_by_row(corner, cell):
    image = Image.new("RGB", (256, 128), "white")
    image.paste(photograph("brick", (44, 44)), corner)
    view = PyramidHistogramOfVisualWords(words=40).restore(codebook(40))
    cells = view.features([image])[0, 40:].reshape(4, 40)
    elsewhere = np.delete(cells, cell, axis=0)
    assert cells[cell, 1:].sum() > 0.01  # of 1/2 in all cells
    assert elsewhere[:, 1:].sum() < 0.2 * cells[cell, 1:].sum() and (elsewhere[:, 0] > 0).all()


@pytest.fixture(scope="module")
def train(tmp_path_factory) -> LabelledImages:
    return saved(PHOTOGRAPHS, tmp_path_factory.mktemp("train"))


def saved(names: list[str], folder) -> LabelledImages:
    paths = [folder / f"{name}.png" for name in names]
    for name, path in zip(names, paths, strict=True):
        photograph(name, (256, 256)).save(path)
    return LabelledImages(paths, np.ones((len(paths), 1), bool))


def sample_here(monkeypatch) -> None:
    """Local features are sampled in this process: starting another takes longer than all that it does."""
    monkeypatch.setattr(visual_words, "map_in_order", lambda function, items, **_: map(function, items))


@pytest.fixture
def here(monkeypatch):
    sample_here(monkeypatch)


@pytest.fixture(scope="module")
def fitted(train) -> BagOfVisualWords:
    with pytest.MonkeyPatch.context() as monkeypatch:
        sample_here(monkeypatch)
        return BagOfVisualWords(words=100).fit(train)


def test_the_words_are_learnt_from_train_alone_with_any_number_of_workers(fitted, train, tmp_path):
    again = BagOfVisualWords(words=100).fit(train, saved(["coins", "moon"], tmp_path), workers=2)
    assert fitted.state()["words"].shape == (100, 128) and fitted.state()["words"].dtype == np.float32
    np.testing.assert_array_equal(again.state()["words"], fitted.state()["words"])


def test_learnt_words_are_all_in_use_and_nearer_than_random_ones(fitted, train):
    images = [Image.open(path) for path in train.paths]
    assert (fitted.features(images).sum(axis=0) > 0).all()
    unseen = dense_sift(grey("coins", (256, 256))).descriptors
    learnt, drawn = (cdist(unseen, words).min(axis=1) for words in (fitted.state()["words"], codebook(100)["words"]))
    assert np.mean(learnt**2) < 0.9 * np.mean(drawn**2)


def test_a_restored_view_gives_equal_features(fitted):
    images = [photograph("coins"), photograph("moon")]
    expected = fitted.features(images)
    np.testing.assert_array_equal(BagOfVisualWords(words=100).restore(fitted.state()).features(images), expected)


@pytest.mark.usefixtures("here")
def test_the_seed_draws_images(train):
    means = [sparse_sift(grey(name, (256, 256))).descriptors.mean(axis=0) for name in PHOTOGRAPHS]
    drawn = set()
    for seed in range(5):
        view = BagOfVisualWords(words=1, detector="sparse", train_images=1, train_descriptors=9999, seed=seed)
        distances = cdist(view.fit(train).state()["words"], means)[0]
        assert distances.min() < 0.1  # k-means sees some of them at a time; those of the others are 0.3 away
        drawn.add(distances.argmin())
    assert len(drawn) > 1


@pytest.mark.usefixtures("here")
def test_the_seed_draws_descriptors(train):
    """As many words as descriptors: each is one of them, whatever k-means draws."""

    def drawn(seed):
        view = BagOfVisualWords(words=12, detector="sparse", train_descriptors=2, seed=seed)
        return {tuple(word) for word in view.fit(train).state()["words"].round(4).tolist()}

    assert drawn(0) == drawn(0)
    assert len(drawn(0) & drawn(1)) < 6


@pytest.mark.usefixtures("here")
def test_the_seed_begins_k_means(train):
    """All images and all of their descriptors: nothing else is drawn."""

    def learnt(seed):
        view = BagOfVisualWords(words=5, detector="sparse", train_descriptors=9999, seed=seed)
        return view.fit(train).state()["words"]

    np.testing.assert_array_equal(learnt(0), learnt(0))
    assert not np.allclose(learnt(0), learnt(1), atol=1e-3)


@pytest.mark.usefixtures("here")
def test_sparse_words_are_learnt_and_no_more_descriptors_are_drawn_than_asked_for(train):
    few = {"detector": "sparse", "train_images": 3, "train_descriptors": 4}
    assert PyramidHistogramOfVisualWords(words=12, **few).fit(train).state()["words"].shape == (12, 128)
    with pytest.raises(
        UserError,
        match=r"too few distinct local features \(12\) in the train images \(3\) for 13 visual words",
    ):
        BagOfVisualWords(words=13, **few).fit(train)


@pytest.mark.usefixtures("here")
def test_plain_train_images_are_refused(tmp_path):
    Image.new("RGB", (60, 60), "navy").save(tmp_path / "plain.png")
    train = LabelledImages([tmp_path / "plain.png"], np.ones((1, 1), bool))
    with pytest.raises(
        UserError, match=r"too few distinct local features \(1\) in the train images \(1\) for 2 visual words"
    ):
        BagOfVisualWords(words=2).fit(train)


@pytest.mark.usefixtures("here")
def test_train_images_are_shrunk_like_all_others(train):
    # No patch fits into 15 pixels.
    with pytest.raises(UserError, match=r"too few distinct local features \(0\) in the train images \(1\)"):
        BagOfVisualWords(longest=15, train_images=1).fit(train)


def test_an_unknown_detector_is_refused():
    with pytest.raises(UserError, match='unknown detector "harris" of visual words; known are dense, sparse'):
        PyramidHistogramOfVisualWords(detector="harris")
