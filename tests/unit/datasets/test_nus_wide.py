"""NUS-WIDE's files, small, with the oddities of the originals: trailing blanks and tabs, backslashes, copies."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from cmr.datasets import nus_wide
from cmr.errors import UserError
from tests import official_archives as archives
from tests.official_archives import lay_out, nus_listed, nus_value

ROOT = Path(__file__).parents[3]

ITEMS = [
    ("actor", "0001", "2124494179", "train", "sky water", "t3 portrait  t999"),
    ("actor", "0002", "174174086", "train", "sky", "t0"),
    ("zoo_animal", "00001", "5", "test", "lake", "ünlü 猫"),
    ("zoo_animal", "00002", "6", "train", "", "t7"),
    ("zoo_animal", "00003", "2124494179", "test", "sky lake", "t3 t999"),
    ("zoo_animal", "00004", "8", "test", "water", ""),
    ("zoo_animal", "00005", "9", "test", "zebra", "t5"),
]
IDS = [f"{line:06d}_{item[2]}" for line, item in enumerate(ITEMS, 1)]


@pytest.fixture
def folders(tmp_path):
    """The archives unpacked as they come: two with a folder of their own, two without."""
    files = archives.nus_wide(ITEMS)
    for asset, folder in (("nus_wide_image_list", "ImageList"), ("nus_wide_features", "Low_Level_Features")):
        files[asset] = archives.below(folder, files[asset])
    return {asset: lay_out(tmp_path / asset, files[asset]) for asset in files}


def ids(pairs):
    """Lines of the pairs, counted from 1."""
    return [int(pair.id.split("_")[0]) for pair in pairs]


def edit(path, change):
    path.write_bytes(change(path.read_bytes()))


def test_pairs_have_path_tags_labels_and_official_part(folders):
    first, *_, last = nus_wide.read(folders)
    assert first.id == "000001_2124494179"
    assert first.image == folders["nus_wide_images"] / "actor" / "0001_2124494179.jpg"
    assert first.text == "t3 portrait t999"
    assert first.labels == ("sky", "water")
    assert (first.part, last.part) == ("train", "test")


def test_images_without_a_chosen_class_are_no_items(folders):
    assert ids(nus_wide.read(folders)) == [1, 2, 3, 5, 6, 7]
    assert ids(nus_wide.read(folders, classes=["zebra", "lake"])) == [3, 5, 7]


def test_largest_classes_are_counted_over_all_images_and_ties_go_by_name(folders):
    # sky 3, lake 2, water 2, zebra 1: of the two equally large ones lake comes first.
    pairs = list(nus_wide.read(folders, classes=2))
    assert ids(pairs) == [1, 2, 3, 5]
    assert {label for pair in pairs for label in pair.labels} == {"sky", "lake"}


def test_single_keeps_images_with_one_of_all_concepts_and_counts_classes_among_them(folders):
    pairs = list(nus_wide.read(folders, single=True, classes=["sky", "zebra"]))
    assert [(pair.id[:6], pair.labels) for pair in pairs] == [("000002", ("sky",)), ("000007", ("zebra",))]
    # One image each has sky, lake, water and zebra alone; by all images lake and sky would be the largest.
    assert {pair.labels[0] for pair in nus_wide.read(folders, single=True, classes=3)} == {"lake", "sky", "water"}


def test_tags_can_be_asked_for(folders):
    assert ids(nus_wide.read(folders, tags="any")) == [1, 2, 3, 5, 7]
    assert ids(nus_wide.read(folders, tags="listed")) == [1, 2, 5, 7]


def test_tags_of_any_language_are_kept_in_order(folders):
    assert list(nus_wide.read(folders))[2].text == "ünlü 猫"


def test_copies_of_one_photograph_form_a_group(folders):
    groups = {pair.id[:6]: pair.group for pair in nus_wide.read(folders)}
    assert groups["000001"] == groups["000005"]
    assert len(set(groups.values())) == len(groups) - 1


def test_ids_are_the_same_without_image_list_or_without_tags(folders):
    whole = list(nus_wide.read(folders))
    no_list = list(nus_wide.read({key: folders[key] for key in ("nus_wide_groundtruth", "nus_wide_tags")}))
    no_tags = list(nus_wide.read({**folders, "nus_wide_tags": Path("nowhere")}))
    assert [pair.id for pair in no_list] == [pair.id for pair in whole] == [pair.id for pair in no_tags]
    assert {(pair.image, pair.part) for pair in no_list} == {(None, None)}
    assert {pair.text for pair in no_tags} == {None}
    assert [pair.text for pair in no_list] == [pair.text for pair in whole]


def test_neither_image_list_nor_tags_is_refused(folders):
    with pytest.raises(UserError, match=r"Imagelist\.txt .* or All_Tags\.txt"):
        list(nus_wide.read({"nus_wide_groundtruth": folders["nus_wide_groundtruth"]}))


def test_features_stand_side_by_side_in_the_order_asked_for(folders, monkeypatch):
    monkeypatch.setattr(nus_wide, "BLOCK", 3)
    blocks = list(nus_wide.features(folders, ["EDH", "BoW"]))
    assert [len(values) for _, values in blocks] == [3, 3, 1]
    assert [name for names, _ in blocks for name in names] == IDS
    values = np.vstack([values for _, values in blocks])
    expected = [[nus_value(row, k) for k in range(73)] + [row * k % 9 for k in range(500)] for row in range(len(ITEMS))]
    assert values.dtype == np.float32
    assert np.array_equal(values, expected)


def test_all_six_features_have_1134_numbers(folders):
    ((_, values),) = nus_wide.features(folders, ["CH", "CORR", "EDH", "WT", "CM55", "BoW"])
    assert values.shape == (len(ITEMS), 1134)


def test_listed_tags_are_read_in_blocks(folders, monkeypatch):
    monkeypatch.setattr(nus_wide, "BLOCK", 2)
    blocks = list(nus_wide.tags1k(folders))
    assert [name for names, _ in blocks for name in names] == IDS
    assert np.array_equal(np.vstack([values for _, values in blocks]), [nus_listed(item[5]) for item in ITEMS])


def test_listed_tags_in_another_order_are_refused(folders):
    edit(folders["nus_wide_tags"] / "AllTags1k.txt", lambda text: b"".join(text.splitlines(keepends=True)[::-1]))
    with pytest.raises(UserError, match="not in the same order"):
        list(nus_wide.tags1k(folders))


def test_single_rows_may_disagree_with_all_tags_as_in_the_original(folders, monkeypatch):
    monkeypatch.setattr(nus_wide, "ORDER_SLACK", 0.2)  # one of seven lines
    edit(folders["nus_wide_tags"] / "All_Tags.txt", lambda text: text.replace(b"t7", b"T7"))
    assert len(next(nus_wide.tags1k(folders))[1]) == len(ITEMS)


@pytest.mark.parametrize(
    ("asset", "name", "change", "message"),
    [
        (
            "groundtruth",
            "AllLabels/Labels_lake.txt",
            lambda text: text[2:],
            r"Labels_lake\.txt has 6 lines, .* 7 images",
        ),
        (
            "groundtruth",
            "AllLabels/Labels_lake.txt",
            lambda text: text.replace(b"1", b"-1130179", 1),
            r"Labels_lake\.txt, line 3: '-1130179' is neither 0 nor 1",
        ),
        (
            "image_list",
            "ImageList/Imagelist.txt",
            lambda text: text.replace(b"actor\\0002_174174086", b"actor\\0002"),
            r"Imagelist\.txt, line 2: .* is not like",
        ),
        (
            "image_list",
            "ImageList/TrainImagelist.txt",
            lambda text: text.split(b"\n", 1)[1],
            r"1 images .* are in no official part, the first is actor/0001_2124494179\.jpg",
        ),
        (
            "image_list",
            "ImageList/TestImagelist.txt",
            lambda text: text + b"actor\\0002_174174086.jpg\n",
            r"TestImagelist\.txt, line 5: actor/0002_174174086\.jpg is in the list of the other part",
        ),
        (
            "tags",
            "All_Tags.txt",
            lambda text: b"".join(text.splitlines(keepends=True)[::-1]),
            r"All_Tags\.txt, line 1: photograph 9, but the image list has 2124494179",
        ),
        ("tags", "All_Tags.txt", lambda text: text.rsplit(b"9 ", 1)[0], r"All_Tags\.txt has 6 lines"),
        ("tags", "All_Tags.txt", lambda text: text.replace(b"portrait", b"caf\xe9"), r"All_Tags\.txt, line 1 is not"),
        ("tags", "AllTags1k.txt", lambda text: text.split(b"\n", 1)[1], r"AllTags1k\.txt has 6 lines"),
    ],
)
def test_files_that_do_not_fit_together_are_named(folders, asset, name, change, message):
    edit(folders[f"nus_wide_{asset}"] / name, change)
    with pytest.raises(UserError, match=message):
        list(nus_wide.read(folders, tags="listed"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda lines: [*lines[:-1], lines[-1].rsplit(b" ", 2)[0] + b" \n"],
            r"Normalized_CH\.dat, line 7: there are not 64 numbers",
        ),
        (lambda lines: [lines[0], lines[1][:-1] + b"3 4 \n", *lines[2:]], r"Normalized_CH\.dat cannot be read"),
        (lambda lines: [line[:-1] + b"1 \n" for line in lines], r"has 65 numbers a line, 64 were expected"),
        (lambda lines: lines[:-1], r"Normalized_CH\.dat has 6 lines, but there are 7 images"),
        (lambda lines: [*lines, lines[0]], r"Normalized_CH\.dat has more lines than there are images, 7"),
        (lambda lines: [b"x" + lines[0], *lines[1:]], r"Normalized_CH\.dat cannot be read"),
    ],
)
def test_damaged_features_are_named(folders, change, message):
    path = folders["nus_wide_features"] / "Low_Level_Features" / "Normalized_CH.dat"
    edit(path, lambda text: b"".join(change(text.splitlines(keepends=True))))
    with pytest.raises(UserError, match=message):
        list(nus_wide.features(folders, ["CH", "WT"]))


def test_missing_concept_file_is_refused(folders):
    (folders["nus_wide_groundtruth"] / "AllLabels" / "Labels_zebra.txt").unlink()
    with pytest.raises(UserError, match=r"holds 80 files .* 81 concepts"):
        list(nus_wide.read(folders))


def test_two_files_of_one_name_are_refused(folders):
    (folders["nus_wide_tags"] / "copy").mkdir()
    (folders["nus_wide_tags"] / "copy" / "All_Tags.txt").write_bytes(b"")
    with pytest.raises(UserError, match=r"All_Tags\.txt lies more than once"):
        list(nus_wide.read(folders))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["sky", "flower"]}, "no concept flower; it has airport, animal"),
        ({"classes": 82}, "from 1 to 81, not 82"),
        ({"tags": "some"}, 'tags is "optional", "any" or "listed"'),
    ],
)
def test_options_that_make_no_sense_are_refused(folders, options, message):
    with pytest.raises(UserError, match=message):
        list(nus_wide.read(folders, **options))


def test_classes_of_nus_wide_10k_are_concepts():
    options = yaml.safe_load((ROOT / "config/datasets/nus_wide_10k.yaml").read_text("utf-8"))["options"]
    assert len(options["classes"]) == 10
    assert set(options["classes"]) < set(archives.NUS_CONCEPTS)


def test_unknown_feature_is_refused(folders):
    with pytest.raises(UserError, match="no features SIFT; it has CH"):
        list(nus_wide.features(folders, ["SIFT"]))
