"""Tables of the documentation that are written from the registries."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from cmr.__main__ import main
from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.reference_pages import PAGES, stale, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path):
    """What the tables are written from and into, to be changed."""
    for folder in ("config", "workflow/schemas", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def stale_pages(root):
    return stale(Catalogue.read(root), root)


def rows_of(page, first):
    """Cells of the rows of the generated table whose first column is called `first`, by the name in that column."""
    table = page.read_text("utf-8").partition(f"\n| {first} | ")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
    return {row[0].strip("` "): row for row in rows}


def test_no_page_is_stale():
    found = [str(path.relative_to(ROOT)) for path in stale_pages(ROOT)]
    assert found == [], "call `python -m cmr docs`"


def test_every_method_view_and_data_set_has_a_row():
    methods = rows_of(ROOT / "docs/methods/README.md", "method")
    assert methods.keys() == {path.stem for path in (ROOT / "config/methods").glob("*.yaml")}
    variants = {
        f"{path.stem}_{suffix}"
        for path in (ROOT / "config/methods").glob("*.yaml")
        for suffix in yaml.safe_load(path.read_text()).get("variants", {})
    }
    assert rows_of(ROOT / "docs/methods/README.md", "variant").keys() == variants
    assert rows_of(ROOT / "docs/datasets.md", "data set").keys() == {
        path.stem for path in (ROOT / "config/datasets").glob("*.yaml")
    }
    tables = re.findall(r"<!-- generated.*?<!-- end", (ROOT / "docs/views.md").read_text("utf-8"), re.DOTALL)
    named = re.findall(r"^\| `(\w+)` \|", "".join(tables), re.MULTILINE)
    views = [yaml.safe_load((ROOT / f"config/views/{side}.yaml").read_text()) for side in ("image", "text")]
    assert sorted(named) == sorted([*views[0], *views[1]])


def test_a_row_tells_what_the_registry_and_the_measurements_say():
    row = rows_of(ROOT / "docs/methods/README.md", "method")["csaec"]
    assert row[1] == "[csaec](csaec.md)" and row[3:5] == ["vectors", "pairs and classes"] and "Sun, Guo" in row[6]
    measured = re.search(r"\| `csaec` \| [^|]+ \| ([0-9.]+) s", (ROOT / "docs/methods/cost.md").read_text())[1]
    assert row[5] == measured
    wikipedia = rows_of(ROOT / "docs/datasets.md", "data set")["wikipedia"]
    assert wikipedia[2:4] == ["2866", "10"]
    assert "`hrl`: the source's own, 231 of test as valid, 5 times (HRL)" in wikipedia[4]
    assert "`random`: 2173 train, 693 test, 10 % of train as valid, 10 times" in wikipedia[4]


def test_a_new_method_and_a_changed_view_make_pages_stale_until_they_are_written(root):
    settings = yaml.safe_load((root / "config/methods/cca.yaml").read_text()) | {"title": "Mine", "source": "a | b"}
    (root / "config/methods/mine.yaml").write_text(yaml.safe_dump(settings))
    views = root / "config/views/text.yaml"
    views.write_text(views.read_text().replace("Counts of the 3000 most frequent words", "Counts of 3000 words"))
    found = stale_pages(root)
    assert {str(path.relative_to(root)) for path in found} == {"docs/methods/README.md", "docs/views.md"}
    write(found)
    assert stale_pages(root) == {}
    assert r"a \| b" in (root / "docs/methods/README.md").read_text()
    assert "Counts of 3000 words" in (root / "docs/views.md").read_text()


def test_what_is_written_by_hand_stays(root):
    page = root / "docs/datasets.md"
    by_hand = page.read_text().replace("# Data sets", "# My data sets").replace("| `xmedia` |", "| `ymedia` |")
    page.write_text(by_hand)
    write(stale_pages(root))
    assert page.read_text() == by_hand.replace("| `ymedia` |", "| `xmedia` |")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<!-- end of what is generated -->", "", "docs/datasets.md: a table that begins must end"),
        ('docs": datasets', 'docs": dataset', 'unknown generated table "dataset"; did you mean "datasets"'),
    ],
)
def test_comments_that_are_wrong_are_refused(root, old, new, words):
    page = root / "docs/datasets.md"
    page.write_text(page.read_text().replace(old, new))
    with pytest.raises(UserError, match=words):
        stale_pages(root)


def test_a_page_of_costs_without_its_table_is_refused(root):
    (root / "docs/methods/cost.md").write_text("# What the methods cost\n")
    with pytest.raises(UserError, match=r"cost\.md: its first table must have the columns"):
        stale_pages(root)


def test_every_page_has_something_that_is_generated():
    assert all("python -m cmr docs" in (ROOT / page).read_text("utf-8") for page in PAGES)


def test_the_command_writes_what_is_stale_and_its_check_only_tells(root, monkeypatch, capsys):
    page = root / "docs/datasets.md"
    fresh = page.read_text()
    page.write_text(fresh.replace("| `xmedia` |", "| `ymedia` |"))
    monkeypatch.setattr("sys.argv", ["cmr", "docs", "--check", "--root", str(root)])
    with pytest.raises(UserError, match=r"docs/datasets\.md; call `python -m cmr docs`"):
        main()
    assert page.read_text() != fresh
    monkeypatch.setattr("sys.argv", ["cmr", "docs", "--root", str(root)])
    main()
    assert page.read_text() == fresh
    monkeypatch.setattr("sys.argv", ["cmr", "docs", "--check", "--root", str(root)])
    main()
    assert capsys.readouterr().out.splitlines() == [
        "written: docs/datasets.md",
        "all tables are what the registries say",
    ]
