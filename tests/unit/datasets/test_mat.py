"""MATLAB files of both formats give the arrays that MATLAB shows."""

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from cmr.datasets.mat import load_array, load_strings, load_structs
from cmr.errors import UserError

COUNTS = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
NAMES = ["im1.jpg", "", "im20.jpg"]


def many_structs():
    """MATLAB's struct("tags", {[3 1], []}, "file", {'a.jpg', 'b.jpg'})."""
    structs = np.empty((1, 2), dtype=[("tags", object), ("file", object)])
    structs[0, 0] = (np.array([[3, 1]]), "a.jpg")
    structs[0, 1] = (np.zeros((0, 0)), "b.jpg")
    return structs


def write_old(path):
    """Version 5 or 7: MATLAB's own format."""
    cells = np.empty((3, 1), object)
    cells[:, 0] = NAMES
    scipy.io.savemat(
        path,
        {
            "counts": COUNTS,
            "sparse": scipy.sparse.csc_array(COUNTS * (COUNTS > 3)),
            "names": cells,
            "padded": np.array(["ab", "c "]),
            "data": {"X1": COUNTS, "inner": {"deep": COUNTS + 10}},
            "many": many_structs(),
            "wave": np.array([[1j]]),
        },
        do_compression=True,
    )


def write_new(path):
    """Version 7.3 as the MAT-file documentation has it: HDF5 behind 512 bytes of header, dimensions reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:

        def put(place, value, kind, **attributes):
            node = file.create_dataset(place, data=value)
            node.attrs["MATLAB_class"] = np.bytes_(kind)
            for key, attribute in attributes.items():
                node.attrs[key] = attribute
            return node

        put("counts", COUNTS.T, "uint8")
        put("flags", (COUNTS > 3).T.astype(np.uint8), "logical")
        put("data/X1", COUNTS.T, "uint8")
        put("data/inner/deep", COUNTS.T + 10, "uint8")
        put("nothing", np.array([0, 5], np.uint64), "double", MATLAB_empty=np.uint8(1))
        put("padded", np.array([[97, 99], [98, 32]], np.uint16), "char")
        # Compressed columns of [[0 0 0], [4 5 6]].
        sparse = file.create_group("sparse")
        sparse.attrs["MATLAB_sparse"] = np.uint64(2)
        sparse["data"], sparse["ir"], sparse["jc"] = [4.0, 5.0, 6.0], [1, 1, 1], [0, 1, 2, 3]
        cells = [
            put("#refs#/f", [[ord(letter)] for letter in NAMES[0]], "char"),
            put("#refs#/g", np.array([0, 0], np.uint64), "char", MATLAB_empty=np.uint8(1)),
            put("#refs#/h", [[ord(letter)] for letter in NAMES[2]], "char"),
        ]
        references = np.array([[cell.ref for cell in cells]], h5py.ref_dtype)
        put("names", references, "cell")
        tags = [
            put("#refs#/d", np.array([[3], [1]], np.uint8), "uint8"),
            put("#refs#/e", np.array([0, 0], np.uint64), "double", MATLAB_empty=np.uint8(1)),
        ]
        files = [put(f"#refs#/{name}", [[ord(letter)] for letter in f"{name}.jpg"], "char") for name in "ab"]
        many = file.create_group("many")
        many.attrs["MATLAB_class"] = np.bytes_("struct")
        many["tags"] = np.array([[value.ref] for value in tags], h5py.ref_dtype)
        many["file"] = np.array([[value.ref] for value in files], h5py.ref_dtype)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


@pytest.fixture(params=[write_old, write_new], ids=["v7", "v7.3"])
def mat(request, tmp_path):
    path = tmp_path / "features.mat"
    request.param(path)
    return path


def test_arrays_have_the_shape_that_matlab_shows(mat):
    assert load_array(mat, "counts").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert load_array(mat, "counts").dtype == np.uint8


def test_dots_lead_into_structs(mat):
    assert load_array(mat, "data.X1").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert load_array(mat, "data.inner.deep").tolist() == [[11, 12, 13], [14, 15, 16]]


def test_sparse_arrays_become_dense(mat):
    assert load_array(mat, "sparse").tolist() == [[0, 0, 0], [4, 5, 6]]


def test_cells_and_padded_rows_of_characters_are_lists_of_strings(mat):
    assert load_strings(mat, "names") == NAMES
    assert load_strings(mat, "padded") == ["ab", "c"]


def test_cells_are_read_column_by_column(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"grid": np.array([["a", "c"], ["b", "d"]], dtype=object)})
    assert load_strings(tmp_path / "a.mat", "grid") == ["a", "b", "c", "d"]


def test_absent_variable_is_reported_with_those_present(mat):
    with pytest.raises(UserError, match=r"features\.mat holds no variable T_tr; it holds: .*counts"):
        load_array(mat, "T_tr")
    with pytest.raises(UserError, match=r"no variable X3 \(X3 of data\.X3\); it holds: X1, inner$"):
        load_array(mat, "data.X3")
    with pytest.raises(UserError, match=r"no variable X1 \(X1 of counts\.X1\); it holds: none"):
        load_array(mat, "counts.X1")


@pytest.mark.parametrize(("name", "kind"), [("data", "a struct with the fields X1, inner"), ("names", "a cell array")])
def test_variable_that_is_no_array_of_numbers_is_refused(mat, name, kind):
    with pytest.raises(UserError, match=f"variable {name} in .* is no array of numbers but {kind}"):
        load_array(mat, name)


def test_struct_arrays_are_lists_of_their_elements(mat):
    first, second = load_structs(mat, "many", ["tags", "file"])
    assert (first["tags"].tolist(), first["file"]) == ([[3, 1]], "a.jpg")
    assert (second["tags"].size, second["file"]) == (0, "b.jpg")
    (lone,) = load_structs(mat, "data", ["X1"])
    assert lone["X1"].shape == (2, 3)


def test_struct_array_without_a_field_and_no_struct_array_are_refused(mat):
    with pytest.raises(UserError, match=r"no variable gist \(gist of many\.gist\); it holds: (tags, file|file, tags)$"):
        load_structs(mat, "many", ["file", "gist"])
    with pytest.raises(UserError, match=r"variable counts in .* is no struct array but of type uint8"):
        load_structs(mat, "counts", ["file"])


def test_numbers_are_no_strings(mat):
    with pytest.raises(UserError, match=r"counts in .* is no list of strings"):
        load_strings(mat, "counts")


def test_complex_array_and_struct_array_are_refused(tmp_path):
    write_old(tmp_path / "a.mat")
    with pytest.raises(UserError, match=r"wave in .* but complex"):
        load_array(tmp_path / "a.mat", "wave")
    with pytest.raises(UserError, match=r"many\.tags in .* an array of 2 structs"):
        load_array(tmp_path / "a.mat", "many.tags")


def test_logical_and_empty_arrays_of_version_7_3(tmp_path):
    write_new(tmp_path / "a.mat")
    assert load_array(tmp_path / "a.mat", "flags").tolist() == [[False, False, False], [True, True, True]]
    assert load_array(tmp_path / "a.mat", "nothing").shape == (0, 5)


def test_hdf5_that_matlab_has_not_saved_keeps_its_shape(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["counts"] = COUNTS
    assert load_array(tmp_path / "a.mat", "counts").shape == (2, 3)


@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.6, 0.9, 0.99])
def test_truncated_file_is_refused_by_name(mat, share):
    mat.write_bytes(mat.read_bytes()[: int(share * mat.stat().st_size)])
    with pytest.raises(UserError, match=r"features\.mat (cannot be read as a MATLAB file|holds no variable wave)"):
        load_array(mat, "wave")


def test_missing_file_and_file_of_another_kind_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent\.mat does not exist"):
        load_array(tmp_path / "absent.mat", "x")
    (tmp_path / "page.mat").write_text("<html>404 not found</html>" * 20)
    with pytest.raises(UserError, match=r"page\.mat cannot be read as a MATLAB file"):
        load_array(tmp_path / "page.mat", "x")
