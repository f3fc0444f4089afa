"""The environments carry the same pins, and every direct dependency is pinned."""

import importlib.util
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def name_of(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-")


def pinned():
    return lock_environment().pins((ROOT / "requirements.txt").read_text())


def lock_environment():
    spec = importlib.util.spec_from_file_location("lock_environment", ROOT / "scripts/lock_environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_line_is_one_exact_pin():
    assert [line for line in pinned() if not re.match(r"[A-Za-z0-9._-]+==[0-9][^ ;]*( ; .+)?$", line)] == []


def test_every_pin_has_digests_so_that_pip_installs_nothing_else():
    blocks = re.split(r"\n(?=[a-z])", re.sub(r"(?m)^#.*\n", "", (ROOT / "requirements.txt").read_text()))
    assert len(blocks) == len(pinned())
    assert [block for block in blocks if not re.search(r"\\\n    --hash=sha256:[0-9a-f]{64}\b", block)] == []
    assert "--require-hashes --requirement requirements.txt" in (ROOT / "Makefile").read_text()


def test_every_direct_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    assert {name_of(r) for r in direct} - {name_of(r) for r in pinned()} == set()


def test_installed_versions_are_the_pinned_ones():
    from importlib.metadata import version

    for line in pinned():
        name, _, rest = line.partition("==")
        if ";" not in rest:
            assert version(name) == rest, name


def test_conda_installs_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert pip == pinned(), "run `python scripts/lock_environment.py`"
    # Conda brings Python and pip alone: any other package would be a second set of pins.
    assert [item for item in environment["dependencies"] if isinstance(item, str)] == ["python=3.11", "pip"]
