"""Calls that are killed at random moments lose nothing, and go on to the same numbers.

The whole sweep, of independent kills for every signal, takes long: `CMR_KILLS=20 pytest tests/faults/test_kills.py`.
"""

import os
import random
import shutil
import signal
import time

import pytest

from tests.faults.calls import TARGET, WHOM, Call, assert_same, assert_whole, produced, rerun, unlocked
from tests.made_project import copy_of

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
RUN = "shapes/random-0/lab_histogram+tfidf/corr_ae"
KILLS = int(os.environ.get("CMR_KILLS", "0"))  # independent ones, of each signal
FILES = 180  # that a call makes, one after another
STEP = 50  # files at most between two kills of a chain


def disturb(project, number, whom, after, chance):
    """A call that gets a signal when `after` files have been made, or a moment later."""
    before, call = len(produced(project)), Call(project, TARGET)
    while len(produced(project)) - before < after and call.process.poll() is None:
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.5))
    call.send(number, whom, chance)
    return call.end()


def test_a_call_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(light, undisturbed_light, tmp_path):
    project, seed = copy_of(light, tmp_path), random.randrange(10**6)
    chance, status, kills = random.Random(seed), None, []
    while status != 0:
        assert len(kills) < 40, f"seed {seed}: no progress in {kills}"
        kills.append((chance.choice(SIGNALS), chance.choice(WHOM), chance.randrange(STEP)))
        status = disturb(project, *kills[-1], chance)
        print(f"seed {seed}: {kills[-1]}, status {status}")
        assert_whole(project)
        unlocked(project)
    assert_same(project, undisturbed_light, TARGET)


@pytest.mark.parametrize(
    ("kept", "log", "message"),
    [
        ("data/views/shapes/image/.*.parts/*/0*.h5", "views/shapes/image/lab_histogram.log", "going on after"),
        (f"results/runs/{RUN}/checkpoints/[0-9a-f]*.h5", f"runs/{RUN}/train.log", "going on from checkpoint"),
    ],
    ids=["extraction", "training"],
)
def test_long_work_goes_on_where_it_was(light, undisturbed_light, tmp_path, kept, log, message):
    """Killed once something is kept for that; only whole files are, not the one that is being written."""
    project = copy_of(light, tmp_path)
    call = Call(project, TARGET)
    call.wait_for(kept)
    call.send(signal.SIGKILL, "group", None)
    call.end()
    assert list(project.root.glob(kept)), "the kill came after the end of the job"
    assert unlocked(project)
    rerun(project, TARGET)
    assert message in (project.root / "results/logs" / log).read_text()
    assert_same(project, undisturbed_light, TARGET)


@pytest.mark.skipif(not KILLS, reason="long: asked for by CMR_KILLS=20, the number of kills by each signal")
@pytest.mark.parametrize("kind", SIGNALS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("number", range(KILLS))
def test_a_kill_at_any_moment_loses_nothing(light, undisturbed_light, tmp_path, number, kind):
    project, chance = copy_of(light, tmp_path), random.Random(f"{kind.name} {number}")
    whom, after = chance.choices(WHOM, (2, 1, 1))[0], chance.randrange(FILES)
    status = disturb(project, kind, whom, after, chance)
    assert_whole(project)
    locked = unlocked(project)
    seconds = rerun(project, TARGET)
    assert_same(project, undisturbed_light, TARGET)
    told = f"{kind.name} {whom} after {after} files: status {status}, locked {locked}, recovered in {seconds:.1f} s"
    print(told)
    shutil.rmtree(project.root)
