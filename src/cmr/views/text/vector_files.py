"""Files of word vectors as their makers publish them, plain or compressed with gzip.

- Text of Stanford's GloVe: a word and its d numbers a line, between blanks; a word may hold blanks itself.
- Text and binary form of word2vec (also fastText's `.vec`): the same after a first line `V d`.
- A NumPy array (V, d) beside a Parquet table whose one column holds the V words.
"""

import gzip
import re
import zlib
from array import array
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gensim.models import KeyedVectors
from numpy.typing import NDArray

from cmr.assets.obtain import MANIFEST
from cmr.errors import UserError
from cmr.hdf5 import check_size

Vectors = tuple[list[str], NDArray[np.float32]]
LONGEST_LINE = 1 << 20  # bytes: what has no line end before is no text of vectors
BLOCK = 10_000  # vectors checked at once, so that a large array need not be in memory
EXPECTED = (
    "Expected are lines of a word and its numbers (GloVe, word2vec, fastText .vec), word2vec's binary form, either of "
    "them also as .gz, or a .npy array beside a .parquet table of words"
)


def read_vectors(
    folder: Path, file: str | None = None, most_frequent: int | None = None, keep: Container[str] | None = None
) -> Vectors:
    """V words and their vectors (V, d), in the order of the file; of a repeated word the first counts.

    Parameters
    ----------
    folder : of an asset.
    file : the name of a file in it, for folders that hold several, such as all sizes of one model.
    most_frequent : read no more than so many words; files have them by descending frequency.
    keep : of these take only such words, and hold no others in memory where the file allows.

    Raises
    ------
    UserError : no or several files, another kind of file, or a line that differs from the ones before.
    """
    files = _files(folder) if file is None else [folder / file]
    try:
        match sorted(path.suffix for path in files):
            case [".npy", ".parquet"]:
                words, vectors = _read_pair(*sorted(files, key=lambda path: path.suffix), most_frequent)
            case [_]:
                words, vectors = _read_one(files[0], most_frequent, keep)
            case _:
                names = ", ".join(path.name for path in files) or "nothing"
                raise UserError(f"{folder} holds {names}: name one by the option file. {EXPECTED}")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"word vectors cannot be read from {folder}: {error}") from error
    if keep is None and not words:
        raise UserError(f"{files[0]} holds no word vectors. {EXPECTED}")
    if keep is not None:
        kept = [i for i, word in enumerate(words) if word in keep]
        words, vectors = [words[i] for i in kept], vectors[kept]
    for start in range(0, len(words), BLOCK):
        finite = np.isfinite(vectors[start : start + BLOCK]).all(axis=1)
        if not finite.all():
            word = words[start + int(finite.argmin())]
            raise UserError(f"{files[0]}: the vector of {word!r} has NaN or infinite numbers")
    return words, vectors


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)


def _read_pair(array_file: Path, table_file: Path, most_frequent: int | None) -> Vectors:
    try:
        # Mapped, not read: a data set's words need a small part of it.
        vectors = np.load(array_file, mmap_mode="r", allow_pickle=False)
        if not isinstance(vectors, np.ndarray):
            raise ValueError("it holds an archive")
        with pq.ParquetFile(table_file) as table:
            columns, rows = len(table.schema_arrow), table.metadata.num_rows
            if vectors.ndim != 2 or vectors.dtype != np.float32 or columns != 1 or len(vectors) != rows:
                raise UserError(
                    f"{array_file} is {vectors.dtype} of shape {vectors.shape} and {table_file.name} has {columns} "
                    f"columns of {rows} rows: expected are float32 (V, d) and one column of V words"
                )
            words = table.read().column(0)[:most_frequent].to_pylist()
    except (ValueError, EOFError, LookupError, TypeError, MemoryError, pa.ArrowException) as error:
        raise UserError(f"{array_file} or {table_file.name} is damaged: {error}") from error
    if not all(isinstance(word, str) for word in words):
        raise UserError(f"{table_file}: row {[isinstance(word, str) for word in words].index(False) + 1} is no word")
    return words, vectors[:most_frequent]


def _read_one(path: Path, most_frequent: int | None, keep: Container[str] | None) -> Vectors:
    with _opened(path) as file:
        line = file.readline(LONGEST_LINE)
        header = re.fullmatch(rb"(\d{1,18}) (\d{1,18})\s*", line)
        if header is None:
            dimension, number = len(line.split()) - 1, 1
            if _parsed(line, dimension) is None:
                raise UserError(f"{path}: the first line is no word and its numbers. {EXPECTED}")
        else:
            dimension, number, line = int(header[2]), 2, file.readline(LONGEST_LINE)
            if _parsed(line, dimension) is None:
                return _read_binary(path, int(header[1]), dimension, most_frequent)
        # A line without an end would fill the memory.
        lines = islice(chain([line], iter(partial(file.readline, LONGEST_LINE), b"")), most_frequent)
        return _read_text(path, lines, number, dimension, keep)


def _read_text(path: Path, lines: Iterable[bytes], number: int, dimension: int, keep: Container[str] | None) -> Vectors:
    words: dict[str, None] = {}
    numbers = array("f")  # grows in place
    for line_number, line in enumerate(lines, number):
        parsed = _parsed(line, dimension)
        if parsed is None:
            start = line[:40].decode("utf-8", "replace")
            raise UserError(
                f"{path}, line {line_number}: expected are a word and {dimension} numbers, as in the lines before, but "
                f"it has {len(line.split()) - 1} parts after the first, and begins {start!r}"
            )
        word, values = parsed
        if word not in words and (keep is None or word in keep):
            words[word] = None
            numbers.extend(values)
    return list(words), np.frombuffer(numbers, dtype=np.float32).reshape(len(words), dimension)


def _parsed(line: bytes, dimension: int) -> tuple[str, list[float]] | None:
    """Word, which may hold blanks, and its numbers; None for any other line."""
    word, *values = line.rstrip().rsplit(b" ", dimension)
    if dimension < 1 or len(values) != dimension or (b" " in word and _is_number(word.rpartition(b" ")[2])):
        return None
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    # A word cut short within a character, as word2vec leaves some, matches nothing, and does no harm.
    return word.decode("utf-8", "replace"), numbers


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_binary(path: Path, number: int, dimension: int, most_frequent: int | None) -> Vectors:
    size = path.stat().st_size
    try:
        if not _is_packed(path) and number * (4 * dimension + 1) > size:
            raise ValueError(f"{number} words do not fit its {size} bytes")
        check_size("it", 4 * number * dimension, size)
        vectors = KeyedVectors.load_word2vec_format(path, binary=True, unicode_errors="replace", limit=most_frequent)
    except (ValueError, EOFError, LookupError, ArithmeticError, MemoryError) as error:
        raise UserError(
            f"{path}: line 2 is no word and {dimension} numbers, as the first line says, and as word2vec's binary form "
            f"it is damaged ({error})"
        ) from error
    words = [word for word in vectors.index_to_key if word is not None]  # repeated words leave places at the end
    return words, vectors.vectors[: len(words)]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        if _is_packed(path):
            with gzip.open(file) as unpacked:
                yield unpacked
        else:
            yield file


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"
