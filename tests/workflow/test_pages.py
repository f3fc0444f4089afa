"""The pages of a finished study as readers find them: small, without trouble in a browser, no link leading nowhere."""

import json
import shlex

import pytest

from tests.browser.browsing import DESK, PHONE, broken_links, needs_chromium, visiting
from tests.made_project import STUDY

LARGEST = 3_000_000  # bytes
PAGES = ["results/report/index.html", *(f"{STUDY}/{name}.html" for name in ("report", "gallery", "views"))]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_no_larger_than_a_reader_waits_for(undisturbed, page):
    assert (undisturbed.root / page).stat().st_size < LARGEST


@needs_chromium
@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_trouble_and_links_that_lead_somewhere(undisturbed, page):
    path = undisturbed.root / page
    for width in (PHONE, DESK):
        with visiting(path.as_uri(), width) as visit:
            visit.scroll_through()
            assert visit.troubles == []
            assert visit.overflow() <= 0
            assert broken_links(visit, path) == []


@needs_chromium
def test_the_front_page_leads_to_every_page_of_every_study(undisturbed):
    with visiting((undisturbed.root / PAGES[0]).as_uri()) as visit:
        for name, title in (("Report", "Quickstart"), ("Example retrievals", "SM"), ("Comparison of views", "views")):
            visit.page.goto((undisturbed.root / PAGES[0]).as_uri())
            visit.page.get_by_role("link", name=name).click()
            visit.page.wait_for_load_state()
            assert title in visit.page.locator("h1").inner_text()


def test_the_command_of_a_number_makes_just_its_runs_again(finished):
    html = (finished.root / f"{STUDY}/report.html").read_text("utf-8")
    command = next(line for line in html.splitlines() if "--forcerun train evaluate" in line and "/cca/" in line)
    targets = command.partition("-- ")[2].removesuffix("</code></pre>").split()
    planned = finished.planned("--forcerun", "train", "evaluate", "--", *targets)
    assert {rule for rule, _ in planned} == {"train", "evaluate"}
    assert planned["train", "cca"] == len(targets) == 1


def test_commands_repeat_what_the_command_line_set(finished):
    given = ["results=elsewhere", "methods={sm: {c: [0.5, 1.0]}}"]
    run = finished.snakemake("-n", "-p", "elsewhere/studies/shapes/report.html", "--config", *given)
    (line,) = (line for line in run.stdout.splitlines() if "python scripts/make_report.py" in line)
    words = shlex.split(line)
    settings = json.loads(words[words.index("--settings") + 1])
    assert settings["results"] == "elsewhere" and json.loads(settings["methods"])["sm"] == {"c": [0.5, 1.0]}
    of_study = shlex.split(words[words.index("--command") + 1])
    told = {"studies=[shapes]", *(f"{key}={value}" for key, value in settings.items())}
    assert set(of_study[of_study.index("--config") + 1 :]) == told


def test_a_call_about_another_study_keeps_a_link_to_the_pages_made_before(finished):
    finished.edit("config/config.yaml", lambda config: config.update(studies=["again"]))
    study = finished.root / "config/studies/shapes.yaml"
    (finished.root / "config/studies/again.yaml").write_text(study.read_text())
    run = finished.snakemake("all")
    assert run.returncode == 0, run.stdout
    html = (finished.root / PAGES[0]).read_text("utf-8")
    assert '<section id="study-again">' in html and 'href="../studies/shapes/report.html"' in html
    assert json.loads((finished.root / "results/studies/again/study.json").read_text())["study"] == "again"
