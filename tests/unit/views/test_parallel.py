"""Work of several workers comes in order, and does not run ahead of whoever takes it."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch

from cmr.progress import SILENT
from cmr.views.image.parallel import IN_FLIGHT, map_in_order

SETTINGS = {"progress": SILENT, "description": "", "unit": ""}


@pytest.mark.parametrize("workers", [1, 3])
def test_results_wait_in_bounded_number(workers):
    begun, taken = [], 0
    for taken, _ in enumerate(
        map_in_order(begun.append, list(range(60)), workers=workers, threads=True, **SETTINGS), 1
    ):
        time.sleep(0.001)
        assert len(begun) <= taken + workers * IN_FLIGHT
    assert taken == len(begun) == 60


def test_threads_compute_an_operation_alone():
    before = torch.get_num_threads()
    counts = list(map_in_order(lambda _: torch.get_num_threads(), range(8), workers=2, threads=True, **SETTINGS))
    assert counts == [1] * 8 and torch.get_num_threads() == before


def test_no_item_starts_no_worker():
    assert list(map_in_order(print, [], workers=2, threads=False, **SETTINGS)) == []


def test_processes_end_with_a_job_that_is_killed(tmp_path):
    """They tell their numbers, and sleep; then the job is killed, as by a cluster."""
    module = tmp_path / "sleepy.py"
    module.write_text(
        "import os, pathlib, sys, time\n"
        "from cmr.progress import SILENT\n"
        "from cmr.views.image.parallel import map_in_order\n"
        "def sleep(number):\n"
        "    pathlib.Path(sys.argv[0]).with_name(f'{os.getpid()}.pid').touch()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    settings = {'progress': SILENT, 'description': '', 'unit': ''}\n"
        "    list(map_in_order(sleep, [0, 1], workers=2, threads=False, **settings))\n"
    )
    job = subprocess.Popen([sys.executable, str(module)])
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    job.send_signal(signal.SIGKILL)
    job.wait()
    wait_for(lambda: not any(map(is_alive, workers)))


def test_worker_killed_halfway_through_its_result_ends_the_job_with_a_remedy(tmp_path):
    """Of a message that is cut short Python awaits the rest for ever."""
    module = tmp_path / "cut_short.py"
    module.write_text(
        "import multiprocessing, os, signal, struct\n"
        "from cmr.progress import SILENT\n"
        "from cmr.views.image import parallel\n"
        "def die(number):\n"
        "    results = multiprocessing.current_process()._args[1]\n"
        "    os.write(results._writer.fileno(), struct.pack('!i', 1000) + b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    parallel.SECONDS_TO_NOTICE = 1\n"
        "    settings = {'progress': SILENT, 'description': '', 'unit': ''}\n"
        "    list(parallel.map_in_order(die, [0], workers=1, threads=False, **settings))\n"
    )
    job = subprocess.run([sys.executable, str(module)], capture_output=True, text=True, timeout=120, check=False)
    assert job.returncode == 1
    assert "memory ran out, or a process that this job needs was killed" in job.stderr and "--cores" in job.stderr


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def is_alive(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
