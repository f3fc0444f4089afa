"""What a call of Snakemake shows while it runs, from made events at made times."""

import io
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_cmr import LogHandler
from snakemake_logger_plugin_cmr.failures import ending
from snakemake_logger_plugin_cmr.progress import STAGES, Progress, earlier_seconds

ROOT = Path(__file__).parents[2]
START = 1_000_000.0


def record(seconds, event=None, message="", level=logging.INFO, **more):
    made = logging.LogRecord("snakemake", level, "", 0, message, (), None)
    made.created = START + seconds
    made.__dict__.update(more | ({"event": event} if event else {}))
    return made


class Call:
    """A call of Snakemake as a logger sees it."""

    def __init__(self, take, cores=2, **stats):
        self.take = take
        take(record(0, LogEvent.RESOURCES_INFO, cores=cores))
        take(record(0, LogEvent.RUN_INFO, stats={**stats, "all": 1, "total": sum(stats.values()) + 1}))

    def start(self, seconds, job, rule, threads=1, **wildcards):
        resources = {"_cores": threads, "_nodes": 1, "tmpdir": "/tmp"}
        more = {"jobid": job, "rule_name": rule, "wildcards": wildcards, "resources": resources}
        self.take(record(seconds, LogEvent.JOB_INFO, **more))

    def finish(self, seconds, job):
        self.take(record(seconds, LogEvent.JOB_FINISHED, job_id=job))

    def fail(self, seconds, job, log="a.log", output="a.h5", ended="returned non-zero exit status 1"):
        command = f"python scripts/train.py > {log} 2>&1"
        said = f"CalledProcessError: Command 'set -e;  {command}' {ended}."
        self.take(record(seconds, LogEvent.ERROR, said, logging.ERROR, exception="RuleException"))
        more = {"jobid": job, "log": [str(log)], "output": [output], "shellcmd": command}
        self.take(record(seconds, LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, **more))


def counted(earlier=None, **settings):
    progress = Progress(earlier or {})
    return progress, Call(progress.take, **settings)


def test_jobs_are_counted_by_stage_without_the_rule_that_only_names_files():
    progress, call = counted(obtain_asset=1, train=2, evaluate=2, make_report=1)
    call.start(0, 1, "obtain_asset")
    call.finish(3, 1)
    assert progress.stages() == {"assets": (1, 1), "runs": (0, 4), "studies": (0, 1)}
    assert progress.summary(START + 3).startswith("1 of 6 jobs done, 0 running, ")


def test_every_stage_but_the_last_names_rules_that_exist():
    text = "".join(file.read_text("utf-8") for file in (ROOT / "workflow/rules").glob("*.smk"))
    rules = set(re.findall(r"^(?:use rule \w+ as|rule) (\w+)", text, re.MULTILINE))
    named = {rule for stage in STAGES.values() for rule in stage}
    assert named <= rules
    reporting = {"compare_vectorisers", "summarise_vectorisers", "vectorisation"}
    reporting |= {"judge_paper", "check_claims", "lock_study"}
    assert {rule for rule in rules - named if not rule.startswith(("make_", "collect_"))} == reporting


def test_snakefile_and_not_this_package_decides_whose_library_is_imported():
    program = "import sys, snakemake_logger_plugin_cmr; print('cmr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_nothing_is_said_of_time_before_anything_is_known_of_a_quarter_of_the_jobs():
    progress, call = counted(train=4, evaluate=20)
    call.start(0, 1, "train")
    assert progress.time_left(START + 50) == "time left unknown yet"
    call.finish(60, 1)
    assert progress.time_left(START + 60) == "time left unknown yet"  # evaluate: 20 of 23
    call.start(60, 2, "evaluate")
    call.finish(61, 2)
    # 3 trainings of 60 s and 19 evaluations of 1 s on 2 cores: 99.5 s
    assert progress.time_left(START + 61) == "about 2 min left"


def test_time_is_a_lower_bound_while_a_rule_is_unknown():
    progress, call = counted(cores=1, train=5, evaluate=1)
    call.start(0, 1, "train")
    call.finish(120, 1)
    assert progress.time_left(START + 120) == "at least 8 min left"


def test_jobs_that_take_all_cores_run_one_after_the_other():
    progress, call = counted(cores=8, extract_image_view=11)
    call.start(0, 1, "extract_image_view", threads=8)
    call.finish(60, 1)
    assert progress.time_left(START + 60) == "about 10 min left"


def test_stages_wait_for_each_other_however_many_cores_there_are():
    progress, _ = counted({"train": 300, "make_report": 120}, cores=64, train=1, make_report=1)
    assert progress.time_left(START) == "about 7 min left"


def test_running_job_shortens_what_is_left_and_is_given_longer_once_it_outlives_the_mean():
    progress, call = counted({"train": 600}, cores=1, train=1)
    call.start(0, 1, "train")
    assert progress.time_left(START + 300) == "about 6 min left"  # of a mean that the 300 s have raised to 630 s
    assert progress.time_left(START + 7200) == "about 60 min left"


def test_quick_jobs_that_finish_first_do_not_pass_for_all():
    progress, call = counted(cores=2, train=20)
    call.start(0, 1, "train")
    call.start(0, 2, "train")
    call.finish(1, 1)
    # One second each would be 10 s; the other one is at work for 5 min already.
    assert progress.time_left(START + 300) == "about 45 min left"


def test_earlier_calls_are_read_from_what_snakemake_keeps(tmp_path):
    for number, seconds in enumerate([2, 4]):
        made = f'{{"rule": "train", "starttime": 10.0, "endtime": {10 + seconds}.0}}'
        (tmp_path / f"file{number}").write_text(made)
    (tmp_path / "unfinished").write_text('{"rule": "train", "starttime": 10.0, "endtime": null}')
    (tmp_path / "damaged").write_text('{"rule": "tr')
    (tmp_path / "folder").mkdir()
    assert earlier_seconds(tmp_path) == {"train": 3.0}
    assert earlier_seconds(tmp_path / "nowhere") == {}


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """A handler that writes to a file, and what it has written; nothing but events moves its clock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr(LogHandler, "_tick", lambda self: None)
    monkeypatch.setattr(time, "time", lambda: START + 100)
    handler = LogHandler(OutputSettings(), None)
    return handler, handler.stream.getvalue


def test_file_gets_a_line_at_each_new_stage_and_every_ten_seconds_at_most(shown):
    handler, text = shown
    call = Call(handler.emit, train=30, make_report=1)
    for job in range(30):
        call.start(job, job, "train", method="cca")
        call.finish(job + 1, job)
    call.start(31, 31, "make_report", study="small")
    lines = text().splitlines()
    assert [re.search(r"(\w+ \d+/\d+)\. ", line)[1] for line in lines] == [
        "runs 0/30",
        "runs 10/30",
        "runs 20/30",
        "studies 0/1",
    ]
    assert "10 of 31 jobs done, 1 running, at least a minute left. At work: train cca (00:00)" in lines[1]
    assert "\x1b" not in text() and "\r" not in text()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_terminal_gets_one_block_with_a_bar_a_stage_and_what_is_at_work(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setattr(LogHandler, "_tick", lambda self: None)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    handler = LogHandler(OutputSettings(), None)
    call = Call(handler.emit, train=7, evaluate=1)
    for job in range(6):
        call.start(0, job, "train", method=f"method{job}")
    call.finish(65, 0)
    handler.emit(record(66, None, "something is odd", logging.WARNING))
    handler.emit(record(66, LogEvent.PROGRESS))
    shown = handler.stream.getvalue()
    assert "something is odd" in shown
    block = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[shown.rindex("runs") :]).splitlines()
    assert block[0].endswith("  1 of 8")
    # 65 s of one job and 5 * 66 s so far make 395 s a job; on 2 cores (5 * (395 - 66) + 395) / 2 = 1020 s are left.
    assert block[1] == "1 of 8 jobs done, 5 running, at least 17 min left"
    assert [line.split()[1] for line in block[2:6]] == ["method1", "method2", "method3", "method4"]
    assert block[6].strip() == "and 1 more"
    handler.close()
    assert handler.stream.getvalue().rstrip().endswith("7 not run\nStopped. The same command goes on from here.")


def test_line_is_of_the_first_stage_at_work_though_an_earlier_one_cannot_be_finished(shown):
    handler, text = shown
    call = Call(handler.emit, read_view=1, train=2, evaluate=2, make_report=1)
    call.start(0, 1, "read_view")
    call.start(0, 2, "train")
    call.finish(1, 1)
    call.fail(2, 2)
    call.start(3, 3, "make_report")
    call.start(4, 4, "train")
    assert [line.split()[1] for line in text().splitlines() if line[2] == ":"] == ["views", "runs", "studies"]


def test_failed_jobs_are_listed_at_the_end_with_the_ends_of_their_logs(shown):
    handler, text = shown
    log = Path("train.log")
    log.write_text("".join(f"line {number}\n" for number in range(50)) + "error: no such view\nfailed after 3.1 s\n")
    call = Call(handler.emit, train=2, evaluate=2)
    call.start(0, 1, "train", dataset="shapes", basis="", image_view="bow")
    call.fail(2, 1, log=log, output="results/model.h5")
    call.start(2, 2, "train", dataset="other")
    call.finish(3, 2)
    call.start(3, 3, "evaluate", dataset="other")
    call.finish(4, 3)
    handler.emit(record(5, None, "Exiting because a job execution failed. Look above", logging.ERROR))
    handler.close()
    end = text().partition("2 of 4 jobs done")[2]
    assert end.startswith(" in 01:40, 1 failed, 1 not run\n")
    assert "failed: train: dataset shapes, image view bow\n  log: train.log\n" in end
    assert end.count("\n      ") == 10 and "      line 42\n" in end
    assert "      error: no such view\n      failed after 3.1 s\n" in end
    assert "snakemake --cores 1 results/model.h5" in end
    assert "killed" not in end and "Exiting" not in text() and "scripts/train.py" not in text()


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ("returned non-zero exit status 137", "It was killed, perhaps because memory ran out: fewer --cores"),
        ("died with <Signals.SIGKILL: 9>", "It was killed, perhaps because memory ran out: fewer --cores"),
        ("returned non-zero exit status 139", "It crashed (SIGSEGV), perhaps because memory ran out: fewer --cores"),
        ("died with <Signals.SIGTERM: 15>", "It was told to end (SIGTERM)"),
    ],
)
def test_job_that_a_signal_ended_is_said_to_be(shown, ended, words):
    handler, text = shown
    call = Call(handler.emit, train=1)
    call.start(0, 1, "train")
    call.fail(2, 1, ended=ended)
    handler.close()
    assert words in text()
    assert "cannot be read: No such file or directory" in text()


def test_full_disk_of_a_log_is_told_where_the_log_is_empty(shown, tmp_path, monkeypatch):
    handler, text = shown
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=40_000))
    (tmp_path / "train.log").touch()
    call = Call(handler.emit, train=1)
    call.start(0, 1, "train")
    call.fail(2, 1, log=tmp_path / "train.log")
    handler.close()
    assert f"The disk of {tmp_path} is full (0.0 MB are left): free or change it." in text()
    assert "(empty)" in text()


def test_what_a_cluster_says_of_a_failed_job_is_told(shown):
    handler, text = shown
    call = Call(handler.emit, train=1)
    call.start(0, 1, "train")
    advice = (
        "Detailed failure reason unavailable (status command is not 'sacct').For further error details see the log."
    )
    said = f"SLURM-job '5' failed, SLURM status is: 'TIMEOUT'. {advice}"
    more = {"jobid": 1, "log": [], "output": ["a.h5"], "shellcmd": "python", "rule_msg": said}
    handler.emit(record(1, LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, **more))
    handler.close()
    assert "failed: train\n  SLURM-job '5' failed, SLURM status is: 'TIMEOUT'.\n\nMend" in text()


def test_job_that_succeeds_at_another_attempt_has_not_failed(shown):
    handler, text = shown
    call = Call(handler.emit, train=1)
    call.start(0, 1, "train")
    call.fail(1, 1)
    call.start(2, 1, "train")
    call.finish(3, 1)
    handler.close()
    assert text().endswith("1 of 1 jobs done in 01:40\n")


def test_jobs_that_the_user_stops_have_not_failed(shown):
    handler, text = shown
    call = Call(handler.emit, train=2)
    call.start(0, 1, "train")
    handler.emit(record(1, None, "Terminating processes on user request, this might take some time."))
    call.fail(2, 1)
    handler.close()
    assert text().endswith("0 of 2 jobs done in 01:40, 2 not run\nStopped. The same command goes on from here.\n")


def test_failure_of_a_job_that_nobody_said_had_begun_is_told(shown):
    handler, text = shown
    about = {"jobid": 7, "rule_name": "train", "rule_msg": None, "wildcards": {}, "aux": {}, "indent": False}
    about |= {"input": [], "output": ["a.h5"], "log": [], "conda_env": None, "container_img": None, "shellcmd": None}
    handler.emit(record(0, LogEvent.JOB_ERROR, "Error in rule train", logging.ERROR, **about))
    assert "rror in rule train" in text() and "a.h5" in text()


def test_messages_of_snakemake_are_shown_and_its_noise_is_not(shown):
    handler, text = shown
    handler.emit(record(0, None, "Building DAG of jobs..."))
    handler.emit(record(0, None, "Using shell: /usr/bin/bash"))
    handler.emit(record(0, LogEvent.ERROR, 'unknown key "studys"', logging.ERROR))
    handler.close()
    assert text() == 'Building DAG of jobs...\nunknown key "studys"\n'


@pytest.mark.parametrize("asked", [{"dryrun": True, "stdout": False}, {"printshellcmds": True}, {"verbose": True}])
def test_dry_run_and_commands_are_shown_as_snakemake_shows_them(monkeypatch, asked):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    handler = LogHandler(OutputSettings(**asked), None)
    handler.emit(record(0, LogEvent.RUN_INFO, "Job stats:\ntrain 1", stats={"train": 1, "total": 1}))
    handler.close()
    assert handler.stream.getvalue() == "Job stats:\ntrain 1\n"


def test_end_of_a_log_shows_what_slurm_says_of_memory_once(tmp_path):
    log = tmp_path / "5.log"
    said = "slurmstepd-node7: error: Exceeded job memory limit"
    log.write_text(f"rule train:\n{said}\n{said}\n" + "".join(f"line {number}\n" for number in range(20)))
    assert ending(log) == [said, *[f"line {number}" for number in range(10, 20)]]


def test_end_of_a_log_shows_a_progress_bar_once_and_an_error_whole(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"\rseeds:  0%\rseeds: 50%\rseeds: 100%\r\ndone in 3.0 s\n")
    assert ending(log) == ["seeds: 100%", "done in 3.0 s"]
    log.write_text("before\nerror: 20 items\n" + "".join(f"  item {number}\n" for number in range(20)))
    assert ending(log)[0] == "error: 20 items" and len(ending(log)) == 21
    log.write_text("error: many items\n" + "".join(f"  item {number}\n" for number in range(100)))
    assert len(ending(log)) == 30 and ending(log)[-1] == "  item 99"
    log.write_text("")
    assert ending(log) == ["(empty)"]
