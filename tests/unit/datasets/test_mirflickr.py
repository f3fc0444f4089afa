"""MIRFlickr-25000 in the layout of its archives, and its variant of 20 015 images."""

import numpy as np
import pytest
import scipy.io

from cmr.datasets import mirflickr
from cmr.errors import UserError
from tests import official_archives as archives
from tests.official_archives import lay_out

ANNOTATIONS = {
    "sky": "1\n25000\n",
    "clouds": "1\r\n25000\r\n",
    "clouds_r1": "1\n",
    "people": "3\n",
}


@pytest.fixture
def folders(tmp_path):
    tags_of = {1: ["cielo", "nuvens", "são"], 2: [], 25000: ["sky"]}
    return {
        "mirflickr25k": lay_out(tmp_path / "images", archives.mirflickr25k(tags_of)),
        "mirflickr25k_annotations": lay_out(tmp_path / "annotations", archives.mirflickr25k_annotations(ANNOTATIONS)),
    }


def test_all_images_have_their_tags_and_the_labels_that_name_them(folders):
    pairs = {pair.id: pair for pair in mirflickr.read(folders)}
    assert len(pairs) == 25_000
    assert pairs["im1"].text == "cielo nuvens são"
    assert pairs["im1"].labels == ("clouds", "clouds_r1", "sky")
    assert pairs["im1"].image == folders["mirflickr25k"] / "im1.jpg"
    assert (pairs["im2"].text, pairs["im2"].labels) == ("", ())
    assert (pairs["im3"].text, pairs["im3"].labels) == (None, ("people",))
    assert (pairs["im25000"].text, pairs["im25000"].labels) == ("sky", ("clouds", "sky"))


def test_labels_can_be_the_potential_or_the_relevant_ones(folders):
    def first(classes):
        return next(iter(mirflickr.read(folders, classes))).labels

    assert first("potential") == ("clouds", "sky")
    assert first("relevant") == ("clouds_r1",)
    with pytest.raises(UserError, match="classes is all, potential or relevant, not r1"):
        first("r1")


@pytest.mark.parametrize("line", ["25001", "0", "-1", "im7.jpg", "1 2"])
def test_annotation_that_is_no_number_of_an_image_is_named(folders, line):
    (folders["mirflickr25k_annotations"] / "tree.txt").write_text(f"7\n{line}\n")
    with pytest.raises(UserError, match=rf"tree\.txt, line 2: '{line}' is no number of an image"):
        list(mirflickr.read(folders))


def test_missing_annotations_and_tags_that_are_not_utf8_are_named(folders):
    (folders["mirflickr25k"] / "meta" / "tags" / "tags9.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match=r"tags9\.txt are not UTF-8"):
        list(mirflickr.read(folders))
    (folders["mirflickr25k_annotations"] / "sea_r1.txt").unlink()
    with pytest.raises(UserError, match=r"sea_r1\.txt cannot be read"):
        list(mirflickr.read(folders))


LABELS = np.zeros((3, 24), dtype=np.uint8)
LABELS[[0, 1, 1, 2], [0, 4, 18, 23]] = 1
TAGS = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 1]], dtype=np.uint8)


@pytest.fixture
def hashing(tmp_path):
    arrays = archives.mirflickr25k_hashing(LABELS, TAGS, np.arange(6.0).reshape(3, 2))
    return {"mirflickr25k_hashing": lay_out(tmp_path / "hashing", arrays), "mirflickr25k": tmp_path / "official"}


def add_official_names(folders, tags="explore 5\nsky 4\nrío 2\n"):
    names = np.empty((3, 1), object)
    names[:, 0] = ["im1.jpg", "im4.jpg", "im10.jpg"]
    scipy.io.savemat(folders["mirflickr25k_hashing"] / "mirflickr25k-fall.mat", {"FAll": names})
    (folders["mirflickr25k"] / "doc").mkdir(parents=True)
    (folders["mirflickr25k"] / "doc" / "common_tags.txt").write_text(tags, "utf-8")


def test_arrays_alone_give_labels_and_groups_of_equal_tags(hashing):
    pairs = list(mirflickr.read_20015(hashing))
    assert [pair.id for pair in pairs] == ["row00001", "row00002", "row00003"]
    assert [pair.labels for pair in pairs] == [("animals",), ("clouds", "sky"), ("water",)]
    assert {(pair.image, pair.text) for pair in pairs} == {(None, None)}
    assert pairs[0].group == pairs[2].group != pairs[1].group


def test_names_of_files_and_tags_are_used_where_they_are(hashing):
    without = list(mirflickr.read_20015(hashing))
    add_official_names(hashing)
    pairs = list(mirflickr.read_20015(hashing, tags_as_text=True))
    assert [pair.text for pair in pairs] == ["explore río", "explore sky", "explore río"]
    assert pairs[1].image == hashing["mirflickr25k"] / "im4.jpg"
    assert [(pair.id, pair.labels, pair.group) for pair in pairs] == [
        (pair.id, pair.labels, pair.group) for pair in without
    ]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("explore 5\nrío 2\nsky 1\n", "line 3: sky is a tag of 1 images, column 3 of YAll of 2"),
        ("explore 5\nsky 4\n", "has 2 tags, but YAll has 3 columns"),
        ("explore 5\nnew york 4\nsky 4\n", "line 2: expected is a tag and a number, not 'new york 4'"),
    ],
)
def test_tags_that_do_not_name_the_columns_are_refused(hashing, tags, message):
    add_official_names(hashing, tags)
    with pytest.raises(UserError, match=rf"common_tags\.txt.*{message}"):
        list(mirflickr.read_20015(hashing, tags_as_text=True))


def test_tags_as_text_need_the_official_archive(hashing):
    with pytest.raises(UserError, match="tags_as_text needs the asset mirflickr25k"):
        list(mirflickr.read_20015(hashing, tags_as_text=True))


def test_arrays_that_do_not_fit_each_other_are_refused(hashing):
    folder = hashing["mirflickr25k_hashing"]
    scipy.io.savemat(folder / "mirflickr25k-iall-vgg.mat", {"XAll": np.ones((2, 2))})
    with pytest.raises(UserError, match=r"iall-vgg\.mat has shape \(2, 2\), but .*lall\.mat has 3 rows"):
        list(mirflickr.vgg_20015(hashing))
    scipy.io.savemat(folder / "mirflickr25k-yall.mat", {"YAll": TAGS[:2]})
    with pytest.raises(UserError, match=r"lall\.mat has 3 rows, but .*yall\.mat has 2"):
        list(mirflickr.read_20015(hashing))
    scipy.io.savemat(folder / "mirflickr25k-yall.mat", {"YAll": TAGS * 2})
    with pytest.raises(UserError, match=r"YAll in .* holds 2 in row 1, where 0 or 1 is expected"):
        list(mirflickr.tags_20015(hashing))
    scipy.io.savemat(folder / "mirflickr25k-lall.mat", {"LAll": LABELS[:, :23]})
    with pytest.raises(UserError, match=r"LAll in .* has shape \(3, 23\), expected are 24 columns"):
        list(mirflickr.read_20015(hashing))


def test_names_of_files_that_lead_elsewhere_are_refused(hashing):
    add_official_names(hashing)
    names = np.array([["im1.jpg"], ["../a.jpg"], ["im3.jpg"]], dtype=object)
    scipy.io.savemat(hashing["mirflickr25k_hashing"] / "mirflickr25k-fall.mat", {"FAll": names})
    with pytest.raises(UserError, match=r"FAll in .* holds '\.\./a\.jpg', which is no name of an image"):
        list(mirflickr.read_20015(hashing))


def test_views_have_the_ids_of_the_pairs(hashing):
    ids = [pair.id for pair in mirflickr.read_20015(hashing)]
    ((tag_ids, tags),) = mirflickr.tags_20015(hashing)
    ((image_ids, images),) = mirflickr.vgg_20015(hashing)
    assert tag_ids == image_ids == ids
    assert tags.tolist() == TAGS.tolist() and tags.dtype == np.float32
    assert images.tolist() == [[0, 1], [2, 3], [4, 5]]
