"""Download over HTTPS with progress, retries, and resumption of what an earlier attempt left.

A server may be hostile, or taken over: it says what comes, and the digest in the configuration whether that is wanted.
"""

import hashlib
import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pooch
import requests
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError

from cmr.progress import Progress

RETRIES = 4
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two pieces of the body
BLOCK_BYTES = 1 << 16  # what a broken connection costs at most
RANGE_NOT_SATISFIABLE = 416
PARTIAL_CONTENT = 206
WORTH_RETRYING = (408, 429)
MOST_REDIRECTS = 10
MOST_UNDECLARED = 20 << 30  # bytes of a file whose size neither the configuration nor the server tells


class Unavailable(Exception):
    """A source cannot give its file now; another source may. The message says why."""


def download(
    address: str, target: Path, *, partials: Path, size: int | None, trusted: bool, progress: Progress
) -> Path:
    """Download `address` into the new file `target` and return it.

    An interrupted download stays in the folder `partials`; the next one goes on there if the server can do that and
    says that its file is still the same. `size` is the expected size in bytes, None where it is unknown. `trusted`
    says that the file may come over a connection without encryption: its digest is known, or the user accepts it.

    Raises Unavailable saying whether the network, the server, the address or the length is at fault.
    """
    if not (trusted or _is_secure(address)):
        raise Unavailable("without encryption only files of known digest are fetched")
    partials.mkdir(parents=True, exist_ok=True)
    partial = partials / f"{hashlib.sha256(address.encode()).hexdigest()[:12]}-{target.name}"
    # pooch repeats what fails for a passing reason, waits longer each time, and gives the target its name at the end.
    # The digest is checked by the caller, for this source as for every other.
    fetcher = pooch.create(
        path=target.parent,
        base_url="",
        registry={target.name: None},
        urls={target.name: address},
        retry_if_failed=RETRIES,
    )
    try:
        return Path(fetcher.fetch(target.name, downloader=_ResumingDownloader(partial, size, trusted, progress)))
    except requests.Timeout as error:
        raise Unavailable(f"{_host(address)} did not answer in time ({error})") from error
    except requests.HTTPError as error:
        raise Unavailable(f"the server failed ({error})") from error
    except requests.RequestException as error:
        if error.args and isinstance(error.args[0], MaxRetryError):  # not even connected
            raise Unavailable(f"no network, or {_host(address)} cannot be reached ({error.args[0].reason})") from error
        raise Unavailable(f"{_reason(error)}; what has arrived is kept, and the next run goes on there") from error


class _ResumingDownloader:
    """A pooch downloader that goes on where an earlier attempt stopped, in this process or in one before.

    Beside the partial file stands the server's mark of the version that it belongs to (ETag or Last-Modified). The
    server itself compares it (`If-Range`, RFC 9110 section 13.1.5) and sends the whole file if that has changed.
    """

    def __init__(self, partial: Path, size: int | None, trusted: bool, progress: Progress):
        self.partial, self.size, self.trusted, self.progress = partial, size, trusted, progress
        self.mark = partial.with_name(partial.name + ".version")

    def __call__(self, address: str, output_file: str, _pooch: pooch.Pooch) -> None:
        offset = self.partial.stat().st_size if self.partial.exists() and self.mark.exists() else 0
        headers = {"Accept-Encoding": "identity"}  # else Content-Length would count compressed bytes
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": self.mark.read_text("utf-8")}
        with _Session(self.trusted) as session, session.ask(address, headers) as response:
            total = self._total(response, offset)
            if not (response.status_code == RANGE_NOT_SATISFIABLE and total == offset):
                self._receive(response, offset if response.status_code == PARTIAL_CONTENT else 0, total)
        self.partial.replace(output_file)
        self.mark.unlink(missing_ok=True)

    def _total(self, response: requests.Response, offset: int) -> int | None:
        """The whole file's size, None if the server does not say; raises for every answer that is not the file."""
        status, headers = response.status_code, response.headers
        if _is_named_packed(response):
            # So are some servers set up for every .tar.gz. The file is kept as it is, for so is its digest.
            response.raw.headers.pop("Content-Encoding")
        elif headers.get("Content-Encoding", "identity") != "identity":
            raise Unavailable(
                f"the server packs the file as {headers['Content-Encoding']}, though asked for it as it is"
            )
        if status in (PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE):
            extent, _, length = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            fits = extent.startswith(f"{offset}-") if status == PARTIAL_CONTENT else length == str(offset)
            if not fits:
                self._discard()
                raise requests.ConnectionError("the server could not go on with the partial file")
        else:
            if 400 <= status < 500 and status not in WORTH_RETRYING:
                raise Unavailable(f"the server answers {status} {response.reason}")
            response.raise_for_status()
            if status != requests.codes.ok:
                raise Unavailable(f"the server answers {status} {response.reason}")
            page = headers.get("Content-Type", "").startswith("text/html")
            if page and Path(urlsplit(response.url).path).suffix not in (".html", ".htm"):
                raise Unavailable(
                    "the server sends a web page and not the file; open the address in a browser to see why"
                )
            length = headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else None
        if None not in (total, self.size) and total != self.size:
            self._discard()
            raise Unavailable(f"the server's file has {total} bytes, but config/assets expects {self.size}")
        return total

    def _receive(self, response: requests.Response, offset: int, total: int | None) -> None:
        if not offset:
            self._discard()
        received = offset
        with (
            self.partial.open("ab") as file,
            tqdm(
                desc=f"download {self.partial.name.partition('-')[2]}",
                initial=offset,
                total=total or self.size,
                unit="B",
                unit_scale=True,
                disable=self.progress.quiet,
                file=sys.stderr,
                mininterval=2.0,
            ) as bar,
        ):
            if mark := _version_mark(response):
                self.mark.write_text(mark, "utf-8")
            for block in _blocks(response):
                file.write(block)
                received += len(block)
                bar.update(len(block))
                if self.size is not None and received > self.size:
                    self._discard()
                    raise Unavailable(f"the server sends more than the {self.size} bytes that config/assets expects")
                if total is None and self.size is None and received > MOST_UNDECLARED:
                    self._discard()
                    raise Unavailable(
                        f"the server sends more than {MOST_UNDECLARED} bytes, and nobody says how many come"
                    )
        expected = total if total is not None else self.size
        if expected is not None and received != expected:
            raise requests.ConnectionError(f"the connection ended after {received} of {expected} bytes")

    def _discard(self) -> None:
        self.mark.unlink(missing_ok=True)
        self.partial.unlink(missing_ok=True)


class _Session(requests.Session):
    """Looks at where it is sent before it goes there."""

    def __init__(self, trusted: bool) -> None:
        super().__init__()
        self.trusted, self.max_redirects = trusted, MOST_REDIRECTS

    def ask(self, address: str, headers: dict[str, str]) -> requests.Response:
        try:
            return self.get(address, headers=headers, stream=True, timeout=TIMEOUT)
        except requests.TooManyRedirects as error:
            raise Unavailable(f"{_host(address)} leads on more than {MOST_REDIRECTS} times") from error

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if target is not None:
            here, there = response.url, urljoin(response.url, target)
            if urlsplit(there).scheme not in ("https", "http"):
                raise Unavailable(f"{_host(here)} leads to {there!r}, which is no address of the web")
            # A file of known digest may come without encryption, but an encrypted connection is not given up.
            if not (_is_secure(there) or (self.trusted and not _is_secure(here))):
                raise Unavailable(f"{_host(here)} leads to {there!r}, which is without encryption")
            if _is_here(there) and not _is_here(here):
                raise Unavailable(f"{_host(here)} leads to {there!r}, an address of this machine or its own network")
        return target


def _is_here(address: str) -> bool:
    """Whether a host is named by an address of this machine or of a network that is not the internet's."""
    host = str(urlsplit(address).hostname).rstrip(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_named_packed(response: requests.Response) -> bool:
    """Whether what a server calls packed on its way is only a file that is packed itself."""
    packed = response.headers.get("Content-Encoding") in ("gzip", "x-gzip")
    return packed and Path(urlsplit(response.url).path).suffix in (".gz", ".tgz")


def _version_mark(response: requests.Response) -> str | None:
    """What identifies the version of the server's file exactly; weak ETags do not."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _is_secure(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname == "127.0.0.1"


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """The body, up to where the connection ends; whether that is all the caller knows."""
    try:
        yield from response.iter_content(BLOCK_BYTES)
    except requests.exceptions.ChunkedEncodingError:
        return


def _reason(error: BaseException) -> str:
    """The words within exceptions that wrap one another."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    return str(error.args[0] if error.args else error)


def _host(address: str) -> str:
    return str(urlsplit(address).hostname)
