"""Pages for readers: links lead somewhere, commands exist, and what is told twice is told alike."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from cmr import __main__ as package

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def anchors(page):
    """As GitHub makes them of headings: lower case, spaces as hyphens, other signs left out, repeats numbered."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(anchor if anchor not in found else f"{anchor}-{found.count(anchor)}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files_and_headings(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT) or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def commands(program):
    """Command lines of a program, in blocks and in the text, each with the page that names it."""
    found = {}
    for page, name in zip(PAGES, NAMES, strict=True):
        text = page.read_text("utf-8")
        lines = [line for kind, block in FENCED.findall(text) if kind == "sh" for line in block.splitlines()]
        lines += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCED.sub("", text))]
        for line in lines:
            words = shlex.split(line, comments=True) if line.startswith(program) else []
            if len(words) > len(shlex.split(program)):  # else it is the program that is named
                found.setdefault(shlex.join(words), name)
    return found


class Parsed(Exception):
    """Raised in the place of what a command would do."""


def test_commands_of_the_package_parse(monkeypatch):
    def stop(root):
        raise Parsed

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(package.Catalogue, "read", stop)
    known, wrong = commands("python -m cmr"), {}
    for line, page in known.items():
        monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
        try:
            package.main()
        except Parsed:
            continue
        except SystemExit:
            wrong[line] = page
    assert len(known) > 10 and wrong == {}


def test_options_of_snakemake_are_its_own():
    told = subprocess.run(
        [sys.executable, "-m", "snakemake", "--help"], capture_output=True, text=True, check=True
    ).stdout
    known = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", told))
    used = {
        (option.partition("=")[0], page)
        for line, page in commands("snakemake").items()
        for option in shlex.split(line)[1:]
        if option.startswith("-")
    }
    assert len(used) > 3
    assert {(option, page) for option, page in used if option not in known} == set()


def test_configuration_given_to_snakemake_has_keys_of_the_configuration():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    used = {
        (word.partition("=")[0], page)
        for line, page in commands("snakemake").items()
        if " --config " in line
        for word in shlex.split(line.partition(" --config ")[2])
        if "=" in word
    }
    assert {key for key, _ in used} >= {"studies", "methods"}
    assert {(key, page) for key, page in used if key not in schema["properties"]} == set()


def test_programs_that_pages_name_are_there():
    lines = commands("python ") | commands("OMP_NUM_THREADS")
    named = {(program, page) for line, page in lines.items() for program in re.findall(r"python (\S+\.py)", line)}
    assert {(file, page) for file, page in named if not (ROOT / file).is_file()} == set()
    assert any(file.startswith("benchmarks/") for file, _ in named)


def test_the_citation_is_of_this_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation.keys() >= {"message", "title", "authors"}  # required by the format
    assert str(citation["version"]) == project["version"]
    assert [author.keys() for author in citation["authors"]] == [{"name"}]
    assert (ROOT / "LICENSE").read_text().startswith(f"{citation['license']} License")
    assert "the cmr authors" in (ROOT / "LICENSE").read_text()


def test_the_catalogue_of_workflows_is_told_what_holds():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    deployment = usage["software-stack-deployment"]
    assert deployment["conda"] == ("conda:" in rules)
    assert deployment["apptainer"] == ("container:" in rules)
    assert deployment["report"] == ("report(" in rules)
    assert usage["mandatory-flags"]["flags"] == []
    assert (ROOT / "config/README.md").is_file()


def test_the_changelog_tells_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert version in (ROOT / "CHANGELOG.md").read_text("utf-8")
