import copy
import csv
import io
import shutil
import subprocess
from dataclasses import replace

import pytest

from cmr.tables import headline, make_table
from tests.made_study import CONFIG, CONFIG_OF_VIEWS, REASON, made_study


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(made_study(tmp_path_factory.mktemp("study")), "map_all")


def best_methods(root, values):
    rows = make_table(made_study(root, values), "map_all").rows
    return [row.method for row in rows if row.cells[0].best]


def test_floor_is_the_last_row_and_named(table):
    assert [(row.title, row.is_floor) for row in table.rows] == [
        ("CCA", False),
        ("ACMR_$1", False),
        ("Random (floor)", True),
    ]


def test_best_is_the_highest_mean(tmp_path):
    assert best_methods(tmp_path, {"random": (0.1, 0.1), "cca": (0.5, 0.7), "acmr": (0.9, 0.1)}) == ["cca"]


def test_all_methods_with_the_best_printed_digits_are_best(tmp_path):
    values = {"random": (0.1, 0.1), "cca": (0.6004, 0.6004), "acmr": (0.5996, 0.5996)}
    assert best_methods(tmp_path, values) == ["cca", "acmr"]


def test_floor_is_never_best(tmp_path):
    assert best_methods(tmp_path, {"random": (0.9, 0.9), "cca": (0.5, 0.5)}) == ["cca"]


def test_title_says_what_the_numbers_are(table):
    assert table.title == (
        "mAP over the whole ranking (normaliser: all relevant items): Made pictures, images as pixels, texts as bow, "
        "test part, 3 splits"
    )


def titled_with_views_of(root, variants, of_tags):
    """A table's title where these methods are variants of CCA, and those are shown with texts as tags."""
    config = copy.deepcopy(CONFIG_OF_VIEWS)
    config["setting"]["views_of"] = {name: {"text_view": "tags"} for name in of_tags}
    study = made_study(root, config=config)
    for name in variants:
        study.facts["methods"][name]["variant_of"] = "cca"
    return make_table(study, "map_all").title


def test_a_title_names_a_method_on_other_views_and_its_variants_once(tmp_path):
    said = "images as pixels, texts as bow, texts of {} as tags, test part"
    assert said.format("ACMR_$1") in titled_with_views_of(tmp_path / "a", [], ["acmr"])
    assert said.format("CCA; ACMR_$1") in titled_with_views_of(tmp_path / "b", [], ["cca", "acmr"])
    assert said.format("CCA and its variants") in titled_with_views_of(tmp_path / "c", ["acmr"], ["cca", "acmr"])
    assert said.format("CCA") in titled_with_views_of(tmp_path / "d", ["acmr"], ["cca"])


@pytest.mark.parametrize(
    ("values", "seeds", "said"),
    [
        ({"cca": (0.5, 0.6)}, [0, 7], "2 splits, mean of 2 seeds each"),
        ({"cca": (0.5,)}, [0, 7], "1 split, 2 seeds"),
        ({"cca": (0.5,)}, [0], "1 split, 1 seed"),
        ({"cca": (0.5, 0.6), "acmr": (0.5,)}, [0], "1 to 2 splits"),
    ],
)
def test_title_says_what_the_intervals_are_over(tmp_path, values, seeds, said):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["seeds"] = seeds
    assert make_table(made_study(tmp_path, values, config), "map_all").title.endswith(f"test part, {said}")


def test_csv_holds_the_numbers(table):
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [row["method"] for row in rows] == ["cca", "acmr", "random"]
    assert float(rows[0]["img2txt"]) == pytest.approx(0.53)
    # Student's t with 2 degrees of freedom is 4.302653; the standard error of 0.50, 0.52, 0.57 is 0.0208167.
    assert float(rows[0]["img2txt_high"]) == pytest.approx(0.53 + 4.302653 * 0.0208167, abs=2e-6)
    assert rows[0]["img2txt_n"] == "3"


def test_a_single_value_prints_no_interval(tmp_path):
    table = make_table(made_study(tmp_path, {"cca": (0.5,)}), "map_all")
    assert str(table.rows[0].cells[0]) == "0.500"
    assert next(csv.DictReader(io.StringIO(table.to_csv())))["img2txt_low"] == ""
    assert "±" not in table.to_markdown().split("Mean ±")[0]


def test_markdown_shows_markup_as_text(table):
    text = table.to_markdown()
    assert "<script>" not in text
    assert r"\<script\>" in text
    assert "**0.617 ± 0.052**" in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {5}


def test_latex_escapes_special_characters(table):
    text = table.to_latex()
    assert r"\& 100\% of \$5\_\{x\}" in text
    assert r"ACMR\_\$1 & \textbf{0.617}\,{\scriptsize $\pm$\,0.052}" in text
    assert r"Image $\to$ text" in text
    assert text.count(r"\midrule") == 2  # under the head and over the floor


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_five_columns_fit_a_page_of_article(tmp_path):
    tasks = ["img2txt", "txt2img", "mean", "img2all", "txt2all"]
    tables = {"map_all": CONFIG["tables"]["map_all"] | {"tasks": tasks}}
    text = make_table(made_study(tmp_path, config=CONFIG | {"tables": tables}), "map_all").to_latex()
    page = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{text}\end{{document}}"
    (tmp_path / "page.tex").write_text(page.replace(text, f"\n{text}"), "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


def test_plain_text_lines_up_and_marks_the_best(table):
    lines = table.to_text().splitlines()
    body = [line for line in lines if "±" in line and line.startswith(("CCA", "ACMR", "Random"))]
    assert len({line.index("±") for line in body}) == 1
    assert "0.617 ± 0.052*" in body[1]
    assert "*" not in body[0] + body[2]


def test_headline_is_the_first_table_of_the_config(tmp_path):
    tables = {"zeta": {"metric": "precision_at_1", "tasks": ["mean"], "caption": "First."}} | CONFIG["tables"]
    assert headline(made_study(tmp_path, config=CONFIG | {"tables": tables})).name == "zeta"


def test_a_method_that_is_not_applicable_has_its_row_and_the_reason_under_the_table(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["methods"].append("gmlda")
    table = make_table(made_study(tmp_path, config=config, not_applicable={"gmlda": range(3)}), "map_all")
    assert [row.method for row in table.rows] == ["cca", "acmr", "gmlda", "random"]
    row = table.rows[2]
    assert [str(cell) for cell in row.cells] == ["n/a"] * 3 and not any(cell.best for cell in row.cells)
    reason = REASON.removeprefix("gmlda: ")
    assert table.remarks == (f"GMLDA: n/a: {reason}.",)
    assert "GMLDA: n/a: it is defined for one class a pair" in table.to_text()
    assert r"\$5\_\{x\}" in table.to_latex() and r"\<script\>" in table.to_markdown()
    line = list(csv.DictReader(io.StringIO(table.to_csv())))[2]
    assert line["method"] == "gmlda" and line["img2txt"] == "" and line["img2txt_n"] == "0"
    assert line["not_applicable"] == REASON


def test_a_table_shows_the_methods_that_it_names(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["methods"].append("gmlda")
    config["tables"]["map_all"]["methods"] = ["random", "acmr"]
    table = make_table(made_study(tmp_path, config=config, not_applicable={"gmlda": range(3)}), "map_all")
    assert [row.method for row in table.rows] == ["acmr", "random"] and not table.remarks


def with_gmlda():
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["methods"].append("gmlda")
    return config


def test_a_method_that_is_not_applicable_to_some_splits_is_never_best_and_says_so(tmp_path):
    values = {"random": (0.1, 0.1, 0.1), "cca": (0.5, 0.6, 0.7), "gmlda": (0.9, 0.9, 0.9)}
    study = made_study(tmp_path, values, with_gmlda(), not_applicable={"gmlda": [1]})
    table = make_table(study, "map_all")
    cca, gmlda, _ = table.rows
    assert gmlda.cells[0].n == 2 and not gmlda.cells[0].best and cca.cells[0].best
    (remark,) = table.remarks
    assert remark.startswith("GMLDA: n/a on splits that the numbers leave out: it is defined for one class a pair")


def test_a_variant_s_reason_comes_without_its_method_s_name_in_front(tmp_path):
    study = made_study(tmp_path, {"random": (0.1, 0.1, 0.1)}, not_applicable={"cca": range(3)})
    study.facts["methods"]["cca"]["variant_of"] = "gmlda"  # whose name the message begins with
    (remark,) = make_table(study, "map_all").remarks
    assert remark.startswith("CCA: n/a: it is defined for one class a pair")


def test_methods_with_the_same_reason_share_a_sentence(tmp_path):
    study = made_study(tmp_path, {"random": (0.1, 0.1, 0.1)}, not_applicable={"cca": range(3), "acmr": range(3)})
    (remark,) = make_table(study, "map_all").remarks
    assert remark.startswith("CCA, ACMR_$1: n/a: gmlda: it is defined")  # both were given that reason


@pytest.mark.parametrize(
    ("caveat", "mark", "in_latex", "words"),
    [
        ("transductive", "†", r"$\dagger$", "looks at the features of the test part"),
        ("selected_on_test", "§", r"\S{}", "chose epoch or hyper-parameters by the test part"),
        ("sees_pairs", "‡", r"$\ddagger$", "is not cross-modal retrieval"),
    ],
)
def test_a_method_that_has_seen_too_much_is_marked_and_never_best(tmp_path, caveat, mark, in_latex, words):
    study = made_study(tmp_path)
    runs = [run | {caveat: run["method"] == "acmr"} for run in study.facts["runs"]]
    table = make_table(replace(study, facts=study.facts | {"runs": runs}), "map_all")
    assert [row.title for row in table.rows if any(cell.best for cell in row.cells)] == ["CCA"]
    assert table.rows[1].title == f"ACMR_$1 {mark}" and table.rows[1].cells[0].mean > table.rows[0].cells[0].mean
    assert words in " ".join(table.to_text().split()) and words in table.to_markdown() and in_latex in table.to_latex()
    assert [row["caveat"] for row in csv.DictReader(io.StringIO(table.to_csv()))] == ["", caveat, ""]


def test_a_table_of_methods_none_of_which_is_applicable_says_so(tmp_path):
    methods = {name: range(3) for name in ("random", "cca", "acmr")}
    table = make_table(made_study(tmp_path, {}, not_applicable=methods), "map_all")
    assert [str(cell) for row in table.rows for cell in row.cells] == ["n/a"] * 9
    assert "no run" in table.title and "n/a" in table.to_text()
