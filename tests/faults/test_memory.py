"""A job that memory runs out for: the others go on, and the message says which it was, why, and what to do."""

import os
import signal
import sys
import time

import pytest

from tests.faults.calls import TARGET, VIEW, Call, assert_same, rerun
from tests.made_project import copy_of


def test_a_job_that_the_kernel_kills_is_named_with_cause_and_remedy(light, undisturbed_light, tmp_path):
    project = copy_of(light, tmp_path)
    call = Call(project, TARGET)
    while not (found := [job for job in call.jobs() if "cmr.methods.deep.corr_ae.CorrAE" in job.cmdline()]):
        assert call.process.poll() is None, call.words()
        time.sleep(0.01)
    found[0].send_signal(signal.SIGKILL)
    assert call.end() == 1
    told = call.words().partition("1 failed")[2]
    assert "failed: train: dataset shapes, split random-0" in told and "method corr_ae" in told
    assert "It was killed, perhaps because memory ran out: fewer --cores need less of it." in told
    assert "give the same command again" in told
    others = [f"results/runs/shapes/random-0/lab_histogram+tfidf/{name}/metrics.parquet" for name in ("cca", "random")]
    assert all((project.root / other).exists() for other in others)
    rerun(project, TARGET)
    assert_same(project, undisturbed_light, TARGET)


@pytest.mark.parametrize("kilobytes", [100_000, 700_000], ids=["to begin", "to compute"])
def test_a_job_with_too_little_memory_is_no_half_work(undisturbed_light, tmp_path, kilobytes):
    """The kernel refuses memory, wherever the job first asks for too much of it."""
    project = copy_of(undisturbed_light, tmp_path)
    before = (project.root / VIEW).read_bytes()
    (project.root / VIEW).unlink()
    call = Call(project, VIEW, environment=_little_memory_for("extract_image_view.py", kilobytes, tmp_path))
    assert call.end() == 1
    assert "failed: extract_image_view: dataset shapes, image view lab_histogram" in call.words()
    assert not (project.root / VIEW).exists()
    rerun(project, VIEW)
    assert (project.root / VIEW).read_bytes() == before


def test_a_worker_that_is_killed_ends_its_job_with_cause_and_remedy(undisturbed_light, tmp_path):
    project = copy_of(undisturbed_light, tmp_path)
    before = (project.root / VIEW).read_bytes()
    (project.root / VIEW).unlink()
    call = Call(project, VIEW)
    while not (found := call.workers()):
        assert call.process.poll() is None, call.words()
        time.sleep(0.01)
    found[0].send_signal(signal.SIGKILL)
    assert call.end() == 1
    assert "error: memory ran out, or a process that this job needs was killed" in call.words()
    assert "Fewer --cores" in call.words()
    rerun(project, VIEW)
    assert (project.root / VIEW).read_bytes() == before


def _little_memory_for(script, kilobytes, folder):
    wrapper = folder / "bin/python"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *{script}*) ulimit -v {kilobytes} ;; esac\nexec "{sys.executable}" "$@"\n'
    )
    wrapper.chmod(0o755)
    return {"PATH": os.pathsep.join([str(wrapper.parent), os.environ["PATH"]])}
