"""A data set given as one table, CSV or Parquet, beside its images."""

import csv
import difflib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cmr.datasets.pairs import PARTS, Pair
from cmr.errors import UserError

COLUMNS = ("id", "image", "text", "labels", "part", "group")
ROWS_A_BLOCK = 10_000
MOST_COLUMNS = 10_000
LONGEST_MISSPELT = 12  # characters of what may be meant for a column's name

Row = dict[str, Any]  # column -> str, in Parquet also list of str


def read(folders: dict[str, Path], table: str = "pairs.csv") -> Iterator[Pair]:
    """Pairs of a table with a row for each image and text.

    `folders` holds the one asset in which `table` lies: UTF-8 CSV with commas, or Parquet, by its suffix. Columns, of
    which any but id and image may be absent, and one of these two:

    id : by default the path of the image; of an image's further captions with #2, #3, ... after it.
    image : path of the image file beside the table. No column: the data set has no image files.
    text : no column: the data set has no texts.
    labels : names of classes separated by `|`, in Parquet also a list. No column: the data set has no classes.
    part : train, valid or test of an official split, or empty.
    group : by default the image, so that the captions of one image stay together.

    Further columns are ignored, but not those that look like a misspelt name.

    Raises UserError naming the file and row of what cannot be read.
    """
    if len(folders) != 1:
        raise UserError(f"a table and its images lie in one asset, but the data set has {', '.join(folders)}")
    (folder,) = folders.values()
    path = folder / table
    rows = {".csv": _csv_rows, ".parquet": _parquet_rows}.get(path.suffix.lower())
    if rows is None:
        raise UserError(f"{path} is no table that can be read: its name must end in .csv or .parquet")
    if not path.is_file():
        tables = sorted(file.name for suffix in ("csv", "parquet") for file in folder.glob(f"*.{suffix}"))
        raise UserError(
            f"{path} does not exist; tables in this folder: {', '.join(tables) or 'none'}. "
            "The data set's config names the table: options: {table: ...}"
        )
    captions: Counter[str] = Counter()
    for where, row in rows(path):
        image = _image_path(row.get("image", ""), where)
        captions[image] += 1
        number = f"#{captions[image]}" if captions[image] > 1 else ""
        if not (name := row["id"] if "id" in row else image and image + number):
            raise UserError(f"{where} has no {'id' if 'id' in row else 'image, and there is no column id'}")
        part = row.get("part") or None
        if part not in (None, *PARTS):
            raise UserError(f'{where}: part is "{part[:80]}", but must be {", ".join(PARTS)} or empty')
        labels = row.get("labels", [])
        labels = labels.split("|") if isinstance(labels, str) else labels
        yield Pair(
            id=name,
            image=folder / image if image else None,
            text=row.get("text"),
            labels=tuple(label.strip() for label in labels if label.strip()),
            part=part,
            group=row.get("group") or image or None,
        )


def _csv_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Where it stands and what it says, of every row."""
    # Articles are longer than the 128 KiB that the csv module allows by default.
    csv.field_size_limit(sys.maxsize)
    # Excel writes a byte order mark; bytes that are not UTF-8 become surrogates, so that their line is known.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader, before = csv.reader(_checked_lines(file, path), strict=True), 0
        try:
            names = [name.strip() for name in next(reader, [])]
            _check_columns(names, path)
            before = reader.line_num
            for cells in reader:
                where, before = f"{path}, line {before + 1}", reader.line_num
                if len(cells) not in (0, len(names)):
                    raise UserError(
                        f"{where}: {len(cells)} fields, but the first line names {len(names)} columns. A field with "
                        'commas or line breaks stands between double quotes, and " in it is written ""'
                    )
                if cells:
                    row = zip(names, cells, strict=True)
                    yield where, {name: cell.strip() for name, cell in row if name in COLUMNS}
        except csv.Error as error:
            raise UserError(f"{path}, line {before + 1}: no CSV ({error}). Is a double quote left open?") from error


def _checked_lines(lines: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            line.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{path}, line {number} is not UTF-8. Save the table as CSV in UTF-8") from error
        yield line


def _parquet_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """As `_csv_rows`; rows count from 1."""
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, path)
            known = [name for name in file.schema_arrow.names if name in COLUMNS]
            for name in known:
                _check_type(file.schema_arrow.field(name), path)
            number = 0
            for block in file.iter_batches(ROWS_A_BLOCK, columns=known):
                for row in block.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", {name: _as_text(row[name]) for name in known}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as Parquet: {error}") from error


def _as_text(cell: Any) -> str | list[str]:
    if isinstance(cell, list):
        return [_as_text(item) for item in cell]
    return "" if cell is None else str(cell).strip()


def _check_columns(names: Sequence[str], path: Path) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1 and name in COLUMNS]:
        raise UserError(f"{path} has two columns {twice[0]}")
    if len(names) > MOST_COLUMNS:
        raise UserError(f"{path} names {len(names)} columns; {MOST_COLUMNS} are taken at most: leave out the others")
    absent = [name for name in COLUMNS if name not in names]
    for name in names:
        if name in COLUMNS or len(name) > LONGEST_MISSPELT:
            continue
        if close := difflib.get_close_matches(name.lower(), absent, n=1, cutoff=0.8):
            raise UserError(f'{path}: the column "{name}" must be called "{close[0]}", or be left out')
    if "id" in absent and "image" in absent:
        raise UserError(
            f"{path} has neither a column id nor a column image; its columns are: {_listed(names)}. "
            "A CSV begins with a line of column names, separated by commas"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:20]) or "none"
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def _check_type(field: pa.Field, path: Path) -> None:
    kind = field.type
    if field.name == "labels" and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        kind = kind.value_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (is_text or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise UserError(f"{path}: the column {field.name} holds {field.type}, where strings are expected")


def _image_path(image: str, where: str) -> str:
    path = PurePosixPath(image)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f'{where}: the image "{image[:80]}" does not lie beside the table: give its path from there')
    return path.as_posix() if image else ""
