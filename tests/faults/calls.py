"""Calls of Snakemake that are disturbed, and what must hold of their project afterwards."""

import json
import os
import random
import re
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - HDF5 finds its filters by it
import pandas as pd
import psutil
from PIL import Image

from tests.made_project import STUDY
from tests.project import Project

WHOM = ("group", "snakemake", "job")
TARGET = f"{STUDY}/tables/map_all.csv"  # of all that the study makes, what takes no pictures and pages
VIEW = "data/views/shapes/image/lab_histogram.h5"
PATIENCE = 300  # seconds, for what should take a few even on a busy machine


class Call:
    """A call of Snakemake in a process group of its own, whose output goes to a file."""

    def __init__(self, project: Project, *arguments: str, cores: int = 2, environment: dict[str, str] | None = None):
        self.project, self.told = project, project.root / "told.txt"
        with self.told.open("w") as told:
            self.process = psutil.Popen(
                project.command(*(arguments or ("all",)), cores=cores),
                cwd=project.root,
                env=project.environment | (environment or {}),
                stdout=told,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_listen,
            )

    def jobs(self) -> list[psutil.Process]:
        """Processes of scripts that are running."""
        return [child for child in _children(self.process) if "scripts/" in " ".join(_command(child)[1:2])]

    def workers(self) -> list[psutil.Process]:
        """Processes that jobs have started to share their work."""
        return [child for child in _children(self.process) if "spawn_main" in " ".join(_command(child))]

    def send(self, number: signal.Signals, whom: str, chance: random.Random) -> None:
        """A signal to all processes of the call, to Snakemake alone, or to one job alone, whenever one runs."""
        if whom == "group":
            with _gone():
                os.killpg(self.process.pid, number)
        elif whom == "snakemake":
            with _gone():
                self.process.send_signal(number)
        else:
            while self.process.poll() is None:
                if jobs := self.jobs():
                    with _gone():
                        chance.choice(jobs).send_signal(number)
                    return
                time.sleep(0.01)

    def end(self) -> int:
        """Wait until Snakemake and all that it started have ended; its status."""
        status = self.process.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while alive := processes_in(self.project.root):
            assert time.monotonic() < deadline, f"still there after the call's end: {list(map(_command, alive))}"
            time.sleep(0.05)
        return status

    def wait_for(self, pattern: str) -> Path:
        """Until a file of the project matches the pattern."""
        deadline = time.monotonic() + PATIENCE
        while not (found := list(self.project.root.glob(pattern))):
            assert self.process.poll() is None, f"snakemake ended before a file matched {pattern}: {self.words()}"
            assert time.monotonic() < deadline, f"no file matched {pattern}"
            time.sleep(0.005)
        return found[0]

    def words(self) -> str:
        return self.told.read_text()


def _listen() -> None:
    """Whatever starts the tests in the background has them ignore what a terminal sends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Those at work in a folder."""
    found = []
    for process in psutil.process_iter():
        with _gone():
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                found.append(process)
    return found


def _children(process: psutil.Process) -> list[psutil.Process]:
    with _gone():
        return process.children(recursive=True)
    return []


def _command(process: psutil.Process) -> list[str]:
    with _gone():
        return process.cmdline()
    return []


@contextmanager
def _gone():
    """A process may end while it is looked at."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, FileNotFoundError):
        yield


def unlocked(project: Project) -> bool:
    """Remove the lock of a killed call, if one is left; the user must have been told how."""
    if not list(project.root.glob(".snakemake/locks/*")):
        return False
    refused = project.snakemake(TARGET)
    assert refused.returncode == 1, refused.stdout
    assert "can be removed with the --unlock argument" in " ".join(refused.stdout.split())
    assert project.snakemake("--unlock").returncode == 0
    return True


def rerun(project: Project, target: str = "all") -> float:
    """Run the study to its end; the seconds that it took."""
    start = time.monotonic()
    run = project.snakemake(target)
    assert run.returncode == 0, run.stdout
    return time.monotonic() - start


def produced(project: Project) -> set[str]:
    """Names of all files and folders that a call leaves below data/ and results/, temporary ones included."""
    found: set[str] = set()
    for folder in ("data", "results"):
        for path, folders, files in os.walk(project.root / folder):
            found.update(os.path.relpath(Path(path) / name, project.root) for name in (*folders, *files))
    return found


def assert_same(project: Project, undisturbed: Project, target: str = "all") -> None:
    """Identical numbers, and the very same files: nothing is missing, and nothing temporary is left."""
    expected, numbers = produced(undisturbed), undisturbed.results()
    if target == TARGET:
        expected = {name for name in expected if not re.search("/(figures|report|lock)", name)}
    assert produced(project) == expected
    assert project.results() == numbers


def assert_whole(project: Project) -> None:
    """Every file that stands under its final name can be read in full, by libraries that know nothing of ours."""
    for folder in ("data", "results"):
        for path in (project.root / folder).rglob("*"):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(project.root).parts):
                _read_in_full(path)


def _read_in_full(path: Path) -> None:
    try:
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                arrays = []
                file.visititems(lambda _, item: arrays.append(item) if isinstance(item, h5py.Dataset) else None)
                for array in arrays:
                    array[()]  # each chunk is compared with its checksum
                    assert "sha256" in array.attrs
        elif path.suffix == ".parquet":
            pd.read_parquet(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix in (".html", ".svg"):
            assert path.read_text().rstrip().endswith((f"</{path.suffix[1:]}>",))
        elif path.suffix in (".csv", ".md", ".tex"):
            assert path.read_text().endswith("\n")
    except Exception as error:
        raise AssertionError(f"{path} is not whole: {error!r}") from error
