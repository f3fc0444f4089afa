"""Files that appear whole or not at all, and JSON for small records.

Every writer fills a temporary file beside the target and renames it, so that a killed job or a full disk leaves no
half-written file under the final name. The next writer of that target removes what a killed one has left.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from cmr.errors import REMEDY_OF_DISK, UserError

DIGEST = "sha256 of the rest"  # the last key of a record; no file of an asset is called so


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well, and vanishes when it does not."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(path)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix, delete=False) as file:
            temporary = Path(file.name)
            with suppress(OSError):  # a file system without locks: then nothing counts as left behind
                fcntl.flock(file, fcntl.LOCK_SH)  # shared, as HDF5 locks what it reads
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path} could not be written: {error}. {REMEDY_OF_DISK}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _remove_left_behind(path: Path) -> None:
    """Remove temporary files of killed writers of `path`: those that no process holds, the kernel having let go."""
    for left in path.parent.glob(f".{escape(path.name)}.????????{escape(path.suffix)}"):
        with suppress(OSError), left.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def write_text(path: Path, text: str) -> None:
    """UTF-8, line ends as given."""
    with whole_file(path) as temporary:
        temporary.write_text(text, "utf-8", newline="")


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Indented, keys in the order given, non-ASCII kept; the last key, DIGEST, is of all others."""
    content = json.loads(json.dumps(dict(record)))  # as it is read: keys are texts
    write_text(path, json.dumps(content | {DIGEST: _digest_of(content)}, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` was given; raises UserError naming the file when it is missing, damaged or another's."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict) or DIGEST not in content:
            raise ValueError("it holds no digest, and so was not written by this version")
        if content.pop(DIGEST) != _digest_of(content):
            raise ValueError("its content differs from its digest")
        return content
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error) from error


def _digest_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def unreadable(path: Path, error: Exception) -> UserError:
    """The error for a file of ours that cannot be read, and what to do about it."""
    if not path.exists():
        return UserError(f"{path} does not exist")
    reason = " ".join(str(error).split())
    return UserError(f"{path} is damaged and cannot be read ({reason}). Delete it and run again: it is then made anew")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
