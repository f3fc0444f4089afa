"""Pascal Sentences from the official page and from the JSON file of copies."""

import json

import pytest

from cmr.datasets import pascal_sentence
from cmr.errors import UserError
from tests.official_archives import pascal_sentence_json

ENTRIES = {
    "2008_000716.jpg": ("aeroplane", ["One jet lands while another takes off.", "two planes on a grassy plain"]),
    "2008_008708.jpg": ("bicycle", ["A man in a blue helmet & a white jersey.", "A rider.", "A man cycles."]),
}
# The second row leaves out end tags that HTML lets one leave out, and has an entity.
PAGE = """<html>
<head><title>Pascal sentences</title></head>
<body>
<h1><img src="logo.gif"> Data</h1>
<table border="1">
<tr>
<td><img src="aeroplane/2008_000716.jpg"></td>
<td><table>
<tr><td> One jet lands while
 another takes off.</td></tr>
<tr><td> two planes on a grassy plain </td></tr>
</table></td>
</tr>
<tr>
<td><img src="bicycle/2008_008708.jpg">
<td><table>
<tr><td>A man in a blue helmet &amp; a white jersey.
<tr><td>A rider.
<tr><td><i>A man</i> cycles.</td></tr>
</table></td>
</tr>
</table>
<p>Contact</p>
</body>
</html>
"""


def write_json(folder, entries=None):
    folder.mkdir(exist_ok=True)
    content = pascal_sentence_json(ENTRIES) if entries is None else json.dumps(entries).encode()
    (folder / "pascal_sentences.json").write_bytes(content)
    return {"pascal_sentence": folder}


def write_page(folder, content=PAGE, name="index.html"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    return {"pascal_sentence": folder}


@pytest.mark.parametrize("write", [write_page, write_json])
def test_item_is_an_image_with_all_its_captions(tmp_path, write):
    pairs = list(pascal_sentence.read(write(tmp_path)))
    assert [(pair.id, pair.text, pair.labels, pair.part, pair.group) for pair in pairs] == [
        (
            "2008_000716",
            "One jet lands while another takes off.\ntwo planes on a grassy plain",
            ("aeroplane",),
            None,
            None,
        ),
        ("2008_008708", "A man in a blue helmet & a white jersey.\nA rider.\nA man cycles.", ("bicycle",), None, None),
    ]
    assert pairs[0].image == tmp_path / "aeroplane/2008_000716.jpg"


@pytest.mark.parametrize("captions", ["joined", "separate"])
def test_page_and_json_give_the_same_pairs(tmp_path, captions):
    page = list(pascal_sentence.read(write_page(tmp_path), captions))
    (tmp_path / "index.html").unlink()
    assert page == list(pascal_sentence.read(write_json(tmp_path), captions))


def test_captions_may_be_items_of_their_own(tmp_path):
    pairs = list(pascal_sentence.read(write_json(tmp_path), "separate"))
    assert [(pair.id, pair.text, pair.group) for pair in pairs][1:3] == [
        ("2008_000716#1", "two planes on a grassy plain", "2008_000716"),
        ("2008_008708#0", "A man in a blue helmet & a white jersey.", "2008_008708"),
    ]
    assert len(pairs) == 5
    assert pairs[3].image == pairs[4].image


@pytest.mark.parametrize(
    ("folder", "image"),
    [("images", "images/2008_000716.jpg"), ("dataset", "dataset/aeroplane/2008_000716.jpg")],
)
def test_images_are_found_where_copies_keep_them(tmp_path, folder, image):
    (tmp_path / folder).mkdir()
    assert next(pascal_sentence.read(write_json(tmp_path))).image == tmp_path / image


def test_page_that_a_browser_saved_without_classes_is_refused(tmp_path):
    saved = PAGE.replace('"aeroplane/', '"pascal-sentences_files/')
    with pytest.raises(
        UserError, match=r'pascal-sentences\.html, line 7: image "pascal-sentences_files/2008_000716\.jpg"'
    ):
        list(pascal_sentence.read(write_page(tmp_path, saved, "pascal-sentences.html")))


def test_other_page_and_no_page_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no table of images and captions"):
        list(pascal_sentence.read(write_page(tmp_path, "<html><body>Moved</body></html>")))
    with pytest.raises(UserError, match=r"holds none of pascal_sentences\.json, index\.html"):
        list(pascal_sentence.read({"pascal_sentence": tmp_path / "empty"}))


@pytest.mark.parametrize("entry", [{"category": "cat"}, {"captions": ["A cat."]}, {"category": "cat", "captions": [3]}])
def test_wrong_entry_of_the_json_is_named(tmp_path, entry):
    with pytest.raises(UserError, match=r'pascal_sentences\.json: the entry "7\.jpg" lacks'):
        list(pascal_sentence.read(write_json(tmp_path, {"7.jpg": entry})))


def test_json_cut_short_is_refused(tmp_path):
    (tmp_path / "pascal_sentences.json").write_text('{"2008_000716.jpg": {')
    with pytest.raises(UserError, match="is no JSON"):
        list(pascal_sentence.read({"pascal_sentence": tmp_path}))


def test_unknown_treatment_of_captions_is_refused(tmp_path):
    with pytest.raises(UserError, match='"joined" or "separate", not "first"'):
        list(pascal_sentence.read(write_json(tmp_path), "first"))
