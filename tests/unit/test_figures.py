import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from cmr import figures
from cmr.errors import UserError
from tests.made_study import CONFIG, VALUES, made_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("study"))


@pytest.mark.parametrize("name", CONFIG["figures"])
@pytest.mark.parametrize("form", ["svg", "png"])
def test_drawing_twice_gives_the_same_bytes(study, tmp_path, name, form):
    paths = [tmp_path / f"{k}.{form}" for k in range(2)]
    for path in paths:
        figures.save(figures.draw(study, name), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_png_is_opaque_and_legible(study, tmp_path):
    path = tmp_path / "a.png"
    figures.save(figures.draw(study, "map_bars"), path)
    image = Image.open(path).convert("RGBA")
    assert image.width >= 800
    assert image.getpixel((0, 0)) == (255, 255, 255, 255)


def test_bars_stand_at_the_means_of_their_methods(study):
    panel = figures.draw(study, "map_bars").axes[0]
    labels = [label.get_text() for label in panel.get_yticklabels()]
    widths = [patch.get_width() for patch in panel.patches]
    means = dict(zip(labels, widths, strict=True))
    assert means == pytest.approx({"CCA": 0.53, "ACMR_$1": 0.61667, "Random (floor)": 0.32}, abs=1e-4)


def test_error_bars_reach_from_end_to_end_of_the_interval(study):
    panel = figures.draw(study, "map_bars").axes[0]
    labels = [label.get_text() for label in panel.get_yticklabels()]
    (left, _), (right, _) = panel.collections[2 * labels.index("CCA")].get_segments()[0]
    low, high = scipy.stats.t.interval(0.95, df=2, loc=0.53, scale=scipy.stats.sem(VALUES["cca"]))
    assert (left, right) == pytest.approx((low, high), abs=1e-6)


def test_band_reaches_from_the_lowest_to_the_highest_split(study):
    (axes,) = figures.draw(study, "precision_recall_img2txt").axes
    band = axes.collections[[line.get_label() for line in axes.lines].index("CCA")]
    points = band.get_paths()[0].vertices
    at_start = points[np.isclose(points[:, 0], 0.1), 1]
    # Made curves begin at 1.4 times the score of their split.
    assert (at_start.min(), at_start.max()) == pytest.approx((0.50 * 1.4, 0.57 * 1.4))


def test_curves_are_means_over_splits_and_the_floor_is_dashed(study):
    (axes,) = figures.draw(study, "precision_recall_img2txt").axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["CCA"].get_ydata()[0] == pytest.approx(0.53 * 1.4)
    assert lines["Random (floor)"].get_linestyle() == "--"
    assert lines["CCA"].get_linestyle() == "-"


def test_a_method_has_one_colour_in_all_figures(study):
    curve = {line.get_label(): line for line in figures.draw(study, "precision_recall_img2txt").axes[0].lines}[
        "ACMR_$1"
    ]
    history = figures.draw(study, "training_history").axes[0].lines[0]
    assert curve.get_color() == history.get_color()


def test_a_methods_colour_does_not_depend_on_its_neighbours_scores(tmp_path):
    colours = []
    for k, value in enumerate((0.1, 0.9)):
        study = made_study(tmp_path / str(k), VALUES | {"acmr": (value,) * 3})
        lines = figures.draw(study, "precision_recall_img2txt").axes[0].lines
        colours.append({line.get_label(): line.get_color() for line in lines})
    assert colours[0] == colours[1]


def test_losses_have_no_mean(study):
    lines = figures.draw(study, "training_history").axes[0].lines
    assert len(lines) == 3
    assert len({line.get_linewidth() for line in lines}) == 1


def test_mean_history_ends_where_the_first_split_stops(study):
    lines = figures.draw(study, "training_history").axes[1].lines
    assert [max(line.get_xdata()[~(line.get_ydata() != line.get_ydata())]) for line in lines] == [5, 6, 7, 5]


def test_a_study_without_learning_by_epochs_says_so(tmp_path):
    study = made_study(tmp_path, {"cca": VALUES["cca"]})
    assert "No method of this study learns by epochs" in figures.to_svg(figures.draw(study, "training_history"), "h")


def test_inline_svg_refers_only_to_its_own_ids(study):
    drawn = [figures.to_svg(figures.draw(study, name), name) for name in CONFIG["figures"]]
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in drawn]
    assert not ids[0] & ids[1] and not ids[1] & ids[2] and not ids[0] & ids[2]
    for svg, own in zip(drawn, ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= own
        ElementTree.fromstring(svg)


def test_figure_in_words_tells_its_numbers(study):
    assert "CCA 0.530" in figures.describe(study, "map_bars")
    assert figures.describe(study, "training_history").endswith("ACMR_$1 trained for 5 to 7 epochs.")


def test_an_unknown_figure_is_refused(study):
    with pytest.raises(UserError, match='no figure "bars"; it has map_bars'):
        figures.draw(study, "bars")
