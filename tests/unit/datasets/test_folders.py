"""Lists of names beside folders of texts and images."""

import pytest

from cmr.datasets.folders import read
from cmr.errors import UserError

COLUMNS = ["text", "image", "label"]


def write(folder, **files):
    """Write files below `folder`; `__` in a name stands for a slash, `_list` for the suffix .list."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {"mine": folder}


def test_ten_lines_of_configuration_read_ones_own_data(tmp_path):
    folders = write(
        tmp_path,
        train_list="t1\ti1\t2\nt2\ti2\t1\n",
        test_list="t3\ti3\t2\n",
        classes_txt="cat\ndog\n",
        texts__t1_txt="A dog.\n",
        texts__t2_txt="A cat.",
        texts__t3_txt="Dogs.",
    )
    pairs = list(read(folders, {"train": "train.list", "test": "test.list"}, COLUMNS, classes="classes.txt"))
    assert [(pair.id, pair.text, pair.labels, pair.part, pair.group) for pair in pairs] == [
        ("t1", "A dog.", ("dog",), "train", None),
        ("t2", "A cat.", ("cat",), "train", None),
        ("t3", "Dogs.", ("dog",), "test", None),
    ]
    assert [pair.image for pair in pairs] == [tmp_path / f"images/i{k}.jpg" for k in (1, 2, 3)]


def test_columns_stand_in_any_order_and_are_separated_by_tabs_or_blanks(tmp_path):
    folders = write(tmp_path, pairs_txt="\ufeffcat  i1   t1 \r\n\r\ncat\tmy image\tmy text\r\n")
    pairs = list(read(folders, "pairs.txt", ["label", "image", "text"]))
    assert [(pair.id, pair.image.name, pair.labels, pair.part) for pair in pairs] == [
        ("t1", "i1.jpg", ("cat",), None),
        ("my text", "my image.jpg", ("cat",), None),
    ]


def test_one_column_names_both_image_and_text_and_may_hold_blanks(tmp_path):
    folders = write(tmp_path, pairs_txt="my holiday.2\n", texts__my_txt="x")
    (tmp_path / "texts/my holiday.2.txt").write_text("By the sea")
    (pair,) = read(folders, "pairs.txt", ["image"], image_suffix=".png")
    assert (pair.id, pair.image, pair.text, pair.labels) == (
        "my holiday.2",
        tmp_path / "images/my holiday.2.png",
        "By the sea",
        (),
    )


def test_images_may_lie_in_a_folder_a_class(tmp_path):
    folders = write(tmp_path, pairs_txt="t1 i1 1\n", names_txt="sea horse\n")
    (pair,) = read(folders, "pairs.txt", COLUMNS, images="jpg", classes="names.txt", image_folder_a_class=True)
    assert pair.image == tmp_path / "jpg/sea horse/i1.jpg"


def test_without_a_folder_no_item_has_a_text_and_without_a_file_that_item_alone(tmp_path):
    folders = write(tmp_path, pairs_txt="t1 i1\nt2 i2\n")
    assert [pair.text for pair in read(folders, "pairs.txt", ["text", "image"])] == [None, None]
    write(tmp_path, texts__t2_txt="here")
    assert [pair.text for pair in read(folders, "pairs.txt", ["text", "image"])] == [None, "here"]


def test_folders_that_are_null_are_not_looked_at(tmp_path):
    folders = write(tmp_path, pairs_txt="t1\n", texts__t1_txt="here")
    (pair,) = read(folders, "pairs.txt", ["text"], images=None, texts=None)
    assert (pair.image, pair.text) == (None, None)


def test_byte_order_mark_and_encoding_of_texts(tmp_path):
    folders = write(tmp_path, pairs_txt="t1\n", texts__t1_txt="\ufeffcafé\n".encode())
    assert next(read(folders, "pairs.txt", ["text"])).text == "café"
    write(tmp_path, texts__t1_txt="café".encode("latin-1"))
    assert next(read(folders, "pairs.txt", ["text"], encoding="latin-1")).text == "café"
    write(tmp_path, texts__t1_txt="A\nfine café!".encode("latin-1"))
    with pytest.raises(UserError, match=r"texts/t1\.txt, line 2, is not utf-8"):
        next(read(folders, "pairs.txt", ["text"]))
    with pytest.raises(UserError, match='encoding "utf-nine" is unknown'):
        next(read(folders, "pairs.txt", ["text"], encoding="utf-nine"))


def test_shared_images_and_texts_keep_ids_unique_and_form_groups(tmp_path):
    """Two captions of image a; text u of images b and c; text v of c too, so that b and v hang together over c."""
    folders = write(tmp_path, pairs_txt="s a\nt a\nu b\nu c\nv c\nw d\n")
    pairs = list(read(folders, "pairs.txt", ["text", "image"]))
    assert [pair.id for pair in pairs] == ["s", "t", "u+b", "u+c", "v", "w"]
    groups = [pair.group for pair in pairs]
    assert groups[0] == groups[1]
    assert groups[2] == groups[3] == groups[4] != groups[0]
    assert groups[5] is None
    assert None not in groups[:5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("t2 i2", r"train\.list, line 3: 3 columns \(text, image, label\) were expected, but the line has 2: 't2 i2'"),
        ("my text i2 1", r"line 3: .* but the line has 4.* tabs where a name holds blanks"),
        ("t2\t\t1", r"line 3: .* but the line has 2"),
        ("t2 i2 0", r"train\.list, line 3: label 0 is no number from 1 to 2"),
        ("t2 i2 3", r"line 3: label 3 is no number from 1 to 2"),
        ("t2 i2 dog", r"line 3: label dog is no number from 1 to 2"),
        ("t1 i1 2", r"line 3: the pair of text t1 and image i1 stands already in .*train\.list, line 1"),
    ],
)
def test_wrong_line_is_named(tmp_path, line, message):
    folders = write(tmp_path, train_list=f"t1 i1 1\n\n{line}\n", classes_txt="cat\ndog\n")
    with pytest.raises(UserError, match=message):
        list(read(folders, {"train": "train.list"}, COLUMNS, classes="classes.txt"))


def test_pair_in_two_lists_is_refused(tmp_path):
    folders = write(tmp_path, train_list="t1 i1\n", test_list="t2 i2\nt1 i1\n")
    with pytest.raises(UserError, match=r"test\.list, line 2: .* already in .*train\.list, line 1"):
        list(read(folders, {"train": "train.list", "test": "test.list"}, ["text", "image"]))


@pytest.mark.parametrize(("content", "message"), [("a\n\nb\n", "line 2: no class"), ("a\nb\na\n", "line 3: class a")])
def test_wrong_line_of_the_classes_is_named(tmp_path, content, message):
    folders = write(tmp_path, pairs_txt="t i 1\n", classes_txt=content)
    with pytest.raises(UserError, match=rf"classes\.txt, {message}"):
        list(read(folders, "pairs.txt", COLUMNS, classes="classes.txt"))


@pytest.mark.parametrize("columns", [["label"], ["text", "text"], ["text", "picture"]])
def test_columns_without_sense_are_refused(tmp_path, columns):
    with pytest.raises(UserError, match=f"the data set has {', '.join(columns)}"):
        list(read(write(tmp_path, pairs_txt="t i\n"), "pairs.txt", columns))


def test_configurations_that_cannot_be_are_refused(tmp_path):
    folders = write(tmp_path, pairs_txt="t i\n")
    with pytest.raises(UserError, match="parts train, valid, test, not for dev"):
        list(read(folders, {"dev": "pairs.txt"}, ["text", "image"]))
    with pytest.raises(UserError, match="needs a column label"):
        list(read(folders, "pairs.txt", ["text", "image"], image_folder_a_class=True))
    with pytest.raises(UserError, match="lie in one asset, but the data set reads mine, other"):
        list(read({**folders, "other": tmp_path}, "pairs.txt", ["text", "image"]))
    with pytest.raises(UserError, match=r"no pair stands in .*empty\.list"):
        list(read(write(tmp_path, empty_list="\n"), "empty.list", ["text", "image"]))
    with pytest.raises(UserError, match=r"absent\.list cannot be read: No such file"):
        list(read(folders, "absent.list", ["text", "image"]))
