"""Every view, on the small made data set: fitted on train, in shards, side by side, and only anew for a reason."""

import re

import numpy as np
import pytest
import yaml

from cmr import store
from tests.project import Project

DATA = "data/views/shapes"
# What nobody can have without a network.
DOWNLOADS = {
    "alexnet_weights", "alexnet_caffe_weights", "vgg16_weights", "vgg19_weights",
    "glove_6b_300d", "word2vec_google_news",
}  # fmt: skip


def views_of(project, modality):
    return yaml.safe_load((project.root / f"config/views/{modality}.yaml").read_text())


def file_of(project, modality, name, split="random-0"):
    """Where the README says that a view lies."""
    views = views_of(project, modality)
    parts = [views[name], *(views[part] for part in views[name].get("concatenate", []))]
    basis = f"{split}/" if any(part.get("learnt") for part in parts) else ""
    return f"{DATA}/{basis}{modality}/{name}.h5"


def obtainable(project, modality):
    """A view of each kind that can be had here."""
    kinds = {}
    for name, view in views_of(project, modality).items():
        assets = frozenset(view.get("assets", {}).values())
        kind = (view.get("implementation", name), assets, view.get("options", {}).get("crops"))
        if not assets & DOWNLOADS:
            kinds.setdefault(kind, name)
    return list(kinds.values())


@pytest.fixture(scope="module")
def everything(fresh, tmp_path_factory) -> Project:
    """A project in which every view that can be had is made, the networks' budgets cut."""
    from tests.made_project import copy_of

    project = copy_of(fresh, tmp_path_factory.mktemp("views"))
    wordnet = project.root / "mirror/wordnet"
    wordnet.mkdir()
    (wordnet / "index.noun").write_text("circle n 1 0 1 0 00000001\nsquare n 1 0 1 0 00000002\n")
    (wordnet / "noun.exc").write_text("discs disc\n")

    def cut(views):
        views["efficientnet_lite0_finetuned"]["options"] |= {"epochs": 1}
        for name, view in views.items():
            if "visual_words" in view.get("implementation", ""):
                # Shapes on plain ground have few descriptors.
                view["options"] |= {"words": 12 if name == "phow" else 20}

    project.edit("config/views/image.yaml", cut)
    files = [file_of(project, m, name) for m in ("image", "text") for name in obtainable(project, m)]
    run = project.snakemake(*files)
    assert run.returncode == 0, run.stdout
    return project


@pytest.mark.parametrize("modality", ["image", "text"])
def test_every_view_has_a_row_an_item_and_says_how_it_was_made(everything, modality):
    pairs = store.read_table(everything.root / "data/datasets/shapes/pairs.parquet")
    split = store.read_table(everything.root / "data/datasets/shapes/splits/random-0.parquet")
    names = obtainable(everything, modality)
    assert len(names) > 10
    for name in names:
        with store.ViewFile.open(everything.root / file_of(everything, modality, name)) as view:
            ids, about, values, arrays = view.ids, view.attributes, view.values[...], view.arrays()
        assert list(ids) == list(pairs["id"]), name
        assert np.isfinite(values).all() and len(np.unique(values, axis=0)) > 5, name
        assert {"kind", "learnt", "inputs", "versions", "code", "counts"} <= about.keys(), name
        assert values.ndim == {"patches": 3, "pixels": 4}.get(about["kind"], 2)
        train = split.loc[split["part"] == "train", "id"]
        assert set(arrays.get("train_ids", [])) == (set(train) if about["learnt"] else set()), name


def test_views_are_up_to_date_until_something_changes(everything):
    def state(name, modality="image"):
        run = everything.python("-m", "cmr", "views", "inspect", file_of(everything, modality, name))
        assert run.returncode == 0, run.stdout
        return run.stdout

    assert "up to date" in state("handcrafted_1134")
    assert "up to date" in state("glove_6b_50d", "text")
    assert everything.planned(file_of(everything, "image", "gist")) == {}
    module = everything.root / "src/cmr/views/image/gist.py"
    source = module.read_text()
    module.write_text(source + "# a comment\n")
    try:
        assert "stale: the code of cmr.views.image.gist has changed" in state("gist")
        assert "up to date" in state("mpeg7")
        planned = everything.planned(*(file_of(everything, "image", name) for name in ("gist", "mpeg7", "phow")))
        assert planned["extract_image_view", ""] == 1
    finally:
        module.write_text(source)


def test_changed_option_makes_one_view_and_what_holds_it_anew(everything, tmp_path):
    from tests.made_project import copy_of

    project = copy_of(everything, tmp_path)
    project.edit("config/views/image.yaml", lambda views: views["phow"]["options"].update(words=10))
    names = ["phow", "handcrafted_2296", "handcrafted_1134", "gist"]
    planned = project.planned(*(file_of(project, "image", name) for name in names))
    assert {rule for rule, _ in planned} == {"fit_image_view", "extract_image_view", "concatenate_views"}
    assert sum(planned.values()) == 3


def test_other_order_of_the_parts_is_another_view(everything, tmp_path):
    from tests.made_project import copy_of

    project = copy_of(everything, tmp_path)
    project.edit("config/views/image.yaml", lambda views: views["handcrafted_2296"]["concatenate"].reverse())
    assert project.planned(file_of(project, "image", "handcrafted_2296")) == {("concatenate_views", ""): 1}


def test_view_of_a_users_own_follows_their_code(everything, tmp_path):
    """The example of docs/views.md, in a package of two modules beside the Snakefile."""
    from tests.made_project import copy_of

    project = copy_of(everything, tmp_path)
    page = (project.root / "docs/views.md").read_text()
    example = next(code for code in page.split("```python\n")[1:] if "class Brightness" in code).split("```")[0]
    (project.root / "my_features").mkdir()
    (project.root / "my_features/__init__.py").touch()
    (project.root / "my_features/colours.py").write_text("from my_features import numbers\n" + example)
    (project.root / "my_features/numbers.py").write_text("")
    view = {"description": "Mean of each channel.", "implementation": "my_features.colours.Brightness"}
    project.edit("config/views/image.yaml", lambda views: views.update(brightness=view))
    file = f"{DATA}/image/brightness.h5"
    run = project.snakemake(file)
    assert run.returncode == 0, run.stdout
    assert store.read_view(project.root / file).values.shape == (60, 3)
    assert "up to date" in project.python("-m", "cmr", "views", "inspect", file).stdout
    for edited in ("my_features/numbers.py", "src/cmr/views/image/handcrafted.py"):
        source = (project.root / edited).read_text()
        (project.root / edited).write_text(source + "# a comment\n")
        name = edited.removeprefix("src/").removesuffix(".py").replace("/", ".")
        told = project.python("-m", "cmr", "views", "inspect", file).stdout
        assert f"stale: the code of {name} has changed" in told, told
        assert project.planned(file) == {("extract_image_view", ""): 1}
        (project.root / edited).write_text(source)


def test_shards_give_the_view_of_one_job(everything, tmp_path):
    from tests.made_project import copy_of

    whole = (
        everything.root / file_of(everything, "image", "gist"),
        everything.root / file_of(everything, "image", "phow"),
    )
    project = copy_of(everything, tmp_path)
    files = [file_of(project, "image", name) for name in ("gist", "phow")]
    for file in files:
        (project.root / file).unlink()
    run = project.snakemake(*files, "--config", "shards={shapes: 3}")
    assert run.returncode == 0, run.stdout
    assert len(list((project.root / DATA / "image").glob("gist.*-of-3.h5"))) == 3
    for before, after in zip(whole, files, strict=True):
        sharded, single = store.read_view(project.root / after), store.read_view(before)
        np.testing.assert_array_equal(sharded.values, single.values)
        assert list(sharded.ids) == list(single.ids)
    inspected = project.python("-m", "cmr", "views", "inspect", files[1])
    assert "up to date" in inspected.stdout and "learnt from 36 items" in inspected.stdout, inspected.stdout


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (f"{DATA}/random-0/image/gist.h5", "the image view gist lies in views/shapes/image/"),
        (f"{DATA}/image/phow.h5", "the image view phow lies in views/shapes/<split>/image/"),
        (f"{DATA}/image/gits.h5", 'unknown image view "gits"; did you mean "gist"'),
    ],
)
def test_view_asked_for_in_the_wrong_place_is_explained(fresh, file, message):
    run = fresh.snakemake("-n", file)
    assert run.returncode != 0
    assert message in re.sub(r"\s+", " ", run.stdout), run.stdout


def test_learnt_view_that_claims_to_be_fixed_is_refused(unfinished):
    unfinished.edit("config/views/text.yaml", lambda views: views["bow"].pop("learnt"))
    run = unfinished.snakemake(f"{DATA}/text/bow.h5")
    assert run.returncode != 0
    assert "learns from the train part: give the view `learnt: true`" in run.stdout, run.stdout


def test_method_that_wants_vectors_refuses_tokens(unfinished):
    run = unfinished.snakemake("results/runs/shapes/random-0/efficientnet_lite0+tokens/cca/model.h5")
    assert run.returncode != 0
    assert 'the text view "tokens" holds tokens, but cca takes vectors: choose another view' in run.stdout, run.stdout
