"""What every method of config/methods owes, present and future."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from cmr import store
from cmr.catalogue import Catalogue
from cmr.construct import build, load
from cmr.errors import UserError
from cmr.methods.base import Pairs

# A fit that warns has met something that its hyper-parameters or its code should have ruled out.
pytestmark = pytest.mark.filterwarnings("error")

ROOT = Path(__file__).parents[3]
CATALOGUE = Catalogue.read(ROOT)
STOCHASTIC = sorted(name for name, settings in CATALOGUE.methods.items() if settings.get("uses_torch"))

# Budgets small enough for a test; everything else stays at its default.
SMALL = {
    "n_components": 4,
    "epochs": 2,
    "stack_epochs": 1,
    "stack_widths": (8, 8),
    "image_widths": (8,),
    "text_widths": (8,),
}


def make_pairs(n, seed):
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    images = (np.eye(3)[classes] @ np.ones((3, 8)) * classes[:, None] + rng.normal(size=(n, 8))).astype(np.float32)
    texts = np.abs(np.eye(6)[classes * 2] + rng.normal(scale=0.3, size=(n, 6))).astype(np.float32)
    return Pairs(images, texts, np.eye(3, dtype=bool)[classes])


TRAIN, VALID, TEST = make_pairs(60, 0), make_pairs(24, 1), make_pairs(18, 2)


def small(name):
    settings = CATALOGUE.methods[name]
    schemas = settings["hyperparameters"]
    return build(settings["implementation"], {key: value for key, value in SMALL.items() if key in schemas})


@pytest.fixture(scope="module", params=sorted(CATALOGUE.methods))
def fitted(request):
    """(method, model) of every registered method, on a small made problem."""
    method = small(request.param)
    return method, method.fit(TRAIN, VALID, seed=3)


@pytest.mark.parametrize("name", sorted(CATALOGUE.methods))
def test_config_names_every_hyperparameter_with_the_default_of_the_class(name):
    settings = CATALOGUE.methods[name]
    defaults = {field.name: field.default for field in fields(load(settings["implementation"]))}
    defaults = {
        key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()
    }  # YAML's form
    assert {key: schema["default"] for key, schema in settings["hyperparameters"].items()} == defaults


def test_embeddings_are_finite_float32_in_one_space(fitted):
    _, model = fitted
    images, texts = model.embed_images(TEST.images), model.embed_texts(TEST.texts)
    assert images.shape == texts.shape and len(images) == len(TEST)
    assert images.dtype == texts.dtype == np.float32
    assert np.isfinite(images).all() and np.isfinite(texts).all()


def test_an_items_embedding_depends_on_that_item_alone(fitted):
    _, model = fitted
    order = np.random.default_rng(0).permutation(len(TEST))
    for embed, items in ((model.embed_images, TEST.images), (model.embed_texts, TEST.texts)):
        whole = embed(items)
        # Tolerance of float32 products, whose order of summation may follow the batch.
        np.testing.assert_allclose(embed(items[order]), whole[order], atol=1e-5)
        np.testing.assert_allclose(embed(items[:1]), whole[:1], atol=1e-5)


def test_embedding_changes_neither_its_input_nor_the_model(fitted):
    _, model = fitted
    before, first = TEST.images.copy(), model.embed_images(TEST.images)
    model.embed_texts(TEST.texts[::-1])
    np.testing.assert_array_equal(TEST.images, before)
    np.testing.assert_array_equal(model.embed_images(TEST.images), first)


def test_same_arguments_give_the_same_model(fitted):
    method, model = fitted
    again = method.fit(TRAIN, VALID, seed=3)
    np.testing.assert_array_equal(again.embed_images(TEST.images), model.embed_images(TEST.images))
    np.testing.assert_array_equal(again.embed_texts(TEST.texts), model.embed_texts(TEST.texts))


@pytest.mark.parametrize("name", STOCHASTIC)
def test_another_seed_gives_another_model(name):
    one, other = (small(name).fit(TRAIN, VALID, seed=seed) for seed in (3, 4))
    assert not np.allclose(one.embed_images(TEST.images), other.embed_images(TEST.images), rtol=1e-2)
    assert not np.allclose(one.embed_texts(TEST.texts), other.embed_texts(TEST.texts), rtol=1e-2)


@pytest.mark.parametrize("name", sorted(CATALOGUE.methods))
def test_without_classes_a_method_learns_from_pairs_or_says_that_it_cannot(name):
    train, valid = (Pairs(part.images, part.texts, part.labels[:, :0]) for part in (TRAIN, VALID))
    try:
        model = small(name).fit(train, valid, seed=3)
    except UserError as error:
        assert str(error).startswith(f"{name}: it learns from classes, but the data set has none")
        assert name not in ("random", "cca", "corr_ae")
    else:
        assert np.isfinite(model.embed_images(TEST.images)).all()


def test_state_survives_the_file_and_restores_the_model(fitted, tmp_path):
    method, model = fitted
    store.write_arrays(tmp_path / "model.h5", model.state())
    state, _ = store.read_arrays(tmp_path / "model.h5")
    restored = method.restore(state)
    np.testing.assert_array_equal(restored.embed_images(TEST.images), model.embed_images(TEST.images))
    np.testing.assert_array_equal(restored.embed_texts(TEST.texts), model.embed_texts(TEST.texts))
