import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cmr import files, store
from cmr.errors import UserError
from cmr.results import Run, Study, collect, metric_name, metric_title, span
from cmr.tables import make_table
from tests.made_study import (
    CONFIG,
    CONFIG_OF_TWO,
    CONFIG_OF_VIEWS,
    REASON,
    VALUES,
    VALUES_OF_VIEWS,
    made_study,
    write_runs,
)

ROOT = Path(__file__).parents[2]
STUDY_FILES = ("results.csv", "curves.parquet", "history.parquet", "study.json")
SPEC = {"metric": "map_all", "tasks": ["img2txt", "txt2img", "mean"]}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("study"))


def test_collected_files_do_not_depend_on_the_order_of_the_runs(tmp_path):
    folders = [tmp_path / name for name in ("forward", "backward")]
    for folder, reverse in zip(folders, (False, True), strict=True):
        made_study(folder, reverse=reverse)
    for name in ("results.csv", "curves.parquet", "history.parquet", "study.json"):
        forward, backward = ((folder / "study" / name).read_bytes() for folder in folders)
        assert forward == backward, name


def test_results_hold_every_score_once_with_its_run(study):
    scores = study.scores
    assert ",".join(scores) == "study,dataset,split,image_view,text_view,method,seed,part,task,metric,value"
    assert len(scores) == 3 * 3 * 2 * 4 * 2  # methods, splits, parts, tasks, metrics
    cell = scores.query("method == 'cca' and split == 'random-1' and part == 'test' and metric == 'map_all'")
    assert cell.set_index("task")["value"].to_dict() == {
        "img2txt": 0.52,
        "txt2img": 0.62,
        "img2all": 0.52,
        "txt2all": 0.52,
    }


def test_seeds_that_only_other_studies_ask_for_are_left_out(study):
    assert set(study.scores["seed"]) == {0}


def test_a_seed_that_a_run_lacks_is_named(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["seeds"] = [0, 3]
    with pytest.raises(UserError, match=r"random-0.*metrics\.parquet has no scores of seed 3"):
        made_study(tmp_path, config=config)


def test_a_score_that_is_no_number_stops_the_collection(tmp_path):
    with pytest.raises(UserError, match=r"random-1/pixels\+bow/cca: map_all of img2all is not a number"):
        made_study(tmp_path, values=VALUES | {"cca": (0.5, np.nan, 0.5)})


def test_interval_is_students_over_the_splits(study):
    row = study.summary(SPEC).set_index(["method", "task"]).loc[("acmr", "txt2img")]
    values = np.array(VALUES["acmr"]) + 0.1
    low, high = stats.t.interval(0.95, df=2, loc=values.mean(), scale=stats.sem(values))
    assert (row["mean"], row["low"], row["high"], row["n"]) == pytest.approx((values.mean(), low, high, 3), abs=1e-9)


def test_mean_is_taken_within_each_split(study):
    summary = study.summary(SPEC).set_index(["method", "task"])
    values = np.array(VALUES["cca"]) + 0.05
    low, high = stats.t.interval(0.95, df=2, loc=values.mean(), scale=stats.sem(values))
    assert summary.loc[("cca", "mean"), ["mean", "low", "high"]].tolist() == pytest.approx([values.mean(), low, high])


def test_seeds_are_averaged_within_a_split_before_the_interval(tmp_path):
    # The made runs score 7 more with seed 7: their split means are 3.5 higher, and spread as those of one seed do.
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["seeds"] = [0, 7]
    row = made_study(tmp_path, config=config).summary(SPEC).set_index(["method", "task"]).loc[("acmr", "img2txt")]
    values = np.array(VALUES["acmr"]) + 3.5
    low, high = stats.t.interval(0.95, df=2, loc=values.mean(), scale=stats.sem(values))
    assert (row["mean"], row["low"], row["high"], row["n"]) == pytest.approx((values.mean(), low, high, 3), abs=1e-9)


def test_interval_of_a_single_split_is_over_its_seeds(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["seeds"] = [0, 7]
    study = made_study(tmp_path, {"cca": (0.5,)}, config)
    row = study.summary(SPEC).set_index(["method", "task"]).loc[("cca", "img2txt")]
    low, high = stats.t.interval(0.95, df=1, loc=4, scale=stats.sem([0.5, 7.5]))
    assert (row["mean"], row["low"], row["high"], row["n"]) == pytest.approx((4, low, high, 2), abs=1e-6)


def test_facts_of_a_dataset_join_its_config_pairs_splits_and_images(study):
    made = study.facts["datasets"]["made"]
    assert (made["title"], made["cautions"]) == ("Made pictures", {})
    assert (made["pairs"], made["dropped"]) == (45, 2)
    assert made["classes"] == {"bird & co": 15, "fish": 15, "tree": 15}
    assert made["images"]["unreadable"] == 1
    assert made["duplicates"] == {"group": 0, "text": 2, "image": 0}
    sizes = [{part: split[part] for part in ("train", "valid", "test")} for split in made["splits"].values()]
    assert sizes == [{"train": 9, "valid": 9, "test": 27}] * 3
    # Items 41 and 44 have the same text: both in test, then in test and train, then in train and valid.
    assert [made["splits"][f"random-{k}"]["overlaps"]["text"] for k in range(3)] == [0, 1, 1]
    assert [made["splits"][f"random-{k}"]["overlaps_train_test"]["text"] for k in range(3)] == [0, 1, 0]


def test_each_of_two_datasets_has_its_own_facts_splits_and_scores(tmp_path):
    study = made_study(tmp_path, config=CONFIG_OF_TWO)
    bare, made = (study.facts["datasets"][name] for name in ("bare", "made"))
    assert (list(bare["splits"]), bare["classes"]) == ([f"official-{k}" for k in range(3)], {})
    assert list(made["splits"]) == [f"random-{k}" for k in range(3)]
    assert "size" in made["images"] and "size" not in bare["images"]
    assert all(split["test_of_source"] for split in bare["splits"].values())
    spec = SPEC | {"dataset": "bare"}
    assert study.setting(spec) == {"dataset": "bare", "image_view": "ready", "text_view": "tags"}
    assert len(study.scores_of(spec)) == len(study.scores_of(SPEC | {"dataset": "made"})) == 9
    with pytest.raises(UserError, match="2 data sets with view pairs fit a table or figure that names none"):
        study.scores_of(SPEC)


def test_the_study_s_own_setting_fills_in_what_an_item_leaves_open(tmp_path):
    study = made_study(tmp_path, config=CONFIG_OF_VIEWS)
    assert study.setting(SPEC) == {"dataset": "made", "image_view": "pixels", "text_view": "bow"}
    assert study.setting({"text_view": "tags"}) == {"dataset": "made", "image_view": "pixels", "text_view": "tags"}
    assert len(study.scores_of(SPEC)) == 9


def test_a_method_of_other_views_stands_beside_the_others(tmp_path):
    config = copy.deepcopy(CONFIG_OF_VIEWS)
    config["setting"]["views_of"] = {"acmr": {"text_view": "tags"}}
    study = made_study(tmp_path, config=config)
    values = study.summary(SPEC | {"tasks": ["img2txt"]}).set_index("method")["mean"]
    assert values["cca"] == pytest.approx(np.mean(VALUES["cca"]), abs=1e-6)
    assert values["acmr"] == pytest.approx(np.mean(VALUES_OF_VIEWS["pixels", "tags"]["acmr"]), abs=1e-6)
    history = study.history_of({})
    assert len(history) and set(history["text_view"]) == {"tags"}  # ACMR's alone
    curves = study.curves_of({"task": "img2txt"})
    assert set(map(tuple, curves[["method", "text_view"]].to_numpy())) == {
        ("random", "bow"), ("cca", "bow"), ("acmr", "tags")
    }  # fmt: skip
    assert "texts as bow, texts of ACMR_$1 as tags" in make_table(study, "map_all").title
    assert ("acmr", "tags") in {(run["method"], run["text_view"]) for run in study.reported.facts["runs"]}


def test_what_is_reported_leaves_out_runs_that_the_comparison_of_views_alone_is_about(tmp_path):
    plain, study = (made_study(tmp_path / str(k), config=c) for k, c in enumerate((CONFIG, CONFIG_OF_VIEWS)))
    assert len(study.facts["runs"]) == 9 + 18
    reported = study.reported
    assert reported.facts["runs"] == plain.facts["runs"]
    for name in ("scores", "curves", "history"):
        pd.testing.assert_frame_equal(getattr(reported, name).reset_index(drop=True), getattr(plain, name))
    assert plain.reported is plain


def test_a_pair_of_views_that_a_table_shows_is_reported(tmp_path):
    config = copy.deepcopy(CONFIG_OF_VIEWS)
    config["tables"]["edges"] = config["tables"]["map_all"] | {"image_view": "edges", "text_view": "tags"}
    reported = made_study(tmp_path, config=config).reported
    assert {(run["image_view"], run["text_view"]) for run in reported.facts["runs"]} == {
        ("pixels", "bow"),
        ("edges", "tags"),
    }


def test_the_pair_of_views_of_the_gallery_is_reported(tmp_path):
    config = copy.deepcopy(CONFIG_OF_VIEWS)
    config["gallery"].update(image_view="edges", text_view="bow")
    reported = made_study(tmp_path, config=config).reported
    assert {(run["image_view"], run["text_view"]) for run in reported.facts["runs"]} == {
        ("pixels", "bow"),
        ("edges", "bow"),
    }


def test_cautions_of_views_are_reported_where_they_are_used(tmp_path):
    study = made_study(tmp_path, config=CONFIG_OF_VIEWS)
    study.facts["datasets"]["made"].update(ready_views=["bow", "tags"], cautions={"bow": "mind", "tags": "beware"})
    made = study.reported.facts["datasets"]["made"]
    assert (made["ready_views"], made["cautions"]) == (["bow"], {"bow": "mind"})


def test_items_that_runs_leave_out_are_kept_with_the_run(study):
    left_out = {run["split"]: run["left_out"] for run in study.facts["runs"]}
    assert left_out == {"random-0": {}, "random-1": {"train": 1}, "random-2": {"train": 2}}


def test_infeasible_candidates_are_counted_apart(study):
    (run,) = [r for r in study.facts["runs"] if (r["method"], r["split"]) == ("cca", "random-0")]
    assert (run["candidates"], run["infeasible"], run["chosen"]) == (2, 1, {"n_components": 4})


def test_scores_of_feasible_candidates_are_kept_in_order_and_what_a_run_was_made_of(tmp_path):
    folders = write_runs(tmp_path, {"cca": (0.5,)})
    selection = files.read_json(folders[0] / "selection.json")
    tried = [{"valid_map": 0.3}, {"infeasible": "no"}, {"valid_map": 0.7}, {"valid_map": 0.2}]
    selection["candidates"] = [{"hyperparameters": {"k": k}} | one for k, one in enumerate(tried)]
    selection |= {"seeds": [4], "inputs": {"pairs": "abc"}, "commit": "def+"}
    files.write_json(folders[0] / "selection.json", selection)
    (run,) = collect("made", {"study": CONFIG, "methods": {}, "datasets": {}}, folders, [], []).facts["runs"]
    assert run["scores"] == [[{"k": 0}, 0.3], [{"k": 2}, 0.7], [{"k": 3}, 0.2]] and run["valid_map"] == 0.7
    assert (run["seeds"], run["inputs"], run["commit"]) == ([4], {"pairs": "abc"}, "def+")


def test_without_a_part_to_choose_by_a_candidate_has_no_score(tmp_path):
    folders = write_runs(tmp_path, {"cca": (0.5,)})
    selection = files.read_json(folders[0] / "selection.json")
    selection["candidates"] = [{"hyperparameters": {}, "valid_map": np.nan}]
    files.write_json(folders[0] / "selection.json", selection)
    (run,) = collect("made", {"study": CONFIG, "methods": {}, "datasets": {}}, folders, [], []).facts["runs"]
    assert run["scores"] == [[{}, None]] and run["valid_map"] is None


def test_the_all_modal_mean_is_that_of_its_two_tasks(study):
    more = study.scores["task"].map({"img2all": 0.1, "txt2all": 0.3}).fillna(0)
    study = replace(study, scores=study.scores.assign(value=study.scores["value"] + more))
    summary = study.summary(SPEC | {"tasks": ["mean_all", "mean"]}).set_index(["method", "task"])["mean"]
    assert summary["cca", "mean_all"] == pytest.approx(np.mean(VALUES["cca"]) + 0.2)
    assert summary["cca", "mean"] == pytest.approx(np.mean(VALUES["cca"]) + 0.05)


def test_views_that_an_item_names_of_methods_replace_the_study_s(tmp_path):
    config = copy.deepcopy(CONFIG_OF_VIEWS)
    config["setting"]["views_of"] = {"acmr": {"text_view": "tags"}}
    study = made_study(tmp_path, config=config)
    spec = SPEC | {"tasks": ["img2txt"], "views_of": {"cca": {"image_view": "edges"}}}
    assert study.setting_of("cca", spec)["image_view"] == "edges"
    assert study.setting_of("acmr", spec)["text_view"] == "bow"
    values = study.summary(spec).set_index("method")["mean"]
    assert values["cca"] == pytest.approx(np.mean(VALUES_OF_VIEWS["edges", "bow"]["cca"]), abs=1e-6)
    assert values["acmr"] == pytest.approx(np.mean(VALUES["acmr"]), abs=1e-6)
    assert study.setting_of("acmr", spec | {"views_of": {}})["text_view"] == "bow"


def test_a_study_of_which_nothing_can_be_run_is_empty_and_keeps_its_types(tmp_path, study):
    """Through the script, as the rule calls it."""
    paths = {
        name: tmp_path / file for name, file in zip(("results", "curves", "history", "facts"), STUDY_FILES, strict=True)
    }
    config = CONFIG | {"runs": []}
    given = {"config": config, "methods": {}, "datasets": {}}
    command = [
        sys.executable,
        ROOT / "scripts/collect_results.py",
        "none",
        "--runs",
        tmp_path,
        "--pairs",
        "--splits",
        "--images",
    ]
    command += [argument for name, value in given.items() for argument in (f"--{name}", json.dumps(value))]
    command += [argument for name, path in paths.items() for argument in (f"--{name}", path)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    empty = Study.read(tmp_path)
    for name in ("scores", "curves", "history"):
        own, usual = getattr(empty, name), getattr(study, name)
        assert not len(own) and own.dtypes.to_dict() == usual.dtypes.to_dict(), name
    assert (empty.facts["runs"], empty.facts["not_applicable"], empty.settings, empty.caveats) == ([], [], [], {})
    assert empty.facts["study"] == "none" and empty.config == config
    assert list(empty.scores_of(SPEC)) == SPEC["tasks"] and empty.scores_of(SPEC).empty
    assert list(empty.summary(SPEC)) == ["method", "task", "mean", "low", "high", "n"] and empty.summary(SPEC).empty
    assert empty.curves_of({"task": "img2txt"}).empty and empty.history_of({}).empty
    assert empty.not_applicable(SPEC) == {}
    with pytest.raises(UserError, match="0 data sets with view pairs fit"):
        empty.setting(SPEC)


def test_history_of_closed_forms_is_empty_and_keeps_its_columns(tmp_path):
    study = made_study(tmp_path, values={"cca": VALUES["cca"]})
    assert len(study.history) == 0
    assert list(study.history)[-3:] == ["step", "quantity", "value"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"metric": "map_al", "tasks": ["img2txt"]},
            'no run reports the metric "map_al"; there are map_all, precision_at_1',
        ),
        ({"metric": "map_all", "tasks": ["img2text"]}, "no run reports the task img2text"),
        (
            {"metric": "map_all", "tasks": ["img2txt"], "text_view": "lda"},
            "0 data sets with view pairs fit text_view lda",
        ),
    ],
)
def test_a_spec_that_fits_no_result_is_refused_by_name(study, spec, message):
    with pytest.raises(UserError, match=message):
        study.scores_of(spec)


def test_an_unknown_table_is_refused_with_those_that_exist(study):
    with pytest.raises(UserError, match='no table "maps"; it has map_all'):
        study.item("tables", "maps")


def test_a_metrics_file_of_other_columns_is_refused(tmp_path):
    folder = write_runs(tmp_path)[0]
    store.write_table(folder / "metrics.parquet", store.read_table(folder / "metrics.parquet").drop(columns="part"))
    methods = {"study": CONFIG, "methods": {}, "datasets": {}}
    with pytest.raises(
        UserError, match=r"metrics\.parquet has the columns seed, task, metric, value; expected seed, part"
    ):
        collect("made", methods, [folder], [], [])


def test_the_scores_on_disk_tell_which_cannot_be_compared(tmp_path):
    study = made_study(tmp_path)
    runs = [run | {"sees_pairs": run["method"] == "acmr"} for run in study.facts["runs"]]
    paths = [tmp_path / "study" / name for name in ("results.csv", "curves.parquet", "history.parquet", "study.json")]
    replace(study, facts=study.facts | {"runs": runs}).write(*paths)
    caveats = pd.read_csv(paths[0]).groupby("method")["caveat"].unique()
    assert list(caveats["acmr"]) == ["sees_pairs"] and pd.isna(caveats["cca"]).all()
    pd.testing.assert_frame_equal(Study.read(tmp_path / "study").scores, study.scores)


def test_of_several_caveats_the_gravest_is_told(study):
    def caveat_of(*caveats):
        runs = [run | dict.fromkeys(caveats, run["method"] == "acmr") for run in study.facts["runs"]]
        return replace(study, facts=study.facts | {"runs": runs}).caveats

    assert caveat_of("transductive", "selected_on_test", "sees_pairs") == {"acmr": "sees_pairs"}
    assert caveat_of("transductive", "selected_on_test") == {"acmr": "selected_on_test"}
    assert caveat_of() == {}


def test_a_damaged_results_file_is_named(tmp_path):
    made_study(tmp_path)
    (tmp_path / "study/results.csv").unlink()
    with pytest.raises(UserError, match=r"results\.csv cannot be read"):
        Study.read(tmp_path / "study")


def test_run_identity_is_read_from_its_folder(tmp_path):
    assert Run.of_folder(tmp_path / "d/s/i+t/m") == Run("d", "s", "i", "t", "m")
    with pytest.raises(UserError, match="is no run folder"):
        Run.of_folder(tmp_path / "d/s/views/m")


def test_a_metric_has_a_name_without_its_normaliser():
    assert metric_name("map_at_50_min") == "mAP@50"
    assert metric_name("own_metric") == "own_metric"


def test_a_span_is_that_of_the_values_and_not_of_their_words():
    assert span([40, 100, 52]) == "40 to 100"
    assert span(number for number in (7, 7)) == "7"
    assert span([(4, 8), (4, 16)], lambda shape: " by ".join(map(str, shape))) == "4 by 8 to 4 by 16"


def test_metric_titles_name_the_normaliser():
    assert metric_title("map_at_50_min") == "mAP@50 (normaliser: the smaller of 50 and the number of relevant items)"
    assert metric_title("recall_at_5") == "Recall@5 (normaliser: all relevant items)"


def test_runs_of_a_method_that_is_not_applicable_give_a_reason_and_no_score(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["methods"].append("gmlda")
    study = made_study(tmp_path, config=config, not_applicable={"gmlda": range(3)})
    assert "gmlda" not in set(study.scores["method"]) | {run["method"] for run in study.facts["runs"]}
    assert {run["split"] for run in study.facts["not_applicable"]} == {"random-0", "random-1", "random-2"}
    assert study.not_applicable(SPEC) == {"gmlda": REASON}
    assert study.not_applicable(SPEC | {"methods": ["cca"]}) == {}


def test_a_mean_needs_both_of_its_tasks(tmp_path):
    study = made_study(tmp_path)
    gone = (study.scores["method"] == "cca") & (study.scores["task"] == "txt2img")
    scores = replace(study, scores=study.scores[~gone]).scores_of({"metric": "map_all", "tasks": ["img2txt", "mean"]})
    assert scores.loc["cca", "mean"].isna().all() and scores.loc["cca", "img2txt"].notna().all()
    assert scores.loc["acmr", "mean"].notna().all()
