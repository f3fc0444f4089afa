"""The examples of the README and of the guide to methods do what they say."""

import importlib
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np

from cmr.catalogue import Catalogue
from cmr.methods.base import Pairs
from cmr.retrieval import top

ROOT = Path(__file__).parents[2]


def block(page, kind, words):
    """The code block of a page that holds the words."""
    blocks = [part.split("```")[0] for part in (ROOT / page).read_text("utf-8").split(f"```{kind}\n")[1:]]
    return next(text for text in blocks if words in text)


def test_readme_names_the_methods_of_the_quickstart():
    text, catalogue = (ROOT / "README.md").read_text("utf-8"), Catalogue.read(ROOT)
    table = [line for line in text.splitlines() if line.startswith("| [") and "docs/methods/" in line]
    named = {name for line in table for name in catalogue.methods if f"`{name}`" in line}
    assert named == {run["method"] for run in catalogue.runs("quickstart")}
    assert named >= {name for name, settings in catalogue.methods.items() if "variant_of" not in settings}


def test_the_network_of_the_guide_learns_alone_and_with_other_seeds(tmp_path, monkeypatch):
    (tmp_path / "two_towers.py").write_text(block("docs/add-a-method.md", "python", "class TwoTowers"))
    monkeypatch.syspath_prepend(tmp_path)
    method = importlib.import_module("two_towers").TwoTowers(epochs=40, batch_size=32)
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(300, 5))
    views = (latent @ rng.normal(size=(5, d)) + 0.1 * rng.normal(size=(300, d)) for d in (12, 9))
    images, texts = (view.astype(np.float32) for view in views)
    labels = np.ones((300, 1), dtype=bool)
    train = Pairs(images[:200], texts[:200], labels[:200])
    together = method.fit_seeds(train, seeds=[0, 1])
    own = np.arange(100)
    for seed, model in together.items():
        nearest, _ = top(model.embed_images(images[200:]), model.embed_texts(texts[200:]), method.similarity, k=1)
        assert (nearest[:, 0] == own).mean() > 0.5
        alone = method.fit(train, seed=seed).embed_images(images[200:])
        np.testing.assert_allclose(model.embed_images(images[200:]), alone, atol=1e-2)


def test_the_entry_of_the_guides_network_is_one_and_has_the_defaults_of_the_class(tmp_path, monkeypatch):
    (tmp_path / "towers.py").write_text(block("docs/add-a-method.md", "python", "class TwoTowers"))
    monkeypatch.syspath_prepend(tmp_path)
    defaults = {field.name: field.default for field in fields(importlib.import_module("towers").TwoTowers)}
    for folder in ("config", "workflow/schemas"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    entry = block("docs/add-a-method.md", "yaml", "TwoTowers").replace("cmr.methods.deep.two_towers.", "towers.")
    (tmp_path / "config/methods/two_towers.yaml").write_text(entry)
    settings = Catalogue.read(tmp_path).methods["two_towers"]
    assert {name: schema["default"] for name, schema in settings["hyperparameters"].items()} == defaults


def test_notebook_example_retrieves_by_class_far_better_than_chance():
    code = block("README.md", "python", "from cmr import")
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 4
    latent = np.eye(4)[labels] @ rng.normal(size=(4, 20)) + 0.3 * rng.normal(size=(600, 20))
    names = {
        "images": latent @ rng.normal(size=(20, 30)),
        "texts": latent @ rng.normal(size=(20, 25)),
        "labels": labels,
    }
    exec(code, names)
    scores = names["score"](names["model"], names["test"]).loc["map_all"]
    assert (scores["score"] > scores["random"] + 0.3).all()
    assert names["curve"](names["model"], names["test"]).to_dict()["layer"]
