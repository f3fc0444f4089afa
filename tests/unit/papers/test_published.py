from pathlib import Path

import pytest

from cmr.errors import UserError
from cmr.papers.published import Published, measured_task
from tests.made_paper import write_published

PRINTED = Path(__file__).parents[3] / "config/published"


@pytest.fixture(scope="module")
def published():
    return Published.read(PRINTED)


def inconsistent(published, paper):
    """Rows of averages that no rounding explains, and how many averages the paper prints."""
    own = published.averages[published.averages["paper"] == paper]
    rows = own[own["inconsistent"]]
    return set(zip(rows["table"], rows["dataset"], rows["features"], rows["method"], strict=True)), len(rows), len(own)


def test_all_that_the_papers_print_is_there(published):
    values = published.results["paper"].value_counts().to_dict()
    assert values == {"csaec": 144, "hrl": 540, "eisr": 132, "alscor": 81}
    assert sum(values.values()) == 897
    assert (len(published.ranks), len(published.datasets), len(published.artifacts)) == (12, 16, 50)
    assert (published.artifacts["regenerate"] == "yes").sum() == 35


def test_a_value_has_the_digits_that_its_paper_prints(published):
    digits = published.results["printed"].str.partition(".")[2].str.len()
    assert digits.groupby(published.results["paper"]).unique().map(list).to_dict() == {
        "csaec": [3], "hrl": [3], "eisr": [3], "alscor": [4]
    }  # fmt: skip
    rows = published.results.set_index(["paper", "table", "dataset", "method", "task", "metric"])
    half = rows.loc[("eisr", "Table 2", "pascal_sentence", "eisr_o", "txt2img", "map_all")]
    assert (half["value"], half["printed"]) == (0.5, "0.500")  # 50.0 in per cent


def test_most_averages_of_csaec_are_no_means(published):
    assert inconsistent(published, "csaec")[1:] == (42, 48)


def test_few_averages_of_the_others_are_no_means(published):
    assert inconsistent(published, "hrl")[0] == {("Table 9", "nus_wide_10k", "cnn", "hrl_no_ff")}
    assert inconsistent(published, "eisr")[0] == {
        ("Table 2", "pascal_sentence", "alexnet_lda", "eisr_o_le"),
        ("Table 3", "wikipedia", "alexnet_lda", "gmlda"),
        ("Table 3", "wikipedia", "alexnet_lda", "gmmfa"),
    }
    assert inconsistent(published, "alscor") == (
        {
            ("Table 2", "pascal_sentence", "handcrafted", "tv_kcca"),
            ("Table 2", "pascal_sentence", "handcrafted", "sm"),
            ("Table 2", "pascal_sentence", "unspecified", "corr_ae"),
        },
        3,
        27,
    )


def test_the_notes_tell_the_same_averages(published):
    """The notes were written by hand, beside the values."""
    averages = published.averages.merge(
        published.results[published.results["task"] == "average"], on=[*published.averages.columns[:6]]
    )
    assert len(averages) == len(published.averages) == 299
    assert (averages["inconsistent"] == averages["note"].str.contains("average_inconsistent")).all()
    off = averages["note"].str.contains("average_inconsistent|average_off_within_rounding")
    assert (averages["differs"] == off).all()


def test_an_average_is_recomputed_from_the_tasks_of_its_table(published):
    averages = published.averages.set_index(["paper", "table", "dataset", "features", "method", "metric"])
    row = averages.loc[("hrl", "Table 9", "nus_wide_10k", "cnn", "hrl_no_ff", "map_all")]
    assert (row["printed"], row["recomputed"]) == (0.138, 0.1345)  # of 0.123 and 0.146
    assert not averages.loc[("csaec", "Table 3", "nus_wide", "unspecified", "csaec", "map_at_40"), "inconsistent"]


def test_an_average_is_the_mean_of_the_two_tasks_beside_it():
    assert measured_task("average", ["img2txt", "txt2img", "average"]) == "mean"
    assert measured_task("average", ["img2all", "txt2all", "average"]) == "mean_all"
    assert measured_task("txt2all", ["img2all", "txt2all", "average"]) == "txt2all"


def test_sizes_that_are_not_printed_are_missing(published):
    sizes = published.datasets.set_index(["paper", "dataset"])
    assert sizes.loc[("hrl", "wikipedia"), ["n_train", "n_val", "n_test"]].tolist() == [2173, 231, 462]
    assert sizes.loc[("csaec", "tvgraz"), ["n_train", "n_val", "n_test"]].isna().all()


def test_orders_are_those_of_the_files(published):
    lines = (PRINTED / "results.csv").read_text("utf-8").splitlines()[1:]
    assert [line.split(",")[4] for line in lines] == published.results["method"].tolist()


ROW = "made,Table 1,made,pixels,cca,img2txt,map_all,0.331,"


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("results", "metric,value", "measure,value", r"results\.csv line 1: .*expected paper, table, dataset"),
        ("results", ROW, ROW.replace("img2txt", "img2tag"), r'line 2: task is "img2tag"; expected one of img2txt'),
        (
            "results",
            ROW,
            ROW.replace("map_all", "map_at_30"),
            r'line 2: metric is "map_at_30"; expected one of map_all',
        ),
        ("results", ROW, ROW.replace("0.331", "0.000"), r'line 2: value is "0.000"; expected a decimal number above 0'),
        ("results", ROW, ROW.replace("0.331", "1.001"), r'value is "1.001"'),
        ("results", ROW, ROW.replace("0.331", "33.1"), r'value is "33.1"'),
        ("results", ROW, ROW.replace("0.331", ""), r'value is ""'),
        ("results", ROW, ROW.replace("0.331", "nan"), r'value is "nan"'),
        ("results", ROW, ROW.replace("cca", ""), r"line 2: method is empty"),
        ("results", ROW, ROW.replace("made,Table", "mode,Table"), r'the paper is "mode"; expected one of made'),
        ("results", ROW, f"{ROW}\n{ROW}", r"line 3 repeats line 2: made, Table 1, made, pixels, cca, img2txt, map_all"),
        ("results", f"{ROW}\n", "", r"results\.csv has 74 rows of the paper made; expected 75, as counts\.csv"),
        ("results", ROW, f"{ROW},more", r"line 2 has 10 fields; expected 9"),
        ("results", ROW, '"made', r"results\.csv cannot be read"),
        ("ranks", "map_all,1", "map_all,0.5", r'ranks\.csv line 2: average_rank is "0.5"; expected .* at least 1'),
        ("ranks", "map_all,1", "map_some,1", r'ranks\.csv line 2: metric_ranked is "map_some"'),
        ("datasets", "100,,50", "100,,fifty", r'datasets\.csv line 3: n_test is "fifty"; expected a whole number'),
        ("artifacts", "table,yes", "table,maybe", r'artifacts\.csv line 2: regenerate is "maybe"; expected one of yes'),
        ("artifacts", "diagram,no", "diagram,yes", r"artifacts\.csv has 5 rows with regenerate yes .*; expected 4"),
        ("counts", "75", "many", r'counts\.csv line 2: results is "many"'),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(tmp_path, file, before, after, said):
    path = write_published(tmp_path) / f"{file}.csv"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(UserError, match=said):
        Published.read(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    (write_published(tmp_path) / "ranks.csv").unlink()
    with pytest.raises(UserError, match=r"ranks\.csv cannot be read"):
        Published.read(tmp_path)


def test_a_file_of_another_encoding_is_refused(tmp_path):
    path = write_published(tmp_path) / "datasets.csv"
    path.write_bytes(path.read_bytes().replace(b"random", "zufällig".encode("latin-1")))
    with pytest.raises(UserError, match=r"datasets\.csv cannot be read"):
        Published.read(tmp_path)
