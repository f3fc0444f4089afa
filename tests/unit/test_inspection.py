"""`python -m cmr views inspect`: what a view is, and every reason why it would be made anew."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from cmr import store
from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.files import write_json
from cmr.inspection import inspect_view
from cmr.provenance import file_sha256, versions

ROOT = Path(__file__).parents[2]
BOW = "cmr.views.text.bow.BagOfWords"
OPTIONS = {"tokenizer": "english", "vocabulary_size": 1000}


@pytest.fixture
def root(tmp_path):
    """A checkout with a data folder that holds what views are made of."""
    for part in ("config", "workflow/schemas"):
        shutil.copytree(ROOT / part, tmp_path / part)
    dataset = tmp_path / "data/datasets/tuxpaint_stamps"
    for name in ("pairs.parquet", "images.parquet", "splits/random-0.parquet"):
        (dataset / name).parent.mkdir(parents=True, exist_ok=True)
        (dataset / name).write_text(name)
    asset = {"asset": "glove_6b_50d", "file": "data", "sha256": "ab", "size": 1, "from": "a mirror"}
    (tmp_path / "data/raw/glove_6b_50d").mkdir(parents=True)
    write_json(tmp_path / "data/raw/glove_6b_50d/asset.json", asset)
    return tmp_path


def write(root, path="random-0/text/bow.h5", values=None, **about):
    """A view of four items as a script would leave it, unless told otherwise."""
    dataset = root / "data/datasets/tuxpaint_stamps"
    module = Path(store.__file__)
    attributes = {
        "implementation": BOW,
        "options": OPTIONS,
        "assets": {},
        "learnt": True,
        "kind": "vectors",
        "counts": True,
        "inputs": {
            "pairs": file_sha256(dataset / "pairs.parquet"),
            "split": file_sha256(dataset / "splits/random-0.parquet"),
        },
        "versions": versions(),
        "code": {"cmr.store": file_sha256(module)},
        "vocabulary_size": 7,
        "out_of_vocabulary": {"test": {"words": 0.25, "types": 0.5, "texts": 0.125}},
    }
    file = root / "data/views/tuxpaint_stamps" / path
    values = np.array([[0, 0, 0], [3, 4, 0], [0, 0, 1], [0, 0, 1.0]]) if values is None else values
    store.write_view(
        file,
        list("abcd"),
        values,
        attributes | about,
        ["bad"],
        {"train_ids": np.array(["a", "b"]), "w": np.ones((2, 5))},
    )
    return file


def told(root, file):
    return inspect_view(Catalogue.read(root), file)


def test_numbers_and_provenance_are_told(root):
    lines = [line.strip() for line in told(root, write(root)).splitlines()]
    assert lines[1].startswith("4 x 3 float32, vectors; 0.0 MB on disk")
    assert "zeros 66.7 %; row norms: median 1, from 0 to 5" in lines
    assert "rows without a feature: 1; columns that never change: 0" in lines
    assert "items left out: 1, the first is bad" in lines
    assert f"made by {BOW}" in lines and "vocabulary_size: 1000" in lines
    assert "learnt from 2 items of the train part" in lines
    expected = (
        "out of vocabulary, test: 25.0 % of all words, 50.0 % of different words, 12.5 % of texts have no known word"
    )
    assert expected in lines
    assert "beside it: w 2 x 5" in lines
    assert lines[-1] == "up to date with its inputs, the configuration and the code"


def test_patches_are_measured_as_rows(root):
    text = told(root, write(root, values=np.ones((4, 5, 2)), kind="patches"))
    assert "4 x 5 x 2 float32, patches" in text and "median 3.162" in text and "columns that never change: 10" in text


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        (
            {"options": OPTIONS | {"vocabulary_size": 9}},
            "options: it was made with {.*9}, the configuration says {.*1000}",
        ),
        ({"implementation": "other.Bow"}, 'implementation: it was made with "other.Bow"'),
        ({"inputs": {"pairs": "00"}}, r"pairs\.parquet has changed"),
        ({"inputs": {"fitted": "00"}}, r"random-0/text/bow\.fitted\.h5 is missing"),
        ({"assets": {"vectors": {"asset": "glove_6b_50d", "sha256": "cd"}}}, "the asset glove_6b_50d has changed"),
        ({"assets": {"vectors": {"asset": "wordnet", "sha256": "cd"}}}, "the asset wordnet is missing"),
        ({"code": {"cmr.store": "00"}}, "the code of cmr.store has changed"),
        ({"code": {"cmr.gone": "00"}}, "the code of cmr.gone has changed"),
    ],
)
def test_every_reason_to_make_it_anew_is_told(root, about, reason):
    text = told(root, write(root, **about))
    assert "up to date" not in text
    with pytest.raises(AssertionError, match=rf"stale: .*{reason}"):
        raise AssertionError(text)


def test_other_versions_are_told_and_are_no_reason(root):
    text = told(root, write(root, versions=versions() | {"numpy": "1.0"}))
    assert "made by other versions: numpy 1.0 (now " in text and "up to date" in text


def test_view_that_moved_between_folders_is_told(root):
    assert "stale: it belongs into another folder: bow learns" in told(root, write(root, "text/bow.h5"))
    assert "it lies outside a data folder" in told(root, shutil.copy(write(root), root / "elsewhere.h5"))
    assert 'unknown text view "bag"' in told(root, write(root, "random-0/text/bag.h5"))


def test_arrays_of_a_network_are_told_together(root):
    place = root / "data/views/tuxpaint_stamps/random-0/text/bow.h5"
    network = {"network/weight": np.ones((2, 3)), "network/bias": np.ones(4), "network/steps": np.array(1)}
    store.write_view(place, ["a"], np.ones((1, 2)), store.read_view(write(root)).attributes, arrays=network)
    lines = inspect_view(Catalogue.read(root), place).splitlines()
    assert [line.strip() for line in lines if "beside" in line] == ["beside it: network, 3 arrays of 11 numbers"]


def test_parts_of_a_concatenation_are_its_inputs(root):
    views = yaml.safe_load((root / "config/views/image.yaml").read_text())
    files = {}
    for name in ("phow", "gist", "mpeg7"):
        folder = "random-0/image" if views[name].get("learnt") else "image"
        about = {"implementation": views[name]["implementation"], "options": views[name].get("options", {})}
        files[name] = write(root, f"{folder}/{name}.h5", **about, learnt=views[name].get("learnt", False))
    columns = {name: [3 * i, 3 * i + 3] for i, name in enumerate(files)}
    inputs = {name: file_sha256(file) for name, file in files.items()}

    def concatenation(**about):
        return told(
            root, write(root, "random-0/image/handcrafted_2296.h5", **{"columns": columns, "inputs": inputs} | about)
        )

    assert "columns: phow 0 to 2, gist 3 to 5, mpeg7 6 to 8" in concatenation()
    assert "up to date" in concatenation()
    other_order = {name: columns[name] for name in ("gist", "phow", "mpeg7")}
    assert 'stale: concatenate: it was made with ["gist", "phow", "mpeg7"]' in concatenation(columns=other_order)
    # What makes a part stale makes the whole stale.
    write(root, "image/gist.h5", implementation="other.Gist", options={}, learnt=False)
    inputs["gist"] = file_sha256(files["gist"])
    assert 'stale: implementation: it was made with "other.Gist"' in concatenation()
    files["mpeg7"].write_bytes(files["gist"].read_bytes() + b"x")
    assert "image/mpeg7.h5 has changed" in concatenation()


def test_what_a_view_has_learnt_makes_it_stale_too(root):
    settings = yaml.safe_load((root / "config/views/image.yaml").read_text())["phow"]
    made = {"implementation": settings["implementation"], "options": settings["options"], "assets": {}, "code": {}}
    split = root / "data/datasets/tuxpaint_stamps/splits/random-0.parquet"
    fitted = root / "data/views/tuxpaint_stamps/random-0/image/phow.fitted.h5"
    store.write_arrays(fitted, {"words": np.ones(2)}, made | {"inputs": {"split": file_sha256(split)}})
    about = made | {"precision": "float32", "inputs": {"fitted": file_sha256(fitted)}}
    assert "up to date" in told(root, write(root, "random-0/image/phow.h5", **about))
    split.write_text("drawn anew")
    assert "random-0.parquet has changed" in told(root, write(root, "random-0/image/phow.h5", **about))


def test_precision_and_names_of_assets_are_compared(root):
    settings = yaml.safe_load((root / "config/views/image.yaml").read_text())["alexnet_fc7"]
    asset = {"asset": "vgg16_weights", "file": "f", "sha256": "ab"}
    about = {"implementation": settings["implementation"], "options": settings["options"], "precision": "mixed"}
    text = told(root, write(root, "image/alexnet_fc7.h5", **about, learnt=False, assets={"weights": asset}))
    assert 'stale: assets: it was made with {"weights": "vgg16_weights"}' in text
    assert 'stale: precision: it was made with "mixed", the configuration says "float32"' in text


def test_shard_is_compared_as_the_view_that_it_is_of(root):
    about = {"implementation": "cmr.views.image.gist.Gist", "options": {}, "learnt": False, "inputs": {}}
    assert "up to date" in told(root, write(root, "image/gist.2-of-7.h5", **about))


def test_ready_view_is_compared_with_the_data_sets_configuration(root):
    settings = yaml.safe_load((root / "config/datasets/wikipedia.yaml").read_text())["views"]["image"]["sift128"]
    (root / "data/datasets/wikipedia/views/image").mkdir(parents=True)
    file = root / "data/datasets/wikipedia/views/image/sift128.h5"
    about = {"reader": settings["reader"], "options": settings["options"], "counts": False, "inputs": {}}
    for reader, state in ((settings["reader"], "up to date"), ("other.read", "stale: reader")):
        shutil.move(write(root, **about | {"reader": reader}), file)
        assert state in told(root, file)


@pytest.mark.parametrize("content", [None, b"no view"])
def test_file_that_is_no_view_is_named(root, content):
    file = root / "data/views/x.h5"
    if content:
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.h5 (does not exist|is damaged)"):
        told(root, file)
