"""A job of the workflow: it ends with the call that started it, and the last line of its log says how it ended."""

import errno
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Thread

import psutil

from cmr.errors import REMEDY_OF_DISK, UserError, printable

CALLER = "CMR_CALLER"  # the environment variable that tells jobs of the call that starts them
REMEDY_OF_MEMORY = "Fewer --cores at a time leave more memory to each job; then run again"
REMEDY_OF_GPU = "Wait for other programs on it (`nvidia-smi` lists them), or give `device: cpu`; then run again"
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def announce_call() -> None:
    """Have the jobs that this process will start end with it."""
    os.environ[CALLER] = f"{os.getpid()} {_place()}"


def run_job(main: Callable[[], None]) -> None:
    """Run the `main` of a script that makes files for a rule; what it logs goes to standard error.

    A UserError becomes one line and exit status 1, as in `cmr.errors.run_main`, and so do a disk that is full or
    read-only and memory that runs out; any other exception keeps its traceback.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if CALLER in os.environ:
        Thread(target=_end_with, args=os.environ[CALLER].split(" ", 1), daemon=True).start()
    start = time.monotonic()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}\nfailed after {duration(time.monotonic() - start)}")
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            sys.exit(f"error: {error}. {REMEDY_OF_DISK}\nfailed after {duration(time.monotonic() - start)}")
        if "CUDA out of memory" in str(error):
            sys.exit(
                f"error: the GPU's memory ran out ({error}). {REMEDY_OF_GPU}\n"
                f"failed after {duration(time.monotonic() - start)}"
            )
        if _is_of_memory(error):
            sys.exit(
                f"error: memory ran out, or a process that this job needs was killed, probably for that ({error}). "
                f"{REMEDY_OF_MEMORY}\nfailed after {duration(time.monotonic() - start)}"
            )
        error.add_note(f"failed after {duration(time.monotonic() - start)}")
        raise
    logging.info("done in %s", duration(time.monotonic() - start))


def _is_of_memory(error: Exception) -> bool:
    """Memory that cannot be had, as Python, NumPy and torch tell of it; a worker that is no more."""
    words = ("can't allocate memory", "out of memory", "killed by signal: Killed")
    return isinstance(error, MemoryError | BrokenProcessPool) or any(word in str(error) for word in words)


def _place() -> str:
    """Where a number means the same process: the machine and, in containers, their own numbering."""
    numbering = Path("/proc/self/ns/pid")
    return f"{platform.node()} {numbering.readlink() if numbering.exists() else ''}"


def _end_with(caller: str, place: str) -> None:
    """End this job soon after the process `caller`, or one between them.

    It would otherwise go on unseen, and write what it was told to write beside, or after, the jobs of the next call.
    """
    if place != _place():
        return
    above = psutil.Process().parents()
    numbers = [str(process.pid) for process in above]
    above = above[: numbers.index(caller) + 1] if caller in numbers else []  # it has ended while this job began
    while above and all(map(_is_alive, above)):
        time.sleep(1)
    print("stopped: the call of Snakemake that started this job has ended", file=sys.stderr, flush=True)
    os._exit(1)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class _Printable(logging.Formatter):
    """Messages name files and items of strangers."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def duration(seconds: float) -> str:
    """`0.3 s`, `12 s`, `3 min 5 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for larger, smaller, size in (("d", "h", 3600), ("h", "min", 60), ("min", "s", 1)):
        per = 24 if larger == "d" else 60
        most, rest = divmod(round(whole / size), per)
        if most:
            return f"{most} {larger} {rest} {smaller}" if rest else f"{most} {larger}"
    return f"{whole} s"
