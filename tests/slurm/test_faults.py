"""On a real SLURM: the results are those of this machine, whatever becomes of jobs, of the controller, of the call."""

import os
import signal
from collections import Counter

from tests.made_project import copy_of
from tests.slurm.cluster import run, wait_until
from tests.slurm.conftest import TRAIN_LOG, Call

# Seconds without a controller: longer than the nine that SLURM's programs try to reach it for.
OUTAGE = float(os.environ.get("CMR_SLURM_OUTAGE", "20"))


def ended(cluster, project, key: str) -> list[str]:
    """What SLURM tells of the project's jobs, in the order of their ends."""
    return [job[key] for job in cluster.ended(project.root)]


def states_of(cluster, project) -> tuple[list[str], set[str]]:
    """How the first three jobs ended, which are trainings, and how all others did."""
    states = ended(cluster, project, "JobState")
    return states[:3], set(states[3:])


def test_study_of_a_cluster_is_that_of_this_machine_even_if_a_job_runs_out_of_time(
    cluster, light, undisturbed_light, tmp_path
):
    call = Call.begin(copy_of(light, tmp_path))
    late = call.stop_training(at_checkpoint=True)
    run("scontrol", "update", f"job={late.environment['SLURM_JOB_ID']}", "TimeLimit=1")
    assert call.end() == 0, call.output
    assert not late.exists()
    assert call.project.results() == undisturbed_light.results()
    # SLURM's logs are kept, one a job. What takes a moment is no job of its.
    logs = call.project.root / "results/logs/slurm"
    rules = Counter(log.relative_to(logs).parts[0].removeprefix("rule_") for log in logs.rglob("*.log"))
    assert (rules["read_dataset"], rules["train"], rules["evaluate"], rules["collect_results"]) == (1, 4, 3, 1)
    assert not rules.keys() & {"obtain_asset", "make_split", "make_table", "make_figure", "make_report"}
    states = Counter(ended(cluster, call.project, "JobState"))
    assert states == {"COMPLETED": rules.total() - 1, "TIMEOUT": 1}
    assert "going on from checkpoint" in (call.project.root / TRAIN_LOG).read_text()


def test_call_goes_on_with_more_memory_and_time_after_jobs_were_killed_and_cancelled(
    cluster, half_done, undisturbed_light
):
    # The network needs more than 500 MB and less than 2 GB.
    call = Call.begin(half_done, "--set-resources", "train:mem_mb=500 * attempt * attempt", "train:gpu=1")
    wait_until(lambda: cluster.ended(half_done.root), "the first attempt has ended", 120)
    training = call.stop_training(at_checkpoint=True)
    assert training.environment["CUDA_VISIBLE_DEVICES"] == "0"
    run("scancel", training.environment["SLURM_JOB_ID"])
    assert call.end() == 0, call.output
    assert half_done.results() == undisturbed_light.results()
    trainings, others = states_of(cluster, half_done)
    assert trainings == ["FAILED", "CANCELLED", "COMPLETED"]
    assert others == {"COMPLETED"}
    partitions = ended(cluster, half_done, "Partition")
    assert partitions[:3] == ["gpu"] * 3
    assert set(partitions[3:]) == {"cpu"}
    memory = [asked.split(",")[1] for asked in ended(cluster, half_done, "Tres")[:3]]
    assert memory == ["mem=500M", "mem=2000M", "mem=4500M"]
    assert ended(cluster, half_done, "TimeLimit")[:3] == ["240", "480", "720"]
    assert "going on from checkpoint" in (half_done.root / TRAIN_LOG).read_text()


def test_later_calls_finish_what_a_killed_job_and_an_interrupted_call_left(cluster, half_done, undisturbed_light):
    killed = Call.begin(half_done, "--retries", "0")
    killed.stop_training(at_checkpoint=True).send(signal.SIGKILL)
    assert killed.end() == 1
    assert ended(cluster, half_done, "JobState") == ["FAILED"]
    assert TRAIN_LOG in killed.output

    interrupted = Call.begin(half_done)
    training = interrupted.stop_training(at_checkpoint=False)
    interrupted.process.send_signal(signal.SIGINT)
    assert interrupted.end() == 1
    wait_until(lambda: not cluster.queue(half_done.root), "no job is left", 30)
    assert not training.exists()

    last = Call.begin(half_done)
    training = last.stop_training(at_checkpoint=False)
    cluster.restart_controller(OUTAGE)
    training.send(signal.SIGCONT)
    assert last.end() == 0, last.output
    assert half_done.results() == undisturbed_light.results()
    trainings, others = states_of(cluster, half_done)
    assert trainings == ["FAILED", "CANCELLED", "COMPLETED"]
    assert others == {"COMPLETED"}
    assert "going on from checkpoint" in (half_done.root / TRAIN_LOG).read_text()
