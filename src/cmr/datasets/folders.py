"""A data set given as lists of names beside a folder of texts and a folder of images.

The layout in which many sets are published and in which one's own is soon laid out::

    train.list      one pair a line: names of text and image and a class, separated by tabs or blanks
    test.list
    classes.txt     one class a line, where the lists give numbers
    texts/          one UTF-8 file a text
    images/         one file an image, or a folder a class
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from cmr.datasets.links import linked
from cmr.datasets.pairs import PARTS, Pair
from cmr.datasets.text_files import lines, whole_number
from cmr.errors import UserError

log = logging.getLogger(__name__)

COLUMNS = ("text", "image", "label")
LONGEST_NAME = 1000  # characters; file systems take 255 of a file and some thousands of a path


def read(
    folders: dict[str, Path],
    lists: str | Mapping[str, str],
    columns: Sequence[str],
    images: str | None = "images",
    texts: str | None = "texts",
    image_suffix: str = ".jpg",
    text_suffix: str = ".txt",
    classes: str | None = None,
    image_folder_a_class: bool = False,
    encoding: str = "utf-8",
    parse: Callable[[str], str] = str.strip,
) -> Iterator[Pair]:
    """Pairs in the order of the lists. `folders` holds the one asset; every path below is relative to its folder.

    Parameters
    ----------
    lists : one list, or one for each part: {train: train.list, test: test.list}. Lists are UTF-8. A line is separated
        by tabs if it holds one and by blanks otherwise; empty lines do not count.
    columns : what the columns of a list are, in their order: text, image, label. Without a column text the text is
        named as the image is, and the other way round; without a column label no item has a class.
    images, texts : the folders of images and texts. null: there are none. Where the folder of texts does not exist in
        this copy no item has a text; where only some files are missing these items alone have none.
    image_suffix, text_suffix : what the files' names have after the names in the lists.
    classes : file with one class a line; labels are then numbers that count its lines from 1.
    image_folder_a_class : an image lies at <images>/<class>/<name> instead of <images>/<name>.
    encoding : of the texts; a byte order mark is skipped.
    parse : takes the text out of a file's content and raises ValueError where it cannot. For readers that build on
        this one; not to be set in a configuration file.

    The id of a pair is the name of its text. Pairs that share a text (one text, many images) have the ids
    `<text>+<image>`. Pairs that share a text or an image, directly or over others, form one group.

    Raises
    ------
    UserError : a list or its line cannot be understood, a label is no line of `classes`, a pair is listed twice, a text
        cannot be decoded or parsed. The message names file and line.
    """
    if len(folders) != 1:
        raise UserError(f"lists, texts and images lie in one asset, but the data set reads {', '.join(folders)}")
    if not set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns) or not {"text", "image"} & set(columns):
        raise UserError(f"columns are text, image or both, and label or not; the data set has {', '.join(columns)}")
    if image_folder_a_class and "label" not in columns:
        raise UserError("image_folder_a_class: true needs a column label")
    (folder,) = folders.values()
    names = None if classes is None else class_names(folder / classes)
    rows = _rows(folder, lists, columns)
    has_texts = texts is not None and (folder / texts).is_dir()
    if texts is not None and not has_texts:
        log.warning("there is no folder %s: no item has a text", folder / texts)
    if has_texts and not any((folder / texts / (row.text + text_suffix)).is_file() for row in rows):
        first = folder / texts / (rows[0].text + text_suffix)
        raise UserError(f"{folder / texts} has none of the {len(rows)} texts; the first would be {first}")
    if not callable(parse):
        raise UserError("parse is for readers that build on this one, not for configuration files")
    uses_of_text = Counter(row.text for row in rows)
    for row, group in zip(rows, _groups(rows), strict=True):
        label = row.label if names is None else _class_of(row, names)
        image = None
        if images is not None:
            image = folder.joinpath(images, *([label] if image_folder_a_class else []), row.image + image_suffix)
        yield Pair(
            id=row.text if uses_of_text[row.text] == 1 else f"{row.text}+{row.image}",
            image=image,
            text=_text(folder / texts / (row.text + text_suffix), encoding, parse) if has_texts else None,
            labels=() if label is None else (label,),
            part=row.part,
            group=group,
        )


def class_names(path: Path) -> list[str]:
    """The lines of a file of classes; UserError where one is empty or stands there twice."""
    names: dict[str, None] = {}
    for number, line in enumerate(lines(_decode(path).rstrip()), start=1):
        name = line.strip()
        if not name or name in names:
            reason = f"class {name[:80]} stands there twice" if name else "no class"
            raise UserError(f"{path}, line {number}: {reason}")
        names[name] = None
    return list(names)


class _Row(NamedTuple):
    """A line of a list."""

    text: str
    image: str
    label: str | None
    part: str | None
    place: str


def _rows(folder: Path, lists: str | Mapping[str, str], columns: Sequence[str]) -> list[_Row]:
    parts = {None: lists} if isinstance(lists, str) else lists
    if strange := [part for part in parts if part not in (None, *PARTS)]:
        raise UserError(f"lists are given for the parts {', '.join(PARTS)}, not for {', '.join(map(str, strange))}")
    rows: list[_Row] = []
    first_place: dict[tuple[str, str], str] = {}
    for part, name in parts.items():
        for number, line in enumerate(lines(_decode(folder / name)), start=1):
            if not line.strip():
                continue
            place = f"{folder / name}, line {number}"
            fields = _fields(line.strip(), len(columns))
            if len(fields) != len(columns):
                raise UserError(
                    f"{place}: {len(columns)} columns ({', '.join(columns)}) were expected, but the line has "
                    f"{len(fields)}: {line[:80]!r}. Separate them by tabs where a name holds blanks"
                )
            row = dict(zip(columns, fields, strict=True))
            text, image = row.get("text", row.get("image")), row.get("image", row.get("text"))
            if outside := [field for field in fields if field.startswith("/") or ".." in PurePosixPath(field).parts]:
                raise UserError(f"{place}: {outside[0][:80]!r} leads out of the data set's folder")
            if any("\0" in field or len(field) > LONGEST_NAME for field in fields):
                raise UserError(f"{place}: {line[:80]!r} holds no name of a file")
            if (earlier := first_place.setdefault((text, image), place)) != place:
                raise UserError(f"{place}: the pair of text {text} and image {image} stands already in {earlier}")
            rows.append(_Row(text, image, row.get("label"), part, place))
    if not rows:
        raise UserError(f"no pair stands in {', '.join(str(folder / name) for name in parts.values())}")
    return rows


def _fields(line: str, columns: int) -> list[str]:
    if columns == 1:
        return [line]
    return [field.strip() for field in line.split("\t" if "\t" in line else None) if field.strip()]


def _groups(rows: list[_Row]) -> list[str | None]:
    """Id-like name of each row's group, or None where a row shares neither text nor image with another."""
    component = linked(len(rows), [[row.text for row in rows], [row.image for row in rows]])
    size = np.bincount(component)
    first: dict[int, str] = {}
    for row, number in zip(rows, component.tolist(), strict=True):
        first.setdefault(number, f"{row.text}+{row.image}")
    return [first[number] if size[number] > 1 else None for number in component.tolist()]


def _class_of(row: _Row, names: list[str]) -> str | None:
    if row.label is None:
        return None
    number = whole_number(row.label)
    if number is None or not 1 <= number <= len(names):
        raise UserError(
            f"{row.place}: label {row.label[:80]} is no number from 1 to {len(names)}, the number of classes"
        )
    return names[number - 1]


def _text(path: Path, encoding: str, parse: Callable[[str], str]) -> str | None:
    if not path.is_file():
        return None
    content = _decode(path, encoding)
    try:
        return parse(content)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _decode(path: Path, encoding: str = "utf-8") -> str:
    try:
        return path.read_bytes().decode(encoding).removeprefix("\N{BYTE ORDER MARK}")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except LookupError as error:
        raise UserError(f'encoding "{encoding}" is unknown; utf-8 and latin-1 are the usual ones') from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}, is not {encoding}: {error.reason}") from error
