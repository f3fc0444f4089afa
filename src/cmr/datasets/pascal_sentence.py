"""Pascal Sentences: 1000 images of PASCAL VOC 2008, 50 of each of 20 classes, with some five English captions each.

Source: Rashtchian et al., Collecting image annotations using Amazon's Mechanical Turk, NAACL HLT Workshop on Creating
Speech and Language Data 2010; https://vision.cs.uiuc.edu/pascal-sentences/. The set is that page: a table with a row an
image, whose first cell is `<img src="<class>/<name>.jpg">` and whose second a table with a row a caption. Copies
circulate with the page's content as JSON: {"<name>.jpg": {"category": <class>, "captions": [...]}, ...}.
"""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from cmr.datasets.pairs import Pair
from cmr.errors import UserError

JSON = "pascal_sentences.json"
_TAG = re.compile(r"""<(?P<name>/?[a-z][a-z0-9]*)(?P<attributes>(?:[^<>"']|"[^"<]*"|'[^'<]*')*)>""", re.IGNORECASE)
_SOURCE = re.compile(r"""\bsrc\s*=\s*(?P<value>"[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)
PAGES = ("index.html", "pascal-sentences.html")  # as wget and as a browser names it


def read(folders: dict[str, Path], captions: Literal["joined", "separate"] = "joined") -> Iterator[Pair]:
    """Pairs in the order of the page or the JSON file; the asset `pascal_sentence` lies in `folders`.

    Parameters
    ----------
    captions : joined: an item is an image with all its captions, one a line; its id is the image's name. separate: an
        item is a caption with its image; its id is `<image>#<number>`, counted from 0, and its group the image.

    Images lie in the folder `images`, in `dataset/<class>` or in `<class>`, whichever folder is there.

    Raises
    ------
    UserError : neither file is there, or an entry cannot be understood; the message names the line or the entry.
    """
    if captions not in ("joined", "separate"):
        raise UserError(f'captions are "joined" or "separate", not "{captions}"')
    folder = folders["pascal_sentence"]
    for entry in _entries(folder):
        item, image = PurePosixPath(entry.image).stem, _image(folder, entry)
        if captions == "joined":
            yield Pair(item, image, "\n".join(entry.captions), (entry.category,))
        else:
            for number, caption in enumerate(entry.captions):
                yield Pair(f"{item}#{number}", image, caption, (entry.category,), group=item)


class _Entry(NamedTuple):
    """An image with its captions."""

    image: str
    category: str
    captions: list[str]


def _entries(folder: Path) -> list[_Entry]:
    path = next((folder / name for name in (JSON, *PAGES) if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"{folder} holds none of {', '.join((JSON, *PAGES))}, one of which has the captions")
    try:
        content = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if path.name == JSON:
        return _from_json(path, content)
    try:
        return _from_page(path, content)
    except ValueError as error:  # a reference to a character of some thousand digits
        raise UserError(f"{path} cannot be read: {error}") from error


def _from_json(path: Path, content: str) -> list[_Entry]:
    try:
        images = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {error}") from error
    if not isinstance(images, dict):
        raise UserError(f"{path} holds no object with an entry an image")
    entries = []
    for image, entry in images.items():
        match entry:
            case {"category": str(category), "captions": [*captions]} if all(
                isinstance(text, str) for text in captions
            ):
                entries.append(_Entry(image, category, [" ".join(caption.split()) for caption in captions]))
            case _:
                raise UserError(f'{path}: the entry "{image}" lacks a category or a list of captions')
    return entries


def _from_page(path: Path, content: str) -> list[_Entry]:
    """The cells of the page's table: one with an image begins an entry, one with text is a caption of it.

    A cell ends at its end tag or where the next one begins, as HTML allows. Python's own parser of HTML is not used:
    its time grows with the square of the length of a page of tags that are left open.
    """
    entries: list[_Entry] = []
    cell: list[str] | None = None  # the texts in it
    for tag, attributes, text, line in _tags(content):
        if tag == "img" and cell is not None:
            entries.append(_entry(path, line, attributes))
        if tag in ("table", "tr", "td", "/table", "/tr", "/td"):
            caption = " ".join("".join(cell or ()).split())
            if caption and entries:
                entries[-1].captions.append(caption)
            cell = [] if tag == "td" else None
        if cell is not None:
            cell.append(text)
    if not entries:
        raise UserError(f"{path} holds no table of images and captions; it is another page")
    return entries


def _tags(page: str) -> Iterator[tuple[str, str, str, int]]:
    """Every tag (`td`, `/td`), its attributes, the text up to the next one, and the number of its line."""
    first, *others = page.split("<!--")
    page = first + "".join(comment.partition("-->")[2] for comment in others)
    matches, line, place = list(_TAG.finditer(page)), 1, 0
    starts = [*(match.start() for match in matches), len(page)]
    for match, end in zip(matches, starts[1:], strict=True):
        line += page.count("\n", place, match.start())
        place = match.start()
        yield match["name"].lower(), match["attributes"], html.unescape(page[match.end() : end]), line


def _entry(path: Path, line: int, attributes: str) -> _Entry:
    source = _SOURCE.search(attributes)
    source = html.unescape(source["value"].strip("\"'")) if source else ""
    *_, category, image = ("", "", *PurePosixPath(source).parts)
    if not category or category.endswith("_files"):  # where a browser puts the images of a page that it saves
        raise UserError(
            f'{path}, line {line}: image "{source[:80]}" is not in a folder that names its class. '
            "Fetch the page as it is, for instance by wget --recursive, instead of saving it with a browser"
        )
    return _Entry(image, category, [])


def _image(folder: Path, entry: _Entry) -> Path:
    if (folder / "images").is_dir():
        return folder / "images" / entry.image
    by_class = folder / "dataset" if (folder / "dataset").is_dir() else folder
    return by_class / entry.category / entry.image
