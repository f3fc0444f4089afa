"""A cluster for the tests of this folder, and calls of Snakemake whose jobs it runs."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.made_project import copy_of
from tests.project import Project
from tests.slurm.cluster import Cluster, obstacle, wait_until

RUN = "results/runs/shapes/random-0/lab_histogram+tfidf/corr_ae"
ON_CLUSTER = ("--profile", "profiles/slurm", "--config", "device=cpu")
TRAIN_LOG = "results/logs/runs/shapes/random-0/lab_histogram+tfidf/corr_ae/train.log"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """One node, idle; the tests are skipped where it cannot be started. A machine has one such cluster at a time."""
    if reason := obstacle():
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    with FileLock("/run/lock/cmr-tests-slurm.lock"):
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def half_done(undisturbed_light, tmp_path) -> Project:
    """The light study, finished but for its network, which is to be trained anew."""
    project = copy_of(undisturbed_light, tmp_path)
    for folder in (RUN, "results/stages", "results/studies", "results/report"):
        shutil.rmtree(project.root / folder)
    return project


@dataclass(frozen=True)
class Stopped:
    """A process within a job of SLURM's."""

    pid: int

    @property
    def environment(self) -> dict[str, str]:
        text = Path(f"/proc/{self.pid}/environ").read_text()
        return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def exists(self) -> bool:
        return Path(f"/proc/{self.pid}").exists()


@dataclass
class Call:
    """One call of Snakemake under the profile of clusters, in the background."""

    project: Project
    process: subprocess.Popen
    log: Path

    @classmethod
    def begin(cls, project: Project, *arguments: str) -> "Call":
        prompt = ["--slurm-init-seconds-before-status-checks", "9", "--max-status-checks-per-second", "10"]
        command = project.command("all", *ON_CLUSTER, *prompt, "--latency-wait", "5", *arguments)
        # What starts tests may ignore interrupts, and its children then do too.
        command = ["env", "--default-signal=INT", *command]
        log = project.root.parent / f"call-{time.monotonic_ns()}.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                command,
                cwd=project.root,
                env=project.environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        return cls(project, process, log)

    def end(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self.process.wait(300)

    @property
    def output(self) -> str:
        return self.log.read_text()

    def stop_training(self, at_checkpoint: bool) -> "Stopped":
        """The network's training, which stands still: soon, or from its next checkpoint on."""
        before = self._checkpoints()

        def caught() -> Stopped | None:
            assert self.process.poll() is None, self.output
            for pid in self._trainings():
                while at_checkpoint and not self._checkpoints() - before:
                    if not Path(f"/proc/{pid}").exists():
                        return None
                    time.sleep(0.002)
                stopped = Stopped(pid)
                stopped.send(signal.SIGSTOP)
                return stopped
            return None

        return wait_until(caught, "a training is at work", 240)

    def _checkpoints(self) -> set[tuple[str, int]]:
        files = (self.project.root / RUN / "checkpoints").glob("[0-9a-f]*.h5")
        return {(file.name, file.stat().st_mtime_ns) for file in files}

    def _trainings(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                here = (folder / "cwd").resolve() == self.project.root
            except OSError:
                continue
            if here and b"scripts/train.py" in words[:3] and any(b"/corr_ae/" in word for word in words):
                found.append(int(folder.name))
        return found
