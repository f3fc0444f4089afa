"""The last line of a job's log."""

import subprocess
import sys
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


def test_job_that_is_only_asked_for_help_tells_no_time():
    assert log_of("raise SystemExit") == (0, "")


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_every_script_is_run_as_a_job(script):
    assert script.read_text("utf-8").endswith('\n\nif __name__ == "__main__":\n    run_job(main)\n')


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
