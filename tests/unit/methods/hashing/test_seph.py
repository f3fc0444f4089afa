"""SePH: its kernels, and that its codes meet those of the labels."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from cmr.errors import UserError
from cmr.methods.base import Pairs
from cmr.methods.hashing.label_codes import label_codes
from cmr.methods.hashing.seph import SePH
from cmr.metrics import mean_average_precision
from cmr.progress import Progress

SMALL = SePH(landmarks=30, max_iterations=40)


def gaussian(x, z, train):
    return np.exp(-cdist(x, z, "sqeuclidean") / cdist(train, train, "sqeuclidean").mean())


def test_regressions_minimise_their_objective_in_the_kernel_of_all_items(pairs):
    model = SePH(landmarks=500, max_iterations=40).fit(pairs, seed=2)
    codes = label_codes(pairs.labels, 16, 40, 0.01, 2)
    for encoder, x in ((model.image, pairs.images), (model.text, pairs.texts)):
        k = gaussian(x, x, x)
        scores = encoder.features(x) @ encoder.weights
        w = np.linalg.lstsq(k, scores, rcond=None)[0]
        known, targets = k[codes.known], np.where(codes.bits[codes.known], 1.0, -1.0)
        data = known.T @ (targets / (1 + np.exp(targets * (known @ w))))
        np.testing.assert_allclose(2 * 0.01 * k @ w, data, atol=1e-3 * np.abs(known.T @ targets).max())


def test_unseen_items_are_hashed_by_the_signs_of_their_kernel_with_the_centres(pairs):
    model = SMALL.fit(pairs)
    features = model.image.features
    unit = features.scaling.scale[0]
    centres = features.landmarks * unit + pairs.images.mean(axis=0)
    unseen = pairs.images[:40] + 0.1
    scores = gaussian(unseen, centres, pairs.images) @ (features.normaliser @ model.image.weights)
    np.testing.assert_array_equal(model.embed_images(unseen), np.packbits(scores >= 0, axis=1))


def test_centres_are_items_at_random_or_those_of_k_means(pairs):
    by_item, by_mean = (
        SePH(landmarks=30, sampling=sampling, max_iterations=2).fit(pairs).text.features
        for sampling in ("random", "km")
    )
    items = by_item.scaling(pairs.texts)
    assert (cdist(by_item.landmarks, items).min(axis=1) < 1e-12).all()
    means = np.unique(by_mean.landmarks, axis=0)
    assert len(means) == 30
    again = KMeans(30, init=means, n_init=1).fit(items)  # at its end, k-means stays
    np.testing.assert_allclose(again.cluster_centers_, means, atol=0.02)
    assert (cdist(means, items).min(axis=1) > 1e-6).any()


def test_fewer_different_items_than_centres_are_no_obstacle(pairs, recwarn):
    few = Pairs(np.repeat(pairs.images[:20], 8, axis=0), pairs.texts, pairs.labels)
    model = SMALL.fit(few)
    assert not recwarn.list
    assert model.image.features.normaliser.shape[1] <= 20 < model.text.features.normaliser.shape[1]
    assert np.isfinite(model.image.weights).all()


def test_codes_of_unseen_items_retrieve_their_classes():
    rng = np.random.default_rng(4)
    classes = np.repeat(np.arange(5), 60)
    latent = np.eye(5)[classes] + rng.normal(scale=0.2, size=(300, 5))
    images, texts = latent @ rng.normal(size=(5, 8)), latent @ rng.normal(size=(5, 6))
    train, test = (Pairs(images[part::2], texts[part::2], np.eye(5, dtype=bool)[classes[part::2]]) for part in (0, 1))
    model = SePH(landmarks=40).fit(train)
    found = model.embed_images(test.images), model.embed_texts(test.texts)
    assert mean_average_precision(*found, test.labels, "hamming") > 0.9


def test_seed_decides_codes_and_centres(pairs):
    one, other = (SMALL.fit(pairs, seed=seed) for seed in (1, 2))
    assert one.history["objective"] != other.history["objective"]
    assert not np.isclose(one.text.features.landmarks, other.text.features.landmarks).all()


def test_the_same_seed_gives_the_same_codes(pairs):
    one, again = (SMALL.fit(Pairs(pairs.images, pairs.texts, pairs.labels), seed=1) for _ in range(2))
    np.testing.assert_array_equal(again.embed_images(pairs.images), one.embed_images(pairs.images))
    np.testing.assert_array_equal(again.embed_texts(pairs.texts), one.embed_texts(pairs.texts))
    assert again.history == one.history


def test_the_two_views_draw_their_centres_apart(pairs):
    model = SePH(landmarks=30, sampling="random", max_iterations=2).fit(Pairs(pairs.images, pairs.images, pairs.labels))
    image, text = (encoder.features.landmarks for encoder in (model.image, model.text))
    assert not np.isclose(image, text).all()


def test_another_progress_finds_the_codes_of_the_labels_done(pairs, monkeypatch):
    shared = Pairs(pairs.images, pairs.texts, pairs.labels)
    SMALL.fit(shared, progress=Progress(quiet=True, checkpoints=Path("one")))
    monkeypatch.setattr("cmr.methods.hashing.seph.label_codes", None)  # would be called
    SMALL.fit(shared, progress=Progress(quiet=True, checkpoints=Path("another")))


def test_longer_codes_share_the_kernel_of_shorter_ones(pairs):
    shared = Pairs(pairs.images, pairs.texts, pairs.labels)
    short, long = (SePH(bits=bits, landmarks=30, max_iterations=2).fit(shared) for bits in (8, 16))
    assert short.image.features is long.image.features
    assert short.embed_images(pairs.images).shape == (160, 1) and long.embed_images(pairs.images).shape == (160, 2)


@pytest.mark.parametrize("labels", [np.ones((160, 2), dtype=bool), np.zeros((160, 2), dtype=bool)])
def test_labels_that_are_all_the_same_are_refused(pairs, labels):
    labels[:5] = False  # unlabelled pairs tell nothing
    with pytest.raises(UserError, match=r"^seph: all pairs of the train part have the same classes"):
        SMALL.fit(Pairs(pairs.images, pairs.texts, labels))


def test_features_that_tell_nothing_of_the_labels_are_refused(pairs):
    # Every image there is has every class once.
    images = np.repeat(pairs.images[:40], 4, axis=0)
    labels = np.tile(np.eye(4, dtype=bool), (40, 1))
    with pytest.raises(UserError, match=r"^seph: by their features, all images of the train part get the same code"):
        SMALL.fit(Pairs(images, pairs.texts, labels))


def test_a_constant_view_is_refused(pairs):
    with pytest.raises(UserError, match=r"^seph: the view of texts is constant"):
        SMALL.fit(Pairs(pairs.images, np.full_like(pairs.texts, 3.0), pairs.labels))
