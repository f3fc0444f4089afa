"""Views from their configuration, their provenance, concatenation and coverage."""

from hashlib import sha256

import numpy as np
import pandas as pd
import pytest

from cmr import store
from cmr.errors import UserError
from cmr.files import write_json
from cmr.views.base import ImageView, TextView
from cmr.views.concatenation import concatenate
from cmr.views.configured import configured, provenance
from cmr.views.text.bow import BagOfWords
from cmr.views.text.coverage import out_of_vocabulary

BOW = "cmr.views.text.bow.BagOfWords"
GIST = "cmr.views.image.gist.Gist"


def test_view_is_built_with_its_options():
    view = configured(TextView, BOW, {"vocabulary_size": 3}, {}, learnt=True)
    assert isinstance(view, BagOfWords) and view.vocabulary_size == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TextView, BOW, {"size": 3}, {}, True), 'BagOfWords has no option "size"; it has .*vocabulary_size'),
        ((ImageView, BOW, {}, {}, True), "BagOfWords is no ImageView"),
        ((TextView, BOW, {}, {}, False), "learns from the train part: give the view `learnt: true`"),
        ((ImageView, GIST, {}, {}, True), "learns nothing with these options: take `learnt` from it"),
        ((ImageView, "cmr.views.image.gist.Gits", {}, {}, False), 'Gits" cannot be imported'),
    ],
)
def test_wrong_configuration_is_explained(arguments, message):
    with pytest.raises(UserError, match=message):
        configured(*arguments)


def test_provenance_tells_assets_inputs_and_code(tmp_path):
    (tmp_path / "weights").mkdir()
    write_json(tmp_path / "weights/asset.json", {"asset": "net", "file": "net.pth", "sha256": "ab", "size": 1})
    (tmp_path / "pairs").write_text("pairs")
    view = configured(ImageView, GIST, {}, {}, learnt=False)
    about = provenance(view, GIST, {}, {"weights": tmp_path / "weights"}, {"pairs": tmp_path / "pairs"})
    assert about["assets"] == {"weights": {"asset": "net", "file": "net.pth", "sha256": "ab"}}
    assert about["inputs"] == {"pairs": sha256(b"pairs").hexdigest()}
    assert "cmr.views.image.gist" in about["code"] and about["kind"] == "vectors" and about["learnt"] is False


def write(path, values, ids="abc", learnt=False, **about):
    attributes = {"kind": "vectors", "counts": False, "learnt": learnt, **about}
    arrays = {"train_ids": np.array(["a", "b"])} if learnt else {}
    store.write_view(path, list(ids), np.asarray(values, dtype=float), attributes, ["bad"], arrays)
    return path


def test_concatenation_puts_views_side_by_side(tmp_path):
    first = write(tmp_path / "first.h5", [[1, 2], [3, 4], [5, 6]])
    second = write(tmp_path / "second.h5", [[7], [8], [9]], learnt=True)
    concatenate([first, second], tmp_path / "both.h5")
    with store.ViewFile.open(tmp_path / "both.h5") as view:
        assert view.values[...].tolist() == [[1, 2, 7], [3, 4, 8], [5, 6, 9]]
        assert view.attributes["columns"] == {"first": [0, 2], "second": [2, 3]}
        assert view.attributes["learnt"] and list(view.arrays()["train_ids"]) == ["a", "b"]
        assert view.attributes["left_out"] == ["bad"]


@pytest.mark.parametrize(
    ("ids", "about", "message"),
    [("abd", {}, "have other items"), ("abc", {"kind": "tokens"}, "second.h5 holds tokens")],
)
def test_views_that_do_not_fit_are_not_concatenated(tmp_path, ids, about, message):
    first = write(tmp_path / "first.h5", np.ones((3, 2)))
    second = write(tmp_path / "second.h5", np.ones((3, 1)), ids, **about)
    with pytest.raises(UserError, match=message):
        concatenate([first, second], tmp_path / "both.h5")
    assert not (tmp_path / "both.h5").exists()


def test_words_out_of_vocabulary_are_counted_by_part():
    view = BagOfWords(tokenizer="words").fit(["red apple", "red car"])
    texts = pd.DataFrame(
        {
            "text": ["blue blue car", "zeppelin", "red apple", "red car", ""],
            "part": ["test"] * 2 + ["train"] * 2 + ["valid"],
        }
    )
    rates = out_of_vocabulary(view, texts)
    assert list(rates) == ["train", "valid", "test"]
    assert rates["train"] == {"words": 0, "types": 0, "texts": 0}
    assert rates["test"] == {"words": 3 / 4, "types": 2 / 3, "texts": 1 / 2}
    assert rates["valid"] == {"words": 1, "types": 1, "texts": 1}
