"""The scripts of the study of vectorisers, its configuration, and what the workflow plans."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from cmr import store
from cmr.catalogue import Catalogue
from cmr.construct import VIEWS, build
from cmr.errors import UserError
from cmr.vectorisation.comparison import Protocol
from cmr.vectorisation.vectors import write_word_vectors
from cmr.views.text.bow import Bag
from cmr.views.text.word_vectors import WordVectors
from tests.project import Project, copy_checkout
from tests.unit.vectorisation.made import PROTOCOL, made_vectorisers

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(monkeypatch):
    """Runs a script of the checkout in this process: starting another takes longer than all that it does."""

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(ROOT / f"scripts/{script}.py"), run_name="__main__")

    return run


def test_scripts_compare_written_vectors_and_refuse_those_of_other_texts(tmp_path, run):
    for name, seeds in made_vectorisers().items():
        vectors = {k: one.units for k, one in enumerate(seeds)}
        write_word_vectors(tmp_path / f"{name}.h5", seeds[0].words, vectors, {"inputs": {"pairs": "p"}, "texts": 7})
    files = [tmp_path / f"{name}.h5" for name in made_vectorisers()]
    outputs = ["--scores", tmp_path / "scores.parquet", "--answers", tmp_path / "answers.parquet"]
    protocol = ["--protocol", json.dumps(vars(PROTOCOL))]
    run("compare_vectorisers", *files, "--split", "random-0", "--claimed", "glove", *protocol, *outputs)
    scores = store.read_table(tmp_path / "scores.parquet")
    assert scores.attrs["split"] == "random-0"
    assert scores.attrs["texts"] == 7
    assert set(scores["vectoriser"]) == {"glove", "noise", "same"}
    assert set(scores.attrs["benchmarks"]["sha256"]) == {"simlex999.txt", "wordsim353.tsv", "questions-words.txt"}

    write_word_vectors(tmp_path / "same.h5", ["a"], {0: np.ones((1, 2))}, {"inputs": {"pairs": "q"}, "texts": 7})
    with pytest.raises(SystemExit, match="were learnt from different texts"):
        run("compare_vectorisers", *files, "--split", "random-0", "--claimed", "glove", *protocol, *outputs)


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "workflow/schemas", tmp_path / "workflow/schemas")
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(run=["flickr9k"]), 'run: unknown data set "flickr9k"; did you mean "flickr8k"'),
        (lambda s: s["datasets"].update(flickr={"split": "official"}), 'datasets: unknown data set "flickr"; did you'),
        (lambda s: s["datasets"]["pascal_sentence"].update(split="hrl"), 'unknown split of pascal_sentence "hrl"'),
        (lambda s: s.update(claimed=["golve"]), 'claimed: unknown vectoriser "golve"; did you mean "glove"'),
        (lambda s: s.update(claimed=list(s["vectorisers"])), "claimed: leave out at least one vectoriser"),
        (lambda s: s["vectorisers"]["bow"].update(assets={"vectors": "glov"}), 'bow: assets: unknown asset "glov"'),
        (lambda s: s["vectorisers"]["bow"].update(implementation="cmr.views.none.Bag"), "there is no class"),
        (lambda s: s["vectorisers"]["bow"].update(option={}), 'bow: unknown key "option"; did you mean "options"'),
        (lambda s: s["protocol"].update(fewest_pairs=3), "protocol: fewest_pairs: 3 is less than the minimum of 4"),
        (lambda s: s.update(seeds=[]), "seeds: "),
    ],
)
def test_a_mistake_in_the_configuration_is_named(root, change, message):
    path = root / "config/vectorisation.yaml"
    settings = yaml.safe_load(path.read_text())
    change(settings)
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError) as error:
        Catalogue.read(root)
    assert str(error.value).startswith("config/vectorisation.yaml: ")
    assert message in str(error.value)


def test_configured_vectorisers_have_the_options_that_are_given():
    catalogue = Catalogue.read(ROOT)
    for name in catalogue.vectorisation["vectorisers"]:
        settings = catalogue.vectoriser(name)
        folders = {option: Path(asset) for option, asset in settings["assets"].items()}
        assert isinstance(build(settings["implementation"], settings["options"] | folders, VIEWS), WordVectors | Bag)
    assert Protocol(**catalogue.vectorisation["protocol"])


def test_the_workflow_plans_every_vectoriser_of_every_dataset(tmp_path):
    copy_checkout(tmp_path)
    planned = Project(tmp_path).planned("vectorisation")
    settings = Catalogue.read(tmp_path).vectorisation
    datasets = len(settings["run"])
    assert planned["learn_word_vectors", ""] == datasets * len(settings["vectorisers"])
    assert planned["compare_vectorisers", ""] == datasets
    assert planned["check_images", ""] == 0
    assert planned["summarise_vectorisers", ""] == 1
