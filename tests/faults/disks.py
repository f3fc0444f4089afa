"""Small disks in memory, mounted on folders of a project."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A disk of `size` kB on a folder."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder))
        if mounted.returncode != 0:
            pytest.skip(f"disks cannot be mounted here: {mounted.stderr.strip()}")

    def remount(self, options: str) -> None:
        _run("mount", "-o", f"remount,{options}", str(self.folder)).check_returncode()

    def unmount(self) -> None:
        _run("umount", "--lazy", str(self.folder)).check_returncode()


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Disk]:
    """Mounted within the block; a test that may not mount is skipped."""
    mounted = Disk(folder, size)
    try:
        yield mounted
    finally:
        mounted.unmount()


def _run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False)
