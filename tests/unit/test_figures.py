import copy
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from PIL import Image

from cmr import figures
from cmr.errors import UserError
from tests.made_study import CONFIG, CONFIG_OF_TWO, VALUES, made_study


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
    assert len(set.union(*ids)) == sum(map(len, ids))
    for svg, own in zip(drawn, ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= own
        ElementTree.fromstring(svg)


def test_figure_in_words_tells_its_numbers(study):
    assert "CCA 0.530" in figures.describe(study, "map_bars")
    assert figures.describe(study, "training_history").endswith("ACMR_$1 trained for 5 to 7 epochs.")


@pytest.fixture(scope="module")
def study_of_two(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("two"), config=CONFIG_OF_TWO)


def class_bars(figure):
    """Name -> length of its bar."""
    panels = [axes for axes in figure.axes if axes.patches and not axes.get_xlabel()]
    return {
        label.get_text(): bar.get_width()
        for panel in panels
        for label, bar in zip(panel.get_yticklabels(), panel.patches, strict=True)
    }


@pytest.mark.parametrize("count", [3, 81])
def test_every_class_has_its_bar_the_largest_first(study, count):
    study = copy.deepcopy(study)
    classes = {f"class {i:02d}": i % 7 + i for i in range(1, count + 1)}
    study.facts["datasets"]["made"]["classes"] = classes
    bars = class_bars(figures.draw(study, "data"))
    assert bars == classes
    assert list(bars.values()) == sorted(classes.values(), reverse=True)


def test_names_of_81_classes_do_not_overlap(study):
    study = copy.deepcopy(study)
    study.facts["datasets"]["made"]["classes"] = {f"a class of number {i:02d} or more": 10 + i for i in range(81)}
    figure = figures.draw(study, "data")
    extents = [label.get_window_extent() for axes in figure.axes[:2] for label in axes.get_yticklabels()]
    assert len(extents) == 81
    assert not any(one.overlaps(other) for i, one in enumerate(extents) for other in extents[:i])
    assert min(extent.x0 for extent in extents) >= 0


def test_more_classes_than_have_room_become_one_outline(study):
    study = copy.deepcopy(study)
    study.facts["datasets"]["made"]["classes"] = {f"class {i}": i + 1 for i in range(500)}
    figure = figures.draw(study, "data")
    assert figure.get_size_inches()[1] < 6
    assert figure.axes[0].get_xlabel() == "500 classes, the largest first"
    assert "500 classes of 1 to 500 pairs" in figures.describe(study, "data")


def test_histograms_show_words_widths_and_heights(study):
    words, sizes = (axes for axes in figures.draw(study, "data").axes if axes.get_xlabel())
    heights, edges, _ = words.patches[0].get_data()
    assert dict(zip(edges + 0.5, heights, strict=False)) == {2: 44, 3: 0, 4: 0, 5: 1}  # the hostile one has five words
    assert [text.get_text() for text in sizes.get_legend().get_texts()] == ["width", "height"]
    ends = {tuple(patch.get_data().edges) for patch in sizes.patches}
    assert ends == {(199.5, 200.5), (29.5, 30.5)}


def test_a_dataset_of_which_nothing_is_known_has_no_block(study_of_two, study):
    assert class_bars(figures.draw(study_of_two, "data")) == class_bars(figures.draw(study, "data"))
    study_of_two.config["figures"]["bare"] = {"kind": "dataset_statistics", "dataset": "bare", "caption": "c"}
    assert "nobody has looked at pictures" in figures.to_svg(figures.draw(study_of_two, "bare"), "b")


def test_data_in_words_names_every_dataset(study_of_two):
    assert figures.describe(study_of_two, "data") == (
        "Bare numbers: nothing to draw. Made pictures: pairs a class: bird & co 15, fish 15, tree 15; "
        "words a text: 2 to 5, median 2; size of an image: all 200 by 30 pixels."
    )


def test_a_figure_of_a_dataset_that_is_not_there_is_refused(study):
    study = copy.deepcopy(study)
    study.config["figures"]["data"]["dataset"] = "other"
    with pytest.raises(UserError, match="study made has no data set other; it has made"):
        figures.draw(study, "data")


@pytest.mark.parametrize("name", CONFIG_OF_TWO["figures"])
def test_figures_of_two_datasets_with_their_own_views_can_be_drawn(study_of_two, name):
    assert figures.draw(study_of_two, name).axes
    assert figures.describe(study_of_two, name)


def interval_panels():
    names = [(group, series) for group in ("bow", "tags") for series in ("pixels", "edges", "gist")]
    cells = pd.DataFrame(names, columns=["group", "series"]).assign(mean=np.linspace(0.3, 0.8, 6))
    cells = cells.assign(low=cells["mean"] - 0.01, high=cells["mean"] + 0.03)
    return {"CCA": cells, "Hostile <&$_1>": cells.assign(mean=cells["mean"] - 0.1, low=np.nan, high=np.nan)}


def test_dots_stand_at_means_and_lines_reach_from_end_to_end():
    panels = interval_panels()
    panel, other = figures.draw_intervals(panels, "mAP").axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["bow", "tags"]
    for container in panel.containers:
        own = panels["CCA"][panels["CCA"]["series"] == container.get_label()]
        line, _, (bars,) = container
        assert line.get_xdata() == pytest.approx(own["mean"])
        assert np.array(bars.get_segments())[:, :, 0] == pytest.approx(own[["low", "high"]].to_numpy())
    dots = {container.get_label(): container[0].get_xdata()[1] for container in other.containers}
    assert dots == pytest.approx({"pixels": 0.5, "edges": 0.6, "gist": 0.7})


def test_groups_are_apart_the_first_on_top_and_series_differ_by_more_than_colour():
    panel = figures.draw_intervals(interval_panels(), "mAP").axes[0]
    bottom, top = panel.get_ylim()
    places = np.array([container[0].get_ydata() for container in panel.containers])
    assert bottom > places.max() > places.min() > top
    assert places[:, 1].min() > places[:, 0].max() + 1
    assert len({container[0].get_marker() for container in panel.containers}) == 3


@pytest.mark.parametrize("number", [1, 3])
def test_intervals_have_a_panel_a_title_and_the_same_bytes_every_time(number):
    cells = interval_panels()["CCA"]
    panels = {f"Method <{k}>": cells for k in range(number)}
    svg = [figures.to_svg(figures.draw_intervals(panels, "mAP"), "views") for _ in range(2)]
    assert svg[0] == svg[1]
    text = "".join(ElementTree.fromstring(svg[0]).itertext())
    assert all(title in text for title in panels)
    assert sum(axes.get_visible() for axes in figures.draw_intervals(panels, "mAP").axes) == number


def test_an_unknown_figure_is_refused(study):
    with pytest.raises(UserError, match='no figure "bars"; it has map_bars'):
        figures.draw(study, "bars")


def with_history(study, rows):
    """The study with this history, of columns method, split, step, quantity, value."""
    frame = pd.DataFrame(rows, columns=["method", "split", "step", "quantity", "value"])
    facts = {"study": "made", "dataset": "made", "image_view": "pixels", "text_view": "bow", "seed": 0}
    config = study.config | {"figures": {"convergence": {"kind": "convergence", "caption": "c"}}}
    return replace(study, history=frame.assign(**facts), facts=study.facts | {"config": config})


def test_convergence_shows_the_objective_as_a_share_of_its_first_value(study):
    rows = [("cca", f"random-{k}", step, "objective", 10.0 / step * (k + 1)) for k in range(2) for step in range(1, 5)]
    rows += [("acmr", "random-0", step, "loss", 1.0 / step) for step in range(1, 4)]
    iterating = with_history(study, rows)
    (panel,) = [axes for axes in figures.draw(iterating, "convergence").axes if axes.get_visible()]
    assert panel.get_title(loc="left") == "CCA"
    for line in panel.lines:
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
        np.testing.assert_allclose(line.get_ydata(), [1, 1 / 2, 1 / 3, 1 / 4])
    assert figures.describe(iterating, "convergence").endswith("Iterations: CCA 3.")
    assert "No method" in figures.describe(with_history(study, rows[8:]), "convergence")


def test_bars_mark_methods_that_look_at_the_test_part(study):
    runs = [run | {"transductive": run["method"] == "acmr"} for run in study.facts["runs"]]
    panel = figures.draw(replace(study, facts=study.facts | {"runs": runs}), "map_bars").axes[0]
    labels = {label.get_text() for label in panel.get_yticklabels()}
    assert labels == {"CCA", "ACMR_$1 †", "Random (floor)"}


LONG = "HRL without classifiers and autoencoders, given pairs ‡"


def with_long_names(study):
    study = copy.deepcopy(study)
    for method in study.facts["methods"].values():
        method["title"] = LONG
    return study


def test_long_names_leave_room_for_the_bars_and_do_not_overlap(study):
    figure = figures.draw(with_long_names(study), "map_bars")
    for panel in figure.axes:
        assert panel.get_window_extent().width > figure.bbox.width / 5
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert not any(one.overlaps(other) for i, one in enumerate(labels) for other in labels[:i])
    assert min(label.x0 for label in labels) >= 0


def test_long_titles_of_histories_and_legends_stay_in_their_places(study):
    history = figures.draw(with_long_names(study), "training_history")
    left, right = history.axes
    assert not left._left_title.get_window_extent().overlaps(right._left_title.get_window_extent())
    assert left.get_window_extent().height > history.bbox.height / 3
    curves = figures.draw(with_long_names(study), "precision_recall_img2txt")
    texts = [text.get_window_extent() for text in curves.legends[0].get_texts()]
    assert max(text.x1 for text in texts) <= curves.bbox.width
    assert not any(one.overlaps(other) for i, one in enumerate(texts) for other in texts[:i])
