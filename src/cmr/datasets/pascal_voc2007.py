"""PASCAL VOC 2007: 9963 photographs from Flickr with objects of 20 classes, 5011 to train and 4952 to test.

Source: Everingham et al., The PASCAL visual object classes (VOC) challenge, IJCV 2010;
http://host.robots.ox.ac.uk/pascal/VOC/voc2007/. Each of the two archives has, below VOCdevkit/VOC2007::

    ImageSets/Main/trainval.txt or test.txt    one id a line
    Annotations/<id>.xml                       elements <object> with <name> and <difficult>
    JPEGImages/<id>.jpg

The set has no texts. Hwang and Grauman (Accounting for the relative importance of objects in image retrieval, BMVC
2010; http://vision.cs.utexas.edu/projects/tag/bmvc10.html) had people tag the pictures. Their files train.mat and
test.mat hold two struct arrays each, D1 and D2, with an element an image: `filename`, `taglist` (numbers of words, from
1, in the order in which they were given), and the image features `gist`, `color` and `bow`. The words themselves are
not known to be in them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cmr.datasets.mat import load_structs
from cmr.datasets.pairs import Pair
from cmr.errors import UserError

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
PARTS = {"train": ("pascal_voc2007_trainval", "trainval.txt"), "test": ("pascal_voc2007_test", "test.txt")}
WORDS = 399  # in the vocabulary of the tags
DEEPEST_RANK = 50  # ranks beyond count as this one

Block = tuple[list[str], NDArray[np.float32]]


def read(folders: dict[str, Path], difficult: bool = True) -> Iterator[Pair]:
    """Pairs without texts, the train part (the challenge's trainval) first; labels are the classes of the objects.

    Parameters
    ----------
    folders : the assets `pascal_voc2007_trainval` and `pascal_voc2007_test`; of each the list and the annotations.
    difficult : objects that are marked as difficult to recognise count. Without them some images have no label.

    Raises UserError naming the list, or the annotation that is missing or is not what the challenge describes.
    """
    for part, (asset, name) in PARTS.items():
        folder = folders[asset]
        for item in _lines(folder / "ImageSets" / "Main" / name):
            yield Pair(
                id=item,
                image=folder / "JPEGImages" / f"{item}.jpg",
                text=None,
                labels=_classes(folder / "Annotations" / f"{item}.xml", difficult),
                part=part,
            )


def tag_features(
    folders: dict[str, Path], kinds: Sequence[Literal["count", "absolute", "relative"]]
) -> Iterator[Block]:
    """Features of the tags of asset `pascal_voc2007_tags`, each kind with 399 columns, one after the other.

    count : how often the list has the word.
    absolute : 1 / log2(1 + rank), rank being the word's first place in the list.
    relative : 1 - percentile, the share of the word's places in all lists of the train part that are at most its mean
        place in this one. A mean beyond the 50th place counts as the 50th; places after it are not in the share.

    A word that is not in the list has 0, and so has `relative` of a word that no train list has.
    """
    lists = {part: list(_tag_lists(folders["pascal_voc2007_tags"] / f"{part}.mat")) for part in PARTS}
    functions = {"count": _count, "absolute": _absolute, "relative": _Relative([tags for _, tags in lists["train"]])}
    for items in lists.values():
        rows = [np.concatenate([functions[kind](tags) for kind in kinds]) for _, tags in items]
        yield [item for item, _ in items], np.array(rows, dtype=np.float32)


def image_features(folders: dict[str, Path], field: Literal["gist", "color", "bow"]) -> Iterator[Block]:
    """Features that Hwang and Grauman's files give for the images."""
    for part in PARTS:
        path = folders["pascal_voc2007_tags"] / f"{part}.mat"
        elements = _elements(path, field)
        rows = [np.ravel(element[field]) for element in elements]
        if len(widths := {len(row) for row in rows}) > 1:
            raise UserError(f"{path}: the elements' {field} have different lengths: {sorted(widths)[:5]}")
        yield [_id(element) for element in elements], np.array(rows, dtype=np.float32)


def eisr_features(folders: dict[str, Path]) -> Iterator[Block]:
    """Text features that the authors of EISR trained on, asset `eisr_features`.

    Files <part>_text.bin: two little-endian 32-bit integers n and d, then n rows of d 32-bit floats in the order of the
    lines of <part>_list.txt, which begin with an image's path. Source: Liu et al., Enhanced isomorphic semantic
    representation for cross-media retrieval, ICME 2017; https://github.com/liutinglt/icme.
    """
    for part in PARTS:
        folder = folders["eisr_features"] / "pascal_voc_2007"
        ids = [Path(line).stem for line in _lines(folder / f"{part}_list.txt")]
        path = folder / f"{part}_text.bin"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}. It is not in every copy") from error
        n, d = np.frombuffer(content[:8], "<i4") if len(content) >= 8 else (0, 0)
        if n != len(ids) or d < 1 or len(content) != 8 + 4 * int(n) * int(d):
            raise UserError(f"{path} has {len(content)} bytes for {n} rows of {d}, but its list has {len(ids)} lines")
        yield ids, np.frombuffer(content, "<f4", offset=8).reshape(n, d)


def _lines(path: Path) -> list[str]:
    """The first word of each line."""
    try:
        return [words[0] for line in path.read_text("utf-8").splitlines() if (words := line.split())]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"list {path} cannot be read: {error}") from error


def _classes(path: Path, difficult: bool) -> tuple[str, ...]:
    try:
        xml = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"annotation {path} cannot be read: {error}. Unpack the official archive again") from error
    # Annotations declare no document type; one could define entities that swell to gigabytes or name other files.
    if "<!DOCTYPE" in xml:
        raise UserError(f"annotation {path} declares a document type, which those of the challenge do not")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise UserError(f"annotation {path} is not well-formed: {error}. Unpack the official archive again") from error
    # Only names right below an <object>: the photographer and the parts of a person have names, too.
    objects = [
        (thing.findtext("name", "").strip(), thing.findtext("difficult", "").strip())
        for thing in root.iterfind("object")
    ]
    if strange := [name for name, _ in objects if name not in CLASSES]:
        raise UserError(f"annotation {path} has an object {strange[0]!r}, which is none of the 20 classes")
    return tuple(sorted({name for name, mark in objects if difficult or mark != "1"}))


def _elements(path: Path, field: str) -> list[dict]:
    return [element for name in ("D1", "D2") for element in load_structs(path, name, ("filename", field))]


def _id(element: dict) -> str:
    return Path(element["filename"]).stem


def _tag_lists(path: Path) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Ids and the numbers of their words, from 0."""
    for element in _elements(path, "taglist"):
        tags = np.ravel(element["taglist"]).astype(float)
        if len(strange := tags[(tags % 1 != 0) | (tags < 1) | (tags > WORDS)]):
            raise UserError(f"{path}: the taglist of {element['filename']} has {strange[0]:g}; words are 1 to {WORDS}")
        yield _id(element), tags.astype(np.intp) - 1


def _count(tags: NDArray[np.intp]) -> NDArray:
    return np.bincount(tags, minlength=WORDS)


def _absolute(tags: NDArray[np.intp]) -> NDArray:
    words, first = np.unique(tags, return_index=True)
    feature = np.zeros(WORDS)
    feature[words] = 1 / np.log2(2 + first)
    return feature


class _Relative:
    def __init__(self, lists: Sequence[NDArray[np.intp]]) -> None:
        seen = np.zeros((WORDS, DEEPEST_RANK))
        for tags in lists:
            np.add.at(seen, (tags[:DEEPEST_RANK], np.arange(len(tags[:DEEPEST_RANK]))), 1)
        self.at_most = np.cumsum(seen, axis=1)

    def __call__(self, tags: NDArray[np.intp]) -> NDArray:
        times = np.maximum(_count(tags), 1)
        mean = np.bincount(tags, weights=np.arange(1, len(tags) + 1), minlength=WORDS) / times
        place = np.clip(np.floor(mean + 0.5).astype(int), 1, DEEPEST_RANK)  # halves up
        total = self.at_most[:, -1]
        share = self.at_most[np.arange(WORDS), place - 1] / np.maximum(total, 1)
        return np.where((_count(tags) > 0) & (total > 0), 1 - share, 0)
