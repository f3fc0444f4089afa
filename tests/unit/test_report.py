import copy
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import scipy.stats
import yaml
from jsonschema import Draft202012Validator

from cmr import store
from cmr.gallery import make_gallery
from cmr.report import make_report
from tests.made_study import CONFIG, HOSTILE, VALUES, made_study
from tests.unit.test_gallery import ALL_SEEN, ATTRIBUTES, made_embeddings

ROOT = Path(__file__).parents[2]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags with attributes, text, and whether the tags are balanced."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open, self.crossed = [], "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data):
        self.text += data

    def attributes(self, wanted):
        return [attributes for tag, attributes in self.tags if tag == wanted]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    study = made_study(root)
    pairs = store.read_table(root / "data/datasets/made/pairs.parquet")
    embeddings = made_embeddings(pairs["id"])
    gallery = make_gallery(
        CONFIG["gallery"], "Made pictures", "CCA", pairs, embeddings, ATTRIBUTES, ALL_SEEN, root / "data/raw"
    )
    return make_report(study, gallery, "make everything")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_page_loads_nothing_from_elsewhere(html, page):
    sources = [a[key] for _, a in page.tags for key in ("src", "href", "xlink:href", "data", "srcset") if key in a]
    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed"}
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_page_is_small(html):
    assert len(html.encode()) < 3e6


def test_every_picture_has_a_text_in_its_stead(page):
    images, drawings = page.attributes("img"), [a for _, a in page.tags if a.get("role") == "img"]
    assert len(drawings) == len(CONFIG["figures"])
    assert images
    assert all(image["alt"] for image in images)
    assert all(drawing["aria-label"] for drawing in drawings)


def test_tags_are_balanced_and_ids_are_unique(page):
    assert page.crossed == [] and page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_contents_lead_to_sections_that_exist(page):
    ids = {attributes.get("id") for _, attributes in page.tags}
    links = [a["href"] for a in page.attributes("a")]
    assert links and all(link[1:] in ids for link in links)


def test_what_the_config_says_is_text_and_never_markup(html, page):
    assert f"Mind {HOSTILE}." in page.text
    assert "Made <study>" in page.text
    assert "<script" not in html


def test_tables_selection_and_data_are_told(page):
    text = " ".join(page.text.split())
    assert "0.617 ± 0.052" in text
    assert "ACMR_$1 has the highest mAP over the whole ranking: 0.667, mean of both directions." in text
    assert "A random ranking scores 0.370." in text
    assert "2 (edge of its grid) in 2 runs, 4 in 1" in text  # chosen n_components
    assert "45; 2 more could not be used and were left out" in text
    assert "make everything" in text


def test_infeasible_candidates_are_told_and_not_counted_as_fitted(page):
    text = " ".join(page.text.split())
    assert "candidates fitted9" in text  # nine runs, each with one of two candidates infeasible
    assert text.count("2 (1 infeasible)") == 3


@pytest.mark.parametrize(
    ("grid", "values", "marked"),
    [
        ([1, 10, 100], [1, 10, 100], [1, 100]),
        ([0.1, 10.0], [0.1, 10.0], []),  # both of two values lie at an edge
        ([[1, 2], [3, 4], [5, 6]], [[1, 2]], []),
        ([], [3], []),
    ],
)
def test_values_at_the_edge_of_a_grid_of_numbers_are_marked(tmp_path, grid, values, marked):
    study = made_study(tmp_path)
    study.facts["methods"]["cca"]["grid"] = {"n_components": grid} if grid else {}
    for value in values:
        for run in study.facts["runs"]:
            run["chosen"] = {"n_components": value}
        assert (f"<td>{value} (edge of its grid)</td>" in make_report(study, None, "make")) == (value in marked)


def test_share_of_items_without_features_is_the_mean_over_splits(page):
    text = " ".join(page.text.split())
    # 0, 9 and 18 of 27 test texts; every method of a split sees the same.
    assert "Texts without features33.3 % of test in the view bow" in text
    assert "Images without features" not in text


def test_a_lead_within_its_interval_is_called_so(html, tmp_path):
    # Made values: ACMR leads CCA by 0.11, 0.12 and 0.03, a 95 % interval of -0.03 to 0.21.
    low, _ = scipy.stats.ttest_1samp([0.11, 0.12, 0.03], 0).confidence_interval()
    assert low < 0
    assert "Its lead over CCA is smaller than its 95 % interval over splits." in html


def test_a_lead_is_judged_by_the_means_of_splits_with_several_seeds(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["seeds"] = [0, 7]  # twice the values, but no more splits
    assert "Its lead over CCA is smaller" in make_report(made_study(tmp_path, config=config), None, "make")


def test_a_study_without_gallery_has_no_examples(tmp_path):
    page = Page(make_report(made_study(tmp_path), None, "make"))
    assert "#examples" not in [a["href"] for a in page.attributes("a")]
    assert not page.attributes("img")


def test_equal_inputs_give_equal_bytes(tmp_path):
    pages = [make_report(made_study(tmp_path / name), None, "make") for name in ("one", "two")]
    assert pages[0] == pages[1]


def test_scripts_lead_from_runs_to_report(tmp_path):
    """Through the command lines that the rules use; an error is one line and leaves nothing behind."""
    study = made_study(tmp_path)
    output = tmp_path / "report.html"

    def run(script, *arguments):
        command = [sys.executable, ROOT / "scripts" / script, *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    done = run("make_report.py", tmp_path / "study", "--command", "make", "--output", output)
    assert (done.returncode, done.stderr) == (0, "")
    assert output.read_text("utf-8") == make_report(study, None, "make")

    failed = run("make_figure.py", tmp_path / "study", "nonsense", "--output", tmp_path / "a.svg")
    assert failed.returncode == 1
    assert failed.stderr.startswith('error: study made has no figure "nonsense"')
    assert not list(tmp_path.glob("*a.svg*"))


def schema_errors(config):
    schema = yaml.safe_load((ROOT / "workflow/schemas/study.schema.yaml").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(config)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": {}}, "'table' was unexpected"),
        ({"figures": {"a": {"kind": "map_bars", "caption": "c"}}}, "'metric' is a required property"),
        ({"figures": {"a": {"kind": "pie", "caption": "c"}}}, "'pie' is not one of"),
        ({"tables": {}}, "should be non-empty"),
        ({"gallery": CONFIG["gallery"] | {"classes": 0}}, "0 is less than the minimum of 1"),
    ],
)
def test_schema_refuses_a_wrong_study(change, message):
    assert schema_errors(CONFIG) == []
    assert any(message in error for error in schema_errors(CONFIG | change))


def test_quickstart_is_a_valid_study():
    config = yaml.safe_load((ROOT / "config/studies/quickstart.yaml").read_text("utf-8"))
    assert schema_errors(config) == []
    (block,) = config["runs"]
    assert config["gallery"]["method"] in block["methods"]
    assert set(VALUES) <= set(block["methods"])
