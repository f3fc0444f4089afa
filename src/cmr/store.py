"""Files that hold results: whole or not at all, checked when read, and saying what made them.

HDF5 for arrays (chunked, compressed, a digest an array), Parquet for tables (a digest a file). A view may be larger
than memory: it is written and read in blocks of rows, and may be gathered from shards as one virtual data set.

Pixels of views are stored as they are, row after row, with a checksum a row: photographs hardly shrink, and threads
that train read such rows at random past HDF5, which has one lock for all of them.
"""

import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal, Self

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cmr.errors import UserError
from cmr.files import unreadable, whole_file
from cmr.hdf5 import check_stored_here, own
from cmr.provenance import check_made_of

Kind = Literal["vectors", "patches", "pixels", "tokens"]  # what the values of a view are

CHUNK_BYTES = 1 << 17  # training reads single rows in random order, each with its chunk
BLOCK_BYTES = 16 << 20
LEARNT = "learnt"  # the group of a view's file that tells what the view has learnt
SPARSE = 2 / 3  # share of zeros
DIGEST = b"sha256 of the rest: "  # what stands in a table's file before its digest


def write_table(path: Path, table: pd.DataFrame, metadata: Mapping[str, Any] | None = None) -> None:
    """Parquet without index; `metadata` (JSON values) is what `read_table(path).attrs` holds afterwards.

    The file holds the digest of all its other bytes: the checksums that Parquet has itself are of data and not of what
    says how to read them, such as names of columns.
    """
    table = table.reset_index(drop=True)
    table.attrs = dict(metadata or {})
    arrow, buffer = pa.Table.from_pandas(table, preserve_index=False), io.BytesIO()
    with pq.ParquetWriter(buffer, arrow.schema) as writer:
        writer.write_table(arrow)
        writer.add_key_value_metadata({"cmr": DIGEST + bytes(64)})
    before, _, rest = buffer.getvalue().rpartition(DIGEST + bytes(64))
    with whole_file(path) as temporary:
        temporary.write_bytes(b"".join([before, DIGEST, _digest_of_rest(before, rest), rest]))


def read_table(path: Path, **made_of: Path) -> pd.DataFrame:
    """A Parquet file of `write_table`; raises UserError naming the file when it is missing, damaged or another's.

    made_of : files that it must have been made of, by the names under which its metadata have their digests as
        `inputs`, see `provenance.check_made_of`.
    """
    try:
        content = path.read_bytes()
        before, mark, after = content.rpartition(DIGEST)  # found without Parquet's readers, which damage may crash
        if not mark:
            raise ValueError("it holds no digest, and so was not written whole by this version")
        if after[:64] != _digest_of_rest(before, after[64:]):
            raise ValueError("its content differs from its digest")
        table = pq.read_table(pa.BufferReader(content)).to_pandas()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    check_made_of(path, table.attrs.get("inputs", {}), made_of)
    return table


def _digest_of_rest(before: bytes, after: bytes) -> bytes:
    digest = hashlib.sha256(before)
    digest.update(after)
    return digest.hexdigest().encode()


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any] | None = None) -> None:
    """Named arrays of any shape in one HDF5 file; a name with slashes makes groups. Strings are stored as UTF-8.

    `attributes` are JSON values that describe the whole file.
    """
    with _created(path, attributes or {}) as (file, _):
        for name, array in arrays.items():
            _write_array(file, name, np.asarray(array))


def read_arrays(path: Path, names: Iterable[str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of `write_arrays` (all, or those named) and the attributes.

    Raises UserError naming the file when it is missing, cut short, or anything read differs from its digest.
    """
    with _reading(path), h5py.File(path, "r") as file:
        present = _dataset_names(file)
        wanted = present if names is None else list(names)
        for name in wanted:
            if name not in present:
                raise UserError(f'{path} holds no "{name}"; it holds {", ".join(present)}. Delete it and run again')
        return {name: _read_array(file[name]) for name in wanted}, _read_description(file)


def under(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Named arrays as a group of a file: `name/` before each name."""
    return {f"{name}/{key}": array for key, array in arrays.items()}


def group(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The inverse of `under`: the arrays of a group, without the group's name before theirs."""
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


@dataclass(frozen=True)
class View:
    """One modality's representation of a data set: `values` (n, d), and the id of each row."""

    ids: np.ndarray  # (n,) of str
    values: np.ndarray  # (n, ...) float32, uint8 of pixels, int32 of tokens
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
    values: np.ndarray | Iterable[np.ndarray],
    attributes: Mapping[str, Any],
    left_out: Iterable[str] = (),
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Cache a view: float32 rows beside their ids, `attributes` saying what made it.

    Bytes stay bytes, as of pixels, and other integers become int32, as of token sequences.

    Parameters
    ----------
    values : (n, ...), whole or as an iterable of blocks of rows: memory then holds one block at a time.
    left_out : items without a row, which runs leave out, too.
    arrays : what else belongs to the view, by name.

    Raises UserError when a feature is NaN or infinite, naming the first item that has one.
    """
    ids = np.asarray(list(ids), dtype=object)
    blocks = iter([values] if isinstance(values, np.ndarray) else values)
    with _created(path, {**attributes, "left_out": [*left_out]}) as (file, disk):
        for name, array in {"ids": ids, **(arrays or {})}.items():
            _write_array(file, name, np.asarray(array))
        first = _compact(next(blocks))
        shape, checksums = (len(ids), *first.shape[1:]), []
        if first.dtype == np.uint8:
            dataset = file.create_dataset("values", shape=shape, dtype=first.dtype)
        else:
            dataset = _create_dataset(file, "values", shape, first)
        digest, row = _started_digest(dataset), 0
        for block in chain([first], map(_compact, blocks)):
            if row + len(block) > len(ids):
                raise ValueError(f"more rows than the {len(ids)} ids")
            if not np.isfinite(block).all():
                bad = np.flatnonzero(~np.isfinite(block.reshape(len(block), -1)).all(axis=1))
                raise UserError(f"{path}: items have NaN or infinite features, the first is {ids[row + bad[0]]!r}")
            dataset[row : row + len(block)] = block
            disk.check()
            digest.update(_bytes_of(block))
            checksums += map(zlib.crc32, block) if block.dtype == np.uint8 else []
            row += len(block)
        if row != len(ids):
            raise ValueError(f"{len(ids)} ids for {row} rows")
        _tell(dataset, "sha256", digest.hexdigest())
        if checksums:
            _write_array(file, "checksums", np.array(checksums, np.uint32))


def gather_view(path: Path, shards: Sequence[Path]) -> None:
    """One view of the rows of several, in their order, without copying them: the shards must stay where they are.

    What describes the first shard describes them all. Raises UserError naming a shard that is damaged or of other make.
    """
    with ExitStack() as stack:
        parts = [stack.enter_context(ViewFile.open(shard)) for shard in shards]
        first = parts[0]
        for part in parts:
            if part.description != first.description or part.values.shape[1:] != first.values.shape[1:]:
                raise UserError(f"{part.path} was made otherwise than {first.path}. Delete both and run again")
        shape = (sum(len(part.ids) for part in parts), *first.values.shape[1:])
        layout = h5py.VirtualLayout(shape, dtype=first.values.dtype)
        digest, row = _started_digest(layout), 0
        for part in parts:
            for block in part.blocks():
                digest.update(_bytes_of(block))
            source = h5py.VirtualSource(part.path.name, "values", part.values.shape, dtype=part.values.dtype)
            layout[row : row + len(part.ids)] = source
            row += len(part.ids)
        left_out = [item for part in parts for item in part.attributes["left_out"]]
        ids = np.concatenate([part.ids for part in parts])
        others = first.arrays()
    with _created(path, {**first.description, "left_out": left_out}) as (file, _):
        for name, array in {"ids": ids, **others}.items():
            _write_array(file, name, array)
        _tell(file.create_virtual_dataset("values", layout), "sha256", digest.hexdigest())


def read_view(path: Path) -> View:
    """A cached view, its checksums verified; raises UserError naming the file when it is damaged."""
    with ViewFile.open(path) as view:
        values, row = np.empty(view.values.shape, view.values.dtype), 0
        for block in view.blocks():
            values[row : row + len(block)] = block
            row += len(block)
        return View(view.ids, values, view.attributes)


class ViewFile:
    """A view on disk, for those that do not want all of it in memory.

    Attributes
    ----------
    path : of the file.
    values : the HDF5 data set (n, ...).
    attributes : what made the view.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.values: h5py.Dataset = _member(file, "values")
        check_stored_here(self.values, shards=True)
        self.attributes: dict[str, Any] = _read_description(file)
        for shard in self.shards:
            if shard.parent != path.parent or shard.name in ("..", path.name):
                raise ValueError(f"it points to {shard}, which is no shard beside it")
            if not shard.is_file():  # HDF5 would read zeros
                raise UserError(f"{path} was gathered from {shard.name}, which is missing. Delete it and run again")

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Raises UserError naming the file when it is missing or damaged."""
        with ExitStack() as stack:
            with _reading(path):
                view = cls(path, stack.enter_context(h5py.File(path, "r")))
            yield view

    @cached_property
    def ids(self) -> np.ndarray:
        """Raises UserError when they are damaged."""
        with _reading(self.path):
            return _read_array(_member(self.values.file, "ids"))

    @property
    def shards(self) -> list[Path]:
        """The files that a gathered view points to."""
        sources = self.values.virtual_sources() if self.values.is_virtual else []
        return [self.path.parent / source.file_name for source in sources]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """As `_reading`; a gathered view has its numbers from its shards."""
        try:
            with _reading(self.path):
                yield
        except UserError as error:
            if not self.shards:
                raise
            names = ", ".join(shard.name for shard in self.shards)
            raise UserError(
                f"{self.path} or a shard that it points to ({names}) is damaged. Delete them all and run again"
            ) from error

    @property
    def description(self) -> dict[str, Any]:
        """The attributes without those that tell of single rows."""
        return {name: value for name, value in self.attributes.items() if name != "left_out"}

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored beside ids and values; raises UserError when it is damaged."""
        with _reading(self.path):
            file = self.values.file
            own = ("ids", "values", "checksums")
            return {name: _read_array(file[name]) for name in _dataset_names(file) if name not in own}

    def blocks(self, rows: int | None = None) -> Iterator[np.ndarray]:
        """All rows in order, `rows` at a time, by default some 16 MB.

        Raises UserError at a damaged chunk, and in place of the last block when all rows together differ from their
        digest.
        """
        rows = rows or _rows_of(BLOCK_BYTES, self.values)
        for path in self.shards:
            with self._opened_shard(path):
                pass
        digest, waiting = _started_digest(self.values), None
        # A block is digested while the next one is read, and given away only then: whoever gets it may change it.
        with ThreadPoolExecutor(1) as pool:
            for start in range(0, len(self.values), rows):
                with self._reading():
                    block = self.values[start : start + rows]
                if waiting is not None:
                    digested, previous = waiting
                    digested.result()
                    yield previous
                waiting = pool.submit(digest.update, _bytes_of(block)), block
        with self._reading():
            _compare(digest, self.values)
        if waiting is not None:
            yield waiting[1]

    def take(self, rows: NDArray[np.integer]) -> np.ndarray:
        """The rows of these numbers, in their order; raises UserError at a damaged chunk."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.values):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self.values)}")
        if self.shards:
            return self._take_of_shards(rows)
        if "checksums" in self.values.file:
            return self._take_past_hdf5(rows)
        wanted, places = np.unique(rows, return_inverse=True)
        taken = np.empty((len(wanted), *self.values.shape[1:]), self.values.dtype)
        # Runs of neighbours, in the order of the file: HDF5 then decompresses each chunk once, and it is slow at lists.
        starts = np.flatnonzero(np.diff(wanted, prepend=-2) > 1)
        with self._reading():
            for start, stop in pairwise([*starts, len(wanted)]):
                first = wanted[start]
                self.values.read_direct(taken, np.s_[first : first + stop - start], np.s_[start:stop])
        return taken[places]

    def _take_past_hdf5(self, rows: NDArray[np.integer]) -> np.ndarray:
        """Of rows that are stored as they are."""
        taken = np.empty((len(rows), *self.values.shape[1:]), self.values.dtype)
        with self._reading(), self.path.open("rb") as file:
            checksums, offset = _member(self.values.file, "checksums")[...], self.values.id.get_offset()
            for row, place in zip(rows.tolist(), taken, strict=True):
                read = os.preadv(file.fileno(), [place], offset + row * place.nbytes)
                if read != place.nbytes or zlib.crc32(place) != checksums[row]:
                    raise ValueError(f"row {row} differs from its checksum")
        return taken

    def _take_of_shards(self, rows: NDArray[np.integer]) -> np.ndarray:
        """From the shards of a gathered view."""
        taken = np.empty((len(rows), *self.values.shape[1:]), self.values.dtype)
        for source, path in zip(self.values.virtual_sources(), self.shards, strict=True):
            (first, *_), (last, *_) = source.vspace.get_select_bounds()
            own = (first <= rows) & (rows <= last)
            if own.any():
                with self._opened_shard(path) as shard:
                    taken[own] = shard.take(rows[own] - first)
        return taken

    @contextmanager
    def _opened_shard(self, path: Path) -> Iterator["ViewFile"]:
        """Which must not be gathered itself: from file to file, HDF5 would follow a circle for ever."""
        with ViewFile.open(path) as shard:
            if shard.values.is_virtual:
                raise UserError(f"{path}, a shard of {self.path}, is gathered itself. Delete both and run again")
            yield shard


class ViewRows:
    """Some rows of a view on disk, read anew in every pass: a `cmr.rows.RowSource`.

    Attributes
    ----------
    shape : (n, ...).
    dtype : of the values.
    facts : what determines the rows, for `provenance.fingerprint`.
    """

    def __init__(self, path: Path, positions: np.ndarray) -> None:
        """`positions` (n,), ascending, are the rows of the file."""
        if (np.diff(positions) <= 0).any():
            raise ValueError("rows of a view are read in the order of the file")
        self._path, self._positions = path, positions
        with ViewFile.open(path) as view:
            self.shape: tuple[int, ...] = (len(positions), *view.values.shape[1:])
            self.dtype: np.dtype = view.values.dtype
            self.facts: dict[str, Any] = {"sha256": _told(view.values, "sha256"), "positions": positions}

    def __len__(self) -> int:
        return self.shape[0]

    def pieces(self) -> Iterator[np.ndarray]:
        """All rows in order, some at a time; raises UserError when the file is damaged."""
        row, start = 0, 0
        with ViewFile.open(self._path) as view:
            for block in view.blocks():
                stop = int(np.searchsorted(self._positions, row + len(block)))
                if stop > start:
                    yield block[self._positions[start:stop] - row]
                row, start = row + len(block), stop

    def take(self, indices: NDArray[np.integer]) -> np.ndarray:
        """The rows at `indices`, in their order; raises UserError at a damaged chunk, by its own checksum."""
        with ViewFile.open(self._path) as view:
            return view.take(self._positions[indices])


class _Disk(io.FileIO):
    """A file whose failures HDF5 does not see: at the next write its library would crash, and take Python with it."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        while len(rest) and self.error is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell() if size is None else size

    def check(self) -> None:
        """Raise the first failure."""
        if self.error is not None:
            raise self.error


@contextmanager
def _created(path: Path, attributes: Mapping[str, Any]) -> Iterator[tuple[h5py.File, _Disk]]:
    with whole_file(path) as temporary, _Disk(temporary, "w+b") as disk:
        # From this version on HDF5 has checksums of its own structure, too: of names, sizes and places.
        with h5py.File(disk, "w", libver="v110") as file:
            description = json.dumps(dict(attributes), ensure_ascii=False)
            _tell(file, "description", description)
            _tell(file, "sha256", hashlib.sha256(description.encode()).hexdigest())
            yield file, disk
        disk.check()


def _write_array(file: h5py.File, name: str, array: np.ndarray) -> None:
    if array.dtype.kind in "OU":
        # Fixed-length UTF-8: HDF5 cannot checksum strings of variable length.
        array = np.char.encode(array.astype(str), "utf-8")
        array = array.astype(h5py.string_dtype("utf-8", max(1, array.dtype.itemsize)))
    if array.ndim == 0 or array.size == 0:
        dataset = file.create_dataset(name, data=array)  # HDF5 filters need at least one chunk
    else:
        dataset = _create_dataset(file, name, array.shape, array)
        dataset[...] = array
    digest = _started_digest(array)
    digest.update(_bytes_of(array))
    _tell(dataset, "sha256", digest.hexdigest())


def _tell(place: h5py.File | h5py.Dataset, name: str, text: str) -> None:
    """Keep a text, which does not end in NUL, as an attribute.

    Of fixed length: what has none lies in a heap without checksums, and zeros in it make HDF5 read for ever.
    """
    place.attrs[name] = np.bytes_(text.encode())


def _told(place: h5py.File | h5py.Dataset, name: str) -> str:
    return bytes(place.attrs[name]).decode()


def _create_dataset(file: h5py.File, name: str, shape: tuple[int, ...], sample: np.ndarray) -> h5py.Dataset:
    """A chunked, compressed data set for rows like those of `sample`."""
    # Runs of zeros, as after a rectifier, are found by LZ4 too, which is read twice as fast as Zstandard. What has few
    # is compressed better by Zstandard, after grouping bytes by their place in a number.
    sparse = sample.dtype.kind in "fi" and np.count_nonzero(sample) <= (1 - SPARSE) * sample.size
    # By Fletcher-32 other readers of HDF5 notice damage too.
    return file.create_dataset(
        name,
        shape=shape,
        dtype=sample.dtype,
        chunks=(min(_rows_of(CHUNK_BYTES, sample), shape[0]), *shape[1:]),
        shuffle=not sparse,
        fletcher32=True,
        **(hdf5plugin.LZ4() if sparse else hdf5plugin.Zstd(clevel=3)),
    )


def _rows_of(size: int, array: np.ndarray | h5py.Dataset) -> int:
    """How many rows of an array make some `size` bytes; one at least."""
    return max(1, size // max(1, array.dtype.itemsize * int(np.prod(array.shape[1:]))))


def _compact(block: np.ndarray) -> np.ndarray:
    if block.dtype == np.uint8:
        return np.ascontiguousarray(block)
    return np.ascontiguousarray(block, dtype=np.int32 if np.issubdtype(block.dtype, np.integer) else np.float32)


def _read_description(file: h5py.File) -> dict[str, Any]:
    description = _told(file, "description")
    if hashlib.sha256(description.encode()).hexdigest() != _told(file, "sha256"):
        raise ValueError("the description differs from its digest")
    return json.loads(description)


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    check_stored_here(dataset)
    array = dataset[...]
    digest = _started_digest(dataset)
    digest.update(_bytes_of(np.asarray(array)))
    _compare(digest, dataset)
    return dataset.asstr()[...] if h5py.check_string_dtype(dataset.dtype) else array


def _compare(digest: "hashlib._Hash", dataset: h5py.Dataset) -> None:
    if digest.hexdigest() != _told(dataset, "sha256"):
        raise ValueError(f"{dataset.name} differs from its digest")


def _started_digest(array: np.ndarray | h5py.Dataset | h5py.VirtualLayout) -> "hashlib._Hash":
    """Of type and shape; the bytes are to follow."""
    return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())


def _bytes_of(array: np.ndarray) -> memoryview | bytes:
    return np.ascontiguousarray(array).data.cast("B") if array.size else b""


def _member(file: h5py.File, name: str) -> h5py.Dataset:
    member = own(file, name)
    if not isinstance(member, h5py.Dataset):
        raise KeyError(f"it holds no array {name}")
    return member


def _dataset_names(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What HDF5 or a digest finds wrong becomes an error that names the file."""
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise unreadable(path, error) from error
