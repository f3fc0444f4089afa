import json
import re
import shlex

import pytest

from cmr.results import Run
from cmr.ways import command, in_words, ways
from tests.made_study import CONFIG_OF_TWO, VALUES, made_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("study"))


def test_a_way_has_every_split_with_what_it_chose_and_scored(study):
    way = ways(study)["cca", "made", "pixels", "bow"]
    assert [step.split for step in way.steps] == ["random-0", "random-1", "random-2"]
    # In the made study text to image is 0.1 above image to text.
    assert [step.test for step in way.steps] == [f"{value + 0.05:.3f}" for value in VALUES["cca"]]
    assert way.steps[0].folder == "runs/made/random-0/pixels+bow/cca"
    assert way.title == "CCA on Made pictures, pixels and bow"


def test_names_of_ways_are_ids_that_occur_once(study):
    names = [way.name for way in ways(study).values()]
    assert len(set(names)) == len(names) == 3
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", name) for name in names)


def test_settings_of_one_method_have_ways_of_their_own(tmp_path):
    study = made_study(tmp_path, config=CONFIG_OF_TWO)
    of_cca = {key: way for key, way in ways(study).items() if key[0] == "cca"}
    assert len(of_cca) == 2
    for (_, dataset, *_), way in of_cca.items():
        assert all(f"runs/{dataset}/" in step.folder for step in way.steps)


def test_the_command_repeats_settings_and_names_files_in_the_folder_of_results():
    run = Run("d", "s", "i", "t", "m")
    overrides = json.dumps({"m": {"c": [0.5, 1.0]}})
    assert shlex.split(command([run]))[-1] == "results/runs/d/s/i+t/m/metrics.parquet"
    words = shlex.split(command([run], {"results": "/scratch/my results", "methods": overrides}))
    assert words[-1] == "/scratch/my results/runs/d/s/i+t/m/metrics.parquet"
    config = words[words.index("--config") + 1 : words.index("--forcerun")]
    assert config == ["results=/scratch/my results", f"methods={overrides}"]


def test_hyperparameters_are_told_in_words():
    assert in_words({"ridge": 0.1, "n_components": 10}) == "ridge 0.1, n_components 10"
    assert in_words({}) == "none"
