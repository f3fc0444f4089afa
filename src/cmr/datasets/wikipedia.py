"""Wikipedia featured articles: 2866 sections, each with the one picture that stands in it, in 10 categories.

Source: Rasiwasia et al., A new approach to cross-modal multimedia retrieval, ACM Multimedia 2010;
http://www.svcl.ucsd.edu/projects/crossmodal/. The archive's members::

    trainset_txt_img_cat.list  2173 lines: text, image and number of category, separated by tabs
    testset_txt_img_cat.list   693 lines
    categories.list            the categories in the order of their numbers
    texts/<text>.xml           the section is the element <text> of the document
    images/<category>/<image>.jpg
    raw_features.mat           I_tr, I_te, T_tr, T_te: one row a line of the lists
"""

import html
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmr.datasets.folders import class_names
from cmr.datasets.folders import read as read_folders
from cmr.datasets.mat import load_array
from cmr.datasets.pairs import Pair
from cmr.datasets.text_files import elements
from cmr.errors import UserError

FEATURES = "raw_features.mat"
LAYOUT = {
    "lists": {"train": "trainset_txt_img_cat.list", "test": "testset_txt_img_cat.list"},
    "columns": ("text", "image", "label"),
    "text_suffix": ".xml",
    "classes": "categories.list",
    "image_folder_a_class": True,
}

Block = tuple[list[str], NDArray[np.float32]]


def read(folders: dict[str, Path], articles_together: bool = False, encoding: str = "utf-8") -> Iterator[Pair]:
    """Pairs in the order of the official lists, train first; an item's id is the name of its text.

    The asset `wikipedia` needs the three lists; texts are read where it has them.

    Parameters
    ----------
    articles_together : sections of one article form a group. The part of a text's name before the hyphen is taken for
        the article: 1168 of them, each within one category. The official split does not keep them together.
    encoding : of the texts.
    """
    for pair in read_folders({"wikipedia": folders["wikipedia"]}, **LAYOUT, encoding=encoding, parse=article):
        yield replace(pair, group=pair.id.rsplit("-", 1)[0]) if articles_together else pair


def article(xml: str) -> str:
    """The text of a document.

    Files need not be well-formed XML, so that the element is cut out instead of parsed. Entities are decoded twice:
    those of XML, then those that the wiki's mark-up had itself (&amp;nbsp;).
    """
    sections = elements(xml, "text")
    if not sections:
        raise ValueError("no element <text> was found. Unpack the official archive again")
    return html.unescape(html.unescape("\n".join(sections))).strip()


def features(folders: dict[str, Path], array: Literal["I", "T", "T_tfidf"]) -> Iterator[Block]:
    """Features that lie in the order of the lists: `<array>_tr` for the train list, `<array>_te` for the test list.

    I (n, 128) and T (n, 10) are the archive's own. T_tfidf (n, 1000) stands in a file that others made in 2015, asset
    `wikipedia_tfidf1000`. It repeats I and T, which have to equal the archive's, or its rows are other items.

    Raises UserError where the number of rows is not that of the list's lines.
    """
    pairs = _listed(folders)
    official = path = folders["wikipedia"] / FEATURES
    if array == "T_tfidf":
        path = folders["wikipedia_tfidf1000"] / "raw_features_with_tfidf1000.mat"
        for name in ("I_tr", "I_te", "T_tr", "T_te"):
            if not np.array_equal(load_array(path, name), load_array(official, name)):
                raise UserError(
                    f"{name} in {path} differs from {name} in {official}: its rows are not the lists' items"
                )
    for part, suffix in (("train", "tr"), ("test", "te")):
        ids = [pair.id for pair in pairs if pair.part == part]
        rows = load_array(path, f"{array}_{suffix}")
        if rows.ndim != 2 or len(rows) != len(ids):
            raise UserError(
                f"{array}_{suffix} in {path} has shape {rows.shape}, but {LAYOUT['lists'][part]} has {len(ids)} lines"
            )
        yield ids, rows.astype(np.float32)


def roph_features(folders: dict[str, Path], array: Literal["X1", "X2"]) -> Iterator[Block]:
    """Features of the file `roph_wiki.mat` of asset `wikipedia_roph`: X1 (128, n) of images, X2 (100, n) of texts.

    Its columns are the lines of the train list, then those of the test list; UserError where its labels Y (10, n) are
    not theirs. Its field `split`, a random partition, is not used.
    """
    pairs = _listed(folders)
    path = folders["wikipedia_roph"] / "roph_wiki.mat"
    columns, labels = (load_array(path, f"data.{name}") for name in (array, "Y"))
    categories = class_names(folders["wikipedia"] / LAYOUT["classes"])
    expected = np.array([[name in pair.labels for pair in pairs] for name in categories])
    if columns.ndim != 2 or columns.shape[1] != len(pairs):
        raise UserError(f"{array} in {path} has shape {columns.shape}, but the lists have {len(pairs)} lines")
    if labels.shape != expected.shape:
        raise UserError(f"Y in {path} has shape {labels.shape}, but the lists call for {expected.shape}")
    if (other := (labels != expected).any(axis=0)).any():
        raise UserError(
            f"the categories Y in {path} differ from those of the lists, first for {pairs[other.argmax()].id}"
        )
    yield [pair.id for pair in pairs], columns.T.astype(np.float32)


def _listed(folders: dict[str, Path]) -> list[Pair]:
    """The pairs without their texts."""
    return list(read_folders({"wikipedia": folders["wikipedia"]}, **LAYOUT, texts=None))
