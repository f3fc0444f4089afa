"""Configuration made to harm: YAML that runs code, explodes or says two things, and names of what must not run."""

import ast
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from cmr import construct
from cmr.catalogue import Catalogue
from cmr.configuration import StrictValidator, check, read_yaml
from cmr.construct import METHODS, READERS, VIEWS, exists, load
from cmr.errors import UserError
from tests.project import ROOT


@pytest.fixture
def file(tmp_path):
    """Writes a file of settings."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def checkout(tmp_path):
    """The configuration folder and its schemas, to be changed."""
    for part in ("config", "workflow/schemas"):
        shutil.copytree(ROOT / part, tmp_path / "checkout" / part)
    return tmp_path / "checkout"


# YAML

TAGS = {
    "a call": '!!python/object/apply:os.system ["touch {evil}"]',
    "another call": '!!python/object/apply:subprocess.check_output [["touch", "{evil}"]]',
    "an evaluation": "!!python/object/apply:eval [\"open('{evil}', 'w')\"]",
    "an object": "!!python/object/new:os.system [touch {evil}]",
    "a function": "!!python/name:os.system",
    "a module": "!!python/module:antigravity",
    "a tuple": "!!python/tuple [1]",
    "bytes": "!!binary aGVsbG8=",
    "a set": "!!set {{a, b}}",
    "pairs": "!!pairs [a: 1]",
    "an own tag": "!evil 1",
}
KINDS = ["config.yaml", "vectorisation.yaml", "views/image.yaml", "views/text.yaml"]
KINDS += [f"{folder}/{{}}" for folder in ("assets", "datasets", "methods", "studies", "papers", "claims")]


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_no_tag_makes_anything_but_numbers_texts_lists_and_mappings(tag, file, tmp_path):
    evil = tmp_path / "evil"
    with pytest.raises(UserError, match="could not determine a constructor"):
        read_yaml(file("a: " + tag.format(evil=evil)))
    assert not evil.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_of_settings_is_read_so(kind, checkout, tmp_path):
    folder = checkout / "config"
    first = sorted((folder / kind).parent.glob("*.yaml"))[0]
    path = folder / kind.format(first.name)
    with path.open("a") as settings:
        settings.write("\nevil: " + TAGS["a call"].format(evil=tmp_path / "evil") + "\n")
    with pytest.raises(UserError, match=rf"{path.name} cannot be read: could not determine a constructor"):
        Catalogue.read(checkout)
    assert not (tmp_path / "evil").exists()


def test_nothing_else_of_the_library_reads_yaml():
    """One place keeps the promises of this page; Snakemake itself reads config.yaml, with a loader as safe."""
    calls = {
        path.relative_to(ROOT).as_posix()
        for folder in ("src/cmr", "scripts")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "yaml" and "load" in node.attr.lower()
    }
    assert calls <= {"src/cmr/configuration.py"}


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    return "\n".join(lines + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)])


EXPLODING = {
    "a billion laughs": laughs(10),
    "a million laughs in merged mappings": "\n".join(
        [f"a0: &a0 {{{', '.join(f'k{i}: 1' for i in range(500))}}}"]
        + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 8)]
    ),
    "what holds itself": "a: &a [*a]",
    "what holds itself further down": "a: &a {b: {c: *a}}",
    "two hundred thousand lists": "[" * 200_000,
    "two thousand mappings": "".join(f"{' ' * i}a:\n" for i in range(2_000)),
    "a list of a million": "a: [" + "1," * 1_000_000 + "]",
    "ten megabytes": "a: " + "x" * 10_000_000,
}


@pytest.mark.parametrize("content", EXPLODING.values(), ids=EXPLODING)
def test_what_would_explode_is_refused_before_it_is_built(content, file):
    """Two hundred thousand brackets end the interpreter itself, if PyYAML's fast loader meets them."""
    with pytest.raises(UserError, match=r"settings\.yaml.*(50 levels|100000 values|holds itself|too many for)"):
        read_yaml(file(content))


def test_anchors_and_merged_keys_remain_usable(file):
    content = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n"
    assert read_yaml(file(content)) == yaml.safe_load(content)


@pytest.mark.parametrize(
    "content", ["a: 1\nb: 2\na: 3\n", "b:\n  c: {d: 1, d: 2}\n", '"a": 1\na: 2\n', "x: &x {a: 1, a: 2}\ny: {<<: *x}\n"]
)
def test_what_is_said_twice_is_refused_with_its_line(content, file):
    with pytest.raises(UserError, match=r'settings\.yaml: line \d: the key "\w" is given twice'):
        read_yaml(file(content))


@pytest.mark.parametrize(
    "content", ["? [a, b]\n: 1\n", "? {a: 1}\n: 1\n", "a: \tb: c\n", "\ta: 1\n", b"a: \xff\n", "a: \0\n"]
)
def test_what_is_no_plain_yaml_is_a_message(content, file):
    with pytest.raises(UserError, match=r"settings\.yaml"):
        read_yaml(file(content))


def test_a_mark_of_the_byte_order_and_dates_are_read_as_people_mean_them(file):
    assert read_yaml(file("\ufeffa: 2026-01-01\r\nb: [on, 1]\r\n")) == {"a": "2026-01-01", "b": [True, 1]}


@pytest.mark.parametrize(
    "character", ["\0", "\x07", "\x1b", "\r", "\x7f", "\x85", "\x9b", "\u202e", "\u2066", "\ud800"]
)
def test_no_setting_holds_characters_that_command_or_mislead(character):
    for value in (f"a{character}b", {"key": {f"a{character}": 1}}, ["a", [f"{character}"]]):
        with pytest.raises(UserError, match="holds the control character") as caught:
            check({"title": value}, StrictValidator(True), "config/methods/cca.yaml")
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", ["name\n", "a\nb", "name\n\n"])
def test_no_name_ends_in_a_line_break(value):
    """Python's `$` lets one pass, in a command of a shell it would end the line."""
    schema = StrictValidator({"type": "string", "pattern": "^[a-z]+$"})
    check("name", schema, "here")
    with pytest.raises(UserError, match="does not match"):
        check(value, schema, "here")


# Names of classes and functions

# fmt: off
HARMFUL = [
    "os.system", "os.popen", "posix.system", "subprocess.run", "subprocess.Popen",
    "subprocess.getoutput", "builtins.eval", "builtins.exec", "builtins.open", "shutil.rmtree",
    "pickle.loads", "importlib.import_module", "antigravity.fly", "this.s", "pty.spawn",
    "runpy.run_path", "code.interact", "timeit.timeit", "types.FunctionType", "numpy.load",
    "torch.load", "pandas.read_pickle", "joblib.load", "setuptools.setup", "pip.main", "yaml.load",
    "cmr.files.write_text", "cmr.files.os", "cmr.assets.unpack.unpack", "cmr.assets.obtain.obtain",
    "cmr.__main__.main", "cmr.errors.run_main", "cmr.construct.call", "cmr.construct.import_module",
    "cmr_evil.read", "cmrevil.read", "__main__.main",
]
# fmt: on


@pytest.mark.parametrize("home", [METHODS, VIEWS, READERS])
@pytest.mark.parametrize("name", HARMFUL)
def test_a_name_reaches_nothing_but_what_it_is_for(name, home):
    before = {*sys.modules}
    with pytest.raises(UserError, match=r"must not be named|cannot be imported"):
        load(name, home)
    assert not {*sys.modules} - before & {"antigravity", "this", "pip", "setuptools"}


@pytest.mark.parametrize(
    "name",
    [
        *("cmr.datasets.table.Path", "cmr.datasets.table.csv", "cmr.datasets.table.UserError", "cmr.datasets.table.pa"),
        *("cmr.datasets.table.__builtins__", "cmr.datasets.table.__loader__", "cmr.datasets.table.__spec__"),
        *("cmr.datasets.images.Image", "cmr.datasets.folders.PurePosixPath", "cmr.datasets.table.__name__"),
    ],
)
def test_what_a_module_has_borrowed_is_not_its_own(name):
    with pytest.raises(UserError):
        construct.call(name, READERS, {})


@pytest.mark.parametrize(
    "end", ["; touch evil", "$(touch evil)", "`touch evil`", " ", "\n", "()", ".__globals__", "'", '"', "{input}", "-x"]
)
def test_a_name_is_no_more_than_a_name(end):
    name = f"cmr.datasets.table.read{end}"
    assert not exists(name, READERS) or end == ".__globals__"
    with pytest.raises(UserError):
        construct.call(name, READERS, {})


@pytest.mark.parametrize("name", ["", ".", "read", ".read", "cmr..table.read", "..cmr.datasets.table.read"])
def test_half_a_name_is_a_message(name):
    assert not exists(name, READERS)
    with pytest.raises(UserError):
        load(name, READERS)


CHANGES = {
    "a reader": ("datasets/wikipedia.yaml", lambda s, name: s.update(reader=name)),
    "a ready view": (
        "datasets/wikipedia.yaml",
        lambda s, name: s["views"]["text"]["lda10"].update(reader=name),
    ),
    "a method": ("methods/cca.yaml", lambda s, name: s.update(implementation=name)),
    "an image view": ("views/image.yaml", lambda s, name: s["gist"].update(implementation=name)),
    "a text view": ("views/text.yaml", lambda s, name: s["tfidf"].update(implementation=name)),
    "a network": ("views/image.yaml", lambda s, name: s["efficientnet_lite0"]["options"].update(architecture=name)),
    "a vectoriser": ("vectorisation.yaml", lambda s, name: s["vectorisers"]["bow"].update(implementation=name)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_harmful_name_is_refused_before_anything_runs(change, checkout):
    file, edit = change
    path = checkout / "config" / file
    original = read_yaml(path)
    for name in ("os.system", "cmr.files.write_text"):
        edit(original, name)
        path.write_text(yaml.safe_dump(original))
        with pytest.raises(UserError, match=rf'{path.name}.*"{name}" must not be named in a configuration'):
            Catalogue.read(checkout)


@pytest.mark.parametrize("value", ["/etc/passwd", "../../secret.txt", "a/../../b", ["a", "/b"], {"train": "../a"}])
def test_an_option_of_a_reader_stays_in_its_asset(value, checkout):
    path = checkout / "config/datasets/wikipedia.yaml"
    settings = read_yaml(path)
    path.write_text(yaml.safe_dump(settings | {"options": {"lists": value}}))
    with pytest.raises(UserError, match=r"wikipedia\.yaml: options: .* leads out of the asset"):
        Catalogue.read(checkout)


def test_a_module_of_the_users_own_can_be_named_and_runs_only_when_it_is_loaded(tmp_path, monkeypatch):
    """This is how new features and readers come in: such a module is the user's code, and is trusted."""
    (tmp_path / "own_readers.py").write_text(
        f"from os import system\nopen({str(tmp_path / 'imported')!r}, 'w')\ndef read(folders):\n    return [folders]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert exists("own_readers.read", READERS) and not (tmp_path / "imported").exists()
    assert construct.call("own_readers.read", READERS, 1) == [1]
    with pytest.raises(UserError, match="must not be named"):
        load("own_readers.system", READERS)


@pytest.mark.parametrize("place", ["site-packages", "dist-packages"])
def test_a_module_among_installed_packages_cannot_be_named_and_the_remedy_is_told(place, tmp_path, monkeypatch):
    (tmp_path / place).mkdir()
    (tmp_path / place / "installed_readers.py").write_text("def read(folders):\n    return []\n")
    monkeypatch.syspath_prepend(tmp_path / place)
    with pytest.raises(UserError, match="on PYTHONPATH or installed with `pip install --editable`"):
        load("installed_readers.read", READERS)


# Snakemake reads config.yaml and the command line itself


def test_snakemake_runs_nothing_that_its_configuration_names(unfinished):
    call = TAGS["a call"].format(evil="evil")
    overridden = unfinished.snakemake("-n", "all", "--config", f"studies={call}")
    with (unfinished.root / "config/config.yaml").open("a") as config:
        config.write(f"\nstudies: {call}\n")
    for run in (overridden, unfinished.snakemake("-n", "all")):
        assert run.returncode != 0
    assert not (unfinished.root / "evil").exists()


def test_config_yaml_says_nothing_twice(unfinished):
    with (unfinished.root / "config/config.yaml").open("a") as config:
        config.write("\nstudies: [quickstart]\n")
    run = unfinished.snakemake("-n", "all")
    assert run.returncode != 0 and 'the key "studies" is given twice' in run.stdout, run.stdout
