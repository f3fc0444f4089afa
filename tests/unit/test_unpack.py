"""Archives from strangers: what is laid out, and what is refused without a trace."""

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pyarrow
import pytest

from cmr.assets.unpack import unpack
from cmr.errors import UserError
from tests.official_archives import as_7z

TREE = {
    "set/readme.txt": b"read me",
    "set/images/1.png": os.urandom(3000),
    "set/images/deep/2.png": b"",
    "other/x": b"x",
}
LIMIT = 1_000_000


def entry(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(content)
    return info, content


def tar_bytes(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_bytes(*entries: tuple[str, bytes, int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def zstd_bytes(content: bytes) -> bytes:
    return pyarrow.compress(content, codec="zstd", asbytes=True)


def deb_bytes(data_tar: bytes) -> bytes:
    """A Debian package written by hand: an ar archive of three members (deb(5))."""
    control = gzip.compress(tar_bytes(entry("./control", b"Package: x\nVersion: 1\nArchitecture: all\n")))
    archive = b"!<arch>\n"
    for name, content in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", control),
        ("data.tar.xz", lzma.compress(data_tar)),
    ):
        archive += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        archive += b"\n" * (len(content) % 2)
    return archive


def tree_archive(form: str) -> bytes:
    plain = tar_bytes(*(entry(name, content) for name, content in TREE.items()))
    if form == "7z":
        return as_7z(plain)
    wrap = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd_bytes, "deb": deb_bytes}
    if form == "zip":
        return zip_bytes(*((name, content, 0) for name, content in TREE.items()))
    return wrap[form](plain) if form in wrap else plain


FORMS = ["tar", "gz", "bz2", "xz", "zst", "zip"] + (["deb"] if shutil.which("dpkg-deb") else [])
FORMS += ["7z"] if shutil.which("bsdtar") else []


@pytest.fixture
def refuses(tmp_path):
    """Check that an archive is refused with a message, and that it leaves nothing inside or outside its folder."""

    def check(content: bytes, message: str, **options) -> None:
        archive = tmp_path / "archive"
        archive.write_bytes(content)
        with pytest.raises(UserError, match=message) as caught:
            unpack(archive, tmp_path / "folder", **({"limit": LIMIT} | options))
        assert str(archive) in str(caught.value)
        assert list(tmp_path.iterdir()) == [archive]

    return check


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_archive_gives_the_same_tree(form, tmp_path):
    archive = tmp_path / "name without a suffix"
    archive.write_bytes(tree_archive(form))
    assert unpack(archive, tmp_path / "all", limit=LIMIT) == 4
    assert files_below(tmp_path / "all") == TREE
    assert unpack(archive, tmp_path / "part", limit=LIMIT, subfolder="set", keep="images") == 2
    assert files_below(tmp_path / "part") == {
        name.removeprefix("set/"): content for name, content in TREE.items() if name.startswith("set/images/")
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_archive_is_refused_wherever_it_is_cut(form, refuses):
    whole = tree_archive(form)
    if form == "tar":
        whole = whole.rstrip(bytes(1))  # the zeros at its end may be cut, except the last
    for length in (0, 5, len(whole) // 2, len(whole) * 9 // 10, len(whole) - 9):
        refuses(whole[:length], "damaged")


def test_a_plain_tar_cut_between_members_is_refused(refuses):
    refuses(tar_bytes(entry("a", b"x" * 512), entry("b", b"y" * 512))[:1024], "damaged")


@pytest.mark.parametrize("form", sorted({"gz", "xz", "deb"} & set(FORMS)))
def test_a_wrong_checksum_after_the_last_member_is_noticed(form, refuses):
    # Padding after the end mark: the members are then out before the decompressing program meets the fault.
    plain = tar_bytes(entry("a", os.urandom(300_000))) + bytes(200_000)
    content = bytearray({"gz": gzip.compress, "xz": lzma.compress, "deb": deb_bytes}[form](plain))
    content[-6] ^= 1
    refuses(bytes(content), "damaged")


def test_another_file_is_no_archive(refuses):
    refuses(b"<html>please log in to the network</html>" * 50, "no archive")


def test_a_corrupted_zip_member_is_refused(refuses):
    content = bytearray(zip_bytes(("a", os.urandom(2000), 0)))
    content[500] ^= 1
    refuses(bytes(content), "damaged")


@pytest.mark.parametrize("declared", [10, 200_000])
def test_a_zip_member_of_another_size_than_it_declares_is_refused(declared, refuses):
    content = bytearray(zip_bytes(("a", b"x" * 100_000, 0)))
    size_field = content.index(b"PK\x01\x02") + 24
    assert struct.unpack_from("<I", content, size_field) == (100_000,)
    struct.pack_into("<I", content, size_field, declared)
    refuses(bytes(content), "damaged|declared size")


def test_an_encrypted_zip_is_refused(refuses):
    content = bytearray(zip_bytes(("a", b"x", 0)))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    refuses(bytes(content), "'a' is encrypted")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("/etc/evil", "file"), ("../evil", "file"), ("a/../../evil", "file"), ("a/..", "folder"), ("..", "folder")],
)
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_path_that_leaves_the_folder_is_refused(form, name, kind, refuses):
    good = "a/good"
    if form == "tar":
        bad = entry(name, kind=tarfile.DIRTYPE) if kind == "folder" else entry(name, b"evil")
        content = tar_bytes(entry(good, b"good"), bad)
    else:
        content = zip_bytes((good, b"good", 0), (name + "/" * (kind == "folder"), b"", 0))
    refuses(content, "leaves the folder")
    refuses(content, "leaves the folder", subfolder="a")  # also where the member would not be kept


def test_devices_are_refused(refuses):
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        refuses(tar_bytes(entry("a", b"a"), entry("null", kind=kind)), "'null' is a device")
    refuses(zip_bytes(("a", b"a", 0), ("pipe", b"", stat.S_IFIFO | 0o644)), "'pipe' is a device")


def test_links_that_stay_inside_are_kept(tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(
        tar_bytes(
            entry("set/link", kind=tarfile.SYMTYPE, target="images/1"),  # before what it points to
            entry("set/images/1", b"one"),
            entry("set/images/up", kind=tarfile.SYMTYPE, target="../images/1"),
            entry("set/hard", kind=tarfile.LNKTYPE, target="set/images/1"),
        )
    )
    assert unpack(archive, tmp_path / "folder", limit=LIMIT, subfolder="set") == 4
    for name in ("link", "images/1", "images/up", "hard"):
        assert (tmp_path / "folder" / name).read_bytes() == b"one"
    assert (tmp_path / "folder/link").is_symlink()


@pytest.mark.parametrize("target", ["/etc/passwd", "../archive", "a/../../archive", "nothing", "../folder/a/1", "self"])
def test_a_symbolic_link_that_leaves_or_dangles_is_refused(target, refuses):
    member = entry("self", kind=tarfile.SYMTYPE, target=target)
    refuses(tar_bytes(entry("a/1", b"1"), member), "'self' links to")
    zipped = ("self", target.encode(), stat.S_IFLNK | 0o777)
    refuses(zip_bytes(("a/1", b"1", 0), zipped), "'self' links to")


def test_a_chain_of_links_that_leaves_is_refused(refuses):
    # By its text each link stays inside; followed, a/up is the folder itself and a/escape its parent.
    refuses(
        tar_bytes(
            entry("a/1", b"1"),
            entry("a/up", kind=tarfile.SYMTYPE, target=".."),
            entry("a/escape", kind=tarfile.SYMTYPE, target="up/.."),
        ),
        "'a/escape' links to",
    )


def test_nothing_is_written_through_a_link(tmp_path, refuses):
    refuses(
        tar_bytes(entry("out", kind=tarfile.SYMTYPE, target=".."), entry("out/evil", b"evil")),
        "lies below 'out', which is a symbolic link",
    )
    refuses(
        tar_bytes(entry("a", kind=tarfile.SYMTYPE, target="../evil"), entry("a", b"evil")),
        "'a' occurs twice",
    )


def test_a_hard_link_to_anything_but_an_earlier_member_is_refused(refuses):
    for target in ("/etc/passwd", "../archive", "later", "folder"):
        refuses(
            tar_bytes(
                entry("folder", kind=tarfile.DIRTYPE),
                entry("a", kind=tarfile.LNKTYPE, target=target),
                entry("later", b"later"),
            ),
            "'a' (is a hard link to|has a path that leaves)",
        )


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_duplicates_are_refused(form, refuses):
    if form == "tar":
        refuses(tar_bytes(entry("a", b"1"), entry("./a", b"2")), "occurs twice")
        refuses(tar_bytes(entry("a", b"1"), entry("a", kind=tarfile.DIRTYPE)), "occurs twice")
        refuses(tar_bytes(entry("a/b", b"1"), entry("a", b"2")), "occurs twice")
        refuses(tar_bytes(entry("a", b"1"), entry("a/b", b"2")), "lies below 'a', which is a file")
    else:
        with pytest.warns(UserWarning, match="Duplicate name"):
            content = zip_bytes(("a", b"1", 0), ("a", b"2", 0))
        refuses(content, "occurs twice")


def test_a_folder_may_be_named_again(tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(
        tar_bytes(entry("a/b", b"1"), entry("a", kind=tarfile.DIRTYPE), entry("a", kind=tarfile.DIRTYPE))
    )
    assert unpack(archive, tmp_path / "folder", limit=LIMIT) == 1


def test_the_declared_size_is_a_limit_for_all_members_together(tmp_path, refuses):
    content = gzip.compress(tar_bytes(*(entry(f"{i}/zeros", bytes(100_000)) for i in range(5))))
    assert len(content) < 5000
    refuses(content, "past its declared unpacked size of 400000 bytes", limit=400_000)
    refuses(content, "past its declared", limit=400_000, subfolder="0")  # members that are not kept count
    refuses(tar_bytes(*(entry(f"{i}") for i in range(200))), "past its declared", limit=50_000)  # empty files count
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    assert unpack(archive, tmp_path / "folder", limit=600_000) == 5


def test_copies_by_hard_link_count(refuses):
    links = (entry(f"{i}", kind=tarfile.LNKTYPE, target="a") for i in range(20))
    refuses(tar_bytes(entry("a", bytes(100_000)), *links), "past its declared")


def test_an_archive_without_the_wanted_subfolder_is_refused(refuses):
    refuses(tree_archive("tar"), "holds no file below elsewhere/images", subfolder="elsewhere", keep="images")


def test_set_user_id_bits_are_not_kept(tmp_path):
    info, content = entry("a", b"a")
    info.mode = 0o6777
    archive = tmp_path / "archive"
    archive.write_bytes(tar_bytes((info, content)))
    unpack(archive, tmp_path / "folder", limit=LIMIT)
    assert not (tmp_path / "folder/a").stat().st_mode & 0o7111


def test_a_full_disk_is_not_called_damage(tmp_path, monkeypatch):
    archive = tmp_path / "archive"
    archive.write_bytes(tree_archive("gz"))

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("cmr.assets.unpack._Writer._write", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(archive, tmp_path / "folder", limit=LIMIT)
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("start", [b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00", b"7z\xbc\xaf\x27\x1c"])
def test_without_the_program_for_an_archive_it_is_named(start, tmp_path, monkeypatch):
    (tmp_path / "archive.rar").write_bytes(start + bytes(1000))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"lacks bsdtar to unpack it: install it \(package libarchive-tools"):
        unpack(tmp_path / "archive.rar", tmp_path / "folder", limit=LIMIT)
