"""Where an asset comes from, what is verified, and what every kind of failure says and leaves behind."""

import functools
import hashlib
import http.server
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import jsonschema
import pytest
import yaml

from cmr import assets
from cmr.assets import download as download_module
from cmr.assets.sources import fetchable_sources, mirror_files
from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.files import read_json
from cmr.progress import SILENT
from tests.servers import serving

ROOT = Path(__file__).parents[2]
CONTENT = os.urandom(700_000)  # several blocks of a download
BLOCK = download_module.BLOCK_BYTES
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ABOUT = {"description": "a file", "licence": "CC0-1.0", "by_hand": "the author's page"}


class Server(http.server.ThreadingHTTPServer):
    """A local web server of one file, with one fault a request as `faults` lists them, none when that is empty."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag, self.ranges_served = CONTENT, '"1"', True
        self.faults: list = []
        self.ranges: list[str | None] = []  # the Range header of each request
        self.released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/files/weights.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.ranges.append(wanted)
        fault, value = server.faults.pop(0) if server.faults else (None, None)
        if fault == "status":
            self.send_error(value)
            return
        if fault == "redirect":
            self.send_response(302)
            self.send_header("Location", value)
            self.end_headers()
            return
        start = 0
        if server.ranges_served and wanted and self.headers.get("If-Range") == server.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        total = len(server.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if server.etag:
            self.send_header("ETag", server.etag)
        if fault != "no length":
            self.send_header("Content-Length", str(total - start))
        self.end_headers()
        if fault in ("cut", "stall"):
            self.wfile.write(server.content[start : start + value])
            self.wfile.flush()
            if fault == "stall":
                server.released.wait(20)
        else:
            self.wfile.write(server.content[start:])

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    with serving(Server(), monkeypatch) as server:
        yield server


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("CMR_MIRRORS", raising=False)
    return tmp_path / "data/raw/weights"


def obtain(folder: Path, spec: dict, *mirrors: Path) -> Path:
    return assets.obtain("weights", ABOUT | spec, mirrors=mirrors, folder=folder, progress=SILENT)


def url(server: Server, **facts) -> dict:
    return {"url": {"address": server.address} | facts}


def mirror(folder: Path, name: str, content: bytes = CONTENT) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return folder


def left(folder: Path) -> list[str]:
    """What lies below data/raw, apart from empty folders and the lock against two processes at once."""
    return sorted(
        str(p.relative_to(folder.parent)) for p in folder.parent.rglob("*") if p.is_file() and p.suffix != ".lock"
    )


def failure(folder: Path, spec: dict, *mirrors: Path) -> str:
    before = left(folder)
    with pytest.raises(UserError) as caught:
        obtain(folder, spec, *mirrors)
    assert [name for name in left(folder) if not name.startswith(".partial/")] == before
    return str(caught.value)


# Downloads


def test_a_download_is_verified_and_described(server, folder):
    manifest = read_json(obtain(folder, url(server, sha256=SHA256, size=len(CONTENT))))
    assert assets.single_file(folder).read_bytes() == CONTENT
    assert manifest.pop("obtained")[:2] == "20"
    assert manifest == {
        "asset": "weights",
        "description": "a file",
        "licence": "CC0-1.0",
        "source": "url",
        "from": server.address,
        "file": "weights.bin",
        "size": len(CONTENT),
        "sha256": SHA256,
        "unpacked_files": None,
        "content": None,
    }
    assert left(folder) == ["weights/asset.json", "weights/weights.bin"]


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_an_interrupted_download_goes_on_where_it_stopped(fault, server, folder, monkeypatch):
    monkeypatch.setattr(download_module, "TIMEOUT", (2, 0.3))
    server.faults = [(fault, 4 * BLOCK + 1), (fault, 3 * BLOCK + 1)]
    obtain(folder, url(server, sha256=SHA256))
    assert assets.single_file(folder).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={4 * BLOCK}-", f"bytes={7 * BLOCK}-"]


def test_a_later_run_goes_on_where_the_earlier_one_gave_up(server, folder, monkeypatch):
    monkeypatch.setattr(download_module, "RETRIES", 0)
    server.faults = [("cut", 5 * BLOCK)]
    assert "the next run goes on there" in failure(folder, url(server, sha256=SHA256))
    obtain(folder, url(server, sha256=SHA256))
    assert server.ranges == [None, f"bytes={5 * BLOCK}-"]
    assert assets.single_file(folder).read_bytes() == CONTENT


def test_a_file_that_changed_between_two_attempts_is_fetched_anew(server, folder, monkeypatch):
    monkeypatch.setattr(download_module, "RETRIES", 0)
    server.faults = [("cut", 600_000)]
    failure(folder, url(server))
    server.content, server.etag = CONTENT[::-1], '"2"'
    obtain(folder, url(server))
    assert assets.single_file(folder).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("lack", ["ranges_served", "etag"])
def test_a_server_that_cannot_resume_sends_the_whole_file_again(lack, server, folder):
    setattr(server, lack, None)
    server.faults = [("cut", 300_000)]
    obtain(folder, url(server, sha256=SHA256))
    assert assets.single_file(folder).read_bytes() == CONTENT
    assert len(server.ranges) == 2


def test_a_download_that_was_complete_is_not_repeated(server, folder, monkeypatch):
    monkeypatch.setattr(download_module, "RETRIES", 0)
    server.faults = [("cut", 600_000)]
    failure(folder, url(server, sha256=SHA256))
    (partial,) = (folder.parent / ".partial").glob("*-weights.bin")
    partial.write_bytes(CONTENT)  # as if the process had been killed just before it took the file over
    obtain(folder, url(server, sha256=SHA256))
    assert server.ranges == [None, f"bytes={len(CONTENT)}-"]
    assert assets.single_file(folder).read_bytes() == CONTENT


def test_a_partial_file_longer_than_the_server_s_is_thrown_away(server, folder, monkeypatch):
    monkeypatch.setattr(download_module, "RETRIES", 0)
    server.faults = [("cut", 600_000)]
    failure(folder, url(server))
    monkeypatch.setattr(download_module, "RETRIES", 1)
    (partial,) = (folder.parent / ".partial").glob("*-weights.bin")
    partial.write_bytes(CONTENT * 2)
    obtain(folder, url(server))
    assert assets.single_file(folder).read_bytes() == CONTENT


def test_a_file_of_another_length_is_refused_before_it_is_fetched(server, folder):
    message = failure(folder, url(server, size=len(CONTENT) + 1))
    assert f"has {len(CONTENT)} bytes, but config/assets expects {len(CONTENT) + 1}" in message
    assert server.ranges == [None]


def test_a_body_past_the_expected_length_is_cut_off(server, folder):
    server.faults = [("no length", None)]
    assert "more than the 1000 bytes" in failure(folder, url(server, size=1000))
    assert left(folder) == []


def test_a_short_body_of_undeclared_length_is_noticed(server, folder):
    server.content, server.etag = CONTENT[:1000], None
    server.faults = [("no length", None)] * 5
    assert f"ended after 1000 of {len(CONTENT)} bytes" in failure(folder, url(server, size=len(CONTENT)))


def test_a_wrong_digest_names_both_and_keeps_nothing(server, folder):
    message = failure(folder, url(server, sha256="0" * 64))
    assert SHA256 in message
    assert "0" * 64 in message
    assert left(folder) == []
    assert len(server.ranges) == 1


def test_a_digest_prefix_is_checked(server, folder):
    wrong = ("0" if SHA256[0] != "0" else "1") + SHA256[1:8]
    assert f"expects {wrong}" in failure(folder, url(server, sha256_prefix=wrong))
    obtain(folder, url(server, sha256_prefix=SHA256[:8]))


def test_a_missing_page_is_asked_for_once(server, folder):
    server.faults = [("status", 404)]
    assert "the server answers 404 Not Found" in failure(folder, url(server))
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server, folder):
    server.faults = [("status", 503), ("status", 429)]
    obtain(folder, url(server, sha256=SHA256))
    assert len(server.ranges) == 3


def test_a_failing_server_is_named_as_the_cause(server, folder):
    server.faults = [("status", 500)] * 5
    assert "the server failed (500" in failure(folder, url(server))


def test_a_redirect_is_followed(server, folder):
    server.faults = [("redirect", "/elsewhere/name")]
    obtain(folder, url(server, sha256=SHA256))
    assert assets.single_file(folder).name == "weights.bin"


def test_a_redirect_to_an_insecure_address_is_refused(server, folder):
    server.faults = [("redirect", f"http://localhost:{server.server_port}/")]
    assert "without encryption" in failure(folder, url(server))


def test_an_insecure_address_is_not_even_asked(folder):
    assert "without encryption" in failure(folder, {"url": {"address": "http://localhost:1/weights.bin"}})


def test_no_network_is_named_as_the_cause(server, folder):
    spec = url(server)
    spec["url"]["address"] = "http://127.0.0.1:9/weights.bin"
    assert "no network, or 127.0.0.1 cannot be reached" in failure(folder, spec)


# Mirrors


def test_mirrors_come_first_and_in_their_order(server, folder, tmp_path):
    first, second = mirror(tmp_path / "1", "other.bin"), mirror(tmp_path / "2", "weights.bin")
    third = mirror(tmp_path / "3", "weights.bin", b"other")
    manifest = json.loads(obtain(folder, url(server), first, second, third).read_text())
    assert (manifest["source"], manifest["from"]) == ("mirror", str(second / "weights.bin"))
    assert assets.single_file(folder).read_bytes() == CONTENT
    assert server.ranges == []


def test_a_mirror_may_hold_the_file_of_any_source(folder, tmp_path):
    spec = {
        "mirror": [{"file": "set/a.mat"}],
        "debian": {"package": "weights", "version": "1:2-3"},
        "wheel": {"distribution": "weights", "file": "weights/data/b.bin"},
        "url": {"address": "https://example.org/download/c%20d.bin?x=1"},
    }
    for number, name in enumerate(["set/a.mat", "weights_1%3a2-3_all.deb", "b.bin", "c d.bin"]):
        obtain(folder, spec, mirror(tmp_path / f"{number}", name))
        assert assets.single_file(folder).name == Path(name).name


def test_a_wrong_file_in_a_mirror_is_an_error_though_a_source_would_serve(server, folder, tmp_path):
    message = failure(folder, url(server, sha256=SHA256), mirror(tmp_path / "1", "weights.bin", b"other"))
    for part in (str(tmp_path / "1/weights.bin"), SHA256, hashlib.sha256(b"other").hexdigest()):
        assert part in message
    assert server.ranges == []


def test_a_truncated_file_in_a_mirror_names_both_sizes(server, folder, tmp_path):
    spec = url(server, sha256=SHA256, size=len(CONTENT))
    assert "has 10 bytes" in failure(folder, spec, mirror(tmp_path / "1", "weights.bin", CONTENT[:10]))


def test_mirrors_are_those_configured_then_the_environment_s(tmp_path, monkeypatch):
    one, two, three = (tmp_path / name for name in "123")
    for path in (one, two, three):
        path.mkdir()
    monkeypatch.setenv("CMR_MIRRORS", os.pathsep.join([str(two), "", str(three), str(one)]))
    assert assets.mirror_folders([one]) == [one, two, three]
    monkeypatch.delenv("CMR_MIRRORS")
    assert assets.mirror_folders([str(one)]) == [one]


def test_what_a_user_put_into_manual_is_found_before_the_mirrors(server, folder, tmp_path):
    manual = mirror(folder.parent.parent / "manual", "weights.bin")
    found = assets.status("weights", url(server), [], folder.parent)
    assert found.words == f"in a mirror, {manual / 'weights.bin'}"
    assert json.loads(obtain(folder, url(server)).read_text())["from"] == str(manual / "weights.bin")
    mirrored = mirror(tmp_path / "1", "weights.bin")
    assert json.loads(obtain(folder, url(server), mirrored).read_text())["from"] == str(manual / "weights.bin")
    assert server.ranges == []


def test_a_mirror_that_does_not_exist_is_named_with_its_origin(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"absent is no folder.*configuration key `mirrors`"):
        assets.mirror_folders([tmp_path / "absent"])
    monkeypatch.setenv("CMR_MIRRORS", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"gone is no folder.*CMR_MIRRORS"):
        assets.mirror_folders([])


def test_when_all_fails_the_message_says_what_was_tried_and_what_to_do(server, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    server.faults = [("status", 404)]
    spec = {
        "mirror": [{"file": "set/a.mat"}],
        "debian": {"package": "weights", "version": "1-1"},
        "wheel": {"distribution": "no-such-distribution", "file": "b.bin"},
    } | url(server)
    message = failure(folder, spec, tmp_path)
    for part in (
        f"mirrors ({folder.parent.parent / 'manual'}, {tmp_path}): ",
        "no set/a.mat or weights_1-1_all.deb or b.bin or weights.bin",
        "Debian package weights 1-1: this machine has no apt-get",
        "Python distribution no-such-distribution: it is not installed",
        f"{server.address}: the server answers 404",
        "the author's page",
        f"put it into {folder.parent.parent / 'manual'} or a mirror",
    ):
        assert part in message
    assert left(folder) == []


# Packages


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"sha256": SHA256}, f"; SHA-256 {SHA256})"),
        ({"sha256_prefix": SHA256[:8]}, f"; SHA-256 {SHA256[:8]}...)"),
        ({"md5": "0" * 32}, f"; MD5 {'0' * 32})"),
        ({}, "the author's page)"),
    ],
    ids=["sha256", "sha256_prefix", "md5", "unknown"],
)
def test_what_is_to_be_got_by_hand_comes_with_its_digest_and_with_what_serves_instead(folder, known, told):
    spec = ABOUT | {"mirror": [{"file": "weights.bin", **known}]}
    message = failure(folder, spec)
    assert told in message and "Instead" not in message
    assert failure(folder, spec | {"instead": "the view of stripes"}).endswith("\nInstead: the view of stripes")


@pytest.fixture
def apt_get(tmp_path, monkeypatch):
    """A stand-in for apt-get that knows its package only after `update`, and notes how it is called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    calls = tmp_path / "calls"
    (programs / "apt-get").write_text(
        f"""#!/bin/sh
        for last; do case $last in update|download) action=$last ;; esac; done
        echo "$action $last" >> {calls}
        if [ $action = update ]; then exit 0; fi
        if ! grep -q update {calls}; then echo "E: Unable to locate package weights" >&2; exit 100; fi
        printf package > weights_1-1_all.deb
        """
    )
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return calls


def test_apt_s_lists_are_refreshed_where_that_is_allowed(apt_get, folder, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    manifest = json.loads(obtain(folder, {"debian": {"package": "weights", "version": "1-1"}}).read_text())
    assert assets.single_file(folder).read_bytes() == b"package"
    assert (manifest["source"], manifest["from"]) == ("debian", "Debian package weights 1-1")
    assert apt_get.read_text().splitlines() == ["download weights=1-1", "update update", "download weights=1-1"]


def test_apt_s_lists_are_left_alone_where_it_is_not(apt_get, folder, server, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    spec = {"debian": {"package": "weights", "version": "1-1"}}
    message = failure(folder, spec)
    assert "E: Unable to locate package weights" in message
    assert "`apt-get update`, run as root" in message
    assert "update" not in apt_get.read_text()
    obtain(folder, spec | url(server, sha256=SHA256))  # the next source serves
    assert assets.single_file(folder).read_bytes() == CONTENT


def test_a_file_of_an_installed_wheel_is_copied(folder):
    obtain(folder, {"wheel": {"distribution": "pytest", "file": "pytest/__init__.py"}})
    assert assets.single_file(folder).read_bytes() == Path(pytest.__file__).read_bytes()
    assert "has no pytest/absent" in failure(folder, {"wheel": {"distribution": "pytest", "file": "pytest/absent"}})


def test_a_folder_of_an_installed_wheel_is_copied(folder):
    spec = {"wheel": {"distribution": "pytest", "folder": "pytest", "files": ["*.py", "py.typed"]}}
    assert (
        assets.status("weights", ABOUT | spec, [], folder.parent).words == "obtainable from Python distribution pytest"
    )
    obtain(folder, spec)
    installed = Path(pytest.__file__).parent
    assert (folder / "__init__.py").read_bytes() == (installed / "__init__.py").read_bytes()
    assert {path.name for path in folder.iterdir()} == {"asset.json", "__init__.py", "__main__.py", "py.typed"}
    assert "has no pytest/absent" in failure(folder, {"wheel": {"distribution": "pytest", "folder": "pytest/absent"}})
    assert "is not installed" in failure(folder, {"wheel": {"distribution": "absent-package", "folder": "x"}})


# Digests remembered from the first use


def test_an_unknown_digest_is_remembered_and_outlives_the_folder(server, folder):
    obtain(folder, url(server))
    lock = folder.parent / "weights.lock.json"
    assert read_json(lock) == {"weights.bin": SHA256}
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    server.content, server.etag = b"changed", '"2"'
    message = failure(folder, url(server))
    for part in (SHA256, hashlib.sha256(b"changed").hexdigest(), f"delete {lock} first"):
        assert part in message
    lock.unlink()
    obtain(folder, url(server))
    assert assets.single_file(folder).read_bytes() == b"changed"


def test_the_lock_file_remembers_each_file_name(server, folder, tmp_path):
    obtain(folder, url(server))
    spec = {"mirror": [{"file": "set/other.bin"}]} | url(server)
    obtain(folder, spec, mirror(tmp_path / "1", "set/other.bin", b"other"))
    assert set(read_json(folder.parent / "weights.lock.json")) == {"weights.bin", "other.bin"}
    assert "at first use" in failure(folder, spec, mirror(tmp_path / "1", "set/other.bin", b"changed"))


def test_a_first_file_that_cannot_be_unpacked_is_not_remembered(server, folder):
    server.content = b"<html>please log in</html>"
    assert "no archive" in failure(folder, {"unpack": {"limit": 10**6}} | url(server))
    assert left(folder) == []


# Laying out


def archives(tmp_path: Path) -> Path:
    """The same two files in a tar and a zip archive of differing layout."""
    files = {"images/1.png": b"one", "texts/1.txt": b"eins"}
    folder = tmp_path / "archives"
    folder.mkdir()
    with tarfile.open(folder / "tree_1_all.deb", "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./usr/share/set/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with zipfile.ZipFile(folder / "tree.zip", "w") as archive:
        for name, content in ({"LICENCE": b"free"} | files).items():
            archive.writestr(f"set-1.0/{name}", content)
    return folder


def test_sources_of_differing_layout_give_the_same_tree(folder, tmp_path):
    mirrored = archives(tmp_path)
    spec = {
        "unpack": {"limit": 10**6, "keep": "images"},
        "debian": {"package": "tree", "version": "1", "subfolder": "usr/share/set"},
        "url": {"address": "https://example.org/tree.zip", "subfolder": "set-1.0"},
    }
    for source in ("tree_1_all.deb", "tree.zip"):
        manifest = json.loads(obtain(folder, spec, mirrored).read_text())
        assert (manifest["file"], manifest["unpacked_files"]) == (source, 1)
        assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == ["asset.json", "images", "images/1.png"]
        (mirrored / source).unlink()
    with pytest.raises(UserError, match="where one file is expected"):
        assets.single_file(folder)


def test_a_failure_leaves_what_stood_there(server, folder, tmp_path):
    obtain(folder, url(server))
    spec = {"unpack": {"limit": 10**6}} | url(server)
    failure(folder, spec, mirror(tmp_path / "1", "weights.bin", CONTENT))
    assert assets.single_file(folder).read_bytes() == CONTENT


def test_what_stood_there_is_replaced_whole(server, folder):
    mirror(folder, "old/file")
    obtain(folder, url(server))
    assert left(folder) == ["weights.lock.json", "weights/asset.json", "weights/weights.bin"]


def test_a_member_named_like_the_manifest_is_refused(folder, tmp_path):
    (tmp_path / "1").mkdir()
    with zipfile.ZipFile(tmp_path / "1/tree.zip", "w") as archive:
        archive.writestr("asset.json", "{}")
    spec = {"unpack": {"limit": 10**6}, "mirror": [{"file": "tree.zip"}]}
    assert "the name of the manifest" in failure(folder, spec, tmp_path / "1")


def test_remains_of_a_killed_process_are_cleared(server, folder):
    mirror(folder.parent / ".partial/weights/new", "half")
    obtain(folder, url(server, sha256=SHA256))
    assert left(folder) == ["weights/asset.json", "weights/weights.bin"]


def test_the_script_reports_a_full_disk_in_one_line_and_leaves_nothing(folder, tmp_path):
    """A limit on the size of files stands in for the full disk."""
    mirrored = mirror(tmp_path / "1", "weights.bin")
    root = tmp_path / "checkout"
    for part in ("config", "workflow/schemas"):
        shutil.copytree(ROOT / part, root / part)
    entries = root / "config/assets/weights.yaml"
    entries.write_text(json.dumps({"weights": ABOUT | {"mirror": [{"file": "weights.bin"}]}}))
    command = [sys.executable, ROOT / "scripts/obtain_asset.py", "weights", "--root", root, "--mirrors", mirrored]
    command += ["--manifest", folder / "asset.json"]
    run = functools.partial(subprocess.run, command, capture_output=True, text=True, check=False)
    full = run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
    assert full.returncode == 1
    assert full.stderr.startswith(f"error: asset weights could not be put into {folder}: [Errno 27] File too large")
    assert full.stderr.count("\n") == 2  # and after how long it failed
    assert left(folder) == []
    assert run().returncode == 0
    assert assets.single_file(folder).read_bytes() == CONTENT


# Status


def test_status_says_where_an_asset_would_come_from(server, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    def words(spec, mirrors=()):
        status = assets.status("weights", spec, mirrors, folder.parent)
        assert status.words.startswith(status.state)
        return status.words

    spec = ABOUT | {
        "debian": {"package": "weights", "version": "1-1"},
        "wheel": {"distribution": "no-such-distribution", "file": "b.bin"},
    }
    by_hand = words(spec)
    assert by_hand.startswith(f"by hand: {ABOUT['by_hand']}; put weights_1-1_all.deb or b.bin into")
    assert str(folder.parent.parent / "manual") in by_hand
    assert words(spec | url(server, size=5_000_000)) == f"obtainable from {server.address}, 5 MB"
    wheel = {"wheel": {"distribution": "pytest", "file": "pytest/__init__.py"}}
    assert words(spec | wheel) == "obtainable from Python distribution pytest"
    (tmp_path / "apt-get").touch(mode=0o755)
    assert words(spec) == "obtainable from Debian package weights 1-1"
    mirrored = mirror(tmp_path / "1", "b.bin")
    assert words(spec, [mirrored]) == f"in a mirror, {mirrored / 'b.bin'}"
    obtain(folder, spec, mirrored)
    assert words(spec) == f"present, {len(CONTENT) / 1e6:,.1f} MB from {mirrored / 'b.bin'}"
    assert server.ranges == []


def test_status_tells_an_unpacked_copy_and_a_folder_of_the_user_s(folder, tmp_path):
    spec = ABOUT | {"mirror": [{"folder": "set"}]}
    (tmp_path / "1/set").mkdir(parents=True)
    status = assets.status("weights", spec, [tmp_path / "1"], folder.parent)
    assert (status.state, status.folder) == ("in a mirror", tmp_path / "1/set")
    own = ABOUT | {"local": str(tmp_path / "1/set")}
    assert assets.status("weights", own, [], folder.parent).folder == tmp_path / "1/set"
    gone = ABOUT | {"local": str(tmp_path / "gone")}
    assert "does not exist, create it" in assets.status("weights", gone, [], folder.parent).words


# Folders


def files_below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "asset.json"
    }


@pytest.fixture
def unpacked(tmp_path):
    """A mirror with the asset unpacked, as the folder `set`."""
    (tmp_path / "1/set/deep").mkdir(parents=True)
    (tmp_path / "1/set/a.txt").write_bytes(b"one")
    (tmp_path / "1/set/deep/b.txt").write_bytes(b"two")
    return tmp_path / "1"


def test_an_unpacked_copy_in_a_mirror_is_copied_whole(folder, unpacked):
    spec = ABOUT | {"mirror": [{"folder": "set"}]}
    obtain(folder, spec, unpacked)
    assert files_below(folder) == {"a.txt": b"one", "deep/b.txt": b"two"}
    manifest = read_json(folder / "asset.json")
    assert (manifest["unpacked_files"], manifest["size"]) == (2, 6)
    before = manifest["sha256"]
    (unpacked / "set/c.txt").write_bytes(b"completed later")
    obtain(folder, spec, unpacked)
    assert set(files_below(folder)) == {"a.txt", "deep/b.txt", "c.txt"}
    assert read_json(folder / "asset.json")["sha256"] != before


def test_of_an_unpacked_copy_only_the_files_that_are_meant_are_taken(folder, unpacked):
    obtain(folder, ABOUT | {"mirror": [{"folder": "set", "files": ["deep/*.txt", "*.mat"]}]}, unpacked)
    assert set(files_below(folder)) == {"deep/b.txt"}


def test_a_whole_archive_is_preferred_to_an_unpacked_copy(folder, unpacked):
    with tarfile.open(unpacked / "set.tar", "w") as tar:
        tar.add(unpacked / "set/a.txt", "from_archive.txt")
    spec = ABOUT | {"mirror": [{"folder": "set"}, {"file": "set.tar"}], "unpack": {"limit": 10**6}}
    obtain(folder, spec, unpacked)
    assert set(files_below(folder)) == {"from_archive.txt"}


def test_a_whole_archive_in_manual_completes_a_copy_in_part_in_a_mirror(folder, unpacked):
    spec = ABOUT | {"mirror": [{"folder": "set"}, {"file": "set.tar"}], "unpack": {"limit": 10**6}}
    obtain(folder, spec, unpacked)
    assert set(files_below(folder)) == {"a.txt", "deep/b.txt"}
    manual = folder.parent.parent / "manual"
    manual.mkdir()
    with tarfile.open(manual / "set.tar", "w") as tar:
        tar.add(unpacked / "set/a.txt", "whole.txt")
    obtain(folder, spec, unpacked)
    assert set(files_below(folder)) == {"whole.txt"}


def test_a_changed_file_changes_the_digest_of_a_folder_and_a_completed_copy_needs_no_other_lock(folder, unpacked):
    spec = ABOUT | {"mirror": [{"folder": "set"}]}
    digests = set()
    for content in (b"one", b"eno"):
        (unpacked / "set/a.txt").write_bytes(content)
        digests.add(read_json(obtain(folder, spec, unpacked))["sha256"])
    assert len(digests) == 2
    assert not folder.with_name("weights.lock.json").exists()


def test_hidden_files_are_no_data(folder, unpacked):
    (unpacked / "set/.DS_Store").write_bytes(b"x")
    (unpacked / "set/.cache").mkdir()
    (unpacked / "set/.cache/y").write_bytes(b"y")
    obtain(folder, ABOUT | {"local": str(unpacked / "set")})
    assert set(files_below(folder)) == {"a.txt", "deep/b.txt"}


def test_a_changed_file_whose_time_is_put_back_changes_its_folder_s_digest(unpacked, tmp_path):
    own, memory = unpacked / "set", tmp_path / "memory.json"
    first, before = assets.folder_digest(own, memory), (own / "a.txt").stat()
    (own / "a.txt").write_bytes((own / "a.txt").read_bytes().swapcase())
    os.utime(own / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (own / "a.txt").stat().st_size == before.st_size
    assert assets.folder_digest(own, memory) != first


def test_a_folder_s_digest_follows_contents_and_not_times(unpacked, tmp_path):
    own, memory = unpacked / "set", tmp_path / "memory.json"
    first = assets.folder_digest(own, memory)
    os.utime(own / "a.txt", (0, 0))
    (own / ".hidden").write_bytes(b"x")
    assert assets.folder_digest(own, memory) == first
    (own / "a.txt").write_bytes(b"eno")
    changed = assets.folder_digest(own, memory)
    assert changed != first
    (own / "a.txt").rename(own / "c.txt")
    assert assets.folder_digest(own, memory) not in (first, changed)
    (own / "c.txt").rename(own / "a.txt")
    own.rename(unpacked / "away")
    assert assets.folder_digest(own, memory) not in (first,)  # what stood there last
    (unpacked / "away").rename(own)
    assert assets.folder_digest(own, memory) == changed


def test_a_folder_s_unchanged_files_are_not_read_again(unpacked, tmp_path, monkeypatch):
    own, memory = unpacked / "set", tmp_path / "memory.json"
    assets.folder_digest(own, memory)
    read = []
    monkeypatch.setattr("cmr.assets.local.file_sha256", lambda path: read.append(path.name) or "digest")
    assets.folder_digest(own, memory)
    assert read == []
    (own / "a.txt").write_bytes(b"longer")
    assets.folder_digest(own, memory)
    assert read == ["a.txt"]


@pytest.mark.parametrize("relation", ["holds", "lies in"])
def test_a_folder_that_holds_its_own_copy_is_refused(folder, relation):
    own = folder.parent.parent if relation == "holds" else folder.parent / "mine"
    own.mkdir(parents=True, exist_ok=True)
    (own / "file").write_bytes(b"x")
    assert "hold one another" in failure(folder, ABOUT | {"local": str(own)})


def test_a_folder_of_the_user_s_is_an_asset(folder, unpacked):
    obtain(folder, ABOUT | {"local": str(unpacked / "set")})
    assert files_below(folder) == {"a.txt": b"one", "deep/b.txt": b"two"}


@pytest.mark.parametrize("content", ["nothing", "manifest", "absent"])
def test_a_folder_that_cannot_be_taken_says_why(folder, tmp_path, content):
    own = tmp_path / "own"
    if content != "absent":
        own.mkdir()
    if content == "manifest":
        (own / "asset.json").write_text("{}")
    message = {
        "nothing": "holds no file **/*",
        "manifest": "the name of the manifest: rename that file",
        "absent": "does not exist: create it",
    }[content]
    assert message in failure(folder, ABOUT | {"local": str(own)})
    assert not folder.exists()


# MD5 and connections without encryption


def test_an_md5_is_checked_and_names_both(server, folder):
    right = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    obtain(folder, url(server, md5=right))
    assert assets.single_file(folder).read_bytes() == CONTENT
    message = failure(folder, url(server, md5="0" * 32))
    assert right in message and "0" * 32 in message


def test_a_prefix_of_a_digest_is_not_enough_without_encryption(folder):
    spec = {"url": {"address": "http://localhost:1/weights.bin", "sha256_prefix": "0" * 8}}
    assert "without encryption" in failure(folder, spec)


@pytest.mark.parametrize("known", [{"md5": "0" * 32}, {"sha256": "0" * 64}, {"unverified": True}])
def test_without_encryption_a_file_is_asked_for_if_its_digest_is_known_or_the_user_agrees(folder, server, known):
    message = failure(folder, {"url": {"address": "http://localhost:1/weights.bin", **known}})
    assert "cannot be reached" in message


# The configuration

CONFIGURED = Catalogue.read(ROOT).assets
VALIDATOR = jsonschema.Draft202012Validator(
    yaml.safe_load((ROOT / "workflow/schemas/assets.schema.yaml").read_text("utf-8"))
)


def test_the_configuration_fits_its_schema_and_the_code():
    VALIDATOR.check_schema(VALIDATOR.schema)
    for spec in CONFIGURED.values():
        assert mirror_files(spec)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("licenze", "CC0-1.0"),
        ("unpack", True),
        ("unpack", {"keep": "a"}),
        ("url", {"address": "http://example.org/a.zip"}),
        ("url", {"address": "http://example.org/a.zip", "sha256_prefix": "0" * 8}),
        ("url", {"address": "http://example.org/a.zip", "unverified": False}),
        ("url", {"address": "https://example.org/folder/"}),
        ("url", {"address": "https://example.org/a.zip", "sha256": "ABC"}),
        ("url", {"address": "https://example.org/a.zip", "sha265": "0" * 64}),
        ("debian", {"package": "a"}),
        ("wheel", {"distribution": "a", "file": "/absolute"}),
        ("mirror", [{"file": "a", "folder": "b"}]),
    ],
)
def test_a_mistake_in_the_configuration_fails_its_schema(key, value):
    good = ABOUT | {"url": {"address": "https://example.org/a.zip"}}
    assert VALIDATOR.is_valid({"weights": good})
    assert not VALIDATOR.is_valid({"weights": good | {key: value}})


def test_an_asset_without_a_source_fails_the_schema():
    assert not VALIDATOR.is_valid({"weights": ABOUT})


@pytest.mark.parametrize("network", ["alexnet", "vgg16", "vgg19"])
def test_the_weights_are_those_that_torchvision_names(network):
    (source,) = fetchable_sources(CONFIGURED[f"{network}_weights"])
    module = "alexnet" if network == "alexnet" else "vgg"
    code = Path(distribution("torchvision").locate_file(f"torchvision/models/{module}.py")).read_text("utf-8")
    assert f'IMAGENET1K_V1 = Weights(\n        url="{source.address}"' in code
    assert source.mirror_name.endswith(f"-{source.sha256_prefix}.pth")
