"""docs/add-a-method.md, done as the page says: files written, tests and commands run, rows found in the table."""

import re
import shlex

import pandas as pd
import pytest

from tests.made_project import STUDY, copy_of

PAGE = "docs/add-a-method.md"
METHODS = {"class_means": "semantic", "two_towers": "deep"}  # and the family of each, on whose page it is to be named


def files_of(page):
    """Blocks that a text right before them calls a file, by its name."""
    files, between = {}, 0
    for block in re.finditer(r"^```(\w+)\n(.*?)^```\n", page, re.DOTALL | re.MULTILINE):
        named = re.findall(r"`((?:src|tests|config)/[^`\s]+\.\w+)`", page[between : block.start()])
        if named and block[1] in ("python", "yaml"):
            files[named[-1]] = block[2]
        between = block.end()
    return files


def commands_of(page, program):
    blocks = re.findall(r"^```sh\n(.*?)^```\n", page, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line[0] == program]


@pytest.fixture(scope="module")
def project(undisturbed, tmp_path_factory):
    """The finished study in a checkout in which the page has been followed to the last step before Snakemake runs."""
    project = copy_of(undisturbed, tmp_path_factory.mktemp("with_methods"))
    files = files_of((project.root / PAGE).read_text("utf-8"))
    assert [*files] == [
        "src/cmr/methods/linear/class_means.py",
        "config/methods/class_means.yaml",
        "tests/unit/methods/linear/test_class_means.py",
        "src/cmr/methods/deep/two_towers.py",
        "config/methods/two_towers.yaml",
    ]
    for name, text in files.items():
        assert not (project.root / name).exists()
        (project.root / name).write_text(text)
    for method, family in METHODS.items():
        with (project.root / f"docs/methods/{family}.md").open("a") as page:
            page.write(f"\n`{method}`\n")
    project.edit("config/studies/shapes.yaml", lambda study: study["runs"][0]["methods"].extend(METHODS))
    return project


def test_the_methods_pass_the_pages_own_test_and_what_is_tested_of_all(project):
    commands = commands_of((project.root / PAGE).read_text("utf-8"), "python")
    assert [command[3] for command in commands[:2]] == [
        "tests/unit/methods/linear/test_class_means.py",
        "tests/unit/methods/test_contract.py",
    ]
    for command in [*commands, [*commands[1][:-1], "two_towers"]]:
        run = project.python(*command[1:])
        assert run.returncode == 0, run.stdout
    row = next(
        line
        for line in (project.root / "docs/methods/README.md").read_text("utf-8").splitlines()
        if line.startswith("| `class_means`")
    )
    assert "[semantic](semantic.md)" in row and "Distances to the class means of each modality" in row


def test_only_the_new_runs_and_what_shows_them_are_made_and_their_rows_stand_in_the_table(project):
    planned = project.planned("all")
    assert {method for rule, method in planned if rule in ("train", "evaluate")} == set(METHODS)
    assert not any(re.match(r"obtain|read|extract|fit|learn|make_split", rule) for rule, _ in planned)
    (snakemake,) = commands_of((project.root / PAGE).read_text("utf-8"), "snakemake")
    run = project.snakemake(*snakemake[3:])  # without `snakemake --cores 8`
    assert run.returncode == 0, run.stdout
    table = pd.read_csv(project.root / STUDY / "tables/map_all.csv")
    assert set(METHODS) <= set(table["method"])
    results = pd.read_csv(project.root / STUDY / "results.csv").query("part == 'test' and metric == 'map_all'")
    score = results.groupby("method")["value"].mean()
    assert score["class_means"] > score["random"] + 0.2  # shapes are easily told by words and features
    assert "Class means" in (project.root / STUDY / "report.html").read_text("utf-8")
