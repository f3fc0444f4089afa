"""The Containerfile makes the environment that everything else pins, and nothing of the project's code."""

import re
import tomllib
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
PYTHON_OF_DEBIAN = {"bookworm": "3.11", "trixie": "3.13"}
KNOWN = {"ARG", "CMD", "COMMENT", "COPY", "ENV", "FROM", "LABEL", "RUN", "WORKDIR"}


@pytest.fixture(scope="module")
def containerfile():
    return DockerfileParser(fileobj=BytesIO((ROOT / "Containerfile").read_bytes()))


def steps(containerfile, instruction):
    return [step["value"] for step in containerfile.structure if step["instruction"] == instruction]


def test_every_step_is_one_that_all_builders_know(containerfile):
    assert {step["instruction"] for step in containerfile.structure} - KNOWN == set()


def test_its_python_is_that_of_the_pins(containerfile):
    (default,) = [step.removeprefix("BASE=") for step in steps(containerfile, "ARG")]
    assert steps(containerfile, "FROM") == ["${BASE}"]
    release = re.fullmatch(r"docker\.io/library/debian:(\w+)-slim", default)[1]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert f"python={PYTHON_OF_DEBIAN[release]}" in environment["dependencies"]


def test_it_installs_the_pinned_files_and_no_other(containerfile):
    assert steps(containerfile, "COPY") == ["requirements.txt /tmp/requirements.txt"]
    installs = [line for step in steps(containerfile, "RUN") for line in step.split("&&") if "pip install" in line]
    assert len(installs) == 1
    assert "--require-hashes --requirement /tmp/requirements.txt" in installs[0]
    assert not re.search(r"\b(curl|wget|ADD|git clone)\b", containerfile.content)


def test_what_is_sent_to_the_builder_is_what_it_copies():
    ignored = [line for line in (ROOT / ".containerignore").read_text().split("\n") if line and line[0] != "#"]
    kept = {pattern[1:] for pattern in ignored if pattern.startswith("!")}
    assert "*" in ignored
    assert kept == {"requirements.txt"}
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()


def test_its_label_is_the_version_of_the_project(containerfile):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = " ".join(steps(containerfile, "LABEL"))
    assert f'image.version="{project["version"]}"' in labels
    assert f'image.licenses="{project["license"]}"' in labels


def test_its_programs_come_first_on_the_path(containerfile):
    (environment,) = steps(containerfile, "ENV")
    (workdir,) = steps(containerfile, "WORKDIR")
    assert re.search(r"\bPATH=/opt/cmr/bin:\$PATH", environment)
    assert f"PYTHONPATH={workdir}/src" in environment
    assert any("-m venv /opt/cmr" in step for step in steps(containerfile, "RUN"))


def test_the_workflow_names_an_image():
    assert 'container: config["container"]' in (ROOT / "Snakefile").read_text()
    assert yaml.safe_load((ROOT / "config/config.yaml").read_text())["container"].endswith(".sif")
