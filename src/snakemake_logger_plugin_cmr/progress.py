"""How far a call of Snakemake is, from the events that it logs: stages, jobs, time left, and what failed."""

import contextlib
import itertools
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.common import LogEvent

STAGES = {
    "assets": ("obtain_asset",),
    "data sets": ("read_dataset", "check_images", "make_split"),
    "views": (
        "read_view",
        "fit_image_view",
        "extract_image_view",
        "extract_image_shard",
        "gather_image_shards",
        "extract_text_view",
        "concatenate_views",
        "learn_word_vectors",
    ),
    "runs": ("train", "evaluate"),
    "studies": (),  # every other rule
}
TARGETS = ("all", "vectorisation")  # rules that only name files
EARLIER = 10  # jobs of this call that weigh as much as the mean of all earlier calls
RECORDS = 2000  # of earlier calls that are read: enough for a mean, and soon read


def stage_of(rule: str) -> str:
    return next((stage for stage, rules in STAGES.items() if rule in rules), "studies")


def earlier_seconds(folder: Path) -> dict[str, float]:
    """Mean duration of the jobs of each rule, from what Snakemake keeps of the files that are there."""
    seconds = defaultdict(list)
    for entry in itertools.islice(os.scandir(folder), RECORDS) if folder.is_dir() else ():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # a folder, or a record of another form
            made = json.loads(Path(entry.path).read_text("utf-8"))
            seconds[made["rule"]].append(max(made["endtime"] - made["starttime"], 0.0))
    return {rule: sum(times) / len(times) for rule, times in seconds.items()}


@dataclass(frozen=True)
class Job:
    """One job that has been started; `share` is the part of the machine that it takes."""

    rule: str
    wildcards: dict[str, str]
    share: float
    started: float

    def __str__(self) -> str:
        return " ".join([self.rule, *self._values().values()])

    def in_words(self) -> str:
        named = [f"{name.replace('_', ' ')} {value}" for name, value in self._values().items()]
        return self.rule + (f": {', '.join(named)}" if named else "")

    def _values(self) -> dict[str, str]:
        return {name: value.strip("/") for name, value in self.wildcards.items() if value}


@dataclass(frozen=True)
class Failure:
    job: Job
    logs: list[str]
    outputs: list[str]
    status: int | None  # of its command, where that is known
    said: str = ""  # by the cluster that ran it


class Progress:
    """Counts jobs and their seconds. `take` is given every record; times are the records' own.

    Parameters
    ----------
    earlier : mean seconds of the jobs of each rule in earlier calls.
    """

    def __init__(self, earlier: Mapping[str, float]) -> None:
        self.earlier = earlier
        self.machine: dict[str, int] = {}  # resource -> how much of it there is
        self.started = 0.0
        self.total: Counter[str] = Counter()  # by rule, as all that follows
        self.done: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.shares: dict[str, float] = {}
        self.running: dict[int, Job] = {}
        self.failed: dict[int, Failure] = {}
        self.stopped = False  # by the user; jobs that end by it have not failed
        self._commands: list[str] = []

    def take(self, record: LogRecord) -> None:
        """Learn from one record; one of no interest changes nothing."""
        match getattr(record, "event", None):
            case LogEvent.RESOURCES_INFO:
                self.machine |= {
                    f"_{name}": getattr(record, name) for name in ("cores", "nodes") if hasattr(record, name)
                }
                self.machine |= dict(getattr(record, "provided_resources", {}).items())
            case LogEvent.RUN_INFO:
                self.started = record.created
                self.total.update({rule: n for rule, n in record.stats.items() if rule not in ("total", *TARGETS)})
            case LogEvent.JOB_INFO if record.rule_name not in TARGETS:
                share = self.shares[record.rule_name] = self._share(dict(record.resources.items()))
                self.failed.pop(record.jobid, None)  # another attempt
                self.running[record.jobid] = Job(record.rule_name, dict(record.wildcards), share, record.created)
            case LogEvent.JOB_FINISHED if record.job_id in self.running:
                job = self.running.pop(record.job_id)
                self.done[job.rule] += 1
                self.seconds[job.rule] += record.created - job.started
            case LogEvent.JOB_ERROR if record.jobid in self.running:
                job = self.running.pop(record.jobid)
                if not self.stopped:
                    status, said = self._status(record.shellcmd), _said_by_cluster(getattr(record, "rule_msg", None))
                    self.failed[record.jobid] = Failure(job, record.log, record.output, status, said)
            case LogEvent.ERROR:
                self._commands.append(record.getMessage())
            case None if record.getMessage().startswith("Terminating processes on user request"):
                self.stopped = True

    def _share(self, asked: Mapping[str, int]) -> float:
        """The scarcest resource decides how many such jobs the machine takes at once."""
        return max((asked[name] / have for name, have in self.machine.items() if have and name in asked), default=1.0)

    def _status(self, command: str | None) -> int | None:
        """What a failed command returned; Snakemake tells it in an error of its own, before that of the job."""
        said = next((said for said in self._commands if command and command.strip() in said), "")
        if found := re.search(r"non-zero exit status (\d+)", said):
            return int(found[1])
        found = re.search(r"died with <Signals\.\w+: (\d+)>", said)
        return 128 + int(found[1]) if found else None  # as a shell tells of it

    def stages(self) -> dict[str, tuple[int, int]]:
        """Stage -> jobs done and jobs in all, without those that have none."""
        counts = {stage: [0, 0] for stage in STAGES}
        for rule, total in self.total.items():
            counts[stage_of(rule)][0] += self.done[rule]
            counts[stage_of(rule)][1] += total
        return {stage: (done, total) for stage, (done, total) in counts.items() if total}

    def stage(self) -> str:
        """The first that is at work; what failed jobs leave undone does not hold it up."""
        at_work = {stage_of(job.rule) for job in self.running.values()}
        return next((stage for stage in STAGES if stage in at_work), "")

    def summary(self, now: float) -> str:
        words = [f"{self.done.total()} of {self.total.total()} jobs done", f"{len(self.running)} running"]
        words += [f"{len(self.failed)} failed"] * bool(self.failed)
        return ", ".join([*words, self.time_left(now)])

    def time_left(self, now: float) -> str:
        """An estimate in words: of at least a quarter of the jobs left something must be known.

        Work is shared by as many jobs as the machine takes at once, but stages wait for each other.
        """
        at_work = Counter(job.rule for job in self.running.values())
        broken = Counter(failure.job.rule for failure in self.failed.values())
        left = {rule: n - self.done[rule] - broken[rule] for rule, n in self.total.items()}
        means = {rule: self._mean(rule, now) for rule, n in left.items() if n > 0}
        known = {rule: mean for rule, mean in means.items() if mean is not None}
        unknown = sum(left[rule] for rule in means.keys() - known.keys())
        if 4 * unknown > 3 * sum(left.values()):
            return "time left unknown yet"
        work, stages = 0.0, Counter()
        for rule, mean in known.items():
            rests = [_rest(mean, now - job.started) for job in self.running.values() if job.rule == rule]
            waiting = left[rule] - at_work[rule]
            share = self.shares.get(rule, self._share({"_cores": 1, "_nodes": 1}))
            work += (waiting * mean + sum(rests)) * share
            stages[stage_of(rule)] = max([stages[stage_of(rule)], *rests, mean * bool(waiting)])
        return f"{'at least' if unknown else 'about'} {_rounded(max(work, stages.total()))} left"

    def _mean(self, rule: str, now: float) -> float | None:
        """Seconds of a job of the rule. Unfinished ones count with their time so far: quick ones finish first."""
        seconds = self.seconds[rule] + sum(now - job.started for job in self.running.values() if job.rule == rule)
        if rule in self.earlier:
            return (seconds + EARLIER * self.earlier[rule]) / (self.done[rule] + EARLIER)
        return seconds / self.done[rule] if self.done[rule] else None


def _said_by_cluster(message: str | None) -> str:
    """What SLURM says of a job's end, or sbatch of a job that it refuses, without the advice that follows."""
    return re.split(r"\s*(?:Detailed failure reason unavailable|For further error details)", message or "")[0]


def _rest(mean: float, elapsed: float) -> float:
    """Of a job that has outlived the mean nothing is known but that it takes long."""
    return max(mean - elapsed, elapsed / 2)


def _rounded(seconds: float) -> str:
    """No more digits than an estimate has."""
    minutes = round(seconds / 60)
    if minutes <= 1:
        return "a minute"
    if minutes < 90:
        return f"{minutes if minutes < 20 else 5 * round(minutes / 5)} min"
    return f"{minutes / 60:.1f} h" if minutes < 600 else f"{minutes / 60:.0f} h"
