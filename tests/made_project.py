"""Real Snakemake runs in copies of the checkout, on the small made data set."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tests.project import Project, copy_checkout
from tests.shapes import write_shapes

STUDY = "results/studies/shapes"
METHODS = ["random", "cca", "sm", "dcmh", "corr_ae", "acmr", "ccl", "hrl_paired", "alscor"]
LIGHT_METHODS = ["random", "cca", "corr_ae"]

# Budgets and candidates small enough for a test.
OVERRIDES = {
    "cca": {"n_components": [2, 4], "ridge": 0.1, "power": 0.0},
    "sm": {"c": 0.1},
    "corr_ae": {"alpha": [0.2, 0.8], "stack_epochs": 2, "epochs": 5, "n_components": 16},
    "acmr": {"epochs": 3, "learning_rate": 0.001},
    "dcmh": {"epochs": 4, "bits": 16},
    "hrl_paired": {"stack_epochs": 2, "epochs": 3},
    "alscor": {"epochs": 3, "n_components": 3, "lstm_width": 8, "kernels": 8},
    "ccl": {"stack_epochs": 2, "epochs": 3, "n_components": 8, "code_width": 16, "fusion_width": 16, "top_width": 16},
}


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> Project:
    """A checkout set up for the made data set; nothing has run."""
    project = Project(tmp_path_factory.mktemp("fresh"))
    copy_checkout(project.root)
    mirror = project.root / "mirror"
    mirror.mkdir()
    write_shapes(mirror / "shapes.tar", classes=3, pairs=20)

    def use_shapes(config):
        config.update(studies=["shapes"], mirrors=["mirror"], device="cpu", methods=OVERRIDES)

    project.edit("config/config.yaml", use_shapes)
    asset = {
        "description": "drawn shapes",
        "licence": "CC0-1.0",
        "by_hand": "made by the tests",
        "mirror": [{"file": "shapes.tar"}],
        "unpack": {"limit": 10_000_000},
    }
    (project.root / "config/assets/shapes.yaml").write_text(yaml.safe_dump({"shapes": asset}))
    dataset = {
        "title": "Shapes",
        "source": "made by the tests",
        "licence": "CC0-1.0",
        "reads": ["shapes"],
        "reader": "cmr.datasets.table.read",
        "splits": {"random": {"sizes": {"train": 0.6, "valid": 0.1, "test": 0.3}, "repeats": 2}},
    }
    (project.root / "config/datasets/shapes.yaml").write_text(yaml.safe_dump(dataset))
    study = yaml.safe_load((project.root / "config/studies/quickstart.yaml").read_text())
    block = study["runs"][0] | {"datasets": ["shapes"], "splits": ["random-0"], "methods": METHODS[:-1]}
    study["runs"] = [block, block | {"text_views": ["tokens"], "methods": METHODS[-1:]}]
    study["setting"]["views_of"] = {"alscor": {"text_view": "tokens"}}
    for item in (*study["tables"].values(), *study["figures"].values()):
        item.pop("methods", None)  # not all of them run here
    study["gallery"] = study["gallery"] | {"dataset": "shapes", "classes": 3}
    study["view_comparison"] = {
        "dataset": "shapes",
        "image_views": ["efficientnet_lite0"],
        "text_views": ["tfidf"],
        "methods": ["cca", "sm"],
        "metric": "map_all",
        "tasks": ["mean"],
        "caption": "One pair of views, which the study runs anyway.",
    }
    (project.root / "config/studies/shapes.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    # Small batches make an extraction of several parts.
    project.edit("config/views/image.yaml", lambda views: views["efficientnet_lite0"]["options"].update(batch_size=4))
    return project


@pytest.fixture(scope="session")
def light(fresh, tmp_path_factory) -> Project:
    """`fresh` with a study that is soon run: for tests of what happens to jobs, whatever they compute.

    A floor, a closed form, and a network that leaves checkpoints and a shared stage, on features that several processes
    extract in several parts; one table and one figure.
    """
    project = copy_of(fresh, tmp_path_factory.mktemp("light"))
    write_shapes(project.root / "mirror/shapes.tar", classes=2, pairs=40)  # more images than one part of an extraction

    def few(study):
        study["runs"] = [study["runs"][0] | {"image_views": ["lab_histogram"], "methods": LIGHT_METHODS}]
        study["setting"] = {"image_view": "lab_histogram", "text_view": "tfidf"}
        study["tables"] = {"map_all": study["tables"]["map_all"]}
        study["figures"] = {"map_bars": study["figures"]["map_bars"]}
        for key in ("gallery", "view_comparison"):
            del study[key]

    project.edit("config/studies/shapes.yaml", few)
    return project


@pytest.fixture(scope="session")
def undisturbed(fresh, tmp_path_factory) -> Project:
    """The made study, run to its end once, whichever process of the tests comes first to need it."""
    return _run_once(fresh, "undisturbed", tmp_path_factory)


@pytest.fixture(scope="session")
def undisturbed_light(light, tmp_path_factory) -> Project:
    """The light study, run to its end once."""
    return _run_once(light, "undisturbed_light", tmp_path_factory)


def _run_once(project: Project, name: str, tmp_path_factory) -> Project:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            copy = copy_of(project, folder.with_name(f"{name}_unfinished"))
            run = copy.snakemake("all")
            assert run.returncode == 0, run.stdout
            copy.root.parent.rename(folder)
    return Project(folder / "project")


@pytest.fixture
def finished(undisturbed, tmp_path) -> Project:
    """A copy of the finished study, to be changed."""
    return copy_of(undisturbed, tmp_path)


@pytest.fixture
def unfinished(fresh, tmp_path) -> Project:
    """A copy of the checkout in which nothing has run, to be changed."""
    return copy_of(fresh, tmp_path)


def copy_of(project: Project, folder: Path) -> Project:
    """A copy with the times of the files, which Snakemake looks at."""
    shutil.copytree(project.root, folder / "project", symlinks=True)
    return Project(folder / "project")
