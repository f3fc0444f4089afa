import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cmr import store
from cmr.errors import UserError
from cmr.view_comparison import compare
from cmr.view_page import read_dimensions, render
from tests.made_study import CONFIG_OF_VIEWS, HOSTILE, VALUES_OF_VIEWS, made_study
from tests.unit.test_report import Page

ROOT = Path(__file__).parents[2]
SPLITS = ["random-0", "random-1", "random-2"]
VIEWS = {
    "image": {
        "pixels": {"description": f"Pixels, {HOSTILE}", "implementation": "made.Pixels", "options": {"size": 8}},
        "edges": {"description": "Edges.", "reader": "made.read", "options": {}, "caution": f"From tests, {HOSTILE}"},
    },
    "text": {
        "bow": {"description": "Counts.", "implementation": "made.Bow", "options": {}, "learnt": True},
        "tags": {"description": "Tags.", "concatenate": ["nouns", "verbs"], "options": {}},
    },
}
DIMENSIONS = {"image": {"pixels": "64", "edges": "8 by 16"}, "text": {"bow": "40 to 52", "tags": "7"}}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("study"), config=CONFIG_OF_VIEWS)


@pytest.fixture(scope="module")
def html(study):
    return render(study, compare(study, SPLITS), VIEWS, DIMENSIONS)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def words(page):
    return " ".join(page.text.split())


def tables(html):
    """Caption -> lines of cells, as text."""
    found = {}
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        lines = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", line, re.DOTALL) for line in table.split("<tr>")[1:]]
        caption = re.search(r"<caption>(.*?)</caption>", table)[1]
        found[caption] = [[" ".join(re.sub(r"<.*?>", " ", cell).split()) for cell in line] for line in lines]
    return found


def test_page_is_well_formed_and_loads_nothing_from_elsewhere(html, page):
    assert page.crossed == [] and page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    sources = [a[key] for _, a in page.tags for key in ("src", "href", "xlink:href", "data", "srcset") if key in a]
    assert [source for source in sources if not source.startswith(("#", "data:"))] == ["report.html"]
    assert not {tag for tag, _ in page.tags} & {"iframe", "object", "embed"}
    assert not [attributes for attributes in page.attributes("script") if "src" in attributes]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert {a["href"][1:] for a in page.attributes("a") if a["href"].startswith("#")} <= set(ids)


def test_what_the_config_says_is_text_and_never_markup(html, page):
    for text in (f"Mind {HOSTILE}.", f"Pixels, {HOSTILE}", f"From tests, {HOSTILE}", "Made <study>: views"):
        assert text in page.text
    assert "<script>" not in html


def test_every_table_has_a_caption_and_headers_with_a_scope(html, page):
    ways = len([attributes for attributes in page.attributes("div") if attributes.get("class") == "way"])
    assert ways == 2 * 4  # methods, pairs of views
    assert len(page.attributes("caption")) == len(page.attributes("table")) == 2 * 3 + 2 + 1 + 2 + ways
    assert {a.get("scope") for a in page.attributes("th")} == {"col", "colgroup", "row"}
    (drawing,) = (a for _, a in page.tags if a.get("role") == "img")
    assert drawing["aria-label"]


@pytest.mark.parametrize(
    ("caption", "method", "above"),
    [
        ("CCA, mean of both directions", "cca", 0.05),
        ("ACMR_$1, text → image", "acmr", 0.1),
        ("CCA, image → text", "cca", 0.0),
    ],
)
def test_rows_of_a_matrix_are_image_views_and_columns_text_views(html, caption, method, above):
    _, head, *rows = tables(html)[caption]
    assert head == ["bow", "tags"]
    assert [row[0] for row in rows] == ["pixels", "edges"]
    for row in rows:
        for text_view, cell in zip(head, row[1:], strict=True):
            if (row[0], text_view) in VALUES_OF_VIEWS:
                mean = np.mean(VALUES_OF_VIEWS[row[0], text_view][method]) + above
                assert cell.startswith(f"{mean:.3f} ± 0.0")


def matrix_cells(html):
    return re.findall(r'<td style="--shade: (\d+)%"><button [^>]*>(<strong>)?([\d.]+)', html)


def test_best_of_each_matrix_is_marked_by_more_than_colour(html):
    bold = [number for _, strong, number in matrix_cells(html) if strong]
    mean_cca, mean_acmr = (
        np.mean(VALUES_OF_VIEWS["edges", "bow"]["cca"]),
        np.mean(VALUES_OF_VIEWS["edges", "tags"]["acmr"]),
    )
    assert bold == [f"{mean + above:.3f}" for above in (0.05, 0.0, 0.1) for mean in (mean_cca, mean_acmr)]


def test_colour_grows_with_the_number_on_one_scale_for_a_task(html):
    cells = [(float(number), int(shade)) for shade, _, number in matrix_cells(html)]
    of_first = sorted(cells[:8])
    assert [shade for _, shade in of_first] == sorted(shade for _, shade in of_first)
    assert (of_first[0][1], of_first[-1][1]) == (5, 42)


def test_a_number_leads_to_the_runs_of_its_method_and_views(html):
    matrix = html.partition("<caption>CCA, mean of both directions</caption>")[2].partition("</table>")[0]
    names = re.findall(r'popovertarget="([^"]+)"', matrix)
    assert len(set(names)) == len(names) == 4
    for name, views in zip(names, ("pixels+bow", "pixels+tags", "edges+bow", "edges+tags"), strict=True):
        way = html.partition(f'id="{name}"')[2].partition("</div>\n<div popover")[0]
        assert re.findall(r"<code>(runs/.*?)</code>", way) == [f"runs/made/{split}/{views}/cca" for split in SPLITS]


def test_finding_names_the_best_views_the_floor_and_what_explains_the_scores(study, page):
    text = words(page)
    comparison = compare(study, SPLITS)
    assert "edges is the best image view on average over methods and text views: 0.693." in text
    assert "bow is the best text view on average over methods and image views: 0.666." in text
    assert (
        "The highest single value is 0.747 ± 0.076: ACMR_$1 with edges and tags. A random ranking scores 0.370." in text
    )
    shares = comparison.shares("mean")
    told = (
        f"{title} {100 * shares[key]:.0f} %" for title, key in (("image views", "image_view"), ("methods", "method"))
    )
    assert all(sentence in text.partition("Of the variance of the scores is explained: by")[2] for sentence in told)


def test_share_and_spread_stand_beside_each_factor(study, html):
    comparison = compare(study, SPLITS)
    head, *rows = tables(html)["Variance of all scores, mean of both directions"]
    assert head == ["Factor", "Share of variance", "Best less worst", "Compared"]
    assert [row[0] for row in rows[:4]] == ["Image view", "Text view", "Method", "Split"]
    scores = comparison.scores["mean"]
    spread = scores[1].mean() - scores[0].mean()
    assert rows[0][1:] == [f"{100 * comparison.shares('mean')['image_view']:.0f} %", f"{spread:.3f}", "2"]
    assert rows[4][0] == "Their combinations, and chance"
    assert rows[4][2:] == ["", ""]


def test_differences_say_whether_the_splits_tell_the_two_apart(page):
    text = words(page)
    # edges with bow leads edges with tags by 0.07, 0.07 and 0.06; with ACMR it trails by -0.01, 0.02 and 0.01.
    assert (
        "Pairs of views, CCA edges with bow leads edges with tags by 0.067, 95 % interval 0.052 to 0.081: told apart"
        in text
    )
    assert "Pairs of views, ACMR_$1 edges with tags leads edges with bow by 0.007" in text
    assert "interval \N{MINUS SIGN}0.031 to 0.045: not told apart by these splits" in text


def test_views_are_described_with_dimension_maker_and_items_without_features(html):
    # 0, 9 and 18 of 27 test texts have no features.
    described = {row[0]: row for title in ("Image views", "Text views") for row in tables(html)[title][1:]}
    assert described["pixels"][2:] == ["64", "made.Pixels size 8", "none"]
    assert described["edges"][2:4] == ["8 by 16", "made.read"]
    assert "Caution: From tests" in described["edges"][1]
    assert described["bow"][2:] == ["40 to 52", "made.Bow learnt from the train part of each split", "33.3 %"]
    assert described["tags"][2:4] == ["7", "nouns + verbs"]


def test_one_view_alone_is_said_to_be_so(study):
    study = copy.deepcopy(study)
    study.config["view_comparison"].update(image_views=["edges"], methods=["cca"])
    html = render(study, compare(study, SPLITS), VIEWS, DIMENSIONS)
    text = words(Page(html))
    assert ["Image view", "0 %", "only one", "1"] in tables(html)["Variance of all scores, mean of both directions"]
    assert "best image view on average" not in text
    assert "Image views, averaged" not in text and "Pairs of views, averaged" not in text
    assert "Text views, averaged over methods and image views" in text


def test_a_best_view_that_splits_do_not_tell_apart_is_said_to_be_so(study, page):
    assert "do not tell it apart" not in words(page)
    study = copy.deepcopy(study)
    study.config["view_comparison"].update(image_views=["edges"], methods=["acmr"])
    text = words(Page(render(study, compare(study, SPLITS), VIEWS, DIMENSIONS)))
    # tags leads bow by -0.01, 0.02 and 0.01.
    assert "average over methods and image views: 0.747; these splits do not tell it apart from bow." in text


def test_one_split_has_numbers_without_intervals(study):
    html = render(study, compare(study, ["random-0"]), VIEWS, DIMENSIONS)
    text = words(Page(html))
    assert "one split gives no interval" in text
    assert "; one split cannot tell it apart from pixels." in text
    assert "these splits" not in text.partition("Combinations")[0]
    assert "nan" not in text.lower()


def test_an_unknown_floor_is_said_to_be_so(study):
    study = copy.deepcopy(study)
    for run in study.facts["runs"]:
        run["sizes"]["test"] -= run["method"] != "random"
    html = render(study, compare(study, SPLITS), VIEWS, DIMENSIONS)
    assert html.count("What a random ranking scores was not measured.") == 3 + 1  # a task each, and the finding
    assert "A random ranking scores" not in html


def test_equal_inputs_give_equal_bytes(study, html):
    assert render(study, compare(study, SPLITS), VIEWS, DIMENSIONS) == html


def write_view(path, shape):
    store.write_view(path, [f"item-{k}" for k in range(shape[0])], np.ones(shape, dtype=np.float32), {})
    return path


def test_dimensions_are_read_from_the_files_of_all_splits(tmp_path):
    shapes = {
        "0/text/bow.h5": (3, 100),
        "1/text/bow.h5": (3, 40),
        "0/text/grid.h5": (2, 4, 8),
        "1/text/grid.h5": (2, 4, 8),
    }
    paths = [write_view(tmp_path / name, shape) for name, shape in shapes.items()]
    assert read_dimensions(paths) == {"bow": "40 to 100", "grid": "4 by 8"}
    paths[0].write_bytes(b"no view")
    with pytest.raises(UserError, match=r"0/text/bow\.h5 is damaged"):
        read_dimensions(paths)


def test_script_writes_page_and_numbers(tmp_path):
    study = made_study(tmp_path, config=CONFIG_OF_VIEWS)
    images = [write_view(tmp_path / f"{name}.h5", (3, 5)) for name in ("pixels", "edges")]
    texts = [write_view(tmp_path / f"{split}/{name}.h5", (3, 7)) for split in SPLITS for name in ("bow", "tags")]
    command = [sys.executable, ROOT / "scripts/make_view_comparison.py", tmp_path / "study", "--splits", *SPLITS]
    command += ["--views", json.dumps(VIEWS), "--image-views", *images, "--text-views", *texts]
    command += ["--page", tmp_path / "views.html", "--csv", tmp_path / "views.csv"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr.startswith("done in "), done.stderr
    comparison = compare(study, SPLITS)
    dimensions = {"image": {"pixels": "5", "edges": "5"}, "text": {"bow": "7", "tags": "7"}}
    assert (tmp_path / "views.html").read_text("utf-8") == render(study, comparison, VIEWS, dimensions)
    assert (tmp_path / "views.csv").read_text("utf-8") == comparison.to_csv()
