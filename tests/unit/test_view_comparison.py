import copy
import io
import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from cmr.errors import UserError
from cmr.view_comparison import COLUMNS, FACTORS, Comparison, compare
from tests.made_study import CONFIG_OF_VIEWS, VALUES, VALUES_OF_VIEWS, made_study

SPLITS = ["random-0", "random-1", "random-2"]
ABOVE = {"img2txt": 0.0, "txt2img": 0.1, "mean": 0.05}  # the made scores of a task less those of img2txt
ALL = {("pixels", "bow"): VALUES, **VALUES_OF_VIEWS}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("study"), config=CONFIG_OF_VIEWS)


@pytest.fixture(scope="module")
def comparison(study):
    return compare(study, SPLITS)


def random_comparison(shape, seed=0):
    rng = np.random.default_rng(seed)
    names = {factor: [f"{factor} {k}" for k in range(n)] for factor, n in zip(FACTORS, shape, strict=True)}
    floors = np.full((shape[0], shape[1], shape[3]), 0.1)
    return Comparison(names, {"mean": rng.uniform(size=shape)}, {"mean": floors})


def test_csv_holds_mean_interval_and_floor_of_every_combination(comparison):
    table = pd.read_csv(io.StringIO(comparison.to_csv()))
    assert list(table) == COLUMNS
    assert len(table) == 2 * 2 * 2 * 3
    for row in table.itertuples():
        values = np.array(ALL[row.image_view, row.text_view][row.method]) + ABOVE[row.task]
        low, high = scipy.stats.t.interval(0.95, df=2, loc=values.mean(), scale=scipy.stats.sem(values))
        assert (row.mean, row.low, row.high) == pytest.approx((values.mean(), low, high), abs=1e-6)
        assert (row.n_splits, row.floor) == (3, pytest.approx(0.32 + ABOVE[row.task], abs=1e-6))


def test_order_is_that_of_the_config(study):
    spec = study.config["view_comparison"]
    turned = {key: spec[key][::-1] for key in ("image_views", "text_views", "methods", "tasks")}
    other = copy.deepcopy(study)
    other.config["view_comparison"].update(turned)
    table = compare(other, SPLITS).summary()
    for column, key in (("image_view", "image_views"), ("text_view", "text_views"), ("method", "methods")):
        assert list(dict.fromkeys(table[column])) == turned[key]
    assert list(dict.fromkeys(table["task"])) == turned["tasks"]
    index = COLUMNS[:4]
    same = compare(study, SPLITS).summary().set_index(index).loc[list(map(tuple, table[index].to_numpy()))]
    pd.testing.assert_frame_equal(table.set_index(index), same)


def test_only_the_named_splits_count(study):
    table = compare(study, ["random-2", "random-0"]).summary().set_index(COLUMNS[:4])
    row = table.loc[("edges", "tags", "cca", "img2txt")]
    assert (row["mean"], row["n_splits"]) == (pytest.approx((0.55 + 0.60) / 2), 2)
    assert row["floor"] == pytest.approx((0.30 + 0.32) / 2)


def test_a_single_split_has_no_interval(study):
    table = pd.read_csv(io.StringIO(compare(study, ["random-1"]).to_csv()))
    assert table[["low", "high"]].isna().all(axis=None)
    assert table["mean"].notna().all()


def test_seeds_are_averaged_within_a_split(tmp_path):
    config = copy.deepcopy(CONFIG_OF_VIEWS)
    for block in config["runs"]:
        block["seeds"] = [0, 7]  # the made scores of seed 7 are 7 higher
    table = compare(made_study(tmp_path, config=config), SPLITS).summary().set_index(COLUMNS[:4])
    row = table.loc[("edges", "bow", "acmr", "img2txt")]
    values = np.array(VALUES_OF_VIEWS["edges", "bow"]["acmr"]) + 3.5
    low, _ = scipy.stats.t.interval(0.95, df=2, loc=values.mean(), scale=scipy.stats.sem(values))
    assert (row["mean"], row["low"], row["n_splits"]) == pytest.approx((values.mean(), low, 3))


def test_the_floor_of_other_test_items_is_not_taken(study):
    study = copy.deepcopy(study)
    for run in study.facts["runs"]:
        if run["image_view"] == "edges":
            run["sizes"]["test"] -= 1  # one picture cannot be read by this view
    table = compare(study, SPLITS).summary().set_index("image_view")["floor"]
    assert table["edges"].isna().all()
    assert table["pixels"].notna().all()


@pytest.mark.parametrize(("column", "value"), [("split", "random-1"), ("text_view", "tags"), ("method", "acmr")])
def test_a_missing_run_is_named(study, column, value):
    scores = study.scores[(study.scores[column] != value) | (study.scores["image_view"] != "edges")]
    other = type(study)(scores, study.curves, study.history, study.facts)
    with pytest.raises(UserError, match=r"lacks the run made/random-\d/edges\+\w+/\w+") as error:
        compare(other, SPLITS)
    assert value in str(error.value)


def test_a_metric_that_no_run_reports_is_refused(study):
    other = copy.deepcopy(study)
    other.config["view_comparison"]["metric"] = "recall_at_1"
    with pytest.raises(UserError, match='no run reports the metric "recall_at_1"'):
        compare(other, SPLITS)


def test_averages_are_over_all_that_is_not_asked_for():
    comparison = random_comparison((3, 4, 2, 5))
    scores = comparison.scores["mean"]
    of_pairs = comparison.averages("mean", ["image_view", "text_view"])
    assert len(of_pairs) == 12
    for (i, t), names in zip(itertools.product(range(3), range(4)), of_pairs, strict=True):
        assert names == (f"image_view {i}", f"text_view {t}")
        assert of_pairs[names] == pytest.approx([np.mean([scores[i, t, m, s] for m in range(2)]) for s in range(5)])
    of_text = comparison.averages("mean", ["text_view"], method="method 1")
    for t in range(4):
        expected = [np.mean([scores[i, t, 1, s] for i in range(3)]) for s in range(5)]
        assert of_text[f"text_view {t}",] == pytest.approx(expected)


def test_lead_is_the_paired_difference_of_the_two_best():
    comparison = random_comparison((3, 4, 2, 5))
    averages = comparison.averages("mean", ["image_view", "text_view"], "method 0")
    first, second = sorted(averages, key=lambda names: averages[names].mean())[:-3:-1]
    lead = comparison.lead("mean", ["image_view", "text_view"], "method 0")
    assert (lead.best, lead.runner_up) == (first, second)
    paired = scipy.stats.ttest_rel(averages[first], averages[second]).confidence_interval(0.95)
    mean = averages[first].mean() - averages[second].mean()
    assert (lead.mean, lead.low, lead.high) == pytest.approx((mean, paired.low, paired.high))


def test_a_view_without_a_rival_leads_nobody():
    assert random_comparison((1, 4, 2, 5)).lead("mean", ["image_view"]) is None


def test_differences_between_splits_do_not_hide_a_lead():
    comparison = random_comparison((2, 1, 1, 4))
    of_splits = np.array([0.1, 0.4, 0.7, 0.9])
    comparison.scores["mean"][0, 0, 0] = of_splits
    comparison.scores["mean"][1, 0, 0] = of_splits + np.array([0.010, 0.011, 0.009, 0.010])
    lead = comparison.lead("mean", ["image_view"])
    assert lead.best == ("image_view 1",)
    assert 0.008 < lead.low < lead.mean < lead.high < 0.012


def sums_of_squares(scores):
    """By least squares on indicators of each factor alone, which in a complete design are orthogonal."""
    levels = np.indices(scores.shape).reshape(4, -1)
    centred = scores.ravel() - scores.mean()
    fitted = []
    for axis in range(4):
        indicators = np.eye(scores.shape[axis])[levels[axis]]
        solution, *_ = np.linalg.lstsq(indicators, centred, rcond=None)
        fitted.append(np.sum((indicators @ solution) ** 2))
    return fitted, np.sum(centred**2)


@pytest.mark.parametrize("shape", [(3, 4, 2, 5), (1, 3, 2, 4), (2, 2, 1, 1)])
def test_shares_of_variance_are_those_of_least_squares_fits(shape):
    comparison = random_comparison(shape)
    fitted, total = sums_of_squares(comparison.scores["mean"])
    shares = comparison.shares("mean")
    assert [shares[factor] for factor in FACTORS] == pytest.approx([part / total for part in fitted])
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) >= 0


def test_means_of_levels_are_over_all_other_factors():
    comparison = random_comparison((3, 4, 2, 5))
    means = comparison.level_means("mean")
    scores = pd.Series(comparison.scores["mean"].ravel(), pd.MultiIndex.from_product(comparison.names.values()))
    for axis, factor in enumerate(FACTORS):
        assert means[factor] == pytest.approx(scores.groupby(level=axis).mean().to_numpy())


def test_scores_that_add_up_leave_no_rest():
    comparison = random_comparison((3, 2, 2, 4))
    effects = [np.array([0.0, 0.2, 0.4]), np.array([0.0, 0.1]), np.array([0.3, 0.3]), np.zeros(4)]
    comparison.scores["mean"][...] = sum(np.ix_(*effects))
    shares = comparison.shares("mean")
    assert shares["rest"] == pytest.approx(0, abs=1e-12)
    assert shares["method"] == pytest.approx(0, abs=1e-12)
    assert shares["image_view"] / shares["text_view"] == pytest.approx(np.var(effects[0]) / np.var(effects[1]))


def test_equal_scores_have_no_variance_to_explain():
    comparison = random_comparison((2, 2, 2, 3))
    comparison.scores["mean"][...] = 0.1
    assert set(comparison.shares("mean").values()) == {0.0}
