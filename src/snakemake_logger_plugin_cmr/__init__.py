"""What a call of Snakemake shows while it runs: stages, jobs left, time left; at its end what failed, and why.

Snakemake finds this package by its name, and profiles/default asks for it. Dry-runs, and calls that ask for commands
(`--printshellcmds`) or for quiet, show what Snakemake shows without it; so does the file that it keeps of each call.

Nothing here imports cmr: Snakemake reads this package before the Snakefile has said which checkout's cmr it is to be.
"""

import sys
import threading
import time
from logging import WARNING, LogRecord
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from tqdm import tqdm

from snakemake_logger_plugin_cmr.failures import of_failures
from snakemake_logger_plugin_cmr.progress import Progress, earlier_seconds

PAUSE, LONG_PAUSE = 10, 300  # seconds between lines in a file: when jobs have ended since, and when none has
SHOWN = 4  # running jobs in the block on a terminal
# Told of every job or every call, or told better here.
DROPPED = (
    LogEvent.WORKFLOW_STARTED,
    LogEvent.RESOURCES_INFO,
    LogEvent.SHELLCMD,
    LogEvent.PROGRESS,
    LogEvent.JOB_STARTED,
)
NOISE = (
    "Assuming unrestricted shared filesystem usage",
    "Using shell",
    "Conda environments: ignored",
    "Select jobs to execute",
    "Job rate limit reached",
    "Removing output files of failed job",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete successfully",
    "Elapsed time",
    "Auto-selected partition",
)


class LogHandler(LogHandlerBase):
    """One block at the foot of a terminal; in a file a line at each new stage, and every ten seconds at most."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True  # Snakemake's own would keep from us what is not to be shown
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        asked = self.common_settings
        self.stream: TextIO = sys.stdout if asked.stdout else sys.stderr
        self.usual = ColorizingTextHandler(
            asked.nocolor,
            self.stream,
            DefaultFormatter(asked.quiet, asked.show_failed_logs),
            DefaultFilter(asked.quiet, asked.debug_dag, asked.verbose, asked.dryrun, asked.printshellcmds),
        )
        quiet = set(asked.quiet or ()) - {Quietness.HOST, Quietness.REASON}
        self.as_usual = bool(asked.dryrun or asked.printshellcmds or asked.verbose or asked.debug_dag or quiet)
        self.progress = Progress({})
        self.screen: Live | None = None
        self.told: set[str] = set()  # in a file: stages
        self.told_ended, self.told_at = 0, 0.0  # jobs, and when
        self.over = threading.Event()
        self.clock: threading.Thread | None = None

    def emit(self, record: LogRecord) -> None:
        try:
            self.usual.handle(record) if self.as_usual else self._take(record)
        except Exception:  # noqa: BLE001 - a defect in what is shown must not end the work: as any logging.Handler
            self.handleError(record)

    def _take(self, record: LogRecord) -> None:
        event = getattr(record, "event", None)
        self.progress.take(record)
        if event == LogEvent.RUN_INFO:
            self._begin()
        elif event == LogEvent.JOB_ERROR:
            if record.jobid in self.progress.failed:
                self._say(f"failed: {self.progress.failed[record.jobid].job.in_words()}")
            elif not self.progress.stopped:  # of a job that nobody said had begun: better told roughly than not at all
                self._pass_on(record)
        elif event == LogEvent.ERROR and "CalledProcessError" in record.getMessage():
            return  # the error of the job follows
        elif event in DROPPED or event in (LogEvent.JOB_INFO, LogEvent.JOB_FINISHED):
            self._draw(record.created)
        elif not record.getMessage().startswith(NOISE):
            self._pass_on(record)

    def _begin(self) -> None:
        """Jobs are about to run."""
        self.progress.earlier = earlier_seconds(Path(".snakemake/metadata"))
        if not self.usual.nocolor:  # a terminal that can do more than print lines
            self.screen = Live(console=Console(file=self.stream), auto_refresh=False)
            self.screen.start()
            self.screen.console.show_cursor(True)  # a call that is killed leaves the terminal as it was
        self.clock = threading.Thread(target=self._tick, daemon=True)
        self.clock.start()

    def _tick(self) -> None:
        while not self.over.wait(0.5):
            with self.lock:
                if not self.over.is_set():
                    self._draw(time.time())

    def close(self) -> None:
        """The last lines: what was done, what failed, how to go on."""
        with self.lock:
            if self.clock and not self.over.is_set():
                self.over.set()
                self._end(time.time())
        super().close()

    def _end(self, now: float) -> None:
        progress = self.progress
        progress.running.clear()
        if self.screen:
            self.screen.update(self._block(), refresh=True)
            self.screen.stop()
            self.screen = None
        done, total, failed = progress.done.total(), progress.total.total(), len(progress.failed)
        words = [f"{done} of {total} jobs done in {tqdm.format_interval(now - progress.started)}"]
        words += [f"{failed} failed"] * bool(failed)
        words += [f"{total - done - failed} not run"] * (done + failed < total)
        self._say(", ".join(words))
        for line in of_failures(progress.failed.values()):
            self._say(line)
        if done < total and not failed:
            self._say("Stopped. The same command goes on from here.")

    def _say(self, text: str, style: str | None = None) -> None:
        if self.screen:
            self.screen.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self.stream, flush=True)

    def _pass_on(self, record: LogRecord) -> None:
        """What Snakemake would print, without disturbing the block."""
        if not self.screen:
            self.usual.handle(record)
        elif self.usual.filter(record):
            self._say(self.usual.format(record), "red" if record.levelno >= WARNING else None)

    def _draw(self, now: float) -> None:
        """Bring the block up to date, or add a line where one is due."""
        running = self._running(now)
        if self.screen:
            more = [f"and {len(running) - SHOWN} more"] * (len(running) > SHOWN)
            lines = [f"  {line}" for line in [*running[:SHOWN], *more]]
            self.screen.update(self._block(self.progress.summary(now), *lines), refresh=True)
            return
        stage, ended = self.progress.stage(), self.progress.done.total() + len(self.progress.failed)
        # Of work that takes hours a line in ten seconds would be too many.
        pause = max(PAUSE, (now - self.progress.started) / 100) if ended > self.told_ended else LONG_PAUSE
        if running and (stage not in self.told or now - self.told_at >= pause):
            self.told.add(stage)
            self.told_ended, self.told_at = ended, now
            done, total = self.progress.stages().get(stage, (0, 0))
            longest, *others = running
            more = f" and {len(others)} more" if others else ""
            clock = time.strftime("%H:%M:%S", time.localtime(now))
            self._say(f"{clock} {stage} {done}/{total}. {self.progress.summary(now)}. At work: {longest}{more}")

    def _running(self, now: float) -> list[str]:
        """What is being done, the longest first."""
        jobs = sorted(self.progress.running.values(), key=lambda job: job.started)
        return [f"{job} ({tqdm.format_interval(now - job.started)})" for job in jobs]

    def _block(self, *lines: str) -> Group:
        """A bar for each stage, and lines below."""
        table = Table.grid(padding=(0, 2))
        for stage, (done, total) in self.progress.stages().items():
            table.add_row(stage, ProgressBar(total, done, width=30), f"{done} of {total}")
        return Group(table, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))
