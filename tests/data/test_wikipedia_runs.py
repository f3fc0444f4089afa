"""The study of Wikipedia's ready features, from the part of the data set that a mirror has."""

import pandas as pd
import pytest

from cmr.assets import mirror_folders, status
from cmr.catalogue import Catalogue
from tests.project import ROOT, Project, copy_checkout

METHODS = ["random", "cca", "sm", "scm_orth"]
STUDY = "results/studies/wikipedia"
ASSETS = ("wikipedia", "wikipedia_tfidf1000", "wikipedia_roph")

SPECS = Catalogue.read(ROOT).assets
ABSENT = [
    name for name in ASSETS if status(name, SPECS[name], mirror_folders([]), ROOT / "data/raw").state != "in a mirror"
]

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"no mirror (CMR_MIRRORS) holds {', '.join(ABSENT)}")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Four methods on one of the official splits, each pair of views."""
    project = Project(tmp_path_factory.mktemp("wikipedia"))
    copy_checkout(project.root)

    def reduce(study):
        for block in study["runs"]:
            block.update(methods=METHODS, splits=["official-0"])
        for item in (*study["tables"].values(), *study["figures"].values()):
            item.pop("methods", None)
        del study["figures"]["map_bars_roph"]

    project.edit("config/studies/wikipedia.yaml", reduce)
    run = project.snakemake("all", "--config", "studies=[wikipedia]")
    assert run.returncode == 0, run.stdout
    return project


@pytest.fixture(scope="module")
def scores(project):
    """mAP on the test part: (image view, text view, method, task) -> value."""
    results = pd.read_csv(project.root / STUDY / "results.csv").query("part == 'test' and metric == 'map_all'")
    return results.set_index(["image_view", "text_view", "method", "task"])["value"]


def test_a_random_ranking_scores_its_exact_expectation(scores):
    floor = scores.xs("random", level="method").xs("img2txt", level="task")
    assert len(floor) == 3
    assert floor.to_numpy() == pytest.approx(0.1184, abs=5e-5)


def test_every_pair_of_views_carries_what_the_classes_need(scores):
    """Margins far below what was seen: CCA .19 to .33, SM .24 to .41; the floor is .12."""
    for views in (("sift128", "lda10"), ("sift128", "tfidf1000"), ("roph_image", "roph_text")):
        for task in ("img2txt", "txt2img"):
            assert scores[*views, "cca", task] > 0.16
            assert scores[*views, "sm", task] > scores[*views, "cca", task]


def test_codes_that_are_longer_than_the_rank_of_a_view_are_told_not_to_apply(project):
    table = (project.root / STUDY / "tables/map_sift_lda.md").read_text("utf-8")
    (row,) = (line for line in table.splitlines() if line.startswith("| SCM-orth"))
    assert row.count("n/a") == 5
    told = "SCM-orth, 32 bits: n/a: bits is 32, but these views have only 9 pairs of orthogonal directions"
    assert told in table
    assert told in " ".join((project.root / STUDY / "report.html").read_text("utf-8").split())


def test_the_report_tells_the_cautions_of_the_features(project):
    page = " ".join((project.root / STUDY / "report.html").read_text("utf-8").split())
    assert "its principal components were learnt on all 2866 items, the test part included" in page


def test_what_needs_the_missing_pictures_and_texts_says_so(project):
    for target, message in {
        "data/views/wikipedia/image/efficientnet_lite0.h5": "none of the 2866 images can be used",
        "data/views/wikipedia/official-0/text/tfidf.h5": "this copy of the data set has no texts",
    }.items():
        run = project.snakemake(target)
        assert run.returncode != 0
        assert message in run.stdout and "python -m cmr datasets" in run.stdout
