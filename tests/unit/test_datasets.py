"""Reading data sets, refusing bad items, and splits without leaks."""

import io
import tarfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cmr.datasets import table, tuxpaint_stamps
from cmr.datasets.images import load_rgb
from cmr.datasets.pairs import Pair, classes_of, label_matrix, pair_table, separate_bad_items
from cmr.datasets.splits import random_split
from cmr.errors import UserError
from tests.shapes import write_shapes


def read_shapes(tmp_path, **options):
    """The made data set, unpacked below tmp_path/raw and read."""
    write_shapes(tmp_path / "shapes.tar", **options)
    folder = tmp_path / "raw" / "shapes"
    with tarfile.open(tmp_path / "shapes.tar") as tar:
        tar.extractall(folder, filter="data")
    return pair_table(table.read({"shapes": folder}), tmp_path / "raw")


def test_image_paths_are_relative_to_the_raw_folder(tmp_path):
    pairs = read_shapes(tmp_path, classes=2, pairs=3)
    assert pairs["image"][0] == "shapes/images/circle-000.png"
    assert (tmp_path / "raw" / pairs["image"][0]).exists()


def test_all_bad_items_are_listed_at_once(tmp_path):
    pairs = read_shapes(tmp_path, faults=True)
    with pytest.raises(UserError) as error:
        separate_bad_items(pairs, tmp_path / "raw", "stop")
    message = str(error.value)
    assert "2 of 62 items" in message
    assert "empty-caption: the text is empty" in message
    assert "empty-image" in message and "the file is empty" in message
    assert "on_bad_item: drop" in message


def test_bad_items_are_dropped_and_recorded_when_asked_for(tmp_path):
    pairs = read_shapes(tmp_path, faults=True)
    good, bad = separate_bad_items(pairs, tmp_path / "raw", "drop")
    assert len(good) == 60
    assert sorted(bad["id"]) == ["empty-caption", "empty-image"]
    assert not set(good["id"]) & set(bad["id"])


def test_truncated_image_is_a_bad_item(tmp_path):
    pairs = read_shapes(tmp_path, classes=2, pairs=2)
    image = tmp_path / "raw" / pairs["image"][1]
    image.write_bytes(image.read_bytes()[:60])
    _, bad = separate_bad_items(pairs, tmp_path / "raw", "drop")
    assert list(bad["id"]) == [pairs["id"][1]]


def test_duplicate_ids_and_missing_labels_are_refused_by_name(tmp_path):
    pair = Pair("twice", tmp_path / "a.png", "text", ("x",))
    with pytest.raises(UserError, match="more than once: twice"):
        pair_table([pair, pair], tmp_path)
    with pytest.raises(UserError, match="no label: bare"):
        pair_table([Pair("bare", tmp_path / "a.png", "text", ())], tmp_path)


def test_image_outside_the_raw_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"1 items lie outside .*: far"):
        pair_table([Pair("far", tmp_path / "elsewhere/a.png", "text", ("x",))], tmp_path / "raw")


def test_data_set_of_bad_items_alone_is_refused(tmp_path):
    pairs = read_shapes(tmp_path, classes=1, pairs=2).assign(text=" ")
    with pytest.raises(UserError, match="none of the 2 items can be used; the first: circle-000: the text is empty"):
        separate_bad_items(pairs, tmp_path / "raw", "drop")


def test_changed_picture_changes_the_table(tmp_path):
    pairs = read_shapes(tmp_path, classes=1, pairs=3)
    before, _ = separate_bad_items(pairs, tmp_path / "raw", "stop")
    Image.new("RGB", (5, 5)).save(tmp_path / "raw" / pairs["image"][1])
    after, _ = separate_bad_items(pairs, tmp_path / "raw", "stop")
    assert (before["image_sha256"] != after["image_sha256"]).tolist() == [False, True, False]


def test_csv_without_a_column_is_refused(tmp_path):
    (tmp_path / "pairs.csv").write_text("id,image,text\na,b,c\n")
    with pytest.raises(UserError, match="lacks the columns labels"):
        list(table.read({"mine": tmp_path}))


def test_stamps_are_pairs_of_first_caption_line_and_png_in_large_classes(tmp_path):
    stamps = tmp_path / "raw" / "tuxpaint_stamps" / "stamps"
    for name, caption in {
        "animals/a": "A cat.\nde.utf8=Katze",
        "animals/birds/b": "A bird.\n",
        "food/c": "Bread.",
    }.items():
        (stamps / name).parent.mkdir(parents=True, exist_ok=True)
        (stamps / f"{name}.txt").write_text(caption, "utf-8")
        Image.new("RGB", (2, 2)).save(stamps / f"{name}.png")
    (stamps / "animals/drawing.txt").write_text("No PNG beside it.")
    pairs = list(tuxpaint_stamps.read({"tuxpaint_stamps": stamps.parent}, min_pairs=2))
    assert [(pair.id, pair.text, pair.labels) for pair in pairs] == [
        ("animals/a", "A cat.", ("animals",)),
        ("animals/birds/b", "A bird.", ("animals",)),
    ]


def test_caption_that_is_not_utf8_is_named(tmp_path):
    stamps = tmp_path / "raw" / "tuxpaint_stamps" / "stamps" / "animals"
    stamps.mkdir(parents=True)
    (stamps / "a.txt").write_bytes(b"caf\xe9")
    Image.new("RGB", (2, 2)).save(stamps / "a.png")
    with pytest.raises(UserError, match=r"a\.txt is not UTF-8"):
        list(tuxpaint_stamps.read({"tuxpaint_stamps": stamps.parents[1]}, min_pairs=1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(tmp_path, mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 255))
    image.convert(mode).save(tmp_path / "i.png")
    rgb = load_rgb(tmp_path / "i.png")
    assert rgb.mode == "RGB"
    assert rgb.getpixel((0, 0)) == (255, 255, 255)
    assert rgb.getpixel((1, 0)) != (255, 255, 255)


def test_palette_with_a_transparent_colour_becomes_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30] + [0] * 762)
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "i.png", transparency=0)
    assert [load_rgb(tmp_path / "i.png").getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (10, 20, 30)]


def test_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "i.jpg").write_bytes(io.BytesIO(b"no image").getvalue())
    with pytest.raises(UserError, match=r"i\.jpg cannot be read"):
        load_rgb(tmp_path / "i.jpg")


@pytest.fixture(scope="module")
def many_pairs():
    rng = np.random.default_rng(1)
    label = rng.choice(["a", "b", "c"], size=600, p=[0.6, 0.3, 0.1])
    text = [f"{name} caption {rng.integers(150)}" for name in label]  # many captions occur several times
    return pd.DataFrame({"id": [f"i{k:03d}" for k in range(600)], "text": text, "labels": [[name] for name in label]})


@pytest.mark.parametrize("seed", range(5))
def test_equal_captions_never_stand_on_both_sides(many_pairs, seed):
    split = random_split(many_pairs, {"train": 6, "valid": 1, "test": 3}, seed)
    sides = many_pairs.merge(split, on="id").groupby("text")["part"].nunique()
    assert many_pairs["text"].duplicated().sum() > 100  # the case does occur
    assert sides.max() == 1


def test_captions_that_differ_in_case_and_blanks_count_as_equal():
    text = ["A  Cat", "a cat"] * 20 + [f"dog {k}" for k in range(20)]
    pairs = pd.DataFrame({"id": [str(k) for k in range(60)], "text": text, "labels": [["x"]] * 60})
    split = random_split(pairs, {"train": 6, "valid": 1, "test": 3}, 0)
    assert split["part"][:40].nunique() == 1


def test_parts_have_their_shares_in_every_class(many_pairs):
    split = random_split(many_pairs, {"train": 6, "valid": 1, "test": 3}, 0)
    merged = many_pairs.merge(split, on="id").assign(label=lambda t: t["labels"].str[0])
    shares = pd.crosstab(merged["label"], merged["part"], normalize="index")
    # A fold is a tenth; grouping by captions moves whole groups, hence the slack of half a fold.
    expected = {"train": 0.6, "valid": 0.1, "test": 0.3}
    for part, share in expected.items():
        assert shares[part].to_numpy() == pytest.approx(share, abs=0.05)


def test_seeds_give_different_splits_and_the_same_seed_the_same(many_pairs):
    first, again, other = (random_split(many_pairs, {"train": 6, "valid": 1, "test": 3}, seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert (first["part"] != other["part"]).any()


def test_class_smaller_than_the_folds_is_named(many_pairs):
    few = many_pairs.groupby(many_pairs["labels"].str[0]).head(12)
    few = few.drop(few[few["labels"].str[0] == "c"].index[5:])
    with pytest.raises(UserError, match=r"these are smaller: c \(5\)"):
        random_split(few, {"train": 6, "valid": 1, "test": 3}, 0)


def test_label_matrix_is_multi_hot_in_the_order_of_ids(tmp_path):
    pairs = read_shapes(tmp_path, multi_label=True)
    pairs.attrs["classes"] = classes_of(pairs)
    ids = list(pairs["id"][[7, 2]])
    matrix = label_matrix(pairs, ids)
    for row, item in enumerate(ids):
        names = {name for name, on in zip(pairs.attrs["classes"], matrix[row], strict=True) if on}
        assert names == set(pairs.set_index("id")["labels"][item])
    assert matrix.sum(axis=1).tolist() == [2, 2]
