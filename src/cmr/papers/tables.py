"""Tables of a paper's study, in the paper's layout: what it prints, and what was measured here."""

from pathlib import Path

from cmr.papers.grids import PaperTable
from cmr.papers.map_tables import map_table
from cmr.papers.published import Published
from cmr.papers.sources import read_sources
from cmr.papers.summaries import dataset_table, rank_table

_MAKERS = {"published": map_table, "datasets": dataset_table, "ranks": rank_table}
KINDS = tuple(_MAKERS)


def make_paper_table(folder: Path, published: Published, name: str) -> PaperTable:
    """The table `name` of the config of the paper's study in `folder`, where also measured.csv and verdicts.csv lie.

    Its `kind` says what it is: `published`, a table of mAP values; `datasets`, sizes and features of the data sets;
    `ranks`, tests on average ranks.

    Raises
    ------
    UserError : a file is missing, the study has no such table, its rows and columns do not fit what the paper prints,
        or the files in the folder are of another study.
    """
    sources = read_sources(folder, published)
    spec = sources.study.item("tables", name)
    return _MAKERS[spec["kind"]](sources, name, spec)
