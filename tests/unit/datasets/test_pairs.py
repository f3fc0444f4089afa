"""The table of pairs: what every data set becomes, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmr.assets.unpack import unpack
from cmr.datasets import table
from cmr.datasets.pairs import (
    Pair,
    check_whole,
    classes_of,
    group_numbers,
    label_matrix,
    pair_table,
    separate_bad_items,
)
from cmr.errors import UserError
from tests.shapes import write_shapes


def read_shapes(tmp_path, **options):
    """The made data set, unpacked below tmp_path/raw and read."""
    write_shapes(tmp_path / "shapes.tar", **options)
    folder = tmp_path / "raw" / "shapes"
    unpack(tmp_path / "shapes.tar", folder, limit=10_000_000)
    return pair_table(table.read({"shapes": folder}), tmp_path / "raw")


def pairs_of(raw, **columns):
    """Pairs a, b, c, whole but for what `columns` gives otherwise, a value an item."""
    default = {"image": raw / "i.png", "text": "words", "labels": ("x",), "part": None, "group": None}
    return pair_table(
        [
            Pair(id=item, **{name: columns.get(name, [value] * 3)[row] for name, value in default.items()})
            for row, item in enumerate("abc")
        ],
        raw,
    )


def test_image_paths_are_relative_to_the_raw_folder(tmp_path):
    pairs = read_shapes(tmp_path, classes=2, pairs=3)
    assert pairs["image"][0] == "shapes/images/circle-000.png"
    assert (tmp_path / "raw" / pairs["image"][0]).exists()


def test_the_order_of_a_source_does_not_matter(tmp_path):
    pairs = [Pair(item, tmp_path / f"{item}.png", item, ("x", "w")) for item in "cab"]
    there, back = pair_table(pairs, tmp_path), pair_table(pairs[::-1], tmp_path)
    assert there.equals(back)
    assert there["id"].tolist() == ["a", "b", "c"]
    assert there["labels"][0] == ["w", "x"]


def test_an_item_is_a_group_of_its_own_unless_it_says_otherwise(tmp_path):
    assert pairs_of(tmp_path, group=["g", None, "g"])["group"].tolist() == ["g", "b", "g"]
    assert group_numbers(pairs_of(tmp_path, group=["g", None, "g"]), ["b", "c", "a"]).tolist() == [0, 1, 1]


def test_what_a_pair_lacks_is_none(tmp_path):
    pairs = pairs_of(tmp_path, image=[None] * 3, text=[None] * 3, labels=[()] * 3)
    assert pairs.loc[0, ["image", "text", "part"]].tolist() == [None, None, None]
    assert classes_of(pairs) == []


@pytest.mark.parametrize("items", ["duplicate", "outside", "escape", "part", "none"])
def test_impossible_pairs_are_refused_by_name(tmp_path, items):
    raw = tmp_path / "raw"
    pair = Pair("twice", raw / "a.png", "text", ("x",))
    wrong, message = {
        "duplicate": ([pair, pair], "more than once: twice"),
        "outside": ([Pair("far", tmp_path / "rawest/a.png", "text", ("x",))], r"1 items lie outside .*: far"),
        "escape": ([Pair("up", raw / "../a.png", "text", ("x",))], r"1 items lie outside .*: up"),
        "part": ([Pair("a", raw / "a.png", "text", ("x",), part="dev")], "train, valid, test, but .* dev"),
        "none": ([], "no image-text pair"),
    }[items]
    with pytest.raises(UserError, match=message):
        pair_table(wrong, raw)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"text": ["one", " \n", "two"]}, "its text is empty"),
        ({"text": ["one", None, "two"]}, "its text is missing"),
        ({"labels": [("x",), (), ("y",)]}, "it has no label"),
        ({"text": ["one", "", "two"], "labels": [("x",), (), ("y",)]}, "its text is empty, it has no label"),
    ],
)
def test_an_item_that_lacks_what_the_others_have_is_a_bad_item(tmp_path, columns, reason):
    pairs = pairs_of(tmp_path, **columns)
    good, bad = separate_bad_items(pairs, "drop")
    assert good["id"].tolist() == ["a", "c"]
    assert bad.to_dict("records") == [{"id": "b", "reason": reason}]
    with pytest.raises(UserError, match=rf"1 of 3 items cannot be used:\n  b: {reason}\n.*on_bad_item: drop"):
        separate_bad_items(pairs, "stop")


def test_an_item_without_an_image_among_others_with_one_is_a_bad_item(tmp_path):
    _, bad = separate_bad_items(pairs_of(tmp_path, image=[None, tmp_path / "i.png", tmp_path / "i.png"]), "drop")
    assert bad["id"].tolist() == ["a"]


@pytest.mark.parametrize("column", ["image", "text", "labels"])
def test_what_no_item_has_is_no_fault_of_any(tmp_path, column):
    absent = () if column == "labels" else None
    good, bad = separate_bad_items(pairs_of(tmp_path, **{column: [absent] * 3}), "stop")
    assert len(good) == 3 and bad.empty


def test_data_set_of_bad_items_alone_is_refused(tmp_path):
    with pytest.raises(UserError, match="none of the 3 items can be used; the first, a: its text is empty"):
        separate_bad_items(pairs_of(tmp_path, text=[" "] * 3), "drop")


def test_a_copy_with_other_numbers_than_a_whole_one_is_refused(tmp_path):
    pairs = pairs_of(tmp_path, labels=[("x",), ("y",), ()])
    check_whole(pairs, "birds", {"pairs": 3, "classes": 2})
    check_whole(pairs, "birds", {})
    with pytest.raises(UserError, match=r"birds should have 4 pairs, but this copy has 3: .* datasets birds` says"):
        check_whole(pairs, "birds", {"pairs": 4, "classes": 2})
    with pytest.raises(UserError, match="birds should have 0 classes, but this copy has 2"):
        check_whole(pairs, "birds", {"classes": 0})


def test_a_group_that_is_another_item_s_id_is_refused(tmp_path):
    with pytest.raises(UserError, match="group 'b' is also the id of an item without a group"):
        pairs_of(tmp_path, group=["b", None, "b"])
    assert pairs_of(tmp_path, group=["b", "b", None])["group"].tolist() == ["b", "b", "c"]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (Pair("a\0", None, "text", ()), r"item 'a\\x00': id 'a\\x00' holds control characters"),
        (Pair("a", None, "text", ("x\n",)), r"item 'a': label 'x\\n' holds control characters"),
        (Pair("a", Path("\x1b.png"), "text", ()), r"item 'a': image '\\x1b.png' holds control characters"),
        (Pair("", None, "text", ()), "is empty or longer than 1000 characters"),
        (Pair("a" * 1001, None, "text", ()), "is empty or longer than 1000 characters"),
        (Pair("a", None, "\ud800", ()), "item 'a' has characters that are not Unicode"),
    ],
)
def test_what_no_file_can_store_is_refused(tmp_path, pair, message):
    with pytest.raises(UserError, match=message):
        pair_table([pair], tmp_path)


def test_long_lists_of_bad_items_are_cut(tmp_path):
    pairs = pair_table([Pair(f"{k:03d}", None, "" if k else "good", ("x",)) for k in range(200)], tmp_path)
    with pytest.raises(UserError, match=r"199 of 200 items(.*\n)+  100: .*\n  and 99 more"):
        separate_bad_items(pairs, "stop")


def test_label_matrix_is_multi_hot_in_the_order_of_ids(tmp_path):
    pairs = read_shapes(tmp_path, multi_label=True)
    pairs.attrs["classes"] = classes_of(pairs)
    ids = list(pairs["id"][[7, 2]])
    matrix = label_matrix(pairs, ids)
    for row, item in enumerate(ids):
        names = {name for name, on in zip(pairs.attrs["classes"], matrix[row], strict=True) if on}
        assert names == set(pairs.set_index("id")["labels"][item])
    assert matrix.sum(axis=1).tolist() == [2, 2]


def test_data_set_without_classes_has_a_label_matrix_without_columns(tmp_path):
    pairs = pairs_of(tmp_path, labels=[()] * 3)
    pairs.attrs["classes"] = classes_of(pairs)
    assert label_matrix(pairs, ["c", "a"]).shape == (2, 0)
    assert label_matrix(pairs, ["c", "a"]).dtype == np.bool_


def test_the_table_survives_being_stored(tmp_path):
    from cmr import store

    pairs = pairs_of(tmp_path, text=[None] * 3, labels=[("x",), (), ("x", "y")], part=["train", None, "test"])
    store.write_table(tmp_path / "p.parquet", pairs, {"classes": ["x", "y"]})
    read = store.read_table(tmp_path / "p.parquet")
    assert read["text"].isna().all() and read["part"].isna().tolist() == [False, True, False]
    assert [list(labels) for labels in read["labels"]] == pairs["labels"].tolist()
    pd.testing.assert_series_equal(read["id"], pairs["id"], check_dtype=False)
