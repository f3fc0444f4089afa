"""Files that hold results: whole or not at all, checked when read, and saying what made them.

HDF5 for arrays (chunked, compressed with Zstandard, a digest an array), Parquet for tables.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pandas as pd

from cmr.errors import UserError
from cmr.files import unreadable, whole_file

CHUNK_BYTES = 1 << 20


def write_table(path: Path, table: pd.DataFrame, metadata: Mapping[str, Any] | None = None) -> None:
    """Parquet without index; `metadata` (JSON values) is what `read_table(path).attrs` holds afterwards."""
    table = table.reset_index(drop=True)
    table.attrs = dict(metadata or {})
    with whole_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_table(path: Path) -> pd.DataFrame:
    """A Parquet file; raises UserError naming the file when it is missing or damaged."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any] | None = None) -> None:
    """Named arrays of any shape in one HDF5 file; a name with slashes makes groups. Strings are stored as UTF-8.

    `attributes` are JSON values that describe the whole file.
    """
    # In memory first: on a full disk the HDF5 library itself crashes, and takes Python with it.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        description = json.dumps(dict(attributes or {}), ensure_ascii=False)
        file.attrs["description"] = description
        file.attrs["sha256"] = hashlib.sha256(description.encode()).hexdigest()
        for name, array in arrays.items():
            _write_array(file, name, np.asarray(array))
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_arrays(path: Path, names: Iterable[str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of `write_arrays` (all, or those named) and the attributes.

    Raises UserError naming the file when it is missing, cut short, or anything read differs from its digest.
    """
    with _open(path) as file:
        description = file.attrs["description"]
        if hashlib.sha256(description.encode()).hexdigest() != file.attrs["sha256"]:
            raise ValueError("the description differs from its digest")
        present = _dataset_names(file)
        wanted = present if names is None else list(names)
        for name in wanted:
            if name not in present:
                raise UserError(f'{path} holds no "{name}"; it holds {", ".join(present)}. Delete it and run again')
        return {name: _read_array(file[name]) for name in wanted}, json.loads(description)


@dataclass(frozen=True)
class View:
    """One modality's representation of a data set: `values` (n, d), and the id of each row."""

    ids: np.ndarray  # (n,) of str
    values: np.ndarray  # (n, d) float32
    attributes: dict[str, Any]

    @property
    def left_out(self) -> frozenset[str]:
        """Items that have no row because they cannot be used, such as those whose image is damaged."""
        return frozenset(self.attributes["left_out"])

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Values of the items `ids`, in their order; raises UserError naming the first item that is absent."""
        position = {item: i for i, item in enumerate(self.ids)}
        try:
            return self.values[[position[item] for item in ids]]
        except KeyError as error:
            raise UserError(f"item {error.args[0]!r} has no row in this view: it was made from other data") from error


def write_view(
    path: Path,
    ids: Iterable[str],
    values: np.ndarray,
    attributes: Mapping[str, Any],
    left_out: Iterable[str] = (),
) -> None:
    """Cache a view: float32 rows beside their ids, `attributes` saying what made it from what.

    left_out : items without a row, which runs leave out, too.
    """
    ids = np.asarray(list(ids), dtype=object)
    if len(ids) != len(values):
        raise ValueError(f"{len(ids)} ids for {len(values)} rows")
    if not np.isfinite(values).all():
        bad = ids[np.flatnonzero(~np.isfinite(values).all(axis=1))]
        raise UserError(f"{path}: {len(bad)} items have NaN or infinite features, the first is {bad[0]!r}")
    write_arrays(
        path, {"ids": ids, "values": np.asarray(values, dtype=np.float32)}, {**attributes, "left_out": [*left_out]}
    )


def read_view(path: Path) -> View:
    """A cached view, its checksums verified; raises UserError naming the file when it is damaged."""
    arrays, attributes = read_arrays(path, ["ids", "values"])
    return View(arrays["ids"], arrays["values"], attributes)


def _write_array(file: h5py.File, name: str, array: np.ndarray) -> None:
    if array.dtype.kind in "OU":
        # Fixed-length UTF-8: HDF5 cannot checksum strings of variable length.
        array = np.char.encode(array.astype(str), "utf-8")
        array = array.astype(h5py.string_dtype("utf-8", max(1, array.dtype.itemsize)))
    if array.ndim == 0 or array.size == 0:
        dataset = file.create_dataset(name, data=array)  # HDF5 filters need at least one chunk
    else:
        rows = int(np.clip(CHUNK_BYTES // max(1, array[:1].nbytes), 1, len(array)))
        # Byte shuffling before Zstandard suits floats; by Fletcher-32 other readers of HDF5 notice damage too.
        dataset = file.create_dataset(
            name,
            data=array,
            chunks=(rows, *array.shape[1:]),
            shuffle=True,
            fletcher32=True,
            **hdf5plugin.Zstd(clevel=3),
        )
    dataset.attrs["sha256"] = _digest(array)


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    array = dataset[...]
    if _digest(np.asarray(array)) != dataset.attrs["sha256"]:
        raise ValueError(f"{dataset.name} differs from its digest")
    return dataset.asstr()[...] if h5py.check_string_dtype(dataset.dtype) else array


def _digest(array: np.ndarray) -> str:
    """Of type, shape and bytes."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def _dataset_names(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise unreadable(path, error) from error
