"""A small made data set: drawn shapes with captions, packed as the archive that a mirror would hold."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle", "cross", "ring", "bar")
COLOURS = ("red", "green", "blue", "orange", "purple", "black")
PLACES = ("high", "low", "left", "right", "centred")


def write_shapes(
    archive: Path, classes: int = 3, pairs: int = 20, multi_label: bool = False, faults: bool = False, seed: int = 0
) -> None:
    """Write a tar with pairs.csv and images/.

    Parameters
    ----------
    classes : how many of SHAPES; the shape is the class.
    pairs : items a class.
    multi_label : the colour is a second label.
    faults : add one item with an empty JPEG and one with an empty caption.
    """
    rng = np.random.default_rng(seed)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["id", "image", "text", "labels"])
    with tarfile.open(archive, "w") as tar:
        for shape in SHAPES[:classes]:
            for number in range(pairs):
                colour, place = rng.choice(COLOURS), rng.choice(PLACES)
                name = f"images/{shape}-{number:03d}.png"
                _add(tar, name, _png(_draw(shape, colour, rng)))
                labels = f"{shape}|{colour}" if multi_label else shape
                # The number makes captions differ: equal ones would be kept on one side of a split.
                text = f"A {colour} {shape}, {place}, drawn as specimen {_letters(number)}."
                writer.writerow([f"{shape}-{number:03d}", name, text, labels])
        if faults:
            _add(tar, "images/empty.jpg", b"")
            writer.writerow(["empty-image", "images/empty.jpg", "An empty file.", SHAPES[0]])
            _add(tar, "images/silent.png", _png(_draw(SHAPES[0], "red", rng)))
            writer.writerow(["empty-caption", "images/silent.png", " ", SHAPES[0]])
        _add(tar, "pairs.csv", table.getvalue().encode())


def _draw(shape: str, colour: str, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGBA", (96, 96), (0, 0, 0, 0))  # transparent: reaches white by the project's own loader
    draw = ImageDraw.Draw(image)
    x, y = rng.integers(4, 30, size=2)
    a, b = x + 60, y + 60
    if shape == "circle":
        draw.ellipse((x, y, a, b), fill=colour)
    elif shape == "square":
        draw.rectangle((x, y, a, b), fill=colour)
    elif shape == "triangle":
        draw.polygon([(x, b), (a, b), ((x + a) // 2, y)], fill=colour)
    elif shape == "cross":
        draw.line((x, y, a, b), fill=colour, width=12)
        draw.line((x, b, a, y), fill=colour, width=12)
    elif shape == "ring":
        draw.ellipse((x, y, a, b), outline=colour, width=10)
    else:
        draw.rectangle((x, y + 24, a, y + 36), fill=colour)
    return image


def _letters(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:03d}")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
