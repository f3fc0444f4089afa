import copy
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cmr.errors import UserError
from cmr.papers import measured, verdicts
from cmr.papers.measured import COLUMNS as MEASURED
from cmr.papers.plan import first_run, methods_run, study_of
from cmr.papers.published import Published
from cmr.papers.verdicts import (
    COLUMNS,
    COMPARABLE,
    VERDICTS,
    Cell,
    Protocol,
    differences_of,
    judge,
    summary,
    verdict_of,
)
from cmr.results import Study
from tests.made_paper import SPLITS

CONFIG = Path(__file__).parents[3] / "config"
PAPERS = ("csaec", "idcmr", "hrl", "eisr", "alscor")
OURS = Cell(0.50, 0.46, 0.54)


@pytest.fixture(scope="module")
def published(made):
    return Published.read(made.published)


@pytest.fixture(scope="module")
def judged(made):
    return verdicts.read(made.folder / "verdicts.csv")


@pytest.fixture(scope="module")
def numbers(made, published):
    return measured.read(made.folder / "measured.csv")


def changed(study, **paper):
    """The study with other keys of its paper."""
    config = copy.deepcopy(study.config)
    config["paper"] |= paper
    return replace(study, facts=study.facts | {"config": config})


def with_alternative(study, setting="made_pixels", **changes):
    settings = copy.deepcopy(study.config["paper"]["settings"])
    settings[setting]["alternatives"][0] |= changes
    return changed(study, settings=settings)


def row_of(judged, method="cca", task="img2txt", table="Table 1", dataset="made", features="pixels"):
    wanted = {"method": method, "task": task, "table": table, "dataset": dataset, "features": features}
    rows = judged[(judged[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(rows) == 1
    return rows.iloc[0]


# The rule.


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0.50, "reproduced"),
        (0.54, "reproduced"),
        (0.55, "reproduced"),  # at the end of the widened interval
        (0.5501, "lower"),  # ours is
        (0.90, "lower"),
        (0.45, "reproduced"),
        (0.4499, "higher"),
        (0.10, "higher"),
    ],
)
def test_the_widened_interval_decides(value, verdict):
    said, reason = verdict_of(value, OURS, 0.01)
    assert said == verdict
    assert f"{abs(0.50 - value):.3f}" in reason
    assert "0.460 to 0.540" in reason


def test_the_reason_of_a_comparable_number_says_which_is_above():
    assert "ours is 0.100 below the published value, which lies above" in verdict_of(0.6, OURS, 0.01)[1]
    assert "ours is 0.100 above the published value, which lies below" in verdict_of(0.4, OURS, 0.01)[1]


def test_a_number_without_an_interval_is_a_point():
    point = Cell(0.5)
    assert [verdict_of(value, point, 0.01)[0] for value in (0.489, 0.495, 0.511)] == ["higher", "reproduced", "lower"]


@pytest.mark.parametrize(("half", "told"), [(0.049, False), (0.051, True)])
def test_the_reason_tells_of_an_interval_that_is_too_wide_to_tell_anything(half, told):
    verdict, reason = verdict_of(0.52, Cell(0.5, 0.5 - half, 0.5 + half), 0.01)
    assert verdict == "reproduced"
    assert ("so wide an interval" in reason) == told


def test_rules_come_in_order():
    """Whatever else is true of a number, the first rule that holds decides."""
    missing, inapplicable = Cell(missing="needs a file"), Cell(not_applicable="one class a pair")
    assert verdict_of(0.5, missing, 0.01, ["other features"], "Stamps") == ("withheld", "rehearsed on Stamps")
    assert verdict_of(0.5, OURS, 0.01, [], "Stamps")[0] == "withheld"
    assert verdict_of(0.5, missing, 0.01, ["other features"]) == ("not run", "needs a file")
    assert verdict_of(0.5, inapplicable, 0.01, ["other features"]) == ("not applicable", "one class a pair")
    assert verdict_of(0.5, OURS, 0.01, ["other features", "another split"]) == (
        "not comparable",
        "other features; another split",
    )


THEIRS = Protocol("wikipedia", "handcrafted", "map_at_40_hits", 2173, 693)
OTHERS = {
    "dataset": "wikipedia_mini",
    "features": "SIFT 128",
    "metric": ("map_all", "map_at_50_hits", "map_at_40_min", "map_at_40_all"),
    "learning": (1000, 4000),
    "test": (400, 678, 708),
}


def mismatched():
    """Every protocol that differs from theirs in one or more things."""
    options = {
        key: [getattr(THEIRS, key), *(value if isinstance(value, tuple) else [value])] for key, value in OTHERS.items()
    }
    protocols = [Protocol(**dict(zip(options, chosen, strict=True))) for chosen in product(*options.values())]
    return [protocol for protocol in protocols if protocol != THEIRS]


def test_what_is_measured_otherwise_is_never_comparable():
    protocols = mismatched()
    assert len(protocols) == 2 * 2 * 5 * 3 * 4 - 1
    for ours, value in product(protocols, (0.1, 0.5, 0.9)):
        verdict, reason = verdict_of(value, OURS, 0.01, differences_of(THEIRS, ours))
        assert verdict == "not comparable"
        assert reason


def test_all_that_differs_is_told():
    ours = Protocol("mirflickr", "SIFT 128", "map_all", 100, 50)
    told = differences_of(THEIRS, ours)
    assert len(told) == 5
    for word in (
        "measured on mirflickr",
        "SIFT 128",
        "whole ranking",
        "learns from 2173",
        "tests on 693 items, ours on",
    ):
        assert any(word in phrase for phrase in told)


def test_another_normaliser_is_told():
    (told,) = differences_of(THEIRS, replace(THEIRS, metric="map_at_40_min"))
    assert "smaller of 40" in told
    assert "relevant items among the first 40" in told


def test_features_that_the_paper_does_not_name_cannot_be_the_same():
    theirs = replace(THEIRS, features="unspecified")
    assert differences_of(theirs, theirs) == ["the paper does not name its features"]


@pytest.mark.parametrize(("test", "same"), [(700, True), (679, False), (706, True), (708, False), (None, True)])
def test_sizes_may_be_two_per_cent_apart(test, same):
    theirs = replace(THEIRS, test=test, learning=None)
    assert (differences_of(theirs, THEIRS) == []) is same


def test_a_reading_excuses_sizes_and_nothing_else():
    ours = replace(THEIRS, test=400, learning=600)
    assert differences_of(THEIRS, ours, ["A7"]) == []
    assert differences_of(THEIRS, replace(ours, metric="map_all"), ["A7"]) != []
    assert differences_of(THEIRS, replace(ours, features="SIFT 128"), ["A7"]) != []


# A study.


def test_every_published_number_has_a_verdict_in_order(judged, published):
    keys = COLUMNS[:7]
    pd.testing.assert_frame_equal(judged[keys], published.results[keys])
    assert set(judged["verdict"]) <= set(VERDICTS)
    assert (judged["published"].to_numpy() == published.results["value"].to_numpy()).all()


def test_a_number_as_printed_is_judged(judged):
    assert row_of(judged)["verdict"] == "reproduced"  # 0.331 and ours 0.3305
    assert row_of(judged, "acmr")["verdict"] == "higher"  # 0.400, ours 0.501 to 0.600
    row = row_of(judged, "own", "txt2img")
    assert row["measured"] == pytest.approx(0.6705)
    assert row["random_floor"] == pytest.approx(0.2605)
    assert (row["n_seeds"], row["cell"]) == (2, "made_pixels/0/own")


def test_a_metric_is_measured_by_its_own(judged):
    row = row_of(judged, table="Table 2")
    assert row["measured"] == pytest.approx(0.4305)  # map_at_40_hits, not map_all
    assert "does not say by what it divides" in row["reason"]
    assert "divides" not in row_of(judged)["reason"]


def test_an_average_is_measured_by_the_mean_of_its_tables_tasks(judged):
    assert row_of(judged, task="average")["measured"] == pytest.approx(0.3555)
    assert row_of(judged, task="average", table="Table 3")["measured"] == pytest.approx(0.3605)


def test_a_substitute_is_not_comparable_but_told(judged):
    row = row_of(judged, features="edges")
    assert row["verdict"] == "not comparable"
    assert row["reason"] == "Not as printed: pixels instead of edges; tags instead of words."
    assert row["measured"] == pytest.approx(0.2805)
    assert row["cell"] == "made_edges/1/cca"


def test_what_cannot_be_run_names_what_is_missing(judged):
    row = row_of(judged, dataset="lost")
    assert (row["verdict"], row["cell"]) == ("not run", "")
    assert "lost/images, lost/texts" in row["reason"]
    assert row[["measured", "low", "high", "random_floor", "n_seeds"]].isna().all()


def test_a_published_row_without_a_setting_or_method_is_not_run(made, published, numbers):
    settings = copy.deepcopy(made.study.config["paper"]["settings"])
    del settings["lost_pixels"]
    del settings["made_pixels"]["methods"]["blm"]
    judged = judge(published, changed(made.study, settings=settings), numbers)
    assert len(judged) == 75
    lost, blm = row_of(judged, dataset="lost"), row_of(judged, "blm")
    assert (lost["verdict"], blm["verdict"]) == ("not run", "not run")
    assert "no setting of lost" in lost["reason"]
    assert "blm" in blm["reason"]


def test_a_setting_that_nothing_of_ours_describes_is_not_run(made, published, numbers):
    settings = copy.deepcopy(made.study.config["paper"]["settings"])
    settings["lost_pixels"]["alternatives"] = []
    row = row_of(judge(published, changed(made.study, settings=settings), numbers), dataset="lost")
    assert (row["verdict"], row["reason"]) == ("not run", "No configuration of ours describes its data.")


def test_a_rehearsal_withholds_every_verdict(made, published, numbers):
    judged = judge(published, changed(made.study, rehearsal="made"), numbers)
    assert set(judged["verdict"]) == {"withheld"}
    row = row_of(judged)
    assert row["reason"] == "Rehearsed on Made pictures."
    assert row["measured"] == pytest.approx(0.3305)


def test_a_method_that_is_not_applicable_says_why(made, published, numbers):
    gone = numbers.assign(
        measured=numbers["measured"].where(numbers["method"] != "gmlda"),
        not_applicable=np.where(numbers["method"] == "gmlda", "one class a pair", ""),
    )
    row = row_of(judge(published, made.study, gone), "gmlda")
    assert (row["verdict"], row["reason"]) == ("not applicable", "One class a pair.")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("caveat", "sees_pairs", "CCA is not cross-modal retrieval"),
        ("caveat", "transductive", "CCA looks at the features of the test part"),
        ("caveat", "selected_on_test", "CCA"),
        ("not_applicable", "it is so", "not applicable to splits that the number leaves out: it is so"),
        ("run_method", "blm", "BLM stands in for cca"),
    ],
)
def test_a_method_that_is_not_the_papers_is_not_comparable(made, published, numbers, column, value, said):
    other = numbers.assign(**{column: np.where(numbers["method"] == "cca", value, numbers[column])})
    judged = judge(published, made.study, other)
    row = row_of(judged)
    assert row["verdict"] == "not comparable"
    assert said.lower() in row["reason"].lower()
    assert row_of(judged, "own")["verdict"] == "reproduced"


def test_a_method_that_is_trained_otherwise_is_not_comparable(made, published, numbers):
    methods = copy.deepcopy(made.study.facts["methods"])
    methods["cca"] |= {"budget": "10 epochs where the authors take 500", "fixed": {}}
    methods["own"] |= {"budget": ""}
    judged = judge(published, replace(made.study, facts=made.study.facts | {"methods": methods}), numbers)
    row = row_of(judged)
    assert row["verdict"] == "not comparable"
    assert "CCA is trained otherwise: 10 epochs where the authors take 500." in row["reason"]
    assert row_of(judged, "own")["verdict"] == "reproduced"


def test_what_is_run_as_printed_but_for_something_is_not_comparable(made, published, numbers):
    row = row_of(judge(published, with_alternative(made.study, differs=["half of the words"]), numbers))
    assert (row["verdict"], row["reason"]) == ("not comparable", "Not as printed: half of the words.")


def test_a_number_that_is_no_target_is_not_comparable(made, published, numbers):
    settings = copy.deepcopy(made.study.config["paper"]["settings"])
    settings["made_pixels"]["no_target"] = [
        {"table": "Table 1", "methods": ["cca"], "tasks": ["txt2img"], "why": "it is misprinted (M1)"},
        {"table": "Table 2", "methods": ["cca", "own"], "why": "the row is another's"},
    ]
    judged = judge(published, changed(made.study, settings=settings), numbers)
    before = judge(published, made.study, numbers)
    apart = judged[judged["verdict"] != before["verdict"]]
    doubted = judged[
        (judged["features"] == "pixels")
        & (judged["dataset"] == "made")
        & (
            ((judged["table"] == "Table 1") & (judged["method"] == "cca") & (judged["task"] == "txt2img"))
            | ((judged["table"] == "Table 2") & judged["method"].isin(["cca", "own"]))
        )
    ]
    assert len(doubted) == 1 + 6
    assert list(apart.index) == list(doubted.index)
    assert set(doubted["verdict"]) == {"not comparable"}
    assert "No target: it is misprinted (M1)." in row_of(judged, task="txt2img")["reason"]


def test_another_data_set_is_not_comparable(made, published, numbers):
    row = row_of(judge(published, with_alternative(made.study, dataset="bare"), numbers))
    assert row["verdict"] == "not comparable"
    assert "Measured on bare, published on made" in row["reason"]


@pytest.mark.parametrize("column", ["n_train", "n_test"])
def test_another_split_is_not_comparable(made, published, numbers, column):
    datasets = published.datasets.assign(**{column: published.datasets[column] + 10})
    other = replace(published, datasets=datasets)
    row = row_of(judge(other, made.study, numbers))
    assert row["verdict"] == "not comparable"
    assert "Another split: the paper" in row["reason"]
    read = row_of(judge(other, with_alternative(made.study, reading=["C17"]), numbers))
    assert read["verdict"] == "reproduced"
    assert "read by C17" in read["reason"]


def test_one_split_of_another_size_is_enough(made, published, numbers):
    runs = copy.deepcopy(made.study.facts["runs"])
    for run in runs:
        if run["split"] == SPLITS[1] and run["method"] == "cca":
            run["sizes"]["test"] = 20
    study = replace(made.study, facts=made.study.facts | {"runs": runs})
    judged = judge(published, study, numbers)
    assert "tests on 27 items, ours on 20" in row_of(judged)["reason"]
    assert row_of(judged, "own")["verdict"] == "reproduced"


def test_features_without_a_name_are_not_comparable(made, published, numbers):
    settings = copy.deepcopy(made.study.config["paper"]["settings"])
    settings["made_pixels"]["of"]["features"] = "unspecified"
    results = published.results.assign(features=published.results["features"].replace("pixels", "unspecified"))
    judged = judge(replace(published, results=results), changed(made.study, settings=settings), numbers)
    assert row_of(judged, features="unspecified")["verdict"] == "not comparable"


def test_notes_and_other_averages_are_told(made, published, numbers):
    note = "suspect_copy: it stands twice; average_inconsistent: mean 0.3"
    results = published.results.assign(note=np.where(published.results["method"] == "cca", note, ""))
    judged = judge(replace(published, results=results), made.study, numbers)
    reason = row_of(judged, task="average", table="Table 3")["reason"]
    assert "Published number: suspected copy: it stands twice." in reason
    assert "average_inconsistent" not in reason
    assert "The printed average is 0.356, but the mean of the two printed task values is 0.361." in reason
    assert "printed average" not in row_of(judged, task="average")["reason"]
    assert "printed average" not in row_of(judged, table="Table 3", task="img2all")["reason"]


def test_an_average_that_its_tasks_contradict_tells_their_verdict(made, published, numbers):
    where = (published.results["table"] == "Table 3") & (published.results["method"] == "cca")
    average = where & (published.results["task"] == "average")
    values = published.results["printed"].where(~average, "0.600")
    results = published.results.assign(printed=values, value=values.astype(float))
    row = row_of(judge(replace(published, results=results), made.study, numbers), task="average", table="Table 3")
    assert row["verdict"] == "lower"
    assert "task values is 0.361, by which it would be reproduced." in row["reason"]


def test_a_measurement_that_lacks_a_number_is_refused(made, published, numbers):
    with pytest.raises(UserError, match="nothing is measured of made_pixels 0 own img2txt map_all"):
        judge(published, made.study, numbers[numbers["method"] != "own"])


def test_a_paper_that_is_not_published_is_refused(made, published, numbers):
    with pytest.raises(UserError, match="nothing published is known of the paper other"):
        judge(published, changed(made.study, id="other"), numbers)


def test_a_summary_counts_every_verdict_of_every_table(judged):
    counts = summary(judged)
    assert list(counts.index) == ["Table 1", "Table 2", "Table 3", "all"]
    for table in ("Table 1", "Table 2", "Table 3"):
        wanted = Counter(judged[judged["table"] == table]["verdict"])
        assert {verdict: n for verdict, n in counts.loc[table].items() if n} == dict(wanted)
    assert counts.loc["all", "not run"] == 15
    assert counts.loc["all"].sum() == 75


def test_what_is_written_can_be_read_again(made, published, numbers, judged):
    again = judge(published, made.study, numbers)
    assert list(again) == COLUMNS
    pd.testing.assert_frame_equal(again, judged)


# The five papers.


def planned(paper, missing):
    """The study of a paper without results, and invented numbers for all that is not missing."""
    printed = Published.read(CONFIG / "published").results
    printed = printed[printed["paper"] == paper]
    methods = {key: list(rows["method"].unique()) for key, rows in printed.groupby(["dataset", "features"], sort=False)}
    about = yaml.safe_load((CONFIG / f"papers/{paper}.yaml").read_text("utf-8"))
    config = study_of(paper, about, methods, missing, lambda dataset: [])
    rng, rows, titles = np.random.default_rng(0), [], {}
    for name, setting in config["paper"]["settings"].items():
        if (alternative := first_run(setting)) is None:
            continue
        number = setting["alternatives"].index(alternative)
        for method, run_method in methods_run(setting, alternative).items():
            titles[run_method] = {"title": run_method}
            for task in ("img2txt", "txt2img", "mean", "img2all", "txt2all", "mean_all"):
                for metric in ("map_all", "map_at_40_hits", "map_at_50_hits"):
                    mean = rng.uniform(0.1, 0.9)
                    own = {"setting": name, "alternative": number, "method": method, "task": task, "metric": metric}
                    own |= {"measured": mean, "low": mean - 0.05, "high": mean + 0.05, "run_method": run_method}
                    rows.append(own | {"n_seeds": 1, "random_floor": 0.1, "caveat": "", "not_applicable": ""})
    facts = {"study": paper, "config": config, "methods": titles, "runs": [], "not_applicable": [], "datasets": {}}
    empty = pd.DataFrame()
    return Study(empty, empty, empty, facts), pd.DataFrame(rows, columns=MEASURED)


@pytest.mark.parametrize("lacking", [[], ["some/files"]])
@pytest.mark.parametrize("paper", PAPERS)
def test_every_number_of_the_papers_gets_one_verdict(paper, lacking):
    published = Published.read(CONFIG / "published")
    study, numbers = planned(paper, lambda run: list(lacking))
    judged = judge(published, study, numbers)
    printed = published.results[published.results["paper"] == paper].reset_index(drop=True)
    pd.testing.assert_frame_equal(judged[COLUMNS[:7]], printed[COLUMNS[:7]])
    assert set(judged["verdict"]) <= ({"not run"} if lacking else {*COMPARABLE, "not comparable"})
    assert (judged["reason"].str.len() > 10).all()
    unnamed = judged[judged["features"] == "unspecified"]
    assert not set(unnamed["verdict"]) & set(COMPARABLE)


@pytest.mark.parametrize(
    ("paper", "doubted", "comparable"),
    [
        # A row of dimension 128 beside ours of 512 (E1), and averages in the place of values (E2).
        (
            "eisr",
            {"table": "Table 2", "dataset": "wikipedia", "method": "eisr"},
            {"table": "Table 3", "method": "eisr"},
        ),
        ("eisr", {"table": "Table 2", "dataset": "wikipedia", "method": "eisr_o_le"}, {"method": "eisr_o_le"}),
        (
            "eisr",
            {"table": "Table 3", "dataset": "wikipedia", "method": "gmlda", "task": "txt2img"},
            {"method": "gmlda"},
        ),
        # A row that stands twice (H8), and a method for which another stands in.
        ("hrl", {"dataset": "wikipedia", "features": "handcrafted", "method": "hrl_no_ff"}, {"method": "hrl_no_ff"}),
        ("hrl", {"dataset": "wikipedia", "method": "ccl"}, {"method": "ccl", "dataset": "pascal_sentence"}),
        # "CNN and LDA" names no features.
        ("alscor", {"features": "cnn_lda"}, {"features": "handcrafted", "dataset": "wikipedia"}),
        ("alscor", {"dataset": "pascal_sentence"}, {"features": "handcrafted", "dataset": "nus_wide_tc21"}),
    ],
)
def test_what_can_be_no_target_of_the_papers_is_never_compared(paper, doubted, comparable):
    """Though all files are there, and networks are trained as their authors train them."""
    judged = judge(Published.read(CONFIG / "published"), *planned(paper, lambda run: []))

    def verdicts_of(where):
        return set(judged[(judged[list(where)] == pd.Series(where)).all(axis=1)]["verdict"])

    assert verdicts_of(doubted) == {"not comparable"}
    assert verdicts_of(comparable) & set(COMPARABLE)
