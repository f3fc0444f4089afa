"""Methods on arrays of one's own: the same models and scores as a run's, and errors in the user's words."""

import ast
import re
import subprocess
import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from cmr import curve, fit, notebook, pairs, score
from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.evaluation import evaluate
from cmr.figure_style import PALETTE
from cmr.methods.base import Pairs, embed_sides
from cmr.methods.linear.cca import CCA
from cmr.methods.linear.mdcr import MDCR
from tests.unit.methods.test_contract import SMALL, SMALL_OF, VECTORS, WORDS, make_pairs

ROOT = Path(__file__).parents[2]
CATALOGUE = Catalogue.read(ROOT)
TAKES_VECTORS = sorted(
    name
    for name, settings in CATALOGUE.methods.items()
    if all("vectors" in settings.get(f"{side}_kinds", ["vectors"]) for side in ("image", "text"))
    and not settings.get("patches")
)
TRAIN, VALID, TEST = VECTORS


def budget(name):
    """Values small enough for a test, of those that a variant leaves free."""
    settings = CATALOGUE.methods[name]
    free = settings["hyperparameters"].keys() - settings.get("variant_values", {}).keys()
    values = SMALL | SMALL_OF.get(name, SMALL_OF.get(settings.get("variant_of"), {}))
    return {key: value for key, value in values.items() if key in free}


def data(name):
    """Of more features than the contract's for methods that turn as many directions into bits."""
    if not name.startswith("scm_orth"):
        return VECTORS
    parts = (make_pairs(n, seed) for seed, n in enumerate((150, 24, 18)))
    noise = np.random.default_rng(9)
    return [
        replace(
            part,
            **{
                side: np.hstack([getattr(part, side), noise.normal(size=(len(part), 70))]).astype(np.float32)
                for side in ("images", "texts")
            },
        )
        for part in parts
    ]


@pytest.mark.parametrize("name", TAKES_VECTORS)
def test_every_method_that_takes_vectors_is_fitted_and_scored_by_its_name(name):
    train, valid, test = data(name)
    scores = score(fit(name, train, valid, test=test, seed=3, **budget(name)), test)
    assert scores.index.get_level_values("task").nunique() == 6
    assert scores.to_numpy().min() >= 0 and scores.to_numpy().max() <= 1
    if name == "random":
        np.testing.assert_array_equal(scores["score"], scores["random"])


def test_no_hyperparameter_has_the_name_of_an_argument():
    arguments = signature(fit).parameters.keys() - {"hyperparameters"}
    assert {
        key: name for name, one in CATALOGUE.methods.items() for key in one["hyperparameters"].keys() & arguments
    } == {}


def test_scores_are_those_of_the_evaluator_on_the_same_embeddings():
    scores = score(fit("cca", TRAIN, n_components=4), TEST)["score"]
    method = CCA(n_components=4)
    expected = evaluate(*embed_sides(method, method.fit(TRAIN), TEST), TEST.labels, method.similarity)[0]
    for row in expected.itertuples():
        assert scores[row.metric, row.task] == row.value
    assert len(scores) == len(expected) * 6 / 4  # the means besides


def test_each_task_is_scored_in_its_own_space():
    scores = score(fit("mdcr", TRAIN), TEST)["score"]
    method = MDCR()
    model = method.fit(TRAIN)
    by_image = evaluate(*embed_sides(method, model.image_queries, TEST), TEST.labels, method.similarity)[0]
    by_text = evaluate(*embed_sides(method, model.text_queries, TEST), TEST.labels, method.similarity)[0]
    for task, table in {"img2txt": by_image, "img2all": by_image, "txt2img": by_text, "txt2all": by_text}.items():
        expected = table.query("task == @task and metric == 'map_all'")["value"].item()
        assert scores["map_all", task] == expected
    assert by_image["value"].tolist() != by_text["value"].tolist()


def test_map_is_the_mean_average_precision_of_scikit_learn():
    model = fit("cca", TRAIN, n_components=4)
    images, texts = (np.float64(model.embed_images(TEST.images)), np.float64(model.embed_texts(TEST.texts)))
    images, texts = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (images, texts))
    relevant = TEST.labels @ TEST.labels.T
    expected = np.mean([average_precision_score(own, row) for own, row in zip(relevant, images @ texts.T, strict=True)])
    assert score(model, TEST).loc["map_all"].at["img2txt", "score"] == pytest.approx(expected, abs=1e-6)


def test_the_floor_of_pairs_alone_is_that_of_one_relevant_item_in_n():
    n = 40
    rng = np.random.default_rng(0)
    test = pairs(rng.normal(size=(n, 3)), rng.normal(size=(n, 2)))
    scores = score(fit("cca", test, n_components=2), test)
    # One relevant item, at each of n places alike: the mean of 1/place.
    assert scores.at[("map_all", "img2txt"), "random"] == pytest.approx(np.mean(1 / np.arange(1, n + 1)))


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(60) % 3,
        (np.arange(60) % 3).astype(float),
        np.array(["cat", "dog", "bird"])[np.arange(60) % 3],
        np.array(["cat", "dog", "bird"], dtype=object)[np.arange(60) % 3],
        (np.arange(60) % 3).tolist(),
        np.eye(3)[np.arange(60) % 3],
    ],
)
def test_labels_may_be_numbers_names_or_columns(labels):
    made = pairs(TRAIN.images, TRAIN.texts, labels)
    np.testing.assert_array_equal(made.labels @ made.labels.T, TRAIN.labels @ TRAIN.labels.T)
    assert made.images.dtype == made.texts.dtype == np.float32


def test_groups_are_what_is_relevant_without_classes():
    made = pairs(TRAIN.images, TRAIN.texts, groups=np.repeat(np.array(["a", "b", "c"]), 20))
    np.testing.assert_array_equal(made.relevance @ made.relevance.T, np.kron(np.eye(3, dtype=bool), np.ones((20, 20))))


def with_nan():
    images = TRAIN.images.copy()
    images[7, 2] = np.nan
    return images


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((TRAIN.images[:, 0], TRAIN.texts), r"images: an array \(n, d\) of numbers .* shape \(60,\)"),
        ((TRAIN.images, [["a"]] * 60), "texts: an array .* <U1"),
        ((TRAIN.images, [[1.0], [1.0, 2.0]]), "texts: it is no array"),
        ((TRAIN.images[:50], TRAIN.texts), "one row a pair, but have 50, 60 and 50"),
        ((TRAIN.images, TRAIN.texts, np.arange(59)), "one row a pair, but have 60, 60 and 59"),
        ((with_nan(), TRAIN.texts), "images: 1 rows hold NaN .* row 7"),
        ((TRAIN.images, TRAIN.texts, np.full(60, np.nan)), "labels: .* none of them missing"),
        ((TRAIN.images, TRAIN.texts, np.full(60, 0.5)), "labels: .* whole numbers"),
        ((TRAIN.images, TRAIN.texts, np.full((60, 2), 3)), r"labels: .* must hold 0 and 1, .* \(60, 2\)"),
    ],
)
def test_arrays_that_are_no_pairs_are_refused_by_name(arguments, words):
    with pytest.raises(UserError, match=words):
        pairs(*arguments)


def test_as_many_groups_as_pairs_are_needed():
    with pytest.raises(UserError, match="groups: there are 3 for 60 images"):
        pairs(TRAIN.images, TRAIN.texts, groups=[1, 2, 3])


@pytest.mark.parametrize(
    ("method", "values", "words"),
    [
        ("ccaa", {}, 'unknown method "ccaa"; did you mean "cca"'),
        ("cca", {"ridg": 1.0}, 'unknown hyper-parameter "ridg"; did you mean "ridge"'),
        ("cca", {"ridge": -1.0}, "ridge: -1.0 is less than the minimum"),
        ("cca", {"ridge": [0.1, -1.0]}, "ridge: -1.0 is less than the minimum"),
        ("cca", {"ridge": [0.1, 1.0]}, "candidates of ridge .* give valid="),
        ("cca", {"grid": True}, "candidates of n_components, ridge, power .* give valid="),
        ("cca", {"device": "tpu"}, 'device "tpu" is unknown'),
        ("cca_selected_on_test", {"grid": True}, 'chooses by the test part.* fit "cca"'),
        ("csaec_stiefel", {"mode": "tied"}, "mode makes the variant what it is; set it of csaec"),
        ("jrl_transductive", {}, "transductive.* give test="),
        ("alscor", {}, 'takes images as vectors or pixels, texts as tokens, but .* Fit "alscor_vectors"'),
        ("ccl", {}, 'takes images as patches, texts as patches, but .* Fit "ccl_coarse"'),
        (CCA, {"ridg": 1.0}, 'CCA has no option "ridg"; it has n_components, ridge'),
        (CCA(), {}, "CCA is neither the name of a method nor a class"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_words(method, values, words):
    with pytest.raises(UserError, match=words):
        fit(method, TRAIN, **values)


def test_a_method_that_learns_from_classes_says_so_where_there_are_none():
    with pytest.raises(UserError, match="sm: it learns from classes"):
        fit("sm", pairs(TRAIN.images, TRAIN.texts))


def test_arrays_in_the_place_of_pairs_are_refused():
    with pytest.raises(UserError, match=r"cca: train is ndarray, not pairs; give pairs\("):
        fit("cca", TRAIN.images)
    with pytest.raises(UserError, match="cca: test is ndarray, not pairs"):
        score(fit("cca", TRAIN, n_components=2), TEST.images)
    with pytest.raises(UserError, match="'cca' is no fitted method"):
        score("cca", TEST)
    with pytest.raises(UserError, match="'cca' is no fitted method"):
        curve(["cca"], TEST)


def test_features_of_another_width_are_refused():
    model = fit("cca", TRAIN, n_components=2)
    with pytest.raises(UserError, match="test: images: cca was fitted to rows of 14 numbers, but these are of 13"):
        score(model, pairs(TEST.images[:, 1:], TEST.texts))
    with pytest.raises(UserError, match="texts: cca was fitted to rows of 12 numbers, but these are of 11"):
        model.embed_texts(TEST.texts[:, 1:])


def test_candidates_are_chosen_by_the_valid_part():
    model = fit("cca", TRAIN, VALID, n_components=(2, np.int64(4)), ridge=0.1)
    alone = {k: score(fit("cca", TRAIN, n_components=k, ridge=0.1), VALID)["score"]["map_all", "mean"] for k in (2, 4)}
    assert model.hyperparameters["n_components"] == max(alone, key=alone.get)
    assert dict(zip(model.candidates["n_components"], model.candidates["valid_map"], strict=True)) == pytest.approx(
        alone
    )


def test_grid_tries_the_candidates_of_the_registry():
    model = fit("cca", TRAIN, VALID, grid=True, power=0.0)
    schemas = CATALOGUE.methods["cca"]["hyperparameters"]
    assert len(model.candidates) == len(schemas["n_components"]["grid"]) * len(schemas["ridge"]["grid"])


def test_without_a_grid_what_is_not_given_is_at_its_default():
    schemas = CATALOGUE.methods["cca"]["hyperparameters"]
    defaults = {key: schema["default"] for key, schema in schemas.items()}
    assert fit("cca", TRAIN, n_components=3).hyperparameters == defaults | {"n_components": 3}


def test_a_class_does_what_its_name_does():
    by_name, by_class = (score(fit(one, TRAIN, n_components=3), TEST) for one in ("cca", CCA))
    assert by_name.equals(by_class)


def test_a_method_that_reads_words_takes_pairs_of_tokens():
    train, valid, test = WORDS
    model = fit("alscor", train, valid, epochs=2, n_components=2, lstm_width=4, kernels=4)
    assert score(model, test)["score"]["map_all", "mean"] > 0
    assert model.embed_texts(test.texts).shape == (len(test), 2)
    assert set(model.history["quantity"]) >= {"loss"}


def test_a_method_of_two_spaces_embeds_for_a_task():
    model = fit("mdcr", TRAIN)
    with pytest.raises(UserError, match='give task="img2txt"'):
        model.embed_images(TEST.images)
    with pytest.raises(UserError, match='unknown task "img2text"; did you mean "img2txt"'):
        model.embed_images(TEST.images, task="img2text")
    by_image, by_text = (model.embed_images(TEST.images, task=task) for task in ("img2txt", "txt2all"))
    assert not np.allclose(by_image, by_text)


def test_outside_any_checkout_a_class_will_do_and_a_name_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notebook, "__file__", str(tmp_path / "lib/site-packages/cmr/notebook.py"))
    with pytest.raises(UserError, match=r"pip install --editable.* fit\(CCA"):
        fit("cca", TRAIN)
    assert score(fit(CCA, TRAIN, n_components=2), TEST)["score"]["map_all", "mean"] > 0
    monkeypatch.chdir(ROOT / "docs")
    assert fit("cca", TRAIN, n_components=2).title == "CCA"


def test_the_package_imports_no_module_of_the_library_before_it_is_asked():
    imported = {
        alias.name
        for node in ast.walk(ast.parse((ROOT / "src/cmr/__init__.py").read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"lazy_loader"}  # or rules would depend on all code
    code = "import sys, cmr; sys.exit(any(name.startswith('cmr.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {"pairs", "fit", "score", "curve"} <= set(dir(__import__("cmr")))


def test_pairs_are_the_workflows_own():
    assert isinstance(pairs(TRAIN.images, TRAIN.texts), Pairs)


def points_of(chart):
    """Method -> precision at each recall level, of the chart's own data."""
    (rows,) = chart.to_dict()["datasets"].values()
    return {row["method"]: dict(zip(np.round(row["recall"], 4), row["precision"], strict=True)) for row in rows}


def test_a_curve_has_the_evaluators_points_of_the_task_and_those_of_a_random_ranking():
    method = CCA(n_components=4)
    expected = evaluate(*embed_sides(method, method.fit(TRAIN), TEST), TEST.labels, method.similarity)[1]
    for task in ("img2txt", "txt2img"):
        points = points_of(curve(fit("cca", TRAIN, n_components=4), TEST, task))
        own = expected[expected["task"] == task]
        assert points["CCA"] == pytest.approx(
            dict(zip(own["recall"].round(4), own["precision"], strict=True)), abs=1e-4
        )
        assert set(points) == {"CCA", "Random (floor)"}


def test_curves_of_one_method_fitted_twice_are_told_apart():
    models = [fit("cca", TRAIN, n_components=k) for k in (1, 4)]
    points = points_of(curve([*models, fit("sm", TRAIN)], TEST))
    assert set(points) == {"CCA (cca)", "CCA (cca 2)", "SM", "Random (floor)"}
    assert points["CCA (cca)"] == points_of(curve(models[0], TEST))["CCA"]


def test_a_notebook_shows_a_curve_in_the_figures_colours():
    chart = curve(fit("cca", TRAIN, n_components=4), TEST)
    shown = chart._repr_mimebundle_(None, None)
    assert any("vegalite" in kind or kind == "text/html" for kind in (shown[0] if isinstance(shown, tuple) else shown))
    assert PALETTE[0] in chart.to_json() and chart.to_dict()["config"]["background"] == "white"
    with pytest.raises(UserError, match='unknown task "img2text"; did you mean "img2txt"'):
        curve(fit("cca", TRAIN, n_components=4), TEST, "img2text")


def test_the_page_on_notebooks_does_what_it_says():
    rng = np.random.default_rng(0)
    labels = np.arange(700) % 4
    latent = np.eye(4)[labels] @ rng.normal(size=(4, 20)) + rng.normal(size=(700, 20))
    arrays = {
        "images": latent @ rng.normal(size=(20, 30)),
        "texts": latent @ rng.normal(size=(20, 25)),
        "labels": labels,
    }
    names = {key: array[:600] for key, array in arrays.items()}
    names |= {f"more_{key}": array[600:] for key, array in arrays.items()}
    names |= {"new_images": arrays["images"][600:], "new_texts": arrays["texts"][600:]}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notebook.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, names)
    assert len(names["nearest"]) == 100
    assert (names["nearest"][:, 0] == np.arange(100)).mean() > 0.5  # both sides are maps of one latent point
