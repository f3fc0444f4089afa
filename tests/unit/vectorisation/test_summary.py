"""Tables, answer and figure of the study of vectorisers."""

import csv
import io

import numpy as np
import pytest

from cmr import store
from cmr.spreadsheets import to_csv
from cmr.vectorisation.answer import answer
from cmr.vectorisation.figure import draw
from cmr.vectorisation.summary import Summary
from cmr.vectorisation.tables import to_latex, to_markdown
from tests.drawn import drawn

ABOUT = {
    "datasets": {"made": "Made & 100 %", "more": "More"},
    "vectorisers": {"glove": "GloVe_1", "noise": "Noise", "same": "Same_2"},
}


@pytest.fixture(scope="module")
def found(comparison, tmp_path_factory):
    root = tmp_path_factory.mktemp("vectorisation")
    for name in ABOUT["datasets"]:
        facts = {"split": "random-0", "texts": 12, "words": comparison.words}
        store.write_table(root / name / "scores.parquet", comparison.scores, facts)
        store.write_table(root / name / "answers.parquet", comparison.answers, facts)
    return Summary.read([root / name for name in ABOUT["datasets"]], ABOUT)


def test_csv_holds_every_number_of_every_dataset(found, comparison):
    rows = list(csv.DictReader(io.StringIO(to_csv(found.scores))))
    assert len(rows) == 2 * 8 * 3
    assert {row["dataset"] for row in rows} == {"made", "more"}
    values = [float(row["value"]) if row["value"] else np.nan for row in rows[:24]]
    assert values == pytest.approx(comparison.scores["value"].tolist(), abs=1e-6, nan_ok=True)


def test_tables_mark_the_best_and_say_where_pairs_are_too_few(found):
    table = to_markdown(found)
    line = next(line for line in table.splitlines() if line.startswith("| Analogies, syntactic"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1].startswith("**1.000** (0.886 to 1.000)")  # Wilson's of 30 of 30
    assert cells[-1] == "30"
    wordsim = next(line for line in table.splitlines() if line.startswith("| Rho, WordSim"))
    assert "| too few | too few | too few | 3 |" in wordsim
    assert "**too few**" not in wordsim
    assert "| Semantic analogies, 30 | 30 | 30 | 20 | 20 |" in table
    assert "GloVe\\_1" in table


def test_the_range_over_seeds_is_told_of_what_has_several(found):
    lines = to_markdown(found).splitlines()
    place = lines.index("| Lowest to highest seed | GloVe\\_1, 2 seeds |")
    rho = (
        found.scores.set_index(["dataset", "measure", "pairs", "vectoriser"]).sort_index().loc["made", "rho", "simlex"]
    )
    row = rho.loc["glove"]
    expected = f"| Rho, SimLex-999 | {row['lowest_seed']:.3f} to {row['highest_seed']:.3f} |"
    assert expected in lines[place : place + 10]
    assert row["lowest_seed"] < row["highest_seed"]


def test_latex_has_as_many_cells_in_every_row_and_no_bare_special_characters(found):
    latex = to_latex(found)
    assert r"Made \& 100 \%" in latex
    assert r"GloVe\_1" in latex
    rows = [line for line in latex.splitlines() if "\\\\" in line]
    assert {line.replace("\\&", "").count("&") for line in rows} == {4}


def test_the_answer_names_the_best_other_and_tells_the_papers_measure_apart(found):
    page = answer(found)
    assert "## Made & 100 %, train part of the split random-0: 12 texts, 17 words known to all vectorisers" in page
    line = next(
        line for line in page.splitlines() if line.startswith("| Cosine, syntactic pairs, the paper's measure |")
    )
    assert "| Same\\_2 1.000 |" in line
    assert line.endswith("| no: the whole interval is below 0 |")
    assert "| Separation, syntactic pairs |" in page


def test_the_answer_counts_measures_that_have_a_number_without_the_papers(found):
    own = found.answers[found.answers["dataset"] == "made"].set_index(["measure", "pairs"])["answer"]
    assert own["cosine"].to_dict() == {"semantic": "no", "syntactic": "no"}
    assert own["rho", "wordsim"] == "too few"
    counted = own[(own.index.get_level_values("measure") != "cosine") & (own != "too few")].value_counts()
    assert counted.sum() == 5
    counts = ", ".join(f"{kind} {counted.get(kind, 0)}" for kind in ("yes", "no", "undecided"))
    told = "by the paper's measure no (semantic) and no (syntactic); by the others that could be measured, 5 of 6"
    assert answer(found).count(f"**GloVe\\_1: {told}: {counts}.**") == 2  # on each data set


def test_bars_stand_at_their_values_and_floors_across_them(found):
    figure = drawn(draw(found))
    panel = next(panel for panel in figure.panels if panel.title == "Cosine, syntactic pairs")
    own = found.scores[(found.scores["measure"] == "cosine") & (found.scores["pairs"] == "syntactic")]
    titles = {figure.legend[title]["fill"]: name for name, title in ABOUT["vectorisers"].items()}
    datasets = {title: name for name, title in ABOUT["datasets"].items()}
    assert list(panel.labels["x"]) == list(datasets)

    bars = {
        (datasets[panel.name("x", bar["x"] + bar["width"] / 2)], titles[bar["fill"]]): bar
        for bar in panel.marks("rect")
        if bar["fill"] in titles  # the others are the ends of intervals
    }
    expected = own.set_index(["dataset", "vectoriser"])
    assert bars.keys() == set(expected.index)
    for key, bar in bars.items():
        row, middle = expected.loc[key], bar["x"] + bar["width"] / 2
        ends = sorted(panel.number("y", end) for end in (bar["y"], bar["y"] + bar["height"]))
        assert ends == pytest.approx(sorted([0, row["value"]]), abs=1e-4)
        (floor,) = (mark for mark in panel.marks("symbol") if mark["x"] == pytest.approx(middle))
        assert panel.number("y", floor["y"]) == pytest.approx(row["floor"], abs=1e-4)
        assert floor["size"] ** 0.5 == pytest.approx(bar["width"])  # reaches across the bar
        (interval,) = (rule for rule in panel.marks("rule") if rule["x"] == pytest.approx(middle) and "y2" in rule)
        ends = sorted(panel.number("y", interval[end]) for end in ("y", "y2"))
        assert ends == pytest.approx([row["low"], row["high"]], abs=1e-4)

    empty = next(panel for panel in figure.panels if panel.title == "Rho, WordSim-353")
    assert [(empty.name("x", told["x"]), told["text"]) for told in empty.marks("text")] == [
        (title, "too few: 3") for title in datasets
    ]
    assert figure.inside and figure.apart
