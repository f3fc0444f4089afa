"""The Wikipedia set of 2010, in a small archive of the official layout."""

import numpy as np
import pytest
from scipy.io import savemat

from cmr.datasets import wikipedia
from cmr.errors import UserError
from tests import official_archives as archives
from tests.official_archives import lay_out, noise

TRAIN = [("0a-3", "f1", 6), ("0a-2.11", "f2", 6), ("1b-1", "f3", 9)]
TEST = [("2c-1.4", "f4", 1), ("0a-6", "f5", 6)]


@pytest.fixture
def folders(tmp_path):
    """Lists, texts and features as the archive has them, and the two files that others made."""
    extra = tmp_path / "extra"
    lay_out(tmp_path / "wikipedia", archives.wikipedia(TRAIN, TEST))
    lay_out(extra, {"raw_features_with_tfidf1000.mat": archives.wikipedia_tfidf1000(len(TRAIN), len(TEST))})
    write_roph(extra)
    return {"wikipedia": tmp_path / "wikipedia", "wikipedia_tfidf1000": extra, "wikipedia_roph": extra}


def write_text(folder, text, image, content):
    document = archives.WIKIPEDIA_DOCUMENT.format(text=content, image=image)
    (folder / "texts" / f"{text}.xml").write_bytes(document.encode())


def write_roph(extra, categories=(6, 6, 9, 1, 6), items=None):
    lay_out(extra, {"roph_wiki.mat": archives.wikipedia_roph(categories, items)})


def test_items_have_text_image_category_and_official_part(folders):
    pairs = list(wikipedia.read(folders))
    assert [(pair.id, pair.text, pair.labels, pair.part) for pair in pairs] == [
        ("0a-3", "About 0a-3.", ("media",), "train"),
        ("0a-2.11", "About 0a-2.11.", ("media",), "train"),
        ("1b-1", "About 1b-1.", ("sport",), "train"),
        ("2c-1.4", "About 2c-1.4.", ("art",), "test"),
        ("0a-6", "About 0a-6.", ("media",), "test"),
    ]
    assert pairs[2].image == folders["wikipedia"] / "images/sport/f3.jpg"
    assert {pair.group for pair in pairs} == {None}


def test_sections_of_an_article_form_a_group_when_asked_for(folders):
    groups = [pair.group for pair in wikipedia.read(folders, articles_together=True)]
    assert groups == ["0a", "0a", "1b", "2c", "0a"]


def test_copy_without_texts_and_images_is_read(folders):
    for text in (folders["wikipedia"] / "texts").iterdir():
        text.unlink()
    (folders["wikipedia"] / "texts").rmdir()
    assert [pair.text for pair in wikipedia.read(folders)] == [None] * 5


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Dvořák &amp; sons &lt;1880&gt;", "Dvořák & sons <1880>"),
        ("R & B, AT&T; 3 < 4", "R & B, AT&T; 3 < 4"),  # not well-formed
        ("1914&amp;eacute; &eacute;t&#233;", "1914é été"),  # entities of the mark-up, and one that XML has not
        ("two\nlines\n", "two\nlines"),
    ],
)
def test_article_is_the_element_text_with_entities_decoded(folders, content, text):
    write_text(folders["wikipedia"], "0a-3", "f1", content)
    assert next(wikipedia.read(folders)).text == text


def test_entities_are_not_expanded_from_a_document_type(folders):
    """No entity that a file declares is used, so that neither files are read nor memory is filled by one."""
    path = folders["wikipedia"] / "texts/0a-3.xml"
    path.write_text('<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/hostname">]><document><text>a &e; b</text></document>')
    assert next(wikipedia.read(folders)).text == "a &e; b"


def test_file_without_a_text_is_named(folders):
    (folders["wikipedia"] / "texts/0a-2.11.xml").write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"0a-2\.11\.xml: no element <text>"):
        list(wikipedia.read(folders))


@pytest.mark.parametrize(("array", "width"), [("I", 128), ("T", 10), ("T_tfidf", 1000)])
def test_features_follow_the_lists(folders, array, width):
    (train, train_rows), (test, test_rows) = wikipedia.features(folders, array)
    assert train == [text for text, _, _ in TRAIN]
    assert test == [text for text, _, _ in TEST]
    assert np.allclose(train_rows, noise(3, width))
    assert np.allclose(test_rows, noise(2, width))
    assert train_rows.dtype == np.float32


def test_features_of_another_number_of_items_are_refused(folders):
    arrays = {"I_tr": noise(3, 128), "I_te": noise(3, 128)}
    savemat(folders["wikipedia"] / "raw_features.mat", arrays)
    with pytest.raises(UserError, match=r"I_te in .* has shape \(3, 128\), but testset_txt_img_cat\.list has 2 lines"):
        list(wikipedia.features(folders, "I"))


def test_later_file_with_other_rows_is_refused(folders):
    path = folders["wikipedia_tfidf1000"] / "raw_features_with_tfidf1000.mat"
    arrays = {"I_tr": noise(3, 128), "I_te": noise(2, 128), "T_tr": noise(3, 10)[::-1], "T_te": noise(2, 10)}
    savemat(path, arrays | {"T_tfidf_tr": noise(3, 1000), "T_tfidf_te": noise(2, 1000)})
    with pytest.raises(UserError, match=r"T_tr in .*tfidf1000\.mat differs from T_tr in"):
        list(wikipedia.features(folders, "T_tfidf"))


@pytest.mark.parametrize(("array", "width"), [("X1", 128), ("X2", 100)])
def test_roph_columns_follow_the_lists(folders, array, width):
    ((ids, rows),) = wikipedia.roph_features(folders, array)
    assert ids == [text for text, _, _ in TRAIN + TEST]
    assert np.allclose(rows, noise(width, 5).T)


def test_roph_file_of_other_items_is_refused(folders):
    write_roph(folders["wikipedia_roph"], categories=[6, 6, 1, 9, 6])
    with pytest.raises(UserError, match=r"categories Y in .* differ from those of the lists, first for 1b-1"):
        list(wikipedia.roph_features(folders, "X1"))
    write_roph(folders["wikipedia_roph"], items=6)
    with pytest.raises(UserError, match=r"X1 in .* has shape \(128, 6\), but the lists have 5 lines"):
        list(wikipedia.roph_features(folders, "X1"))
