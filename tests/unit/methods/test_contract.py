"""What every method of config/methods owes, present and future."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from cmr import store
from cmr.catalogue import Catalogue
from cmr.construct import METHODS, build, load
from cmr.errors import UserError
from cmr.methods.base import NotApplicableError, Pairs, Unlabelled, embed_sides, spaces
from cmr.training import Run, Trained, embeddings

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
    # Embeddings by stacks that have hardly been trained differ by less than the tests tolerate.
    "stack_epochs": 60,
    "stack_batch_size": 6,
    "image_stack_widths": (16,),
    "text_stack_widths": (16,),
    "image_widths": (8,),
    "text_widths": (8,),
}
# Codes of hardly trained stages are all but equal, and z-scores of them would be rounding noise.
TRAINED = {
    "image_stack_widths": (16,),
    "text_stack_widths": (16,),
    "stack_epochs": 20,
    "stack_batch_size": 6,
    "classifier_widths": (16,),
    "dropout": 0.0,
    "epochs": 6,
    "batch_size": 10,
}
CONTRASTIVE = TRAINED | {"n_components": 8, "top_width": 16, "alpha": 0.2}
SMALL_OF = {
    "gmlda": {"n_components": 2},  # three classes have two discriminant directions
    "multimodal_dbn": {"n_components": 8, "epochs": 10, "batch_size": 6, "learning_rate": 0.1},
    "dbm": {"n_components": 8, "epochs": 5, "batch_size": 10, "chains": 20},
    "dcmh": {"image_widths": (64,), "text_widths": (64,), "batch_size": 10, "learning_rate": 0.003},
    "ccl": CONTRASTIVE,
    "ccl_coarse": CONTRASTIVE,
    "cmdn": TRAINED | {"depth": 1},  # seeds that choose other depths have codes of other widths
    # From weights as small as the paper's, so few steps leave all posteriors alike.
    "eisr_as_published": {"batch_size": 10, "learning_rate": 0.1, "initialisation": "he"},
    "hrl": TRAINED
    | {
        "stack_epochs": 60,
        "image_friendly_widths": (16,),
        "text_friendly_widths": (16,),
        "mutual_width": 16,
        "fusion_width": 16,
        "depth": 1,
    },
    # Before inner products come to -1, where the printed logarithm ends.
    "idcmr_printed_likelihood": {"initial_scale": 0.1, "learning_rate": 1e-4},
}


def make_pairs(n, seed):
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    images = (np.eye(3)[classes] @ np.ones((3, 14)) * classes[:, None] + rng.normal(size=(n, 14))).astype(np.float32)
    texts = np.abs(np.eye(12)[classes * 2] + rng.normal(scale=0.3, size=(n, 12))).astype(np.float32)
    return Pairs(images, texts, np.eye(3, dtype=bool)[classes])


def with_parts(pairs):
    """The same pairs with two parts an image and three a text, of which some are absent."""
    rng = np.random.default_rng(len(pairs))
    views = {}
    for side, count in (("images", 2), ("texts", 3)):
        whole = getattr(pairs, side)[:, None]
        parts = np.repeat(whole, count, axis=1) * rng.uniform(0.5, 1.5, size=(len(pairs), count, whole.shape[-1]))
        parts[rng.uniform(size=(len(pairs), count)) < 0.3] = 0
        views[side] = np.concatenate([whole, parts.astype(np.float32)], axis=1)
    return replace(pairs, **views, image_kind="patches", text_kind="patches")


def in_words(pairs):
    """The same pairs with texts of up to eight words, some of which are their class's own."""
    rng = np.random.default_rng(len(pairs))
    numbers = rng.integers(1, 13, (len(pairs), 8))
    own = rng.uniform(size=numbers.shape) < 0.7
    numbers[own] = np.broadcast_to(4 * pairs.labels.argmax(1)[:, None] + numbers % 4 + 1, numbers.shape)[own]
    numbers[np.arange(8) >= rng.integers(2, 9, len(pairs))[:, None]] = 0
    vectors = np.concatenate([np.zeros((1, 6)), np.random.default_rng(5).normal(size=(12, 6))]).astype(np.float32)
    return replace(pairs, texts=numbers.astype(np.int32), text_kind="tokens", text_arrays={"word_vectors": vectors})


VECTORS = make_pairs(60, 0), make_pairs(24, 1), make_pairs(18, 2)
PATCHES = tuple(map(with_parts, VECTORS))
WORDS = tuple(map(in_words, VECTORS))


def data(name):
    """Train, valid and test part, of the kind that a method takes."""
    settings = CATALOGUE.methods[name]
    if settings.get("text_kinds") == ["tokens"]:
        return WORDS
    return PATCHES if settings.get("patches") else VECTORS


def rows(pairs, index):
    """Some of the pairs."""
    return replace(pairs, images=pairs.images[index], texts=pairs.texts[index], labels=pairs.labels[index])


def small(name):
    settings = CATALOGUE.methods[name]
    defaults = {key: schema["default"] for key, schema in settings["hyperparameters"].items()}
    budget = {key: value for key, value in SMALL.items() if key in defaults}
    own = SMALL_OF.get(name, SMALL_OF.get(settings.get("variant_of"), {}))
    return build(settings["implementation"], defaults | budget | own, METHODS)


def fit(method, train, valid, test):
    """As a run fits a method, transductive ones included."""
    more = {"unlabelled": Unlabelled(test.images, test.texts)} if getattr(method, "transductive", False) else {}
    return method.fit(train, valid, seed=3, **more)


@pytest.fixture(scope="module", params=sorted(CATALOGUE.methods))
def fitted(request):
    """(method, model, its train, valid and test part) of every registered method, on a small made problem."""
    method, parts = small(request.param), data(request.param)
    return method, fit(method, *parts), parts


@pytest.mark.parametrize("name", sorted(name for name, spec in CATALOGUE.methods.items() if "variant_of" not in spec))
def test_config_names_every_hyperparameter_with_the_default_of_the_class(name):
    settings = CATALOGUE.methods[name]
    defaults = {field.name: field.default for field in fields(load(settings["implementation"], METHODS))}
    defaults = {
        key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()
    }  # YAML's form
    assert {key: schema["default"] for key, schema in settings["hyperparameters"].items()} == defaults


def embedded(method, model, part):
    """Embeddings of a part in each space of a model, images and texts one after the other."""
    return [array for space in spaces(model).values() for array in embed_sides(method, space, part)]


def test_embeddings_are_finite_float32_or_packed_codes_in_one_space(fitted):
    method, model, (*_, test) = fitted
    arrays = embedded(method, model, test)
    for images, texts in zip(arrays[::2], arrays[1::2], strict=True):
        assert images.shape == texts.shape and len(images) == len(test)
        assert images.dtype == texts.dtype == (np.uint8 if method.similarity == "hamming" else np.float32)
        assert np.isfinite(images).all() and np.isfinite(texts).all()


def test_embeddings_differ_by_more_than_these_tests_tolerate(fitted):
    method, model, (*_, test) = fitted
    if isinstance(method, load(CATALOGUE.methods["random"]["implementation"], METHODS)):
        pytest.skip("all items tie")
    assert all(array.std(axis=0).max() > 2e-3 for array in embedded(method, model, test))


def test_an_items_embedding_depends_on_that_item_alone(fitted):
    method, model, (*_, test) = fitted
    order = np.random.default_rng(0).permutation(len(test))
    whole, other, first = (embedded(method, model, rows(test, own)) for own in (slice(None), order, slice(1)))
    for one, two, three in zip(whole, other, first, strict=True):
        # Tolerance of float32 products, whose order of summation may follow the batch, through many layers.
        np.testing.assert_allclose(two, one[order], atol=1e-4)
        np.testing.assert_allclose(three, one[:1], atol=1e-4)


def test_an_item_far_from_all_others_changes_no_embedding_but_its_own(fitted):
    method, model, (*_, test) = fitted
    with_outlier = rows(test, [0, *range(len(test))])
    for items in (with_outlier.images, with_outlier.texts):
        items[0] *= 0 if items.dtype == np.int32 else 1e6  # a text without words
    for one, other in zip(embedded(method, model, with_outlier), embedded(method, model, test), strict=True):
        np.testing.assert_allclose(one[1:], other, atol=1e-4)


@pytest.mark.parametrize("name", sorted(set(CATALOGUE.methods) - set(STOCHASTIC)))
def test_closed_forms_learn_nothing_from_the_valid_part(name):
    train, valid, test = data(name)
    other = replace(valid, images=valid.images[::-1], texts=-valid.texts, labels=~valid.labels)
    method = small(name)
    with_valid, without, other = (embedded(method, fit(method, train, one, test), test) for one in (valid, None, other))
    for one, two, three in zip(with_valid, without, other, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_no_embedding_depends_on_the_other_modalitys_test_items(fitted):
    """What a run embeds of a modality stays when the other's test items are permuted, blanked, or were never there."""
    method, model, (*_, test) = fitted
    if getattr(method, "sees_pairs", False):
        pytest.skip("it is to see pairs")
    order = np.random.default_rng(0).permutation(len(test))

    def of_run(model, **other):
        run = Run({"test": replace(test, **other)}, {"test": np.arange(len(test)).astype(str)}, {}, {})
        return embeddings(Trained(method, {3: model}, {}), run)

    usual = of_run(model)
    for side, other in (("images", "texts"), ("texts", "images")):
        items = getattr(test, other)
        for changed in (items[order], np.zeros_like(items)):
            arrays = of_run(model, **{other: changed})
            for path in (path for path in usual if path.endswith(f"/{side}")):
                np.testing.assert_array_equal(arrays[path], usual[path])
        alone = method.restore(model.state())  # it has never been given an item of the other modality
        for task, space in spaces(alone).items():
            path = "/".join(filter(None, ["3/test", task, side]))
            np.testing.assert_array_equal(getattr(space, f"embed_{side}")(getattr(test, side)), usual[path])


def test_a_method_that_sees_pairs_is_marked_and_embeds_nothing_without_them(fitted, request):
    method, model, (*_, test) = fitted
    settings = CATALOGUE.methods[request.node.callspec.params["fitted"]]
    assert getattr(method, "sees_pairs", False) == settings.get("sees_pairs", False)
    if not getattr(method, "sees_pairs", False):
        pytest.skip("it sees none")
    for embed, items in ((model.embed_images, test.images), (model.embed_texts, test.texts)):
        with pytest.raises(UserError, match="paired"):
            embed(items)


def test_a_transductive_method_makes_no_use_of_which_test_items_are_pairs(fitted):
    method, model, (train, valid, test) = fitted
    if not getattr(method, "transductive", False):
        pytest.skip("not transductive")
    order = np.random.default_rng(0).permutation(len(test))
    other = fit(method, train, valid, replace(test, texts=test.texts[order]))
    for one, again in zip(embedded(method, model, test), embedded(method, other, test), strict=True):
        np.testing.assert_allclose(one, again, atol=1e-5)


def test_embedding_changes_neither_its_input_nor_the_model(fitted):
    method, model, (_, valid, test) = fitted
    before, first = test.images.copy(), embedded(method, model, test)
    embedded(method, model, valid)
    np.testing.assert_array_equal(test.images, before)
    for one, other in zip(embedded(method, model, test), first, strict=True):
        np.testing.assert_array_equal(one, other)


def test_same_arguments_give_the_same_model(fitted):
    method, model, parts = fitted
    again = fit(method, *parts)
    for one, other in zip(embedded(method, again, parts[-1]), embedded(method, model, parts[-1]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_another_seed_gives_another_model(name):
    train, valid, test = data(name)
    method = small(name)
    models = (method.fit(train, valid, seed=seed) for seed in (3, 4))
    for one, other in zip(*(embedded(method, model, test) for model in models), strict=True):
        assert one.shape != other.shape or not np.allclose(one, other, rtol=1e-2)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_seeds_that_train_together_give_the_models_that_they_give_alone(name):
    train, valid, test = data(name)
    method = small(name)
    together = method.fit_seeds(train, valid, seeds=[3, 4, 5])
    assert list(together) == [3, 4, 5]
    for seed, model in together.items():
        alone = method.fit(train, valid, seed=seed)
        for one, other in zip(embedded(method, model, test), embedded(method, alone, test), strict=True):
            # Products of batches and of matrices may round otherwise, and training carries that on.
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
        assert model.history.keys() == alone.history.keys()


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_train_part_without_pairs_is_refused(name):
    train, valid, _ = data(name)
    none = replace(train, images=train.images[:0], texts=train.texts[:0], labels=train.labels[:0])
    with pytest.raises(UserError, match="the train part holds no pairs"):
        small(name).fit(none, valid)


@pytest.mark.parametrize("name", sorted(CATALOGUE.methods))
def test_without_classes_a_method_learns_from_pairs_or_says_that_it_cannot(name):
    train, valid, test = (replace(part, labels=part.labels[:, :0]) for part in data(name))
    method = small(name)
    try:
        model = fit(method, train, valid, test)
    except NotApplicableError as error:
        assert "it learns from classes, but the data set has none" in str(error)
        assert "classes" in CATALOGUE.methods[name]["learns_from"]
    else:
        assert all(np.isfinite(array).all() for array in embedded(method, model, test))


@pytest.mark.parametrize("name", sorted(CATALOGUE.methods))
def test_of_several_classes_a_pair_a_method_learns_or_says_that_it_cannot(name):
    several = [np.roll(part.labels, 1, axis=1) & (part.texts[:, :1] > 0.3) for part in VECTORS]
    train, valid, test = (
        replace(part, labels=part.labels | more) for part, more in zip(data(name), several, strict=True)
    )
    assert (train.labels.sum(axis=1) == 2).any() and (train.labels.sum(axis=1) == 1).any()
    method = small(name)
    if CATALOGUE.methods[name].get("one_class_a_pair"):
        with pytest.raises(NotApplicableError, match="it is defined for one class a pair"):
            fit(method, train, valid, test)
    else:
        arrays = embedded(method, fit(method, train, valid, test), test)
        assert all(np.isfinite(array).all() for array in arrays)


def test_views_read_in_blocks_from_disk_give_the_same_model(fitted, tmp_path, monkeypatch):
    method, model, (train, valid, test) = fitted
    monkeypatch.setattr(store, "BLOCK_BYTES", 4 * 14 * 7)
    views = {}
    for side in ("images", "texts"):
        store.write_view(tmp_path / f"{side}.h5", map(str, range(len(train))), getattr(train, side), {})
        views[side] = store.ViewRows(tmp_path / f"{side}.h5", np.arange(len(train)))
    streamed = fit(method, replace(train, **views), valid, test)
    for one, other in zip(embedded(method, streamed, test), embedded(method, model, test), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_state_survives_the_file_and_restores_the_model(fitted, tmp_path):
    method, model, (*_, test) = fitted
    store.write_arrays(tmp_path / "model.h5", model.state())
    state, _ = store.read_arrays(tmp_path / "model.h5")
    restored = method.restore(state)
    for one, other in zip(embedded(method, restored, test), embedded(method, model, test), strict=True):
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


def test_networks_start_without_torchs_compiler():
    modules = {
        settings["implementation"].rpartition(".")[0]
        for settings in CATALOGUE.methods.values()
        if settings.get("uses_torch")
    }
    code = f"import sys, cmr.training, {', '.join(sorted(modules))}; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(CATALOGUE.methods))
def test_the_page_of_its_family_tells_of_a_method(name):
    settings = CATALOGUE.methods[name]
    page = ROOT / f"docs/methods/{settings['family']}.md"
    assert f"`{settings.get('variant_of', name)}`" in page.read_text("utf-8")
