import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from cmr.papers import verdicts
from cmr.papers.cells import cells, command
from cmr.results import Run
from tests.made_paper import SPLITS
from tests.made_study import REASON

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made_cells(made):
    return cells(made.study)


def test_every_judged_number_that_was_run_has_its_cell(made, made_cells):
    judged = verdicts.read(made.folder / "verdicts.csv")
    named = set(judged["cell"]) - {""}
    assert named <= set(made_cells)
    assert set(made_cells) - named == {f"{setting}/{method}" for setting in ("made_pixels/0", "made_edges/1")
                                       for method in ("random", "sm")}  # fmt: skip


def test_a_cell_tells_what_it_is_measured_on(made_cells):
    cell = made_cells["made_edges/1/acmr"]
    assert (cell["setting"], cell["alternative"], cell["exact"]) == ("made_edges", 1, False)
    assert (cell["dataset"], cell["image_view"], cell["text_view"]) == ("made", "pixels", "tags")
    assert cell["splits"] == list(SPLITS) == list(cell["runs"])
    assert (cell["method"], cell["run_method"], cell["seeds"]) == ("acmr", "acmr_small", [0, 7])
    assert cell["differs"] == ["pixels instead of edges", "tags instead of words"]
    assert cell["versions"] == {"numpy": ["2.0"]}


def test_a_run_tells_what_was_chosen_and_from_what_it_was_made(made_cells):
    runs = made_cells["made_pixels/0/cca"]["runs"]
    assert [run["chosen"] for run in runs.values()] == [{"n_components": 4}, {"n_components": 2}, {"n_components": 2}]
    assert runs["random-1"] == {
        "chosen": {"n_components": 2},
        "selected_on": "valid",
        "candidates": 2,
        "infeasible": 1,
        "map": 0.5,
        "sizes": {"train": 9, "valid": 9, "test": 27},
        "device": "cpu",
        "commit": None,
        "inputs": {"pairs": "digest made/random-{}/pixels+bow", "split": "digest 1"},
    }


def test_selection_on_the_test_part_is_told(made):
    runs = [run | {"selected_on_test": run["method"] == "own"} for run in made.study.facts["runs"]]
    told = cells(replace(made.study, facts=made.study.facts | {"runs": runs}))
    assert told["made_pixels/0/own"]["runs"]["random-0"]["selected_on"] == "test"
    assert told["made_pixels/0/cca"]["runs"]["random-0"]["selected_on"] == "valid"


def test_a_method_that_is_not_applicable_tells_why(made):
    gone = [vars(Run("made", "random-1", "pixels", "bow", "gmlda")) | {"reason": REASON}]
    runs = [run for run in made.study.facts["runs"] if (run["method"], run["split"]) != ("gmlda", "random-1")]
    told = cells(replace(made.study, facts=made.study.facts | {"runs": runs, "not_applicable": gone}))
    assert told["made_pixels/0/gmlda"]["not_applicable"] == REASON
    assert list(told["made_pixels/0/gmlda"]["runs"]) == ["random-0", "random-2"]
    assert "not_applicable" not in told["made_pixels/0/cca"]


def test_seeds_are_those_of_the_method_on_its_views(made):
    scores = made.study.scores
    gone = (scores["method"] == "own") & (scores["text_view"] == "bow") & (scores["seed"] == 7)
    told = cells(replace(made.study, scores=scores[~gone]))
    assert told["made_pixels/0/own"]["seeds"] == [0]
    assert told["made_pixels/0/cca"]["seeds"] == told["made_edges/1/own"]["seeds"] == [0, 7]


def test_the_command_names_the_files_of_all_splits(made, made_cells):
    words = shlex.split(made_cells["made_pixels/0/acmr"]["command"])
    targets = words[words.index("--") + 1 :]
    assert targets == [f"results/runs/made/{split}/pixels+bow/acmr_small/metrics.parquet" for split in SPLITS]
    # `made.folder` is <root>/study, and the runs lie in <root>/results.
    assert all((made.folder.parent / target).exists() for target in targets)


def test_the_command_forces_rules_that_the_workflow_has():
    words = shlex.split(command([Run("made", "random-0", "pixels", "bow", "cca")]))
    assert words[:3] == ["snakemake", "--cores", "2"]
    forced = words[words.index("--forcerun") + 1 : words.index("--")]
    text = "".join(path.read_text("utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert forced == ["train", "evaluate"]
    assert set(forced) <= set(re.findall(r"^rule (\w+):", text, re.MULTILINE))


def test_another_folder_of_results_is_told_to_the_workflow_too():
    words = shlex.split(command([Run("made", "random-0", "pixels", "bow", "cca")], {"results": "my results"}))
    assert words[words.index("--config") + 1] == "results=my results"
    assert words[-1] == "my results/runs/made/random-0/pixels+bow/cca/metrics.parquet"


def test_nothing_is_told_of_what_is_missing(made_cells):
    assert not any(key.startswith(("lost_pixels", "made_edges/0")) for key in made_cells)
