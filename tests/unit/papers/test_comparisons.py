import copy
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cmr.errors import UserError
from cmr.papers import records
from cmr.papers.comparisons import COLUMNS, compare
from cmr.results import Run
from tests.made_paper import PRINTED, SPLITS

METRICS = ["map_all", "map_at_40_hits"]


@pytest.fixture(scope="module")
def compared(made):
    return compare(made.study, made.queries, METRICS)


def with_alternative(study, **changes):
    """The study with the first alternative changed, and no other setting."""
    config = copy.deepcopy(study.config)
    setting = config["paper"]["settings"]["made_pixels"]
    setting["alternatives"][0] |= changes
    config["paper"]["settings"] = {"made_pixels": setting}
    return replace(study, facts=study.facts | {"config": config})


def items_of(queries, method, task="img2txt", metric="map_all", splits=SPLITS):
    """Item -> the mean of its precisions in all splits and seeds that test it, by loops."""
    found = {}
    for split in splits:
        table = queries[Run("made", split, "pixels", "bow", method)]
        for row in table[table["task"] == task].to_dict("records"):
            found.setdefault(row["id"], []).append(float(row[metric]))
    return {item: np.mean(values) for item, values in found.items()}


def row_of(compared, first, second, task="img2txt", metric="map_all", setting="made_pixels"):
    wanted = {"first": first, "second": second, "task": task, "metric": metric, "setting": setting}
    rows = compared[(compared[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_pair_of_the_papers_methods_and_semantic_matching_is_compared(compared):
    pairs = set(combinations([*PRINTED, "sm"], 2))
    for _, rows in compared.groupby(["setting", "alternative", "task", "metric"]):
        assert set(zip(rows["first"], rows["second"], strict=True)) == pairs
        assert len(rows) == len(pairs) == 15
    assert len(compared) == 15 * 2 * 2 * 2
    assert set(compared["task"]) == {"img2txt", "txt2img"}
    assert set(zip(compared["setting"], compared["exact"], strict=True)) == {
        ("made_pixels", True),
        ("made_edges", False),
    }


@pytest.mark.parametrize("metric", METRICS)
def test_the_difference_is_that_of_item_means(compared, made, metric):
    first, second = (items_of(made.queries, method, metric=metric) for method in ("cca", "gmlda"))
    row = row_of(compared, "cca", "gmlda", metric=metric)
    assert row["n_items"] == len(first) == 45  # every item is tested in one of the splits at least
    assert row["difference"] == pytest.approx(np.mean([first[item] - second[item] for item in first]))


def nearly_equal(made):
    """Per-query tables in which gmlda is a little better than cca, by chance perhaps."""
    queries, rng = dict(made.queries), np.random.default_rng(3)
    run = Run("made", "random-0", "pixels", "bow", "gmlda")
    base = queries[replace(run, method="cca")]
    noise = dict(zip(base["id"].unique(), rng.normal(0.02, 0.06, 27), strict=True))
    queries[run] = base.assign(map_all=base["map_all"] + base["id"].map(noise))
    return queries


def test_p_is_that_of_the_paired_randomisation_test(made):
    queries = nearly_equal(made)
    study = with_alternative(made.study, splits=["random-0"])
    row = row_of(compare(study, queries, ["map_all"]), "cca", "gmlda")
    first, second = (items_of(queries, method, splits=["random-0"]) for method in ("cca", "gmlda"))
    differences = np.array([first[item] - second[item] for item in first])
    oracle = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    )
    assert 0.01 < oracle.pvalue < 0.5
    assert row["p"] == pytest.approx(oracle.pvalue, abs=4 * np.sqrt(oracle.pvalue / 10_000))  # four standard errors


def test_metrics_are_compared_by_themselves(made):
    """The two methods differ in single values of map_all, and nowhere else."""
    compared = compare(with_alternative(made.study, splits=["random-0"]), nearly_equal(made), METRICS)
    assert abs(row_of(compared, "cca", "gmlda")["difference"]) > 0.001
    other = row_of(compared, "cca", "gmlda", metric="map_at_40_hits")
    assert (other["difference"], other["p"]) == (0, 1)


def test_p_is_adjusted_within_an_alternative_task_and_metric(made):
    study = with_alternative(made.study, splits=["random-0"])
    compared = compare(study, nearly_equal(made), METRICS)
    for _, rows in compared.groupby(["setting", "task", "metric"]):
        assert rows["p_holm"].to_numpy() == pytest.approx(multipletests(rows["p"], method="holm")[1])
    assert (compared["p_holm"] > compared["p"]).any()


def test_a_method_that_is_not_applicable_is_left_out(made):
    scores = made.study.scores
    study = replace(made.study, scores=scores[scores["method"] != "gmlda"])
    compared = compare(study, made.queries, ["map_all"])
    assert "gmlda" not in {*compared["first"], *compared["second"]}
    assert len(compared) == 10 * 2 * 2


def test_items_that_not_all_methods_have_are_left_out(made):
    queries = {
        run: table[~table["id"].isin(["item-00", "item-01"])] if run.method == "own" else table
        for run, table in made.queries.items()
    }
    row = row_of(compare(made.study, queries, ["map_all"]), "cca", "gmlda")
    first, second = (items_of(made.queries, method) for method in ("cca", "gmlda"))
    both = [item for item in first if item not in ("item-00", "item-01")]
    assert row["n_items"] == len(both) == 43
    assert row["difference"] == pytest.approx(np.mean([first[item] - second[item] for item in both]))


def test_what_stands_in_for_a_method_is_compared_under_its_name(made):
    study = with_alternative(made.study, instead={"own": "cca"})
    row = row_of(compare(study, made.queries, ["map_all"]), "cca", "own")
    assert (row["difference"], row["p"]) == (0, 1)


def test_a_run_without_queries_is_named(made):
    queries = {run: table for run, table in made.queries.items() if run.split != "random-1"}
    with pytest.raises(UserError, match=r"made/random-1/pixels\+bow/cca is not among the files"):
        compare(made.study, queries, METRICS)


def test_one_method_alone_is_compared_with_none(made):
    config = copy.deepcopy(made.study.config)
    for setting in config["paper"]["settings"].values():
        setting["methods"], setting["also"] = {"cca": "cca"}, ["random"]
    study = replace(made.study, facts=made.study.facts | {"config": config})
    assert compare(study, made.queries, METRICS).empty


def test_what_is_written_has_six_decimals(compared, tmp_path):
    records.write(tmp_path / "comparisons.csv", compared)
    lines = (tmp_path / "comparisons.csv").read_text("utf-8").splitlines()
    assert lines[0].split(",") == COLUMNS
    assert lines[1].startswith("made_pixels,0,true,img2txt,map_all,cca,gmlda,45,-0.1")
    assert lines[1].split(",")[-2] == "0.000100"  # the least that 10 000 flips can tell
