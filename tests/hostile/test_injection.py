"""Texts that are more than that: for shells, for Snakemake, in pages, in Markdown and LaTeX, and in spreadsheets."""

import copy
import csv
import html
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import markdown_it
import pandas as pd
import pytest
import yaml

from cmr import store, tables
from cmr.catalogue import Catalogue
from cmr.configuration import StrictValidator, read_yaml
from cmr.errors import UserError
from cmr.figures import draw, in_page
from cmr.front_page import make_front_page
from cmr.gallery import make_gallery
from cmr.gallery import render as render_gallery
from cmr.report import make_report
from cmr.spreadsheets import harmless, to_csv
from cmr.view_comparison import compare
from cmr.view_page import render as render_views
from tests.made_project import copy_of
from tests.made_study import CONFIG_OF_VIEWS, made_study
from tests.project import ROOT, Project
from tests.unit.test_gallery import ALL_SEEN, ATTRIBUTES, made_embeddings
from tests.unit.test_report import Page
from tests.unit.test_view_page import DIMENSIONS, SPLITS, VIEWS

# Ends every kind of quotes, is every kind of command, and a wildcard of Snakemake's and an access of Python's format.
SHELL = (
    """a';touch evil;"$(touch evil)`touch evil`|touch evil& >evil {wildcards} {input} {config[data]} {{x}} """
    """{0.__class__} ${IFS} \\ * ~ ! # </script><script>window.evil=1</script>"""
)

# Rules


def shell_commands() -> Iterator[tuple[str, str]]:
    """Every rule's name with the source of its command."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^(?=(?:use )?rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            command = re.search(r"^    shell:\n((?:        .*\n)+)", rule, re.MULTILINE)
            if command:
                yield rule.partition(":")[0], command[1]


@pytest.mark.parametrize(("rule", "command"), [pytest.param(*one, id=one[0]) for one in shell_commands()])
def test_a_rule_quotes_whatever_it_puts_into_its_command(rule, command):
    placeholders = re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command)
    assert placeholders
    assert [one for one in placeholders if not one.endswith(":q") and one != "threads"] == []


def test_rules_run_commands_of_shells_alone():
    """What `run` and `script` do no test of this page would see."""
    sources = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert sources.count("    shell:\n") == len([*shell_commands()]) > 15
    assert not re.search(r"^    (run|script|notebook|wrapper|cwl):", sources, re.MULTILINE)


# Values of the configuration, each that its schema lets through

FILES = {
    "config/config.yaml": "config",
    "config/assets/shapes.yaml": "assets",
    "config/datasets/shapes.yaml": "dataset",
    "config/methods/cca.yaml": "method",
    "config/methods/acmr.yaml": "method",
    "config/studies/shapes.yaml": "study",
    "config/views/image.yaml": "views",
    "config/views/text.yaml": "views",
}


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The places of all strings."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))


def put(value: Any, path: tuple, text: str) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = text


def accepts(project: Project) -> bool:
    try:
        Catalogue.read(project.root)
    except UserError:
        return False
    return True


def groups(settings: dict) -> dict[str, list[tuple]]:
    """The places of all strings, by the keys that they stand under, whatever their things are called."""
    found = {}
    for place in leaves(settings):
        words = [key for key in place if isinstance(key, str)]
        found.setdefault(words[-1], []).append(place)
    return found


@pytest.fixture(scope="module")
def poisoned(light, tmp_path_factory) -> tuple[Project, set[str]]:
    """A checkout with the payload in every string that may be one, and the keys of those strings."""
    project = copy_of(light, tmp_path_factory.mktemp("poisoned"))
    for folder in ("papers", "claims"):  # their schemas know ids; without them the configuration is soon read
        shutil.rmtree(project.root / "config" / folder)
        (project.root / "config" / folder).mkdir()
    for study in (project.root / "config/studies").iterdir():
        if study.stem != "shapes":
            study.unlink()
    flat = SHELL.replace("/", "")
    (project.root / flat).mkdir()  # a mirror of this name
    project.edit("config/config.yaml", lambda config: config["mirrors"].append(flat))
    taken = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        assert accepts(project)
        for file, kind in FILES.items():
            schema = StrictValidator(read_yaml(project.root / f"workflow/schemas/{kind}.schema.yaml"))
            path = project.root / file
            settings = read_yaml(path)
            for key, places in groups(settings).items():
                changed = copy.deepcopy(settings)
                for place in places:
                    # A title may name hyper-parameters.
                    text = SHELL.replace("{", "{{").replace("}", "}}") if (kind, key) == ("method", "title") else SHELL
                    put(changed, place, text)
                path.write_text(yaml.safe_dump(changed, sort_keys=False, allow_unicode=True))
                if schema.is_valid(changed) and accepts(project):
                    settings = changed
                    taken |= {f"{kind}: {key}"}
            path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return project, taken


def test_the_payload_stands_wherever_a_text_may_stand(poisoned):
    """Or else what follows would prove nothing."""
    told = {key.partition(": ")[2] for key in poisoned[1]}
    assert {"title", "description", "licence", "source", "caption", "by_hand"} <= told, told
    assert not told & {"reader", "implementation", "device", "data", "results", "studies", "kind", "metric", "method"}


def test_no_value_of_the_configuration_is_a_command(poisoned, tmp_path):
    """Every command that Snakemake would run is run, by its shell, with programs that note what they are told."""
    project, _ = poisoned
    overridden = json.dumps({"cca": {"power": 1.0}})
    run = project.snakemake("-n", "-p", "all", "vectorisation", "--config", f"methods={overridden}")
    assert run.returncode == 0, run.stdout[-3000:]
    commands = sorted(set(re.findall(r"^Shell command: (python scripts/.*)", run.stdout, re.MULTILINE)))
    rules = {re.match(r"python scripts/(\w+)", command)[1] for command in commands}
    assert len(rules) > 12 and any("touch evil" in command for command in commands)
    program = tmp_path / "programs/python"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$ARGUMENTS"\n')
    program.chmod(0o755)
    place = tmp_path / "place"
    for number, command in enumerate(commands):
        log = Path(re.search(r"> (\S+) 2>&1$", command)[1])
        (place / log).parent.mkdir(parents=True, exist_ok=True)
        arguments = tmp_path / f"{number}"
        told = {"PATH": f"{program.parent}:/usr/bin:/bin", "ARGUMENTS": str(arguments)}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=place, env=told, check=False)
        assert done.returncode == 0, command
        assert arguments.read_text().startswith("scripts/"), command
    made = {path.relative_to(place).parts[:2] for path in place.rglob("*") if path.is_file()}
    assert made == {("results", "logs")}, made


def test_hyperparameters_that_are_texts_reach_the_method_as_they_are(poisoned, tmp_path):
    project = copy_of(poisoned[0], tmp_path)
    text = {"type": "string", "default": SHELL, "description": "a text"}
    project.edit("config/methods/cca.yaml", lambda method: method["hyperparameters"].update(text=text))
    run = project.snakemake("-n", "-p", "results/runs/shapes/random-0/lab_histogram+tfidf/cca/metrics.parquet")
    assert run.returncode == 0, run.stdout
    (command,) = re.findall(r"^Shell command: (python scripts/train.py.*)", run.stdout, re.MULTILINE)
    words = subprocess.run(
        ["bash", "-c", command.replace("python", 'printf "%s\\0"', 1).partition(" > ")[0] + " 2>/dev/null"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    ).stdout
    assert SHELL in [json.loads(word).get("text") for word in words.split("\0") if word.startswith("{")]
    assert not (tmp_path / "evil").exists()


BAD_PATHS = ["data;touch evil", "data$(touch evil)", "data`touch evil`", "da ta", "data\n", "-rf", "data{x}", "da*ta"]
BAD_PATHS += ["data|x", "data&", "data>evil", "data'", 'data"', "data\\", "(data)", "data\t"]


@pytest.mark.parametrize("value", BAD_PATHS)
@pytest.mark.parametrize("key", ["data", "results"])
def test_a_folder_is_no_more_than_a_folder(key, value):
    config = read_yaml(ROOT / "config/config.yaml")
    schema = StrictValidator(read_yaml(ROOT / "workflow/schemas/config.schema.yaml"))
    assert schema.is_valid(config)
    assert not schema.is_valid(config | {key: value})


@pytest.mark.parametrize("value", ["cpu;touch evil", "cuda:0 --evil", "cuda:$(touch evil)", "cpu\n", "", "-x"])
def test_a_device_is_no_more_than_a_device(value):
    schema = StrictValidator(read_yaml(ROOT / "workflow/schemas/config.schema.yaml"))
    assert not schema.is_valid(read_yaml(ROOT / "config/config.yaml") | {"device": value})


BAD_NAMES = ["a;b", "$(touch evil)", "`touch evil`", "a b", "-rf", "{x}", "a'b", 'a"b', "a\nb", "..", "ä", "*"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("folder", ["datasets", "methods", "studies"])
def test_a_file_of_settings_with_a_name_that_is_more_is_refused(folder, name, tmp_path):
    for part in ("config", "workflow/schemas"):
        shutil.copytree(ROOT / part, tmp_path / part)
    first = sorted((tmp_path / "config" / folder).glob("*.yaml"))[0]
    shutil.copyfile(first, first.with_name(f"{name}.yaml"))
    with pytest.raises(UserError, match="its name becomes a folder's"):
        Catalogue.read(tmp_path)


# A study of hostile names, run to its end

CLASSES = [
    """=HYPERLINK("http://127.0.0.1/","x")</script><script>window.evil=1</script>""",
    """$(touch evil)`touch evil`;{wildcards}'"<img src=x onerror=window.evil=1>""",
]


def hostile_pairs(archive: Path) -> None:
    """The made data set with names of files and classes, ids and captions that are more than that."""
    with tarfile.open(archive) as tar:
        contents = {member.name: tar.extractfile(member).read() for member in tar}
    rows = [*csv.DictReader(io.StringIO(contents.pop("pairs.csv").decode()))]
    kinds = list(dict.fromkeys(row["labels"] for row in rows))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, rows[0], lineterminator="\n")
    writer.writeheader()
    for number, row in enumerate(rows):
        name = f"images/$(touch evil)`touch evil`;{{wildcards}} '\"&-{number}.png"
        contents[name] = contents.pop(row["image"])
        label = CLASSES[kinds.index(row["labels"])]
        text = f"{row['text']} {SHELL}" if number % 5 == 0 else row["text"]
        writer.writerow(row | {"id": f"=1+{number}'\";<b>", "image": name, "labels": label, "text": text})
    contents["pairs.csv"] = table.getvalue().encode()
    with tarfile.open(archive, "w") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_a_study_of_hostile_names_runs_nothing_but_itself_and_its_pages_neither(poisoned, tmp_path):
    project = copy_of(poisoned[0], tmp_path)
    asset = read_yaml(project.root / "config/assets/shapes.yaml")["shapes"]
    mirrored = project.root / "mirror" / asset["mirror"][0]["file"]
    mirrored.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(project.root / "mirror/shapes.tar", mirrored)
    hostile_pairs(mirrored)
    run = project.snakemake("all")
    assert run.returncode == 0, run.stdout[-3000:]
    report = project.snakemake("--report", "report.html", "all")
    assert report.returncode == 0, report.stdout[-3000:]
    assert not [path for path in project.root.rglob("evil*") if path.is_file()]
    pages = [*(project.root / "results").rglob("*.html"), project.root / "report.html"]
    assert len(pages) == 3
    for page in pages:
        assert_runs_nothing(page.read_text("utf-8"))
    for table in (project.root / "results").rglob("*.csv"):
        assert_no_formulas(table.read_text("utf-8"))


# Pages

PAYLOADS = [
    "</script><script>window.evil=1</script>",
    "<img src=x onerror=window.evil=1>",
    '"><svg onload=window.evil=1>',
    "' onmouseover='window.evil=1",
    "]]><script>window.evil=1</script>",
    "--><script>window.evil=1</script><!--",
    "</style></title></textarea><script>window.evil=1</script>",
    "{{ 7 * 7 }}{% raw %}${7*7}#{7*7}<%= 7*7 %>",
    "javascript:window.evil=1",
    '=HYPERLINK("http://127.0.0.1")',
]
MARKED = " ".join(PAYLOADS)


def assert_runs_nothing(text: str) -> None:
    """No script, handler or address in a page comes from a text."""
    page = Page(text)
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("href", "src", "action", "formaction", "xlink:href", "srcdoc", "data"):
            address = attributes.get(name) or ""
            assert "evil" not in address or address.startswith(("data:", "../studies/")), (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base")
    scripts = re.findall(r"<script[^>]*>(.*?)</script", text, re.DOTALL | re.IGNORECASE)
    assert not [script for script in scripts if script.strip().startswith("window.evil")]


def poison(value: Any) -> Any:
    """The payload behind every text of a value that is no name of something."""
    names = {"kind", "metric", "task", "tasks", "part", "dataset", "datasets", "split", "splits", "seed", "seeds"}
    names |= {"image_view", "text_view", "image_views", "text_views", "method", "methods", "classes", "results"}
    names |= {"runs", "type"}
    if isinstance(value, str):
        return f"{value} {MARKED}"
    if isinstance(value, list | tuple):
        return [poison(item) for item in value]
    if isinstance(value, dict):
        return {key: item if key in names else poison(item) for key, item in value.items()}
    return value


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A made study of poisoned titles, captions and facts; classes are poisoned in its data."""
    root = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        import tests.made_study as made

        patch.setattr(made, "CLASSES", tuple(f"{name} {MARKED}" for name in made.CLASSES))
        patch.setattr(made, "HOSTILE", MARKED)
        patch.setattr(made, "REASON", f"=1+1 {MARKED}")
        patch.setattr(made, "ABOUT", poison(made.ABOUT) | {"made": poison(made.ABOUT["made"])})
        methods = {
            name: settings | {key: f"{settings[key]} {MARKED}" for key in ("title", "description", "source")}
            for name, settings in made.METHODS.items()
        }
        patch.setattr(made, "METHODS", methods)
        yield made_study(root, config=poison(CONFIG_OF_VIEWS), not_applicable={"gmlda": range(3)}), root


def test_pages_show_every_text_and_run_none(study):
    made, root = study
    pairs = store.read_table(root / "data/datasets/made/pairs.parquet")
    runs = {f"CCA {MARKED}": (made_embeddings(pairs["id"]), ATTRIBUTES)}
    gallery = make_gallery(CONFIG_OF_VIEWS["gallery"], MARKED, runs, pairs, ALL_SEEN, root / "data/raw")
    pages = {
        "report": make_report(made, gallery, MARKED),
        "gallery": render_gallery(gallery),
        "views": render_views(made, compare(made, SPLITS), poison(VIEWS), poison(DIMENSIONS)),
        "front": make_front_page([root / "study"], "../studies", [MARKED], MARKED),
    }
    for name, page in pages.items():
        assert_runs_nothing(page)
        assert MARKED in Page(page).text, name
        for script in re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL):
            json.loads(script)


def test_figures_hold_texts_as_texts_and_no_expressions(study):
    made, _ = study
    for name in made.config["figures"]:
        drawing = in_page(draw(made, name), name, MARKED, MARKED)
        assert_runs_nothing(f"<main>{drawing.svg}<script type='application/json'>{drawing.spec}</script></main>")
        assert "</script" not in drawing.spec.lower() and "<script" not in drawing.svg.lower()
        for expression in expressions(json.loads(drawing.spec)):
            assert "evil" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", expression), expression


def expressions(value: Any) -> Iterator[str]:
    """What Vega would evaluate."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("expr", "signal", "labelExpr", "calculate", "filter", "test") and isinstance(item, str):
                yield item
            yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


# Markdown and LaTeX

MARKUP = ["a|b", "[x](javascript:alert(1))", "![x](http://127.0.0.1/x.png)", "<script>window.evil=1</script>", "**b**"]
MARKUP += ["`c`", "a\n\n# b", "a\n| b |", "&lt;script&gt;evil&lt;/script&gt;", "\\", "<!-- a", "[x]: http://127.0.0.1"]


@pytest.mark.parametrize("text", MARKUP)
def test_markdown_shows_a_text_as_it_is(text):
    lines = tables.markdown_table([f"head {text}"], [[tables.markdown(f"cell {text}")]])
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse("\n".join(lines))
    kinds = {token.type for token in tokens} | {part.type for token in tokens for part in token.children or ()}
    allowed = {f"{name}_{end}" for name in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")}
    assert kinds <= allowed | {"inline", "text", "text_special"}
    shown = ["".join(part.content for part in token.children) for token in tokens if token.type == "inline"]
    expected = html.unescape(" ".join(text.split()))
    assert [html.unescape(one) for one in shown] == [f"head {expected}", f"cell {expected}"]


COMMANDS = ["\\input{/etc/passwd}", "\\immediate\\write18{touch evil}", "^^5cinput", "a % b", "$x$", "a & b"]


@pytest.mark.parametrize("text", [*COMMANDS, "}", "{", "a\n\nb", "#1", "~", "_"])
def test_latex_is_told_a_text_and_no_command(text):
    """No sign that LaTeX acts upon is left, except in the commands that stand for such signs."""
    known = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}|\\[{}$&#%_]"
    assert not re.search(r"[\\{}$&#%_^~\n]", re.sub(known, "", tables.latex(text)))


# Spreadsheets

FORMULAS = ['=HYPERLINK("http://127.0.0.1","x")', "=cmd|'/C calc'!A0", "=1+1", "+1+1", "-1+1", "@SUM(1)", " =1+1"]
FORMULAS += ["\t=1+1", "\n=1+1", "\uff1d1+1", "\uff0b1+1", "\uff0d1+1", "\uff20SUM(1)"]


def assert_no_formulas(text: str) -> None:
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            if re.match("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]", cell):
                float(cell)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_is_no_formula_of_a_spreadsheet(text):
    table = pd.DataFrame({"name": ["a", text], "value": [0.5, -0.25], "mixed": [text, -3]})
    assert_no_formulas(to_csv(table))
    with pytest.raises(ValueError, match="could not convert"):
        assert_no_formulas(table.to_csv(index=False))
    back = pd.read_csv(io.StringIO(to_csv(table)))
    assert back["name"][1] == f"'{text}" and back["value"].tolist() == [0.5, -0.25]


def test_a_carriage_return_begins_no_row():
    """Pandas does not quote it, and spreadsheets end a line there: a formula may follow."""
    for text in ("\r=1+1", "a\r=1+1", "a\r\n=1+1"):
        written = to_csv(pd.DataFrame({"name": [text, "b"]}))
        assert "\r" not in written
        assert len([*csv.reader(io.StringIO(written, newline=""))]) == 3


@pytest.mark.parametrize("cell", ["-0.5", "+1", "-", "", "a=b", "1-2", -0.5, 3, None, True, "e-mail@example.org"])
def test_numbers_and_plain_texts_are_written_as_they_are(cell):
    assert harmless(cell) is cell


def test_tables_and_results_of_a_hostile_study_hold_no_formulas(study):
    made, root = study
    assert_no_formulas((root / "study/results.csv").read_text())
    table = tables.headline(made)
    assert any(row.reason.startswith("=") for row in table.rows)
    assert_no_formulas(table.to_csv())


def test_there_is_one_place_that_writes_csv():
    """And `Table.to_csv`, whose numbers are written by hand."""
    calls = re.compile(r"\.to_csv\(\w|\.to_csv\(\n|csv\.writer|DictWriter")
    written = {
        path.relative_to(ROOT).as_posix()
        for folder in ("src/cmr", "scripts")
        for path in (ROOT / folder).rglob("*.py")
        if calls.search(path.read_text())
    }
    assert written == {"src/cmr/spreadsheets.py", "src/cmr/tables.py"}
