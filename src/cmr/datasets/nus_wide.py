"""NUS-WIDE: Flickr photographs with their users' tags, 81 concepts and six low-level image features.

Source: Chua, Tang, Hong, Li, Luo and Zheng: NUS-WIDE, a real-world web image database from National University of
Singapore, CIVR 2009; https://github.com/NExTplusplus/NUS-WIDE and
https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html.

Line i of every file below belongs to line i of every other; files are found at any depth of their asset's folder.

| asset | file | a line |
|---|---|---|
| nus_wide_groundtruth | AllLabels/Labels_<concept>.txt, 81 files | 0 or 1 |
| nus_wide_image_list | Imagelist.txt | actor\\0001_2124494179.jpg: subject, number and photo, with trailing blanks |
| | TrainImagelist.txt, TestImagelist.txt | the official split of these paths, 161 789 and 107 859 |
| nus_wide_tags | All_Tags.txt | photo, then the user's tags in their order, in any language, UTF-8 |
| | AllTags1k.txt | 1000 times 0 or 1, the tags of TagList1k.txt, each followed by a tab |
| nus_wide_features | Normalized_CH.dat ..., BoW_int.dat | the numbers of the feature, each followed by a blank |

The labels by official part (TrainTestLabels) are not read: line 78 372 of Labels_lake_Train.txt is -1130179 there,
while AllLabels is sound. Six photographs occur twice, some with different labels: the two are one group.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cmr.datasets.pairs import Pair
from cmr.datasets.text_files import whole_number
from cmr.errors import UserError

CONCEPTS = 81
TAGS = 1000
BLOCK = 4096  # rows
ORDER_SLACK = 0.1  # share of a block that may disagree before its order is in doubt

FEATURES = {
    "CH": ("Normalized_CH.dat", 64),
    "CORR": ("Normalized_CORR.dat", 144),
    "EDH": ("Normalized_EDH.dat", 73),
    "WT": ("Normalized_WT.dat", 128),
    "CM55": ("Normalized_CM55.dat", 225),
    "BoW": ("BoW_int.dat", 500),
}

PATH = re.compile(r"([^\\/]+)[\\/](\d+_(\d{1,18})\.jpg)\s*")


def read(
    folders: dict[str, Path],
    classes: Literal["all"] | int | list[str] = "all",
    single: bool = False,
    tags: Literal["optional", "any", "listed"] = "optional",
) -> Iterator[Pair]:
    """Photographs that have one of the classes chosen.

    An id is the line and the photo, such as 000001_2124494179. The text is the tags in their order. Without the image
    list items have neither image nor part, without All_Tags.txt no text; one of the two is needed.

    Parameters
    ----------
    classes : all 81 concepts, the so many largest, or those named. The largest are counted over all images, or, with
        `single`, over those with one concept.
    single : keep images with exactly one of all 81 concepts.
    tags : "any" keeps images with a tag, "listed" those with one of the 1000 tags of AllTags1k.txt.

    Raises
    ------
    UserError : files disagree in length or about the photo of a line, a line is not as above, or a class is unknown.
    """
    if tags not in ("optional", "any", "listed"):
        raise UserError(f'tags is "optional", "any" or "listed", not {tags!r}')
    images = _images(folders)
    photos = _photos(folders, images)
    names, labels = _labels(folders["nus_wide_groundtruth"], len(photos))
    kept = labels.sum(axis=0) == 1 if single else np.ones(len(photos), bool)
    chosen = _choose(names, labels[:, kept].sum(axis=1), classes)
    kept &= labels[chosen].any(axis=0)
    if tags == "listed":
        kept &= _has_listed_tag(_need(folders["nus_wide_tags"], "AllTags1k.txt"), len(photos))

    parts = _parts(folders["nus_wide_image_list"], images) if images else None
    all_tags = _find(folders.get("nus_wide_tags"), "All_Tags.txt")
    if all_tags is None and tags == "any":
        raise UserError(f'tags="any" needs All_Tags.txt, which is not in {folders.get("nus_wide_tags")}')
    texts = (None for _ in photos) if all_tags is None else (text for _, text in _tagged(all_tags, photos))
    for row, (photo, text) in enumerate(zip(photos, texts, strict=True)):
        if kept[row] and (text != "" or tags != "any"):
            yield Pair(
                id=_id(row, photo),
                image=None if images is None else folders["nus_wide_images"] / images[row],
                text=text,
                labels=tuple(names[k] for k in chosen if labels[k, row]),
                part=None if parts is None else parts[row],
                group=photo,
            )


def features(folders: dict[str, Path], kinds: list[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Ids and features of all images, the kinds (keys of FEATURES) side by side, in blocks of rows.

    The files carry no ids: that they have one row an image is all that can be checked.
    """
    if unknown := [kind for kind in kinds if kind not in FEATURES]:
        raise UserError(f"NUS-WIDE has no features {', '.join(unknown)}; it has {', '.join(FEATURES)}")
    ids = [_id(row, photo) for row, photo in enumerate(_photos(folders, _images(folders)))]
    folder = folders["nus_wide_features"]
    streams = [_blocks(_need(folder, name), len(ids), width) for name, width in (FEATURES[kind] for kind in kinds)]
    row = 0
    for blocks in zip(*streams, strict=True):
        values = np.hstack(blocks)
        yield ids[row : row + len(values)], values
        row += len(values)


def tags1k(folders: dict[str, Path]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Ids and the 1000 most frequent tags of all images, 0 or 1, in blocks of rows.

    The rows carry no ids, so that their order is checked by All_Tags.txt, which does: they are refused where more than
    a tenth of a block has other listed tags there. In the original 16 rows of all have.
    """
    photos = _photos(folders, _images(folders))
    folder = folders["nus_wide_tags"]
    column = {tag.strip(): k for k, tag in enumerate(_lines(_need(folder, "TagList1k.txt")))}
    tagged = _tagged(_need(folder, "All_Tags.txt"), photos)
    path = _need(folder, "AllTags1k.txt")
    row = 0
    for values in _blocks(path, len(photos), TAGS):
        ids, differing = [], 0
        for tags in values:
            photo, text = next(tagged)
            differing += {column[tag] for tag in text.split() if tag in column} != set(np.flatnonzero(tags).tolist())
            ids.append(_id(row + len(ids), photo))
        if differing > ORDER_SLACK * len(ids):
            raise UserError(
                f"{path} and All_Tags.txt beside it disagree in {differing} of the {len(ids)} lines from {row + 1} on: "
                "they are not in the same order. Fetch NUS_WID_Tags.zip again"
            )
        row += len(ids)
        yield ids, values


def _id(row: int, photo: str) -> str:
    return f"{row + 1:06d}_{photo}"


def _choose(names: list[str], counts: NDArray[np.int64], classes: Literal["all"] | int | list[str]) -> list[int]:
    """Rows of the label matrix, sorted by name."""
    if classes == "all":
        return list(range(len(names)))
    if isinstance(classes, int):
        if not 1 <= classes <= len(names):
            raise UserError(f"classes is a number from 1 to {len(names)}, not {classes}")
        # Equally large ones by name, so that the choice does not depend on the order of files.
        return sorted(sorted(range(len(names)), key=lambda k: (-counts[k], names[k]))[:classes])
    if unknown := sorted(set(classes) - set(names)):
        raise UserError(f"NUS-WIDE has no concept {', '.join(unknown)}; it has {', '.join(names)}")
    return sorted(names.index(name) for name in set(classes))


def _labels(folder: Path, rows: int) -> tuple[list[str], NDArray[np.bool_]]:
    """Names of the concepts, sorted, and which images have them: (81, rows)."""
    directory = _need(folder, "AllLabels")
    paths = {path.stem.removeprefix("Labels_"): path for path in directory.glob("Labels_*.txt")}
    if len(paths) != CONCEPTS:
        raise UserError(f"{directory} holds {len(paths)} files Labels_*.txt, but there are {CONCEPTS} concepts")
    names = sorted(paths)
    labels = np.zeros((CONCEPTS, rows), bool)
    for k, name in enumerate(names):
        values = np.array(paths[name].read_bytes().split(), dtype="S")
        if len(strange := np.flatnonzero((values != b"0") & (values != b"1"))):
            line = strange[0]
            raise UserError(f"{paths[name]}, line {line + 1}: {values[line].decode('latin-1')!r} is neither 0 nor 1")
        if len(values) != rows:
            raise _length(paths[name], len(values), rows)
        labels[k] = values == b"1"
    return names, labels


def _photos(folders: dict[str, Path], images: list[str] | None) -> list[str]:
    """Flickr's number of the photograph of each line, from the image list or, without one, from the tags."""
    if images:
        return [str(int(PATH.fullmatch(image)[3])) for image in images]
    if path := _find(folders.get("nus_wide_tags"), "All_Tags.txt"):
        return [photo for photo, _ in _tagged(path)]
    raise UserError("NUS-WIDE needs Imagelist.txt (ImageList.zip) or All_Tags.txt (NUS_WID_Tags.zip), and has neither")


def _images(folders: dict[str, Path]) -> list[str] | None:
    """Path of each image below the folder of images; None without an image list."""
    path = _find(folders.get("nus_wide_image_list"), "Imagelist.txt")
    return None if path is None else _paths(path)


def _parts(folder: Path, images: list[str]) -> list[str] | None:
    """The official part of each image; None without the lists of the parts."""
    lists = {part: _find(folder, f"{part.capitalize()}Imagelist.txt") for part in ("train", "test")}
    if not any(lists.values()):
        return None
    part_of = {}
    for part, path in lists.items():
        if path is None:
            raise UserError(f"{folder} has the list of one official part, but lacks {part.capitalize()}Imagelist.txt")
        for line, image in enumerate(_paths(path), 1):
            if part_of.setdefault(image, part) != part:
                raise UserError(f"{path}, line {line}: {image} is in the list of the other part too")
    if missing := [image for image in images if image not in part_of]:
        raise UserError(f"{len(missing)} images of {folder} are in no official part, the first is {missing[0]}")
    if len(part_of) != len(images):
        raise UserError(f"the official parts in {folder} name {len(part_of)} images, Imagelist.txt {len(images)}")
    return [part_of[image] for image in images]


def _paths(path: Path) -> list[str]:
    images = []
    for line, text in enumerate(_lines(path), 1):
        if not (match := PATH.fullmatch(text)):
            raise UserError(f"{path}, line {line}: {text.strip()[:80]!r} is not like actor\\0001_2124494179.jpg")
        images.append(f"{match[1]}/{match[2]}")
    return images


def _tagged(path: Path, photos: list[str] | None = None) -> Iterator[tuple[str, str]]:
    """Photo and tags, one blank between two, of each line of All_Tags.txt; checked against `photos`."""
    line = 0
    for line, text in enumerate(_lines(path), 1):
        photo, *tags = text.split() or [""]
        number = whole_number(photo)
        if number is None:
            raise UserError(f"{path}, line {line}: {photo[:80]!r} is no number of a photograph")
        photo = str(number)
        if photos is not None and photo != (expected := photos[line - 1] if line <= len(photos) else "no photograph"):
            raise UserError(f"{path}, line {line}: photograph {photo}, but the image list has {expected} there")
        yield photo, " ".join(tags)
    if photos is not None and line != len(photos):
        raise _length(path, line, len(photos))


def _has_listed_tag(path: Path, rows: int) -> NDArray[np.bool_]:
    with path.open("rb") as lines:
        found = np.array([bool(line.translate(None, b"0 \t\r\n")) for line in lines])
    if len(found) != rows:
        raise _length(path, len(found), rows)
    return found


def _blocks(path: Path, rows: int, width: int) -> Iterator[NDArray[np.float32]]:
    """The numbers of a file of `rows` lines of `width`, in blocks of rows."""
    done = 0
    try:
        with pd.read_csv(path, sep=r"\s+", header=None, dtype=np.float32, chunksize=BLOCK) as chunks:
            for chunk in chunks:
                if chunk.shape[1] != width:
                    raise UserError(f"{path} has {chunk.shape[1]} numbers a line, {width} were expected")
                values = chunk.to_numpy()
                # A line that is too short ends in NaN.
                if len(bad := np.flatnonzero(~np.isfinite(values).all(axis=1))):
                    raise UserError(f"{path}, line {done + bad[0] + 1}: there are not {width} numbers")
                if done + len(values) > rows:
                    raise UserError(f"{path} has more lines than there are images, {rows}. Fetch it again")
                if len(values) < min(BLOCK, rows - done):
                    raise _length(path, done + len(values), rows)
                done += len(values)
                yield values
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read after line {done}: {error}") from error
    if done != rows:
        raise _length(path, done, rows)


def _lines(path: Path) -> Iterable[str]:
    with path.open("rb") as lines:
        for line, text in enumerate(lines, 1):
            try:
                yield text.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise UserError(f"{path}, line {line} is not UTF-8: {error}") from error


def _find(folder: Path | None, name: str) -> Path | None:
    """The file or folder of this name below `folder`, wherever an archive has put it; None where there is none."""
    found = sorted(folder.rglob(name)) if folder is not None and folder.is_dir() else []
    found = [path for path in found if "__MACOSX" not in path.parts]  # what a Mac adds to archives
    if len(found) > 1:
        raise UserError(f"{name} lies more than once in {folder}: {', '.join(map(str, found))}. Remove all but one")
    return found[0] if found else None


def _need(folder: Path, name: str) -> Path:
    if path := _find(folder, name):
        return path
    raise UserError(f"{name} of NUS-WIDE is not in {folder}")


def _length(path: Path, found: int, expected: int) -> UserError:
    return UserError(f"{path} has {found} lines, but there are {expected} images. Fetch it again")
