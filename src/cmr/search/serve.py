"""A small page on this machine alone, to try searching in the browser.

It listens on 127.0.0.1. Other sites that the browser has open cannot use it either: a request must name this machine
as its host, and a form must come from this page.
"""

import io
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from urllib.parse import urlencode

from flask import Flask, Response, abort, request
from PIL import Image
from waitress import create_server
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from cmr.catalogue import Catalogue
from cmr.configuration import check_name
from cmr.datasets.images import DAMAGED, FORMATS, MOST_STRETCHED, data_uri, load_rgb, thumbnail
from cmr.errors import UserError
from cmr.search import page
from cmr.search.runs import Wanted, methods_that_rank
from cmr.search.searcher import Result, Searcher, check_top

HOST = "127.0.0.1"
MOST_BYTES = 16 << 20
MOST_CHARACTERS = 200_000
MOST_PIXELS = 50_000_000
LARGE = 1600  # pixels, the longer side

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

log = logging.getLogger(__name__)


class Searchers:
    """A searcher a method of a study, each taken up when it is first asked for."""

    def __init__(self, catalogue: Catalogue, root: Path, wanted: Wanted) -> None:
        """Raises UserError where `wanted` cannot be searched with."""
        self._catalogue, self._root, self._wanted, self._lock = catalogue, root, wanted, Lock()
        self._searchers = {wanted.method: Searcher(catalogue, root, wanted)}
        able = methods_that_rank(catalogue, root, wanted)
        self.titles = {method: f"{catalogue.method(method)['title']} ({method})" for method in able}

    def __getitem__(self, method: str) -> Searcher:
        """Raises KeyError for a method that is none of `titles`, UserError where its run cannot be taken up."""
        if method not in self.titles:
            raise KeyError(method)
        with self._lock:
            if method not in self._searchers:
                # Another method need not have the seed that was asked for of the first.
                wanted = Wanted(**{**vars(self._wanted), "method": method, "seed": None})
                self._searchers[method] = Searcher(self._catalogue, self._root, wanted)
            return self._searchers[method]


def create_app(searchers: Searchers, first: str, port: int, top: int = 10, gallery: str = "all") -> Flask:
    """The page; `first` is the method that it begins with."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MOST_BYTES
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")} | ({HOST, "localhost"} if port == 80 else set())

    @app.before_request
    def only_from_here() -> None:
        if request.host not in hosts:
            abort(403, f"This page answers to {HOST}:{port} and localhost:{port} alone.")
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            abort(403, "This form came from another site.")
        # What another site embeds, such as a picture, would have this machine compute; a link is followed.
        told = request.headers.get("Sec-Fetch-Site", "same-origin"), request.headers.get("Sec-Fetch-Dest", "document")
        if told[0] not in ("same-origin", "none") and told[1] != "document":
            abort(403, "Another site cannot show this page.")

    @app.after_request
    def secured(response: Response) -> Response:
        response.headers.extend(SECURITY)
        return response

    def method_asked_for() -> str:
        method = request.values.get("method") or first
        if method not in searchers.titles:
            try:
                check_name(method[:100], searchers.titles, "this page", "method")
            except UserError as error:
                abort(404, str(error))
        return method

    def form(method: str, text: str = "") -> dict:
        return {"methods": searchers.titles, "method": method, "text": text, "most": MOST_BYTES}

    @app.route("/", methods=["GET", "POST"])
    def search() -> str | tuple[str, int]:
        method = method_asked_for()
        upload, text = request.files.get("image"), request.values.get("text")
        if upload is None and text is None:
            return page.render(None, "", form=form(method))
        query, shown = text or "", None

        def address(result: Result, **more: str) -> str | None:
            about = {"method": method, "id": result.id, **more}
            return None if result.picture is None else f"/picture?{urlencode(about)}"

        def large(result: Result) -> str | None:
            return address(result, size="large")

        try:
            if upload is not None:
                query = upload.filename or "a picture"
                image = _image_of(upload)
                shown = data_uri(thumbnail(image, page.THUMBNAIL))
                answer = searchers[method].by_image(image, top=top, gallery=gallery, explain=True)
            else:
                if len(text) > MOST_CHARACTERS:
                    abort(413, f"The text has {len(text)} characters; {MOST_CHARACTERS} are taken at most.")
                answer = searchers[method].by_text(text, top=top, gallery=gallery, explain=True)
        except UserError as error:
            return page.render(None, query[:200], shown, form=form(method, query[:1000]), error=str(error)), 400
        # Of a picture, the form keeps nothing: a browser does not let a page name files.
        told = form(method, "" if upload is not None else query[:1000])
        return page.render(answer, query, shown, source=address, link=large, form=told)

    @app.get("/picture")
    def picture() -> Response:
        path = searchers[method_asked_for()].picture(request.args.get("id", ""))
        if path is None:
            abort(404, "There is no such picture.")
        try:
            jpeg = thumbnail(load_rgb(path), LARGE if request.args.get("size") == "large" else page.THUMBNAIL)
        except UserError:
            log.warning("the picture %s cannot be read", path)
            abort(404, "This picture cannot be read.")
        return Response(jpeg, mimetype="image/jpeg")

    @app.errorhandler(HTTPException)
    def told(error: HTTPException) -> tuple[str, int]:
        said = error.description or error.name
        if error.code == 404 and not error.response and request.path not in ("/", "/picture"):
            said = "There is nothing here; the page is at /."
        if isinstance(error, RequestEntityTooLarge) and request.content_length and request.content_length > MOST_BYTES:
            said = (
                f"What was sent has {request.content_length / 2**20:.0f} MB; {MOST_BYTES >> 20} MB are taken at most."
            )
        return page.render(None, "", form=form(first), error=said), error.code or 500

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[str, int]:
        log.exception("a query could not be answered", exc_info=error)
        said = "This query could not be answered: that is a fault of the program, told in the terminal."
        return page.render(None, "", form=form(first), error=said), 500

    return app


def serve(catalogue: Catalogue, root: Path, wanted: Wanted, port: int, top: int, gallery: str) -> None:
    """Serve the page until Ctrl-C. Raises UserError where the port is taken or the run cannot be searched with."""
    check_top(top)
    if not 1 <= port <= 65535:  # of a larger number the system would take another port than the page says
        raise UserError(f"there is no port {port}: name one from 1024 to 65535 by --port")
    searchers = Searchers(catalogue, root, wanted)
    app = create_app(searchers, wanted.method, port, top, gallery)
    try:
        # A little more than the page takes, so that it is the page that says what is too much.
        server = create_server(app, host=HOST, port=port, ident=None, max_request_body_size=4 * MOST_BYTES)
    except OSError as error:
        raise UserError(f"port {port} cannot be listened on ({error}): name another by --port") from error
    print(f"http://{HOST}:{port} searches {wanted.study} by {wanted.method}. Ctrl-C ends it.", flush=True)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that a page's pictures wait for each other is usual
    server.run()


def _image_of(upload: FileStorage) -> Image.Image:
    """An uploaded picture in RGB; raises UserError where it is none of the usual, or too large."""
    content, name = upload.read(), (upload.filename or "the file")[:100]
    if not content:
        raise UserError(f"{name} is empty: choose a picture")
    kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            width, height = opened.size
        if width * height > MOST_PIXELS:
            raise Image.DecompressionBombError
        if max(width, height) <= MOST_STRETCHED * min(width, height):
            with TemporaryDirectory() as folder:
                path = Path(folder) / "upload"
                path.write_bytes(content)
                return load_rgb(path)
    except Image.DecompressionBombError as error:
        most = MOST_PIXELS // 1_000_000
        raise UserError(f"{name} has more than {most} million pixels, too many for this page: shrink it") from error
    except (*DAMAGED, UserError) as error:
        log.info("upload: %s", error)
        raise UserError(f"{name} cannot be read as a picture: {kinds} is expected, whole and undamaged") from error
    raise UserError(
        f"{name} has {width} x {height} pixels, and is little but a line: one side may be {MOST_STRETCHED} times as "
        "long as the other at most"
    )
