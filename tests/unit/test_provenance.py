"""Which commit results say that they were made by, in repositories made for it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cmr import provenance

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
IDENTITY = {f"GIT_{role}_{what}": "made" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | IDENTITY
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def make_repository(root):
    """A repository with one commit of a library's only module and of a file beside it."""
    (root / "src/cmr").mkdir(parents=True)
    for file in ("src/cmr/provenance.py", "README"):
        (root / file).write_text("made\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "made")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def told(monkeypatch):
    """What the library says that lies at a path."""

    def commit(file: Path) -> str | None:
        monkeypatch.setattr(provenance, "__file__", str(file))
        provenance.commit.cache_clear()
        return provenance.commit()

    yield commit
    provenance.commit.cache_clear()


def test_the_commit_is_that_of_the_checkout_and_marked_where_tracked_files_differ(tmp_path, told):
    head, library = make_repository(tmp_path), tmp_path / "src/cmr/provenance.py"
    assert told(library) == head
    (tmp_path / "results").write_text("of nobody's concern")
    assert told(library) == head
    os.utime(tmp_path / "README", (1, 1))  # another time, the same content
    assert told(library) == head
    (tmp_path / "README").write_text("other")
    assert told(library) == f"{head}+"
    git(tmp_path, "tag", "--annotate", "v1", "--message", "a name that describes the commit as well")
    assert told(library) == f"{head}+"


def test_what_a_hook_s_environment_names_is_not_looked_at(tmp_path, told, monkeypatch):
    head = make_repository(tmp_path / "own")
    make_repository(tmp_path / "other")
    (tmp_path / "other/README").write_text("other")
    for name, path in (("GIT_DIR", "other/.git"), ("GIT_WORK_TREE", "other"), ("GIT_INDEX_FILE", "other/.git/index")):
        monkeypatch.setenv(name, str(tmp_path / path))
    assert told(tmp_path / "own/src/cmr/provenance.py") == head


def test_without_a_repository_of_its_own_or_git_there_is_no_commit(tmp_path, told, monkeypatch):
    make_repository(tmp_path / "somebody's")
    installed = tmp_path / "somebody's/.venv/cmr/provenance.py"  # no file of that repository
    bare = tmp_path / "bare/provenance.py"
    for file in (installed, bare):
        file.parent.mkdir(parents=True)
        file.write_text("made\n")
        assert told(file) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert told(tmp_path / "somebody's/src/cmr/provenance.py") is None


def test_what_pip_has_left_of_a_package_is_none(tmp_path, monkeypatch):
    (tmp_path / "~umpy-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert provenance.packages()["numpy"] == provenance.versions()["numpy"]
