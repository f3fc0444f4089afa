"""What each kind of data becomes, and that a method trains on it, is saved, and comes back."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cmr import construct, rows, store
from cmr.catalogue import Catalogue
from cmr.methods.base import NotApplicableError, Pairs
from cmr.methods.deep.acmr import ACMR
from cmr.methods.deep.encoders import drawing_from, encoder, mean_vector, parameter_groups, random_squares
from cmr.methods.deep.inputs import Side
from cmr.methods.deep.trainer import seeded
from cmr.views.image.networks import NetworkLayer
from cmr.views.image.pixels import Pixels

CPU = torch.device("cpu")
METHODS = {
    name: settings
    for name, settings in Catalogue.read(Path(__file__).parents[4]).methods.items()
    if "variant_of" not in settings
}
SMALL = {
    "n_components": 8, "image_widths": (16,), "text_widths": (16,),
    "batch_size": 20, "epochs": 2, "learning_rate": 0.01,
}  # fmt: skip


class Tiny(nn.Module):
    """A convolution with batch normalisation and dropout, and a layer that is never reached."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(3, 6, 5, stride=3)
        self.norm = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(0.2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.scores = nn.Linear(6, 9)

    def forward(self, x):
        return self.scores(self.pool(self.dropout(torch.relu(self.norm(self.maps(x))))).flatten(1))


@pytest.fixture(scope="module")
def pixel_view(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.pth"
    torch.manual_seed(3)
    torch.save(Tiny().state_dict(), path)
    return Pixels(
        f"{__name__}.Tiny", "pool", path, mean=[120, 110, 100], std=[60, 50, 40], size=26, crop=20, batch_size=8
    )


@pytest.fixture
def pairs(pixel_view):
    """Three classes: colours with noise, and the words of them."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    colours = rng.integers(40, 215, size=(3, 3))
    images = np.clip(colours[y][:, None, None] + rng.normal(scale=30, size=(60, 26, 26, 3)), 0, 255).astype(np.uint8)
    texts = np.zeros((60, 7), np.int32)
    for row, own in zip(texts, y, strict=True):
        length = rng.integers(1, 8)
        row[:length] = 2 + 4 * own + rng.integers(4, size=length)
    vectors = rng.normal(size=(14, 5)).astype(np.float32)
    vectors[0] = 0
    return Pairs(
        images, texts, np.eye(3, dtype=bool)[y], image_kind="pixels", text_kind="tokens",
        image_arrays=pixel_view.arrays(), text_arrays={"word_vectors": vectors},
    )  # fmt: skip


def image_encoder(pairs, generator=None):
    return encoder(Side("pixels", pairs.images.shape[1:], arrays=pairs.image_arrays), generator or torch.Generator())


def text_encoder(pairs):
    own = encoder(Side("tokens", pairs.texts.shape[1:], arrays=pairs.text_arrays), torch.Generator())
    own.prepare(pairs.texts)
    return own


def test_pixels_become_what_the_layers_view_says_of_the_same_images(pairs, pixel_view):
    own = image_encoder(pairs).eval()
    view = NetworkLayer(
        pixel_view.architecture,
        "pool",
        pixel_view.weights,
        resize=26,
        crop=20,
        mean=pixel_view.mean,
        std=pixel_view.std,
    )
    with torch.no_grad():
        encoded = own(torch.from_numpy(pairs.images[:9]))
    assert encoded.shape == (9, own.width) and encoded.dtype == torch.float32
    np.testing.assert_allclose(encoded, view.features([*map(Image.fromarray, pairs.images[:9])]), rtol=1e-5, atol=1e-6)


def test_a_square_is_one_of_the_image_and_mirrored_half_of_the_time():
    image = torch.arange(9 * 8 * 3, dtype=torch.uint8).view(1, 9, 8, 3)
    squares = random_squares(image.expand(3000, -1, -1, -1), 6, torch.Generator().manual_seed(0))
    places = {
        (y, x, mirrored): image[0, y : y + 6, x : x + 6].flip(1) if mirrored else image[0, y : y + 6, x : x + 6]
        for y in range(4) for x in range(3) for mirrored in (False, True)
    }  # fmt: skip
    counts = {place: sum(torch.equal(square, own) for square in squares) for place, own in places.items()}
    assert sum(counts.values()) == 3000
    # Each of 24 has 125 +- 11; six deviations.
    assert min(counts.values()) > 59 and max(counts.values()) < 191


def test_squares_of_the_images_own_size_are_the_images_or_mirrored():
    images = torch.randint(256, (50, 6, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    squares = random_squares(images, 6, torch.Generator().manual_seed(1))
    same, mirrored = ((squares == own).all((1, 2, 3)) for own in (images, images.flip(2)))
    assert (same ^ mirrored).all() and same.any() and mirrored.any()


def test_chance_in_training_comes_from_the_generator_and_evaluation_has_none(pairs):
    x = torch.from_numpy(pairs.images[:8])

    def encoded(seed, disturb=0):
        own = image_encoder(pairs, torch.Generator().manual_seed(seed))
        torch.rand(disturb)  # torch's own source, which the network's dropout draws from by itself
        return own(x)

    assert torch.equal(encoded(0), encoded(0, disturb=5))
    assert not torch.equal(encoded(0), encoded(1))
    own = image_encoder(pairs)
    assert not torch.equal(own(x), own(x))
    own.eval()
    assert torch.equal(own(x), own(x))
    torch.testing.assert_close(own(x)[3:5], own(x[3:5]))


def test_layers_draw_from_the_generator_as_it_stands_and_leave_torchs_own_source_alone():
    generator = torch.Generator().manual_seed(3)
    expected = torch.rand(6, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(5)
    with drawing_from(generator):
        drawn = torch.rand(4)
    assert torch.equal(torch.cat([drawn, torch.rand(2, generator=generator)]), expected)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(5)))
    with pytest.raises(ZeroDivisionError), drawing_from(generator):
        1 / 0  # noqa: B018
    assert torch.equal(torch.rand(3), torch.rand(6, generator=torch.Generator().manual_seed(5))[3:])


def test_random_weights_are_trained_at_the_full_rate(pairs, pixel_view):
    arrays = replace(pixel_view, weights="random").arrays()
    own = image_encoder(replace(pairs, image_arrays=arrays))
    (group,) = parameter_groups(dict(own.named_parameters()), 0.2)
    assert group["lr"] == 0.2 and len(group["params"]) == len([*Tiny().parameters()])


@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_a_pretrained_network_alone_keeps_the_statistics_of_its_batch_normalisation(pairs, pixel_view, weights):
    arrays = pixel_view.arrays() if weights == "pretrained" else replace(pixel_view, weights="random").arrays()
    own = image_encoder(replace(pairs, image_arrays=arrays))
    before = {name: buffer.clone() for name, buffer in own.named_buffers()}
    for _ in range(2):  # after an epoch's evaluation, too
        own.eval()
        own.train()
        own(torch.from_numpy(pairs.images[:8]))
    changed = {name for name, buffer in own.named_buffers() if not torch.equal(buffer, before[name])}
    assert bool(changed) == (weights == "random")


def test_a_text_is_the_z_scored_mean_of_its_words(pairs):
    own, vectors = text_encoder(pairs), pairs.text_arrays["word_vectors"].astype(np.float64)
    means = np.stack([vectors[row[row > 0]].mean(axis=0) for row in pairs.texts])
    expected = np.clip((means - means.mean(axis=0)) / means.std(axis=0), -5, 5)
    np.testing.assert_allclose(own(torch.from_numpy(pairs.texts)).detach(), expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_those_of_all_texts_where_these_fill_several_blocks(pairs, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 7 * 16)  # 16 texts of 7 words
    wide = np.random.default_rng(1).normal(size=(14, 7)).astype(np.float32)
    for vectors in (pairs.text_arrays["word_vectors"], wide):
        own = text_encoder(replace(pairs, text_arrays={"word_vectors": vectors}))
        means = np.stack([vectors[row[row > 0]].astype(np.float64).mean(axis=0) for row in pairs.texts])
        np.testing.assert_allclose(own.scale.mean, means.mean(axis=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(own.scale.scale, means.std(axis=0), rtol=1e-5)


@pytest.mark.parametrize("padding", [0, -1])
def test_padding_changes_nothing_and_a_text_without_words_gives_zeros(pairs, padding):
    own = text_encoder(pairs)
    texts = torch.from_numpy(pairs.texts)
    padded = torch.cat([torch.where(texts == 0, padding, texts), torch.full((60, 4), padding)], dim=1)
    own(padded).square().sum().backward()
    gradient, own.pretrained.grad = own.pretrained.grad, None
    own(texts).square().sum().backward()
    torch.testing.assert_close(gradient, own.pretrained.grad)
    assert gradient[2:].any() and not gradient[0].any()
    torch.testing.assert_close(own(padded), own(texts))
    assert not own(torch.full((2, 5), padding)).any()


def test_words_of_several_networks_are_each_ones_own(pairs):
    tables = torch.randn(3, 14, 5, generator=torch.Generator().manual_seed(0))
    numbers = torch.from_numpy(pairs.texts).view(3, 20, 7)
    together = mean_vector(tables, numbers)
    for own, table, texts in zip(together, tables, numbers, strict=True):
        torch.testing.assert_close(own, mean_vector(table, texts))


def test_tokens_without_word_vectors_and_unknown_kinds_are_refused(pairs):
    with pytest.raises(NotApplicableError, match="with a matrix of word vectors, but this view has none"):
        encoder(Side("tokens", (7,)), torch.Generator())
    with pytest.raises(NotApplicableError, match=r"networks take vectors, .*but this view holds sounds"):
        encoder(Side("sounds", (7,)), torch.Generator())


def test_pretrained_parameters_learn_at_a_tenth_of_the_rate(pairs):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.image_encoder, self.text_encoder = image_encoder(pairs), text_encoder(pairs)
            self.pretrained_codes = nn.Linear(2, 2)  # the name of a module, not a part of it

    network = Both()
    groups = parameter_groups(dict(network.named_parameters()), 0.2)
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    for name, parameter in network.named_parameters():
        assert rates.pop(id(parameter)) == pytest.approx(0.2 if "codes" in name else 0.02), name
    assert not rates
    assert parameter_groups(dict(network.pretrained_codes.named_parameters()), 0.2)[0]["lr"] == 0.2


def test_acmr_learns_from_pixels_and_words_is_saved_and_comes_back(pairs, tmp_path):
    method = ACMR(**SMALL)
    model = method.fit(pairs, seed=1)
    start = method.build(model.inputs, seeded(1, "acmr", CPU))
    learnt, before = model.network.state_dict(), start.state_dict()
    for name in ("image_encoder.pretrained.network.maps.weight", "text_encoder.pretrained"):
        assert not torch.equal(learnt[name], before[name]), name
    assert torch.equal(learnt["text_encoder.pretrained"][0], before["text_encoder.pretrained"][0])  # padding
    store.write_arrays(tmp_path / "model.h5", model.state())
    restored = method.restore(store.read_arrays(tmp_path / "model.h5")[0])
    for name in ("images", "texts"):
        codes = getattr(model, f"embed_{name}")(getattr(pairs, name))
        assert codes.shape == (60, 8) and np.isfinite(codes).all()
        np.testing.assert_array_equal(getattr(restored, f"embed_{name}")(getattr(pairs, name)), codes)
    assert model.history["loss"][-1] < model.history["loss"][0]


def test_several_seeds_on_pixels_are_trained_one_by_one_and_on_words_in_one_go(pairs):
    method = ACMR(**SMALL)
    several = method.fit_seeds(pairs, seeds=[0, 1])
    alone = method.fit(pairs, seed=1)
    np.testing.assert_array_equal(several[1].embed_images(pairs.images), alone.embed_images(pairs.images))
    assert not several[1].network.trains_together
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    words = replace(pairs, images=vectors, image_kind="vectors", image_arrays={})
    several, alone = method.fit_seeds(words, seeds=[0, 1]), method.fit(words, seed=1)
    assert several[1].network.trains_together
    np.testing.assert_allclose(several[1].embed_texts(words.texts), alone.embed_texts(words.texts), atol=1e-4)


def test_hard_negatives_of_vectors_are_judged_by_raw_features_and_pass_no_gradient_else(pairs):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    vectors = encoder(Side("vectors", (6,)), torch.Generator())
    assert vectors.compared(x, vectors(x)) is x
    own = text_encoder(pairs)
    encoded = own(torch.from_numpy(pairs.texts))
    compared = own.compared(torch.from_numpy(pairs.texts), encoded)
    assert torch.equal(compared, encoded) and not compared.requires_grad


def begins_with_encoders(settings):
    return hasattr(sys.modules[construct.load(settings["implementation"], construct.METHODS).__module__], "encoder")


@pytest.mark.parametrize("name", sorted(name for name, own in METHODS.items() if begins_with_encoders(own)))
def test_every_method_that_begins_with_encoders_is_registered_for_and_learns_from_pixels_and_words(pairs, name):
    settings = METHODS[name]
    assert settings["image_kinds"] == ["vectors", "pixels"] and "tokens" in settings["text_kinds"]
    values = {own: schema["default"] for own, schema in settings["hyperparameters"].items()}
    small = {"n_components": 4, "image_widths": (8,), "text_widths": (8,), "epochs": 2}
    values |= {own: small[own] for own in values.keys() & small}
    method = construct.build(settings["implementation"], values, construct.METHODS)
    model = method.fit(pairs)
    (table,) = [array for key, array in model.state().items() if key.endswith("text_encoder.pretrained")]
    (maps,) = [array for key, array in model.state().items() if key.endswith("network.maps.weight")]
    assert not np.array_equal(table, pairs.text_arrays["word_vectors"])
    assert not np.array_equal(maps, pairs.image_arrays["network/maps.weight"])
    restored = method.restore(model.state())
    for side in ("images", "texts"):
        codes = getattr(model, f"embed_{side}")(getattr(pairs, side))
        assert len(codes) == 60
        np.testing.assert_array_equal(getattr(restored, f"embed_{side}")(getattr(pairs, side)), codes)
