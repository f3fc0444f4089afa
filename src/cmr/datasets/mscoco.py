"""MS COCO 2014: 123 287 photographs with objects of 80 categories and some five English captions each.

Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; captions: Chen et al., arXiv:1504.00325;
https://cocodataset.org. For train2014 and val2014 the archive of annotations holds `instances_<images>.json` with the
lists images (id, file_name), annotations (image_id, category_id; one an object) and categories (id, name), and
`captions_<images>.json` with the list annotations (id, image_id, caption). All are read in streams, one being 330 MB.

IDCMR speaks of 328 000 images and 91 categories: the categories of the paper by Lin et al., of which 80 are published.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import ijson
import numpy as np

from cmr.datasets.pairs import Pair
from cmr.errors import UserError

PARTS = {"train2014": "train", "val2014": "valid"}
DEEPEST = 100
BLOCK_BYTES = 1 << 20
_NO_MARKS = bytes(set(range(256)) - set(b'"[{}]'))
_STEPS = np.zeros(256, np.int8)  # down into a list or object, and up
_STEPS[[*b"[{"]], _STEPS[[*b"]}"]] = 1, -1


def read(
    folders: dict[str, Path],
    captions: Literal["joined", "separate"] = "joined",
    images: Sequence[str] = tuple(PARTS),
) -> Iterator[Pair]:
    """Pairs with at least one object; the classes are the categories of an image's objects, crowds included.

    Parameters
    ----------
    folders : `mscoco_annotations` with the JSON files, and `mscoco_train2014` and `mscoco_val2014` with the images.
    captions : joined: an item is an image with all its captions, one a line; its id is the image's name without suffix.
        separate: an item is a caption with its image; its id is `<image>#<number>`, counted from 0, and its group the
        image.
    images : train2014, val2014 or both.

    Raises
    ------
    UserError : a file is missing, cut short or of another layout, or names an image or category that it does not list.
        Without any captions_*.json the items have no text.
    """
    if captions not in ("joined", "separate"):
        raise UserError(f'captions are "joined" or "separate", not "{captions}"')
    if not images or (strange := set(images) - set(PARTS)):
        raise UserError(f"images are {' and '.join(PARTS)}, not {', '.join(sorted(strange)) if images else 'none'}")
    annotations = folders["mscoco_annotations"]
    has_texts = any((annotations / f"captions_{name}.json").exists() for name in images)
    if captions == "separate" and not has_texts:
        raise UserError(
            f"{annotations} holds no captions_*.json, so there are no captions that could be separate items"
        )
    for name in images:
        instances = annotations / f"instances_{name}.json"
        file_of = dict(_records(instances, "images", id=int, file_name=str))
        classes_of = _classes(instances, file_of)
        texts_of = _captions(annotations / f"captions_{name}.json", file_of) if has_texts else {}
        for image, classes in classes_of.items():
            path = folders[f"mscoco_{name}"] / file_of[image]
            texts = texts_of.get(image)
            if captions == "joined":
                text = "\n".join(texts) if texts else None
                yield Pair(path.stem, path, text, classes, part=PARTS[name])
            else:
                for number, text in enumerate(texts or [None]):
                    yield Pair(f"{path.stem}#{number}", path, text, classes, part=PARTS[name], group=path.stem)


def _classes(instances: Path, file_of: dict[int, str]) -> dict[int, tuple[str, ...]]:
    """Names of the categories that occur in each image; images without objects are absent."""
    name_of = dict(_records(instances, "categories", id=int, name=str))
    categories_of: dict[int, set[int]] = defaultdict(set)
    for image, category in _records(instances, "annotations", image_id=int, category_id=int):
        categories_of[image].add(category)
    _check_listed(instances, "image", categories_of.keys() - file_of)
    _check_listed(instances, "category", {one for many in categories_of.values() for one in many} - name_of.keys())
    return {
        image: tuple(sorted(name_of[one] for one in categories_of[image]))
        for image in file_of
        if image in categories_of
    }


def _captions(path: Path, file_of: dict[int, str]) -> dict[int, list[str]]:
    """The captions of each image in the order of their ids, each on one line."""
    numbered: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for number, image, caption in _records(path, "annotations", id=int, image_id=int, caption=str):
        numbered[image].append((number, " ".join(caption.split())))
    _check_listed(path, "image", numbered.keys() - file_of)
    return {image: [caption for _, caption in sorted(captions)] for image, captions in numbered.items()}


def _records(path: Path, key: str, **fields: type) -> Iterator[tuple[Any, ...]]:
    """Fields, of these types, of every record of the list `key`, which is one of those at the top of a JSON file."""
    number = 0
    try:
        _check_depth(path)
        with path.open("rb") as file:
            for record in ijson.items(file, f"{key}.item", use_float=True):
                values = tuple(record[field] for field in fields)
                if not all(isinstance(value, kind) for value, kind in zip(values, fields.values(), strict=True)):
                    raise TypeError
                yield values
                number += 1
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; it is part of annotations_trainval2014.zip") from error
    except (ijson.JSONError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is cut short or no JSON: {reason}. Fetch it again") from error
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: entry {number} of {key} is not {{{', '.join(fields)}, ...}}") from error
    if number == 0:
        raise UserError(f"{path} holds no list {key}: it is not one of MS COCO's files")


def _check_depth(path: Path) -> None:
    """Refuse JSON in more than DEEPEST levels: ijson's memory grows with the square of their number."""
    depth = in_string = 0
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            block = (rest + block).replace(b"\\\\", b"")
            rest = b"\\" if block.endswith(b"\\") else b""  # of an escape that goes on in the next block
            block = block.removesuffix(b"\\").replace(b'\\"', b"")
            marks = np.frombuffer(block.translate(None, _NO_MARKS), np.uint8)
            in_strings = np.cumsum(marks == ord('"'), dtype=np.int32) + in_string & 1
            step = _STEPS[marks] * (1 - in_strings)
            levels = depth + np.cumsum(step, dtype=np.int32)
            if not len(marks):
                continue
            in_string = int(in_strings[-1])
            if levels.max() > DEEPEST:
                raise ValueError(f"it is nested in more than {DEEPEST} levels")
            depth = int(levels[-1])


def _check_listed(path: Path, kind: str, unknown: set[int]) -> None:
    if unknown:
        raise UserError(f"{path} refers to the {kind} {min(unknown)}, which is not listed. Fetch the annotations again")
