import copy
import json
import re
import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import altair as alt
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import vl_convert
from PIL import Image

from cmr import figures
from cmr.errors import UserError
from cmr.figure_style import FLOOR_DASHES, WIDTH
from tests.drawn import drawn
from tests.made_study import CONFIG, CONFIG_OF_TWO, HOSTILE, VALUES, made_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("study"))


def in_page(study, name):
    return figures.in_page(figures.draw(study, name), name, "c", "w")


@pytest.mark.parametrize("name", CONFIG["figures"])
@pytest.mark.parametrize("form", ["svg", "png"])
def test_drawing_twice_gives_the_same_bytes(study, tmp_path, name, form):
    paths = [tmp_path / f"{k}.{form}" for k in range(2)]
    for path in paths:
        figures.save(figures.draw(study, name), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", CONFIG["figures"])
def test_a_page_gets_the_same_bytes_every_time(study, name):
    assert in_page(study, name) == in_page(study, name)


def test_png_is_opaque_and_legible(study, tmp_path):
    path = tmp_path / "a.png"
    figures.save(figures.draw(study, "map_bars"), path)
    image = Image.open(path).convert("RGBA")
    assert image.width >= 800
    assert image.getpixel((0, 0)) == (255, 255, 255, 255)


@pytest.mark.parametrize("name", CONFIG["figures"])
def test_figures_are_as_wide_as_a_phones_screen_and_nothing_is_cut_off(study, name):
    figure = drawn(figures.draw(study, name))
    assert WIDTH - 30 < figure.width < WIDTH + 15
    assert figure.inside


def bars_of(panel):
    """Label -> bar."""
    bars = [bar for bar in panel.marks("rect") if bar["fill"] != "currentColor"]  # ends of intervals have the ink
    return {panel.name("y", bar["y"] + bar["height"] / 2): bar for bar in bars}


def test_bars_stand_at_the_means_of_their_methods(study):
    panel = drawn(figures.draw(study, "map_bars")).panels[0]
    assert panel.title == "Image → text"
    means = {label: panel.number("x", bar["x"] + bar["width"]) for label, bar in bars_of(panel).items()}
    assert means == pytest.approx({"CCA": 0.53, "ACMR_$1": 0.61667, "Random (floor)": 0.32}, abs=1e-4)
    assert all(panel.number("x", bar["x"]) == pytest.approx(0, abs=1e-9) for bar in bars_of(panel).values())


def test_error_bars_reach_from_end_to_end_of_the_interval(study):
    panel = drawn(figures.draw(study, "map_bars")).panels[0]
    (rule,) = [rule for rule in panel.marks("rule") if panel.name("y", rule["y"]) == "CCA"]
    ends = sorted(panel.number("x", rule[end]) for end in ("x", "x2"))
    expected = scipy.stats.t.interval(0.95, df=2, loc=0.53, scale=scipy.stats.sem(VALUES["cca"]))
    assert ends == pytest.approx(expected, abs=1e-4)


def test_under_a_bar_stand_the_values_behind_its_interval(study):
    panel = drawn(figures.draw(study, "map_bars")).panels[0]
    dots = [dot for dot in panel.marks("symbol") if panel.name("y", dot["y"]) == "ACMR_$1"]
    assert sorted(panel.number("x", dot["x"]) for dot in dots) == pytest.approx(sorted(VALUES["acmr"]), abs=1e-4)


def named(mark, figure):
    """Label -> line or area, by the colours of the legend."""
    labels = {symbol["stroke"]: label for label, symbol in figure.legend.items()}
    (panel,) = figure.panels
    return {labels[line[0].get("stroke") or line[0]["fill"]]: line for line in panel.lines(mark)}


def test_band_reaches_from_the_lowest_to_the_highest_split(study):
    figure = drawn(figures.draw(study, "precision_recall_img2txt"))
    (panel,) = figure.panels
    start = named("area", figure)["CCA"][0]
    assert panel.number("x", start["x"]) == pytest.approx(0.1, abs=1e-4)
    ends = sorted(panel.number("y", place) for place in (start["y"], start["y"] + start["height"]))
    # Made curves begin at 1.4 times the score of their split.
    assert ends == pytest.approx([0.50 * 1.4, 0.57 * 1.4], abs=1e-4)


def test_curves_are_means_over_splits_and_the_floor_is_dashed(study):
    figure = drawn(figures.draw(study, "precision_recall_img2txt"))
    (panel,) = figure.panels
    lines = named("line", figure)
    for label, method in {"CCA": "cca", "ACMR_$1": "acmr", "Random (floor)": "random"}.items():
        precision = [panel.number("y", point["y"]) for point in lines[label]]
        mean = np.mean(VALUES[method])
        assert precision == pytest.approx(mean * (1.5 - np.linspace(0.1, 1, 10)), abs=1e-4)
    assert tuple(lines["Random (floor)"][0]["strokeDash"]) == FLOOR_DASHES
    assert lines["CCA"][0]["strokeDash"] == [1, 0]


def layers_of(spec, data=None):
    """Each layer of a chart with the names of the columns that it draws from."""
    data = spec.get("data", data)
    columns = {key for row in (data or {}).get("values", ()) for key in row}
    parts = [spec.get(key, ()) for key in ("layer", "concat", "hconcat", "vconcat")]
    if not any(parts):
        yield spec, columns
    for part in (one for several in parts for one in several):
        for layer, own in layers_of(part, data):
            yield layer, own or columns


@pytest.mark.parametrize("name", CONFIG["figures"])
def test_what_the_pointer_is_told_is_in_the_data(study, name):
    with alt.data_transformers.enable(consolidate_datasets=False):
        spec = json.loads(in_page(study, name).spec)
    told = [(tip["field"], columns) for layer, columns in layers_of(spec) for tip in tips_of(layer)]
    assert told
    assert all(field in columns for field, columns in told)


def tips_of(layer):
    tips = layer["encoding"].get("tooltip", ())
    return tips if isinstance(tips, list) else [tips] if "field" in tips else []


def test_a_method_has_one_colour_in_all_figures(study):
    curve = drawn(figures.draw(study, "precision_recall_img2txt")).legend["ACMR_$1"]["stroke"]
    history = drawn(figures.draw(study, "training_history")).panels[0].lines()[0][0]["stroke"]
    bar = bars_of(drawn(figures.draw(study, "map_bars")).panels[0])["ACMR_$1"]["fill"]
    assert curve == history == bar


def test_a_methods_colour_does_not_depend_on_its_neighbours_scores(tmp_path):
    colours = []
    for k, value in enumerate((0.1, 0.9)):
        study = made_study(tmp_path / str(k), VALUES | {"acmr": (value,) * 3})
        legend = drawn(figures.draw(study, "precision_recall_img2txt")).legend
        colours.append({label: symbol["stroke"] for label, symbol in legend.items()})
    assert colours[0] == colours[1]
    assert len(set(colours[0].values())) == 3


def test_methods_of_one_title_are_drawn_apart(study):
    study = copy.deepcopy(study)
    study.facts["methods"]["acmr"]["title"] = "CCA"
    labels = {"CCA (cca)", "CCA (acmr)", "Random (floor)"}
    assert drawn(figures.draw(study, "precision_recall_img2txt")).legend.keys() == labels
    assert bars_of(drawn(figures.draw(study, "map_bars")).panels[0]).keys() == labels


def test_losses_have_no_mean(study):
    lines = drawn(figures.draw(study, "training_history")).panels[0].lines()
    assert len(lines) == 3
    assert len({line[0]["strokeWidth"] for line in lines}) == 1


def test_mean_history_ends_where_the_first_split_stops(study):
    panel = drawn(figures.draw(study, "training_history")).panels[1]
    lines = sorted(panel.lines(), key=lambda line: line[0]["strokeWidth"])
    assert [round(panel.number("x", line[-1]["x"])) for line in lines] == [5, 6, 7, 5]
    # All made histories are 1 / epoch.
    assert [panel.number("y", point["y"]) for point in lines[-1]] == pytest.approx(1 / np.arange(1, 6), abs=1e-4)


def test_a_study_without_learning_by_epochs_says_so(tmp_path):
    study = made_study(tmp_path, {"cca": VALUES["cca"]})
    assert "No method of this study learns by epochs" in drawn(figures.draw(study, "training_history")).text


def test_inline_svg_refers_only_to_its_own_ids(study):
    pictures = [in_page(study, name).svg for name in CONFIG["figures"]]
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in pictures]
    assert all(ids[1:3])
    assert len(set.union(*ids)) == sum(map(len, ids))
    for svg, own in zip(pictures, ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= own
        ElementTree.fromstring(svg)


def test_ids_of_a_picture_are_none_that_a_page_gives(study):
    chart = figures.draw(study, "precision_recall_img2txt")
    ids = re.findall(r'\bid="([^"]+)"', figures.in_page(chart, "way", "", "").svg)
    assert ids and not [name for name in ids if re.fullmatch(r"way-\d+", name)]  # those are ways to numbers


@pytest.mark.parametrize("name", CONFIG["figures"])
def test_a_figure_in_a_page_has_the_pages_ink_and_no_background(study, name):
    figure = in_page(study, name)
    inks = set(re.findall(r'<text[^>]* fill="([^"]+)"', figure.svg))
    assert inks == {"currentColor"}
    assert "white" not in figure.svg
    assert json.loads(figure.spec)["config"]["background"] is None


@pytest.mark.parametrize("name", CONFIG["figures"])
def test_pictures_leave_out_what_only_the_pointer_finds(study, name):
    figure = in_page(study, name)
    assert not re.search(r'<path[^>]* opacity="0"', figure.svg)


def test_hostile_names_can_stand_in_a_script_element_and_in_a_picture(study):
    study = copy.deepcopy(study)
    study.facts["methods"]["cca"]["title"] = HOSTILE
    figure = in_page(study, "precision_recall_img2txt")
    assert "<" not in figure.spec
    domains = json.loads(figure.spec)["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert HOSTILE in domains
    told = "".join(ElementTree.fromstring(figure.svg).itertext())
    assert "".join(HOSTILE.split()) in "".join(told.split())  # in lines


@pytest.mark.parametrize("name", CONFIG["figures"])
def test_what_the_pointer_does_has_a_name_of_its_own_in_every_panel(study, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Altair's, of parameters that it takes for one
        spec = json.loads(in_page(study, name).spec)
    parameters = [one["name"] for one in spec.get("params", [])]
    assert len(set(parameters)) == len(parameters)
    signals = {signal["name"] for signal in vl_convert.vegalite_to_vega(spec)["signals"]}
    assert all(any(signal.startswith(parameter) for signal in signals) for parameter in parameters)
    if name != "data" and name != "map_bars":
        assert parameters


def test_figure_in_words_tells_its_numbers(study):
    assert "CCA 0.530" in figures.describe(study, "map_bars")
    assert figures.describe(study, "training_history").endswith("ACMR_$1 trained for 5 to 7 epochs.")


@pytest.fixture(scope="module")
def study_of_two(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("two"), config=CONFIG_OF_TWO)


def class_bars(chart):
    """Name -> length of its bar as a share of the longest."""
    found = {}
    for panel in drawn(chart).panels:
        named = {text["y"]: text["text"] for text in panel.marks("text") if not text["text"].isdigit()}
        for bar in panel.marks("rect") if named else ():
            middle = bar["y"] + bar["height"] / 2
            found[named[min(named, key=lambda y: abs(y - middle))]] = bar["width"]
    return {name: length / max(found.values()) for name, length in found.items()}


@pytest.mark.parametrize("count", [3, 81])
def test_every_class_has_its_bar_the_largest_first(study, count):
    study = copy.deepcopy(study)
    classes = {f"class {i:02d}": i % 7 + i for i in range(1, count + 1)}
    study.facts["datasets"]["made"]["classes"] = classes
    bars = class_bars(figures.draw(study, "data"))
    assert bars == pytest.approx({name: number / max(classes.values()) for name, number in classes.items()}, abs=1e-6)
    assert list(bars.values()) == sorted(bars.values(), reverse=True)


def test_names_of_81_classes_do_not_overlap(study):
    study = copy.deepcopy(study)
    study.facts["datasets"]["made"]["classes"] = {f"a class of number {i:02d} or more": 10 + i for i in range(81)}
    figure = drawn(figures.draw(study, "data"))
    names = [word for word in figure.words if word.text.startswith("a class")]
    assert len(names) == 81
    assert not any(one.overlaps(other) for i, one in enumerate(names) for other in names[:i])
    assert figure.inside


def test_more_classes_than_have_room_become_one_outline(study):
    study = copy.deepcopy(study)
    study.facts["datasets"]["made"]["classes"] = {f"class {i}": i + 1 for i in range(500)}
    figure = drawn(figures.draw(study, "data"))
    assert figure.height < 500
    assert figure.panels[0].titles["x"] == "500 classes, the largest first"
    assert "500 classes of 1 to 500 pairs" in figures.describe(study, "data")


def bins(panel):
    """Middle -> height of each bar of a histogram."""
    bars = [bar for bar in panel.marks("rect") if bar["height"] > 0]
    return {round(panel.number("x", bar["x"] + bar["width"] / 2)): round(panel.number("y", bar["y"])) for bar in bars}


def test_histograms_show_words_widths_and_heights(study):
    figure = drawn(figures.draw(study, "data"))
    words, sizes = figure.panels[-2:]
    assert bins(words) == {2: 44, 5: 1}  # the hostile one has five words
    assert figure.legend.keys() == {"width", "height"}
    assert sorted(bins(sizes)) == pytest.approx([30, 200], abs=1.2)  # a pixel


def test_a_dataset_of_which_nothing_is_known_has_no_block(study_of_two, study):
    assert class_bars(figures.draw(study_of_two, "data")) == class_bars(figures.draw(study, "data"))
    study_of_two.config["figures"]["bare"] = {"kind": "dataset_statistics", "dataset": "bare", "caption": "c"}
    assert "nobody has looked at pictures" in drawn(figures.draw(study_of_two, "bare")).text


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
    assert drawn(figures.draw(study_of_two, name)).panels
    assert figures.describe(study_of_two, name)


def interval_panels():
    names = [(group, series) for group in ("bow", "tags") for series in ("pixels", "edges", "gist")]
    cells = pd.DataFrame(names, columns=["group", "series"]).assign(mean=np.linspace(0.3, 0.8, 6))
    cells = cells.assign(low=cells["mean"] - 0.01, high=cells["mean"] + 0.03)
    return {"CCA": cells, "Hostile <&$_1>": cells.assign(mean=cells["mean"] - 0.1, low=np.nan, high=np.nan)}


def test_dots_stand_at_means_and_lines_reach_from_end_to_end():
    panels = interval_panels()
    figure = drawn(figures.draw_intervals(panels, "mAP"))
    panel, other = figure.panels
    assert (panel.title, other.title) == tuple(panels)
    assert list(panel.labels["y"]) == ["bow", "tags"]
    series = {symbol["fill"]: label for label, symbol in figure.legend.items()}
    cells = panels["CCA"].set_index(["group", "series"])
    dots = panel.marks("symbol")
    assert len(dots) == 6
    for dot, rule in zip(dots, panel.marks("rule"), strict=True):
        cell = cells.loc[(panel.name("y", dot["y"]), series[dot["fill"]])]
        assert (rule["y"], rule["stroke"]) == (pytest.approx(dot["y"]), dot["fill"])
        places = [panel.number("x", place) for place in (dot["x"], *sorted((rule["x"], rule["x2"])))]
        assert places == pytest.approx(cell[["mean", "low", "high"]].to_list(), abs=1e-4)
    assert not other.marks("rule")
    found = [other.number("x", dot["x"]) for dot in other.marks("symbol")]
    assert found == pytest.approx(panels["CCA"]["mean"] - 0.1, abs=1e-4)


def test_groups_are_apart_the_first_on_top_and_series_differ_by_more_than_colour():
    panel = drawn(figures.draw_intervals(interval_panels(), "mAP")).panels[0]
    first, second = (
        [dot["y"] for dot in panel.marks("symbol") if panel.name("y", dot["y"]) == group] for group in ("bow", "tags")
    )
    assert first == sorted(first)
    assert second[0] - first[-1] > 1.2 * (first[1] - first[0])
    assert len({dot["shape"] for dot in panel.marks("symbol")}) == 3


@pytest.mark.parametrize("number", [1, 3])
def test_intervals_have_a_panel_a_title_and_the_same_bytes_every_time(number):
    cells = interval_panels()["CCA"]
    panels = {f"Method <{k}>": cells for k in range(number)}
    one, other = (figures.in_page(figures.draw_intervals(panels, "mAP"), "views", "c", "w") for _ in range(2))
    assert one == other
    figure = drawn(figures.draw_intervals(panels, "mAP over the whole ranking, mean of both tasks"))
    assert [panel.title for panel in figure.panels] == list(panels)
    assert figure.inside
    assert WIDTH - 30 < figure.width < WIDTH + 15


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
    (panel,) = drawn(figures.draw(iterating, "convergence")).panels
    assert panel.title == "CCA"
    assert len(panel.lines()) == 2
    for line in panel.lines():
        assert [panel.number("x", point["x"]) for point in line] == pytest.approx([0, 1, 2, 3], abs=1e-4)
        assert [panel.number("y", point["y"]) for point in line] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4], abs=1e-4)
    assert figures.describe(iterating, "convergence").endswith("Iterations: CCA 3.")
    assert "No method" in figures.describe(with_history(study, rows[8:]), "convergence")
    assert "No method" in drawn(figures.draw(with_history(study, rows[8:]), "convergence")).text


def test_of_two_objectives_the_second_is_dashed(study):
    last = {"text": 0.6, "image": 0.8}
    rows = [("cca", "random-0", 1 + step, f"{name} objective", last[name] ** step) for step in (0, 1) for name in last]
    (panel,) = drawn(figures.draw(with_history(study, rows), "convergence")).panels
    dashes = {round(panel.number("y", line[-1]["y"]), 3): line[0]["strokeDash"] for line in panel.lines()}
    assert dashes[0.8] == [1, 0]
    assert dashes[0.6] != [1, 0]


@pytest.mark.parametrize("number", [1, 2, 5])
def test_convergence_is_one_width_whatever_the_number_of_panels(study, number):
    methods = {f"cca_{k}": study.facts["methods"]["cca"] | {"title": f"CCA {k}"} for k in range(number)}
    runs = [run | {"method": name} for run in study.facts["runs"] if run["method"] == "cca" for name in methods]
    rows = [(name, "random-0", step, "objective", 0.96**step) for name in methods for step in range(9)]
    iterating = with_history(study, rows)
    facts = iterating.facts | {"methods": study.facts["methods"] | methods, "runs": study.facts["runs"] + runs}
    config = facts["config"] | {"runs": [{**study.config["runs"][0], "methods": list(methods)}]}
    figure = drawn(figures.draw(replace(iterating, facts=facts | {"config": config}), "convergence"))
    assert [panel.title for panel in figure.panels] == [f"CCA {k}" for k in range(number)]
    assert WIDTH - 30 < figure.width < WIDTH + 15
    assert figure.inside


def test_losses_that_are_tiny_or_no_numbers_can_be_drawn(study):
    losses = [3e-7, 2e-7, np.nan, np.inf, 1e-7]
    rows = [("acmr", "random-0", step, "loss", loss) for step, loss in enumerate(losses, start=1)]
    rows += [("acmr", "random-0", step, "valid_map", 0.5) for step in range(1, 6)]
    config = {"convergence": {"kind": "training_history", "caption": "c"}}
    learning = with_history(study, rows)
    learning.config["figures"].update(config)
    assert "NaN" not in in_page(learning, "convergence").spec
    (line,) = (panel := drawn(figures.draw(learning, "convergence")).panels[0]).lines()
    places = [panel.number("y", point["y"]) for point in line if point["defined"]]
    assert places == pytest.approx([3e-7, 2e-7, 1e-7], abs=1e-10)


def test_bars_mark_methods_that_look_at_the_test_part(study):
    runs = [run | {"transductive": run["method"] == "acmr"} for run in study.facts["runs"]]
    panel = drawn(figures.draw(replace(study, facts=study.facts | {"runs": runs}), "map_bars")).panels[0]
    assert panel.labels["y"].keys() == {"CCA", "ACMR_$1 †", "Random (floor)"}


LONG = "HRL without classifiers and autoencoders, given pairs"


def with_long_names(study):
    study = copy.deepcopy(study)
    for name, method in study.facts["methods"].items():
        method["title"] = f"{name}: {LONG}"
    return study


def overlapping(words):
    return [(one.text, other.text) for i, one in enumerate(words) for other in words[:i] if one.overlaps(other)]


@pytest.mark.parametrize("name", ["map_bars", "training_history", "precision_recall_img2txt"])
def test_long_names_leave_room_for_panels_and_do_not_overlap(study, name):
    figure = drawn(figures.draw(with_long_names(study), name))
    assert all(panel.width > figure.width / 5 for panel in figure.panels)
    assert figure.inside
    assert figure.width < WIDTH + 15
    assert not overlapping(figure.of("axis-label", "title-text", "legend-label"))


def test_lines_of_a_long_name_stand_around_the_middle_of_its_row(study):
    figure = drawn(figures.draw(with_long_names(study), "map_bars"))
    panel = figure.panels[0]
    bars = [bar["y"] + bar["height"] / 2 for bar in bars_of(panel).values()]
    rows = {bar: [] for bar in bars}
    for word in figure.of("axis-label"):
        middle = (word.top + word.bottom) / 2 - panel.top
        if word.right <= panel.left and middle < panel.height:
            rows[min(bars, key=lambda bar: abs(bar - middle))].append(middle)
    assert sorted(map(len, rows.values())) == [3, 3, 4]
    assert all(abs(np.mean(middles) - bar) < 6 for bar, middles in rows.items())
