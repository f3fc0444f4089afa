import re
import shutil

import pytest

from cmr.front_page import make_front_page
from cmr.papers import records
from tests.made_paper import made_paper
from tests.made_study import made_study
from tests.unit.papers.test_page import AGREEMENT
from tests.unit.test_report import Page


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A study with two pages, and that of a paper."""
    root = tmp_path_factory.mktemp("studies")
    study = made_study(root / "made")
    folders = [root / "ordinary", root / "paper"]
    folders[0].mkdir()
    study.write(*(folders[0] / name for name in ("results.csv", "curves.parquet", "history.parquet", "study.json")))
    shutil.copytree(made_paper(root / "made_paper").folder, folders[1])
    records.write(folders[1] / "agreement.csv", AGREEMENT)
    (folders[1] / "gallery.html").write_text("left by an earlier config, which asked for one")
    return folders


@pytest.fixture(scope="module")
def page(studies):
    return Page(make_front_page(studies, "../studies", ["older"], "make everything"))


def test_every_study_has_its_finding_and_links_to_what_it_has(page):
    text = " ".join(page.text.split())
    assert "ACMR_$1 has the highest mAP over the whole ranking: 0.667, mean of both directions." in text
    assert "Of 75 published numbers: 30 reproduced, 15 higher" in text
    links = [attributes["href"] for attributes in page.attributes("a")]
    assert {
        "../studies/ordinary/report.html",
        "../studies/ordinary/gallery.html",
        "../studies/paper/report.html",
    } <= set(links)
    assert "../studies/ordinary/views.html" not in links and "../studies/paper/gallery.html" not in links
    assert "../studies/paper/verdicts.csv" in links


def test_verdicts_of_papers_are_counted_and_add_up(studies):
    html = make_front_page(studies, "../studies", [], "make everything")
    assert re.findall(r"<td>(\d+)</td>", html) == ["30", "15", "15", "15", "75"]


def test_pages_made_before_are_led_to(page):
    assert "../studies/older/report.html" in [attributes["href"] for attributes in page.attributes("a")]


def test_the_page_is_well_formed_and_escapes_what_configs_say(studies, page):
    assert page.crossed == [] and page.open == []
    assert "Made <study>" in page.text
    assert "Made <study>" not in make_front_page(studies, "../studies", [], "x")


def test_ids_are_unique_whatever_studies_are_called(studies, tmp_path):
    folders = [shutil.copytree(studies[0], tmp_path / name) for name in ("verdicts", "others", "again")]
    page = Page(make_front_page([*folders, studies[1]], "..", ["older"], "x"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 4
    links = {attributes["href"].removeprefix("#") for attributes in page.attributes("a")}
    assert {"study-verdicts", "study-again"} <= links & set(ids)


def test_without_papers_there_is_no_table_of_verdicts(studies):
    assert "Published numbers" not in make_front_page(studies[:1], "..", [], "x")
