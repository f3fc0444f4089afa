"""Two calls in one folder: the second is told so and leaves the first alone; a lock of a killed call is named."""

import signal
import time

import pytest

from tests.faults.calls import TARGET, VIEW, Call, assert_same, unlocked
from tests.made_project import copy_of


@pytest.mark.parametrize("targets", [(TARGET, VIEW), (VIEW, "all")], ids=["larger first", "smaller first"])
def test_the_second_call_says_that_another_is_at_work(light, undisturbed_light, tmp_path, targets):
    project = copy_of(light, tmp_path)
    first = Call(project, targets[0])
    first.wait_for("data/raw/shapes/asset.json")
    second = project.snakemake(targets[1])
    assert first.process.poll() is None
    assert second.returncode == 1
    words = " ".join(second.stdout.split())
    assert "make sure that no other Snakemake process is trying to create the same files" in words
    assert str(project.root) in words
    assert "--unlock" in words
    assert first.end() == 0, first.words()
    assert not unlocked(project)
    assert (project.root / VIEW).read_bytes() == (undisturbed_light.root / VIEW).read_bytes()
    if targets[0] == TARGET:
        assert_same(project, undisturbed_light, TARGET)


def test_jobs_end_with_their_call_so_that_the_next_one_is_alone(undisturbed_light, tmp_path):
    """Snakemake alone is killed."""
    project = copy_of(undisturbed_light, tmp_path)
    run = project.root / "results/runs/shapes/random-0/lab_histogram+tfidf/corr_ae"
    (run / "model.h5").unlink()
    call = Call(project, str((run / "model.h5").relative_to(project.root)))
    while not call.jobs():
        assert call.process.poll() is None, call.words()
        time.sleep(0.01)
    call.process.send_signal(signal.SIGKILL)
    call.end()
    assert not (run / "model.h5").exists()
    assert unlocked(project)
