"""Cached files: whole or not at all, verified when read."""

import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest

from cmr import files, store
from cmr.errors import UserError
from cmr.provenance import fingerprint


@pytest.fixture
def view_path(tmp_path):
    path = tmp_path / "view.h5"
    rng = np.random.default_rng(0)
    store.write_view(path, ["b", "ä", "c"], rng.normal(size=(3, 700)), {"network": "made", "counts": False})
    return path


def test_view_comes_back_with_ids_and_attributes(view_path):
    view = store.read_view(view_path)
    assert list(view.ids) == ["b", "ä", "c"]
    assert view.values.dtype == np.float32
    np.testing.assert_allclose(view.values, np.random.default_rng(0).normal(size=(3, 700)), rtol=1e-6)
    assert view.attributes == {"network": "made", "counts": False, "left_out": []}


def test_view_names_the_items_that_it_leaves_out(tmp_path):
    store.write_view(tmp_path / "v.h5", ["a", "b"], np.ones((2, 1)), {"counts": False}, left_out=["bad"])
    assert store.read_view(tmp_path / "v.h5").left_out == {"bad"}


def test_rows_follow_the_ids_that_are_asked_for(view_path):
    view = store.read_view(view_path)
    np.testing.assert_array_equal(view.rows(["c", "b"]), view.values[[2, 0]])


def test_absent_item_is_named(view_path):
    with pytest.raises(UserError, match="'zebra'"):
        store.read_view(view_path).rows(["b", "zebra"])


def test_flipped_bits_are_never_read_as_good(view_path):
    """Anywhere in the file: either the damage is noticed and the file named, or what is read is what was written."""
    good, content = store.read_view(view_path), view_path.read_bytes()
    rng = np.random.default_rng(0)
    noticed = 0
    for position in rng.integers(len(content), size=400):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        view_path.write_bytes(damaged)
        try:
            view = store.read_view(view_path)
        except UserError as error:
            assert "view.h5 is damaged" in str(error) or "holds no" in str(error)
            assert "Delete it" in str(error)
            noticed += 1
        else:
            np.testing.assert_array_equal(view.values, good.values)
            assert list(view.ids) == list(good.ids)
            assert view.attributes == good.attributes
    assert noticed > 50


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_file_is_noticed(view_path, share):
    content = view_path.read_bytes()
    view_path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"view\.h5 is damaged"):
        store.read_view(view_path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.h5 does not exist"):
        store.read_view(tmp_path / "nowhere.h5")


def test_not_finite_features_are_refused_with_the_item(tmp_path):
    values = np.ones((2, 3))
    values[1, 2] = np.nan
    with pytest.raises(UserError, match="first is 'b'"):
        store.write_view(tmp_path / "v.h5", ["a", "b"], values, {})
    assert list(tmp_path.iterdir()) == []


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.parquet"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_gives_one_message_and_leaves_nothing(tmp_path):
    """The system's limit on file sizes stands in for the disk: writing fails midway as it does on a full one."""
    code = (
        "import sys, resource, numpy as np; from pathlib import Path; from cmr import errors, store;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "arrays = {f'layer{i}': np.random.rand(10_000) for i in range(40)};"
        "errors.run_main(lambda: store.write_arrays(Path(sys.argv[1]), arrays))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.h5")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {tmp_path / 'model.h5'} could not be written: ")
    assert run.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_reported_with_the_path(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match=r"view\.h5 could not be written"):
        store.write_arrays(tmp_path / "file/view.h5", {"a": np.ones(3)})


def test_arrays_of_every_kind_come_back(tmp_path):
    arrays = {
        "0/test/ids": np.array(["x", "yy"], dtype=object),
        "flag": np.array(True),
        "empty": np.zeros((0, 4), dtype=np.float32),
        "matrix": np.arange(12.0).reshape(3, 4),
    }
    store.write_arrays(tmp_path / "a.h5", arrays, {"seeds": [0, 1]})
    back, attributes = store.read_arrays(tmp_path / "a.h5")
    assert attributes == {"seeds": [0, 1]}
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].shape == array.shape


def test_table_keeps_its_metadata(tmp_path):
    table = pd.DataFrame({"id": ["a"], "labels": [["x", "y"]]})
    store.write_table(tmp_path / "t.parquet", table, {"classes": ["x", "y"]})
    back = store.read_table(tmp_path / "t.parquet")
    assert back.attrs["classes"] == ["x", "y"]
    assert list(back["labels"][0]) == ["x", "y"]


def test_damaged_table_is_named(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(UserError, match=r"t\.parquet is damaged"):
        store.read_table(tmp_path / "t.parquet")


def blocks_of(values, rows=7):
    return (values[start : start + rows] for start in range(0, len(values), rows))


def test_view_written_in_blocks_equals_the_view_written_whole(tmp_path):
    values = np.random.default_rng(0).random((50, 3, 4))
    ids = [f"item-{i}" for i in range(50)]
    store.write_view(tmp_path / "whole.h5", ids, values, {"a": 1}, ["x"])
    store.write_view(tmp_path / "blocks.h5", ids, blocks_of(values), {"a": 1}, ["x"])
    assert (tmp_path / "whole.h5").read_bytes() == (tmp_path / "blocks.h5").read_bytes()
    view = store.read_view(tmp_path / "blocks.h5")
    np.testing.assert_array_equal(view.values, values.astype(np.float32))
    assert view.left_out == {"x"} and list(view.ids) == ids


@pytest.mark.parametrize("rows", [3, 49, 51])
def test_blocks_that_do_not_add_up_to_the_ids_leave_no_file(tmp_path, rows):
    with pytest.raises(ValueError, match=r"the 50 ids|50 ids for"):
        store.write_view(tmp_path / "v.h5", map(str, range(50)), blocks_of(np.ones((rows, 2))), {})
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_words_stay_whole_numbers(tmp_path):
    store.write_view(tmp_path / "v.h5", ["a", "b"], np.array([[2**30 + 1, 0], [1, 2]]), {}, arrays={"w": np.ones(3)})
    view = store.read_view(tmp_path / "v.h5")
    assert view.values.dtype == np.int32 and view.values[0, 0] == 2**30 + 1
    with store.ViewFile.open(tmp_path / "v.h5") as file:
        np.testing.assert_array_equal(file.arrays()["w"], np.ones(3))


def test_view_is_read_in_blocks_and_checked(tmp_path):
    values = np.random.default_rng(0).random((3000, 200), dtype=np.float32)
    path = tmp_path / "v.h5"
    store.write_view(path, map(str, range(3000)), values, {})
    with store.ViewFile.open(path) as view:
        assert [len(block) for block in view.blocks(rows=1024)] == [1024, 1024, 952]
        np.testing.assert_array_equal(np.concatenate(list(view.blocks())), values)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"v\.h5 is damaged"), store.ViewFile.open(path) as view:
        list(view.blocks())


@pytest.mark.parametrize("gathered", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_rows_are_read_by_number_in_the_order_asked_for(tmp_path, gathered, dtype):
    values = (256 * np.random.default_rng(0).random((100, 5, 3))).astype(dtype)
    store.gather_view(tmp_path / "v.h5", shards_of(tmp_path, values))
    with store.ViewFile.open(tmp_path / ("v.h5" if gathered else "v.1.h5")) as view:
        own = values if gathered else values[34:67]
        for rows in ([5], [7, 6, 5, 6], [0, len(own) - 1], [], np.random.default_rng(1).permutation(len(own))):
            np.testing.assert_array_equal(view.take(np.array(rows, dtype=int)), own[np.array(rows, dtype=int)])
        with pytest.raises(IndexError):
            view.take(np.array([len(own)]))
        assert set(view.arrays()) == {"w"}  # checksums are no part of what a view is made of


def test_some_rows_of_a_view_are_read_by_their_own_numbers(view_path):
    rows = store.ViewRows(view_path, np.array([0, 2]))
    np.testing.assert_array_equal(rows.take(np.array([1, 0, 1])), store.read_view(view_path).values[[2, 0, 2]])


def test_damage_is_told_when_rows_of_the_chunk_are_read_and_no_others(tmp_path):
    path, values = tmp_path / "v.h5", np.random.default_rng(0).integers(256, size=(60, 5000)).astype(np.float32)
    store.write_view(path, map(str, range(60)), values, {})
    with h5py.File(path) as file:
        chunk = file["values"].id.get_chunk_info(0)
        rows = file["values"].chunks[0]
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
    view = store.ViewRows(path, np.arange(60))
    np.testing.assert_array_equal(view.take(np.array([59, rows])), values[[59, rows]])
    with pytest.raises(UserError, match=r"v\.h5 is damaged"):
        view.take(np.array([59, 0]))


@pytest.mark.parametrize("gathered", [False, True])
def test_damage_of_an_image_is_told_when_it_is_read_and_not_with_another(tmp_path, gathered):
    values = np.random.default_rng(0).integers(256, size=(60, 20, 20, 3), dtype=np.uint8)
    store.gather_view(tmp_path / "v.h5", shards_of(tmp_path, values))
    path = tmp_path / "v.0.h5"
    with h5py.File(path) as file:
        place = file["values"].id.get_offset() + 5 * 20 * 20 * 3 + 77
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    view = store.ViewRows(tmp_path / "v.h5" if gathered else path, np.arange(10))
    np.testing.assert_array_equal(view.take(np.array([6, 4, 6])), values[[6, 4, 6]])
    with pytest.raises(UserError, match=r"v\.0\.h5 is damaged"):
        view.take(np.array([4, 5]))
    with pytest.raises(UserError, match="damaged"):
        store.read_view(tmp_path / "v.h5" if gathered else path)


def test_words_have_the_fingerprint_of_what_they_say_wherever_they_lie():
    def words(*given):
        return np.array(["".join(word) for word in given], dtype=object)  # new strings each time

    assert fingerprint(x=words("ab", "c")) == fingerprint(x=words("ab", "c")) == fingerprint(x=np.array(["ab", "c"]))
    assert len({fingerprint(x=x) for x in (words("ab", "c"), words("c", "ab"), words("ab", "d"), words("ab"))}) == 4


def test_rows_on_disk_have_the_fingerprint_of_content_and_positions(tmp_path):
    values = np.random.default_rng(0).random((9, 4))
    store.write_view(tmp_path / "one.h5", map(str, range(9)), values, {"made": "today"})
    store.write_view(tmp_path / "same.h5", map(str, range(9)), values, {"made": "later"})
    store.write_view(tmp_path / "other.h5", map(str, range(9)), values + 1, {"made": "today"})
    fingerprints = {
        name: fingerprint(rows=store.ViewRows(tmp_path / f"{name}.h5", np.arange(5)))
        for name in ("one", "same", "other")
    }
    assert fingerprints["one"] == fingerprints["same"] != fingerprints["other"]
    assert fingerprint(rows=store.ViewRows(tmp_path / "one.h5", np.arange(1, 6))) != fingerprints["one"]


@pytest.mark.parametrize("zeros", [0.0, 0.8])
def test_sparse_features_are_stored_for_speed(tmp_path, zeros):
    rng = np.random.default_rng(0)
    values = rng.random((200, 50)) * (rng.random((200, 50)) >= zeros)
    store.write_view(tmp_path / "v.h5", map(str, range(200)), values, {})
    with h5py.File(tmp_path / "v.h5") as file:
        assert file["values"].shuffle == (zeros == 0)
        filters = file["values"].id.get_create_plist()
        used = {filters.get_filter(number)[0] for number in range(filters.get_nfilters())}
    assert (hdf5plugin.LZ4.filter_id in used) == (zeros > 0)


def test_writing_takes_no_more_memory_than_a_block(tmp_path):
    """100 000 x 500 floats are 200 MB, a block here is 4, and one that is read 16."""
    code = (
        "import sys, resource, numpy as np; from pathlib import Path; from cmr import store;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "blocks = (np.full((2000, 500), i, np.float32) for i in range(50));"
        "store.write_view(Path(sys.argv[1]), map(str, range(100_000)), blocks, {});"
        "opened = store.ViewFile.open(Path(sys.argv[1])); view = opened.__enter__();"
        "assert sum(len(block) for block in view.blocks()) == 100_000;"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "v.h5")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 100


def shards_of(folder, values, count=3):
    ids = np.array([f"item-{i:03d}" for i in range(len(values))])
    paths = [folder / f"v.{i}.h5" for i in range(count)]
    for path, rows in zip(paths, np.array_split(np.arange(len(values)), count), strict=True):
        store.write_view(path, ids[rows], values[rows], {"of": "made"}, [f"bad of {path.name}"], {"w": np.ones(2)})
    return paths


def test_gathered_shards_are_one_view(tmp_path):
    values = np.random.default_rng(0).random((100, 5), dtype=np.float32)
    store.gather_view(tmp_path / "v.h5", shards_of(tmp_path, values))
    view = store.read_view(tmp_path / "v.h5")
    np.testing.assert_array_equal(view.values, values)
    assert list(view.ids) == [f"item-{i:03d}" for i in range(100)]
    assert view.left_out == {"bad of v.0.h5", "bad of v.1.h5", "bad of v.2.h5"} and view.attributes["of"] == "made"
    with store.ViewFile.open(tmp_path / "v.h5") as file:
        assert list(file.arrays()) == ["w"]
        assert (tmp_path / "v.h5").stat().st_size < 40_000  # it points to the shards


def test_gathered_view_may_move_with_its_shards(tmp_path):
    (tmp_path / "here").mkdir()
    values = np.ones((10, 2))
    store.gather_view(tmp_path / "here/v.h5", shards_of(tmp_path / "here", values))
    (tmp_path / "here").rename(tmp_path / "there")
    np.testing.assert_array_equal(store.read_view(tmp_path / "there/v.h5").values, values)


@pytest.mark.parametrize("fault", ["missing", "damaged", "other"])
def test_fault_of_a_shard_is_named(tmp_path, fault):
    shards = shards_of(tmp_path, np.random.default_rng(0).random((100, 50)))
    store.gather_view(tmp_path / "v.h5", shards)
    if fault == "missing":
        shards[1].unlink()
        with pytest.raises(UserError, match=r"v\.h5 was gathered from v\.1\.h5, which is missing"):
            store.read_view(tmp_path / "v.h5")
    elif fault == "damaged":
        with h5py.File(shards[1]) as file:
            chunk = file["values"].id.get_chunk_info(0)
        content = bytearray(shards[1].read_bytes())
        content[chunk.byte_offset + chunk.size // 2] ^= 1
        shards[1].write_bytes(content)
        with pytest.raises(
            UserError, match=r"v\.h5 or a shard that it points to \(v\.0\.h5, v\.1\.h5, v\.2\.h5\) is damaged"
        ):
            store.read_view(tmp_path / "v.h5")
    else:
        store.write_view(shards[1], ["a"], np.ones((1, 50)), {"of": "another"})
        with pytest.raises(UserError, match=r"v\.1\.h5 was made otherwise than"):
            store.gather_view(tmp_path / "v.h5", shards)


def test_shards_that_changed_places_are_noticed(tmp_path):
    """Each is whole: only all rows together differ from what was gathered."""
    shards = shards_of(tmp_path, np.random.default_rng(0).random((99, 50)))
    store.gather_view(tmp_path / "v.h5", shards)
    shards[0].rename(tmp_path / "kept")
    shards[1].rename(shards[0])
    (tmp_path / "kept").rename(shards[1])
    with pytest.raises(UserError, match="is damaged"):
        store.read_view(tmp_path / "v.h5")


def test_full_disk_ends_a_view_at_the_next_block(tmp_path):
    code = (
        "import sys, resource, numpy as np; from pathlib import Path; from cmr import errors, store;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "blocks = (print(i) or np.random.rand(1000, 100) for i in range(50));"
        "errors.run_main(lambda: store.write_view(Path(sys.argv[1]), map(str, range(50_000)), blocks, {}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "v.h5")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1 and run.stderr.startswith(f"error: {tmp_path / 'v.h5'} could not be written: ")
    assert run.stdout.count("\n") < 40  # some blocks wait in memory
    assert list(tmp_path.iterdir()) == []
