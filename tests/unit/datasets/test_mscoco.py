"""MS COCO: objects and captions from annotation files laid out as the official ones are."""

import json
import zipfile
from pathlib import Path

import pytest
import yaml

from cmr.assets.unpack import unpack
from cmr.datasets import mscoco
from cmr.errors import UserError

ROOT = Path(__file__).parents[3]

LICENSES = [{"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4, "name": "Attribution License"}]
# Ids of categories have gaps, as the official ones do.
CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "outdoor", "id": 13, "name": "stop sign"},
    {"supercategory": "indoor", "id": 90, "name": "toothbrush"},
]


def info(name):
    return {
        "description": "COCO 2014 Dataset",
        "url": "http://cocodataset.org",
        "version": "1.0",
        "year": int(name[-4:]),
    }


def image(name, number):
    file = f"COCO_{name}_{number:012d}.jpg"
    url = f"http://images.cocodataset.org/{name}/{file}"
    return {"license": 4, "file_name": file, "coco_url": url, "height": 480, "width": 640, "id": number}


def instance(number, picture, category, crowd=0):
    outline = (
        {"counts": [272, 2, 4], "size": [480, 640]} if crowd else [[312.29, 562.89, 402.25, 511.49, 400.96, 425.38]]
    )
    box = [116.95, 305.86, 285.3, 266.03]
    return {
        "segmentation": outline,
        "area": 54652.9556,
        "iscrowd": crowd,
        "image_id": picture,
        "bbox": box,
        "category_id": category,
        "id": number,
    }


def caption(number, picture, text):
    return {"image_id": picture, "id": number, "caption": text}


FILES = {
    "instances_train2014": {
        "info": info("train2014"),
        "images": [image("train2014", number) for number in (57870, 384029, 9)],
        "licenses": LICENSES,
        "annotations": [
            instance(480023, 9, 13),
            instance(50518, 57870, 90),
            instance(142589, 9, 1, crowd=1),
            instance(142590, 9, 13),
        ],
        "categories": CATEGORIES,
    },
    "captions_train2014": {
        "info": info("train2014"),
        "images": [image("train2014", number) for number in (57870, 384029, 9)],
        "licenses": LICENSES,
        "annotations": [
            caption(188, 9, "A vandalized stop sign \n and a café"),
            caption(48, 57870, "A very clean bathroom"),
            caption(173, 9, "A graffiti-ed stop sign "),
            caption(60, 384029, "An empty street"),
        ],
    },
    "instances_val2014": {
        "info": info("val2014"),
        "images": [image("val2014", 42)],
        "licenses": LICENSES,
        "annotations": [instance(7, 42, 1)],
        "categories": CATEGORIES,
    },
    "captions_val2014": {
        "info": info("val2014"),
        "images": [image("val2014", 42)],
        "licenses": LICENSES,
        "annotations": [caption(5, 42, "A man.")],
    },
}


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    """The annotations, unpacked as the asset says; the folders of images do not exist."""
    asset = yaml.safe_load((ROOT / "config/assets/mscoco.yaml").read_text())["mscoco_annotations"]
    with zipfile.ZipFile(tmp_path / "annotations_trainval2014.zip", "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"annotations/{name}.json", json.dumps(content))
    unpack(
        tmp_path / "annotations_trainval2014.zip",
        tmp_path / "mscoco_annotations",
        limit=asset["unpack"]["limit"],
        subfolder=asset["url"]["subfolder"],
    )
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
