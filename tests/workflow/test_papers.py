"""The study of a paper, from its file to its verdicts: a made paper on the made data set."""

import html
import json
import re
import shlex

import pandas as pd
import pytest
import scipy
import yaml

from tests.made_project import copy_of

STUDY = "results/studies/made"
TASKS = ("img2txt", "txt2img", "average")
METHODS = ("sm", "cca")
# The classes of the made data set are easy, so that SM is near 1; the average is not the mean of the others.
VALUES = {"img2txt": "0.999", "txt2img": "0.010", "average": "0.510"}
AS_PRINTED = {
    "dataset": "shapes",
    "splits": ["random-0", "random-1"],
    "image_view": "efficientnet_lite0",
    "text_view": "tfidf",
}
PAPER = {
    "title": "A made paper",
    "description": "Two methods on shapes.",
    "citation": "Nobody: nothing. Nowhere, never",
    "tolerance": 0.01,
    "seeds": [0],
    "also": ["random"],
    "settings": {
        "shapes": {"of": {"dataset": "shapes", "features": "network"}, "title": "Shapes", "as_printed": AS_PRINTED},
        "elsewhere": {
            "of": {"dataset": "wikipedia", "features": "given"},
            "title": "Wikipedia",
            "as_printed": {
                "dataset": "wikipedia",
                "splits": ["official-0"],
                "image_view": "roph_image",
                "text_view": "roph_text",
            },
        },
    },
    "tables": {
        "table_1": {
            "kind": "published",
            "item": "Table 1",
            "rows": ["method"],
            "columns": ["dataset", "task"],
            "caption": "Everything.",
        }
    },
    "figures": {
        "figure_1": {
            "kind": "precision_recall",
            "item": "Figure 1",
            "settings": ["shapes"],
            "task": "img2txt",
            "caption": "Curves.",
        },
        "figure_2": {
            "kind": "map_bars",
            "item": "Figure 2",
            "settings": ["elsewhere"],
            "metric": "map_all",
            "tasks": ["img2txt"],
            "caption": "Bars.",
        },
    },
    "gallery": {
        "item": "Figure 3",
        "setting": "shapes",
        "methods": ["sm", "cca"],
        "tasks": ["img2all"],
        "classes": ["circle"],
        "results": 3,
        "seed": 0,
    },
}
CLAIMS = {
    "paper": "made",
    "claims": {
        "sm_first": {
            "sentence": "SM is above CCA.",
            "published": [{"kind": "above", "method": "sm", "where": {"table": "Table 1", "dataset": "shapes"}}],
        }
    },
}


def add_paper(project):
    """Everything that docs/papers.md asks of who adds a paper."""
    published = project.root / "config/published"
    rows = [
        f"made,Table 1,{dataset},{features},{method},{task},map_all,{VALUES[task]},\n"
        for dataset, features in (("shapes", "network"), ("wikipedia", "given"))
        for method in METHODS
        for task in TASKS
    ]
    artifacts = [f"made,{item},made,yes,,,,,\n" for item in ("Table 1", "Figure 1", "Figure 2", "Figure 3")]
    for name, lines in {
        "results": rows,
        "artifacts": artifacts,
        "counts": [f"made,{len(rows)},0,0,{len(artifacts)},{len(artifacts)}\n"],
    }.items():
        with (published / f"{name}.csv").open("a") as file:
            file.writelines(lines)
    for folder, settings in (("papers", PAPER), ("claims", CLAIMS)):
        (project.root / f"config/{folder}/made.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    project.edit("config/config.yaml", lambda config: config.update(studies=["made"], downloads=False))


@pytest.fixture(scope="module", autouse=True)
def no_mirrors():
    """Those of the environment may have Wikipedia's files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CMR_MIRRORS", raising=False)
        yield


@pytest.fixture(scope="module")
def judged(fresh, no_mirrors, tmp_path_factory):
    """The made paper's study, run to its end once."""
    project = copy_of(fresh, tmp_path_factory.mktemp("judged"))
    add_paper(project)
    run_all(project)
    return project


@pytest.fixture
def project(judged, tmp_path):
    """A copy of the finished study, to be changed."""
    return copy_of(judged, tmp_path)


def run_all(project, *arguments):
    run = project.snakemake("all", *arguments)
    assert run.returncode == 0, run.stdout


def test_a_paper_is_judged_and_what_cannot_be_run_is_told(project):
    folder = project.root / STUDY
    verdicts = pd.read_csv(folder / "verdicts.csv")
    assert len(verdicts) == 2 * len(METHODS) * len(TASKS)

    shapes = verdicts[verdicts["dataset"] == "shapes"].set_index(["method", "task"])
    results = pd.read_csv(folder / "results.csv").query("part == 'test' and metric == 'map_all'")
    by_split = results.pivot(index=["method", "split"], columns="task", values="value")
    by_split["average"] = by_split[["img2txt", "txt2img"]].mean(axis=1)
    for method, task in shapes.index:
        values = by_split.loc[method, task]
        half = scipy.stats.t.ppf(0.975, len(values) - 1) * values.sem() + PAPER["tolerance"]
        above, below = float(VALUES[task]) > values.mean() + half, float(VALUES[task]) < values.mean() - half
        row = shapes.loc[method, task]
        assert row["measured"] == pytest.approx(values.mean(), abs=1e-6)
        assert row["verdict"] == ("lower" if above else "higher" if below else "reproduced")
    assert shapes.loc[("sm", "txt2img"), "verdict"] == "higher"

    elsewhere = verdicts[verdicts["dataset"] == "wikipedia"]
    assert set(elsewhere["verdict"]) == {"not run"}
    assert elsewhere["reason"].str.contains("wikipedia").all()
    assert elsewhere["measured"].isna().all()

    assert pd.read_csv(folder / "claims.csv").iloc[0]["holds"] == "does not hold"  # both have the same values
    assert "needs" in (folder / "figures/figure_2.svg").read_text()
    table = (folder / "tables/table_1.md").read_text()
    assert "0.999" in table and "random" in table.lower()
    gallery = (folder / "gallery.html").read_text()
    assert "SM" in gallery and "CCA" in gallery
    page = (folder / "report.html").read_text()
    assert "Of 12 published numbers: " in page and "6 not run" in page
    assert project.planned("all") == {}


def test_a_cell_tells_the_command_that_reruns_it_and_nothing_else(project):
    cells = json.loads((project.root / STUDY / "cells.json").read_text())
    command = shlex.split(cells["shapes/0/cca"]["command"])
    assert command[0] == "snakemake"
    assert project.planned(*command[1:]) == {("train", "cca"): 2, ("evaluate", "cca"): 2}


def test_a_rehearsal_shares_the_runs_withholds_verdicts_and_leaves_the_study_alone(project):
    before = {path: path.read_bytes() for path in (project.root / STUDY).rglob("*.csv")}
    views = {"image_view": "efficientnet_lite0", "text_view": "tfidf"}
    project.edit("config/datasets/shapes.yaml", lambda dataset: dataset.update(rehearsal=views))
    planned = project.planned("all", "--config", "substitute=shapes")
    assert not [rule for rule, _ in planned if rule == "train"]
    run_all(project, "--config", "substitute=shapes")
    rehearsed = pd.read_csv(project.root / "results/studies/made-on-shapes/verdicts.csv")
    assert set(rehearsed["verdict"]) == {"withheld"}
    assert rehearsed["measured"].notna().all()
    assert {path: path.read_bytes() for path in (project.root / STUDY).rglob("*.csv")} == before
    page = (project.root / "results/studies/made-on-shapes/report.html").read_text()
    command = html.unescape(re.search(r"<code>(snakemake .* all .*)</code>", page)[1])
    assert project.planned(*shlex.split(command)[3:]) == {}


def test_a_file_that_comes_later_reruns_what_it_is_for_and_nothing_else(project):
    mirror = project.root / "mirror"
    (mirror / "wikipedia_dataset").mkdir()
    (mirror / "wikipedia_extra").mkdir()
    (mirror / "wikipedia_extra/roph_wiki.mat").touch()
    planned = project.planned("all")
    assert planned["train", "cca"] == planned["train", "sm"] == 1
    assert planned["collect_results", ""] == planned["judge_paper", ""] == 1
    assert not planned["check_images", ""]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda paper: paper["settings"]["shapes"]["as_printed"].update(image_view="efficientnet"),
            r'config/papers/made.yaml: settings: shapes: unknown image view of shapes "efficientnet"; did you mean',
        ),
        (lambda paper: paper["figures"].pop("figure_1"), 'no table, figure or gallery has the item "Figure 1"'),
        (
            lambda paper: paper["settings"]["shapes"].update(
                no_target=[{"table": "Table 1", "methods": ["smm"], "why": "misprinted"}]
            ),
            'settings: shapes: no_target: unknown method of the setting "smm"; did you mean "sm"?',
        ),
        (lambda paper: paper.update(also=["randm"]), 'unknown method "randm"; did you mean "random"?'),
        (
            lambda paper: paper["figures"]["figure_1"].update(settings=["shape"]),
            'Figure 1: unknown setting "shape"; did you mean "shapes"?',
        ),
        (
            lambda paper: paper["tables"]["table_1"].update(colums=["task"]),
            'unknown key "colums"; did you mean "columns"?',
        ),
    ],
)
def test_a_misspelt_name_in_a_papers_file_stops_the_run_before_it_starts(unfinished, change, message):
    add_paper(unfinished)
    unfinished.edit("config/papers/made.yaml", change)
    assert_refused(unfinished, message.replace("\\", ""))


def test_a_misspelt_name_in_a_claim_stops_the_run_before_it_starts(unfinished):
    add_paper(unfinished)
    test = {"kind": "trains", "method": "randm", "settings": ["shapes"]}
    unfinished.edit("config/claims/made.yaml", lambda file: file["claims"]["sm_first"].update(measured=[test]))
    assert_refused(unfinished, 'sm_first: unknown method of the setting shapes "randm"; did you mean "random"?')


def assert_refused(project, message):
    run = project.snakemake("-n", "all")
    assert run.returncode != 0
    assert message in run.stdout.replace("\n", " ")
