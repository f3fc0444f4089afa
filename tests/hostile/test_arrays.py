"""Arrays and tables from strangers: nothing is unpickled, nothing is read from elsewhere, nothing swells."""

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
import scipy.sparse

from cmr import store
from cmr.datasets import arrays, table
from cmr.datasets.mat import load_array, load_strings, load_structs
from cmr.errors import UserError
from cmr.hdf5 import HARMLESS_BYTES, check_stranger
from cmr.views.image.networks import load_weights
from cmr.views.text.vector_files import read_vectors
from tests.hostile.hanging import no_longer_than

X = np.arange(12.0, dtype=np.float32).reshape(4, 3)


def features(path: Path, name: str = "x") -> np.ndarray:
    return np.concatenate([rows for _, rows in arrays.features({"mine": path.parent}, path.name, name)])


def labels(path: Path, name: str = "x") -> list:
    return [pair.labels for pair in arrays.read({"mine": path.parent}, path.name, name)]


def refused(read, *arguments) -> str:
    with no_longer_than(30), pytest.raises(UserError) as caught:
        read(*arguments)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------ pickles


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def torch_load(folder: Path, name: str):
    import torch

    return load_weights(torch.nn.Linear(1, 1), folder / name)


READERS = {
    "x.npz": lambda folder: features(folder / "x.npz"),
    "x.mat": lambda folder: features(folder / "x.mat"),
    "x.h5": lambda folder: features(folder / "x.h5"),
    "pairs.csv": lambda folder: list(table.read({"mine": folder})),
    "pairs.parquet": lambda folder: list(table.read({"mine": folder}, table="pairs.parquet")),
    "view.h5": lambda folder: store.read_view(folder / "view.h5"),
    "arrays.h5": lambda folder: store.read_arrays(folder / "arrays.h5"),
    "table.parquet": lambda folder: store.read_table(folder / "table.parquet"),
    "w.pth": lambda folder: torch_load(folder, "w.pth"),
    "w.pt": lambda folder: torch_load(folder, "w.pt"),
    "v.txt": lambda folder: read_vectors(folder, "v.txt"),
    "v.bin": lambda folder: read_vectors(folder, "v.bin"),
    "v.gz": lambda folder: read_vectors(folder, "v.gz"),
}


def pickles(target: Path) -> dict[str, bytes]:
    """A pickle as it is, in NumPy's array of objects, that array in an archive, and in an archive of torch's."""
    import torch

    objects, archived, state = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(objects, np.array([Payload(target)], dtype=object), allow_pickle=True)
    np.savez(archived, x=np.array([Payload(target)], dtype=object))
    torch.save({"weight": Payload(target)}, state)
    return {
        "pickle": pickle.dumps(Payload(target)),
        "old pickle": pickle.dumps(Payload(target), protocol=0),
        "npy": objects.getvalue(),
        "npz": archived.getvalue(),
        "torch": state.getvalue(),
    }


@pytest.mark.parametrize("name", READERS)
def test_nothing_is_ever_unpickled(tmp_path, name):
    made = tmp_path / "made"
    for kind, content in pickles(made).items():
        (tmp_path / name).write_bytes(content)
        refused(READERS[name], tmp_path)
        assert not made.exists(), kind


def test_a_pickle_beside_a_table_of_words_is_never_unpickled(tmp_path):
    made = tmp_path / "made"
    for content in pickles(made).values():
        (tmp_path / "v.npy").write_bytes(content)
        pq.write_table(pa.table({"word": ["a"]}), tmp_path / "v.parquet")
        refused(read_vectors, tmp_path)
        assert not made.exists()


def test_the_payload_would_work(tmp_path):
    for kind, content in pickles(tmp_path / "made").items():
        if "pickle" in kind:
            pickle.loads(content)  # noqa: S301 - the control of this experiment
            (tmp_path / "made").rmdir()
    np.load(io.BytesIO(pickles(tmp_path / "made")["npz"]), allow_pickle=True)["x"]
    assert (tmp_path / "made").exists()


def test_types_of_columns_are_never_unpickled(tmp_path):
    """Arrow stores the class of a column's type as a pickle, and once read it so (CVE-2023-47248)."""
    storage = pa.array(["a"])
    made = tmp_path / "made"
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Payload(made)),
    }
    field = pa.field("id", pa.string(), metadata=metadata)
    pq.write_table(pa.table([storage], schema=pa.schema([field])), tmp_path / "pairs.parquet")
    with suppress(UserError):
        list(table.read({"mine": tmp_path}, table="pairs.parquet"))
    assert not made.exists()


# ---------------------------------------------------------------------------------------------------- HDF5 elsewhere


@pytest.fixture
def secret(tmp_path):
    """What a stranger's file is after: bytes of a text, and another HDF5 file."""
    (tmp_path / "secret.txt").write_bytes(b"root:x:0:0:0123456789" * 8)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = X
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "sub").mkdir()
    return tmp_path


def link_to_file(file, folder):
    file["x"] = h5py.ExternalLink(str(folder / "secret.h5"), "/x")


def link_to_pipe(file, folder):
    file["x"] = h5py.ExternalLink(str(folder / "pipe.h5"), "/x")


def link_to_link(file, folder):
    file["far"] = h5py.ExternalLink(str(folder / "secret.h5"), "/")
    file["x"] = h5py.SoftLink("/far/x")


def circle(file, _):
    file["x"], file["y"] = h5py.SoftLink("/y"), h5py.SoftLink("/x")


def raw_bytes(file, folder):
    file.create_dataset("x", (4, 3), np.float32, external=[(str(folder / "secret.txt"), 0, 48)])


def raw_pipe(file, folder):
    file.create_dataset("x", (4, 3), np.float32, external=[(str(folder / "pipe.h5"), 0, 48)])


def put_together(file, folder):
    layout = h5py.VirtualLayout((4, 3), np.float32)
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", (4, 3))
    file.create_virtual_dataset("x", layout)


def group_of_another_file(file, folder):
    file["g"] = h5py.ExternalLink(str(folder / "secret.h5"), "/")


ELSEWHERE = [link_to_file, link_to_pipe, link_to_link, circle, raw_bytes, raw_pipe, put_together]


@pytest.mark.parametrize("attack", ELSEWHERE)
@pytest.mark.parametrize("suffix", ["h5", "mat"])
def test_nothing_is_read_from_another_file(secret, attack, suffix):
    path = secret / f"sub/evil.{suffix}"
    with h5py.File(path, "w") as file:
        attack(file, secret)
    for read in (features, labels):
        message = refused(read, path)
        assert str(path) in message
        assert any(word in message for word in ("only a link", "another file", "other files"))


def test_names_lead_through_groups_of_the_file_alone(secret):
    path = secret / "sub/evil.h5"
    with h5py.File(path, "w") as file:
        group_of_another_file(file, secret)
        file["own/deep/x"] = X
    assert "only a link" in refused(features, path, "g/x")
    np.testing.assert_array_equal(features(path, "/own//deep/x"), X)
    for name in ("own", "own/deep", "own/x", "..", "own/../x", "", "a\0b"):
        assert "holds no array" in refused(features, path, name)


@pytest.mark.parametrize("field", ["far", "raw", "put"])
def test_structs_and_cells_lead_nowhere_else(secret, field):
    path = secret / "sub/evil.mat"
    with h5py.File(path, "w") as file:
        group = file.create_group("s")
        if field == "far":
            group["x"] = h5py.ExternalLink(str(secret / "secret.h5"), "/x")
        elif field == "raw":
            raw_bytes(group, secret)
        else:
            put_together(group, secret)
        cell = file.create_dataset("c", (1, 1), h5py.ref_dtype)
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
        cell[0, 0] = group.ref
    for read in (
        lambda: load_structs(path, "s", ["x"]),
        lambda: load_strings(path, "c"),
        lambda: load_array(path, "s.x"),
    ):
        refused(read)


def written_view(path: Path, attack, folder: Path) -> Path:
    """A view whose `x`, that is its values, lie elsewhere; all digests are right, as those of a clever forger."""
    store.write_view(path, list("abcd"), X, {"counts": False})
    with h5py.File(path, "a") as file:
        digest = file["values"].attrs["sha256"]
        del file["values"]
        attack(file, folder)
        kind = file.get("x", getlink=True)
        file.move("x", "values") if isinstance(kind, h5py.HardLink) else file.__setitem__("values", kind)
        if isinstance(kind, h5py.HardLink):
            file["values"].attrs["sha256"] = digest
    return path


@pytest.mark.parametrize("attack", [one for one in ELSEWHERE if one is not put_together])
def test_views_lie_in_their_own_file(secret, attack):
    path = written_view(secret / "sub/view.h5", attack, secret)
    assert str(path) in refused(store.read_view, path)


@pytest.mark.parametrize("source", ["absolute", "../secret.h5", "sub/../secret.h5", "..", ".", "view.h5", "pipe.h5"])
def test_shards_are_files_beside_the_view(secret, source):
    path = secret / "view.h5" if source in ("pipe.h5", "secret.h5") else secret / "sub/view.h5"
    name = str(secret / "secret.h5") if source == "absolute" else source

    def elsewhere(file, _):
        layout = h5py.VirtualLayout((4, 3), np.float32)
        layout[:] = h5py.VirtualSource(name, "x", (4, 3))
        file.create_virtual_dataset("x", layout)

    message = refused(store.read_view, written_view(path, elsewhere, secret))
    assert "is no shard beside it" in message or "which is missing" in message


def test_shards_that_point_to_each_other_are_refused(tmp_path):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path, other in zip(paths, paths[::-1], strict=True):

        def around(file, _, other=other):
            layout = h5py.VirtualLayout((4, 3), np.float32)
            layout[:] = h5py.VirtualSource(other.name, "values", (4, 3))
            file.create_virtual_dataset("x", layout)

        written_view(path, around, tmp_path)
    assert "is gathered itself" in refused(store.read_view, paths[0])

    def take():
        with store.ViewFile.open(paths[0]) as view:
            view.take(np.array([0]))

    assert "is gathered itself" in refused(take)


# ------------------------------------------------------------------------------------------------------------ swelling


def memory_of(call: str, path: Path) -> tuple[int, str]:
    """MB at the peak of a process that makes this call, and what came of it."""
    program = (
        "import sys; from pathlib import Path; from cmr.datasets import arrays, mat; from cmr.errors import UserError\n"
        "path = Path(sys.argv[1])\n"
        f"try: print(len(list({call})))\n"
        "except UserError as error: print(error)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, timeout=120)
    message, kilobytes = run.stdout.splitlines()
    return int(kilobytes) >> 10, message


@pytest.mark.parametrize("shape", [(10**6, 10**6), (10**9, 4)])
@pytest.mark.parametrize("chunks", [None, True], ids=["whole", "chunked"])
def test_declared_shape_without_numbers_is_refused(tmp_path, shape, chunks):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", shape, np.float32, chunks=(1000, shape[1]) if chunks and shape[1] < 10 else chunks)
    assert path.stat().st_size < 1 << 20
    for call in (
        "arrays.read({'a': path.parent}, path.name, 'x')",
        "arrays.features({'a': path.parent}, path.name, 'x')",
    ):
        megabytes, message = memory_of(call, path)
        assert "x declares" in message
        assert megabytes < 400


def test_chunks_that_swell_are_refused(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (1 << 20, 512), np.float32, chunks=(1 << 15, 512), compression="gzip")
        zeros = zlib.compress(bytes(1 << 26), 9)
        for start in range(0, 1 << 20, 1 << 15):
            data.id.write_direct_chunk((start, 0), zeros)
    assert path.stat().st_size < 8 << 20
    megabytes, message = memory_of("arrays.features({'a': path.parent}, path.name, 'x')", path)
    assert "x declares 2 GB" in message
    assert megabytes < 400


def test_sparse_tags_that_shrink_well_are_taken(tmp_path):
    """One tag in a thousand, as of photographs of the web, in a gigabyte and a quarter of which little is stored."""
    rows = np.zeros((1 << 12, 1000))
    rows.flat[np.random.default_rng(0).choice(rows.size, rows.size // 1000, replace=False)] = 1
    packed, path = zlib.compress(rows.tobytes()), tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (40 << 12, 1000), float, chunks=rows.shape, compression="gzip")
        for start in range(0, 40 << 12, 1 << 12):
            data.id.write_direct_chunk((start, 0), packed)
        assert data.nbytes > HARMLESS_BYTES
        assert data.nbytes / data.id.get_storage_size() > 500
        check_stranger(data)


def test_archives_that_swell_are_refused(tmp_path):
    header = io.BytesIO()
    shape = (65 << 13, 512)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with (
        zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(65):  # a little more than what is harmless
            member.write(bytes(1 << 24))
    assert (tmp_path / "x.npz").stat().st_size < 4 << 20
    megabytes, message = memory_of("arrays.features({'a': path.parent}, path.name, 'x')", tmp_path / "x.npz")
    assert "x declares 1.02 GB" in message
    assert megabytes < 400


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 20), (1 << 62, 4), (10**10, 3), (-1, 3), (1, 1 << 63)])
def test_headers_that_lie_are_refused(tmp_path, shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x.npy", header.getvalue() + X.tobytes())
    assert "x.npz cannot be read" in refused(features, tmp_path / "x.npz")


def test_features_that_are_mostly_zero_are_no_bomb(tmp_path):
    """As bags of words are: a thousandth of them says something."""
    bags = np.zeros((5000, 2000), np.float32)
    bags[np.arange(5000), np.arange(5000) % 2000] = 1
    np.savez_compressed(tmp_path / "x.npz", x=bags)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=bags, compression="gzip")
    for name in ("x.npz", "x.h5"):
        np.testing.assert_array_equal(features(tmp_path / name), bags)


# --------------------------------------------------------------------------------------------------------- wrong types


def write_h5(path: Path, value, **options) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=value, **options)
    return path


def test_what_is_no_number_and_no_string_is_never_a_label(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["y"] = X
        file["references"] = np.array([file["y"].ref] * 4, h5py.ref_dtype)
        file["regions"] = np.array([file["y"].regionref[0:1]] * 4, h5py.regionref_dtype)
        file["compound"] = np.zeros(4, [("a", "f4"), ("b", "i4")])
        file["complex"] = np.zeros(4, np.complex64)
        file["opaque"] = np.array([b"a"] * 4, "V3")
        ragged = file.create_dataset("ragged", (4,), h5py.vlen_dtype(np.int32))
        ragged[0] = [1, 2]
        names = [name for name in file if name != "y"]
    for name in names:
        for read in (features, labels):
            message = refused(read, tmp_path / "x.h5", name)
            assert f"{name} is " in message or "cannot be read" in message, name


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 2.0**60, -(2.0**60)])
def test_labels_beyond_whole_numbers_are_refused(tmp_path, value):
    path = write_h5(tmp_path / "x.h5", np.array([0, 1, value]))
    assert "row 2, where whole numbers are expected" in refused(labels, path)
    np.savez(tmp_path / "x.npz", x=np.array([0, 1, value]), y=np.zeros(3))
    with pytest.raises(UserError, match="row 2, where whole numbers are expected"):
        list(arrays.read({"mine": tmp_path}, "x.npz", "y", ids="x"))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_features_beyond_float32_are_refused_when_they_become_a_view(tmp_path, value):
    rows = X.astype(float)
    rows[2, 1] = value
    values = features(write_h5(tmp_path / "x.h5", rows))
    with pytest.raises(UserError, match="NaN or infinite features, the first is 'c'"):
        store.write_view(tmp_path / "view.h5", list("abcd"), values, {})


def test_filters_that_are_not_built_in_are_refused_and_not_looked_for(tmp_path, monkeypatch):
    """HDF5 would load the library of a filter from a folder that the environment names."""
    code = "import sys; from pathlib import Path; import h5py; h5py.File(sys.argv[1])['x'][...]"
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (4, 3), np.float32, chunks=(4, 3), compression="gzip")
        data.id.write_direct_chunk((0, 0), b"anything")
    content = path.read_bytes()
    number = content.index(b"deflate") - 8
    path.write_bytes(content[:number] + struct.pack("<H", 32_999) + content[number + 2 :])
    assert "cannot be read" in refused(features, path)
    assert subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False).returncode == 1


def test_attributes_of_megabytes_change_nothing(tmp_path):
    path = write_h5(tmp_path / "x.h5", X)
    with h5py.File(path, "a") as file:
        file["x"].attrs["note"] = "x" * (8 << 20)
        file.attrs["MATLAB_class"] = "cell"
    np.testing.assert_array_equal(features(path), X)


@pytest.mark.parametrize(
    "attributes",
    [
        {"MATLAB_class": 7},
        {"MATLAB_class": "double"},
        {"MATLAB_class": np.bytes_("cell")},
        {"MATLAB_class": np.bytes_("char")},
        {"MATLAB_class": np.bytes_("function_handle")},
        {"MATLAB_class": np.bytes_(b"\xff")},
        {"MATLAB_empty": 1},
        {"MATLAB_empty": 1, "MATLAB_class": np.bytes_("cell")},
        {"MATLAB_sparse": 4},
    ],
)
def test_attributes_that_lie_are_refused_or_change_nothing(tmp_path, attributes):
    path = write_h5(tmp_path / "x.mat", X + 0x110000)
    with h5py.File(path, "a") as file:
        file["x"].attrs.update(attributes)
    try:
        values = features(path)
    except UserError as error:
        assert str(path) in str(error)
    else:
        assert values.size == X.size


# -------------------------------------------------------------------------------------------------------------- MATLAB


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def nested_cells(levels: int) -> bytes:
    """A MATLAB 5 file with a cell in a cell in a cell."""
    number = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<ii", 1, 1)) + element(1, b"")
    inner = element(14, number + element(9, struct.pack("<d", 1)))
    heads, size = [], len(inner)
    for level in range(levels):
        name = b"x" if level == levels - 1 else b""
        head = element(6, struct.pack("<II", 1, 0)) + element(5, struct.pack("<ii", 1, 1)) + element(1, name)
        size += len(head)
        heads.append(struct.pack("<II", 14, size) + head)
        size += 8
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(heads[::-1]) + inner


@pytest.mark.parametrize("levels", [1, 100, 5000, 100_000])
def test_cells_in_cells_without_end_do_not_crash(tmp_path, levels):
    (tmp_path / "x.mat").write_bytes(nested_cells(levels))
    message = refused(load_strings, tmp_path / "x.mat", "x")
    assert "is no list of strings" in message or "x is nested too deeply" in message
    assert ("too deeply" in message) == (levels > 1000)


def test_cells_that_double_at_every_level_are_read_once(tmp_path):
    """Forty levels of twice the same cell: a million million strings, of which each is one."""
    path = tmp_path / "x.mat"
    with h5py.File(path, "w") as file:
        inner = file.create_dataset("#refs#/0", data=np.array([[97]], np.uint16))
        inner.attrs["MATLAB_class"] = np.bytes_("char")
        for level in range(1, 41):
            cell = file.create_dataset(f"#refs#/{level}" if level < 40 else "x", (1, 2), h5py.ref_dtype)
            cell.attrs["MATLAB_class"] = np.bytes_("cell")
            cell[0, 0] = cell[0, 1] = inner.ref
            inner = cell
    assert "is no list of strings" in refused(load_strings, path, "x")


@pytest.mark.parametrize("length", [1, 3, 3000])
def test_cells_in_circles_and_chains_are_refused(tmp_path, length):
    path = tmp_path / "x.mat"
    with h5py.File(path, "w") as file:
        cells = [file.create_dataset(f"c{i}", (1, 1), h5py.ref_dtype) for i in range(length)]
        for cell, following in zip(cells, [*cells[1:], cells[0]], strict=True):
            cell.attrs["MATLAB_class"] = np.bytes_("cell")
            cell[0, 0] = following.ref
    assert "x.mat cannot be read" in refused(load_strings, path, "c0")


@pytest.mark.parametrize("rows", [[0, 10**6], [0, -1], [1, 1 << 30]])
def test_sparse_numbers_stay_in_their_array(tmp_path, rows):
    """SciPy would write them wherever in the memory their row says."""
    path = tmp_path / "x.mat"
    with h5py.File(path, "w") as file:
        group = file.create_group("x")
        group.attrs["MATLAB_sparse"] = np.uint64(4)
        group["data"], group["ir"], group["jc"] = np.ones(2), np.array(rows), np.array([0, 1, 2])
    assert "the sparse array x in" in refused(load_array, path, "x")
    old = scipy.sparse.csc_array((np.ones(2), np.array([0, 1], np.int32), np.array([0, 1, 2], np.int32)), shape=(4, 2))
    scipy.io.savemat(path, {"x": old})
    np.testing.assert_array_equal(load_array(path, "x"), old.toarray())
    content = path.read_bytes()
    position = content.index(struct.pack("<ii", 0, 1))
    path.write_bytes(content[:position] + struct.pack("<ii", rows[0], rows[1]) + content[position + 8 :])
    assert "the sparse array x in" in refused(load_array, path, "x")


def test_sparse_arrays_of_any_size_do_not_swell(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"x": scipy.sparse.csc_array(([1.0], ([0], [0])), shape=(200_000, 200_000))})
    assert "x declares 298 GB" in refused(load_array, path, "x")


def test_functions_and_objects_of_matlab_are_nothing_that_is_read(tmp_path):
    """Classes 16 and 17 in the place of a cell: a function handle, and what only MATLAB understands."""
    for kind in (3, 16, 17, 18, 99):
        content = bytearray(nested_cells(1))
        content[128 + 16] = kind
        (tmp_path / "x.mat").write_bytes(content)
        for read in (load_array, load_strings):
            assert str(tmp_path / "x.mat") in refused(read, tmp_path / "x.mat", "x")


def test_damage_in_any_byte_is_told_or_gives_numbers(tmp_path):
    rng = np.random.default_rng(0)
    contents = {}
    scipy.io.savemat(tmp_path / "x.mat", {"x": X, "z": scipy.sparse.csc_array(X)}, do_compression=True)
    contents["x.mat"] = (tmp_path / "x.mat").read_bytes()
    np.savez_compressed(tmp_path / "x.npz", x=X)
    contents["x.npz"] = (tmp_path / "x.npz").read_bytes()
    told = 0
    with no_longer_than(60):
        for name, content in contents.items():
            for _ in range(400):
                damaged = bytearray(content)
                for position in rng.integers(len(content), size=rng.integers(1, 5)):
                    damaged[position] = rng.integers(256)
                (tmp_path / name).write_bytes(damaged)
                try:
                    assert features(tmp_path / name).dtype == np.float32
                except UserError as error:
                    told += name in str(error)
    assert told > 300
