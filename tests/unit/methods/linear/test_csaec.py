"""CSAEC as a whole: its limits, what its modes share, what it refuses, and what its consensus is good for."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs
from cmr.methods.linear import moments as moments_module
from cmr.methods.linear.consensus import labelled_code, unlabelled_code
from cmr.methods.linear.csaec import CSAEC
from cmr.metrics import mean_average_precision
from tests.unit.methods.linear.made import standardised

MODES = ("tied", "selfexpr", "stiefel")


@pytest.fixture(params=["more items", "more features"])
def either(request, pairs):
    """The made pairs, and few pairs of many features."""
    if request.param == "more items":
        return pairs
    rng = np.random.default_rng(3)
    return Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 40)), np.eye(3, dtype=bool)[np.arange(30) % 3])


@pytest.mark.parametrize("mode", ["tied", "selfexpr"])
@pytest.mark.parametrize("labels", [True, False])
def test_held_at_the_code_and_without_structure_it_is_ridge_regression_to_the_code(either, mode, labels):
    weights = {"structure_weight": 0.0, "sparsity": 0.0, "code_weight": 1e9, "ridge": 0.1}
    model = CSAEC(n_components=3, mode=mode, labels=labels, **weights).fit(either)
    code = labelled_code(either, 3, 0.1, 1.0) if labels else unlabelled_code(either, 3, 0.1)
    for map_, features in ((model.image, either.images), (model.text, either.texts)):
        n, d = features.shape
        x = standardised(features) / np.sqrt(d)
        oracle = Ridge(alpha=0.1 * n / d, fit_intercept=False, solver="svd").fit(x, code)
        np.testing.assert_allclose(map_.weights * np.sqrt(d), oracle.coef_.T, atol=1e-6)


@pytest.mark.parametrize("labels", [True, False])
def test_projections_of_mode_stiefel_are_orthonormal_on_what_the_code_spans(either, labels):
    model = CSAEC(n_components=3, mode="stiefel", labels=labels).fit(either)
    for own in (model.image, model.text):
        # Standardised features times weights, where the weights of the method are of features over the root of d.
        gram = own.weights.T @ own.weights * len(own.weights)
        # Centred labels of one class an item sum to zero.
        np.testing.assert_allclose(gram, np.eye(3) - (1 / 3 if labels else 0), atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_components", [2, 10])
def test_the_order_of_items_changes_no_cosine(mode, n_components):
    rng = np.random.default_rng(6)
    classes = np.arange(120) % 4  # of one size, so that no principal component of the labels comes first
    centres = rng.normal(size=(4, 5))
    latent = centres[classes] + rng.normal(size=(120, 5))
    images, texts = (latent @ rng.normal(size=(5, d)) + rng.normal(size=(120, d)) for d in (9, 6))
    given = Pairs(images, texts, np.eye(4, dtype=bool)[classes])
    order = rng.permutation(120)
    cosines = []
    for train in (given, Pairs(images[order], texts[order], given.labels[order])):
        model = CSAEC(mode=mode, n_components=n_components, neighbours=5).fit(train)
        a, b = model.embed_images(images).astype(float), model.embed_texts(texts).astype(float)
        cosines.append(a @ b.T / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)))
    np.testing.assert_allclose(cosines[1], cosines[0], atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_recorded_objective_falls_until_it_settles(pairs, mode):
    objective = CSAEC(mode=mode, max_iterations=100, tolerance=1e-4).fit(pairs).history["objective"]
    changes = -np.diff(objective) / objective[:-1]
    assert 2 < len(objective) < 100
    assert (changes[:-1] > 1e-4).all() and 0 <= changes[-1] <= 1e-4


@pytest.mark.parametrize("mode", MODES)
def test_no_more_than_the_iterations_allowed_follow_the_start(pairs, mode):
    full = CSAEC(mode=mode, tolerance=0.0, max_iterations=6).fit(pairs).history["objective"]
    assert len(full) == 7
    assert CSAEC(mode=mode, tolerance=0.0, max_iterations=2).fit(pairs).history["objective"] == full[:3]


@pytest.mark.parametrize("mode", MODES)
def test_a_restored_model_embeds_alike(pairs, mode):
    method = CSAEC(mode=mode)
    model = method.fit(pairs)
    restored = method.restore(model.state())
    np.testing.assert_array_equal(restored.embed_images(pairs.images), model.embed_images(pairs.images))
    np.testing.assert_array_equal(restored.embed_texts(pairs.texts), model.embed_texts(pairs.texts))
    assert restored.history == model.history


class Streamed:
    """Rows that are given a few at a time."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self):
        return len(self.array)

    def pieces(self):
        for start in range(0, len(self.array), 9):
            yield self.array[start : start + 9]


@pytest.mark.parametrize("mode", MODES)
def test_rows_on_disk_give_the_same_model(either, mode):
    method = CSAEC(mode=mode)
    model = method.fit(either)
    streamed = method.fit(replace(either, images=Streamed(either.images), texts=Streamed(either.texts)))
    np.testing.assert_allclose(streamed.image.weights, model.image.weights, atol=1e-8)
    np.testing.assert_allclose(streamed.text.weights, model.text.weights, atol=1e-8)


@pytest.mark.parametrize("mode", MODES)
def test_constant_columns_change_nothing(pairs, mode):
    images = np.column_stack([pairs.images, np.full((len(pairs), 4), 3.0)])
    plain, padded = CSAEC(mode=mode).fit(pairs), CSAEC(mode=mode).fit(replace(pairs, images=images))
    np.testing.assert_allclose(padded.embed_images(images), plain.embed_images(pairs.images), atol=1e-6)
    np.testing.assert_allclose(padded.text.weights, plain.text.weights, atol=1e-8)


@pytest.mark.parametrize(
    "change",
    [
        {"n_components": 2},
        {"labels": False},
        {"structure_weight": 1.0},
        {"code_weight": 4.0},
        {"sparsity": 1.0},
        {"ridge": 0.1},
        {"label_weight": 0.1},
        {"structure_sparsity": 0.001},
        {"neighbours": 5},
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_every_hyperparameter_counts_in_the_modes_that_it_is_said_to(pairs, mode, change):
    base = {"n_components": 3, "structure_sparsity": 0.01}
    one, other = (CSAEC(mode=mode, **base | more).fit(pairs).embed_images(pairs.images) for more in ({}, change))
    silent = mode == "tied" and change.keys() <= {"structure_sparsity", "neighbours"}
    assert (one.shape == other.shape and np.allclose(one, other, rtol=1e-4)) == silent


def test_candidates_share_what_the_data_alone_decide(pairs, monkeypatch):
    given = Pairs(pairs.images, pairs.texts, pairs.labels)
    for mode in MODES:
        CSAEC(mode=mode).fit(given)
    # All that is left to a further candidate is the descent, which decomposes no view and looks for no neighbour.
    monkeypatch.setattr(moments_module.PreparedView, "of", None)
    monkeypatch.setattr("cmr.methods.linear.principal.PrincipalView.of", None)
    monkeypatch.setattr("cmr.methods.linear.consensus.projected", None)
    monkeypatch.setattr("cmr.methods.linear.csaec.nearest", None)
    for mode in MODES:
        CSAEC(mode=mode, structure_weight=1.0, code_weight=10.0).fit(given)


def test_components_beyond_the_classes_do_not_come_of_labels(pairs):
    assert CSAEC(n_components=10).fit(pairs).embed_texts(pairs.texts).shape == (200, 3)
    assert CSAEC(n_components=2).fit(pairs).embed_texts(pairs.texts).shape == (200, 2)
    assert CSAEC(n_components=10, labels=False).fit(pairs).embed_texts(pairs.texts).shape == (200, 10)


@pytest.mark.parametrize(
    ("hyperparameters", "remedy"),
    [({}, "for two classes, consider sm"), ({"n_components": 1, "labels": False}, "raise n_components")],
)
def test_a_space_of_one_dimension_warns(pairs, caplog, hyperparameters, remedy):
    CSAEC().fit(pairs)
    assert not caplog.records
    two_classes = np.column_stack([pairs.labels[:, 0], ~pairs.labels[:, 0]])
    CSAEC(**hyperparameters).fit(Pairs(pairs.images, pairs.texts, two_classes))
    assert "csaec: its space has one dimension" in caplog.text and remedy in caplog.text


def test_without_labels_it_does_not_look_at_them(pairs):
    shuffled = replace(pairs, labels=pairs.labels[np.random.default_rng(0).permutation(200)])
    without = replace(pairs, labels=pairs.labels[:, :0])
    models = [CSAEC(n_components=4, labels=False).fit(given) for given in (pairs, shuffled, without)]
    for model in models[1:]:
        np.testing.assert_array_equal(model.image.weights, models[0].image.weights)


def test_classes_are_asked_for_where_it_learns_from_them(pairs):
    with pytest.raises(NotApplicableError, match="csaec: it learns from classes, but the data set has none"):
        CSAEC().fit(replace(pairs, labels=pairs.labels[:, :0]))


@pytest.mark.parametrize("mode", MODES)
def test_labels_that_tell_nothing_are_refused(pairs, mode):
    with pytest.raises(UserError, match="csaec: all pairs of the train part have the same classes"):
        CSAEC(mode=mode).fit(replace(pairs, labels=np.ones((200, 2), dtype=bool)))
    centred = pairs.labels - pairs.labels.mean(axis=0)
    blind = pairs.texts - pairs.texts.mean(axis=0)
    blind -= centred @ np.linalg.lstsq(centred, blind, rcond=None)[0]
    with pytest.raises(UserError, match="csaec: the features of the texts are uncorrelated with every class"):
        CSAEC(mode=mode).fit(replace(pairs, texts=blind))


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"sparsity": 50.0}, "csaec: sparsity 50.0 has shrunk the code to zero"),
        ({"mode": "selfexpr", "sparsity": 50.0}, "csaec: sparsity 50.0 has shrunk the code to zero"),
        ({"mode": "stiefel", "sparsity": 50.0}, "csaec: sparsity 50.0 has shrunk the code to zero"),
        (
            {"mode": "selfexpr", "neighbours": 200},
            "csaec: neighbours is 200, but an item of 200 has only 199 others; lower neighbours",
        ),
        (
            {"mode": "stiefel", "labels": False, "n_components": 6},
            "csaec: the code has 6 directions, but a view has only 5",
        ),
    ],
)
def test_what_these_data_cannot_give_is_refused(pairs, hyperparameters, message):
    with pytest.raises(InfeasibleError, match=message):
        CSAEC(**hyperparameters).fit(pairs)


def test_without_a_weight_that_holds_the_code_it_is_refused_with_the_reason():
    with pytest.raises(UserError, match=r"must be above 0: nothing else holds the code against its sparsity"):
        CSAEC(code_weight=0.0)


def test_an_unknown_mode_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match='there is no mode "sylvester"; choose tied, selfexpr or stiefel'):
        CSAEC(mode="sylvester")


def made(rng, n, centres, image_map, text_map):
    """Items of as many classes as centres, as both views see them through much noise."""
    classes = rng.integers(len(centres), size=n)
    latent = centres[classes] + rng.normal(size=(n, centres.shape[1]))
    images, texts = (latent @ own + 3 * rng.normal(size=(n, own.shape[1])) for own in (image_map, text_map))
    return Pairs(images, texts, np.eye(len(centres), dtype=bool)[classes])


@pytest.mark.parametrize("mode", ["tied", "selfexpr"])
@pytest.mark.parametrize("seed", range(3))
def test_consensus_withstands_random_labels(mode, seed):
    rng = np.random.default_rng(seed)
    world = rng.normal(size=(6, 8)), rng.normal(size=(8, 60)), rng.normal(size=(8, 40))
    train, test = made(rng, 400, *world), made(rng, 200, *world)
    random = np.where((rng.random(400) < 0.6)[:, None], np.eye(6, dtype=bool)[rng.integers(6, size=400)], train.labels)
    noisy = replace(train, labels=random)

    def score(label_weight):
        model = CSAEC(mode=mode, label_weight=label_weight).fit(noisy)
        images, texts = model.embed_images(test.images), model.embed_texts(test.texts)
        sides = ((images, texts), (texts, images))
        return np.mean([mean_average_precision(*side, test.labels, "cosine") for side in sides])

    labels_alone = score(1e9)
    assert score(1.0) > labels_alone + 0.02  # over ten seeds it gains 0.04 to 0.16
    assert score(0.1) > labels_alone + 0.02
