"""Views from their configuration, their provenance, concatenation and coverage."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmr import store
from cmr.errors import UserError
from cmr.files import write_json
from cmr.views.base import ImageView, TextView
from cmr.views.concatenation import concatenate
from cmr.views.configured import configured, provenance, resolved_device
from cmr.views.image.pictures import labelled_images
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
        (
            (ImageView, "cmr.views.image.networks.NetworkLayer", {}, {}, False),
            'NetworkLayer needs the option "architecture"',
        ),
        ((ImageView, "cmr.views.image.handcrafted.Handcrafted", {}, {}, False), "must be a dataclass that fills its"),
        (
            (ImageView, "cmr.views.image.handcrafted.shrink", {}, {}, False),
            "must be a dataclass that fills its contract",
        ),
        ((ImageView, "cmr.views.image.gist.Gits", {}, {}, False), 'Gits" cannot be imported'),
    ],
)
def test_wrong_configuration_is_explained(arguments, message):
    with pytest.raises(UserError, match=message):
        configured(*arguments)


def test_provenance_tells_assets_inputs_and_code(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/net.pth").write_text("weights")
    digest = sha256(b"weights").hexdigest()
    manifest = {"asset": "net", "file": "net.pth", "sha256": digest, "size": 1, "unpacked_files": None}
    write_json(tmp_path / "weights/asset.json", manifest)
    (tmp_path / "pairs").write_text("pairs")
    view = configured(ImageView, GIST, {}, {}, learnt=False)
    about = provenance(view, GIST, {}, {"weights": tmp_path / "weights"}, {"pairs": tmp_path / "pairs"})
    assert about["assets"] == {"weights": {"asset": "net", "file": "net.pth", "sha256": digest}}
    assert about["inputs"] == {"pairs": sha256(b"pairs").hexdigest()}
    assert "cmr.views.image.gist" in about["code"] and about["kind"] == "vectors" and about["learnt"] is False
    assert __name__ in about["code"] and "numpy" not in about["code"] and "json" not in about["code"]
    (tmp_path / "weights/net.pth").write_text("other weights")
    with pytest.raises(UserError, match=r"net\.pth is not what was obtained"):
        provenance(view, GIST, {}, {"weights": tmp_path / "weights"}, {})


def test_configuration_and_class_agree_on_torch():
    gist = configured(ImageView, GIST, {}, {}, learnt=False)
    assert resolved_device(gist, None) is None
    with pytest.raises(UserError, match=r"Gist does not compute with torch: take `uses_torch` from the view"):
        resolved_device(gist, "cpu")
    options = {"architecture": "alexnet", "layer": "classifier.5"}
    network = configured(
        ImageView, "cmr.views.image.networks.NetworkLayer", options, {"weights": Path("w")}, learnt=False
    )
    assert resolved_device(network, "cpu") == "cpu"
    with pytest.raises(UserError, match=r"NetworkLayer computes with torch: give the view `uses_torch: true`"):
        resolved_device(network, None)


def test_pictures_that_items_share_are_learnt_once_with_all_their_classes(tmp_path):
    pairs = pd.DataFrame(
        {"id": list("abcd"), "image": ["1.png", "2.png", "1.png", "3.png"], "sha256": ["x", "y", "x", "z"]}
        | {"labels": [["cat"], ["dog"], ["dog"], ["cat"]]}
    )
    pairs.attrs["classes"] = ["cat", "dog"]
    images = labelled_images(pairs, pairs[:3], tmp_path)
    assert images.paths == [tmp_path / "1.png", tmp_path / "2.png"]
    assert images.labels.tolist() == [[True, True], [False, True]]
    assert len(labelled_images(pairs, pairs[:0], tmp_path)) == 0


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


def test_concatenation_is_of_counts_only_if_all_parts_are(tmp_path):
    counts = [write(tmp_path / f"{name}.h5", np.ones((3, 1)), counts=name != "c") for name in "abc"]
    for parts, expected in ((counts[:2], True), (counts, False)):
        concatenate(parts, tmp_path / "all.h5")
        assert store.read_view(tmp_path / "all.h5").attributes["counts"] is expected


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
