"""One function over many images: several at once, results in order, memory flat in their number."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Event, Thread
from typing import TypeVar

import cv2
from threadpoolctl import threadpool_limits

from cmr.jobs import REMEDY_OF_MEMORY
from cmr.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS_TO_NOTICE = 20  # that a worker was killed
IN_FLIGHT = 3  # calls a worker that are under way or wait for their turn: more would only fill memory


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    threads: bool,
    progress: Progress,
    description: str,
    unit: str,
) -> Iterator[Result]:
    """Yield function(item) for every item, in order, `workers` at once.

    Each call computes with one thread, so that results do not depend on how many cores there are, and no core waits for
    another.

    Parameters
    ----------
    threads : workers are threads of this process that compute with torch; else they are processes, and `function` must
        be picklable.
    """
    if not items:
        return
    with _executor(workers, threads) as pool:
        results = _in_order(partial(pool.submit, function), iter(items), workers * IN_FLIGHT)
        yield from progress.track(results, description, len(items), unit)


def _in_order(submit: Callable[[Item], Future], items: Iterator[Item], at_once: int) -> Iterator[Result]:
    waiting = deque(map(submit, islice(items, at_once)))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(map(submit, islice(items, 1)))
        yield result


@contextmanager
def _executor(workers: int, threads: bool) -> Iterator[Executor]:
    if threads:
        from cmr.device import torch_threads  # imports torch, which processes do without

        with torch_threads(1), ThreadPoolExecutor(workers) as pool:
            yield pool
    else:
        ended = Event()
        try:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_process) as pool:
                Thread(target=_end_if_stuck, args=(pool, ended), daemon=True).start()
                yield pool
        finally:
            ended.set()


def _end_if_stuck(pool: ProcessPoolExecutor, ended: Event) -> None:
    """End this process where a worker was killed and the pool does not see it.

    Workers share one pipe for results. One that is killed while it writes there leaves half a message, of which Python
    awaits the rest for ever.
    """
    while not ended.wait(1):
        workers = list((pool._processes or {}).values())  # the pool tells of them in no other way
        killed = [worker for worker in workers if worker.exitcode not in (None, 0)]
        if killed and not ended.wait(SECONDS_TO_NOTICE):
            told = f"memory ran out, or a process that this job needs was killed ({killed[0].name})"
            print(f"error: {told}. {REMEDY_OF_MEMORY}", file=sys.stderr, flush=True)
            os._exit(1)


def _start_process() -> None:
    cv2.setNumThreads(1)
    threadpool_limits(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed job cannot tell its workers, and they would wait for it for ever."""
    parent_process().join()
    os._exit(1)
