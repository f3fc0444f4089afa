"""Files that appear whole or not at all, and JSON for small records.

Every writer fills a temporary file beside the target and renames it, so that a killed job or a full disk leaves no
half-written file under the final name.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from cmr.errors import UserError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well, and vanishes when it does not."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix, delete=False) as file:
            temporary = Path(file.name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path} could not be written: {error}. Free or change the disk, then run again") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8, line ends as given."""
    with whole_file(path) as temporary:
        temporary.write_text(text, "utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Indented, keys in the order given, non-ASCII kept."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises UserError naming the file when it is missing or no JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


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
