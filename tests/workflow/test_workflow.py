"""The whole path on the made data set, and the tools that look at workflows."""

import json
import re

import pandas as pd
import pytest
import yaml

from tests.made_project import METHODS, STUDY
from tests.project import ROOT
from tests.shapes import write_shapes


def test_results_are_tidy_and_complete(undisturbed):
    results = pd.read_csv(undisturbed.root / STUDY / "results.csv")
    assert list(results) == [
        "study",
        "dataset",
        "split",
        "image_view",
        "text_view",
        "method",
        "seed",
        "part",
        "task",
        "metric",
        "value",
        "caveat",
    ]
    assert set(results["method"]) == set(METHODS)
    assert set(results["task"]) == {"img2txt", "txt2img", "img2all", "txt2all"}
    assert set(results["part"]) == {"valid", "test"}
    assert results["value"].between(0, 1).all()
    assert not results.drop(columns="value").duplicated().any()
    assert set(results.loc[results["caveat"].notna(), "method"]) == {"hrl_paired"}


def test_labels_beat_the_floor_on_an_easy_data_set(undisturbed):
    results = pd.read_csv(undisturbed.root / STUDY / "results.csv").query("part == 'test' and metric == 'map_all'")
    score = results.groupby(["method", "task"])["value"].mean()
    for task in ("img2txt", "txt2img"):
        assert score["sm", task] > score["random", task] + 0.2


def test_methods_stand_side_by_side_on_views_of_their_own_and_marked_where_they_see_pairs(undisturbed):
    table = (undisturbed.root / STUDY / "tables/map_all.md").read_text()
    assert "texts as tfidf, texts of ALSCOR as tokens" in table.replace("\\_", "_")
    assert "| ALSCOR |" in table and "| HRL, given pairs ‡ |" in table and "is not cross-modal retrieval" in table


def test_every_output_of_the_study_stands(undisturbed):
    study = undisturbed.root / STUDY
    for file in ("report.html", "gallery.html", "views.html", "views.csv", "results.csv", "study.json"):
        assert (study / file).stat().st_size > 0, file
    config = json.loads((study / "study.json").read_text())
    assert config
    tables, figures = list(study.glob("tables/*.csv")), list(study.glob("figures/*.svg"))
    assert tables and figures
    for table in tables:
        assert table.with_suffix(".md").exists() and table.with_suffix(".tex").exists()
    for figure in figures:
        assert figure.with_suffix(".png").exists()


def test_every_log_ends_with_how_long_the_job_took(undisturbed):
    logs = list((undisturbed.root / "results/logs").rglob("*.log"))
    assert len(logs) > 30
    for log in logs:
        assert re.match(r"done in \d.* (s|min)$", log.read_text("utf-8").splitlines()[-1]), log


def test_selection_records_every_candidate(undisturbed):
    run = undisturbed.root / "results/runs/shapes/random-0/efficientnet_lite0+tfidf"
    selection = json.loads((run / "cca/selection.json").read_text())
    assert [c["hyperparameters"]["n_components"] for c in selection["candidates"]] == [2, 4]
    best = max(selection["candidates"], key=lambda candidate: candidate["valid_map"])
    assert selection["chosen"] == best["hyperparameters"]


def test_workflow_passes_snakemakes_lint(fresh):
    run = fresh.snakemake("--lint")
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("study", sorted(path.stem for path in (ROOT / "config/studies").glob("*.yaml")))
def test_every_study_can_be_planned(unfinished, study):
    planned = unfinished.planned("all", "--config", f"studies=[{study}]", "methods={}")
    assert planned["make_report", ""] == 1
    settings = yaml.safe_load((unfinished.root / f"config/studies/{study}.yaml").read_text())
    assert planned["make_view_comparison", ""] == ("view_comparison" in settings)


def test_views_are_compared_with_the_view_files_of_every_split(unfinished):
    def compare(study):
        block = study["runs"][0] | {"methods": ["random", "cca", "sm"], "splits": ["random-0", "random-1"]}
        block["text_views"] = ["tfidf", "bow"]
        study["runs"] = [block, block | {"text_views": ["lda"], "splits": ["random-1"]}]
        study["setting"] = {"text_view": "tfidf"}
        study["view_comparison"]["text_views"] = ["bow", "tfidf"]

    unfinished.edit("config/studies/shapes.yaml", compare)
    planned = unfinished.planned(f"{STUDY}/views.html")
    assert planned["make_view_comparison", ""] == 1
    run = unfinished.snakemake("-n", "-p", f"{STUDY}/views.csv")
    (command,) = (line for line in run.stdout.splitlines() if "make_view_comparison.py" in line and "python" in line)
    assert "--splits random-0 random-1 " in command
    texts = " ".join(
        f"data/views/shapes/{split}/text/{view}.h5" for split in ("random-0", "random-1") for view in ("bow", "tfidf")
    )
    assert f"--image-views data/views/shapes/image/efficientnet_lite0.h5 --text-views {texts} " in command


@pytest.mark.parametrize("view", ["alexnet_fc7", "vgg16_fc7", "vgg19_fc7", "efficientnet_lite0"])
def test_every_image_view_can_be_planned(fresh, view):
    planned = fresh.planned(f"data/views/shapes/image/{view}.h5")
    assert planned["extract_image_view", ""] == 1


@pytest.mark.parametrize("view", ["bow", "tfidf", "lda"])
def test_every_text_view_is_made(undisturbed, view):
    run = undisturbed.snakemake(f"data/views/shapes/random-1/text/{view}.h5")
    assert run.returncode == 0, run.stdout


def test_items_with_several_labels_run_through(unfinished):
    write_shapes(unfinished.root / "mirror/shapes.tar", classes=2, pairs=60, multi_label=True)

    unfinished.edit("config/studies/shapes.yaml", lambda study: study["gallery"].update(classes=2))
    run = unfinished.snakemake(f"{STUDY}/results.csv", f"{STUDY}/gallery.html")
    assert run.returncode == 0, run.stdout
    results = pd.read_csv(unfinished.root / STUDY / "results.csv").query("part == 'test' and metric == 'map_all'")
    score = results.query("task == 'img2txt'").set_index("method")["value"]
    # Two shapes and six colours: two items share a label far more often than one item in eight.
    assert score["random"] > 0.4
    assert score["sm"] > score["random"]


def test_precision_and_compilation_are_asked_of_networks_alone(unfinished):
    folder = "results/runs/shapes/random-0/efficientnet_lite0+tfidf"
    targets = [f"{folder}/{method}/model.h5" for method in ("acmr", "cca")]
    run = unfinished.snakemake("-n", "-p", *targets, "--config", "mixed_precision=true", "compile=true")
    assert run.returncode == 0, run.stdout
    commands = [line for line in run.stdout.splitlines() if "scripts/train.py" in line and "python" in line]
    by_method = {method: [line for line in commands if f".{method.upper()} " in line] for method in ("acmr", "cca")}
    assert all("--device cpu --mixed-precision --compile " in line for line in by_method["acmr"]) and by_method["acmr"]
    assert all("--mixed" not in line and "--compile" not in line for line in by_method["cca"]) and by_method["cca"]
