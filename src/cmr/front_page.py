"""The front page of all studies: what each found, and where its pages and numbers lie. It needs no other file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cmr import tables
from cmr.gallery import templates
from cmr.papers import verdicts
from cmr.papers.page import finding_of_paper
from cmr.report import counts_of, finding_of
from cmr.results import Study

# What lies in the folder of a study whose config has the key.
PAGES = {"gallery": ("gallery.html", "Example retrievals"), "view_comparison": ("views.html", "Comparison of views")}
NUMBERS = {"paper": ("verdicts.csv", "claims.csv", "agreement.csv"), "view_comparison": ("views.csv",)}


@dataclass(frozen=True)
class Entry:
    """A study in brief.

    Attributes
    ----------
    pages, numbers : text and address, relative to the page, of what lies in the study's folder.
    verdicts : verdict -> how many published numbers have it; of a study that is none of a paper, nothing.
    """

    name: str
    title: str
    description: str
    counts: list[tuple[str, int]]
    finding: str
    pages: list[tuple[str, str]]
    numbers: list[tuple[str, str]]
    verdicts: dict[str, int]


def make_front_page(folders: Sequence[Path], studies: str, others: Sequence[str], command: str) -> str:
    """The page as HTML.

    folders : of the studies, in the order in which they are shown.
    studies : address of the folder that they lie in, relative to the page.
    others : names of studies that lie there too, from earlier calls.
    command : what makes all of it.
    """
    entries = [_entry(folder, studies) for folder in folders]
    page = {
        "entries": entries,
        "papers": [entry for entry in entries if entry.verdicts],
        "verdicts": [name for name in verdicts.VERDICTS if any(entry.verdicts.get(name) for entry in entries)],
        "others": [(name, f"{studies}/{name}/report.html") for name in others],
        "command": command,
    }
    return templates().get_template("front_page.html.j2").render(**page)


def _entry(folder: Path, studies: str) -> Entry:
    study = Study.read(folder)
    if "paper" in study.config:
        counted = verdicts.summary(verdicts.read(folder / "verdicts.csv")).loc["all"]
        finding, counts = finding_of_paper(folder), {name: int(count) for name, count in counted.items()}
    else:
        finding, counts = finding_of(study.reported, tables.headline(study)), {}
    address = f"{studies}/{folder.name}"
    further = [page for key, page in PAGES.items() if key in study.config]
    numbers = [name for key, names in NUMBERS.items() if key in study.config for name in names]
    return Entry(
        name=folder.name,
        title=study.config["title"],
        description=study.config["description"],
        counts=counts_of(study.reported),
        finding=finding,
        pages=[(text, f"{address}/{name}") for name, text in [("report.html", "Report"), *further]],
        numbers=[(name, f"{address}/{name}") for name in ["results.csv", *numbers]],
        verdicts=counts,
    )
