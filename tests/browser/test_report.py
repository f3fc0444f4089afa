"""The reports of made studies in a browser: figures come alive, tables sort and filter, numbers tell their way."""

import re

import pytest

from cmr import files, store
from cmr.gallery import make_gallery
from cmr.papers import records
from cmr.papers.published import Published
from cmr.report import make_report
from cmr.results import Study
from tests.browser.browsing import DESK, PHONE, needs_chromium, visiting
from tests.made_paper import made_paper
from tests.made_study import CONFIG, made_study
from tests.unit.papers.test_page import AGREEMENT, CLAIMS
from tests.unit.test_gallery import ALL_SEEN, ATTRIBUTES, made_embeddings

pytestmark = needs_chromium
MEANS = {"CCA": 0.53, "ACMR_$1": 0.6167, "Random": 0.32}  # image to text, of the made study


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    study = made_study(root)
    pairs = store.read_table(root / "data/datasets/made/pairs.parquet")
    runs = {"CCA": (made_embeddings(pairs["id"]), ATTRIBUTES)}
    gallery = make_gallery(CONFIG["gallery"], "Made pictures", runs, pairs, ALL_SEEN, root / "data/raw")
    page = root / "report.html"
    page.write_text(make_report(study, gallery, "make everything"), "utf-8")
    return page


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    made = made_paper(tmp_path_factory.mktemp("paper"))
    records.write(made.folder / "agreement.csv", AGREEMENT)
    records.write(made.folder / "claims.csv", CLAIMS)
    facts = files.read_json(made.folder / "study.json")
    facts["config"]["tables"] = {}
    files.write_json(made.folder / "study.json", facts)
    page = made.folder / "report.html"
    page.write_text(make_report(Study.read(made.folder), None, "make", Published.read(made.published)), "utf-8")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("which", ["report", "paper"])
def test_a_page_comes_alive_without_trouble_and_fits_its_window(request, which, width, scheme):
    with visiting(request.getfixturevalue(which).as_uri(), width, scheme) as visit:
        visit.scroll_through()
        assert visit.page.locator("figure.alive").count() > 0
        assert visit.overflow() <= 0
        assert visit.troubles == []


def test_without_scripts_figures_and_tables_are_there(report):
    with visiting(report.as_uri(), scripts=False) as visit:
        page = visit.page
        assert page.locator("figure:has(> script)").count() == page.locator(".drawing > svg").count() > 0
        assert page.locator("#table-map_all tbody tr").count() == 3
        assert page.locator("#table-map_all tbody tr").first.is_visible()


def test_the_pointer_on_a_figure_shows_the_numbers_there(report):
    with visiting(report.as_uri()) as visit:
        figure = visit.page.locator("#figure-map_bars")
        figure.scroll_into_view_if_needed()
        visit.page.wait_for_selector("#figure-map_bars.alive")
        figure.locator(".mark-rect.role-mark path").first.hover()
        tooltip = visit.page.locator("#vg-tooltip-element.visible")
        tooltip.wait_for()
        told = tooltip.inner_text()
        assert any(name in told and f"\n{mean}" in told for name, mean in MEANS.items()), told


def test_shift_and_wheel_zoom_and_a_wheel_alone_does_not(report):
    figure = "#figure-precision_recall_img2txt"
    with visiting(report.as_uri()) as visit:
        page = visit.page
        page.locator(figure).scroll_into_view_if_needed()
        page.wait_for_selector(f"{figure}.alive")
        ticks = page.locator(f"{figure} .role-axis-label text")
        whole = ticks.all_inner_texts()
        for shift, zooms in ((False, False), (True, True)):
            box = page.locator(f"{figure} svg .background").first.bounding_box()
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            if shift:
                page.keyboard.down("Shift")
            page.mouse.wheel(0, -60)
            page.wait_for_timeout(300)
            assert (ticks.all_inner_texts() != whole) == zooms


def test_a_heading_sorts_numbers_as_numbers_the_highest_first(report):
    first = {"descending": "ACMR_$1", "ascending": "Random (floor)"}
    with visiting(report.as_uri()) as visit:
        for order, name in first.items():
            visit.page.locator("#table-map_all th:nth-child(2) .dtcc-button_order").click()
            visit.page.wait_for_selector(f"#table-map_all th:nth-child(2)[aria-sort={order}]")
            assert visit.column("#table-map_all", 1)[0] == name


def test_cells_without_a_number_come_last_in_either_order(report):
    first = "#table-map_all tbody tr:first-child td:nth-child(2)"
    without = report.with_name("without.html")
    html, replaced = re.subn(r'data-order="0\.5[23]\d*"', 'data-order="nan"', report.read_text("utf-8"))
    assert replaced == 1  # that of CCA
    without.write_text(html, "utf-8")
    with visiting(without.as_uri()) as visit:
        for order, best in (("descending", "0.617"), ("ascending", "0.320")):
            visit.page.locator("#table-map_all th:nth-child(2) .dtcc-button_order").click()
            visit.page.wait_for_selector(f"#table-map_all th:nth-child(2)[aria-sort={order}]")
            assert visit.page.locator(first).inner_text().startswith(best)
            assert visit.column("#table-map_all", 1)[-1] == "CCA"


def test_controls_and_pictures_have_names_of_their_own(report):
    with visiting(report.as_uri()) as visit:
        visit.scroll_through()
        page = visit.page
        assert page.locator("#table-map_all").get_by_role("button", name="Sort by Mean").count() == 1
        assert page.locator("#figure-map_bars").get_by_role("img", name="Bars of mAP").count() == 1
        assert page.locator("figure.alive [role=img] :is(summary, a)").count() == 0  # hidden from screen readers there


def test_what_pages_look_like_follows_a_change_of_scheme(report):
    with visiting(report.as_uri(), scheme="dark") as visit:
        page, cell = visit.page, "getComputedStyle(document.querySelector('#table-map_all td')).color"
        assert page.evaluate(cell) == "rgb(231, 234, 238)"
        page.emulate_media(media="print")  # dark on the screen, and black on paper
        page.wait_for_function(f"{cell} === 'rgb(0, 0, 0)'")
        page.emulate_media(media="screen", color_scheme="light")
        page.wait_for_selector("html:not(.dark)", state="attached")


def test_a_number_shows_its_runs_and_the_command_that_repeats_them(report):
    with visiting(report.as_uri()) as visit:
        number = visit.page.locator("#table-map_all button.number").first
        number.focus()
        visit.page.keyboard.press("Enter")
        way = visit.page.locator(".way:popover-open")
        assert way.get_by_role("button", name="Close").evaluate("button => button === document.activeElement")
        assert way.locator("tbody tr").count() == 3
        told = way.inner_text()
        assert "runs/made/random-1/pixels+bow/cca" in told
        assert "--forcerun train evaluate -- results/runs/made/random-0/pixels+bow/cca/metrics.parquet" in told
        visit.page.keyboard.press("Escape")
        assert visit.page.locator(".way:popover-open").count() == 0


def test_verdicts_are_filtered_by_a_column_and_by_words(paper):
    with visiting(paper.as_uri()) as visit:
        page = visit.page
        assert page.locator("table.verdicts tbody tr").count() == 25  # of 75, a page at a time
        page.locator("table.verdicts th:nth-child(2) .dtcc-button").nth(1).click()
        page.locator(".dtcc-dropdown button", has_text="not comparable").click()
        page.keyboard.press("Escape")
        assert set(visit.column("table.verdicts", 2)) == {"not comparable"}
        page.locator("#numbers .dt-search input").fill("gmlda")
        page.wait_for_timeout(100)
        assert set(visit.column("table.verdicts", 3)) == {"GMLDA"}
        assert set(visit.column("table.verdicts", 2)) == {"not comparable"}


def test_a_number_of_a_paper_shows_its_runs(paper):
    with visiting(paper.as_uri()) as visit:
        visit.page.locator("table.verdicts button.number").first.click()
        assert visit.page.locator(".way:popover-open tbody tr").count() == 3


def test_print_has_every_row_of_a_long_table_and_leaves_the_screen_as_it_was(paper):
    with visiting(paper.as_uri()) as visit:
        visit.page.locator("#numbers .dt-paging-button", has_text="2").click()
        seen = visit.column("table.verdicts", 3)
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert visit.page.locator("table.verdicts tbody tr").count() == 75
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert visit.column("table.verdicts", 3) == seen
        assert "26 to 50 of 75" in visit.page.locator("#numbers .dt-info").inner_text()


def test_search_finds_what_is_shown_and_not_its_markup(paper):
    with visiting(paper.as_uri()) as visit:
        visit.page.locator("#numbers .dt-search input").fill("popovertarget")
        visit.page.wait_for_function("document.querySelector('#numbers .dt-info').innerText.startsWith('no rows')")
