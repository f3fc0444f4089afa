import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cmr.papers import measured, records
from cmr.papers.agreement import COLUMNS, agree
from cmr.papers.published import Published
from cmr.statistics import kendall_interval
from tests.made_paper import PRINTED, SPLITS, VALUES

# As `tests.made_paper.write_published` prints them.
OF_METHOD = {"cca": 0.331, "gmlda": 0.5, "acmr": 0.4, "blm": 0.25, "own": 0.62}


@pytest.fixture(scope="module")
def published(made):
    return Published.read(made.published)


@pytest.fixture(scope="module")
def numbers(made):
    return measured.read(made.folder / "measured.csv")


@pytest.fixture(scope="module")
def agreed(made, published, numbers):
    return agree(published, made.study, numbers)


def row_of(agreed, table="Table 1", features="pixels", task="img2txt"):
    rows = agreed[(agreed["table"] == table) & (agreed["features"] == features) & (agreed["task"] == task)]
    assert len(rows) == 1
    return rows.iloc[0]


def with_order(study, of_splits):
    """The study in which single methods score otherwise on every split: method -> the scores of the splits."""
    scores = study.scores.copy()
    for method, values in of_splits.items():
        for split, value in zip(SPLITS, values, strict=True):
            scores.loc[(scores["method"] == method) & (scores["split"] == split), "value"] = value
    return replace(study, scores=scores)


def test_every_block_that_was_run_has_a_row(agreed):
    blocks = set(zip(agreed["table"], agreed["features"], agreed["metric"], agreed["task"], strict=True))
    assert len(agreed) == len(blocks) == 12
    assert set(agreed["dataset"]) == {"made"}  # nothing is run of the lost one


def test_tau_is_that_of_the_means(agreed):
    theirs = list(OF_METHOD.values())
    ours = [np.mean(VALUES[PRINTED[method]]) for method in OF_METHOD]
    row = row_of(agreed)
    assert (row["tau"], row["p"]) == pytest.approx(tuple(stats.kendalltau(theirs, ours)))
    assert row["n"] == 5


def test_orders_begin_with_the_best(agreed):
    row = row_of(agreed)
    assert row["published_order"] == "own > gmlda > acmr > cca > blm"
    assert row["measured_order"] == "own > acmr > gmlda > cca > blm"


def test_equal_numbers_share_a_place(made, published, numbers):
    results = published.results
    results = results.assign(value=results["value"].where(results["method"] != "acmr", results["value"] + 0.1))
    row = row_of(agree(replace(published, results=results.round({"value": 6})), made.study, numbers))
    assert row["published_order"] == "own > gmlda = acmr > cca > blm"


def test_a_substitute_has_an_order_too(agreed):
    row = row_of(agreed, features="edges")
    assert (row["setting"], row["alternative"], row["exact"]) == ("made_edges", 1, False)
    assert row["tau"] == pytest.approx(0.8)


def test_methods_that_stand_in_for_others_are_told(made, published, numbers, agreed):
    assert set(agreed["stand_ins"]) == {""}
    config = copy.deepcopy(made.study.config)
    config["paper"]["settings"]["made_pixels"]["alternatives"][0]["instead"] = {"acmr_small": "sm"}
    study = replace(made.study, facts=made.study.facts | {"config": config})
    told = agree(published, study, numbers).set_index("setting")["stand_ins"]
    assert set(told["made_pixels"]) == {"sm for acmr"}
    assert set(told["made_edges"]) == {""}


def test_methods_without_a_number_are_left_out(made, published, numbers):
    gone = numbers.assign(measured=numbers["measured"].where(numbers["method"] != "acmr"))
    row = row_of(agree(published, made.study, gone))
    assert (row["n"], row["tau"]) == (4, 1)
    assert row["measured_order"] == "own > gmlda > cca > blm"


def test_two_methods_have_an_order_but_no_tau(made, published, numbers):
    results = published.results[published.results["method"].isin(["cca", "own"])]
    row = row_of(agree(replace(published, results=results), made.study, numbers))
    assert (row["n"], row["measured_order"]) == (2, "own > cca")
    assert row[["tau", "p", "low", "high"]].isna().all()


def test_the_interval_is_over_splits(made, published):
    """On one split of three blm and cca change places with the best."""
    of_splits = {"cca": (0.9, 0.3, 0.3), "blm": (0.95, 0.2, 0.2)}
    study = with_order(made.study, of_splits)
    numbers = measured.measure(with_splits_alone(study), made.queries)
    row = row_of(agree(published, with_splits_alone(study), numbers))
    theirs = [OF_METHOD[method] for method in PRINTED]
    values = [[of_splits.get(ours, VALUES[ours])[k] for ours in PRINTED.values()] for k in range(3)]
    tau, low, high = kendall_interval(theirs, np.array(values))
    assert (row["tau"], row["low"], row["high"]) == pytest.approx((tau, low, high))
    assert low < tau <= high


def with_splits_alone(study):
    config = copy.deepcopy(study.config)
    config["paper"]["settings"] = {"made_pixels": config["paper"]["settings"]["made_pixels"]}
    return replace(study, facts=study.facts | {"config": config})


def test_the_interval_is_over_splits_that_all_methods_have(made, published):
    scores = made.study.scores
    gone = (scores["method"] == "blm") & (scores["split"] == "random-0")
    reason = {"dataset": "made", "split": "random-0", "image_view": "pixels", "text_view": "bow", "method": "blm"}
    facts = made.study.facts | {"not_applicable": [reason | {"reason": "it is so"}]}
    study = with_splits_alone(replace(made.study, scores=scores[~gone], facts=facts))
    study = with_order(study, {"cca": (0.1, 0.25, 0.9)})
    row = row_of(agree(published, study, measured.measure(study, made.queries)))
    values = [[(0.1, 0.25, 0.9)[k] if ours == "cca" else VALUES[ours][k] for ours in PRINTED.values()] for k in (1, 2)]
    _, low, high = kendall_interval([OF_METHOD[method] for method in PRINTED], np.array(values))
    assert low < high
    assert (row["n"], row["low"], row["high"]) == (5, pytest.approx(low), pytest.approx(high))


def test_a_table_is_ordered_by_its_own_metric(made, published, numbers):
    where = (numbers["metric"] == "map_at_40_hits") & (numbers["method"] == "own")
    agreed = agree(published, made.study, numbers.assign(measured=numbers["measured"].where(~where, 0.0)))
    assert row_of(agreed, "Table 2")["measured_order"].endswith("> own")
    assert row_of(agreed, "Table 1")["measured_order"].startswith("own >")


def test_average_is_that_of_the_tables_own_tasks(made, published, numbers):
    """In Table 3 the mean is over the all-modal tasks: other scores there change its order, and no other table's."""
    scores = numbers.assign(
        measured=numbers["measured"].where(
            ~((numbers["task"] == "mean_all") & (numbers["method"] == "own")),
            0.0,
        )
    )
    agreed = agree(published, made.study, scores)
    assert row_of(agreed, "Table 3", task="average")["measured_order"].endswith("> own")
    assert row_of(agreed, "Table 1", task="average")["measured_order"].startswith("own >")


def test_nothing_run_is_nothing_told(made, published, numbers):
    config = copy.deepcopy(made.study.config)
    for setting in config["paper"]["settings"].values():
        for alternative in setting["alternatives"]:
            alternative["missing"] = ["a file"]
    study = replace(made.study, facts=made.study.facts | {"config": config})
    assert agree(published, study, numbers[:0]).empty


def test_what_is_written_has_six_decimals(agreed, tmp_path):
    records.write(tmp_path / "agreement.csv", agreed)
    lines = (tmp_path / "agreement.csv").read_text("utf-8").splitlines()
    assert lines[0].split(",") == COLUMNS
    assert lines[1] == (
        "made,Table 1,made,pixels,map_all,img2txt,made_pixels,0,true,5,0.800000,0.083333,0.800000,0.800000,"
        "own > gmlda > acmr > cca > blm,own > acmr > gmlda > cca > blm,"
    )
    assert len(pd.read_csv(tmp_path / "agreement.csv")) == 12
