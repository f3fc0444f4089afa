"""What every method of config/methods owes, present and future."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from cmr import store
from cmr.catalogue import Catalogue
from cmr.construct import build, load
from cmr.methods.base import NotApplicableError, Pairs, Unlabelled, spaces

# A fit that warns has met something that its hyper-parameters or its code should have ruled out.
pytestmark = pytest.mark.filterwarnings("error")

ROOT = Path(__file__).parents[3]
CATALOGUE = Catalogue.read(ROOT)
STOCHASTIC = sorted(name for name, settings in CATALOGUE.methods.items() if settings.get("uses_torch"))

# Budgets small enough for a test; everything else stays at its default.
SMALL = {
    "n_components": 4,
    "bits": 8,
    "landmarks": 20,
    "neighbours": 5,
    "posterior_neighbours": 5,
    "epochs": 2,
    "stack_epochs": 1,
    "image_stack_widths": (8, 8),
    "text_stack_widths": (8, 8),
    "image_widths": (8,),
    "text_widths": (8,),
}
SMALL_OF = {"gmlda": {"n_components": 2}}  # three classes have two discriminant directions


def make_pairs(n, seed):
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    images = (np.eye(3)[classes] @ np.ones((3, 14)) * classes[:, None] + rng.normal(size=(n, 14))).astype(np.float32)
    texts = np.abs(np.eye(12)[classes * 2] + rng.normal(scale=0.3, size=(n, 12))).astype(np.float32)
    return Pairs(images, texts, np.eye(3, dtype=bool)[classes])


TRAIN, VALID, TEST = make_pairs(60, 0), make_pairs(24, 1), make_pairs(18, 2)


def small(name):
    settings = CATALOGUE.methods[name]
    defaults = {key: schema["default"] for key, schema in settings["hyperparameters"].items()}
    budget = {key: value for key, value in SMALL.items() if key in defaults}
    return build(settings["implementation"], defaults | budget | SMALL_OF.get(name, {}))


def fit(method, train=TRAIN, valid=VALID):
    """As a run fits a method, transductive ones included."""
    more = {"unlabelled": Unlabelled(TEST.images, TEST.texts)} if getattr(method, "transductive", False) else {}
    return method.fit(train, valid, seed=3, **more)


@pytest.fixture(scope="module", params=sorted(CATALOGUE.methods))
def fitted(request):
    """(method, model) of every registered method, on a small made problem."""
    method = small(request.param)
    return method, fit(method)


@pytest.mark.parametrize("name", sorted(name for name, spec in CATALOGUE.methods.items() if "variant_of" not in spec))
def test_config_names_every_hyperparameter_with_the_default_of_the_class(name):
    settings = CATALOGUE.methods[name]
    defaults = {field.name: field.default for field in fields(load(settings["implementation"]))}
    defaults = {
        key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()
    }  # YAML's form
    assert {key: schema["default"] for key, schema in settings["hyperparameters"].items()} == defaults


def embedded(model, part=TEST):
    """Embeddings of a part in each space of a model, images and texts one after the other."""
    return [
        array
        for space in spaces(model).values()
        for array in (space.embed_images(part.images), space.embed_texts(part.texts))
    ]


def test_embeddings_are_finite_float32_or_packed_codes_in_one_space(fitted):
    method, model = fitted
    arrays = embedded(model)
    for images, texts in zip(arrays[::2], arrays[1::2], strict=True):
        assert images.shape == texts.shape and len(images) == len(TEST)
        assert images.dtype == texts.dtype == (np.uint8 if method.similarity == "hamming" else np.float32)
        assert np.isfinite(images).all() and np.isfinite(texts).all()


def test_an_items_embedding_depends_on_that_item_alone(fitted):
    _, model = fitted
    order = np.random.default_rng(0).permutation(len(TEST))
    for space in spaces(model).values():
        for embed, items in ((space.embed_images, TEST.images), (space.embed_texts, TEST.texts)):
            whole = embed(items)
            # Tolerance of float32 products, whose order of summation may follow the batch.
            np.testing.assert_allclose(embed(items[order]), whole[order], atol=1e-5)
            np.testing.assert_allclose(embed(items[:1]), whole[:1], atol=1e-5)


def test_an_item_far_from_all_others_changes_no_embedding_but_its_own(fitted):
    _, model = fitted
    for space in spaces(model).values():
        for embed, items in ((space.embed_images, TEST.images), (space.embed_texts, TEST.texts)):
            with_outlier = np.concatenate([items[:1] * 1e6, items])
            np.testing.assert_allclose(embed(with_outlier)[1:], embed(items), atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(CATALOGUE.methods) - set(STOCHASTIC)))
def test_closed_forms_learn_nothing_from_the_valid_part(name):
    with_valid, without = (embedded(fit(small(name), TRAIN, valid)) for valid in (VALID, None))
    other = embedded(fit(small(name), TRAIN, Pairs(VALID.images[::-1], -VALID.texts, ~VALID.labels)))
    for one, two, three in zip(with_valid, without, other, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_embedding_changes_neither_its_input_nor_the_model(fitted):
    _, model = fitted
    before, first = TEST.images.copy(), embedded(model)
    embedded(model, VALID)
    np.testing.assert_array_equal(TEST.images, before)
    for one, other in zip(embedded(model), first, strict=True):
        np.testing.assert_array_equal(one, other)


def test_same_arguments_give_the_same_model(fitted):
    method, model = fitted
    again = fit(method)
    for one, other in zip(embedded(again), embedded(model), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_another_seed_gives_another_model(name):
    one, other = (small(name).fit(TRAIN, VALID, seed=seed) for seed in (3, 4))
    assert not np.allclose(one.embed_images(TEST.images), other.embed_images(TEST.images), rtol=1e-2)
    assert not np.allclose(one.embed_texts(TEST.texts), other.embed_texts(TEST.texts), rtol=1e-2)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_seeds_that_train_together_give_the_models_that_they_give_alone(name):
    together = small(name).fit_seeds(TRAIN, VALID, seeds=[3, 4, 5])
    assert list(together) == [3, 4, 5]
    for seed, model in together.items():
        alone = small(name).fit(TRAIN, VALID, seed=seed)
        for one, other in zip(embedded(model), embedded(alone), strict=True):
            # Products of batches and of matrices may round otherwise, and training carries that on.
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
        assert model.history.keys() == alone.history.keys()
        np.testing.assert_allclose(model.history["loss"], alone.history["loss"], rtol=1e-3)


@pytest.mark.parametrize("name", sorted(CATALOGUE.methods))
def test_without_classes_a_method_learns_from_pairs_or_says_that_it_cannot(name):
    train, valid = (Pairs(part.images, part.texts, part.labels[:, :0]) for part in (TRAIN, VALID))
    try:
        model = fit(small(name), train, valid)
    except NotApplicableError as error:
        assert "it learns from classes, but the data set has none" in str(error)
        assert "classes" in CATALOGUE.methods[name]["learns_from"]
    else:
        assert all(np.isfinite(array).all() for array in embedded(model))


@pytest.mark.parametrize("name", sorted(CATALOGUE.methods))
def test_of_several_classes_a_pair_a_method_learns_or_says_that_it_cannot(name):
    train, valid = (
        Pairs(part.images, part.texts, part.labels | (np.roll(part.labels, 1, axis=1) & (part.texts[:, :1] > 0.3)))
        for part in (TRAIN, VALID)
    )
    assert (train.labels.sum(axis=1) == 2).any() and (train.labels.sum(axis=1) == 1).any()
    if CATALOGUE.methods[name].get("one_class_a_pair"):
        with pytest.raises(NotApplicableError, match="it is defined for one class a pair"):
            fit(small(name), train, valid)
    else:
        assert all(np.isfinite(array).all() for array in embedded(fit(small(name), train, valid)))


def test_views_read_in_blocks_from_disk_give_the_same_model(fitted, tmp_path, monkeypatch):
    method, model = fitted
    monkeypatch.setattr(store, "BLOCK_BYTES", 4 * 14 * 7)
    views = {}
    for side in ("images", "texts"):
        store.write_view(tmp_path / f"{side}.h5", map(str, range(len(TRAIN))), getattr(TRAIN, side), {})
        views[side] = store.ViewRows(tmp_path / f"{side}.h5", np.arange(len(TRAIN)))
    streamed = fit(method, replace(TRAIN, **views))
    for one, other in zip(embedded(streamed), embedded(model), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_state_survives_the_file_and_restores_the_model(fitted, tmp_path):
    method, model = fitted
    store.write_arrays(tmp_path / "model.h5", model.state())
    state, _ = store.read_arrays(tmp_path / "model.h5")
    restored = method.restore(state)
    for one, other in zip(embedded(restored), embedded(model), strict=True):
        np.testing.assert_array_equal(one, other)
    assert restored.history == model.history


def test_closed_form_methods_start_without_torch():
    modules = {
        settings["implementation"].rpartition(".")[0]
        for settings in CATALOGUE.methods.values()
        if not settings.get("uses_torch")
    }
    code = f"import sys, cmr.training, {', '.join(sorted(modules))}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(CATALOGUE.methods))
def test_the_page_of_its_family_tells_of_a_method(name):
    settings = CATALOGUE.methods[name]
    page = ROOT / f"docs/methods/{settings['family']}.md"
    assert f"`{settings.get('variant_of', name)}`" in page.read_text("utf-8")
