"""MS COCO: objects and captions from annotation files laid out as the official ones are."""

import json
from pathlib import Path

import pytest

from cmr.datasets import mscoco
from cmr.errors import UserError
from tests import official_archives as archives
from tests.official_archives import coco_caption as caption
from tests.official_archives import coco_instance as instance
from tests.official_archives import lay_out

# Ids of categories have gaps, as the official ones do.
CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "outdoor", "id": 13, "name": "stop sign"},
    {"supercategory": "indoor", "id": 90, "name": "toothbrush"},
]


FILES = archives.coco_annotations(
    "train2014",
    [57870, 384029, 9],
    [instance(480023, 9, 13), instance(50518, 57870, 90), instance(142589, 9, 1, crowd=1), instance(142590, 9, 13)],
    [
        caption(188, 9, "A vandalized stop sign \n and a café"),
        caption(48, 57870, "A very clean bathroom"),
        caption(173, 9, "A graffiti-ed stop sign "),
        caption(60, 384029, "An empty street"),
    ],
    CATEGORIES,
) | archives.coco_annotations("val2014", [42], [instance(7, 42, 1)], [caption(5, 42, "A man.")], CATEGORIES)


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    """The annotations; the folders of images do not exist."""
    lay_out(tmp_path / "mscoco_annotations", archives.mscoco_annotations(FILES))
    return {name: tmp_path / name for name in ("mscoco_annotations", "mscoco_train2014", "mscoco_val2014")}


def write(root: Path, name: str, content: dict) -> None:
    (root / f"mscoco_annotations/{name}.json").write_text(json.dumps(content), "ascii")


def test_images_with_objects_are_items_with_their_categories_and_captions(folders):
    pairs = {pair.id: pair for pair in mscoco.read(folders)}
    assert sorted(pairs) == ["COCO_train2014_000000000009", "COCO_train2014_000000057870", "COCO_val2014_000000000042"]
    street = pairs["COCO_train2014_000000000009"]
    assert street.image == folders["mscoco_train2014"] / "COCO_train2014_000000000009.jpg"
    assert street.labels == ("person", "stop sign")
    assert street.text == "A graffiti-ed stop sign\nA vandalized stop sign and a café"
    assert (street.part, street.group) == ("train", None)
    man = pairs["COCO_val2014_000000000042"]
    assert man.image == folders["mscoco_val2014"] / "COCO_val2014_000000000042.jpg"
    assert (man.labels, man.text, man.part) == (("person",), "A man.", "valid")


def test_separate_captions_are_items_in_the_group_of_their_image(folders):
    pairs = [pair for pair in mscoco.read(folders, captions="separate", images=["train2014"]) if "009" in pair.id]
    image = folders["mscoco_train2014"] / "COCO_train2014_000000000009.jpg"
    assert [(pair.id, pair.text, pair.group, pair.image) for pair in pairs] == [
        ("COCO_train2014_000000000009#0", "A graffiti-ed stop sign", image.stem, image),
        ("COCO_train2014_000000000009#1", "A vandalized stop sign and a café", image.stem, image),
    ]


def test_annotations_without_captions_give_items_without_text(folders):
    for path in folders["mscoco_annotations"].glob("captions_*.json"):
        path.unlink()
    pairs = list(mscoco.read(folders))
    assert len(pairs) == 3
    assert {pair.text for pair in pairs} == {None}
    with pytest.raises(UserError, match=r"holds no captions_\*\.json"):
        list(mscoco.read(folders, captions="separate"))


def test_captions_of_one_half_alone_are_refused(folders):
    (folders["mscoco_annotations"] / "captions_val2014.json").unlink()
    with pytest.raises(UserError, match=r"captions_val2014\.json is missing; it is part of annotations_trainval2014"):
        list(mscoco.read(folders))


def test_half_of_the_images_is_read_only_when_asked_for(folders):
    (folders["mscoco_annotations"] / "instances_val2014.json").unlink()
    with pytest.raises(UserError, match=r"instances_val2014\.json is missing"):
        list(mscoco.read(folders))
    assert {pair.part for pair in mscoco.read(folders, images=["train2014"])} == {"train"}


def test_image_without_captions_beside_images_with_some_has_no_text(folders, tmp_path):
    content = FILES["captions_train2014"]
    write(tmp_path, "captions_train2014", content | {"annotations": content["annotations"][:1]})
    texts = {pair.id[-3:]: pair.text for pair in mscoco.read(folders, images=["train2014"])}
    assert texts == {"009": "A vandalized stop sign and a café", "870": None}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("instances_train2014", {"images": []}, r"instances_train2014\.json holds no list images"),
        ("instances_train2014", {"categories": []}, r"instances_train2014\.json holds no list categories"),
        ("instances_val2014", {"annotations": [instance(7, 43, 1)]}, r"val2014\.json refers to the image 43"),
        ("instances_val2014", {"annotations": [instance(7, 42, 91)]}, r"val2014\.json refers to the category 91"),
        (
            "captions_val2014",
            {"annotations": [caption(5, 41, "A man.")]},
            r"captions_val2014\.json refers to the image 41",
        ),
        (
            "captions_val2014",
            {"annotations": [caption(5, 42, "A man."), {"image_id": 42, "id": 6}]},
            r"captions_val2014\.json: entry 1 of annotations is not \{id, image_id, caption, \.\.\.\}",
        ),
        ("instances_val2014", {"annotations": [3]}, r"entry 0 of annotations is not \{image_id, category_id"),
    ],
)
def test_inconsistent_annotations_are_named(folders, tmp_path, name, change, message):
    write(tmp_path, name, FILES[name] | change)
    with pytest.raises(UserError, match=message):
        list(mscoco.read(folders))


def test_file_that_is_cut_short_is_named(folders):
    path = folders["mscoco_annotations"] / "captions_train2014.json"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"captions_train2014\.json is cut short or no JSON"):
        list(mscoco.read(folders))


def test_unknown_options_are_refused(folders):
    with pytest.raises(UserError, match='captions are "joined" or "separate", not "first"'):
        list(mscoco.read(folders, captions="first"))
    with pytest.raises(UserError, match=r"images are train2014 and val2014, not test2014"):
        list(mscoco.read(folders, images=["train2014", "test2014"]))
    with pytest.raises(UserError, match=r"images are train2014 and val2014, not none"):
        list(mscoco.read(folders, images=[]))
