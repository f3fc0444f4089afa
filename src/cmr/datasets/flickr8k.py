"""Flickr8k: 8092 photographs of people and animals with five English captions each, and no classes.

Source: Hodosh, Young and Hockenmaier, Framing image description as a ranking task, JAIR 47, 2013; University of
Illinois, on request. `Flickr8k_text.zip` holds `Flickr8k.token.txt`, a line a caption (`<image>#<number>`, tab, words
separated by blanks), and `Flickr_8k.{train,dev,test}Images.txt`, a line an image, 8000 in all. `Flickr8k_Dataset.zip`
holds the folder `Flicker8k_Dataset` (so spelt) with 8091 images; the one that is missing, 2258277193_586949ec62.jpg, is
in no list.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cmr.datasets.pairs import Pair
from cmr.datasets.text_files import whole_number
from cmr.errors import UserError

CAPTIONS = "Flickr8k.token.txt"
LISTS = {"train": "Flickr_8k.trainImages.txt", "valid": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}

# One caption of 40 460 names its image so; the other four of that image have no ".1".
MISSPELT = {"2258277193_586949ec62.jpg.1": "2258277193_586949ec62.jpg"}


def read(folders: dict[str, Path], captions: Literal["joined", "separate"] = "joined") -> Iterator[Pair]:
    """Pairs in the order of the captions' file; images outside the three lists belong to no part.

    Parameters
    ----------
    folders : `flickr8k_text` with the lists and captions, and `flickr8k_images` with the images.
    captions : joined: an item is an image with all its captions, one a line; its id is the image's name without suffix.
        separate: an item is a caption with its image; its id is `<image>#<number>`, counted from 0, and its group the
        image.

    Without the captions' file the items are the images of the lists, without text.

    Raises
    ------
    UserError : a list is missing, a line cannot be understood, or an image is listed twice or has no captions.
    """
    if captions not in ("joined", "separate"):
        raise UserError(f'captions are "joined" or "separate", not "{captions}"')
    text, images = folders["flickr8k_text"], folders["flickr8k_images"]
    part_of = _parts(text)
    if (text / CAPTIONS).exists():
        captions_of = _captions(text / CAPTIONS)
        if silent := part_of.keys() - captions_of:
            raise UserError(f"{text / CAPTIONS} has no captions of {len(silent)} listed images, such as {min(silent)}")
    elif captions == "separate":
        raise UserError(f"{text / CAPTIONS} is missing, so there are no captions that could be separate items")
    else:
        captions_of = dict.fromkeys(part_of)
    for image, numbered in captions_of.items():
        item, path, part = image.removesuffix(".jpg"), images / image, part_of.get(image)
        if captions == "joined":
            joined = "\n".join(caption for _, caption in sorted(numbered.items())) if numbered else None
            yield Pair(item, path, joined, (), part)
        else:
            for number, caption in sorted(numbered.items()):
                yield Pair(f"{item}#{number}", path, caption, (), part, group=item)


def _parts(folder: Path) -> dict[str, str]:
    """The part of every listed image."""
    part_of: dict[str, str] = {}
    for part, name in LISTS.items():
        for number, line in _lines(folder / name):
            if not line.endswith(".jpg") or line in part_of:
                reason = "is listed before" if line in part_of else "is no name of an image"
                raise UserError(f'{folder / name}, line {number}: "{line[:80]}" {reason}')
            part_of[line] = part
    return part_of


def _captions(path: Path) -> dict[str, dict[int, str]]:
    """The captions of every image by their numbers."""
    captions_of: dict[str, dict[int, str]] = {}
    for line_number, line in _lines(path):
        key, tab, caption = line.partition("\t")
        image, _, number = key.rpartition("#")
        image = MISSPELT.get(image, image)
        place = whole_number(number)
        if not tab or not image.endswith(".jpg") or place is None:
            raise UserError(f"{path}, line {line_number} is not <image>.jpg#<number>, tab, caption: {line[:80]}")
        captions = captions_of.setdefault(image, {})
        if place in captions:
            raise UserError(f"{path}, line {line_number}: caption {number} of {image} stands there twice")
        captions[place] = caption.strip()
    return captions_of


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that say something, and their numbers."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n ")  # the tab before an empty caption stays
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; it is part of Flickr8k_text.zip") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8: {error}. Fetch it again") from error
