"""Unpack archives from strangers: tar (gz, bz2, xz, zst), zip, RAR, 7z and Debian packages, by one strict writer.

The writer makes regular files, folders and links that stay inside, and never writes through a link. Python's own `data`
filter for tar is not used: it knows tar only, and its earlier versions can be led outside by long chains of links
(CVE-2025-4517).
"""

import bz2
import errno
import gzip
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import pyarrow

from cmr.configuration import is_control
from cmr.errors import UserError
from cmr.progress import SILENT, Progress

BLOCK_BYTES = 1 << 20
TAR_BLOCK = 512
MOST_MEMBERS = 500_000  # what is remembered of each takes memory
MOST_HEADER_BYTES = 1 << 20  # of one member; tarfile keeps them in memory
MOST_STREAM = 4  # times the limit: what headers of small members and the end of a tar stream may add to it
MOST_NAME_BYTES, MOST_PART_BYTES, MOST_LEVELS = 1000, 255, 100
MOST_COMPLAINT = 2000
MOST_TARGET = 4096  # bytes of what a symbolic link points to: PATH_MAX of Linux
CONVERTERS = {"dpkg-deb": "package dpkg", "bsdtar": "package libarchive-tools or libarchive"}
DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError),
    *(ValueError, OverflowError, RecursionError, MemoryError, struct.error),  # of numbers and texts in headers
)


def unpack(
    archive: Path, folder: Path, *, limit: int, subfolder: str = "", keep: str = "", progress: Progress = SILENT
) -> int:
    """Lay out an archive's members in the new `folder` and return the number of files.

    Parameters
    ----------
    limit : bytes that the members may have together, those not kept included.
    subfolder : only members below it are laid out, this prefix removed; empty means all.
    keep : of what lies below `subfolder`, only this file or tree is laid out, its own name kept; empty means all.

    Raises UserError naming archive and member where it is unsafe, damaged, larger than `limit`, or has nothing to lay
    out; nothing of it is kept then.
    """
    writer = _Writer(archive, folder, limit, PurePosixPath(subfolder), PurePosixPath(keep))
    folder.mkdir(parents=True)
    try:
        with _members(archive, limit) as members:
            for member in progress.track(members, f"unpack {archive.name}", unit=" members"):
                writer.add(member)
        return writer.finish()
    except DAMAGED as error:
        shutil.rmtree(folder)
        raise _damaged(archive, error) from error
    except OSError as error:
        shutil.rmtree(folder)
        # Decompressors report damage without a number, and readers look at places that no file has.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(archive, error) from error
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise


@dataclass(frozen=True)
class Member:
    """One entry of an archive; `size` is the declared one in bytes, `target` is where a link points."""

    name: str
    kind: Literal["file", "folder", "symbolic link", "hard link", "device"]
    size: int = 0
    target: str = ""
    content: IO[bytes] | None = None


class _Writer:
    """Checks each member and writes those that are kept; symbolic links last, so that nothing can pass through them."""

    def __init__(self, archive: Path, root: Path, limit: int, subfolder: PurePosixPath, keep: PurePosixPath):
        self.archive, self.root, self.limit, self.subfolder, self.keep = archive, root, limit, subfolder, keep
        self.kinds: dict[PurePosixPath, str] = {}
        self.spellings: dict[str, PurePosixPath] = {}
        self.members = 0
        self.links: dict[PurePosixPath, Member] = {}
        self.bytes = 0

    def add(self, member: Member) -> None:
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise self._refused(member, f"comes after {MOST_MEMBERS} others, which are too many")
        self._check_name(member)
        place = self._place(member, member.name)
        # A header counts too: a million empty files are a bomb as well.
        self._grow(member, TAR_BLOCK + member.size)
        if member.kind == "device":
            raise self._refused(member, "is a device, pipe or socket")
        if place is None:
            return
        self._claim(member, place)
        path = self.root / place
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.kind == "file":
            self._write(member, path)
        elif member.kind == "hard link":
            self._copy(member, path)
        else:
            self.links[place] = member

    def finish(self) -> int:
        """Make the symbolic links and return the number of files and links."""
        for place, member in self.links.items():
            within = os.path.normpath(place.parent / member.target)
            if os.path.isabs(member.target) or within.split("/")[0] == "..":  # noqa: PTH117
                raise self._refused(member, f"links to {member.target!r}, which leaves the folder")
            (self.root / place).symlink_to(member.target)
        root = self.root.resolve(strict=True)
        for place, member in self.links.items():
            # The text of a target proves little where it passes through other links; what it resolves to does.
            try:
                inside = (self.root / place).resolve(strict=True).is_relative_to(root)
            except (OSError, RuntimeError):  # dangling, a loop, or too long
                inside = False
            if not inside:
                raise self._refused(member, f"links to {member.target!r}, which leaves the folder or does not exist")
        count = sum(kind != "folder" for kind in self.kinds.values())
        if count == 0:
            raise UserError(f"{self.archive} holds no file below {self.subfolder / self.keep}: it is another archive")
        return count

    def _check_name(self, member: Member) -> None:
        """Refuse what some system would not take as a name, or as another one, and what misleads who reads it."""
        name = member.name
        path = PurePosixPath(name)
        if not path.parts and member.kind != "folder":
            raise self._refused(member, "has no name")
        if any(map(is_control, name)) or not {"\n", "\t", "\0"}.isdisjoint(name):
            raise self._refused(member, "has control characters in its name")
        if "\\" in name or re.match("[A-Za-z]:", name):
            raise self._refused(member, "has a path of Windows, which leaves the folder there")
        longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
        if len(os.fsencode(name)) > MOST_NAME_BYTES or longest > MOST_PART_BYTES or len(path.parts) > MOST_LEVELS:
            raise self._refused(member, "has too long a name")

    def _place(self, member: Member, name: str) -> PurePosixPath | None:
        """Where a member goes below the folder; None if it is not kept."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise self._refused(member, f"has a path that leaves the folder ({name!r})")
        if not path.is_relative_to(self.subfolder):
            return None
        place = path.relative_to(self.subfolder)
        return place if place.parts and place.is_relative_to(self.keep) else None

    def _claim(self, member: Member, place: PurePosixPath) -> None:
        for folder in place.parents[:-1]:
            kind = self.kinds.setdefault(folder, "folder")
            if kind != "folder":
                raise self._refused(member, f"lies below {str(folder)!r}, which is a {kind}")
        for path in (place, *place.parents[:-1]):
            key = unicodedata.normalize("NFC", str(path)).casefold()
            if (other := self.spellings.setdefault(key, path)) != path:
                raise self._refused(member, f"is, where case and accents do not count, the same as {str(other)!r}")
        before = self.kinds.get(place)
        if before is not None and not (before == member.kind == "folder"):
            raise self._refused(member, "occurs twice")
        self.kinds[place] = member.kind

    def _grow(self, member: Member, count: int) -> None:
        self.bytes += count
        if self.bytes > self.limit:
            raise self._refused(member, f"takes the archive past its declared unpacked size of {self.limit} bytes")

    def _write(self, member: Member, path: Path) -> None:
        written = 0
        with path.open("xb") as file:
            while block := member.content.read(BLOCK_BYTES):
                written += len(block)
                if written > member.size:
                    break
                file.write(block)
        if written != member.size:
            raise self._refused(member, f"does not have its declared size of {member.size} bytes")

    def _copy(self, member: Member, path: Path) -> None:
        target = self._place(member, member.target)
        if target is None or self.kinds.get(target) not in ("file", "hard link"):
            raise self._refused(member, f"is a hard link to {member.target!r}, which is no earlier file of the folder")
        self._grow(member, (self.root / target).stat().st_size)
        shutil.copyfile(self.root / target, path)

    def _refused(self, member: Member, reason: str) -> UserError:
        return UserError(
            f"{self.archive}: member {_shown(member.name)} {reason}. The archive is unsafe or damaged and nothing of "
            "it was kept. Get it from a source that you trust, then run again"
        )


@contextmanager
def _members(archive: Path, limit: int) -> Iterator[Iterator[Member]]:
    """An archive's members in their order, the kind of archive told by its first bytes, never by its name."""
    with archive.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(archive, opened)
        return
    with _tar_stream(archive, start) as compressed:
        stream = _Bounded(compressed, MOST_STREAM * limit + MOST_HEADER_BYTES)
        with tarfile.open(fileobj=stream, mode="r|") as opened:
            yield _tar_members(opened, stream)
        # What follows the last member holds the checksum; a cut file shows only there.
        while stream.read(BLOCK_BYTES):
            pass


class _Bounded:
    """A stream that ends with an error where more is read than it may hold, or than one member's header may take.

    tarfile reads headers whole, and follows chains of them, before it tells of the member.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.stream, self.left, self.header_left = stream, limit, MOST_HEADER_BYTES
        self.in_header = True

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.left -= len(block)
        self.header_left -= len(block) if self.in_header else 0
        if self.left < 0 or self.header_left < 0:
            raise tarfile.ReadError("headers, or what follows the last member, are too long")
        return block

    def begin_header(self) -> None:
        self.in_header, self.header_left = True, MOST_HEADER_BYTES

    def end_header(self) -> None:
        self.in_header = False


@contextmanager
def _tar_stream(archive: Path, start: bytes) -> Iterator[IO[bytes]]:
    if start == b"!<arch>\n":
        with _converted(archive, "Debian package", "dpkg-deb", "--fsys-tarfile", str(archive)) as stream:
            yield stream
        return
    if start.startswith((b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")):
        arguments = ("--create", "--file=-", "--format=pax", f"@{archive}")
        with _converted(archive, "RAR or 7z archive", "bsdtar", *arguments) as stream:
            yield stream
        return
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open, b"\x28\xb5\x2f\xfd": _open_zstd}
    opener = next((opener for magic, opener in openers.items() if start.startswith(magic)), None)
    with (opener or _open_plain)(archive, "rb") as stream:
        yield stream


def _open_zstd(archive: Path, _mode: str) -> IO[bytes]:
    return pyarrow.CompressedInputStream(str(archive), "zstd")


def _open_plain(archive: Path, mode: str) -> IO[bytes]:
    file = archive.open(mode)
    file.seek(-min(TAR_BLOCK, archive.stat().st_size), os.SEEK_END)
    if any(file.read()):  # a tar file ends with zeros; tarfile takes one that is cut between members for whole
        file.close()
        raise tarfile.ReadError("no tar, zip or Debian archive, or cut short")
    file.seek(0)
    return file


@contextmanager
def _converted(archive: Path, kind: str, program: str, *arguments: str) -> Iterator[IO[bytes]]:
    """The tar stream that another program makes of an archive."""
    if shutil.which(program) is None:
        raise UserError(
            f"{archive} is a {kind}, and this machine lacks {program} to unpack it: install it ({CONVERTERS[program]})"
        )
    # A file and no pipe: a program that complains of every member would wait for ever to be heard.
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        try:
            yield process.stdout
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            complaints.seek(0)
            raise tarfile.ReadError(complaints.read(MOST_COMPLAINT).decode(errors="replace").strip())


def _tar_members(opened: tarfile.TarFile, stream: _Bounded) -> Iterator[Member]:
    while True:
        stream.begin_header()
        info = opened.next()
        stream.end_header()
        if info is None:
            return
        opened.members = []  # it would keep them all
        if info.size < 0:
            raise tarfile.ReadError(f"{_shown(info.name)} has a negative size")
        if info.isreg():
            content = opened.extractfile(info)
            yield Member(info.name, "file", info.size, content=content)
            while content.read(BLOCK_BYTES):  # what was not kept, so that only headers are left to skip
                pass
        elif info.isdir():
            yield Member(info.name, "folder")
        elif info.issym():
            yield Member(info.name, "symbolic link", target=info.linkname)
        elif info.islnk():
            yield Member(info.name, "hard link", target=info.linkname)
        else:
            yield Member(info.name, "device")


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> Iterator[Member]:
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.flag_bits & 1:
            raise UserError(f"{archive}: member {info.filename!r} is encrypted. Get the archive from another source")
        if info.filename.endswith("/"):
            yield Member(info.filename, "folder")
        elif kind == stat.S_IFLNK:
            with opened.open(info) as content:
                target = content.read(MOST_TARGET + 1)
            if len(target) > MOST_TARGET:
                raise zipfile.BadZipFile(f"the link {_shown(info.filename)} points to more than {MOST_TARGET} bytes")
            yield Member(info.filename, "symbolic link", target=target.decode())
        elif kind in (0, stat.S_IFREG):
            with opened.open(info) as content:
                yield Member(info.filename, "file", info.file_size, content=content)
        else:
            yield Member(info.filename, "device")


def _shown(name: str) -> str:
    """A name in a message: nothing in it commands a terminal, and it is no page long."""
    return repr(name if len(name) <= 100 else f"{name[:100]}...")


def _damaged(archive: Path, error: BaseException) -> UserError:
    return UserError(f"{archive} is damaged or no archive ({error}). Delete or replace it, then run again")
