"""The page on this machine answers in words whatever it is asked, and to nobody else."""

import io
import re
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
import zlib
from html.parser import HTMLParser

import pytest
from PIL import Image

from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.search import serve
from cmr.search.runs import Wanted
from cmr.search.serve import MOST_BYTES, MOST_CHARACTERS, Searchers, create_app
from tests.unit.search.conftest import HOSTILE, ROOT, caption, draw, name

HERE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def client(trained):
    searchers = Searchers(Catalogue.read(trained), trained, Wanted("made", "kcca_gaussian"))
    return create_app(searchers, "kcca_gaussian", 8000).test_client()


@pytest.fixture
def ask(client):
    """Status and text of what a form gets."""

    def post(**fields):
        response = client.post("/", base_url=HERE, data=fields, content_type="multipart/form-data")
        return response.status_code, response.get_data(as_text=True)

    return post


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def upload(content, filename="query.png"):
    return io.BytesIO(content), filename


def alert(page):
    return re.search(r'role="alert">(.*?)</p>', page, re.DOTALL)[1]


def ids(page):
    return re.findall(r"<li>.*?<code>(.*?)</code>", page[page.index('class="found"') :], re.DOTALL)


class Parsed(HTMLParser):
    """Tags with their attributes; and that all are closed."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self, page):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        optional = ("li", "p", "option")
        while self.open[-1] != tag and self.open[-1] in optional:
            self.open.pop()
        assert self.open.pop() == tag

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_text_finds_pictures_and_a_picture_texts(ask, client):
    status, page = ask(text=caption(9), method="kcca_gaussian")
    assert status == 200 and ids(page)[0] == name(9) and "10 results by KCCA" in page
    status, page = ask(image=upload(png(draw(21))), method="kcca_gaussian")
    assert status == 200 and ids(page)[0] == name(21)
    assert client.get("/?text=a+red+anchor", base_url=HERE).status_code == 200


def test_the_methods_that_can_answer_are_to_be_chosen_among(ask, client):
    page = Parsed(client.get("/?method=sm", base_url=HERE).get_data(as_text=True))
    options = [attributes["value"] for attributes in page.of("option")]
    assert options == ["cca", "sm", "kcca_gaussian", "scm_orth"] * 2  # neither untrained ones nor the floor
    assert [one["value"] for one in page.of("option") if "selected" in one] == ["sm", "sm"]
    assert "by SM</h2>" in ask(text="blue", method="sm")[1]


def test_every_field_has_a_label_every_picture_a_text_and_nothing_comes_from_elsewhere(ask):
    page = Parsed(ask(text=caption(9))[1])
    labelled = {attributes["for"] for attributes in page.of("label")}
    fields = [attributes["id"] for tag in ("input", "select") for attributes in page.of(tag)]
    assert len(fields) == 4 and set(fields) == labelled
    assert len(page.of("img")) == 10 and all(attributes["alt"] for attributes in page.of("img"))
    assert page.of("html") == [{"lang": "en"}] and len(page.of("main")) == len(page.of("h1")) == 1
    addresses = [a.get("src") or a.get("href") or a.get("action") for _, a in page.tags]
    assert all(one.startswith(("/", "data:")) and not one.startswith("//") for one in addresses if one)


def test_what_is_asked_and_what_is_found_is_escaped(ask):
    status, page = ask(text=HOSTILE)
    assert status == 200 and "<script" not in page and page.count("&lt;script&gt;") >= 2
    status, page = ask(image=upload(b"x", '"><script>alert(2)</script>.png'))
    assert status == 400 and "<script" not in page
    page = ask(text="red", method="<script>x")[1]
    assert "<script" not in page


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("", 400, "the text is empty"),
        ("xyzzy", 400, "knows no word of the text (xyzzy)"),
        ("red " * 25_000, 200, None),
        ("é" * 100_000, 400, "no word"),
        ("y" * 100_000, 400, "no word"),
        ("a'" * 50_000, 400, "no word"),
        ("\x00 red \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), 200, None),
        ("red" * MOST_CHARACTERS, 413, "200000 are taken at most"),
    ],
    ids=["empty", "unknown", "100 000", "one word", "stemmer", "apostrophes", "odd characters", "too long"],
)
def test_odd_texts_are_answered_in_words(text, status, words, ask):
    found, page = ask(text=text)
    assert found == status
    assert words is None or words in alert(page)
    assert len(page) < 60_000  # a long query is not sent back


def bomb(side):
    """A PNG that says to have side x side pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "query.png is empty"),
        (b"no picture", "query.png cannot be read as a picture: PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be read as a picture"),
        (bomb(8_000), "has more than 50 million pixels"),
        (bomb(30_000), "has more than 50 million pixels"),
    ],
    ids=["empty", "no image", "of an interpreter", "large", "bomb"],
)
def test_odd_files_are_answered_in_words(content, words, ask):
    status, page = ask(image=upload(content))
    assert status == 400 and words in alert(page)


def test_half_a_picture_is_refused(ask):
    content = png(draw(3))
    status, page = ask(image=upload(content[: len(content) // 2]))
    assert status == 400 and "cannot be read as a picture" in alert(page)


def test_too_large_an_upload_is_refused_with_the_limit(ask):
    status, page = ask(image=upload(bytes(MOST_BYTES + 1)))
    assert status == 413 and "16 MB are taken at most" in alert(page)


def test_an_unknown_method_is_not_found(ask, client):
    for method, words in (("ccaa", "did you mean &#34;cca&#34;?"), ("pls", "unknown method"), ("random", "unknown")):
        status, page = ask(text="red", method=method)
        assert status == 404 and words in alert(page)
    assert client.get("/picture?method=ccaa&id=x", base_url=HERE).status_code == 404
    response = client.get("/nothing", base_url=HERE)
    assert response.status_code == 404 and "There is nothing here" in response.get_data(as_text=True)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:8001", "localhost.evil"])
def test_another_host_is_refused(host, client):
    """What a name server of another site says of its own name must not bring its pages here."""
    response = client.get("/?text=red", base_url=HERE, headers={"Host": host})
    assert response.status_code == 403 and "kettle" not in response.get_data(as_text=True)
    assert client.get("/", base_url="http://localhost:8000").status_code == 200


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), ("null", 403), (HERE, 200)])
def test_forms_of_other_sites_are_refused(origin, status, client):
    response = client.post("/", base_url=HERE, data={"text": "red"}, headers={"Origin": origin})
    assert response.status_code == status


@pytest.mark.parametrize(
    ("site", "shown_in", "status"),
    [
        ("cross-site", "image", 403),
        ("same-site", "iframe", 403),
        ("cross-site", "document", 200),
        ("same-origin", "image", 200),
        ("none", "document", 200),
    ],
)
def test_another_site_may_link_to_an_answer_but_not_embed_it(site, shown_in, status, client):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": shown_in}
    assert client.get("/?text=red", base_url=HERE, headers=headers).status_code == status


def test_a_picture_that_is_little_but_a_line_is_refused_before_a_view_makes_it_large(ask):
    status, page = ask(image=upload(png(Image.new("RGB", (40_000, 1)))))
    assert status == 400 and "little but a line" in alert(page)


def test_pictures_are_served_by_the_ids_of_items_alone(client, trained):
    (trained / "data/raw/made/secret.png").write_bytes(png(draw(0)))
    response = client.get("/picture", query_string={"id": name(5)}, base_url=HERE)
    assert response.mimetype == "image/jpeg" and Image.open(io.BytesIO(response.data)).size == (48, 48)
    for item in ("", "made/secret.png", "secret", "../made/5.png", "made/5.png", "/etc/passwd", "0", "\x00"):
        assert client.get("/picture", query_string={"id": item}, base_url=HERE).status_code == 404
    for path in ("/picture/../../etc/passwd", "/static/x", "/../data/raw/made/5.png"):
        assert client.get(path, base_url=HERE).status_code == 404


def test_answers_forbid_scripts_frames_and_guesses_of_type(client):
    for path in ("/", "/nothing", f"/picture?id={name(5)}"):
        headers = client.get(path, base_url=HERE).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "script-src" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_fault_of_ours_is_told_without_its_innards(client, monkeypatch):
    def broken(self, *arguments, **options):
        raise ZeroDivisionError("innards")

    monkeypatch.setattr(serve.Searcher, "by_text", broken)
    response = client.post("/", base_url=HERE, data={"text": "red"})
    page = response.get_data(as_text=True)
    assert response.status_code == 500 and "a fault of the program" in alert(page) and "innards" not in page


@pytest.mark.parametrize(
    ("port", "top", "message"),
    [
        (99_999, 10, "there is no port 99999"),
        (0, 10, "there is no port 0"),
        (-1, 10, "there is no port -1"),
        (8000, 0, "0 results cannot be shown"),
    ],
)
def test_what_could_not_be_served_is_refused_at_once(port, top, message, trained, monkeypatch):
    """The system takes port 34463 for 99999."""
    monkeypatch.setattr(serve, "create_server", lambda *_, **__: pytest.fail("it listens"))
    with pytest.raises(UserError, match=message):
        serve.serve(Catalogue.read(trained), trained, Wanted("made", "sm"), port, top, "all")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_it_listens_on_this_machine_alone_and_ends_by_ctrl_c_without_a_traceback(trained):
    port = free_port()
    # Where the tests run in the background, Ctrl-C may be ignored, which a process passes on.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import runpy; "
    program += "runpy.run_module('cmr', run_name='__main__', alter_sys=True)"
    options = ["serve", "--study", "made", "--method", "sm", "--port", str(port), "--root", str(trained)]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == f"http://127.0.0.1:{port} searches made by sm. Ctrl-C ends it.\n"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/?text=red") as response:
            assert b"10 results by SM" in response.read()
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port)):
            pass
        with pytest.raises(UserError, match=f"port {port} cannot be listened on .*: name another by --port"):
            serve.serve(Catalogue.read(trained), trained, Wanted("made", "sm"), port, 10, "all")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    finally:
        process.kill()
    assert process.returncode in (0, 130) and "Traceback" not in errors and "Error" not in errors
