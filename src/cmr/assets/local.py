"""A user's own folder as an asset: which of its files count, and whether they have changed."""

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from cmr.errors import UserError
from cmr.files import read_json, write_json
from cmr.provenance import file_sha256

log = logging.getLogger(__name__)


def files_of(folder: Path, patterns: Iterable[str] = ("**/*",)) -> list[Path]:
    """Paths of a folder's files below it, sorted; hidden ones (.DS_Store, lock files of editors) are no data."""
    found = {path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts))


def folder_digest(folder: Path, memory: Path) -> str:
    """SHA-256 over the names and contents of a folder's files.

    Contents are read again only where size or times of a file differ from those in `memory`, a JSON file that is
    brought up to date. Times are two: programs may set the one of the content, but not that of the latest change of any
    kind. Of a folder that does not exist the digest is that of the last time, so that what was made of it stands.
    """
    known = _remembered(memory, there=folder.is_dir())
    now = known
    if folder.is_dir():
        now = {}
        for name in files_of(folder):
            status, key = (folder / name).stat(), name.as_posix()
            mark = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            same = key in known and known[key][:-1] == mark
            now[key] = [*mark, known[key][-1] if same else file_sha256(folder / name)]
        if now != known:
            write_json(memory, now)
    return hashlib.sha256(json.dumps({name: entry[-1] for name, entry in now.items()}).encode()).hexdigest()


def _remembered(memory: Path, there: bool) -> dict[str, list]:
    """What a memory tells; a damaged one is only missed where the folder itself is not there."""
    try:
        return read_json(memory) if memory.exists() else {}
    except UserError as error:
        if not there:
            raise
        log.warning("%s. Until then all files of the folder are read", error)
        return {}
