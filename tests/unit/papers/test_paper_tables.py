import csv
import importlib.util
import io
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy

from cmr import files
from cmr.errors import UserError
from cmr.gallery import templates
from cmr.papers import measured, records, verdicts
from cmr.papers.grids import Axis
from cmr.papers.map_tables import FEATURES
from cmr.papers.measured import TASKS
from cmr.papers.plan import methods_run, views_run
from cmr.papers.published import Published
from cmr.papers.tables import make_paper_table
from cmr.results import CURVES, HISTORY, SCORES, Study
from tests.made_paper import CONFIG, METHODS, PAPER, write_published
from tests.made_study import HOSTILE

ROOT = Path(__file__).parents[3]
NOT_RUN = "\N{EN DASH}"
NOT_RUN_A, NOT_RUN_B = f"{NOT_RUN} [a]", f"{NOT_RUN} [b]"
METRICS = ("map_all", "map_at_40_hits", "map_at_50_hits")
TITLES = {"img2txt": "Image → text", "txt2img": "Text → image", "img2all": "Image → all", "txt2all": "Text → all"}
# What is measured here: a method's number, plus that of the task, less one hundredth in a substitute.
OURS = {"cca": 0.3, "gmlda": 0.4, "acmr": 0.5, "blm": 0.2, "own": 0.6, "sm": 0.7, "random": 0.1}
OF_TASK = {"img2txt": 0.0, "txt2img": 0.02, "mean": 0.01, "img2all": 0.03, "txt2all": 0.05, "mean_all": 0.04}
SPECS = {
    "wide": {"item": "Table 1", "rows": ["method"], "columns": ["dataset", "features", "task"]},
    "turned": {"item": "Table 1", "rows": ["dataset", "features", "task"], "columns": ["method"]},
    "nested": {"item": "Table 1", "rows": ["dataset", "method"], "columns": ["features", "task"]},
    "first_40": {"item": "Table 2", "rows": ["method"], "columns": ["task"]},
    "all_modal": {"item": "Table 3", "rows": ["method"], "columns": ["task"]},
}
SPECS = {name: {"kind": "published", "caption": f"Of {name}."} | spec for name, spec in SPECS.items()}


def write_study(folder, paper, tables, numbers=None, judged=None, methods=METHODS, datasets=None, printed=None):
    """A study's folder without runs, with numbers that the test knows; returns the folder.

    numbers : what is to change in the rows of measured.csv. judged : method -> verdict on its printed numbers of the
    setting `made_pixels`; all others are not comparable.
    """
    datasets = datasets or {"made": {"title": "Made pictures", "classes": {}, "splits": {}}}
    config = CONFIG | {"paper": paper, "tables": tables}
    facts = {"study": paper["id"], "config": config, "methods": methods, "datasets": datasets}
    facts |= {"runs": [], "not_applicable": [], "versions": {}}
    folder.mkdir(parents=True, exist_ok=True)
    study = Study(*(pd.DataFrame(columns=columns) for columns in (SCORES, CURVES, HISTORY)), facts)
    study.write(*(folder / name for name in ("results.csv", "curves.parquet", "history.parquet", "study.json")))
    rows = [
        row
        for name, setting in paper["settings"].items()
        for number, one in enumerate(setting["alternatives"])
        if not one["missing"]
        for row in _rows(name, setting, number, one)
    ]
    frame = pd.DataFrame(rows, columns=measured.COLUMNS)
    records.write(folder / "measured.csv", numbers(frame) if numbers else frame)
    results = (printed or Published.read(write_published(folder / "published"))).results
    results = results[results["paper"] == paper["id"]]
    ours = (results["dataset"] == "made") & (results["features"] == "pixels")
    told = results["method"].map(judged or {}).astype(object).where(ours).fillna("not comparable")
    frame = results.assign(published=results["value"], verdict=told, reason="Since.").reindex(columns=verdicts.COLUMNS)
    records.write(folder / "verdicts.csv", frame)
    return folder


def _rows(name, setting, number, one):
    for method, run in methods_run(setting, one).items():
        place = (one["exact"], one["dataset"], " ".join(one["splits"]), *views_run(one, run))
        for task in TASKS:
            for metric in METRICS:
                value = OURS.get(method, 0.15) + OF_TASK[task] - 0.01 * (number > 0)
                interval = (value, value - 0.01, value + 0.03)
                yield (name, number, *place, method, run, task, metric, *interval, 3, 1, "splits", 0.1, "", "")


def table_of(tmp_path, name, paper=PAPER, tables=SPECS, **kwargs):
    folder = write_study(tmp_path / "study", paper, tables, **kwargs)
    return make_paper_table(folder, Published.read(folder / "published"), name)


def text(entry):
    """A cell as one reads it, the best with a star."""
    parts = (entry.text + "*" * entry.best, entry.aside, entry.mark, entry.footnote and f"[{entry.footnote}]")
    return " ".join(filter(None, parts))


def grid_as_text(grid):
    """Lines of a grid: header by header, then titles and cells."""
    stubs = len(grid.rows.names)
    head = [[""] * stubs + [title for title, span in titles for _ in range(span)] for titles in grid.head]
    head[-1][:stubs] = grid.rows.names
    rows = [[*entry, *map(text, cells)] for entry, cells in zip(grid.rows.entries, grid.cells, strict=True)]
    return [*head, *rows]


def with_settings(**changes):
    """The made paper with changed settings."""
    settings = {name: setting | changes.get(name, {}) for name, setting in PAPER["settings"].items()}
    return PAPER | {"settings": settings}


def changing(where, **values):
    """Change the rows of measured.csv in which columns have these values."""

    def change(frame):
        chosen = np.logical_and.reduce([frame[column] == value for column, value in where.items()])
        return frame.assign(**{name: frame[name].mask(chosen, value) for name, value in values.items()})

    return change


# The layout


def test_printed_numbers_stand_in_the_paper_s_rows_and_columns(tmp_path):
    tasks = ["Image → text", "Text → image", "Average"]
    assert grid_as_text(table_of(tmp_path, "wide").grids[0]) == [
        ["", *["Made pictures"] * 6, *["lost"] * 3],
        ["", *["pixels"] * 3, *["edges"] * 3, *["pixels"] * 3],
        ["Method", *tasks * 3],
        ["CCA", *["0.331", "0.381", "0.356"] * 3],
        ["GMLDA", *["0.500", "0.550", "0.525"] * 3],
        ["ACMR (small)", *["0.400", "0.450", "0.425"] * 3],
        ["BLM", *["0.250", "0.300", "0.275"] * 3],
        ["Own", *["0.620*", "0.670*", "0.645*"] * 3],
    ]


def test_ours_stand_in_the_same_rows_and_columns_with_sm_and_the_floor_at_the_end(tmp_path):
    judged = {"cca": "reproduced", "gmlda": "lower", "acmr": "higher"}
    table = table_of(tmp_path, "wide", judged=judged)
    assert [grid.title for grid in table.grids] == ["As printed", "Ours"]
    tasks = ["Image → text", "Text → image", "Average"]
    lost = [NOT_RUN_A] * 3
    assert grid_as_text(table.grids[1]) == [
        ["", *["Made pictures"] * 6, *["lost"] * 3],
        ["", *["pixels"] * 3, *["edges"] * 3, *["pixels"] * 3],
        ["", *["pixels + bow: as printed"] * 3, *["pixels + tags: substitute"] * 3, *["not run"] * 3],
        ["Method", *tasks * 3],
        ["CCA", *(f"0.{n} ± 0.020 =" for n in (300, 320, 310)), *(f"0.{n} ± 0.020" for n in (290, 310, 300)), *lost],
        ["GMLDA", *(f"0.{n} ± 0.020 ▼" for n in (400, 420, 410)), *(f"0.{n} ± 0.020" for n in (390, 410, 400)), *lost],
        [
            "ACMR (small)",
            *(f"0.{n} ± 0.020 ▲" for n in (500, 520, 510)),
            *(f"0.{n} ± 0.020" for n in (490, 510, 500)),
            *lost,
        ],
        ["BLM", *(f"0.{n} ± 0.020" for n in (200, 220, 210, 190, 210, 200)), *lost],
        ["Own", *(f"0.{n}* ± 0.020" for n in (600, 620, 610, 590, 610, 600)), *lost],
        ["SM", *(f"0.{n} ± 0.020" for n in (700, 720, 710, 690, 710, 700)), "", "", ""],
        ["Random (floor)", *(f"0.{n} ± 0.020" for n in (100, 120, 110, "090", 110, 100)), "", "", ""],
    ]
    floor, sm = table.grids[1].lines[-1], table.grids[1].lines[-2]
    assert (floor.is_floor, sm.is_floor, floor.begins, sm.begins) == (True, False, False, True)


def test_methods_may_be_columns(tmp_path):
    printed, ours = table_of(tmp_path, "turned").grids
    methods = ["CCA", "GMLDA", "ACMR (small)", "BLM", "Own"]
    assert grid_as_text(printed)[:3] == [
        ["Data set", "Features", "Task", *methods],
        ["Made pictures", "pixels", "Image → text", "0.331", "0.500", "0.400", "0.250", "0.620*"],
        ["Made pictures", "pixels", "Text → image", "0.381", "0.550", "0.450", "0.300", "0.670*"],
    ]
    lines = grid_as_text(ours)
    assert lines[0] == ["Data set", "Features", "Measured on", "Task", *methods, "SM", "Random (floor)"]
    assert [line[:4] for line in lines[3:5]] == [
        ["Made pictures", "pixels", "pixels + bow: as printed", "Average"],
        ["Made pictures", "edges", "pixels + tags: substitute", "Image → text"],
    ]
    assert lines[4][-2:] == ["0.690 ± 0.020", "0.090 ± 0.020"] and lines[-1][-3:] == [NOT_RUN_A, "", ""]


def test_methods_beside_stand_at_the_end_of_each_group_of_rows(tmp_path):
    grid = table_of(tmp_path, "nested").grids[1]
    titles = ["CCA", "GMLDA", "ACMR (small)", "BLM", "Own"]
    made = [("Made pictures", title) for title in [*titles, "SM", "Random (floor)"]]
    assert list(grid.rows.entries) == [*made, *(("lost", title) for title in titles)]
    assert [line.titles[0][1] for line in grid.lines] == [7, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]
    assert (grid.begins, grid.floors) == ({5}, {6})
    # Lost pictures share the columns of the made ones, but were not run: the header tells of those that were.
    assert [title for title, _ in grid.head[1]] == ["pixels + bow: as printed", "pixels + tags: substitute"]


def test_what_all_was_measured_on_is_told_once(tmp_path):
    assert table_of(tmp_path, "first_40").grids[1].title == "Ours, pixels + bow: as printed"


def test_the_metric_and_the_mean_are_those_of_the_table(tmp_path):
    numbers = changing({"metric": "map_at_40_hits"}, measured=0.77)
    assert text(table_of(tmp_path / "a", "first_40", numbers=numbers).grids[1].cells[0][0]).startswith("0.770")
    printed, ours = table_of(tmp_path / "b", "all_modal").grids
    assert [title for title, _ in ours.head[0]] == ["Image → all", "Text → all", "Average"]
    assert [entry.text for entry in ours.cells[0]] == ["0.330", "0.350", "0.340"]
    assert [entry.text for entry in printed.cells[0]] == ["0.351", "0.371", "0.356"]


def test_each_further_alternative_has_a_grid_of_its_own_without_verdicts(tmp_path):
    one = PAPER["settings"]["made_pixels"]["alternatives"][0]
    paper = with_settings(made_pixels={"alternatives": [one, one | {"image_view": "corners", "exact": False}]})
    printed, first, second = table_of(tmp_path, "wide", paper, judged={"cca": "reproduced"}).grids
    assert [entry.mark for entry in first.cells[0]] == ["="] * 3 + [""] * 6
    assert (second.name, second.title) == ("ours_2", "Ours, alternative 2")
    assert [title for title, _ in second.head[2]] == ["corners + bow: substitute", "", ""]
    numbers = [f"0.{n} ± 0.020" for n in (290, 310, 300)]
    assert [text(entry) for entry in second.cells[0]] == [*numbers, *[""] * 6]
    assert second.notes[-1].text == "Blank: no further alternative was run."
    assert printed.rows.entries == second.rows.entries[:5]


def test_the_notes_tell_what_a_substitute_is_and_what_is_missing(tmp_path):
    assert [str(note) for note in table_of(tmp_path, "wide").grids[1].notes] == [
        "a: Not run: needs lost/images, lost/texts.",
        "Made pictures, pixels, as printed: Made pictures, 3 splits (random-0 to random-2), images as pixels, texts as "
        "bow; intervals over splits.",
        "Made pictures, edges, a substitute: Made pictures, 3 splits (random-0 to random-2), images as pixels, texts "
        "as tags; intervals over splits. Not as printed: pixels instead of edges; tags instead of words. As printed it "
        "needs made/edges.",
    ]


def test_a_number_of_another_method_or_other_views_has_a_footnote(tmp_path):
    one = PAPER["settings"]["made_pixels"]["alternatives"][0]
    changed = one | {
        "instead": {"own": "gmlda"},
        "views_of": {"gmlda": {"text_view": "words"}, "sm": {"text_view": "w"}},
    }
    paper = with_settings(made_pixels={"alternatives": [changed]})
    grid = table_of(tmp_path, "first_40", paper).grids[1]
    assert [str(note) for note in grid.notes[:3]] == [
        "a: GMLDA: texts as words.",
        "b: GMLDA stands in for Own.",
        "c: SM: texts as w.",
    ]
    assert [row[0].footnote for row in grid.cells] == ["", "a", "", "", "b,a", "c", ""]


def test_what_is_missing_is_told_once_for_each_set_of_files(tmp_path):
    lost = PAPER["settings"]["lost_pixels"]["alternatives"][0]
    paper = with_settings(
        made_edges={"alternatives": [lost, lost | {"missing": ["lost/tags"], "exact": False}]},
        made_pixels={"alternatives": [lost]},
    )
    grids = table_of(tmp_path, "wide", paper).grids
    assert [text(entry) for entry in grids[1].cells[0]] == [NOT_RUN_A] * 3 + [NOT_RUN_B] * 3 + [NOT_RUN_A] * 3
    assert [note.text for note in grids[1].notes] == [
        "Not run: needs lost/images, lost/texts.",
        "Not run: needs lost/images, lost/texts or, for a substitute, lost/tags.",
    ]
    assert len(grids) == 2 and grids[1].title == "Ours, not run" and len(grids[1].cells) == 5  # nothing beside


def test_settings_and_methods_without_anything_of_ours_are_not_run(tmp_path):
    settings = {name: one for name, one in PAPER["settings"].items() if name != "lost_pixels"}
    methods = {name: own for name, own in PAPER["settings"]["made_edges"]["methods"].items() if name != "own"}
    settings["made_edges"] = settings["made_edges"] | {"methods": methods}
    grid = table_of(tmp_path, "wide", PAPER | {"settings": settings}).grids[1]
    assert [note.text for note in grid.notes[:2]] == [  # by letters in the order of reading
        "Not run: needs data that no configuration of ours describes.",
        "Not run: no method of ours stands for own.",
    ]
    assert [text(entry) for entry in grid.cells[4][3:]] == [NOT_RUN_B] * 3 + [NOT_RUN_A] * 3


def shared_paper(tmp_path, floors):
    """A paper that prints CCA on pixels and BLM on edges in one column; the floor of the two settings."""
    spec = {"kind": "published", "item": "Table 9", "caption": "", "rows": ["method"], "columns": ["task"]}
    folder = tmp_path / "study"
    write_published(folder / "published")
    rows = [f"made,Table 9,made,{views},{method},img2txt,map_all,0.3,\n" for views, method in
            (("pixels", "cca"), ("edges", "blm"))]  # fmt: skip
    path = folder / "published/results.csv"
    path.write_text(path.read_text("utf-8") + "".join(rows), "utf-8")
    counts = folder / "published/counts.csv"
    counts.write_text(counts.read_text("utf-8").replace("made,75,", "made,77,"), "utf-8")

    def numbers(frame):
        for setting, floor in zip(("made_pixels", "made_edges"), floors, strict=True):
            frame = changing({"setting": setting, "method": "random"}, measured=floor)(frame)
        return frame

    printed = Published.read(folder / "published")
    write_study(folder, PAPER, {"shared": spec}, numbers, printed=printed)
    return make_paper_table(folder, printed, "shared").grids[1]


def test_settings_that_share_a_cell_share_the_floor_where_it_is_the_same(tmp_path):
    grid = shared_paper(tmp_path, (0.25, 0.2502))
    assert grid.rows.names == ("Method", "Measured on")
    assert list(grid.rows.entries) == [
        ("CCA", "pixels + bow: as printed"),
        ("BLM", "pixels + tags: substitute"),
        ("SM", ""),
        ("SM, edges", ""),  # a hundredth less than on pixels
        ("Random (floor)", ""),
    ]


def test_settings_that_share_a_cell_have_their_own_floors_where_they_differ(tmp_path):
    grid = shared_paper(tmp_path, (0.25, 0.26))
    cells = {title: cells[0].text for (title, *_), cells in zip(grid.rows.entries, grid.cells, strict=True)}
    assert cells["Random (floor)"] == "0.250" and cells["Random (floor), edges"] == "0.260"
    assert len(grid.floors) == 2


def test_what_is_not_run_has_its_title_from_the_paper_s_config_or_is_named_by_its_id(tmp_path):
    lost = [title for title, _ in table_of(tmp_path / "a", "wide").grids[0].head[0]]
    titles = {"datasets": {"lost": "Lost pictures"}, "methods": {"blm": "Bilinear model"}}
    grid = table_of(tmp_path / "b", "wide", PAPER | {"titles": titles}, methods={}).grids[0]
    assert lost == ["Made pictures", "lost"]
    assert [title for title, _ in grid.head[0]] == ["Made pictures", "Lost pictures"]
    assert [title for (title,) in grid.rows.entries] == ["cca", "gmlda", "acmr_small", "Bilinear model", "own"]


def test_a_table_that_has_sm_of_its_own_gets_no_other_and_it_may_be_best(tmp_path):
    printed = Published.read(write_published(tmp_path / "published"))
    printed = replace(printed, results=printed.results.replace({"method": {"blm": "sm"}}))
    methods = {name: own for name, own in PAPER["settings"]["made_pixels"]["methods"].items() if name != "blm"}
    paper = with_settings(made_pixels={"methods": methods | {"sm": "sm"}})
    folder = write_study(tmp_path / "study", paper, SPECS, printed=printed)
    grid = make_paper_table(folder, printed, "first_40").grids[1]
    titles = [title for (title,) in grid.rows.entries]
    assert titles == ["CCA", "GMLDA", "ACMR (small)", "SM", "Own", "Random (floor)"]
    assert text(grid.cells[titles.index("SM")][0]) == "0.700* ± 0.020"


def test_columns_of_the_same_title_stay_apart():
    axis = Axis(("Data set", "Task"), (("A", "x"), ("A", "x"), ("A", "y"), ("B", "y")))
    assert axis.spans(0) == [("A", 3), ("B", 1)]
    assert axis.spans(1) == [("x", 1), ("x", 1), ("y", 1), ("y", 1)]


# What is best, and marks


def test_the_best_is_marked_in_what_is_printed_and_in_ours_separately(tmp_path):
    numbers = changing({"method": "gmlda", "task": "img2txt"}, measured=0.6004)
    printed, ours = table_of(tmp_path, "first_40", numbers=numbers).grids
    best = [[[title for (title,), row in zip(grid.rows.entries, grid.cells, strict=True) if row[column].best]
             for column in range(3)] for grid in (printed, ours)]  # fmt: skip
    assert best == [[["Own"]] * 3, [["GMLDA", "Own"], ["Own"], ["Own"]]]


@pytest.mark.parametrize(("caveat", "mark"), [("sees_pairs", "‡"), ("selected_on_test", "§"), ("transductive", "†")])
def test_a_method_with_a_caveat_is_marked_and_never_best(tmp_path, caveat, mark):
    table = table_of(tmp_path, "first_40", numbers=changing({"method": "own"}, caveat=caveat), judged={"own": "higher"})
    assert text(table.grids[1].cells[4][0]) == f"0.600 ± 0.020 {mark} ▲"
    assert text(table.grids[1].cells[2][0]) == "0.500* ± 0.020"
    assert any(note.startswith(f"{mark} ") for note in table.notes)
    assert text(table.grids[0].cells[4][0]) == "0.620*"  # the caveat is of our run


def test_a_method_that_is_not_applicable_says_so_and_is_never_best(tmp_path):
    nothing = dict.fromkeys(["measured", "low", "high"], np.nan) | {"not_applicable": "it is for one class a pair"}
    grid = table_of(tmp_path / "a", "first_40", numbers=changing({"method": "gmlda"}, **nothing)).grids[1]
    assert [text(entry) for entry in grid.cells[1]] == ["n/a [a]"] * 3
    assert str(grid.notes[0]) == "a: n/a: it is for one class a pair."
    partly = changing({"method": "own"}, not_applicable="it is for one class a pair.")
    grid = table_of(tmp_path / "b", "first_40", numbers=partly).grids[1]
    assert text(grid.cells[4][0]) == "0.600 ± 0.020 [a]" and grid.cells[2][0].best
    assert str(grid.notes[0]) == "a: n/a on splits that the number leaves out: it is for one class a pair."


def test_only_verdicts_that_are_there_are_explained(tmp_path):
    notes = " ".join(table_of(tmp_path / "a", "first_40", judged={"cca": "lower", "blm": "not applicable"}).notes)
    assert "Verdicts: ▼ ours is lower; no mark: not comparable." in notes
    assert "No number has the mark of a verdict" in " ".join(table_of(tmp_path / "b", "first_40").notes)


def test_a_rehearsal_says_so_on_top_and_gives_no_verdict(tmp_path):
    rehearsed = {"dataset": "stamps", "exact": False}
    settings = {
        name: one | {"alternatives": [PAPER["settings"]["made_pixels"]["alternatives"][0] | rehearsed]}
        for name, one in PAPER["settings"].items()
    }
    paper = PAPER | {"settings": settings, "rehearsal": "stamps"}
    about = {"stamps": {"title": "Stamps", "classes": {}, "splits": {}}}
    table = table_of(tmp_path, "wide", paper, datasets=about, judged={"cca": "withheld", "blm": "reproduced"})
    assert table.warning == ("A rehearsal: all our numbers are of another data set, Stamps, and no verdict is given.")
    assert not any(entry.mark for line in table.grids[1].cells for entry in line)
    assert table.grids[1].title == "Ours, Stamps, pixels + bow: substitute"
    for shown in (table.to_markdown(), table.to_latex(), page(table)):
        assert table.warning in shown
        assert shown.index(table.warning) < shown.index("0.331")
    assert "verdict:" not in " ".join(table.notes).lower()


# Refusals


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"item": "Table 7"}, 'the paper prints no mAP in "Table 7"; it does in Table 1, Table 2, Table 3'),
        ({"columns": ["features", "task"]}, "do not tell all numbers of Table 1 apart; add dataset"),
        (
            {"rows": ["dataset", "features"], "columns": ["task"]},
            "do not tell all numbers of Table 1 apart; add method",
        ),
        ({"ranks": True}, "average ranks stand beside numbers of one data set"),
    ],
)
def test_a_table_that_does_not_fit_the_paper_is_refused(tmp_path, change, said):
    with pytest.raises(UserError, match=re.escape(said)):
        table_of(tmp_path, "wide", tables={"wide": SPECS["wide"] | change})


@pytest.mark.parametrize("name", ["measured", "verdicts"])
def test_files_that_are_of_another_study_are_refused(tmp_path, name):
    folder = write_study(tmp_path, PAPER, SPECS)
    path = folder / f"{name}.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if ",own," not in line), "utf-8")
    with pytest.raises(UserError, match=rf"{name}\.csv has no row of .* own, .*make the study again"):
        make_paper_table(folder, Published.read(folder / "published"), "wide")


# The papers' own tables

FEATURES_TASK, DATASET_TASK = (["method"], ["features", "task"]), (["method"], ["dataset", "task"])
BLOCKS = (["method"], ["dataset", "features", "task"])
LAYOUTS = {
    **{("csaec", f"Table {k}"): (["method"], ["metric", "task"]) for k in range(1, 5)},
    **{("hrl", f"Table {k}"): FEATURES_TASK for k in range(2, 8)},
    **{("hrl", f"Table {k}"): BLOCKS for k in (8, 9)},
    **{("eisr", f"Table {k}"): DATASET_TASK for k in (1, 2)},
    ("eisr", "Table 3"): (["dataset", "task"], ["method"]),
    ("alscor", "Table 2"): DATASET_TASK,
}


@pytest.fixture(scope="module")
def published():
    return Published.read(ROOT / "config/published")


def bare_paper(name, published, tables):
    """A paper's study in which nothing can be run."""
    blocks = published.results[published.results["paper"] == name][["dataset", "features"]].drop_duplicates()
    settings = {
        f"{dataset}_{features}": {
            "of": {"dataset": dataset, "features": features},
            "title": f"{dataset} {features}",
            "methods": {},
            "also": ["random", "sm"],
            "alternatives": [],
        }
        for dataset, features in blocks.itertuples(index=False, name=None)
    }
    return PAPER | {"id": name, "settings": settings}, tables


def titles_of(row):
    """What stands over and beside a printed number, by key."""
    metrics = {"map_all": "mAP over the whole ranking", "map_at_40": "mAP@40", "map_at_50": "mAP@50"}
    task = {"average": "Average", **TITLES}[row.task]
    return {
        "method": row.method,
        "dataset": row.dataset,
        "features": FEATURES[row.features],
        "metric": metrics[row.metric],
        "task": task,
    }


@pytest.mark.parametrize(("paper", "item"), LAYOUTS)
def test_every_published_number_stands_once_in_its_row_and_column(tmp_path, published, paper, item):
    rows, columns = LAYOUTS[paper, item]
    spec = {"kind": "published", "item": item, "caption": "", "rows": rows, "columns": columns}
    config, tables = bare_paper(paper, published, {"table": spec})
    grid = make_paper_table(
        write_study(tmp_path, config, tables, methods={}, printed=published), published, "table"
    ).grids[0]
    printed = published.results[(published.results["paper"] == paper) & (published.results["table"] == item)]
    expected, odd = {}, set()
    for row in printed.itertuples():
        titles = titles_of(row)
        place = tuple(tuple(titles[key] for key in keys) for keys in (rows, columns))
        expected[place] = row.printed
        odd |= {place} if "average_inconsistent" in row.note else set()
    cells = [
        ((row, column), entry)
        for row, line in zip(grid.rows.entries, grid.cells, strict=True)
        for column, entry in zip(grid.columns.entries, line, strict=True)
        if entry.text
    ]
    assert len(cells) == len(printed) and {place: entry.text for place, entry in cells} == expected
    assert {place for place, entry in cells if entry.aside} == odd
    spans = [sum(span for _, span in titles) for titles in grid.head]
    assert spans == [len(grid.columns.entries)] * len(columns)


def test_the_layouts_cover_all_that_the_papers_print(published):
    assert {*published.results[["paper", "table"]].itertuples(index=False, name=None)} == set(LAYOUTS)
    assert len(LAYOUTS) == 16


def test_a_recomputed_average_is_rounded_as_on_paper(tmp_path, published):
    spec = {"kind": "published", "item": "Table 1", "caption": "", "rows": ["method"], "columns": ["metric", "task"]}
    config, tables = bare_paper("csaec", published, {"table": spec})
    grid = make_paper_table(
        write_study(tmp_path, config, tables, methods={}, printed=published), published, "table"
    ).grids[0]
    # 0.436 and 0.545 have the mean 0.4905, the paper prints 0.492; 0.428 and 0.417 have 0.4225, it prints 0.424.
    expected = ["0.436", "0.545", "0.492 (0.491)", "0.428", "0.417", "0.424 (0.423)"]
    assert [text(entry) for entry in grid.cells[0]] == expected


# Average ranks: CSAEC. Numbers from the paper's ranks were computed by hand, those of its values with R's tests.

RANKS = {"kind": "published", "item": "Table 1", "caption": "", "rows": ["method"], "columns": ["metric", "task"]}
TESTS = {
    "kind": "ranks",
    "item": "Statistics",
    "caption": "",
    "printed": {"map_at_40": {"chi2": 11.392, "f": 2.71}, "map_all": {"chi2": 11.392, "f": 2.71}},
}


def csaec(tmp_path, published, name, run=()):
    """A table of CSAEC's study where these data sets are run; the order of our methods there is that of the paper."""
    config, tables = bare_paper("csaec", published, {"table_1": RANKS | {"ranks": True}, "tests": TESTS})
    methods = ["cca", "blm", "lcfs", "lgcfl", "jfssl", "csaec"]
    one = PAPER["settings"]["made_pixels"]["alternatives"][0]
    for dataset in run:
        alternative = one | {"dataset": dataset, "exact": False}
        config["settings"][f"{dataset}_unspecified"] |= {"methods": dict(zip(methods, methods, strict=True))}
        config["settings"][f"{dataset}_unspecified"] |= {"alternatives": [alternative]}

    def numbers(frame):
        return frame.assign(measured=frame["method"].map({m: 0.1 * k for k, m in enumerate(methods)}).fillna(0.9))

    folder = write_study(tmp_path, config, tables, numbers, methods={}, printed=published)
    return make_paper_table(folder, published, name)


def test_average_ranks_stand_in_a_column_beside_the_tasks(tmp_path, published):
    printed, ours = csaec(tmp_path, published, "table_1", ["wikipedia"]).grids
    assert [title for title, _ in printed.head[1]] == ["Image → text", "Text → image", "Average", "Average rank"] * 2
    assert [text(row[3]) for row in printed.cells] == ["4.375", "4.75", "2.75", "4.375", "3.75", "1*"]
    assert [text(row[7]) for row in printed.cells] == ["4.75", "4.375", "2.375", "4.75", "3.75", "1*"]
    assert [text(row[3]) for row in ours.cells] == [NOT_RUN_A] * 6 + ["", ""]
    assert ours.notes[0].text == (
        "Average ranks need at least two data sets; here all methods were run on wikipedia. Not run: tvgraz "
        "unspecified, nus_wide unspecified, mirflickr unspecified."
    )


def test_average_ranks_of_ours_are_over_all_data_sets_that_were_run(tmp_path, published):
    ours = csaec(tmp_path, published, "table_1", ["wikipedia", "tvgraz"]).grids[1]
    assert [text(row[3]) for row in ours.cells] == ["6.000", "5.000", "4.000", "3.000", "2.000", "1.000*", "", ""]


def test_tests_on_ranks_as_printed_recomputed_and_of_our_own(tmp_path, published):
    first, second = csaec(tmp_path, published, "tests", ["wikipedia", "tvgraz"]).grids
    lines = {
        entry[0]: [cell.text for cell in cells] for entry, cells in zip(first.rows.entries, first.cells, strict=True)
    }
    ranks = ["4.375", "4.75", "2.75", "4.375", "3.75", "1"]
    assert lines["as printed"] == [*ranks, "11.392", "", "", "", "2.71", "", ""]
    assert lines["from the printed ranks"] == [*ranks, "11.393", "0.0441", "", "", "3.971", "0.0171", "3.770"]
    derived = ["5.75", "4.25", "3.625", "3.25", "3.125", "1"]
    assert lines["from the printed mAP"][:7] == [*derived, "13.821"]
    assert lines["from the printed mAP"][8] == "14.022" and lines["from the printed mAP"][10:12] == ["6.711", "0.0018"]
    # Two data sets in full agreement: chi^2 is n (k - 1) = 10, and F has no bound.
    assert lines["ours, on 2 data sets"][:7] == ["6", "5", "4", "3", "2", "1", "10.000"]
    assert lines["ours, on 2 data sets"][10:12] == ["∞", "0.0000"]
    # 5.75 and 1 are more than the critical difference of 3.770 apart, as no other printed ranks are.
    apart = {note.text.partition(",")[0]: note.text.partition(": ")[2] for note in first.notes[:2]}
    p = scipy.stats.studentized_range.sf((5.75 - 1) / np.sqrt(6 * 7 / (6 * 4)) * np.sqrt(2), 6, np.inf)
    assert apart["From the printed mAP"] == f"cca and csaec (p {p:.4f})."
    assert apart["From ours"] == "no two methods."
    again = [cell.text for cell in second.cells[1]]
    assert again[6:8] == ["13.107", "0.0224"] and again[10:12] == ["5.705", "0.0038"]
    assert [cell.text for cell in second.cells[2]][6] == "14.000"


@pytest.mark.parametrize("run", [[], ["wikipedia"]])
def test_tests_on_ranks_need_two_data_sets(tmp_path, published, run):
    table = csaec(tmp_path, published, "tests", run)
    assert [entry.text for entry in table.grids[0].cells[3]] == [NOT_RUN] * 13
    assert f"all methods were run on {'wikipedia' if run else 'none'}." in str(table.grids[0].notes[0])
    assert "ours" not in table.to_csv()


def test_a_data_set_counts_once_in_tests_on_ranks(tmp_path, published):
    config, tables = bare_paper("csaec", published, {"tests": TESTS})
    one = PAPER["settings"]["made_pixels"]["alternatives"][0]  # the same for all settings, as in a rehearsal
    methods = {name: name for name in ("cca", "blm", "lcfs", "lgcfl", "jfssl", "csaec")}
    for setting in config["settings"].values():
        setting |= {"alternatives": [one], "methods": methods}
    folder = write_study(tmp_path, config, tables, methods={}, printed=published)
    assert make_paper_table(folder, published, "tests").grids[0].rows.entries[3] == ("ours",)


# Data sets


def test_sizes_of_data_sets_stand_under_those_that_are_printed(tmp_path):
    sizes = {"random-0": (9, 9, 27), "random-1": (9, 9, 27), "random-2": (8, 9, 28)}
    splits = {name: dict(zip(("train", "valid", "test"), size, strict=True)) for name, size in sizes.items()}
    about = {"made": {"title": "Made pictures", "classes": {"a": 1, "b": 2, "c": 3}, "splits": splits}}
    tables = {"sizes": {"kind": "datasets", "item": "Table 0", "caption": ""}}
    table = table_of(tmp_path, "sizes", tables=tables, datasets=about)
    assert grid_as_text(table.grids[0]) == [
        ["Data set", "Source", "Train", "Valid", "Test", "Categories", "Image features", "Text features"],
        ["Made pictures", "as printed", "9", "9", "27", "3", "pixels; edges", "words (7)"],
        ["Made pictures", "ours", "8 to 9", "9", "27 to 28", "3", "pixels", "bow, tags"],
        ["lost", "as printed", "100", "", "50", "3", "pixels (4)", "words (7)"],
        ["lost", "ours", NOT_RUN_A, NOT_RUN, NOT_RUN, NOT_RUN, NOT_RUN, NOT_RUN],
    ]
    assert [str(note) for note in table.grids[0].notes] == ["a: Not run: needs lost/images, lost/texts."]
    records = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [(row["dataset"], row["source"], row["n_test"]) for row in records] == [
        ("made", "as printed", "27"),
        ("made", "ours", "27 to 28"),
        ("lost", "as printed", "50"),
        ("lost", "ours", ""),
    ]


# Forms


def test_csv_has_a_line_for_each_number_and_alternative(tmp_path):
    one = PAPER["settings"]["made_edges"]["alternatives"]
    paper = with_settings(made_edges={"alternatives": [*one, one[1] | {"image_view": "corners"}]})
    table = table_of(tmp_path, "wide", paper, judged={"cca": "reproduced"})
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    count = Counter((row["features"], row["dataset"], row["alternative"], row["method"] in OURS) for row in rows)
    printed, beside = 5 * 3, 2 * 3
    assert count == {
        ("pixels", "made", "0", True): printed + beside,
        ("edges", "made", "1", True): printed + beside,
        ("edges", "made", "2", True): printed + beside,
        ("pixels", "lost", "", True): printed,
    }
    first = rows[0]
    assert {key: first[key] for key in ("paper", "table", "setting", "exact", "measured_on", "run_method")} == {
        "paper": "made", "table": "Table 1", "setting": "made_pixels", "exact": "true", "measured_on": "made",
        "run_method": "cca",
    }  # fmt: skip
    numbers = [first[key] for key in ("published", "measured", "low", "high")]
    assert numbers == ["0.331", "0.300000", "0.290000", "0.330000"]
    assert [row["verdict"] for row in rows if row["method"] == "cca" and row["task"] == "img2txt"] == [
        "reproduced", "not comparable", "", "not comparable",
    ]  # fmt: skip
    assert [row["missing"] for row in rows if row["dataset"] == "lost"] == ["needs lost/images, lost/texts"] * printed


def hostile(tmp_path, name="wide"):
    """A table whose titles hold all that any of the forms could stumble over."""
    wild = f"<b>A&B</b>_|{HOSTILE}"
    methods = METHODS | {"own": METHODS["own"] | {"title": wild}}
    about = {"made": {"title": wild, "classes": {}, "splits": {}}}
    tables = {key: spec | {"caption": wild} for key, spec in SPECS.items()}
    return table_of(tmp_path, name, tables=tables, methods=methods, datasets=about, judged={"cca": "higher"})


@pytest.mark.parametrize("name", SPECS)
def test_markdown_tables_keep_their_columns_and_show_markup_as_text(tmp_path, name):
    shown = hostile(tmp_path, name).to_markdown()
    assert "<b>" not in shown and "<script>" not in shown and r"\<b\>A&B\</b\>\_\|" in shown
    blocks = [block for block in shown.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 2
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize("name", SPECS)
def test_latex_has_as_many_cells_in_every_row_and_closes_all_braces(tmp_path, name):
    table = hostile(tmp_path, name)
    shown = table.to_latex()
    assert r"<b>A\&B</b>\_|" in shown and "booktabs" in shown.splitlines()[0]
    unescaped = re.sub(r"\\[{}&%$#_]", "", shown)
    assert unescaped.count("{") == unescaped.count("}")
    for grid, body in zip(table.grids, re.findall(r"\\toprule(.*?)\\bottomrule", unescaped, re.S), strict=True):
        width = len(grid.rows.names) + len(grid.columns.entries)
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        spanned = [sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row)) for row in rows]
        assert {row.count("&") + extra for row, extra in zip(rows, spanned, strict=True)} == {width - 1}
        assert len(rows) == len(grid.head) + len(grid.cells)
        rules = [tuple(map(int, pair)) for pair in re.findall(r"\\cmidrule\(lr\)\{(\d+)-(\d+)\}", body)]
        assert all(len(grid.rows.names) < start <= end <= width for start, end in rules)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("name", SPECS)
def test_latex_compiles_and_fits_a_page_of_article(tmp_path, name):
    text = hostile(tmp_path, name).to_latex()
    head = r"\documentclass{article}\usepackage{amssymb,booktabs,graphicx}\begin{document}"
    (tmp_path / "page.tex").write_text(f"{head}\n{text}\\end{{document}}\n", "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull \\hbox" not in done.stdout


class Cells(HTMLParser):
    """The cells of all tables of a page: a list a table of its rows of (tag, attributes)."""

    def __init__(self):
        super().__init__()
        self.tables, self.tags = [], Counter()

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append((tag, dict(attributes)))


def page(table):
    macro = '{% from "published_table.html.j2" import published_table %}{{ published_table(table) }}'
    return templates().from_string(macro).render(table=table)


@pytest.mark.parametrize("name", SPECS)
def test_html_tables_are_whole_and_tell_what_their_headers_are_of(tmp_path, name):
    table = hostile(tmp_path, name)
    shown = page(table)
    cells = Cells()
    cells.feed(shown)
    assert cells.tags["b"] == cells.tags["script"] == 0 and "&lt;b&gt;A&amp;B&lt;/b&gt;_|" in shown
    assert cells.tags["caption"] == len(cells.tables) == len(table.grids)
    for grid, rows in zip(table.grids, cells.tables, strict=True):
        covered = Counter()  # by row, what cells cover that begin in it or reach into it
        for place, row in enumerate(rows):
            for tag, attributes in row:
                assert (tag == "th") == ("scope" in attributes)
                for below in range(int(attributes.get("rowspan", 1))):
                    covered[place + below] += int(attributes.get("colspan", 1))
        assert set(covered.values()) == {len(grid.rows.names) + len(grid.columns.entries)}
        assert len(covered) == len(rows) == len(grid.head) + len(grid.cells)
        assert sum(tag == "td" for row in rows for tag, _ in row) == len(grid.cells) * len(grid.columns.entries)


def test_html_marks_best_floor_verdict_and_footnote(tmp_path):
    shown = page(hostile(tmp_path))
    assert "<td>0.300 <small>± 0.020</small> ▲</td>" in shown
    assert "<td><strong>0.600</strong> <small>± 0.020</small></td>" in shown
    assert f"<td>{NOT_RUN}<sup>a</sup></td>" in shown and "<li><sup>a</sup> Not run: needs lost/images" in shown
    assert re.search(r'<tr class="floor">\s*<th scope="row" class="stub">Random \(floor\)</th>', shown)


# The script


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_table", ROOT / "scripts/make_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_script(script, monkeypatch, tmp_path, *arguments):
    outputs = {form: tmp_path / f"table.{form}" for form in ("csv", "markdown", "latex")}
    told = [part for form, path in outputs.items() for part in (f"--{form}", str(path))]
    monkeypatch.setattr(sys, "argv", ["make_table.py", *map(str, arguments), *told])
    script.main()
    return [path.read_text("utf-8") for path in outputs.values()]


def test_the_script_writes_a_paper_s_table(script, monkeypatch, tmp_path, made):
    folder = shutil.copytree(made.folder, tmp_path / "study")  # measured and judged as a real one
    facts = files.read_json(folder / "study.json")
    facts["config"]["tables"]["wide"] = SPECS["wide"]
    files.write_json(folder / "study.json", facts)
    written = run_script(script, monkeypatch, tmp_path, folder, "wide", "--published", made.published)
    table = make_paper_table(folder, Published.read(made.published), "wide")
    assert written == [table.to_csv(), table.to_markdown(), table.to_latex()]
    numbers = measured.read(folder / "measured.csv").query("method == 'own' and metric == 'map_all'")
    own = numbers.set_index(["setting", "task"])["measured"]
    line = next(line for line in written[1].split("**Ours**")[1].splitlines() if line.startswith("| Own |"))
    shown = re.findall(r"0\.\d{3}(?= ±)", line)
    tasks = ["img2txt", "txt2img", "mean"]
    expected = [own[setting, task] for setting in ("made_pixels", "made_edges") for task in tasks]
    assert list(map(float, shown)) == pytest.approx(expected, abs=6e-4)


def test_the_script_asks_for_what_is_published(script, monkeypatch, tmp_path):
    folder = write_study(tmp_path / "study", PAPER, SPECS)
    with pytest.raises(UserError, match="--published"):
        run_script(script, monkeypatch, tmp_path, folder, "wide")
    with pytest.raises(UserError, match='no table "other"'):
        run_script(script, monkeypatch, tmp_path, folder, "other", "--published", folder / "published")
