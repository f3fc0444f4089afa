"""TVGraz: web pages with a picture of an object of one of ten categories of Caltech-256.

Source: Khan, Saffari and Bischof: TVGraz, multi-modal learning of object categories by combining textual and visual
features, AAPR 2009; http://www.icg.tugraz.at/Members/kahn/tvgraz.

The layout of the original is documented nowhere in public. What is known of it, from a program of others that reads
it: a text is an XML file in UTF-16, cut out of its page by VIPS (page segmentation by layout), with the words in an
element TEXT. Which picture and which category belong to a text is therefore said by a list of one's own::

    tvgraz.list     one pair a line: text without its ending, image with its ending, category, separated by tabs
    texts/          one file a text
    images/         one file an image
"""

import html
from collections.abc import Iterator
from pathlib import Path

from cmr.datasets.folders import read as read_folders
from cmr.datasets.pairs import Pair
from cmr.datasets.text_files import elements


def read(
    folders: dict[str, Path], min_words: int = 1, text_suffix: str = ".xml", encoding: str = "utf-16"
) -> Iterator[Pair]:
    """Pairs of tvgraz.list whose texts have at least `min_words` words, that is what blanks separate.

    Parameters
    ----------
    text_suffix : .xml takes the content of the elements TEXT, any other ending the whole file.

    Pairs without a text are kept: whether a copy may lack texts is not for this reader to say. Raises UserError as
    `cmr.datasets.folders.read` does, and where an XML file has no element TEXT.
    """
    pairs = read_folders(
        folders,
        lists="tvgraz.list",
        columns=["text", "image", "label"],
        image_suffix="",
        text_suffix=text_suffix,
        encoding=encoding,
        parse=_content_of_text if text_suffix == ".xml" else str.strip,
    )
    return (pair for pair in pairs if pair.text is None or len(pair.text.split()) >= min_words)


def _content_of_text(xml: str) -> str:
    """What stands in the elements TEXT, entities decoded, lines kept."""
    sections = elements(xml, "TEXT")
    if not sections:
        raise ValueError("no element <TEXT> was found")
    return html.unescape("\n".join(section.strip() for section in sections))
