"""An answer as a page of pictures: one file that loads nothing, or what the local server shows."""

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cmr.datasets.images import data_uri, load_rgb, thumbnail
from cmr.errors import UserError
from cmr.gallery import templates
from cmr.search import words
from cmr.search.searcher import Answer, Result

THUMBNAIL = 320  # pixels, the longer side


def render(
    answer: Answer | None,
    query: str,
    query_picture: str | None = None,
    source: Callable[[Result], str | None] = lambda result: _embedded(result.picture),
    link: Callable[[Result], str | None] = lambda result: words.file_link(result.picture),
    form: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> str:
    """A page of the results, or of why there are none.

    Parameters
    ----------
    query : the text, or the name of the picture's file; empty before anything is asked.
    query_picture : the picture as an address.
    source, link : address of a result's thumbnail, and of its picture; None where it cannot be read.
    form : `methods` (name -> title), `method`, `text` and `most` (bytes) where the page is served, to ask again.
    """
    template = templates().get_template("search.html.j2")
    return template.render(
        answer=answer, query=query, query_picture=query_picture, source=source, link=link, form=form, error=error,
        words=words,
    )  # fmt: skip


def default_path(results: Path, study: str, method: str, query: str, *about: Any) -> Path:
    """Where the page of a query lies below the folder of results: the same for the same query."""
    digest = hashlib.sha256(repr((study, method, query, *about)).encode()).hexdigest()[:8]
    slug = re.sub(r"[^a-z0-9]+", "-", query.lower())[:40].strip("-")
    return results / "search" / f"{'-'.join(filter(None, [study, method, slug, digest]))}.html"


def _embedded(picture: Path | None) -> str | None:
    try:
        return None if picture is None else data_uri(thumbnail(load_rgb(picture), THUMBNAIL))
    except UserError:  # features that came with the data set know it, though its picture is missing or damaged
        return None
