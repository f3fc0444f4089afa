"""Killed runs go on where they were, and end as if nothing had happened."""

import os
import signal
import subprocess
import time

import pytest

from tests.made_project import STUDY


def kill_when(project, pattern, target, timeout=180):
    """Start Snakemake, and kill it and its jobs with SIGKILL once a file matches the pattern."""
    process = subprocess.Popen(
        project.command(target),
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    while not list(project.root.glob(pattern)):
        assert process.poll() is None, f"snakemake ended before a file matched {pattern}"
        assert time.monotonic() < deadline, f"no file matched {pattern}"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    ("pattern", "target", "log", "message"),
    [
        (
            "data/views/shapes/image/.*.parts/*/0*.h5",
            "data/views/shapes/image/efficientnet_lite0.h5",
            "views/shapes/image/efficientnet_lite0.log",
            "going on after",
        ),
        (
            "results/runs/**/corr_ae/checkpoints/[0-9a-f]*.h5",  # whole, not the file that is being written
            f"{STUDY}/results.csv",
            "runs/shapes/random-0/efficientnet_lite0+tfidf/corr_ae/train.log",
            "going on from checkpoint",
        ),
    ],
    ids=["extraction", "training"],
)
def test_killed_run_resumes_to_identical_results(unfinished, undisturbed, pattern, target, log, message):
    kill_when(unfinished, pattern, target)
    assert list(unfinished.root.glob(pattern)), "the kill came after the end of the job"
    assert not (unfinished.root / STUDY / "results.csv").exists()
    assert unfinished.snakemake("--unlock").returncode == 0
    run = unfinished.snakemake("all")
    assert run.returncode == 0, run.stdout
    assert message in (unfinished.root / "results/logs" / log).read_text()
    assert unfinished.results() == undisturbed.results()
    assert not list(unfinished.root.glob(pattern)), "what was kept for resuming is removed at the end"


def test_run_is_the_same_on_one_core(unfinished, undisturbed):
    run = unfinished.snakemake(f"{STUDY}/results.csv", cores=1)
    assert run.returncode == 0, run.stdout
    name = f"{STUDY}/results.csv"
    assert unfinished.results()[name] == undisturbed.results()[name]
