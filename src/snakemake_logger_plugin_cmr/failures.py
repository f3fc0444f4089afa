"""What is told of failed jobs at the end of a call: what each was, its log, and how to go on."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from snakemake_logger_plugin_cmr.progress import Failure

LINES, LINES_OF_ERROR = 10, 30  # at most, of a log's end; of an error message that it ends with
IN_FULL = 10  # failed jobs whose logs are shown
LITTLE = 10_000_000  # bytes free on a disk
ENDED_BY = {  # the status of a command that a signal has ended
    137: "It was killed, perhaps because memory ran out: fewer --cores need less of it.",
    139: "It crashed (SIGSEGV), perhaps because memory ran out: fewer --cores need less of it.",
    143: "It was told to end (SIGTERM), as by `kill` or where its time is over.",
}


def of_failures(failures: Iterable[Failure]) -> Iterator[str]:
    """Lines for each failed job, and how to go on."""
    failures = list(failures)
    for number, failure in enumerate(failures):
        yield ""
        yield f"failed: {failure.job.in_words()}"
        if failure.status in ENDED_BY:
            yield f"  {ENDED_BY[failure.status]}"
        yield from (f"  {line}" for line in failure.said.splitlines())
        for log in failure.logs:
            yield from _of_disk(Path(log).parent)
            yield f"  log: {log}"
            yield from (f"      {line}" for line in (ending(Path(log)) if number < IN_FULL else ()))
    again = next((output for failure in failures for output in failure.outputs), None)
    if again:
        yield ""
        yield "Mend the cause, then give the same command again: what is done stays done, and the rest goes on."
        yield f"The first of them alone: snakemake --cores 1 {again}"


def _of_disk(folder: Path) -> Iterator[str]:
    """Where hardly anything can be written, a log cannot tell of it."""
    with suppress(OSError):
        if (free := shutil.disk_usage(folder).free) < LITTLE:
            yield f"  The disk of {folder} is full ({free / 1e6:.1f} MB are left): free or change it."


def ending(log: Path) -> list[str]:
    """The last lines of a log; more of them where they are one error message or traceback."""
    try:
        text = log.read_bytes()[-100_000:].decode("utf-8", errors="replace")
    except OSError as error:
        return [f"(cannot be read: {error.strerror})"]
    if not text.strip():
        return ["(empty)"]
    # A progress bar rewrites its line: of all its states the last is left.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip().split("\n")]
    starts = [i for i, line in enumerate(lines) if line.startswith(("error: ", "Traceback "))]
    first = max(min([*starts[-1:], len(lines) - LINES]), len(lines) - LINES_OF_ERROR, 0)
    # Of memory or time that ran out, SLURM's daemon tells before the programs that it ends have their last words.
    daemon = dict.fromkeys(line for line in lines[:first] if line.startswith("slurmstepd"))
    return [*daemon, *lines[first:]]
