"""The folders of data and results, before a call works in them: can they be written, and what do their dates tell?"""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from cmr.errors import UserError

TOLERANCE = 600  # seconds that the clocks of machines which share a disk may differ
LONG_AGO = 315_619_200  # 1980-01-02: zip archives have no earlier dates
RAW = "raw"  # the folder of assets, whose files keep the dates that their archives give them
MADE = ("datasets", "views", "runs", "studies", "vectorisation", "report")  # folders of what rules make and read

log = logging.getLogger(__name__)


def check_writable(folders: Mapping[str, Path]) -> None:
    """Write a few bytes into each folder; the key is what the configuration calls it.

    Raises UserError where one cannot be written, with the system's reason.
    """
    for key, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder) as file:
                file.write(bytes(1 << 16))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"the folder {folder} cannot be written: {error.strerror}. Free or mend its disk, or name another "
                f"folder as `{key}` in config/config.yaml"
            ) from error


def redate(folders: Iterable[Path]) -> bool:
    """Give all files that rules make new dates, long ago but in the same order, if one of them is of the future.

    Returns whether that was so.

    A file is taken to be out of date when something that it was made of is newer. A file from a clock that was ahead
    would be up to date for years, whatever changes; one from long ago is compared with what it was made of by contents.

    Raises UserError where dates cannot be changed.
    """
    dates = {}
    for path in (path for folder in folders for path in _made_files(folder)):
        with suppress(FileNotFoundError):  # another call may be at work
            dates[path] = path.lstat().st_mtime_ns
    latest = max(dates, key=dates.__getitem__, default=None)
    if latest is None or dates[latest] <= (time.time() + TOLERANCE) * 1e9:
        return False
    shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(dates[latest] / 1e9))
    told = f"{latest} is dated {shown}, after the present time: a clock was wrong then, or is wrong now"
    try:
        for second, path in enumerate(sorted(dates, key=dates.__getitem__), start=LONG_AGO):
            with suppress(FileNotFoundError):
                os.utime(path, (second, second), follow_symlinks=False)
    except OSError as error:
        raise UserError(
            f"{told}. Its date cannot be mended: {error}. Let their owner run this, or delete it"
        ) from error
    log.warning("%s. What has changed since is found by contents instead of dates; this once, that takes longer", told)
    return True


def _made_files(folder: Path) -> Iterator[Path]:
    """What dates are compared of; whatever else a user has in a folder is left alone."""
    yield from (folder / RAW).glob("*/asset.json")
    for made in MADE:
        for path, _, files in os.walk(folder / made):
            yield from (Path(path) / name for name in files)
