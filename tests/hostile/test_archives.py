"""Archives made to harm: what tests/unit/test_unpack.py does not try already.

Outside the new folder nothing may change, nothing half-unpacked may be left, and neither memory nor disk may grow with
what an archive claims.
"""

import gzip
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from cmr.assets import unpack as module
from cmr.assets.unpack import unpack
from cmr.errors import UserError
from tests.official_archives import as_7z
from tests.unit.test_unpack import FORMS, deb_bytes, entry, files_below, tar_bytes, tree_archive, zip_bytes

LIMIT = 1_000_000


def refusal(tmp_path: Path, content: bytes, **options) -> str:
    """Why an archive is refused; inside and outside of its folder nothing is left of it."""
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as caught:
        unpack(archive, tmp_path / "folder", **({"limit": LIMIT} | options))
    assert sorted(tmp_path.rglob("*")) == before
    assert str(archive) in str(caught.value)
    return str(caught.value)


def in_form(form: str, plain: bytes) -> bytes:
    return {"tar": bytes, "gz": gzip.compress, "deb": deb_bytes, "7z": as_7z}[form](plain)


# Names

HARMFUL_NAMES = {
    "a parent": "../evil",
    "a parent further down": "a/b/../../../evil",
    "absolute": "/tmp/evil",
    "twice absolute": "//tmp/evil",
    "a parent of Windows": "..\\evil",
    "a folder of Windows": "a\\evil",
    "a drive": "C:evil",
    "a drive's root": "C:/evil",
    "a share": "\\\\server\\share",
    "a line break": "a\nevil",
    "a carriage return": "a\revil",
    "a tab": "a\tevil",
    "a command to a terminal": "a\x1b[2Jevil",
    "a bell": "\x07",
    "delete": "a\x7fb",
    "a command of eight bits": "a\x9bevil",
    "text turned round": "gpj.\u202eexe",
    "text isolated": "a\u2066b\u2069",
    "5000 characters": "a" * 5000,
    "300 bytes": "é" * 150,
    "200 levels": "a/" * 200 + "evil",
}


@pytest.mark.parametrize("name", HARMFUL_NAMES.values(), ids=HARMFUL_NAMES)
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_harmful_name_is_refused_and_shown_without_its_harm(form, name, tmp_path):
    good = ("good", b"good")
    plain = (
        tar_bytes(entry(*good), entry(name, b"evil")) if form == "tar" else zip_bytes((*good, 0), (name, b"evil", 0))
    )
    message = refusal(tmp_path, plain)
    assert repr(name[:100])[:-1] in message
    assert message.isprintable() and len(message) < 1000


@pytest.mark.parametrize(
    ("form", "name"),
    [("tar", ""), ("tar", "."), ("tar", "./"), ("tar", "./."), ("zip", ""), ("zip", "."), ("zip", "./.")],
)
def test_a_file_without_a_name_is_refused(form, name, tmp_path):
    if form == "zip" and name.endswith("/"):
        pytest.skip("a zip archive says by this end that it is a folder")
    evil = tar_bytes(entry("good", b"good"), entry(name, b"evil"))
    assert "has no name" in refusal(
        tmp_path, evil if form == "tar" else zip_bytes(("good", b"", 0), (name, b"evil", 0))
    )


def test_a_null_in_a_name_ends_it_or_is_refused(tmp_path):
    info, content = entry("a", b"evil")
    info.pax_headers = {"path": "a\0b"}
    assert "control characters" in refusal(tmp_path, tar_bytes((info, content)))
    zipped = zip_bytes(("aXb", b"x", 0)).replace(b"aXb", b"a\0b")
    (tmp_path / "zip").write_bytes(zipped)
    unpack(tmp_path / "zip", tmp_path / "out", limit=LIMIT)
    assert files_below(tmp_path / "out") == {"a": b"x"}


@pytest.mark.parametrize(
    "names",
    [("File", "file"), ("Folder/a", "folder/b"), ("caf\u00e9", "cafe\u0301"), ("STRASSE", "straße"), ("a", "A/b")],
    ids=lambda names: ascii(names[0]),
)
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_names_that_are_one_name_on_some_machines_are_refused(form, names, tmp_path):
    members = [(name, b"x") for name in names]
    plain = tar_bytes(*(entry(*member) for member in members))
    message = refusal(tmp_path, plain if form == "tar" else zip_bytes(*((*member, 0) for member in members)))
    assert "where case and accents do not count, the same as" in message


def test_names_that_only_look_like_orders_are_plain_files(tmp_path):
    names = [
        "-rf",
        "--checkpoint-action=exec=sh",
        "$(touch evil)",
        "`touch evil`",
        "a;touch evil",
        "a|b",
        "*",
        "{input}",
        "~",
    ]
    (tmp_path / "archive").write_bytes(tar_bytes(*(entry(name, name.encode()) for name in names)))
    assert unpack(tmp_path / "archive", tmp_path / "folder", limit=LIMIT) == len(names)
    assert files_below(tmp_path / "folder") == {name: name.encode() for name in names}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "folder"]


# Links, through every program that takes part


@pytest.mark.parametrize("form", sorted({"tar", "gz", "deb", "7z"} & {*FORMS}))
def test_a_link_out_and_a_file_behind_it_are_refused_whatever_holds_them(form, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for target in (str(outside), "../outside"):
        link = entry("way", kind=tarfile.SYMTYPE, target=target)
        refusal(tmp_path, in_form(form, tar_bytes(entry("a", b"a"), link)))
        if form != "7z":  # bsdtar itself makes none that has a file behind a link
            refusal(tmp_path, in_form(form, tar_bytes(entry("a", b"a"), link, entry("way/evil", b"evil"))))
    assert not list(outside.iterdir())


def test_a_link_that_is_replaced_by_a_folder_or_the_other_way_round_is_refused(tmp_path):
    link, folder = entry("a", kind=tarfile.SYMTYPE, target=".."), entry("a", kind=tarfile.DIRTYPE)
    for members in ([link, folder], [folder, link], [link, link], [entry("a/b", b""), link]):
        assert "occurs twice" in refusal(tmp_path, tar_bytes(*members, entry("a/evil", b"evil")))


def test_a_hard_link_to_a_symbolic_link_is_refused(tmp_path):
    link = entry("a", kind=tarfile.SYMTYPE, target="/etc/passwd")
    assert "no earlier file" in refusal(tmp_path, tar_bytes(link, entry("b", kind=tarfile.LNKTYPE, target="a")))


def test_a_hard_link_is_a_copy_so_that_writing_to_it_changes_no_other_file(tmp_path):
    (tmp_path / "archive").write_bytes(tar_bytes(entry("a", b"one"), entry("b", kind=tarfile.LNKTYPE, target="a")))
    unpack(tmp_path / "archive", tmp_path / "folder", limit=LIMIT)
    (tmp_path / "folder/b").write_bytes(b"two")
    assert files_below(tmp_path / "folder") == {"a": b"one", "b": b"two"}


def test_links_in_a_circle_are_refused(tmp_path):
    circle = [entry("a", kind=tarfile.SYMTYPE, target="b"), entry("b", kind=tarfile.SYMTYPE, target="a")]
    assert "links to" in refusal(tmp_path, tar_bytes(*circle))


# Bombs: each is of some kilobytes, and would take hundreds of megabytes

MEGABYTES = 200
MEGABYTE = 1 << 20
MEET = """
import resource, sys
from pathlib import Path
from cmr.assets.unpack import unpack
from cmr.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, 10_000_000))
for bomb in sorted(Path(sys.argv[1]).iterdir()):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        unpack(bomb, Path(sys.argv[2]), limit=5_000_000)
    except UserError as error:
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(bomb.name, grown // 1024, Path(sys.argv[2]).exists(), str(error), sep="|")
"""


def blown_up(kind: bytes) -> bytes:
    """A member of zeros, packed in many pieces, which gzip takes for one file."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, MEGABYTES * MEGABYTE
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(bytes(MEGABYTE)) * MEGABYTES


def chained_headers(count: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 14
    header = info.tobuf(tarfile.USTAR_FORMAT) + b"14 comment=ab\n".ljust(512, b"\0")
    return gzip.compress(header * count + tar_bytes(entry("a", b"a")))


def map_of_holes(count: int) -> bytes:
    """A sparse file of GNU tar's format 1.0: a list of `count` places stands before its content."""
    places = b"%d\n" % count + b"0\n0\n" * count
    info = tarfile.TarInfo("x")
    info.size = len(places)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
    return gzip.compress(info.tobuf(tarfile.PAX_FORMAT) + places.ljust(-len(places) % 512 + len(places), b"\0"), 1)


def old_map_of_holes(blocks: int) -> bytes:
    """The same in GNU tar's old format: blocks of 21 places, each of which says that there is one more."""
    info = tarfile.TarInfo("x")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[482] = 1
    header[148:156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:]))
    block = bytearray((b"%011o\0" % 1 * 42).ljust(512, b"\0"))
    block[504] = 1
    return gzip.compress(bytes(header) + bytes(block) * blocks, 1)


def huge_sparse_file() -> bytes:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"GNU.sparse.size": str(10**15), "GNU.sparse.map": "0,0"}
    return info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def zipped_zeros(mode: int) -> bytes:
    return zip_bytes(("a", bytes(100 * MEGABYTE), mode))


def test_bombs_take_neither_memory_nor_disk(tmp_path):
    zeros = tar_bytes(entry("x", bytes(30 * MEGABYTE)))
    bombs = {
        "a long name": blown_up(tarfile.GNUTYPE_LONGNAME),
        "a long link": blown_up(tarfile.GNUTYPE_LONGLINK),
        "a pax header": blown_up(tarfile.XHDTYPE),
        "a global pax header": blown_up(tarfile.XGLTYPE),
        "a huge file": blown_up(tarfile.REGTYPE),
        "no end": gzip.compress(tar_bytes(entry("a", b"a"))) + gzip.compress(bytes(MEGABYTE)) * MEGABYTES,
        "chained headers": chained_headers(600),
        "more chained headers": chained_headers(20_000),
        "a map of holes": map_of_holes(4_000_000),
        "an old map of holes": old_map_of_holes(20_000),
        "a petabyte of holes": huge_sparse_file(),
        "empty files": gzip.compress(b"".join(tarfile.TarInfo(f"{i}").tobuf() for i in range(12_000)), 1),
        "a zipped file": zipped_zeros(0),
        "a zipped link": zipped_zeros(stat.S_IFLNK | 0o777),
    }
    bombs |= {f"a {form}": in_form(form, zeros) for form in {"deb", "7z"} & {*FORMS}}
    (tmp_path / "bombs").mkdir()
    for name, content in bombs.items():
        (tmp_path / "bombs" / name).write_bytes(content)
        assert len(content) < 1_000_000, name
    command = [sys.executable, "-c", MEET, tmp_path / "bombs", tmp_path / "folder"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    met = {name: rest for name, *rest in (line.split("|", 3) for line in run.stdout.splitlines())}
    assert met.keys() == bombs.keys()
    for name, (grown, left, message) in met.items():
        assert (left, int(grown) < 80) == ("False", True), (name, grown, message)


def test_more_members_than_can_be_remembered_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_MEMBERS", 10)
    members = [(f"{i}", b"") for i in range(11)]
    for content in (tar_bytes(*(entry(*one) for one in members)), zip_bytes(*((*one, 0) for one in members))):
        assert "comes after 10 others" in refusal(tmp_path, content)
        assert "comes after 10 others" in refusal(tmp_path, content, keep="5")  # those not kept count


def test_entries_of_a_zip_archive_that_share_their_bytes_are_refused(tmp_path):
    one = zip_bytes(("a", bytes(100_000), 0))
    start, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    for other in (b"a", b"b"):
        names = one[start:end] + one[start:end].replace(b"\0a", b"\0" + other)
        tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(names), start, 0)
        assert any(word in refusal(tmp_path, one[:start] + names + tail) for word in ("occurs twice", "damaged"))


def test_an_archive_in_an_archive_stays_packed(tmp_path):
    inner = tree_archive("gz")
    (tmp_path / "archive").write_bytes(zip_bytes(("inner.tar.gz", inner, 0)))
    assert unpack(tmp_path / "archive", tmp_path / "folder", limit=LIMIT) == 1
    assert files_below(tmp_path / "folder") == {"inner.tar.gz": inner}


# Damage and deceit


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_is_taken_for_what_it_is_and_not_for_its_name(form, tmp_path):
    archive = tmp_path / {"zip": "a.tar.gz", "gz": "a.zip"}.get(form, "a.zip")
    archive.write_bytes(tree_archive(form))
    assert unpack(archive, tmp_path / "folder", limit=LIMIT) == 4


@pytest.mark.parametrize(
    "start", [b"PK", b"!<arch>\n", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01\0", b"\x1f\x8b", b"#!/bin/sh\n"]
)
def test_what_only_begins_like_an_archive_is_refused(start, tmp_path):
    refusal(tmp_path, start + b"touch evil\n" * 1000)


def changed(content: bytes, dice: random.Random) -> bytes:
    """The same with a few bytes that are others; zeros, digits and large ones lead readers astray most."""
    result = bytearray(content)
    for _ in range(dice.randint(1, 6)):
        result[dice.randrange(len(result))] = dice.choice([0, 0x30, 0x37, 0x80, 0xFF, dice.randrange(256)])
    return bytes(result)


def test_whatever_bytes_are_changed_an_archive_is_laid_out_inside_or_refused(tmp_path):
    """Long runs have found errors of tarfile's and zipfile's that are no error of an archive's: CMR_FUZZ=20000."""
    long = tarfile.TarInfo("p" * 150)
    long.pax_headers = {"comment": "x", "mtime": "1.5"}
    link, hard = entry("l", kind=tarfile.SYMTYPE, target="a/1"), entry("h", kind=tarfile.LNKTYPE, target="a/1")
    plain = tar_bytes(entry("a/1", b"1" * 700), (long, b""), link, hard, entry("d", kind=tarfile.DIRTYPE))
    zipped = zip_bytes(("a/1", b"1" * 700, 0), ("l", b"a/1", stat.S_IFLNK | 0o777), ("b", os.urandom(300), 0))
    dice, archive, folder = random.Random(0), tmp_path / "archive", tmp_path / "folder"
    outcomes = set()
    for _ in range(int(os.environ.get("CMR_FUZZ", "600"))):
        archive.write_bytes(changed(dice.choice([plain, plain, zipped, gzip.compress(plain)]), dice))
        try:
            unpack(archive, folder, limit=100_000)
        except UserError:
            outcomes |= {"refused"}
        else:
            outcomes |= {"laid out"}
            assert all(path.resolve().is_relative_to(folder.resolve()) for path in folder.rglob("*"))
            shutil.rmtree(folder)
        assert [path.name for path in tmp_path.iterdir()] == ["archive"]
    assert outcomes == {"refused", "laid out"}


def test_a_program_that_complains_without_end_is_heard_out(tmp_path, monkeypatch):
    """Its complaints once filled a pipe that nobody emptied; it then gives up, which a test can see."""
    stand_in = tmp_path / "bsdtar"
    stand_in.write_text("#!/bin/sh\ntimeout 10 head -c 1000000 /dev/zero >&2 || exit 3\ncat tree.tar\n")
    stand_in.chmod(0o755)
    (tmp_path / "tree.tar").write_bytes(tree_archive("tar"))
    (tmp_path / "archive").write_bytes(b"7z\xbc\xaf\x27\x1c")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    assert unpack(tmp_path / "archive", tmp_path / "folder", limit=LIMIT) == 4
