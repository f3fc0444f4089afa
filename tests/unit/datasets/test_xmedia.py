"""XMedia's features in a file with the variables of the real one."""

import numpy as np
import pytest
import scipy.io

from cmr.datasets import xmedia
from cmr.errors import UserError


@pytest.fixture
def variables():
    """Four train and two test items of an image and a text; classes are not in one order in both."""
    return {
        "I_tr_CNN": np.array([[10, 0], [20, 0], [11, 0], [21, 0]], dtype=np.float32),
        "I_te_CNN": np.array([[12, 0], [22, 0]], dtype=np.float32),
        "T_tr_BOW": np.array([[0, 0, 20], [0, 0, 10], [0, 0, 11], [0, 0, 21]], dtype=float),
        "T_te_BOW": np.array([[0, 0, 12], [0, 0, 22]], dtype=float),
        "trImgCat": np.array([[1], [20], [1], [20]], dtype=np.uint8),
        "teImgCat": np.array([[1], [20]], dtype=np.uint8),
        "trTxtCat": np.array([[20], [1], [1], [20]], dtype=np.uint8),
        "teTxtCat": np.array([[1], [20]], dtype=np.uint8),
        "A_tr": np.zeros((5, 29)),  # audio, of which nothing is read
    }


@pytest.fixture
def folders(tmp_path, variables):
    scipy.io.savemat(tmp_path / "XMediaFeatures.mat", variables)
    return {"xmedia_features": tmp_path}


def test_pairs_are_of_one_class_and_in_the_official_parts(folders):
    pairs = [(pair.id, pair.labels, pair.part, pair.image, pair.text) for pair in xmedia.read(folders)]
    assert pairs == [
        ("train-01-001", ("class01",), "train", None, None),
        ("train-01-002", ("class01",), "train", None, None),
        ("train-20-001", ("class20",), "train", None, None),
        ("train-20-002", ("class20",), "train", None, None),
        ("test-01-001", ("class01",), "test", None, None),
        ("test-20-001", ("class20",), "test", None, None),
    ]


def test_image_and_text_of_a_pair_keep_their_order_in_the_class(folders):
    """The made features say class (tens) and place (ones)."""
    images, texts = (
        {
            item: row.max()
            for ids, rows in xmedia.features(folders, modality)
            for item, row in zip(ids, rows, strict=True)
        }
        for modality in ("image", "text")
    )
    assert list(images) == [pair.id for pair in xmedia.read(folders)]
    assert images == texts
    assert list(images.values()) == [10, 11, 20, 21, 12, 22]


def test_texts_of_other_classes_than_the_images_are_refused(folders, variables):
    variables["teTxtCat"][0] = 20
    scipy.io.savemat(folders["xmedia_features"] / "XMediaFeatures.mat", variables)
    with pytest.raises(UserError, match="teImgCat and teTxtCat have different numbers of items of a class"):
        list(xmedia.read(folders))


def test_features_of_another_number_than_their_classes_are_refused(folders, variables):
    variables["I_te_CNN"] = np.ones((3, 2))
    scipy.io.savemat(folders["xmedia_features"] / "XMediaFeatures.mat", variables)
    with pytest.raises(UserError, match=r"I_te_CNN has shape \(3, 2\), but teImgCat has 2 items"):
        list(xmedia.features(folders, "image"))


def test_category_that_is_no_number_from_1_is_refused(folders, variables):
    variables["trTxtCat"][0] = 0
    scipy.io.savemat(folders["xmedia_features"] / "XMediaFeatures.mat", variables)
    with pytest.raises(UserError, match="trTxtCat holds 0, where numbers of classes from 1 are expected"):
        list(xmedia.read(folders))
