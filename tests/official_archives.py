"""Small copies of the data sets in the layout in which they are handed out, byte for byte as documented.

A writer takes items that a test makes up and returns files by their paths in the archive, with the oddities of the
original: trailing blanks, line ends of Windows, entities, UTF-16. Sources are those of the readers in `cmr.datasets`.
"""

import io
import json
import struct
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

Files = dict[str, bytes]


def lay_out(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def below(folder: str, files: Mapping[str, bytes]) -> Files:
    """The files with a folder in front of their paths."""
    return {f"{folder}/{name}": content for name, content in files.items()}


def pack(name: str, files: Mapping[str, bytes]) -> bytes:
    """The archive `name` (zip, tar or tar.gz); a .rar is made as 7z, since no free program makes RAR archives."""
    stream = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for folder in sorted({parent.as_posix() for member in files for parent in Path(member).parents} - {"."}):
                archive.writestr(f"{folder}/", b"")
            for member, content in files.items():
                archive.writestr(member, content)
        return stream.getvalue()
    with tarfile.open(fileobj=stream, mode="w:gz" if name.endswith(".gz") else "w") as archive:
        for member, content in files.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return as_7z(stream.getvalue()) if name.endswith(".rar") else stream.getvalue()


def as_7z(plain_tar: bytes) -> bytes:
    """What bsdtar makes of the members; RAR archives are unpacked the same way, but no free program makes them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plain.tar").write_bytes(plain_tar)
        target = Path(folder) / "archive.7z"
        subprocess.run(["bsdtar", "--create", "--format=7zip", f"--file={target}", f"@{folder}/plain.tar"], check=True)
        return target.read_bytes()


def picture(number: int) -> bytes:
    """A small JPEG; another number, another picture."""
    stream = io.BytesIO()
    Image.new("RGB", (12, 9), (number % 256, number // 256 % 256, 90)).save(stream, "JPEG", comment=str(number))
    return stream.getvalue()


def mat(variables: Mapping[str, object]) -> bytes:
    """A MATLAB file of version 5."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, dict(variables), do_compression=True)
    return stream.getvalue()


def noise(*shape: int) -> np.ndarray:
    """Numbers that the shape alone determines."""
    return np.random.default_rng(sum(shape)).random(shape)


# Wikipedia

WIKIPEDIA_CATEGORIES = (
    *("art", "biology", "geography", "history", "literature", "media", "music", "royalty", "sport", "warfare"),
)
WIKIPEDIA_DOCUMENT = """<?xml version="1.0" encoding="UTF-8" ?>
<document name="Title">
<text>
{text}
</text>
<imageset>
<image id="{image}"/>
</imageset>
</document>
"""


def wikipedia(train: Sequence[tuple[str, str, int]], test: Sequence[tuple[str, str, int]]) -> Files:
    """What lies in the archive's folder; an item is the names of text and image and the number of its category."""
    files = {"categories.list": ("\n".join(WIKIPEDIA_CATEGORIES) + "\n\n").encode()}
    for part, items in (("train", train), ("test", test)):
        files[f"{part}set_txt_img_cat.list"] = "".join("{}\t{}\t{}\n".format(*item) for item in items).encode()
    for number, (text, image, category) in enumerate([*train, *test]):
        files[f"texts/{text}.xml"] = WIKIPEDIA_DOCUMENT.format(text=f"About {text}.", image=image).encode()
        files[f"images/{WIKIPEDIA_CATEGORIES[category - 1]}/{image}.jpg"] = picture(number)
    return files | {"raw_features.mat": mat(_official_features(len(train), len(test)))}


def wikipedia_tfidf1000(train: int, test: int) -> bytes:
    """The file that others made in 2015: the archive's four arrays and two more."""
    later = {"T_tfidf_tr": noise(train, 1000), "T_tfidf_te": noise(test, 1000)}
    return mat(_official_features(train, test) | later)


def wikipedia_roph(categories: Sequence[int], items: int | None = None) -> bytes:
    """roph_wiki.mat; `items`, if given, is a number of columns of X1 and X2 other than that of the categories."""
    one_hot = np.zeros((10, len(categories)), bool)
    one_hot[np.array(categories) - 1, range(len(categories))] = True
    split = {"ind_train": np.arange(4), "ind_test": np.arange(1)}
    n = items or len(categories)
    return mat({"data": {"X1": noise(128, n), "X2": noise(100, n), "Y": one_hot, "split": split}})


def _official_features(train: int, test: int) -> dict[str, np.ndarray]:
    sides, parts = (("I", 128), ("T", 10)), (("tr", train), ("te", test))
    return {f"{side}_{part}": noise(n, width) for side, width in sides for part, n in parts}


# PASCAL VOC 2007

# As in the archives: tabs, parts of a person that are named like objects, one mark of difficulty an object.
VOC_OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>{difficult}</difficult>
\t\t<bndbox>
\t\t\t<xmin>1</xmin>
\t\t\t<ymin>1</ymin>
\t\t\t<xmax>2</xmax>
\t\t\t<ymax>2</ymax>
\t\t</bndbox>{part}
\t</object>
"""
VOC_PART = "\n\t\t<part>\n\t\t\t<name>head</name>\n\t\t\t<bndbox><xmin>1</xmin></bndbox>\n\t\t</part>"


def voc_annotation(*objects: tuple[str, int]) -> str:
    """The XML of an image; an object is a class and its mark of difficulty."""
    body = "".join(
        VOC_OBJECT.format(name=name, difficult=difficult, part=VOC_PART if name == "person" else "")
        for name, difficult in objects
    )
    return (
        "<annotation>\n\t<folder>VOC2007</folder>\n\t<filename>000005.jpg</filename>\n"
        f"\t<owner>\n\t\t<name>archintent louisville</name>\n\t</owner>\n{body}</annotation>\n"
    )


def pascal_voc2007(part: str, annotations: Mapping[str, str]) -> Files:
    """What lies below VOCdevkit/VOC2007 in the archive of `part` (trainval or test); the class lists of one class."""
    return {
        f"ImageSets/Main/{part}.txt": "".join(f"{item}\n" for item in annotations).encode(),
        f"ImageSets/Main/car_{part}.txt": "".join(f"{item} -1\n" for item in annotations).encode(),
        **{f"Annotations/{item}.xml": xml.encode() for item, xml in annotations.items()},
        **{f"JPEGImages/{item}.jpg": picture(int(item)) for item in annotations},
    }


def pascal_voc2007_tags(*arrays: Mapping[str, Sequence[int]], **widths: int) -> bytes:
    """A file of Hwang and Grauman: struct arrays D1 and D2, here from file name to numbers of words.

    An image without tags has an empty list. `widths` are those of features (gist, color, bow), which count up from the
    last digits of the file name.
    """
    variables = {}
    for name, items in zip(("D1", "D2"), arrays, strict=True):
        array = np.empty((1, len(items)), dtype=[(field, object) for field in ("filename", "taglist", *widths)])
        for column, (file, tags) in enumerate(items.items()):
            rows = [float(file[3:6]) + np.arange(width)[None] for width in widths.values()]
            array[0, column] = (file, np.array([tags]) if len(tags) else np.zeros((0, 0)), *rows)
        variables[name] = array
    return mat(variables)


def eisr_features(parts: Mapping[str, Sequence[str]], width: int) -> Files:
    """Lists and text features of PASCAL VOC 2007, as they lie below experiments/data."""
    files = {}
    for part, ids in parts.items():
        lines = [f"/home/amax/Dataset/PascalVOC2007/JPEGImages/{item}.jpg 0\n" for item in ids]
        count = width * len(ids)
        files[f"pascal_voc_2007/{part}_list.txt"] = "".join(lines).encode()
        files[f"pascal_voc_2007/{part}_text.bin"] = struct.pack(f"<ii{count}f", len(ids), width, *range(count))
    return files


# MIRFlickr

MIRFLICKR_NAMES = (
    "animals baby bird car clouds dog female flower food indoor lake male night people plant_life portrait river "
    "sea sky structures sunset transport tree water baby_r1 bird_r1 car_r1 clouds_r1 dog_r1 female_r1 flower_r1 "
    "male_r1 night_r1 people_r1 portrait_r1 river_r1 sea_r1 tree_r1"
)
MIRFLICKR_LABELS = MIRFLICKR_NAMES.split()


def mirflickr25k_annotations(images_of: Mapping[str, str]) -> Files:
    """The 38 files of numbers of images, empty where `images_of` does not have the label."""
    files = {f"{label}.txt": images_of.get(label, "").encode() for label in MIRFLICKR_LABELS}
    return files | {"README.txt": b"MIRFLICKR-25000 annotations v080\n"}


def mirflickr25k(tags_of: Mapping[int, Sequence[str]], common: Iterable[str] = ()) -> Files:
    """What lies in the archive's folder: pictures, tags with line ends of Windows, and the common tags."""
    files = {f"im{number}.jpg": picture(number) for number in tags_of}
    for number, tags in tags_of.items():
        files[f"meta/tags/tags{number}.txt"] = "".join(f"{tag}\r\n" for tag in tags).encode()
    return files | {"doc/common_tags.txt": "".join(f"{line}\n" for line in common).encode()}


def mirflickr25k_hashing(
    labels: np.ndarray, tags: np.ndarray, features: np.ndarray, names: Sequence[str] = ()
) -> Files:
    """The four arrays of the variant for hashing; without `names` only three."""
    files = {
        "mirflickr25k-lall.mat": mat({"LAll": labels}),
        "mirflickr25k-yall.mat": mat({"YAll": tags.astype(float)}),
        "mirflickr25k-iall-vgg.mat": mat({"XAll": features}),
    }
    if names:
        column = np.empty((len(names), 1), object)
        column[:, 0] = names
        files["mirflickr25k-fall.mat"] = mat({"FAll": column})
    return files


# MS COCO


def coco_image(images: str, number: int) -> dict:
    file = f"COCO_{images}_{number:012d}.jpg"
    url = f"http://images.cocodataset.org/{images}/{file}"
    return {"license": 4, "file_name": file, "coco_url": url, "height": 480, "width": 640, "id": number}


def coco_instance(number: int, image: int, category: int, crowd: int = 0) -> dict:
    outline = (
        {"counts": [272, 2, 4], "size": [480, 640]} if crowd else [[312.29, 562.89, 402.25, 511.49, 400.96, 425.38]]
    )
    return {
        "segmentation": outline,
        "area": 54652.9556,
        "iscrowd": crowd,
        "image_id": image,
        "bbox": [116.95, 305.86, 285.3, 266.03],
        "category_id": category,
        "id": number,
    }


def coco_caption(number: int, image: int, text: str) -> dict:
    return {"image_id": image, "id": number, "caption": text}


def coco_annotations(
    images: str, numbers: Iterable[int], instances: list[dict], captions: list[dict], categories: list[dict]
) -> dict[str, dict]:
    """The content of the two files of train2014 or val2014, by name without suffix."""
    shared = {
        "info": {
            "description": "COCO 2014 Dataset",
            "url": "http://cocodataset.org",
            "version": "1.0",
            "year": int(images[-4:]),
        },
        "images": [coco_image(images, number) for number in numbers],
        "licenses": [
            {"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4, "name": "Attribution License"},
        ],
    }
    return {
        f"instances_{images}": {**shared, "annotations": instances, "categories": categories},
        f"captions_{images}": {**shared, "annotations": captions},
    }


def mscoco_annotations(contents: Mapping[str, dict]) -> Files:
    return {f"{name}.json": json.dumps(content).encode() for name, content in contents.items()}


# Flickr8k


def flickr8k_text(tokens: str, train: Iterable[str], dev: Iterable[str], test: Iterable[str]) -> Files:
    """The archive of texts, with files that are not read and what a Mac adds to archives."""
    lists = {"train": train, "dev": dev, "test": test}
    return {
        "CrowdFlowerAnnotations.txt": b"1056338697_4f7d7ce270.jpg\t1056338697_4f7d7ce270.jpg#2\t1\t3\t0\n",
        "Flickr8k.lemma.token.txt": b"1000268201_693b08cb0e.jpg#0\tA child in a pink dress be climb .\n",
        "Flickr8k.token.txt": tokens.encode(),
        **{f"Flickr_8k.{part}Images.txt": "".join(f"{i}\n" for i in images).encode() for part, images in lists.items()},
        "__MACOSX/._Flickr8k.token.txt": b"\0",
        "readme.txt": b"If you use this corpus\n",
    }


def flickr8k_images(images: Mapping[str, bytes]) -> Files:
    return below("Flicker8k_Dataset", images) | {"__MACOSX/Flicker8k_Dataset/._1.jpg": b"\0"}


# NUS-WIDE

NUS_NAMES = (
    "airport animal beach bear birds boats book bridge buildings cars castle cat cityscape clouds computer coral "
    "cow dancing dog earthquake elk fire fish flags flowers food fox frost garden glacier grass harbor horses "
    "house lake leaf map military moon mountain nighttime ocean person plane plants police protest railroad "
    "rainbow reflection road rocks running sand sign sky snow soccer sports statue street sun sunset surf "
    "swimmers tattoo temple tiger tower town toy train tree valley vehicle water waterfall wedding whales window "
    "zebra"
)
NUS_CONCEPTS = NUS_NAMES.split()
NUS_FEATURES = {"CH": 64, "CORR": 144, "EDH": 73, "WT": 128, "CM55": 225}

# Subject, number, photo, part, concepts, tags; t0 to t999 are the listed ones.
NusItem = tuple[str, str, str, str, str, str]


def nus_listed(tags: str) -> list[bool]:
    """Which of the 1000 listed tags are among the tags."""
    present = set(tags.split())
    return [f"t{k}" in present for k in range(1000)]


def nus_value(row: int, column: int) -> float:
    """Exactly representable, so that files and results can be compared for equality."""
    return row + column / 1024


def nus_image_list(items: Iterable[NusItem]) -> bytes:
    return "".join(f"{subject}\\{number}_{photo}.jpg \r\n" for subject, number, photo, *_ in items).encode()


def nus_wide(items: Sequence[NusItem]) -> dict[str, Files]:
    """The files of each archive, without a folder of the archive's own."""

    def column(values: Iterable[object]) -> bytes:
        return "".join(f"{value}\n" for value in values).encode()

    def matrix(rows: Iterable[Iterable[object]], end: str) -> bytes:
        return column("".join(f"{value}{end}" for value in row) for row in rows)

    range_of_rows = range(len(items))
    groundtruth = {
        f"AllLabels/Labels_{concept}.txt": column(int(concept in item[4].split()) for item in items)
        for concept in NUS_CONCEPTS
    }
    # As in the original: a damaged value among the labels by part, which are not to be read.
    groundtruth["TrainTestLabels/Labels_lake_Train.txt"] = b"0\n-1130179\n0\n"
    lists = {
        f"{part.capitalize()}Imagelist.txt": nus_image_list([item for item in items if item[3] == part])
        for part in ("train", "test")
    }
    features = {
        f"Normalized_{name}.dat": matrix(([nus_value(row, k) for k in range(width)] for row in range_of_rows), " ")
        for name, width in NUS_FEATURES.items()
    }
    return {
        "nus_wide_groundtruth": groundtruth,
        "nus_wide_image_list": {"Imagelist.txt": nus_image_list(items), **lists},
        "nus_wide_tags": {
            "TagList1k.txt": column(f"t{k} " for k in range(1000)),
            "All_Tags.txt": column(f"{photo}      {tags} " for _, _, photo, _, _, tags in items),
            "AllTags1k.txt": matrix((map(int, nus_listed(item[5])) for item in items), "\t"),
        },
        "nus_wide_features": {
            **features,
            "BoW_int.dat": matrix(([row * k % 9 for k in range(500)] for row in range_of_rows), " "),
        },
        "nus_wide_images": {f"{item[0]}/{item[1]}_{item[2]}.jpg": picture(row) for row, item in enumerate(items)},
    }


# Pascal Sentences


def pascal_sentence_page(entries: Mapping[str, tuple[str, Sequence[str]]]) -> bytes:
    """The page of image -> class and captions."""
    rows = "".join(
        f'<tr>\n<td><img src="{category}/{image}"></td>\n<td><table>\n'
        + "".join(f"<tr><td> {caption} </td></tr>\n" for caption in captions)
        + "</table></td>\n</tr>\n"
        for image, (category, captions) in entries.items()
    )
    return (
        f"<html>\n<head><title>Pascal sentences</title></head>\n<body>\n<table>\n{rows}</table>\n</body>\n</html>\n"
    ).encode()


def pascal_sentence_json(entries: Mapping[str, tuple[str, Sequence[str]]]) -> bytes:
    return json.dumps(
        {image: {"category": category, "captions": texts} for image, (category, texts) in entries.items()}
    ).encode()


# TVGraz


def tvgraz(texts: Mapping[str, str]) -> Files:
    """A list of one's own around texts as a program that reads the original expects them; a name is <class>_<number>.

    XML in UTF-16 with line ends of Windows, tag and words on lines of their own.
    """
    files = {"tvgraz.list": "".join(f"{name}\t{name}.jpg\t{name.split('_')[0]}\n" for name in texts).encode()}
    for number, (name, text) in enumerate(texts.items()):
        xml = f'<?xml version="1.0"?>\r\n<DOC>\r\n<URL>x</URL>\r\n<TEXT>\r\n{text}\r\n</TEXT>\r\n</DOC>\r\n'
        files[f"texts/{name}.xml"] = xml.encode("utf-16")
        files[f"images/{name}.jpg"] = picture(number)
    return files
