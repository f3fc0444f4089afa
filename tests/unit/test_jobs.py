"""How a job ends, and the last line of its log."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmr.jobs import duration

ROOT = Path(__file__).parents[2]


def log_of(body):
    """Status and standard error of a program whose `main` has this body."""
    imports = "import logging\nfrom cmr.errors import UserError\nfrom cmr.jobs import run_job\n"
    program = f"{imports}def main():\n    {body}\nrun_job(main)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_log_ends_with_what_was_done_and_how_long_it_took():
    status, log = log_of('logging.info("3 models trained")')
    assert status == 0
    assert log.startswith("3 models trained\ndone in ") and log.endswith(" s\n")


def test_log_of_a_failed_job_ends_with_its_error_and_after_how_long():
    status, log = log_of('raise UserError("no such view")')
    assert status == 1
    assert log.startswith("error: no such view\nfailed after ") and log.endswith(" s\n")


def test_defect_keeps_its_traceback():
    status, log = log_of("1 / 0")
    assert status == 1
    *traceback, error, last = log.splitlines()
    assert traceback[0].startswith("Traceback") and error == "ZeroDivisionError: division by zero"
    assert last.startswith("failed after ")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('raise OSError(28, "No space left on device", "results/stages")', "'results/stages'. Free or change the disk"),
        ("raise MemoryError", "Fewer --cores at a time"),
        ('raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried")', "Fewer --cores at a time"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB.')", "or give `device: cpu`"),
    ],
    ids=["disk", "memory", "memory of torch", "memory of a GPU"],
)
def test_what_the_machine_lacks_is_told_in_one_line_with_its_remedy(body, words):
    status, log = log_of(body)
    assert status == 1
    error, last = log.splitlines()
    assert error.startswith("error: ") and words in error and last.startswith("failed after ")


@pytest.mark.parametrize("wait", [0, 3], ids=["while it begins", "while it works"])
def test_job_ends_with_the_call_that_started_it(wait):
    """A call and its shell, of which the call alone is killed."""
    job = f"import time; print('begun', flush=True); time.sleep({3 - wait}); from cmr.jobs import run_job; "
    job += "run_job(lambda: time.sleep(300))"
    call = (
        "import subprocess; from cmr.jobs import announce_call; announce_call(); "
        f"subprocess.run(['sh', '-c', '\"{sys.executable}\" -c \"$JOB\"; :'])"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", call], env=os.environ | {"JOB": job}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with started:
        started.stdout.readline()
        time.sleep(wait)
        started.kill()
        assert b"stopped: the call of Snakemake that started this job has ended" in started.stderr.read()


def test_job_on_another_machine_has_another_call(monkeypatch):
    monkeypatch.setenv("CMR_CALLER", f"{os.getpid()} elsewhere pid:[1]")
    status, log = log_of("import time; time.sleep(2)")
    assert status == 0 and "stopped" not in log


def test_job_that_is_only_asked_for_help_tells_no_time():
    assert log_of("raise SystemExit") == (0, "")


RULES = "".join(path.read_text("utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))


@pytest.mark.parametrize("script", sorted(set(re.findall(r"python (scripts/\w+\.py)", RULES))))
def test_every_script_of_a_rule_is_run_as_a_job(script):
    assert (ROOT / script).read_text("utf-8").endswith('\n\nif __name__ == "__main__":\n    run_job(main)\n')


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.31, "0.3 s"),
        (12.4, "12 s"),
        (59.7, "1 min"),
        (185, "3 min 5 s"),
        (3599, "1 h"),
        (7500, "2 h 5 min"),
        (86399, "1 d"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_are_told_in_their_two_largest_units(seconds, words):
    assert duration(seconds) == words
