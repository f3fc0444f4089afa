"""Where an asset's file can come from: each source knows its file's name, what is known of it, and how to fetch it."""

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from cmr.assets.digests import Expected
from cmr.assets.download import Unavailable, download
from cmr.configuration import is_control
from cmr.errors import UserError
from cmr.progress import Progress

MOST_NAME = 200  # characters; some are added for downloads that are not finished


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """One form in which the asset exists: a file, what is known of it (see `Expected`), and where in it the asset lies.

    Parameters
    ----------
    subfolder : of an archive, the folder whose content is the asset; empty for the whole archive.
    """

    sha256: str | None = None
    sha256_prefix: str | None = None
    md5: str | None = None
    size: int | None = None
    subfolder: str = ""

    @property
    def expected(self) -> Expected:
        return Expected(self.sha256, self.sha256_prefix, self.md5, self.size)

    @property
    @abstractmethod
    def mirror_name(self) -> str:
        """The file's path below a mirror."""


@dataclass(frozen=True, kw_only=True)
class MirrorFile(Source):
    """A file that only mirrors have, `file` being its path below a mirror directory."""

    file: str

    @property
    def mirror_name(self) -> str:
        return self.file


@dataclass(frozen=True, kw_only=True)
class MirrorFolder(Source):
    """A folder below a mirror directory that holds the asset unpacked, whole or in part.

    Parameters
    ----------
    files : patterns of the files to take, as `pathlib.Path.glob` has them.
    """

    folder: str
    files: Sequence[str] = ("**/*",)

    @property
    def mirror_name(self) -> str:
        return self.folder


@dataclass(frozen=True, kw_only=True)
class DebianPackage(Source):
    """An architecture-independent binary package of Debian or a descendant, fetched with apt-get, without root."""

    package: str
    version: str

    kind = "debian"

    def __str__(self) -> str:
        return f"Debian package {self.package} {self.version}"

    @property
    def mirror_name(self) -> str:
        return f"{self.package}_{self.version.replace(':', '%3a')}_all.deb"

    def seems_obtainable(self) -> bool:
        return shutil.which("apt-get") is not None

    def fetch(self, folder: Path, partials: Path, progress: Progress) -> Path:
        """Download into `folder`; stale package lists are refreshed once where that is allowed (as root)."""
        if not self.seems_obtainable():
            raise Unavailable("this machine has no apt-get")
        complaint = self._apt_get("download", f"{self.package}={self.version}", folder=folder)
        if complaint and os.geteuid() == 0:
            refresh = self._apt_get("update", folder=folder)
            complaint = self._apt_get("download", f"{self.package}={self.version}", folder=folder)
            complaint = complaint and "\n".join(filter(None, [refresh, complaint]))
        elif complaint:
            complaint += "\n(if its package lists are old or empty, `apt-get update`, run as root, may help)"
        if complaint:
            raise Unavailable(f"apt-get download failed: {complaint}")
        return folder / self.mirror_name

    @staticmethod
    def _apt_get(action: str, package: str = "", *, folder: Path) -> str:
        """Run apt-get in `folder`; return its error lines, empty if it went well."""
        patience = ["-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30"]
        done = subprocess.run(
            ["apt-get", "--quiet", *patience, action, *(["--", package] if package else [])],
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode == 0:
            return ""
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        return "\n".join(errors) or f"apt-get {action} ended with status {done.returncode}"


@dataclass(frozen=True, kw_only=True)
class Wheel(Source):
    """What a Python distribution holds that is installed in this environment."""

    distribution: str

    kind = "wheel"

    def __str__(self) -> str:
        return f"Python distribution {self.distribution}"

    @property
    @abstractmethod
    def place(self) -> str:
        """Its path below the installed packages."""

    @property
    def mirror_name(self) -> str:
        return PurePosixPath(self.place).name

    def seems_obtainable(self) -> bool:
        try:
            return self._installed().exists()
        except PackageNotFoundError:
            return False

    def find(self) -> Path:
        """Where it is installed."""
        try:
            installed = self._installed()
        except PackageNotFoundError as error:
            raise Unavailable("it is not installed in this environment") from error
        if not installed.exists():
            raise Unavailable(f"the version that is installed has no {self.place}")
        return installed

    def _installed(self) -> Path:
        return Path(distribution(self.distribution).locate_file(self.place))


@dataclass(frozen=True, kw_only=True)
class WheelFile(Wheel):
    """A file inside a Python distribution."""

    file: str

    @property
    def place(self) -> str:
        return self.file

    def fetch(self, folder: Path, partials: Path, progress: Progress) -> Path:
        """Copy into `folder`."""
        return Path(shutil.copyfile(self.find(), folder / self.mirror_name))


@dataclass(frozen=True, kw_only=True)
class WheelFolder(Wheel):
    """A folder inside a Python distribution, as an asset that is unpacked; `files` as of a `MirrorFolder`."""

    folder: str
    files: Sequence[str] = ("**/*",)

    @property
    def place(self) -> str:
        return self.folder

    def fetch(self, folder: Path, partials: Path, progress: Progress) -> Path:
        """The folder itself: whoever asks for it copies it."""
        return self.find()


@dataclass(frozen=True, kw_only=True)
class Address(Source):
    """A file at a web address; `unverified` ones may come without encryption though no digest is known."""

    address: str
    unverified: bool = False

    kind = "url"

    def __str__(self) -> str:
        return self.address

    @property
    def mirror_name(self) -> str:
        name = PurePosixPath(unquote(urlsplit(self.address).path)).name
        if name in ("", "..") or any(map(is_control, name)) or "\n" in name or len(name) > MOST_NAME:
            raise UserError(f"the address {self.address} does not end in the name of a file")
        return name

    def seems_obtainable(self) -> bool:
        return True

    def fetch(self, folder: Path, partials: Path, progress: Progress) -> Path:
        """Download into `folder`; an unfinished download waits in `partials` for the next attempt."""
        trusted = self.unverified or self.sha256 is not None or self.md5 is not None
        target = folder / self.mirror_name
        return download(self.address, target, partials=partials, size=self.size, trusted=trusted, progress=progress)


FetchableSource = DebianPackage | WheelFile | WheelFolder | Address


def mirror_files(spec: Mapping[str, Any]) -> list[Source]:
    """Every form of an asset that a mirror may hold, in the order in which they are looked for.

    Folders come last: they may be copies in part, where archives are whole.
    """
    files = [MirrorFile(**form) for form in spec.get("mirror", []) if "file" in form]
    folders = [MirrorFolder(**form) for form in spec.get("mirror", []) if "folder" in form]
    fetchable = [source for source in fetchable_sources(spec) if not isinstance(source, WheelFolder)]
    return [*files, *fetchable, *folders]


def fetchable_sources(spec: Mapping[str, Any]) -> list[FetchableSource]:
    """The sources of an asset that can be fetched without the user, in the order in which they are tried."""
    wheel = WheelFolder if "folder" in spec.get("wheel", {}) else WheelFile
    types = {"debian": DebianPackage, "wheel": wheel, "url": Address}
    return [source(**spec[key]) for key, source in types.items() if key in spec]
