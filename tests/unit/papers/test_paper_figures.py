import copy
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cmr import figures, store
from cmr.errors import UserError
from cmr.figure_style import WIDTH
from tests.drawn import Drawn, drawn
from tests.made_study import CONFIG, CONFIG_OF_TWO, made_study

CLASSES = ("bird & co", "fish", "tree")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def paper(made):
    return made.study


def with_figure(study, spec, **facts):
    """The study with one figure, named `a`, and other facts."""
    config = study.config | {"figures": {"a": {"caption": "c", **spec}}}
    return replace(study, facts=study.facts | {"config": config} | facts)


def seen(study) -> Drawn:
    return drawn(figures.draw(study, "a"))


def assert_same_bytes(study, folder):
    for form in ("svg", "png"):
        paths = [folder / f"{k}.{form}" for k in range(2)]
        for path in paths:
            figures.save(figures.draw(study, "a"), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()


# What stands above a figure, and what stands in its place


@pytest.mark.parametrize("kind", figures.KINDS)
def test_what_is_unavailable_is_a_notice_with_its_name_and_what_is_missing(study, tmp_path, kind):
    why = "Lost pictures, hand-crafted features, needs " + ", ".join(f"lost_pictures/part_{k}" for k in range(12))
    lost = with_figure(study, {"kind": kind, "item": "Figure 8", "unavailable": why})
    figure = seen(lost)
    assert figure.text == f"Figure 8 Not drawn here: {why}."
    assert figures.describe(lost, "a") == f"Figure 8. Not drawn here: {why}."
    assert figure.inside and figure.apart
    assert figure.width < 1.1 * WIDTH
    assert_same_bytes(lost, tmp_path)


@pytest.mark.parametrize("name", CONFIG["figures"])
def test_a_rehearsal_is_told_above_figures_and_takes_no_room_from_them(study, name):
    spec = CONFIG["figures"][name]
    plain, rehearsed = with_figure(study, spec), with_figure(study, spec | {"item": "Figure 6"})
    rehearsed.config["paper"] = {"rehearsal": "made"}
    told = "ehearsal on Made pictures: no result of the paper's data"
    figure, before = seen(rehearsed), seen(plain)
    assert figure.text.startswith(f"Figure 6 r{told}")
    assert told not in before.text
    assert figures.describe(rehearsed, "a") == f"Figure 6. R{told}. {figures.describe(plain, 'a')}"
    sizes = [[(panel.width, panel.height) for panel in one.panels] for one in (figure, before)]
    assert sizes[0] == sizes[1]
    assert figure.inside
    head = [word for word in figure.words if word.text in ("Figure 6", f"r{told}")]
    assert max(word.bottom for word in head) <= min(word.top for word in figure.words if word not in head)


# Sensitivity

SENSITIVITY = {"kind": "sensitivity", "item": "Figure 2", "method": "cca", "x": "alpha", "y": "beta"}
ALPHA, BETA = (0.001, 0.1, 10.0), (0.01, 1.0)


def tried(split, alpha, beta):
    """Made valid mAP: highest at alpha 0.1 and beta 1, lowest at alpha 10 and beta 0.01."""
    return 0.5 - 0.02 * abs(np.log10(alpha) + 1) - 0.002 * np.log10(alpha) + 0.03 * (beta == 1.0) + 0.01 * split


def with_scores(study, scores_of):
    """The study of `SENSITIVITY` whose runs of CCA have tried what `scores_of(number of the split)` says."""
    runs = copy.deepcopy(study.facts["runs"])
    for run in runs:
        run["scores"] = scores_of(int(run["split"][-1])) if run["method"] == "cca" else []
    return with_figure(study, SENSITIVITY, runs=runs)


@pytest.fixture(scope="module")
def sensitive(study):
    return with_scores(
        study, lambda k: [[{"beta": b, "alpha": a, "n": 2}, tried(k, a, b)] for b in BETA for a in reversed(ALPHA)]
    )


def cells(figure):
    """(alpha, beta) -> what is printed in its cell."""
    (panel,) = figure.panels
    return {(panel.name("x", text["x"]), panel.name("y", text["y"])): text for text in panel.marks("text")}


def test_cells_are_means_over_splits_at_their_values(sensitive):
    found = {key: text["text"] for key, text in cells(seen(sensitive)).items()}
    assert found == {
        (f"{a:g}", f"{b:g}"): f"{np.mean([tried(k, a, b) for k in range(3)]):.3f}" for a in ALPHA for b in BETA
    }


def test_values_stand_in_their_order_at_equal_distances(sensitive):
    (panel,) = seen(sensitive).panels
    assert list(panel.labels["x"]) == ["0.001", "0.1", "10"]
    assert panel.titles == {"x": "alpha", "y": "beta"}
    distances = np.diff(list(panel.labels["x"].values()))
    assert distances[0] > 0
    np.testing.assert_allclose(distances, distances[0])
    assert panel.labels["y"]["1"] < panel.labels["y"]["0.01"]  # higher up


def lightness(colour):
    """From 0 to 1, of `rgb(0, 0, 0)` or `#000000`."""
    parts = re.findall(r"\d+", colour) if colour.startswith("rgb") else [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return np.array(parts, dtype=float) @ [0.2126, 0.7152, 0.0722] / 255


def test_higher_cells_are_lighter_in_grey_and_their_ink_stands_out(sensitive):
    (panel,) = seen(sensitive).panels
    found = []
    for text in panel.marks("text"):
        (cell,) = (
            cell
            for cell in panel.marks("rect")
            if 0 < text["x"] - cell["x"] < cell["width"] and 0 < text["y"] - cell["y"] < cell["height"]
        )
        found.append((float(text["text"]), lightness(cell["fill"]), lightness(text["fill"])))
    numbers, shades, inks = np.array(sorted(found)).T
    assert len(numbers) == 6
    assert (np.diff(shades) > 0).all()
    assert (np.abs(inks - shades) > 0.35).all()
    assert [text["text"] for text in panel.marks("text") if text.get("fontWeight") == "bold"] == ["0.542"]


def test_a_pair_that_a_split_could_not_fit_has_no_number(study):
    def scores(k):
        return [[{"alpha": a, "beta": b}, 0.5] for a in ALPHA for b in BETA if (k, a, b) != (1, 10.0, 1.0)]

    holed = with_scores(study, scores)
    found = {key: text["text"] for key, text in cells(seen(holed)).items()}
    assert found.pop(("10", "1")) == "-"
    assert set(found.values()) == {"0.500"}


def test_of_further_hyperparameters_each_split_takes_the_best(study):
    def scores(k):
        return [[{"alpha": 1.0, "beta": b, "n": n}, 0.1 * n + 0.01 * k] for b in BETA for n in (1, 2 + k)]

    found = with_scores(study, scores)
    assert {text["text"] for text in cells(seen(found)).values()} == {f"{(0.2 + 0.31 + 0.42) / 3:.3f}"}
    assert "(the best over n, mean of 3 splits)" in figures.describe(found, "a")


def test_sensitivity_is_of_the_data_set_that_the_figure_names(tmp_path):
    two, scores = made_study(tmp_path, config=CONFIG_OF_TWO), {"made": 0.25, "bare": 0.75}
    runs = [run | {"scores": [[{"alpha": 1, "beta": 1}, scores[run["dataset"]]]]} for run in two.facts["runs"]]
    for dataset, score in scores.items():
        (text,) = cells(seen(with_figure(two, SENSITIVITY | {"dataset": dataset}, runs=runs))).values()
        assert text["text"] == f"{score:.3f}"


def test_sensitivity_in_words_tells_the_range_and_where_its_ends_are(sensitive, tmp_path):
    assert figures.describe(sensitive, "a") == (
        "Figure 2. Valid mAP of CCA for 3 values of alpha and 2 of beta (mean of 3 splits): "
        "from 0.468 (alpha 10, beta 0.01) to 0.542 (alpha 0.1, beta 1)."
    )
    assert_same_bytes(sensitive, tmp_path)


def test_a_hyperparameter_that_the_method_has_not_is_refused(sensitive):
    wrong = with_figure(sensitive, SENSITIVITY | {"x": "gamma"})
    with pytest.raises(UserError, match="cca has no hyper-parameter gamma; it has"):
        seen(wrong)


def test_sensitivity_of_a_method_without_runs_is_a_notice(study):
    runs = [run for run in study.facts["runs"] if run["method"] != "cca"]
    bare = with_figure(study, SENSITIVITY, runs=runs)
    assert "No method is applicable" in seen(bare).text
    assert "No method is applicable" in figures.describe(bare, "a")


# Bars of classes


def with_class_values(study, folder, values, classes=CLASSES):
    """values : pair -> its classes, its text, the numbers of its image and of its text."""
    rows = [
        (pair, side, name, number, name in true, text)
        for pair, (true, text, *sides) in values.items()
        for side, numbers in zip(("image", "text"), sides, strict=True)
        for name, number in zip(classes, numbers, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["pair", "side", "class", "value", "true", "text"])
    store.write_table(folder / "figure_data/a.parquet", frame, {"method": "cca", "split": "random-1"})
    return replace(with_figure(study, {"kind": "class_bars", "item": "Figure 3"}), folder=folder)


VALUES = {
    "item-07": (["fish"], "a <fish> & $5_{x}", [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]),
    "item-12": (["bird & co", "tree"], "", [0.7, 0.1, 0.2], [0.6, 0.1, 0.3]),
}


def test_every_class_has_a_bar_of_the_image_and_one_of_the_text(study, tmp_path):
    figure = seen(with_class_values(study, tmp_path, VALUES))
    assert list(figure.legend) == ["image", "text"]
    side_of = {symbol["fill"]: side for side, symbol in figure.legend.items()}
    last = figure.panels[-1]
    assert list(last.labels["x"]) == list(CLASSES)
    for panel, (_, _, image, text) in zip(figure.panels, VALUES.values(), strict=True):
        found = {
            (side_of[bar["fill"]], last.name("x", bar["x"] + bar["width"] / 2)): panel.number("y", bar["y"])
            for bar in panel.marks("rect")
        }
        sides = (("image", image), ("text", text))
        expected = {
            (side, name): number for side, numbers in sides for name, number in zip(CLASSES, numbers, strict=True)
        }
        assert found == pytest.approx(expected)
        assert len(panel.marks("rect")) == len(expected)


def test_true_classes_are_marked_above_their_bars_and_named(study, tmp_path):
    figure = seen(with_class_values(study, tmp_path, VALUES))
    last = figure.panels[-1]
    marks = [
        [(last.name("x", mark["x"]), pytest.approx(panel.number("y", mark["y"]))) for mark in panel.marks("text")]
        for panel in figure.panels
    ]
    assert marks == [[("fish", 0.8)], [("bird & co", 0.7), ("tree", 0.3)]]
    titles = [panel.title for panel in figure.panels]
    assert titles == ["fish: “a <fish> & $5_{x}”", "bird & co, tree: item-12"]


def test_bars_below_zero_have_their_mark_above_zero(study, tmp_path):
    values = {"item-07": (["fish"], "", [0.4, -0.8, 0.1], [-0.2, -0.3, 0.5])}
    (panel,) = seen(with_class_values(study, tmp_path, values)).panels
    (mark,) = panel.marks("text")
    assert panel.number("y", mark["y"]) == pytest.approx(0)
    lowest = max(bar["y"] + bar["height"] for bar in panel.marks("rect"))
    assert panel.number("y", lowest) == pytest.approx(-0.8)
    assert lowest <= panel.height


def test_classes_in_words_tell_the_highest_of_either_side(study, tmp_path):
    made = with_class_values(study, tmp_path, VALUES)
    assert figures.describe(made, "a").endswith(
        "CCA, test part of split random-1: a number for each class, of an image and of its text. The highest: "
        "item-07 (fish): image fish 0.80, text tree 0.50. item-12 (bird & co, tree): image bird & co 0.70, "
        "text bird & co 0.60."
    )
    assert_same_bytes(made, tmp_path)


@pytest.mark.parametrize("count", [20, 81])
def test_names_of_many_classes_do_not_overlap(study, tmp_path, count):
    classes = [f"class of name {k:02d}" for k in range(count)]
    values = {f"item-{k}": ([classes[k]], "word " * 17, np.eye(count)[k], np.eye(count)[k] / 2) for k in range(5)}
    figure = seen(with_class_values(study, tmp_path, values, classes))
    assert len(figure.panels[-1].labels["x"]) == (count if count == 20 else 0)
    assert figure.apart and figure.inside
    assert figure.width < 1.1 * WIDTH
    assert min(panel.height for panel in figure.panels) > 60


def test_bars_of_a_method_that_is_not_applicable_are_a_notice(study, tmp_path):
    made = with_class_values(study, tmp_path, {})
    assert "No method is applicable" in seen(made).text
    assert "No method is applicable" in figures.describe(made, "a")


# Vectorisers


def with_cosines(study, folder):
    names = [
        (pairs, dataset, one) for pairs in ("Semantic", "Syntactic") for dataset in "AB" for one in ("BoW", "GloVe")
    ]
    frame = pd.DataFrame(names, columns=["pairs", "dataset", "vectoriser"]).assign(n=40, floor=0.05)
    frame["value"] = np.linspace(0.1, 0.8, 8)
    frame = frame.assign(low=frame["value"] - 0.02, high=frame["value"] + 0.04)
    few = (frame["pairs"] == "Syntactic") & (frame["dataset"] == "B")
    frame.loc[few, ["value", "low", "high", "floor"]] = np.nan
    frame.loc[few, "n"] = 3
    store.write_table(folder / "figure_data/a.parquet", frame)
    return replace(with_figure(study, {"kind": "vectorisers", "item": "Figure 4"}), folder=folder)


def test_vectorisers_have_a_bar_a_data_set_and_their_floor(study, tmp_path):
    made = with_cosines(study, tmp_path)
    figure = seen(made)
    first, second = figure.panels
    colours = {name: figure.legend[name]["fill"] for name in ("BoW", "GloVe")}
    bars = {
        name: {
            first.name("x", bar["x"] + bar["width"] / 2): round(first.number("y", bar["y"]), 4)
            for bar in first.marks("rect")
            if bar["fill"] == colour
        }
        for name, colour in colours.items()
    }
    assert bars == {"BoW": {"A": 0.1, "B": 0.3}, "GloVe": {"A": 0.2, "B": 0.4}}
    assert [first.number("y", floor["y"]) for floor in first.marks("symbol")] == [pytest.approx(0.05)] * 4
    assert figure.legend["no knowledge"]["strokeDash"]
    (told,) = second.marks("text")
    assert (second.name("x", told["x"]), told["text"]) == ("B", "too few: 3")
    assert figure.inside and figure.apart
    told = figures.describe(made, "a")
    assert "Semantic, A: BoW 0.100 (0.050), GloVe 0.200 (0.050)." in told
    assert "Syntactic, B: BoW too few pairs (3), GloVe too few pairs (3)." in told
    assert_same_bytes(made, tmp_path)


def test_vectorisers_are_not_part_of_a_rehearsal(study, tmp_path):
    made = with_cosines(study, tmp_path)
    made.config["paper"] = {"rehearsal": "made"}
    assert "ehearsal" not in seen(made).text + figures.describe(made, "a")


# Average ranks

RANKS = {"kind": "critical_difference", "item": "Table 1", "tables": ["Table 1"], "metric": "map_all"}
RANKS |= {"of": "published", "tasks": ["average"]}


def with_verdicts(paper, folder, values, **spec):
    """The made paper with these values: (features, task) -> method -> value, published as it is measured."""
    of = {features: (features, "made") for features in ("pixels", "edges")} | {"lost": ("pixels", "lost")}
    rows = [
        ("Table 1", *reversed(of[features]), method, task, "map_all", value, value)
        for (features, task), block in values.items()
        for method, value in block.items()
    ]
    columns = ["table", "dataset", "features", "method", "task", "metric", "published", "measured"]
    frame = pd.DataFrame(rows, columns=columns)
    frame.loc[frame["dataset"] == "lost", "measured"] = np.nan
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "verdicts.csv", index=False)
    return replace(with_figure(paper, RANKS | spec), folder=folder)


BLOCKS = {
    ("pixels", "average"): {"cca": 0.3, "acmr": 0.5, "own": 0.6},
    ("edges", "average"): {"cca": 0.4, "acmr": 0.3, "own": 0.6},
    ("lost", "average"): {"cca": 0.5, "acmr": 0.6, "own": 0.4},
}


def ranks_of(figure):
    """Name -> rank as printed."""
    names = [text for text in figure.panels[0].marks("text") if text.get("align") == "right"]
    return dict(" ".join(text["text"].split()).rsplit(maxsplit=1) for text in names)


def test_ranks_are_averaged_over_what_is_printed(paper, tmp_path):
    made = with_verdicts(paper, tmp_path / "a", BLOCKS)
    assert ranks_of(seen(made)) == {"Own": "1.67", "ACMR (small)": "2.00", "CCA": "2.33"}
    told = figures.describe(made, "a")
    assert told.startswith("Table 1. Values that the paper prints. Average ranks over 3 blocks")
    assert "Blocks: Made pictures, pixels, Average; Made pictures, edges, Average; Lost pictures, Average." in told
    assert_same_bytes(made, tmp_path)


def test_methods_on_features_of_their_own_are_ranked_together_where_the_figure_says_so(paper, tmp_path):
    blocks = {
        ("pixels", "average"): {"cca": 0.3, "acmr": 0.5},
        ("edges", "average"): {"own": 0.4},
        ("lost", "average"): {"cca": 0.5, "acmr": 0.6, "own": 0.7},
    }
    made = with_verdicts(paper, tmp_path / "a", blocks, across_features=True)
    assert ranks_of(seen(made)) == {"ACMR (small)": "1.50", "Own": "1.50", "CCA": "3.00"}
    assert "Blocks: made, Average; lost, Average." in figures.describe(made, "a")
    apart = with_verdicts(paper, tmp_path / "a", blocks)
    assert "Average ranks need two or more methods" in seen(apart).text


def test_measured_ranks_are_of_what_was_run_under_the_names_of_ours(paper, tmp_path):
    made = with_verdicts(paper, tmp_path / "a", BLOCKS, of="measured")
    assert ranks_of(seen(made)) == {"Own": "1.00", "ACMR (small)": "2.50", "CCA": "2.50"}
    assert "Values measured here. Average ranks over 2 blocks" in figures.describe(made, "a")


def test_the_made_papers_own_verdicts_give_ranks(paper):
    ranks = {"Own": "1.00", "ACMR (small)": "2.00", "GMLDA": "3.00", "CCA": "4.00", "BLM": "5.00"}
    assert ranks_of(seen(with_figure(paper, RANKS | {"of": "measured"}))) == ranks


def test_a_method_without_a_value_in_some_block_is_left_out_and_told(paper, tmp_path):
    blocks = copy.deepcopy(BLOCKS)
    del blocks["edges", "average"]["acmr"]
    made = with_verdicts(paper, tmp_path / "a", blocks)
    assert set(ranks_of(seen(made)).values()) == {"1.33", "1.67"}
    assert "Without a value in some block: ACMR (small)." in figures.describe(made, "a")


def test_two_methods_for_which_one_of_ours_stands_are_told_apart(paper, tmp_path):
    made = with_verdicts(paper, tmp_path / "a", BLOCKS)
    facts = copy.deepcopy(made.facts)
    for setting in facts["config"]["paper"]["settings"].values():
        setting["methods"] |= {"acmr": "own", "cca": "lost"}
    assert ranks_of(seen(replace(made, facts=facts))) == {"Own (own)": "1.67", "Own (acmr)": "2.00", "cca": "2.33"}


def test_what_was_measured_instead_gives_its_name(paper, tmp_path):
    made = with_verdicts(paper, tmp_path / "a", BLOCKS, of="measured")
    facts = copy.deepcopy(made.facts)
    for setting in facts["config"]["paper"]["settings"].values():
        for alternative in setting["alternatives"]:
            alternative["instead"] = {"acmr_small": "gmlda"}
    assert "GMLDA" in ranks_of(seen(replace(made, facts=facts)))
    assert "ACMR (small)" in ranks_of(seen(with_figure(replace(made, facts=facts), RANKS)))


def test_settings_that_are_measured_on_the_same_data_are_one_block(paper, tmp_path):
    made = with_verdicts(paper, tmp_path / "a", BLOCKS, of="measured")
    facts = copy.deepcopy(made.facts)
    settings = facts["config"]["paper"]["settings"]
    settings["made_edges"]["alternatives"] = settings["made_pixels"]["alternatives"]
    same = replace(made, facts=facts)
    told = "on two or more data sets or tasks; here there are 1 (Made pictures, pixels, Average)."
    assert told in seen(same).text
    assert told in figures.describe(same, "a")


def test_without_a_measured_value_ranks_are_a_notice(paper, tmp_path):
    lost = {("lost", "average"): BLOCKS["lost", "average"]}
    assert "here there are 0." in seen(with_verdicts(paper, tmp_path / "a", lost, of="measured")).text


def test_published_ranks_are_the_papers_in_a_rehearsal_too(paper, tmp_path):
    for of, told in (("published", False), ("measured", True)):
        made = with_verdicts(paper, tmp_path / "a", BLOCKS, of=of)
        made.config["paper"] = made.config["paper"] | {"rehearsal": "made"}
        assert ("rehearsal on" in seen(made).text) == told


@pytest.mark.parametrize("key, name", [("tables", "Table 9"), ("tasks", "img2all")])
def test_what_the_paper_does_not_print_is_refused(paper, tmp_path, key, name):
    with pytest.raises(UserError, match=f"the paper has no {key[:-1]} {name}; it has"):
        seen(with_verdicts(paper, tmp_path / "a", BLOCKS, **{key: [name]}))


def test_two_values_of_a_method_in_one_block_are_refused(paper, tmp_path):
    made = with_verdicts(paper, tmp_path / "a", BLOCKS, tables=["Table 1", "Table 8"])
    path = tmp_path / "a/verdicts.csv"
    rows = pd.read_csv(path)
    again = rows[rows["method"] == "own"].assign(table="Table 8")
    pd.concat([rows, again]).to_csv(path, index=False)
    assert len(ranks_of(seen(made))) == 3  # a value that is repeated is one value
    pd.concat([rows, again.assign(published=0.9)]).to_csv(path, index=False)
    with pytest.raises(UserError, match="two values of own on made, average"):
        seen(made)


def test_missing_verdicts_are_named(paper, tmp_path):
    with pytest.raises(UserError, match=r"verdicts\.csv cannot be read"):
        seen(replace(with_figure(paper, RANKS), folder=tmp_path))


@pytest.mark.parametrize(
    ("name", "methods"),
    [("csaec", 6), ("hrl", 12), ("eisr", 4), ("alscor", 9)],  # of EISR's eight, four have values on all data sets
)
def test_published_ranks_of_the_papers_are_of_all_methods_that_can_be_ranked(paper, tmp_path, name, methods):
    root = Path(__file__).parents[3] / "config"
    about = yaml.safe_load((root / f"papers/{name}.yaml").read_text("utf-8"))
    specs = [one for one in about["figures"].values() if one["kind"] == "critical_difference"]
    (spec,) = [one for one in specs if one["of"] == "published"]
    results = pd.read_csv(root / "published/results.csv", dtype={"value": float})
    rows = results[results["paper"] == name].rename(columns={"value": "published"}).assign(measured=np.nan)
    rows.to_csv(tmp_path / "verdicts.csv", index=False)
    settings = {
        key: {"of": one["of"], "title": one["title"], "methods": {}, "alternatives": []}
        for key, one in about["settings"].items()
    }
    study = with_figure(paper, spec)
    study.config["paper"] = study.config["paper"] | {"settings": settings}
    assert len(ranks_of(seen(replace(study, folder=tmp_path)))) == methods
