"""A data set given as features that somebody has computed: arrays in one NumPy (.npz), MATLAB or HDF5 file.

An item is a row in every array. An array may also come as one for each part, `{train: I_tr, test: I_te}`; the arrays
are then read one after the other, always in the order train, valid, test, and the parts are an official split.
"""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from cmr.datasets.mat import load_array, load_strings
from cmr.datasets.pairs import PARTS, Pair
from cmr.errors import UserError
from cmr.hdf5 import check_size, check_stranger, own

BLOCK_BYTES = 1 << 26
LARGEST_WHOLE = 2**53  # beyond, float64 has no whole numbers of its own

# What NumPy and HDF5 raise for damaged files, and for arrays that no memory holds.
DAMAGED = (
    OSError, ValueError, TypeError, EOFError, RuntimeError, ArithmeticError, LookupError, SyntaxError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip

Names = str | Mapping[str, str]  # of one array, or part -> name


def read(
    folders: dict[str, Path],
    file: str,
    labels: Names,
    ids: Names | None = None,
    parts: str | None = None,
    classes: str | Sequence[str] | Mapping[int | str, str] | None = None,
    columns_are_items: bool = False,
) -> Iterator[Pair]:
    """Pairs without image and text.

    Parameters
    ----------
    folders : the one asset in which the file lies.
    file : its path there: .npz, .mat, .h5 or .hdf5. A dot in the name of an array leads into a MATLAB struct, a slash
        into a group of HDF5.
    labels : array of class numbers or names (n,), or one- or multi-hot (n, c).
    ids : array of names or whole numbers (n,); by default the number of the row, 000000 the first.
    parts : array (n,) of train, valid, test or empty strings, where `labels` does not come in parts.
    classes : names of the classes: a list (or the array that holds it) in the order of the columns of `labels` or of
        class numbers that count from 0, or a mapping from class numbers to names. By default numbers are names, the
        first column being 0.
    columns_are_items : arrays are (c, n), an item being a column.

    Raises UserError naming the file, array and row of what cannot be read.
    """
    path = _path(folders, file)
    hot_or_one, part_of = [], []
    for part, name in _in_order(labels, path):
        with _array(path, name) as array:
            hot_or_one.append(_one_or_hot(array[()], columns_are_items, f"{path}: {name}"))
        part_of += [part] * len(hot_or_one[-1])
    if len({array.shape[1:] for array in hot_or_one}) > 1:
        raise UserError(f"{path}: the arrays {_title(labels)} have different numbers of classes")
    names_of = _names_of_items(np.concatenate(hot_or_one), classes, f"{path}: {_title(labels)}", path)
    n = len(names_of)
    if parts is not None:
        if isinstance(labels, Mapping):
            raise UserError(f"{path}: the labels come in parts; leave out the option parts")
        part_of = [part or None for part in _strings(path, parts)]
    item_ids = _row_numbers(0, n) if ids is None else _strings(path, ids)
    for name, values in ((parts, part_of), (ids, item_ids)):
        if len(values) != n:
            raise UserError(f"{path}: {_title(name)} has {len(values)} items, but {_title(labels)} has {n}")
    for item, names, part in zip(item_ids, names_of, part_of, strict=True):
        yield Pair(id=item, image=None, text=None, labels=names, part=part)


def features(
    folders: dict[str, Path], file: str, array: Names, ids: Names | None = None, columns_are_items: bool = False
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Blocks of ids and rows (n, d) of the features `array`; other parameters and errors as in `read`."""
    path = _path(folders, file)
    known = None if ids is None else _strings(path, ids)
    dimensions: set[int] = set()
    first = 0
    for _, name in _in_order(array, path):
        with _array(path, name) as values:
            if len(values.shape) != 2 or values.dtype.kind not in "biuf":
                kind = f"{values.dtype} {tuple(values.shape)}"
                raise UserError(f"{path}: {name} is {kind}, but features are numbers (n, d)")
            dimension, n = values.shape if columns_are_items else values.shape[::-1]
            if len(dimensions | {dimension}) > 1:
                raise UserError(f"{path}: the arrays {_title(array)} differ in dimension; they are (n, d) with one d")
            dimensions.add(dimension)
            step = max(1, BLOCK_BYTES // max(1, 8 * dimension))
            for start in range(0, n, step):
                rows = values[:, start : start + step].T if columns_are_items else values[start : start + step]
                last = first + len(rows)
                block = _row_numbers(first, last) if known is None else known[first:last]
                if len(block) != len(rows):
                    raise UserError(f"{path}: {_title(array)} has more items than the {len(known)} of {_title(ids)}")
                yield block, np.asarray(rows, dtype=np.float32)
                first = last
    if known is not None and len(known) != first:
        raise UserError(f"{path}: {_title(ids)} has {len(known)} items, but {_title(array)} has {first}")


def _path(folders: dict[str, Path], file: str) -> Path:
    if len(folders) != 1:
        raise UserError(f"arrays lie in one asset, but the data set or view reads {', '.join(folders)}")
    (folder,) = folders.values()
    path = folder / file
    if path.suffix not in (".npz", ".mat", ".h5", ".hdf5"):
        raise UserError(f"{path} holds no arrays that can be read: its name must end in .npz, .mat, .h5 or .hdf5")
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    return path


def _in_order(names: Names, path: Path) -> list[tuple[str | None, str]]:
    """Parts and names of arrays, in the one order in which all arrays of a data set are joined."""
    if isinstance(names, str):
        return [(None, names)]
    if strange := set(names) - set(PARTS):
        raise UserError(f"{path}: arrays come in the parts {', '.join(PARTS)}, not {', '.join(sorted(strange))}")
    return [(part, names[part]) for part in PARTS if part in names]


@contextmanager
def _array(path: Path, name: str) -> Iterator[NDArray | h5py.Dataset]:
    """An array of numbers or strings; of HDF5 only what is sliced is read."""
    try:
        if path.suffix == ".mat":
            yield _from_matlab(path, name)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                _check_known(path, name, name in file, file)
                for member in file.zip.infolist():
                    if member.filename in (name, f"{name}.npy"):
                        check_size(name, member.file_size, member.compress_size)
                yield file[name]
        else:
            with h5py.File(path, "r") as file:
                found = own(file, name)
                _check_known(path, name, isinstance(found, h5py.Dataset), file)
                check_stranger(found)
                yield found.asstr() if h5py.check_string_dtype(found.dtype) else found
    except DAMAGED as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _check_known(path: Path, name: str, known: bool, file: Mapping) -> None:
    if not known:
        raise UserError(f'{path} holds no array "{name}"; it holds {", ".join(file) or "nothing"}')


def _from_matlab(path: Path, name: str) -> NDArray:
    try:
        return load_array(path, name)
    except UserError:
        return np.array(load_strings(path, name))  # says what is wrong if it is neither


def _strings(path: Path, names: Names) -> list[str]:
    """Names or whole numbers as strings."""
    strings: list[str] = []
    for _, name in _in_order(names, path):
        with _array(path, name) as array:
            values = np.ravel(array[()])
        strings += _as_text(values, f"{path}: {name}")
    return strings


def _as_text(values: NDArray, where: str) -> list[str]:
    if values.dtype.kind in "biuf":
        values = _whole(values, where)
    elif values.dtype.kind not in "SUO" or not all(isinstance(value, str | bytes) for value in values.tolist()):
        raise UserError(f"{where} is {values.dtype}, where strings or whole numbers are expected")
    try:
        return [(value.decode() if isinstance(value, bytes) else str(value)).strip() for value in values.tolist()]
    except UnicodeDecodeError as error:
        raise UserError(f"{where} holds strings that are not UTF-8: {error}") from error


def _one_or_hot(array: NDArray, columns_are_items: bool, where: str) -> NDArray:
    """(n,) where every item has one entry, else (n, c)."""
    if array.ndim == 1 or (array.ndim == 2 and 1 in array.shape):
        return array.ravel()
    if array.ndim == 2 and array.dtype.kind in "biuf":
        return array.T if columns_are_items else array
    raise UserError(f"{where} is {array.dtype} {array.shape}, but labels are numbers or names (n,), or numbers (n, c)")


def _names_of_items(
    labels: NDArray, classes: str | Sequence[str] | Mapping[int | str, str] | None, where: str, path: Path
) -> list[tuple[str, ...]]:
    if labels.dtype.kind not in "biuf":
        return [(name,) if name else () for name in _as_text(labels, where)]
    if labels.ndim == 2:
        if len(strange := np.argwhere((labels != 0) & (labels != 1))):
            row, column = strange[0]
            raise UserError(f"{where} holds {labels[row, column]} in row {row}, where only 0 and 1 are expected")
        numbers = [np.flatnonzero(row).tolist() for row in labels]
        used = range(labels.shape[1])
    else:
        whole = _whole(labels, where)
        if len(negative := np.flatnonzero(whole < 0)):
            raise UserError(f"{where} holds {whole[negative[0]]} in row {negative[0]}, but classes count from 0")
        numbers = [[number] for number in whole.tolist()]
        used = {number for one in numbers for number in one}
    if classes is None:
        name_of = {number: str(number) for number in used}
    elif isinstance(classes, Mapping):
        try:
            name_of = {int(number): str(name) for number, name in classes.items()}
        except ValueError as error:
            raise UserError(
                f"{where}: classes maps numbers to names, such as {{1: crow}}, but has {classes}"
            ) from error
    else:
        name_of = dict(enumerate(_strings(path, classes) if isinstance(classes, str) else map(str, classes)))
        if labels.ndim == 2 and len(name_of) != len(used):
            raise UserError(f"{where} has {len(used)} columns, but there are {len(name_of)} names of classes")
        if 0 not in used:
            raise UserError(
                f"{where} has no class 0, so it is not certain which class the first name of the list is. "
                "Say it with a mapping: classes: {1: ..., 2: ...}"
            )
    if unnamed := sorted(set(used) - set(name_of)):
        raise UserError(f"{where} has the classes {', '.join(map(str, unnamed[:10]))}, for which there is no name")
    return [tuple(name_of[number] for number in one) for one in numbers]


def _whole(values: NDArray, where: str) -> NDArray[np.int64]:
    wrong = ~np.isfinite(values) | (values != np.floor(values)) | (values >= LARGEST_WHOLE) | (values < -LARGEST_WHOLE)
    if len(broken := np.flatnonzero(wrong)):
        raise UserError(f"{where} holds {values[broken[0]]} in row {broken[0]}, where whole numbers are expected")
    return values.astype(np.int64)


def _row_numbers(first: int, last: int) -> list[str]:
    return [f"{row:06d}" for row in range(first, last)]


def _title(names: Names | None) -> str:
    return names if isinstance(names, str) else " and ".join(dict(names or {}).values())
