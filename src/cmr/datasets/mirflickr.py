"""MIRFlickr-25000: 25 000 photographs from Flickr with their owners' tags, annotated with 24 topics.

Source: Huiskes and Lew, The MIR Flickr retrieval evaluation, ACM MIR 2008; https://press.liacs.nl/mirflickr/. Members
of mirflickr25k.zip, below the folder mirflickr, and of mirflickr25k_annotations_v080.zip::

    im<i>.jpg                   i from 1 to 25000
    meta/tags/tags<i>.txt       one tag a line, lower case without blanks; empty for some
    doc/common_tags.txt         1386 tags with the number of images that have them (20 or more), most frequent first

    <topic>.txt                 numbers of the images to which the topic applies, at least a little: 24 files
    <topic>_r1.txt              of these, the ones to which it is relevant: 14 files
    README.txt

`read_20015` reads the variant of the papers on hashing (Jiang and Li, Deep cross-modal hashing, CVPR 2017): the images
with at least one topic and one common tag, as arrays.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmr.datasets.mat import load_array, load_strings
from cmr.datasets.pairs import Pair
from cmr.datasets.text_files import lines, whole_number
from cmr.errors import UserError

IMAGES = 25_000
TOPICS = (
    *("animals", "baby", "bird", "car", "clouds", "dog", "female", "flower", "food", "indoor", "lake", "male"),
    *("night", "people", "plant_life", "portrait", "river", "sea", "sky", "structures", "sunset", "transport", "tree"),
    "water",
)
UNJUDGED = ("animals", "food", "indoor", "lake", "plant_life", "sky", "structures", "sunset", "transport", "water")
RELEVANT = tuple(f"{topic}_r1" for topic in TOPICS if topic not in UNJUDGED)
HASHING = "mirflickr25k_hashing"

Block = tuple[list[str], NDArray[np.float32]]


def read(folders: dict[str, Path], classes: Literal["all", "potential", "relevant"] = "all") -> Iterator[Pair]:
    """All 25 000 images im1, im2 and so on with their tags.

    Parameters
    ----------
    folders : the assets `mirflickr25k` (tags, if it has them) and `mirflickr25k_annotations`.
    classes : the 24 topics as they potentially apply (sky), the 14 for which relevance was judged (sea_r1), or all 38.

    Raises UserError naming the file and line of an annotation that is no number of an image, or the tags that are not
    UTF-8.
    """
    names = {"all": (*TOPICS, *RELEVANT), "potential": TOPICS, "relevant": RELEVANT}.get(classes)
    if names is None:
        raise UserError(f"classes is all, potential or relevant, not {classes}")
    labels: dict[int, list[str]] = {}
    for name in sorted(names):
        for image in _annotated(folders["mirflickr25k_annotations"] / f"{name}.txt"):
            labels.setdefault(image, []).append(name)
    folder = folders["mirflickr25k"]
    for image in range(1, IMAGES + 1):
        yield Pair(
            id=f"im{image}",
            image=folder / f"im{image}.jpg",
            text=_tags(folder / "meta" / "tags" / f"tags{image}.txt"),
            labels=tuple(labels.get(image, ())),
        )


def read_20015(folders: dict[str, Path], tags_as_text: bool = False) -> Iterator[Pair]:
    """The variant of 20 015 images, with the ids row00001, row00002 and so on; equal sets of tags form a group.

    Asset `mirflickr25k_hashing` has mirflickr25k-lall.mat (LAll, n × 24) and mirflickr25k-yall.mat (YAll, n × 1386).
    The columns of LAll are the topics in alphabetical order. The file does not say so, but read in this way all its
    birds are animals, all cars transport, all clouds sky, all lakes, rivers and seas water, and so on.

    Where it exists, mirflickr25k-fall.mat of the same asset (FAll, n names of files) says which images of the asset
    `mirflickr25k` the rows are.

    Parameters
    ----------
    tags_as_text : the text is the tags, most frequent first. The asset `mirflickr25k` has to be there, whose file
        doc/common_tags.txt names the columns of YAll.
    """
    labels, tags = _binary(folders, "lall", "LAll", len(TOPICS)), _binary(folders, "yall", "YAll")
    if len(labels) != len(tags):
        raise UserError(f"{_mat(folders, 'lall')} has {len(labels)} rows, but {_mat(folders, 'yall')} has {len(tags)}")
    official = folders.get("mirflickr25k")
    names = _file_names(folders, len(tags)) if official and _mat(folders, "fall").is_file() else None
    words = _common_tags(official / "doc" / "common_tags.txt", tags.sum(axis=0)) if tags_as_text else None
    for row in range(len(tags)):
        columns = np.flatnonzero(tags[row]).tolist()
        yield Pair(
            id=_row_id(row),
            image=official / names[row] if names else None,
            text=" ".join(words[column] for column in columns) if words else None,
            labels=tuple(TOPICS[column] for column in np.flatnonzero(labels[row])),
            group=" ".join(map(str, columns)),
        )


def tags_20015(folders: dict[str, Path]) -> Iterator[Block]:
    """YAll: which of the 1386 common tags each item of `read_20015` has."""
    tags = _binary(folders, "yall", "YAll")
    yield [_row_id(row) for row in range(len(tags))], tags.astype(np.float32)


def vgg_20015(folders: dict[str, Path]) -> Iterator[Block]:
    """XAll of mirflickr25k-iall-vgg.mat, 4096 numbers an image; its rows are those of LAll and YAll.

    Source: Hu et al., Unsupervised contrastive cross-modal hashing (UCCH); https://github.com/penghu-cs/UCCH. Files
    of this source whose names end in -rand.mat may hold the rows in another order and do not belong here.
    """
    path = _mat(folders, "iall-vgg")
    values = load_array(path, "XAll")
    rows = len(_binary(folders, "lall", "LAll", len(TOPICS)))
    if values.ndim != 2 or len(values) != rows:
        raise UserError(f"XAll in {path} has shape {values.shape}, but {_mat(folders, 'lall')} has {rows} rows")
    yield [_row_id(row) for row in range(rows)], values.astype(np.float32)


def _annotated(path: Path) -> Iterator[int]:
    try:
        content = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"annotations {path} cannot be read: {error}. Unpack the official archive again") from error
    for number, line in enumerate(lines(content), 1):
        if not line.strip():
            continue
        image = whole_number(line)
        if image is None or not 1 <= image <= IMAGES:
            raise UserError(f"{path}, line {number}: {line.strip()[:80]!r} is no number of an image, 1 to {IMAGES}")
        yield image


def _tags(path: Path) -> str | None:
    try:
        return " ".join(path.read_text("utf-8-sig").split())
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise UserError(f"tags {path} are not UTF-8: {error}") from error


def _row_id(row: int) -> str:
    return f"row{row + 1:05d}"


def _mat(folders: dict[str, Path], name: str) -> Path:
    return folders[HASHING] / f"mirflickr25k-{name}.mat"


def _binary(folders: dict[str, Path], file: str, variable: str, columns: int | None = None) -> NDArray:
    path = _mat(folders, file)
    values = load_array(path, variable)
    if values.ndim != 2 or (columns and values.shape[1] != columns):
        raise UserError(f"{variable} in {path} has shape {values.shape}, expected are {columns or 'some'} columns")
    if len(strange := np.argwhere((values != 0) & (values != 1))):
        row, column = strange[0]
        raise UserError(f"{variable} in {path} holds {values[row, column]} in row {row + 1}, where 0 or 1 is expected")
    return values


def _file_names(folders: dict[str, Path], rows: int) -> list[str]:
    path = _mat(folders, "fall")
    names = load_strings(path, "FAll")
    if len(names) != rows:
        raise UserError(f"FAll in {path} has {len(names)} names, but {_mat(folders, 'yall')} has {rows} rows")
    if strange := [name for name in names if Path(name).name != name or not name.endswith(".jpg")]:
        raise UserError(f"FAll in {path} holds {strange[0]!r}, which is no name of an image such as im1.jpg")
    return names


def _common_tags(path: Path, used: NDArray) -> list[str]:
    """The tags in the order of the file, in which their numbers of images have to allow for those that are `used`."""
    try:
        tags = [line.split() for line in lines(path.read_text("utf-8")) if line.strip()]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}. tags_as_text needs the asset mirflickr25k") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from error
    if len(tags) != len(used):
        raise UserError(f"{path} has {len(tags)} tags, but YAll has {len(used)} columns")
    for number, (line, images) in enumerate(zip(tags, used.tolist(), strict=True), 1):
        if len(line) != 2 or (count := whole_number(line[1])) is None:
            raise UserError(f"{path}, line {number}: expected is a tag and a number, not {' '.join(line)[:80]!r}")
        if count < images:
            raise UserError(
                f"{path}, line {number}: {line[0]} is a tag of {line[1]} images, column {number} of YAll of {images}: "
                "the columns are not the tags of this file"
            )
    return [tag for tag, _ in tags]
