"""Is this the file that was meant: digests from the configuration, or remembered from the first use."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cmr.errors import UserError
from cmr.files import read_json, write_json
from cmr.provenance import file_sha256

ADVICE = "it is damaged or another file. Get it anew, then run again"


@dataclass(frozen=True)
class Expected:
    """What the configuration knows of a file; None is unknown.

    Parameters
    ----------
    sha256, sha256_prefix, md5 : lower-case hexadecimal; a prefix is what some projects put into their file names.
    size : bytes.
    """

    sha256: str | None = None
    sha256_prefix: str | None = None
    md5: str | None = None
    size: int | None = None


def check_file(path: Path, expected: Expected, lock: Path, origin: str) -> tuple[int, str]:
    """A file's size in bytes and its SHA-256, after comparing them with what is known.

    Known is what the configuration says; where that is not the whole digest, also what the lock file remembers of a
    file of this name. Raises UserError giving both values, where the file is from (`origin`) and what to do.
    """
    size, sha256 = path.stat().st_size, file_sha256(path)
    if expected.size is not None and size != expected.size:
        raise UserError(f"{origin} has {size} bytes, but config/assets expects {expected.size}: {ADVICE}")
    for declared in (expected.sha256, expected.sha256_prefix):
        if declared is not None and not sha256.startswith(declared):
            raise UserError(f"{origin} has SHA-256 {sha256}, but config/assets expects {declared}: {ADVICE}")
    if expected.md5 is not None and (md5 := _md5(path)) != expected.md5:
        raise UserError(f"{origin} has MD5 {md5}, but config/assets expects {expected.md5}: {ADVICE}")
    if expected.sha256 is None:
        remembered = _read(lock).get(path.name, sha256)
        if sha256 != remembered:
            raise UserError(
                f"{origin} has SHA-256 {sha256}, but at first use it was {remembered}, says {lock}: {ADVICE}. If the "
                f"new file is the right one, delete {lock} first"
            )
    return size, sha256


def remember_digest(path: Path, sha256: str, expected: Expected, lock: Path) -> None:
    """Keep a digest that the configuration lacks in the lock file, which outlives the asset's folder."""
    if expected.sha256 is None:
        write_json(lock, _read(lock) | {path.name: sha256})


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _read(lock: Path) -> dict[str, str]:
    return read_json(lock) if lock.exists() else {}
