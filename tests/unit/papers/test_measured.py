import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cmr.errors import UserError
from cmr.papers import measured
from cmr.papers.measured import COLUMNS, measure, precision_of_items
from cmr.results import Run
from tests.made_paper import ADDED, OFFSETS, SPLITS, VALUES

VIEWS = ("pixels", "bow")


@pytest.fixture(scope="module")
def numbers(made):
    return measured.read(made.folder / "measured.csv")


def with_alternative(study, setting, number, **changes):
    """The study with an alternative changed, and no other setting."""
    config = copy.deepcopy(study.config)
    chosen = config["paper"]["settings"][setting]
    chosen["alternatives"] = [chosen["alternatives"][number] | changes]
    config["paper"]["settings"] = {setting: chosen}
    return replace(study, facts=study.facts | {"config": config})


def cell(numbers, method, task="img2txt", metric="map_all", setting="made_pixels"):
    rows = numbers[
        (numbers["setting"] == setting)
        & (numbers["method"] == method)
        & (numbers["task"] == task)
        & (numbers["metric"] == metric)
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def value_of(method, task="img2txt", metric="map_all"):
    """The mean over splits, and over two seeds of which one is 0.001 higher."""
    return np.mean(VALUES[method]) + OFFSETS[task] + ADDED[metric] + 0.0005


def same_test_part(made, of=SPLITS):
    """The per-query tables with the test items of all splits called alike."""
    ids = made.queries[Run("made", "random-0", *VIEWS, "cca")]["id"]
    return {run: table.assign(id=ids) for run, table in made.queries.items() if run.split in of}


def test_every_method_of_what_is_run_is_measured(numbers):
    assert set(zip(numbers["setting"], numbers["alternative"], strict=True)) == {("made_pixels", 0), ("made_edges", 1)}
    for _, rows in numbers.groupby("setting"):
        assert list(rows["method"].unique()) == ["cca", "gmlda", "acmr", "blm", "own", "random", "sm"]
        assert len(rows) == 7 * 6 * 3 == len(rows.drop_duplicates(["method", "task", "metric"]))


@pytest.mark.parametrize("metric", ADDED)
@pytest.mark.parametrize("task", OFFSETS)
def test_a_number_is_the_mean_over_splits_and_seeds(numbers, task, metric):
    row = cell(numbers, "own", task, metric)
    assert row["measured"] == pytest.approx(value_of("own", task, metric), abs=2e-6)
    assert (row["n_splits"], row["n_seeds"]) == (3, 2)


def test_means_are_those_of_two_tasks_each(numbers):
    assert cell(numbers, "own", "mean")["measured"] == pytest.approx(value_of("own") + 0.025, abs=2e-6)
    assert cell(numbers, "own", "mean_all")["measured"] == pytest.approx(value_of("own") + 0.03, abs=2e-6)


def test_splits_of_several_test_parts_give_the_interval(numbers):
    row = cell(numbers, "cca")
    low, high = stats.t.interval(0.95, 2, np.mean(VALUES["cca"]) + 0.0005, stats.sem(VALUES["cca"]))
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=2e-6)
    assert row["interval"] == "splits"


def test_queries_give_the_interval_where_splits_share_their_test_part(made, numbers):
    study = with_alternative(made.study, "made_pixels", 0)
    row = cell(measure(study, same_test_part(made)), "cca")
    assert row["interval"] == "queries"
    assert row["measured"] == pytest.approx(cell(numbers, "cca")["measured"], abs=2e-6)
    table = made.queries[Run("made", "random-0", *VIEWS, "cca")]
    one = table[(table["task"] == "img2txt") & (table["seed"] == 0)]["map_all"].to_numpy(float)
    error = one.std() / np.sqrt(len(one))  # every split scatters alike about its mean
    # 27 values are not quite normal, and 10 000 resamples leave a hundredth of the error.
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_queries_give_the_interval_of_a_single_split(made):
    study = with_alternative(made.study, "made_pixels", 0, splits=["random-1"])
    row = cell(measure(study, made.queries), "cca")
    assert (row["interval"], row["n_splits"], row["splits"]) == ("queries", 1, "random-1")
    assert row["measured"] == pytest.approx(0.3205, abs=2e-6)
    assert row["low"] < row["measured"] < row["high"]


def test_the_two_queries_of_a_pair_are_drawn_together(made):
    """Where one task is as much worse as the other is better, their mean does not depend on which pairs are drawn."""
    study = with_alternative(made.study, "made_pixels", 0, splits=["random-0"])
    queries = dict(made.queries)
    run = Run("made", "random-0", *VIEWS, "cca")
    table = queries[run].copy()
    other = table["task"] == "txt2img"
    mirrored = 2 * table.loc[other, "map_all"].mean() - table.loc[other, "map_all"]
    table.loc[other, "map_all"] = mirrored.to_numpy()
    queries[run] = table
    numbers = measure(study, queries)
    mean, single = cell(numbers, "cca", "mean"), cell(numbers, "cca", "txt2img")
    assert mean["high"] - mean["low"] < 1e-6
    assert single["high"] - single["low"] > 0.03


def test_every_number_stands_beside_the_floor_of_its_own_place(numbers):
    for setting, task, metric in [("made_pixels", "txt2img", "map_all"), ("made_edges", "mean", "map_at_40_hits")]:
        floor = cell(numbers, "random", task, metric, setting)["measured"]
        assert cell(numbers, "own", task, metric, setting)["random_floor"] == floor
    assert cell(numbers, "own", "txt2img")["random_floor"] == pytest.approx(value_of("random", "txt2img"), abs=2e-6)


def test_settings_have_floors_of_their_own(made):
    config = copy.deepcopy(made.study.config)
    setting = config["paper"]["settings"]["made_pixels"]
    config["paper"]["settings"] = {
        split: setting | {"alternatives": [setting["alternatives"][0] | {"splits": [split]}]} for split in SPLITS[:2]
    }
    numbers = measure(replace(made.study, facts=made.study.facts | {"config": config}), made.queries)
    floors = [cell(numbers, "own", setting=split)["random_floor"] for split in SPLITS[:2]]
    assert floors == pytest.approx([0.2005, 0.2105], abs=2e-6)


def test_without_a_floor_none_is_told(made):
    study = with_alternative(made.study, "made_pixels", 0)
    study.config["paper"]["settings"]["made_pixels"]["also"] = ["sm"]
    assert measure(study, made.queries)["random_floor"].isna().all()


def test_a_setting_takes_its_own_splits_alone(made):
    """Others may have run the same methods on the same features in other splits."""
    study = with_alternative(made.study, "made_pixels", 0, splits=["random-0", "random-2"])
    row = cell(measure(study, made.queries), "cca")
    assert row["measured"] == pytest.approx((0.30 + 0.37) / 2 + 0.0005, abs=2e-6)
    assert row["n_splits"] == 2


def test_what_stands_in_for_a_method_is_measured_and_named(made):
    study = with_alternative(made.study, "made_pixels", 0, instead={"own": "blm"})
    row = cell(measure(study, made.queries), "own")
    assert row["run_method"] == "blm"
    assert row["measured"] == pytest.approx(value_of("blm"), abs=2e-6)


def test_a_method_is_measured_on_its_own_views(made):
    study = with_alternative(made.study, "made_pixels", 0, views_of={"own": {"text_view": "tags"}})
    numbers = measure(study, made.queries)
    assert cell(numbers, "own")["text_view"] == "tags"
    assert cell(numbers, "own")["measured"] == pytest.approx(value_of("own") - 0.05, abs=2e-6)
    assert cell(numbers, "cca")["text_view"] == "bow"


def not_applicable(study, method, splits):
    """The study in which a method is not applicable to these splits."""
    scores = study.scores
    gone = (scores["method"] == method) & scores["split"].isin(splits)
    reasons = [vars(Run("made", split, *VIEWS, method)) | {"reason": f"{method}: it is so"} for split in splits]
    return replace(study, scores=scores[~gone], facts=study.facts | {"not_applicable": reasons})


def test_a_method_that_is_not_applicable_has_a_reason_and_no_number(made):
    study = with_alternative(not_applicable(made.study, "gmlda", SPLITS), "made_pixels", 0)
    row = cell(measure(study, made.queries), "gmlda")
    assert row["not_applicable"] == "it is so"
    assert row[["measured", "low", "high"]].isna().all()
    assert (row["n_splits"], row["n_seeds"], row["interval"]) == (0, 0, "")
    assert row["random_floor"] == pytest.approx(value_of("random"), abs=2e-6)


def test_a_method_that_some_splits_do_not_allow_has_both(made):
    study = with_alternative(not_applicable(made.study, "gmlda", ["random-1"]), "made_pixels", 0)
    row = cell(measure(study, made.queries), "gmlda")
    assert row["measured"] == pytest.approx((0.41 + 0.46) / 2 + 0.0005, abs=2e-6)
    assert (row["n_splits"], row["not_applicable"]) == (2, "it is so")


def test_a_caveat_of_a_method_goes_with_its_numbers(made):
    runs = [run | {"sees_pairs": run["method"] == "own"} for run in made.study.facts["runs"]]
    study = with_alternative(replace(made.study, facts=made.study.facts | {"runs": runs}), "made_pixels", 0)
    numbers = measure(study, made.queries)
    assert cell(numbers, "own")["caveat"] == "sees_pairs"
    assert cell(numbers, "cca")["caveat"] == ""


def test_queries_of_another_run_are_refused(made):
    study = with_alternative(made.study, "made_pixels", 0, splits=["random-0"])
    run = Run("made", "random-0", *VIEWS, "cca")
    table = made.queries[run]
    with pytest.raises(UserError, match=r"queries of cca on made/random-0 have a mean that is 0\.1"):
        measure(study, made.queries | {run: table.assign(map_all=table["map_all"] + 0.1)})


def test_a_run_without_queries_is_named(made):
    queries = {run: table for run, table in made.queries.items() if run.method != "blm"}
    with pytest.raises(UserError, match=r"made/random-0/pixels\+bow/blm is not among the files"):
        measure(made.study, queries)


def test_a_run_without_scores_is_named(made):
    scores = made.study.scores
    scores = scores[(scores["method"] != "own") | (scores["split"] != "random-2")]
    with pytest.raises(UserError, match="no scores of own on the split random-2"):
        measure(replace(made.study, scores=scores), made.queries)


def test_a_study_of_no_paper_is_refused(made):
    facts = made.study.facts | {"config": {"title": "Another"}}
    with pytest.raises(UserError, match="is of no paper"):
        measure(replace(made.study, facts=facts), made.queries)


def test_an_item_is_averaged_over_the_splits_and_seeds_that_test_it():
    rows = [
        (0, "a", 0.2), (0, "b", 0.6),
        (1, "a", 0.4), (1, "b", 0.8),
    ]  # fmt: skip
    first = pd.DataFrame(
        [(seed, task, name, p + 0.1 * k, 0.0, 0.0) for seed, name, p in rows for k, task in enumerate(OFFSETS)],
        columns=["seed", "task", "id", "map_all", "map_at_40_hits", "map_at_50_hits"],
    )
    second = first[first["id"] == "a"].assign(map_all=1.0)
    items = precision_of_items([first, second])["map_all"]
    assert items.loc["a", "img2txt"] == pytest.approx((0.2 + 0.4 + 1 + 1) / 4)
    assert items.loc["b", "txt2img"] == pytest.approx(0.8)
    assert items.loc["b", "mean"] == pytest.approx(0.75)
    assert items.loc["b", "mean_all"] == pytest.approx(0.95)


def test_what_is_written_can_be_read_again(made, numbers, tmp_path):
    again = measure(made.study, made.queries)
    assert list(again) == COLUMNS
    pd.testing.assert_frame_equal(again, numbers)
    lines = (made.folder / "measured.csv").read_text("utf-8").splitlines()
    assert lines[1].startswith(
        "made_pixels,0,true,made,random-0 random-1 random-2,pixels,bow,cca,cca,img2txt,map_all,0.3"
    )


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "measured.csv").write_text("setting\n", "utf-8")
    with pytest.raises(UserError, match=r"measured\.csv is damaged"):
        measured.read(tmp_path / "measured.csv")
