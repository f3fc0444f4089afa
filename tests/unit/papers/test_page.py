"""What the page of a paper tells, of the made paper."""

import shutil

import pandas as pd
import pytest

from cmr import files
from cmr.errors import UserError
from cmr.papers import records
from cmr.papers.page import make_page
from cmr.papers.published import Published
from cmr.report import make_report
from cmr.results import Study

AGREEMENT = pd.DataFrame(
    {
        "table": ["Table 1", "Table 1", "Table 2"],
        "setting": ["made_pixels", "made_edges", "made_pixels"],
        "alternative": [0, 1, 0],
        "metric": ["map_all", "map_all", "map_at_40"],
        "task": ["img2txt", "average", "img2txt"],
        "n": [5, 5, 2],
        "tau": [0.5, -0.25, None],
        "low": [0.25, None, None],
        "high": [0.75, None, None],
        "stand_ins": ["", "ccl_coarse for ccl", ""],
    }
)
CLAIMS = pd.DataFrame(
    {
        "claim": ["first", "first", "second"],
        "code": ["M1", "M1", ""],
        "sentence": ["Own is best.", "Own is best.", "It converges."],
        "test": ["own above all"] * 3,
        "of": ["published", "measured", "measured"],
        "holds": ["holds", "not run", "holds"],
        "numbers": ["0.5", "", "3 steps"],
        "reason": ["", "needs lost/images", ""],
    }
)


@pytest.fixture
def folder(made, tmp_path):
    """The study's folder, with orders and claims, and without tables, which have tests of their own."""
    shutil.copytree(made.folder, tmp_path / "study")
    facts = files.read_json(tmp_path / "study/study.json")
    facts["config"]["tables"] = {}
    files.write_json(tmp_path / "study/study.json", facts)
    records.write(tmp_path / "study/agreement.csv", AGREEMENT)
    records.write(tmp_path / "study/claims.csv", CLAIMS)
    return tmp_path / "study"


def page(made, folder):
    return make_page(Study.read(folder), Published.read(made.published))


def test_orders_are_told_with_what_they_were_measured_on_and_without_columns_that_have_none(made, folder):
    heads, rows = page(made, folder).agreement
    told = [dict(zip(heads, row, strict=True)) for row in rows]
    assert [(row["Kendall's tau"], row["95 % interval"]) for row in told] == [("0.50", "0.25 to 0.75"), ("-0.25", "")]
    assert told[1]["Measured on"] == "pixels and tags; ccl_coarse for ccl"
    assert [row["Task"] for row in told] == ["Image → text", "Average"]


def test_outcomes_of_claims_are_counted(made, folder):
    assert page(made, folder).claims_told == "3 tests of 2 claims: holds 2, not run 1."


def test_claims_keep_apart_what_could_not_be_tested(made, folder):
    first, second = page(made, folder).claims
    assert [test["numbers"] for test in first.tests] == ["0.5"]
    assert [test["reason"] for test in first.not_run] == ["needs lost/images"]
    assert (second.sentence, second.code, second.not_run) == ("It converges.", "", [])
    html = make_report(Study.read(folder), None, "make everything", Published.read(made.published))
    assert html.count("<summary>Not run: 1 test</summary>") == 1
    assert html.count("Own is best.") == 1


def test_a_file_that_is_not_there_is_named(made, folder):
    (folder / "claims.csv").unlink()
    with pytest.raises(UserError, match=r"claims\.csv does not exist"):
        page(made, folder)


def test_figures_bear_the_names_that_the_paper_gives_them(made, folder):
    study = Study.read(folder)
    html = make_report(study, None, "make everything", Published.read(made.published))
    items = [spec["item"] for spec in study.config["figures"].values()]
    assert items
    assert all(f"<figcaption><strong>{item}.</strong>" in html for item in items)
