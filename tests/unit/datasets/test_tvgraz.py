"""TVGraz: lists of one's own around the XML texts."""

import pytest

from cmr.datasets import tvgraz
from cmr.errors import UserError
from tests.official_archives import lay_out
from tests.official_archives import tvgraz as tvgraz_files

TEXTS = {
    "butterfly_001": "A butterfly with ten words and one more is &lt;here&gt; &amp; now.",  # 12 words
    "butterfly_002": "exactly ten words stand in this text and no more",
    "harp_001": "one two three four five six seven eight nine ten eleven",
}


@pytest.fixture
def folders(tmp_path):
    return {"tvgraz": lay_out(tmp_path, tvgraz_files(TEXTS))}


def test_text_is_the_content_of_the_element(folders):
    first, *_ = tvgraz.read(folders)
    assert first.text == "A butterfly with ten words and one more is <here> & now."
    assert first.image == folders["tvgraz"] / "images" / "butterfly_001.jpg"
    assert (first.id, first.labels) == ("butterfly_001", ("butterfly",))


def test_only_texts_of_enough_words_are_kept(folders):
    assert [pair.id for pair in tvgraz.read(folders, min_words=11)] == ["butterfly_001", "harp_001"]


def test_plain_texts_can_be_read_too(folders):
    for name, text in TEXTS.items():
        (folders["tvgraz"] / "texts" / f"{name}.txt").write_text(text, "utf-8")
    pairs = list(tvgraz.read(folders, min_words=11, text_suffix=".txt", encoding="utf-8"))
    assert [pair.text for pair in pairs] == [TEXTS["butterfly_001"], TEXTS["harp_001"]]


def test_missing_text_is_left_to_the_caller(folders):
    (folders["tvgraz"] / "texts" / "harp_001.xml").unlink()
    assert [(pair.id, pair.text) for pair in tvgraz.read(folders, min_words=11)][1:] == [("harp_001", None)]


def test_text_without_the_element_is_named(folders):
    (folders["tvgraz"] / "texts" / "harp_001.xml").write_bytes("<DOC></DOC>".encode("utf-16"))
    with pytest.raises(UserError, match=r"harp_001\.xml: no element <TEXT>"):
        list(tvgraz.read(folders))
