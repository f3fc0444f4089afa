import copy
import dataclasses
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
from tests.made_study import CONFIG, CONFIG_OF_TWO, CONFIG_OF_VIEWS, HOSTILE, VALUES, made_study
from tests.unit.test_gallery import ALL_SEEN, ATTRIBUTES, made_embeddings

ROOT = Path(__file__).parents[2]
COMPARED = CONFIG_OF_VIEWS["view_comparison"]
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
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data

    def attributes(self, wanted):
        return [attributes for tag, attributes in self.tags if tag == wanted]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    study = made_study(root)
    pairs = store.read_table(root / "data/datasets/made/pairs.parquet")
    embeddings = made_embeddings(pairs["id"])
    runs = {"CCA": (embeddings, ATTRIBUTES)}
    gallery = make_gallery(CONFIG["gallery"], "Made pictures", runs, pairs, ALL_SEEN, root / "data/raw")
    return make_report(study, gallery, "make everything")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_page_loads_nothing_from_elsewhere(html, page):
    sources = [a[key] for _, a in page.tags for key in ("src", "href", "xlink:href", "data", "srcset") if key in a]
    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    assert not {tag for tag, _ in page.tags} & {"iframe", "object", "embed"}
    assert not [attributes for attributes in page.attributes("script") if "src" in attributes]
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
    assert "<script>" not in html


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


def test_the_least_value_that_is_allowed_is_no_edge(tmp_path):
    study = made_study(tmp_path)
    study.facts["methods"]["cca"]["grid"] = {"n_components": [0, 2, 4]}
    study.facts["methods"]["cca"]["hyperparameters"]["n_components"]["minimum"] = 0
    for run in study.facts["runs"]:
        run["chosen"] = {"n_components": 0}
    assert "<td>0</td>" in make_report(study, None, "make")


def test_the_finding_names_its_data_set_and_views_where_there_are_several(tmp_path):
    of_two = made_study(tmp_path / "two", config=CONFIG_OF_TWO)
    of_one = made_study(tmp_path / "one")
    assert "images as " not in make_report(of_one, None, "make").split("</header>")[0]
    page = make_report(of_two, None, "make")
    assert "images as " in page.split("</header>")[0]


def test_share_of_items_without_features_is_the_mean_over_splits(page):
    text = " ".join(page.text.split())
    # 0, 9 and 18 of 27 test texts; every method of a split sees the same.
    assert "Texts without features33.3 % of test in the view bow" in text
    assert "Images without features" not in text


@pytest.fixture(scope="module")
def text_of_two(tmp_path_factory):
    study = made_study(tmp_path_factory.mktemp("two"), config=CONFIG_OF_TWO)
    return " ".join(Page(make_report(study, None, "make")).text.split())


def test_splits_that_are_drawn_alike_share_a_line_with_ranges(page):
    text = " ".join(page.text.split())
    # 27 test texts of three classes of nine: H is 3.891, and (H + 8/26 (27 - H)) / 27 = 0.407.
    line = "Made pictures 45 3 1 2.1 2 by text random-0 to random-2 9 / 9 / 27 0 0.407 0 to 1 texts"
    assert line in text
    assert text.count("random-0 to random-2 9 / 9 / 27") == 1


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        (["random-2", "random-10", "random-9", "hrl"], ["hrl", "random-2, random-9, random-10"]),
        ([f"random-{k}" for k in range(12)], ["random-0 to random-11"]),
        (["a-0", "a-1", "b-0"], ["a-0, a-1", "b-0"]),
    ],
)
def test_lines_of_splits_are_titled_by_their_names(tmp_path, names, titles):
    study = made_study(tmp_path)
    splits = study.facts["datasets"]["made"]["splits"]
    study.facts["datasets"]["made"]["splits"] = dict.fromkeys(names, splits["random-0"])
    text = " ".join(Page(make_report(study, None, "make")).text.split())
    assert [title for title in titles if f" {title} 9 / 9 / 27" not in text] == []
    assert text.count("9 / 9 / 27") == len(titles)


def test_what_parts_share_is_told_with_whose_split_it_is(text_of_two):
    drawn = "random-0 to random-2 In more than one part: 0 to 1 texts. In train and test: 0 to 1 texts."
    assert f"Overlap in {drawn} The split's protocol does not keep them apart." in text_of_two
    # Groups 3 and 9 lie in the official train and test parts; which groups valid cuts depends on the split.
    official = "Overlap in official-0 to official-2 In more than one part:"
    assert official in text_of_two
    after = text_of_two.partition(official)[2]
    assert after.index("The test part is the source's own") < after.index("Left out of runs")


def test_splits_whose_parts_share_nothing_have_no_warning(tmp_path):
    study = made_study(tmp_path)
    splits = study.facts["datasets"]["made"]["splits"]
    study.facts["datasets"]["made"]["splits"] = {"random-0": splits["random-0"]}
    assert "Overlap in" not in make_report(study, None, "make")


def test_what_is_damaged_left_out_or_absent_is_told(text_of_two):
    assert "Images 1 of 45 cannot be used; all 200 by 30 pixels" in text_of_two
    assert "Left out of runs 0 to 2 of train with the views pixels and bow" in text_of_two
    assert "Texts none in this copy" in text_of_two
    assert "Images none are published" in text_of_two
    assert "Duplicates 20 pairs have the group of another pair; texts and images not compared" in text_of_two


def test_relevance_without_classes_is_told(text_of_two, page):
    assert "Classes none: a pair is relevant to itself and to the pairs of its group" in text_of_two
    assert "without classes (Bare numbers), when it belongs to the query's" in text_of_two
    assert "without classes (" not in page.text


def test_cautions_notes_and_citations_are_told_as_text(text_of_two):
    assert f"Caution on the view ready learnt on test items, {HOSTILE}" in text_of_two
    assert "Notes Only numbers." in text_of_two
    assert f"Citation {HOSTILE}. 2010" in text_of_two


def test_a_study_of_two_datasets_shows_the_tables_and_figures_of_both(text_of_two):
    assert "Bare numbers, images as ready, texts as tags, test part, 3 splits. On bare." in text_of_two
    assert "Made pictures, images as pixels, texts as bow, test part, 3 splits. On made." in text_of_two
    assert "33.3 % of test in the view bow" in text_of_two
    assert "33.3 % of test in the view tags" in text_of_two


def test_tables_and_figures_are_numbered_through_the_page(page):
    numbers = [int(number) for number in re.findall(r"Figure (\d+)\.", page.text)]
    assert numbers == list(range(1, len(CONFIG["figures"]) + 1))
    assert re.findall(r"Table (\d+)\.", page.text) == ["1", "2"]


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


def test_a_comparison_of_views_adds_a_link_to_the_report_and_nothing_else(tmp_path):
    html = [
        make_report(made_study(tmp_path / str(k), config=c), None, "make")
        for k, c in enumerate((CONFIG, CONFIG_OF_VIEWS))
    ]
    pattern = r'<li><a href="#views">Views</a></li>|<section id="views">.*?</section>'
    _, section = re.findall(pattern, html[1], re.DOTALL)
    plain, compared = (
        [line for line in re.sub(pattern, "", page, flags=re.DOTALL).splitlines() if line] for page in html
    )
    assert compared == plain
    assert re.findall('href="([^"]+)"', section) == ["views.html"]
    assert "CCA and ACMR_$1 with every one of 2 image views and 2 text views on Made pictures" in section
    assert "18 runs of that comparison are not counted here" in section


def test_a_method_that_only_compares_views_is_no_method_of_the_report(tmp_path):
    study = made_study(tmp_path, config=CONFIG_OF_VIEWS)

    def is_shown(method, image_view, text_view):
        return (method, image_view, text_view) == ("acmr", "pixels", "bow")

    keys = ("method", "image_view", "text_view")
    frames = {
        name: frame[[not is_shown(*row) for row in frame[list(keys)].itertuples(index=False)]]
        for name, frame in (("scores", study.scores), ("curves", study.curves), ("history", study.history))
    }
    runs = [run for run in study.facts["runs"] if not is_shown(*(run[key] for key in keys))]
    study = dataclasses.replace(study, **frames, facts=study.facts | {"runs": runs})
    page = Page(make_report(study, None, "make"))
    assert "methods2splits3runs6" in "".join(page.text.split())
    assert page.crossed == [] and page.open == []


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
    assert done.returncode == 0 and done.stderr.startswith("done in "), done.stderr
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
        ({"setting": {}}, "should be non-empty"),
        ({"setting": {"method": "cca"}}, "'method' was unexpected"),
        ({"view_comparison": {"dataset": "made"}}, "'image_views' is a required property"),
        ({"view_comparison": COMPARED | {"metric": "map"}}, "'map' is not one of"),
        ({"view_comparison": COMPARED | {"tasks": ["mean", "mean"]}}, "has non-unique elements"),
        ({"view_comparison": COMPARED | {"splits": []}}, "should be non-empty"),
        ({"view_comparison": COMPARED | {"caption": ""}}, "should be non-empty"),
    ],
)
def test_schema_refuses_a_wrong_study(change, message):
    assert schema_errors(CONFIG_OF_VIEWS) == []
    assert any(message in error for error in schema_errors(CONFIG_OF_VIEWS | change))


def test_quickstart_is_a_valid_study():
    config = yaml.safe_load((ROOT / "config/studies/quickstart.yaml").read_text("utf-8"))
    assert schema_errors(config) == []
    block = config["runs"][0]
    assert config["gallery"]["method"] in block["methods"]
    assert set(VALUES) <= set(block["methods"])


def test_several_methods_without_a_lead_are_listed_in_words(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["methods"].append("gmlda")
    values = {"random": (0.1, 0.1, 0.1), "cca": (0.5, 0.6, 0.7), "acmr": (0.6, 0.5, 0.7), "gmlda": (0.7, 0.5, 0.61)}
    html = make_report(made_study(tmp_path, values, config), None, "make")
    assert "Its lead over CCA and ACMR_$1 is smaller" in html


def test_titles_with_commas_are_told_apart_in_a_list(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["methods"].append("gmlda")
    study = made_study(tmp_path, dict.fromkeys(["random", "cca", "acmr", "gmlda"], (0.5, 0.6, 0.7)), config)
    study.facts["methods"]["cca"]["title"] = "CCA, whole"
    assert "CCA, whole; ACMR_$1 and GMLDA have the highest" in make_report(study, None, "make")


def test_a_report_tells_why_methods_are_not_applicable_and_which_saw_the_test_part(tmp_path):
    config = copy.deepcopy(CONFIG)
    config["runs"][0]["methods"].append("gmlda")
    study = made_study(tmp_path, config=config, not_applicable={"gmlda": range(3)})
    runs = [run | {"transductive": run["method"] == "acmr"} for run in study.facts["runs"]]
    text = " ".join(make_report(dataclasses.replace(study, facts=study.facts | {"runs": runs}), None, "make").split())
    assert "<dt>GMLDA</dt><dd>it is defined for one class a pair" in text
    assert "CCA has the highest" in text and "Not so ACMR_$1, marked †" in text
    assert "but for methods marked †" in text


def test_a_report_says_which_methods_are_no_cross_modal_retrieval_under_figures_too(tmp_path):
    study = made_study(tmp_path)
    assert "‡" not in make_report(study, None, "make")
    runs = [run | {"sees_pairs": run["method"] == "acmr"} for run in study.facts["runs"]]
    text = " ".join(make_report(dataclasses.replace(study, facts=study.facts | {"runs": runs}), None, "make").split())
    assert "but for ACMR_$1, marked ‡" in text and "CCA has the highest" in text
    assert "Bars. ‡ is not cross-modal retrieval" in text and "Counts. ‡" not in text


def test_a_report_says_which_methods_are_chosen_by_the_test_part(tmp_path):
    study = made_study(tmp_path)
    assert "§" not in make_report(study, None, "make")
    runs = [run | {"selected_on_test": run["method"] == "acmr"} for run in study.facts["runs"]]
    text = " ".join(make_report(dataclasses.replace(study, facts=study.facts | {"runs": runs}), None, "make").split())
    assert "Not so ACMR_$1, marked §: they chose epoch" in text and "CCA has the highest" in text
    assert "Bars. § chose epoch or hyper-parameters by the test part" in text


def test_a_report_of_methods_none_of_which_is_applicable_can_be_made(tmp_path):
    methods = {name: range(3) for name in ("random", "cca", "acmr")}
    html = make_report(made_study(tmp_path, {}, not_applicable=methods), None, "make")
    assert html.count("No method is applicable to these data.") >= 2 and "n/a" in html


def test_as_many_components_as_there_can_be_lie_beyond_every_number_of_them(tmp_path):
    study = made_study(tmp_path)
    facts = copy.deepcopy(study.facts)
    facts["methods"]["cca"]["hyperparameters"]["n_components"]["minimum"] = 0
    facts["methods"]["cca"]["grid"]["n_components"] = [2, 4, 0]
    assert "(edge of its grid)" not in make_report(dataclasses.replace(study, facts=facts), None, "make")
    facts["methods"]["cca"]["grid"]["n_components"] = [2, 3, 4]
    assert "(edge of its grid)" in make_report(dataclasses.replace(study, facts=facts), None, "make")


def test_a_budget_smaller_than_the_papers_is_told_with_the_defaults_that_the_study_does_not_take(tmp_path):
    study = made_study(tmp_path)
    assert "Budget:" not in make_report(study, None, "make")
    study.facts["methods"]["cca"]["budget"] = "10 epochs, of 500"
    study.facts["methods"]["cca"]["hyperparameters"] |= {
        "epochs": {"type": "integer", "default": 10, "description": "passes"}
    }
    for run in study.facts["runs"]:
        run["chosen"] = {**run["chosen"], "epochs": 10}
    study.facts["methods"]["cca"]["fixed"] = {"epochs": 10}
    page = " ".join(make_report(study, None, "make").split())
    assert page.count("Budget: 10 epochs, of 500.<br>") == 1
    study.facts["methods"]["cca"]["fixed"] = {"epochs": 20}
    assert "10 epochs, of 500. These are defaults; here other values are set of epochs." in make_report(
        study, None, "make"
    )
