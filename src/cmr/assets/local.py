"""A user's own folder as an asset: which of its files count, and whether they have changed."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from cmr.files import read_json, write_json
from cmr.provenance import file_sha256


def files_of(folder: Path, patterns: Iterable[str] = ("**/*",)) -> list[Path]:
    """Paths of a folder's files below it, sorted; hidden ones (.DS_Store, lock files of editors) are no data."""
    found = {path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts))


def folder_digest(folder: Path, memory: Path) -> str:
    """SHA-256 over the names and contents of a folder's files.

    Contents are read again only where size or time of a file differ from those in `memory`, a JSON file that is brought
    up to date. Of a folder that does not exist the digest is that of the last time, so that what was made of it stands.
    """
    known = read_json(memory) if memory.exists() else {}
    now = known
    if folder.is_dir():
        now = {}
        for name in files_of(folder):
            status, key = (folder / name).stat(), name.as_posix()
            mark = [status.st_size, status.st_mtime_ns]
            same = key in known and known[key][:2] == mark
            now[key] = [*mark, known[key][2] if same else file_sha256(folder / name)]
        if now != known:
            write_json(memory, now)
    return hashlib.sha256(json.dumps({name: entry[2] for name, entry in now.items()}).encode()).hexdigest()
