"""Variables of MATLAB files, whichever version of MATLAB has saved them.

Up to version 7 the format is MATLAB's own (read by scipy), from 7.3 it is HDF5 (read by h5py). HDF5 lists the
dimensions of an array the other way round; here every array has the shape that MATLAB shows. Nothing in a file is ever
executed.
"""

import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse
from numpy.typing import NDArray
from scipy.io.matlab import MatReadError

from cmr.errors import UserError
from cmr.hdf5 import check_size, check_stranger, own

# What scipy and HDF5 raise for damaged files, and for arrays that no memory holds.
DAMAGED = (
    OSError, ValueError, TypeError, EOFError, RuntimeError, ArithmeticError, LookupError, AttributeError, NameError,
    MemoryError, zlib.error, struct.error, MatReadError,
)  # fmt: skip

# Of MATLAB's classes those that hold no others.
FLAT = {
    "single",
    "double",
    "char",
    "logical",
    "sparse",
    *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)),
}

# scipy's reader calls itself for every cell in a cell, and crashes where they are in each other by the thousand. A
# process with less room for that than this one crashes first.
PROBE = """
import sys, threading, scipy.io
threading.stack_size(1 << 20)
read = threading.Thread(target=scipy.io.loadmat, args=[sys.argv[1]], kwargs={"variable_names": [sys.argv[2]]})
read.start()
"""


def load_array(path: Path, name: str) -> NDArray:
    """The numeric or logical array `name`, in the number type in which it is stored.

    A name with dots leads into structs: `data.X1` is the field X1 of the struct `data`. Sparse arrays become dense. In
    an HDF5 file that was not saved by MATLAB (no attribute MATLAB_class) the dimensions stay as they are.

    Raises
    ------
    UserError : the file is missing or damaged, has no such variable (the message lists those that it has), or the
        variable is no array of real numbers.
    """
    value = _load(path, name)
    if scipy.sparse.issparse(value):
        value = _dense(path, name, value)
    # Function handles and objects are scipy's own kinds of arrays.
    if type(value) is not np.ndarray or value.dtype.kind not in "biuf":
        raise UserError(f"variable {name} in {path} is no array of numbers but {_kind(value)}")
    return value


def load_strings(path: Path, name: str) -> list[str]:
    """The strings of the cell array or character matrix `name`, column by column, without padding at their ends.

    `name` and errors as in `load_array`.
    """
    value = _load(path, name)
    if isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        cells = [_text(cell) for cell in value.ravel(order="F")]
        if None not in cells:
            return cells
    raise UserError(f"variable {name} in {path} is no list of strings but {_kind(value)}")


def load_structs(path: Path, name: str, fields: Iterable[str]) -> list[dict[str, Any]]:
    """The elements of the struct array `name`, column by column, each with the given `fields`: arrays or strings.

    `name` and errors as in `load_array`.
    """
    value = _load(path, name)
    columns = value
    if isinstance(value, np.ndarray) and value.dtype.names:
        columns = {field: value[field].ravel(order="F").tolist() for field in value.dtype.names}
    if not isinstance(columns, dict):
        raise UserError(f"variable {name} in {path} is no struct array but {_kind(value)}")
    for field in fields:
        if field not in columns:
            raise _absent(path, f"{name}.{field}", field, columns)
    cells = zip(*([_plain(cell) for cell in columns[field]] for field in fields), strict=True)
    return [dict(zip(fields, row, strict=True)) for row in cells]


def _load(path: Path, name: str) -> Any:
    if not path.is_file():
        raise UserError(f"MATLAB file {path} does not exist: `python -m cmr datasets` says how to get it")
    try:
        return _from_hdf5(path, name) if h5py.is_hdf5(path) else _from_matlab5(path, name)
    except DAMAGED as error:
        raise UserError(f"{path} cannot be read as a MATLAB file: {error}. Fetch it again") from error


def _from_matlab5(path: Path, name: str) -> Any:
    first, *fields = name.split(".")
    if not {kind for variable, _, kind in scipy.io.whosmat(path) if variable == first} <= FLAT:
        probe = subprocess.run([sys.executable, "-c", PROBE, path, first], capture_output=True, check=False)
        if probe.returncode < 0:
            raise ValueError(f"{first} is nested too deeply")
    value = scipy.io.loadmat(path, variable_names=[first]).get(first)
    if value is None:
        raise _absent(path, name, first, [variable for variable, _, _ in scipy.io.whosmat(path)])
    for field in fields:
        present = getattr(getattr(value, "dtype", None), "names", None) or ()
        if field not in present:
            raise _absent(path, name, field, present)
        if value.size != 1:
            raise UserError(f"{name} in {path} leads through an array of {value.size} structs; only one can be read")
        value = value.item()[present.index(field)]
    return value


def _from_hdf5(path: Path, name: str) -> Any:
    with h5py.File(path, "r") as file:
        node = file
        for field in name.split("."):
            present = [key for key in node if not key.startswith("#")] if isinstance(node, h5py.Group) else []
            if field not in present or "/" in field:
                raise _absent(path, name, field, present)
            node = own(node, field)
        return _Decoder(file).decode(node)


class _Decoder:
    """Nodes of an HDF5 file as scipy would give them from an older file, structs as dictionaries of lists.

    What several cells refer to is decoded once: cells that each hold the same cell twice would else double at every
    level.
    """

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.known: dict[int, Any] = {}

    def decode(self, node: h5py.Group | h5py.Dataset) -> Any:
        address = h5py.h5o.get_info(node.id).addr
        if address not in self.known:
            self.known[address] = UNFINISHED
            self.known[address] = _decode(self, node)
        if self.known[address] is UNFINISHED:
            raise ValueError(f"{node.name} holds itself")
        return self.known[address]

    def referred(self, reference: h5py.Reference) -> Any:
        return self.decode(self.file[reference])


UNFINISHED = object()


def _decode(decoder: _Decoder, node: h5py.Group | h5py.Dataset) -> Any:
    if isinstance(node, h5py.Group):
        if "MATLAB_sparse" not in node.attrs:
            return {field: _elements(decoder, own(node, field)) for field in node}
        starts, data = _values(own(node, "jc")), own(node, "data")
        parts = ([], []) if data is None else (_values(data), _values(own(node, "ir")))  # all zero: neither is stored
        return scipy.sparse.csc_array((*parts, starts), shape=(int(node.attrs["MATLAB_sparse"]), len(starts) - 1))
    kind = node.attrs.get("MATLAB_class", b"").decode()
    value = _values(node)
    if "MATLAB_empty" in node.attrs:  # the data are then the dimensions
        if 0 not in value:
            raise ValueError(f"{node.name} is called empty, but has the dimensions {value}")
        return np.zeros(value.astype(int), {"cell": object, "char": str}.get(kind, float))
    if not kind or not isinstance(value, np.ndarray):
        return value
    value = value.T
    if kind == "cell":
        cells = np.empty(value.shape, object)
        for place, reference in np.ndenumerate(value):
            cells[place] = decoder.referred(reference)
        return cells
    if kind == "char":
        return np.array(["".join(map(chr, row)) for row in value], str)
    return value.astype(bool) if kind == "logical" else value


def _values(dataset: h5py.Dataset | None) -> Any:
    check_stranger(dataset)
    return dataset[()]


def _dense(path: Path, name: str, value: scipy.sparse.sparray) -> NDArray:
    """Checked, since scipy would write the numbers wherever their rows and columns say, in the array or not."""
    try:
        value.check_format(full_check=True)
        check_size(name, int(np.prod(value.shape, dtype=object)) * value.dtype.itemsize, value.data.nbytes)
        return value.toarray()
    except DAMAGED as error:
        raise UserError(f"the sparse array {name} in {path} is damaged: {error}. Fetch it again") from error


def _elements(decoder: _Decoder, field: h5py.Group | h5py.Dataset) -> list:
    """The values of one field: an array of structs has a reference for each element, a lone struct the value itself."""
    if isinstance(field, h5py.Dataset) and field.dtype == h5py.ref_dtype and "MATLAB_class" not in field.attrs:
        return [decoder.referred(reference) for reference in _values(field).ravel()]
    return [decoder.decode(field)]


def _plain(cell: Any) -> Any:
    text = _text(cell) if isinstance(cell, np.ndarray) and cell.dtype.kind == "U" else None
    return cell if text is None else text


def _text(cell: Any) -> str | None:
    """The string in a cell: "" where the cell is empty, None where it is something else."""
    if isinstance(cell, str):
        return cell.rstrip()
    if isinstance(cell, np.ndarray) and cell.size == 0:
        return ""
    if isinstance(cell, np.ndarray) and cell.dtype.kind == "U" and cell.size == 1:
        return cell.item().rstrip()
    return None


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"a struct with the fields {', '.join(value)}"
    dtype = getattr(value, "dtype", None)
    if dtype is not None and dtype.names:
        return f"a struct with the fields {', '.join(dtype.names)}"
    return {"O": "a cell array", "U": "text", "c": "complex", "b": "logical"}.get(
        getattr(dtype, "kind", ""), f"of type {dtype or type(value).__name__}"
    )


def _absent(path: Path, name: str, part: str, present: Any) -> UserError:
    place = f" ({part} of {name})" if part != name else ""
    return UserError(f"{path} holds no variable {part}{place}; it holds: {', '.join(present) or 'none'}")
