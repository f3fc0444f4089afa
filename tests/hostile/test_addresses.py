"""Servers made to harm, and addresses and names of packages that are more than that; all servers are on loopback.

The library takes http://127.0.0.1 for a secure address, as no one listens in there; http://localhost stands for an
address without encryption.
"""

import gzip
import hashlib
import http.server
import threading

import pytest
import requests

from cmr import assets
from cmr.assets import download as module
from cmr.assets.download import Unavailable
from cmr.assets.sources import Address
from cmr.configuration import StrictValidator, check, read_yaml
from cmr.errors import UserError
from cmr.progress import SILENT
from tests.project import ROOT
from tests.servers import serving

ABOUT = {"description": "a file", "licence": "CC0-1.0", "by_hand": "the author's page"}
WRONG = "0" * 64


class Server(http.server.ThreadingHTTPServer):
    """Answers every request by `answer`, and notes what was asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.asked, self.released = None, [], threading.Event()

    def address(self, host: str = "127.0.0.1", path: str = "weights.bin") -> str:
        return f"http://{host}:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        try:
            self.server.answer(self)
        except OSError:  # the other side has gone
            self.close_connection = True

    def head(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    with serving(Server(), monkeypatch) as server:
        yield server


@pytest.fixture
def refusal(server, tmp_path, monkeypatch):
    """Why an asset is not obtained; nothing of it is left but what the next attempt would go on with."""
    monkeypatch.delenv("CMR_MIRRORS", raising=False)

    def call(**facts) -> str:
        spec = ABOUT | {"url": {"address": server.address()} | facts}
        with pytest.raises(UserError) as caught:
            assets.obtain("weights", spec, mirrors=[], folder=tmp_path / "data/raw/weights", progress=SILENT)
        left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
        assert {path.parent for path in left} <= {tmp_path / "data/raw/.partial"}
        return str(caught.value)

    return call


# Redirects

ENCRYPTED, PLAIN = "https://example.org/a", "http://example.org/a"


@pytest.mark.parametrize(
    ("here", "location", "trusted", "reason"),
    [
        (ENCRYPTED, "https://files.example.net/b", False, None),
        (ENCRYPTED, "/b", False, None),
        (ENCRYPTED, "//files.example.net/b", False, None),
        (PLAIN, "https://example.org/b", True, None),
        (PLAIN, "http://files.example.net/b", True, None),
        (ENCRYPTED, "http://example.org/b", False, "without encryption"),
        (ENCRYPTED, "http://example.org/b", True, "without encryption"),  # no way back, whatever is known of the file
        (PLAIN, "http://example.org/b", False, "without encryption"),
        (ENCRYPTED, "file:///etc/passwd", True, "no address of the web"),
        (ENCRYPTED, "ftp://example.org/b", True, "no address of the web"),
        (ENCRYPTED, "data:text/plain,evil", True, "no address of the web"),
        (ENCRYPTED, "javascript:alert(1)", True, "no address of the web"),
        (ENCRYPTED, "https://127.0.0.1/b", True, "of this machine or its own network"),
        (PLAIN, "http://127.0.0.1:8080/shutdown", True, "of this machine or its own network|without encryption"),
        (PLAIN, "http://localhost/b", True, "of this machine or its own network"),
        (PLAIN, "http://a.localhost./b", True, "of this machine or its own network"),
        (PLAIN, "http://10.0.0.1/b", True, "of this machine or its own network"),
        (PLAIN, "http://192.168.1.1/b", True, "of this machine or its own network"),
        (PLAIN, "http://169.254.169.254/latest/meta-data", True, "of this machine or its own network"),
        (PLAIN, "http://[::1]/b", True, "of this machine or its own network"),
        (PLAIN, "http://[fd00::1]/b", True, "of this machine or its own network"),
        (PLAIN, "http://[::ffff:127.0.0.1]/b", True, "of this machine or its own network"),
        (PLAIN, "http://0.0.0.0/b", True, "of this machine or its own network"),
    ],
)
def test_a_redirect_leads_on_only_by_encryption_and_only_into_the_internet(here, location, trusted, reason):
    response = requests.Response()
    response.status_code, response.url, response.headers["Location"] = 302, here, location
    with module._Session(trusted) as session:
        if reason is None:
            assert session.get_redirect_target(response) == location
        else:
            with pytest.raises(Unavailable, match=reason):
                session.get_redirect_target(response)


@pytest.mark.parametrize("target", ["http://localhost:{port}/secret", "file:///etc/passwd", "ftp://localhost:{port}/x"])
def test_where_a_redirect_must_not_lead_nobody_is_asked(target, server, refusal):
    location = target.format(port=server.server_port)
    server.answer = lambda handler: handler.head(302, Location=location, Content_Length="0")
    assert location in refusal()
    assert server.asked == ["/weights.bin"]


def test_a_circle_of_redirects_ends_and_is_not_begun_again(server, refusal):
    server.answer = lambda handler: handler.head(302, Location="/weights.bin", Content_Length="0")
    assert "leads on more than 10 times" in refusal()
    assert len(server.asked) == 11


# Answers that are not the file


def test_a_packed_answer_is_not_unpacked(server, refusal):
    bomb = gzip.compress(bytes(50 << 20))

    def answer(handler):
        handler.head(Content_Encoding="gzip", Content_Length=str(len(bomb)))
        handler.wfile.write(bomb)

    server.answer = answer
    assert "the server packs the file as gzip" in refusal()


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
def test_a_packed_file_that_a_server_calls_packed_is_kept_as_it_is(encoding, server, tmp_path, monkeypatch):
    monkeypatch.delenv("CMR_MIRRORS", raising=False)
    content = gzip.compress(b"weights")

    def answer(handler):
        handler.head(Content_Encoding=encoding, Content_Length=str(len(content)))
        handler.wfile.write(content)

    server.answer = answer
    digest = hashlib.sha256(content).hexdigest()
    spec = ABOUT | {"url": {"address": server.address(path="weights.gz"), "sha256": digest}}
    assets.obtain("weights", spec, mirrors=[], folder=tmp_path / "raw/weights", progress=SILENT)
    assert (tmp_path / "raw/weights/weights.gz").read_bytes() == content


def test_a_page_to_log_in_is_not_taken_for_the_file_and_not_remembered(server, refusal, tmp_path):
    page = b"<html>Please log in to this network</html>"

    def answer(handler):
        handler.head(Content_Type="text/html; charset=utf-8", Content_Length=str(len(page)))
        handler.wfile.write(page)

    server.answer = answer
    assert "a web page and not the file" in refusal()
    assert not list(tmp_path.rglob("*.lock.json"))


@pytest.mark.parametrize("status", [201, 203, 204, 205, 300, 304, 401, 403, 404, 407, 410, 418])
def test_an_answer_other_than_the_file_is_named_and_asked_for_once(status, server, refusal):
    server.answer = lambda handler: handler.head(status, Content_Length="0")
    assert f"the server answers {status}" in refusal()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "length", ["9" * 5000, "-1", "1e9", "0x10", "\u0663".encode().decode("latin-1"), "10, 20", "many"]
)
def test_a_length_that_is_none_brings_no_file_in_that_is_not_the_one_expected(length, server, refusal, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 0)

    def answer(handler):
        handler.head(Content_Length=length)
        handler.wfile.write(b"evil")
        handler.close_connection = True

    server.answer = answer
    refusal(sha256=WRONG, size=10)


def test_a_body_without_an_end_is_cut_off_where_nobody_tells_its_size(server, refusal, monkeypatch):
    monkeypatch.setattr(module, "MOST_UNDECLARED", 1 << 20)

    def answer(handler):
        handler.head()
        while not handler.server.released.is_set():
            handler.wfile.write(bytes(1 << 16))

    server.answer = answer
    assert "sends more than 1048576 bytes" in refusal()


def test_more_than_the_length_that_was_told_is_not_read(server, refusal):
    def answer(handler):
        handler.head(Content_Length="4")
        handler.wfile.write(b"goodevil" * 1000)

    server.answer = answer
    assert "has SHA-256" in refusal(sha256=WRONG)


@pytest.mark.parametrize("silent", ["before its answer", "before its body"])
def test_a_server_that_says_nothing_is_given_up(silent, server, refusal, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", (1, 0.2))
    monkeypatch.setattr(module, "RETRIES", 1)

    def answer(handler):
        if silent == "before its body":
            handler.head(Content_Length="1000")
            handler.wfile.flush()
        handler.server.released.wait(30)
        handler.close_connection = True

    server.answer = answer
    refusal()
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "lines", [[b"X: " + b"a" * 100_000], [b"X-%d: a" % i for i in range(1000)], [b"\xff\x00: \x1b"]]
)
def test_headers_without_measure_are_a_failure_of_the_server(lines, server, refusal, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 0)

    def answer(handler):
        handler.wfile.write(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 4", b"", b"evil"]))
        handler.close_connection = True

    server.answer = answer
    refusal(sha256=WRONG)


# What a configuration may say of addresses, packages and places

ASSETS = StrictValidator(read_yaml(ROOT / "workflow/schemas/assets.schema.yaml"))


@pytest.mark.parametrize(
    "address",
    [
        "https://user:password@example.org/a.zip",
        "https://token@example.org/a.zip",
        "https://example.org/a.zip\nhttps://example.org/b",
        "https://example.org/a b.zip",
        "file:///etc/passwd",
        "ftp://example.org/a.zip",
        "//example.org/a.zip",
        "https:///a.zip",
        "https://example.org",
        "HTTPS://example.org/folder/",
        "-oProxy=https://example.org/a.zip",
        "javascript:alert(1)//a",
    ],
)
def test_an_address_is_of_the_web_and_tells_no_password(address):
    good = {"weights": ABOUT | {"url": {"address": "https://example.org/a@b/a.zip?x=y@z"}}}
    check(good, ASSETS, "config/assets/a.yaml")
    with pytest.raises(UserError, match=r"config/assets/a\.yaml"):
        check({"weights": ABOUT | {"url": {"address": address}}}, ASSETS, "config/assets/a.yaml")


@pytest.mark.parametrize("end", ["..", "%2e%2e", "a%2F..", "%00", "a%0Ab", "%1b[2J", ".", "a" * 300])
def test_an_address_that_ends_in_no_name_of_a_file_is_refused(end):
    with pytest.raises(UserError, match="does not end in the name of a file"):
        assert Address(address=f"https://example.org/{end}").mirror_name


@pytest.mark.parametrize("end", ["..%2F..%2Fevil", "a%5C..%5Cevil", "%7Eevil", "-rf", "$(touch%20evil)"])
def test_an_escaped_path_in_an_address_is_no_path(end):
    name = Address(address=f"https://example.org/{end}").mirror_name
    assert "/" not in name and name not in ("", ".", "..")


OUTSIDE = ["/etc/passwd", "../secret", "a/../../secret", "a/..", ".."]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize(
    "place",
    [
        lambda path: {"mirror": [{"file": path}]},
        lambda path: {"mirror": [{"folder": path}]},
        lambda path: {"mirror": [{"folder": "a", "files": [path]}]},
        lambda path: {"wheel": {"distribution": "numpy", "file": path}},
        lambda path: {"wheel": {"distribution": "numpy", "folder": path}},
        lambda path: {"wheel": {"distribution": "numpy", "folder": "a", "files": [path]}},
        lambda path: {"mirror": [{"file": "a", "subfolder": path}]},
        lambda path: {"mirror": [{"file": "a"}], "unpack": {"limit": 1, "keep": path}},
    ],
)
def test_a_place_in_a_mirror_a_package_or_an_archive_stays_there(place, path):
    check({"weights": ABOUT | place("a/..b/c...d")}, ASSETS, "config/assets/a.yaml")
    with pytest.raises(UserError):
        check({"weights": ABOUT | place(path)}, ASSETS, "config/assets/a.yaml")


OPTIONS = [
    "-oAPT::Update::Pre-Invoke::=touch evil",
    "--option=APT::Update::Pre-Invoke::=touch evil",
    "a b",
    "a;b",
    "a\n",
]


@pytest.mark.parametrize("value", OPTIONS)
@pytest.mark.parametrize("key", ["package", "version"])
def test_the_name_of_a_package_is_no_option_of_apt(key, value):
    good = {"package": "libc6", "version": "1:2.36-9+deb12u4~bpo"}
    check({"weights": ABOUT | {"debian": good}}, ASSETS, "config/assets/a.yaml")
    with pytest.raises(UserError):
        check({"weights": ABOUT | {"debian": good | {key: value}}}, ASSETS, "config/assets/a.yaml")


def test_apt_is_told_where_its_options_end(tmp_path, monkeypatch):
    """What the schema refuses would be no option either."""
    stand_in = tmp_path / "apt-get"
    stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\nexit 1\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.delenv("CMR_MIRRORS", raising=False)
    spec = ABOUT | {"debian": {"package": OPTIONS[0], "version": "1"}}
    with pytest.raises(UserError):
        assets.obtain("weights", spec, mirrors=[], folder=tmp_path / "data/raw/weights", progress=SILENT)
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments.index("--") < arguments.index(f"{OPTIONS[0]}=1")
