"""Own features: one file of arrays in three formats gives pairs and ready views with the same ids."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from cmr.datasets import arrays
from cmr.errors import UserError

NUMBERS = np.array([2, 0, 1, 0])
HOT = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [0, 0, 1]])
X = np.arange(12.0).reshape(4, 3)


def write(path: Path, **values: np.ndarray) -> dict[str, Path]:
    """Write arrays as the suffix says; the folders that a reader gets."""
    if path.suffix == ".npz":
        np.savez(path, **values)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, values)
    else:
        with h5py.File(path, "w") as file:
            for name, value in values.items():
                file[name] = value.astype(h5py.string_dtype()) if value.dtype.kind == "U" else value
    return {"mine": path.parent}


def rows_of(blocks):
    """All blocks together: ids, rows."""
    ids, rows = zip(*blocks, strict=True)
    return [item for block in ids for item in block], np.concatenate(rows)


@pytest.fixture(params=["mine.npz", "mine.mat", "mine.h5", "mine.hdf5"])
def file(request):
    return request.param


def test_class_numbers_and_features_give_pairs_and_views_with_equal_ids(tmp_path, file):
    folders = write(tmp_path / file, y=NUMBERS, x=X)
    pairs = list(arrays.read(folders, file, labels="y"))
    assert [pair.id for pair in pairs] == ["000000", "000001", "000002", "000003"]
    assert [pair.labels for pair in pairs] == [("2",), ("0",), ("1",), ("0",)]
    assert {(pair.image, pair.text, pair.part, pair.group) for pair in pairs} == {(None, None, None, None)}
    ids, rows = rows_of(arrays.features(folders, file, "x"))
    assert ids == [pair.id for pair in pairs]
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, X)


def test_multi_hot_labels_named_ids_and_named_parts(tmp_path, file):
    parts = np.array(["train", "test", "valid", "train"])
    ids = np.array(["crow", "cod", "夜鷹", "newt"])
    folders = write(tmp_path / file, y=HOT, ids=ids, parts=parts, x=X)
    pairs = list(arrays.read(folders, file, labels="y", ids="ids", parts="parts", classes=["red", "blue", "big"]))
    assert [(pair.id, pair.labels, pair.part) for pair in pairs] == [
        ("crow", ("blue", "big"), "train"),
        ("cod", ("red",), "test"),
        ("夜鷹", (), "valid"),
        ("newt", ("big",), "train"),
    ]
    assert rows_of(arrays.features(folders, file, "x", ids="ids"))[0] == list(ids)


def test_arrays_in_parts_are_joined_in_one_order_however_they_are_named(tmp_path, file):
    folders = write(tmp_path / file, y_te=NUMBERS[2:], y_tr=NUMBERS[:2], x_tr=X[:2], x_te=X[2:])
    pairs = list(arrays.read(folders, file, labels={"test": "y_te", "train": "y_tr"}))
    assert [(pair.labels, pair.part) for pair in pairs] == [
        (("2",), "train"),
        (("0",), "train"),
        (("1",), "test"),
        (("0",), "test"),
    ]
    for names in ({"train": "x_tr", "test": "x_te"}, {"test": "x_te", "train": "x_tr"}):
        ids, rows = rows_of(arrays.features(folders, file, names))
        assert ids == [pair.id for pair in pairs]
        np.testing.assert_array_equal(rows, X)


def test_arrays_with_a_column_an_item(tmp_path, file):
    folders = write(tmp_path / file, y=HOT.T, x=X.T)
    pairs = list(arrays.read(folders, file, labels="y", columns_are_items=True))
    assert [pair.labels for pair in pairs] == [("1", "2"), ("0",), (), ("2",)]
    ids, rows = rows_of(arrays.features(folders, file, "x", columns_are_items=True))
    assert len(ids) == 4
    np.testing.assert_array_equal(rows, X)


def test_structs_of_matlab_and_groups_of_hdf5_are_entered(tmp_path):
    scipy.io.savemat(tmp_path / "s.mat", {"data": {"Y": NUMBERS[:, None].astype(float), "X": X}})
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["data/Y"], file["data/X"] = NUMBERS, X
    for name, separator in (("s.mat", "."), ("s.h5", "/")):
        pairs = arrays.read({"mine": tmp_path}, name, labels=f"data{separator}Y")
        assert [pair.labels for pair in pairs] == [("2",), ("0",), ("1",), ("0",)]
        _, rows = rows_of(arrays.features({"mine": tmp_path}, name, f"data{separator}X"))
        np.testing.assert_array_equal(rows, X)


def test_class_names_as_labels_and_numbers_as_ids(tmp_path, file):
    folders = write(tmp_path / file, y=np.array(["fish", "bird", "fish"]), ids=np.array([70.0, 5.0, 9.0]))
    pairs = list(arrays.read(folders, file, labels="y", ids="ids"))
    assert [(pair.id, pair.labels) for pair in pairs] == [("70", ("fish",)), ("5", ("bird",)), ("9", ("fish",))]


def test_names_of_classes_from_a_list_an_array_or_a_mapping(tmp_path, file):
    folders = write(tmp_path / file, y=NUMBERS, y1=NUMBERS + 1, names=np.array(["a", "b", "c"]))
    expected = [("c",), ("a",), ("b",), ("a",)]
    for labels, classes in (
        ("y", ["a", "b", "c"]),
        ("y", "names"),
        ("y1", {1: "a", 2: "b", 3: "c"}),
        ("y1", {"1": "a", "2": "b", "3": "c"}),  # as it comes out of JSON
    ):
        assert [pair.labels for pair in arrays.read(folders, file, labels=labels, classes=classes)] == expected


def test_large_views_come_in_blocks(tmp_path, file, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 2 * 8 * 3)
    blocks = list(arrays.features(write(tmp_path / file, x=X[:3]), file, "x"))
    assert [(ids, rows.tolist()) for ids, rows in blocks] == [
        (["000000", "000001"], X[:2].tolist()),
        (["000002"], X[2:3].tolist()),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "z"}, r"mine\.\w+ holds no (array|variable) \"?z\"?.*; it holds:? .*y"),
        ({"labels": "x"}, r"mine\.\w+: x holds 2\.0 in row 0, where only 0 and 1 are expected"),
        ({"labels": "half"}, r"mine\.\w+: half holds 0\.5 in row 2, where whole numbers are expected"),
        ({"labels": "cube"}, r"mine\.\w+: cube is .*\(2, 2, 2\), but labels are"),
        ({"labels": "y", "ids": "three"}, r"three has 3 items, but y has 4"),
        ({"labels": "y", "parts": "three"}, r"three has 3 items, but y has 4"),
        ({"labels": "y", "ids": "half"}, r"half holds 0\.5 in row 2, where whole numbers are expected"),
        ({"labels": "y", "classes": ["a", "b"]}, r"y has the classes 2, for which there is no name"),
        ({"labels": "y1", "classes": ["a", "b", "c", "d"]}, r"y1 has no class 0, so it is not certain"),
        ({"labels": "hot", "classes": ["a", "b", "c", "d"]}, r"hot has 3 columns, but there are 4 names"),
        ({"labels": {"train": "y", "test": "hot"}}, r"y and hot have different numbers of classes"),
        ({"labels": {"train": "y", "dev": "y"}}, r"arrays come in the parts train, valid, test, not dev"),
        ({"labels": {"train": "y"}, "parts": "three"}, r"leave out the option parts"),
    ],
)
def test_labels_that_do_not_fit_are_named(tmp_path, file, options, message):
    half = np.array([1, 0, 0.5, 2])
    folders = write(
        tmp_path / file, y=NUMBERS, y1=NUMBERS + 1, hot=HOT, x=X, half=half, three=np.arange(3), cube=np.ones((2, 2, 2))
    )
    with pytest.raises(UserError, match=message):
        list(arrays.read(folders, file, **options))


def test_features_that_do_not_fit_are_named(tmp_path, file):
    folders = write(tmp_path / file, x=X, wide=np.ones((2, 5)), names=np.array(["a", "b", "c", "d"]), y=np.arange(5))
    for options, message in (
        ({"array": "names"}, r"names is .*, but features are numbers \(n, d\)"),
        ({"array": {"train": "x", "test": "wide"}}, r"x and wide differ in dimension"),
        ({"array": "wide", "ids": "names"}, r"names has 4 items, but wide has 2"),
        ({"array": {"train": "x", "test": "x"}, "ids": "names"}, r"x and x has more items than the 4 of names"),
    ):
        with pytest.raises(UserError, match=message):
            list(arrays.features(folders, file, **options))


@pytest.mark.parametrize("content", [b"", b"not an array"])
def test_damaged_files_are_named(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.\w+ cannot be read"):
        list(arrays.features({"mine": tmp_path}, file, "x"))


def test_single_array_under_the_name_of_an_archive_is_no_archive(tmp_path):
    with (tmp_path / "mine.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(UserError, match=r"mine\.npz cannot be read"):
        list(arrays.features({"mine": tmp_path}, "mine.npz", "x"))


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "mine.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match=r"mine\.npz cannot be read: Object arrays cannot be loaded"):
        list(arrays.features({"mine": tmp_path}, "mine.npz", "x"))


def test_missing_and_unknown_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"mine\.npz does not exist"):
        list(arrays.read({"mine": tmp_path}, "mine.npz", labels="y"))
    with pytest.raises(UserError, match=r"mine\.txt .* must end in \.npz, \.mat, \.h5 or \.hdf5"):
        list(arrays.read({"mine": tmp_path}, "mine.txt", labels="y"))
