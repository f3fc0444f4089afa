"""PASCAL VOC 2007 in the layout of its archives, and the tag features of Hwang and Grauman's files."""

import numpy as np
import pytest

from cmr.datasets import pascal_voc2007
from cmr.errors import UserError
from tests import official_archives as archives
from tests.official_archives import lay_out
from tests.official_archives import voc_annotation as annotation

TRAINVAL = {
    "000005": annotation(("chair", 0), ("person", 0), ("chair", 1)),
    "000007": annotation(("car", 1)),
}
TEST = {"000001": annotation(("dog", 0), ("person", 1))}


@pytest.fixture
def folders(tmp_path):
    made = {}
    for part, items in (("trainval", TRAINVAL), ("test", TEST)):
        files = archives.pascal_voc2007(part, items)
        made[f"pascal_voc2007_{part}"] = lay_out(tmp_path / f"pascal_voc2007_{part}", files)
    return made


def test_labels_are_the_classes_of_the_objects(folders):
    pairs = {pair.id: pair for pair in pascal_voc2007.read(folders)}
    assert {item: pair.labels for item, pair in pairs.items()} == {
        "000005": ("chair", "person"),
        "000007": ("car",),
        "000001": ("dog", "person"),
    }
    assert {item: pair.part for item, pair in pairs.items()} == {
        "000005": "train",
        "000007": "train",
        "000001": "test",
    }
    assert pairs["000001"].image == folders["pascal_voc2007_test"] / "JPEGImages" / "000001.jpg"
    assert all(pair.text is None for pair in pairs.values())


def test_difficult_objects_can_be_left_out(folders):
    labels = {pair.id: pair.labels for pair in pascal_voc2007.read(folders, difficult=False)}
    assert labels == {"000005": ("chair", "person"), "000007": (), "000001": ("dog",)}


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (annotation(("unicorn", 0)), "an object 'unicorn', which is none of the 20 classes"),
        (TRAINVAL["000007"][:-20], "is not well-formed"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + TRAINVAL["000007"], "declares a document type"),
    ],
)
def test_annotation_that_is_none_is_named(folders, xml, message):
    (folders["pascal_voc2007_trainval"] / "Annotations" / "000007.xml").write_text(xml)
    with pytest.raises(UserError, match=rf"000007\.xml .*{message}"):
        list(pascal_voc2007.read(folders))


def test_missing_annotation_and_missing_list_are_named(folders):
    (folders["pascal_voc2007_test"] / "Annotations" / "000001.xml").unlink()
    with pytest.raises(UserError, match=r"annotation .*000001\.xml cannot be read"):
        list(pascal_voc2007.read(folders))
    (folders["pascal_voc2007_trainval"] / "ImageSets" / "Main" / "trainval.txt").unlink()
    with pytest.raises(UserError, match=r"list .*trainval\.txt cannot be read"):
        list(pascal_voc2007.read(folders))


def write_tags(path, first, second):
    path.write_bytes(archives.pascal_voc2007_tags(first, second, gist=2))


@pytest.fixture
def tags(tmp_path):
    write_tags(
        tmp_path / "train.mat", {"000005.jpg": [3, 399, 3], "000007.jpg": []}, {"000009.jpg": [399], "000012.jpg": [3]}
    )
    write_tags(
        tmp_path / "test.mat",
        {"000001.jpg": [3, 1, 399]},
        {"000002.jpg": [1, 3] + [399] * 60, "000003.jpg": [399, 399]},
    )
    return {"pascal_voc2007_tags": tmp_path}


def rows(blocks):
    return {item: row for ids, values in blocks for item, row in zip(ids, values, strict=True)}


def test_tag_counts(tags):
    row = rows(pascal_voc2007.tag_features(tags, ["count"]))
    assert list(row) == ["000005", "000007", "000009", "000012", "000001", "000002", "000003"]
    assert {word + 1: row["000005"][word] for word in np.flatnonzero(row["000005"])} == {3: 2, 399: 1}
    assert row["000007"].shape == (399,) and not row["000007"].any()


def test_absolute_rank_is_that_of_the_first_mention(tags):
    row = rows(pascal_voc2007.tag_features(tags, ["absolute"]))
    assert row["000005"][[2, 398]] == pytest.approx([1 / np.log2(2), 1 / np.log2(3)])
    assert row["000001"][[2, 0, 398]] == pytest.approx([1, 1 / np.log2(3), 1 / 2])
    assert np.count_nonzero(row["000001"]) == 3


def test_relative_rank_compares_with_the_places_in_the_train_part(tags):
    """In train, word 3 stands at 1, 3 and 1; word 399 at 2 and 1; word 1 nowhere."""
    row = rows(pascal_voc2007.tag_features(tags, ["relative"]))
    assert row["000012"][2] == pytest.approx(1 - 2 / 3)  # at 1
    assert row["000005"][2] == pytest.approx(1 - 2 / 3)  # at 1 and 3, on average at 2
    assert row["000001"][[2, 0, 398]] == pytest.approx([1 - 2 / 3, 0, 0])  # 399 at 3: after all its places in train
    assert row["000009"][398] == pytest.approx(1 - 1 / 2)
    assert row["000002"][398] == 0  # at 32.5 on average
    assert row["000003"][398] == 0  # at 1.5 on average, which counts as 2


def test_tag_ranking_is_798_dimensional(tags):
    both = rows(pascal_voc2007.tag_features(tags, ["absolute", "relative"]))
    assert both["000005"].shape == (798,) and both["000005"].dtype == np.float32
    assert both["000005"][399 + 2] == pytest.approx(1 / 3)


def test_tag_outside_the_vocabulary_is_refused(tags):
    write_tags(tags["pascal_voc2007_tags"] / "test.mat", {"000001.jpg": [400]}, {"000002.jpg": []})
    with pytest.raises(UserError, match=r"test\.mat: the taglist of 000001\.jpg has 400; words are 1 to 399"):
        list(pascal_voc2007.tag_features(tags, ["count"]))


def test_image_features_are_rows_by_file_name(tags):
    row = rows(pascal_voc2007.image_features(tags, "gist"))
    assert row["000012"].tolist() == [12, 13]
    with pytest.raises(UserError, match=r"no variable color \(color of D1\.color\); it holds: filename, taglist, gist"):
        list(pascal_voc2007.image_features(tags, "color"))


@pytest.fixture
def eisr(tmp_path):
    parts = {"train": ["000005", "000007"], "test": ["000001"]}
    return {"eisr_features": lay_out(tmp_path, archives.eisr_features(parts, 3))}


def test_features_of_eisr_are_rows_by_list(eisr):
    row = rows(pascal_voc2007.eisr_features(eisr))
    assert {item: values.tolist() for item, values in row.items()} == {
        "000005": [0, 1, 2],
        "000007": [3, 4, 5],
        "000001": [0, 1, 2],
    }


@pytest.mark.parametrize("size", [0, 8, 31, 33])
def test_features_of_eisr_of_wrong_length_are_refused(eisr, size):
    path = eisr["eisr_features"] / "pascal_voc_2007" / "train_text.bin"
    path.write_bytes((path.read_bytes() + b"1234")[:size])
    with pytest.raises(UserError, match=rf"train_text\.bin has {size} bytes"):
        list(pascal_voc2007.eisr_features(eisr))
    path.unlink()
    with pytest.raises(UserError, match=r"train_text\.bin cannot be read: .*not in every copy"):
        list(pascal_voc2007.eisr_features(eisr))
