"""Clocks that were wrong: nothing stale is taken for good, and nothing fresh is made again and again."""

import os
from datetime import datetime

import pytest

from tests.faults.calls import TARGET
from tests.made_project import copy_of

FUTURE = datetime(2099, 1, 1).timestamp()


@pytest.fixture
def project(undisturbed_light, tmp_path):
    return copy_of(undisturbed_light, tmp_path)


def shift(project, folder, latest):
    """Date what was made in a folder: what was made earlier stays earlier."""
    paths = [path for path in (project.root / folder).rglob("*") if path.is_file()]
    now = max(path.stat().st_mtime for path in paths)
    for path in paths:
        os.utime(path, (path.stat().st_mtime - now + latest,) * 2)


@pytest.mark.parametrize(
    "dates",
    [{"data": 1000, "results": 2000}, {"data": FUTURE, "results": FUTURE + 1000}, {"data": FUTURE}],
    ids=["all of 1970", "all of 2099", "data of 2099"],
)
def test_nothing_is_made_again_for_its_date_alone(project, dates):
    for folder, latest in dates.items():
        shift(project, folder, latest)
    assert not project.planned("all")


def test_what_changed_after_the_clock_was_mended_is_noticed(project):
    """Pairs are read anew, and the call ends before anything is made of them, which seems to be newer than they are."""
    for folder in ("data", "results"):
        shift(project, folder, FUTURE)
    archive = project.root / "mirror/shapes.tar"
    archive.write_bytes(archive.read_bytes().replace(b"A red", b"A new"))
    for name in ("shapes/asset.json", "shapes.lock.json"):
        (project.root / "data/raw" / name).unlink()  # as if another version were asked for
    run = project.snakemake("data/raw/shapes/asset.json", "data/datasets/shapes/pairs.parquet")
    assert run.returncode == 0, run.stdout
    assert "is dated 2099-01-01 00:00, after the present time" in run.stdout
    planned = {rule for rule, _ in project.planned(TARGET)}
    assert {"make_split", "extract_text_view", "train", "evaluate", "collect_results", "make_table"} <= planned


def test_an_edited_template_is_noticed_by_a_page_of_the_future(project):
    shift(project, "results", FUTURE)
    template = project.root / "src/cmr/templates/report.html.j2"
    template.write_text(template.read_text() + "<!-- edited -->\n")
    assert project.planned("all").keys() == {("all", ""), ("make_report", ""), ("make_front_page", "")}
