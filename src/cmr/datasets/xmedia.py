"""XMedia: 5000 images and 5000 texts in 20 classes, the part of the set of five media that this project uses.

Source: Peng, Huang and Zhao, An overview of cross-media retrieval, TCSVT 2018 (arXiv:1704.02223), Peking University;
https://www.icst.pku.edu.cn/mipl/lwsjjxz/dataset. What is read here is the file of features XMediaFeatures.mat::

    I_tr_CNN, I_te_CNN      images, 4000 and 1000 rows of 4096 numbers
    T_tr_BOW, T_te_BOW      texts, 4000 and 1000 rows of 3000
    trImgCat, teImgCat, trTxtCat, teTxtCat      their classes, numbers from 1

Images and texts were collected class by class and independently of each other: nothing but the class connects them. The
pairs made here are the first image and the first text of a class, the second and the second, and so on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmr.datasets.mat import load_array
from cmr.datasets.pairs import Pair
from cmr.errors import UserError

FILE = "XMediaFeatures.mat"
PREFIXES = {"train": "tr", "test": "te"}
CATEGORIES = {"image": "ImgCat", "text": "TxtCat"}
ARRAYS = {"image": "I_{}_CNN", "text": "T_{}_BOW"}


def read(folders: dict[str, Path]) -> Iterator[Pair]:
    """Pairs without image and text, the train part first; classes are class01 to class20.

    `folders` has the asset `xmedia_features`. The file does not name the classes; that their order is the one in which
    the authors' page lists them is likely but unproven.

    Raises UserError where a class has not as many texts as images.
    """
    path = folders["xmedia_features"] / FILE
    for part, prefix in PREFIXES.items():
        images, texts = (np.sort(_categories(path, prefix, modality)) for modality in CATEGORIES)
        if not np.array_equal(images, texts):
            raise UserError(f"{path}: {prefix}ImgCat and {prefix}TxtCat have different numbers of items of a class")
        for item, category in zip(_ids(part, images), images, strict=True):
            yield Pair(id=item, image=None, text=None, labels=(f"class{category:02d}",), part=part)


def features(
    folders: dict[str, Path], modality: Literal["image", "text"]
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """CNN features of the images (n, 4096) or bags of words of the texts (n, 3000)."""
    path = folders["xmedia_features"] / FILE
    for part, prefix in PREFIXES.items():
        name = ARRAYS[modality].format(prefix)
        rows, categories = load_array(path, name), _categories(path, prefix, modality)
        if rows.ndim != 2 or len(rows) != len(categories):
            raise UserError(
                f"{path}: {name} has shape {rows.shape}, but {prefix}{CATEGORIES[modality]} has {len(categories)} items"
            )
        by_class = np.argsort(categories, kind="stable")
        yield _ids(part, categories[by_class]), rows[by_class].astype(np.float32)


def _categories(path: Path, prefix: str, modality: str) -> NDArray[np.int64]:
    name = prefix + CATEGORIES[modality]
    values = load_array(path, name).ravel()
    if len(strange := values[(values < 1) | (values % 1 != 0)]):
        raise UserError(f"{path}: {name} holds {strange[0]}, where numbers of classes from 1 are expected")
    return values.astype(np.int64)


def _ids(part: str, sorted_categories: NDArray[np.int64]) -> list[str]:
    """Names of part, class and place in the class."""
    _, counts = np.unique(sorted_categories, return_counts=True)
    places = np.concatenate([np.arange(1, count + 1) for count in counts])
    return [f"{part}-{category:02d}-{place:03d}" for category, place in zip(sorted_categories, places, strict=True)]
