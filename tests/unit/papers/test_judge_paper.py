import copy
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from cmr.files import read_json
from cmr.papers import agreement, comparisons, measured, verdicts
from cmr.results import collect

SCRIPT = Path(__file__).parents[3] / "scripts/judge_paper.py"
COLUMNS = {
    "measured.csv": measured.COLUMNS,
    "verdicts.csv": verdicts.COLUMNS,
    "agreement.csv": agreement.COLUMNS,
    "comparisons.csv": comparisons.COLUMNS,
}


def run(study, published, runs, *more):
    command = [sys.executable, SCRIPT, study, "--published", published, "--runs", runs, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_writes_all_that_is_known_of_a_paper(made, tmp_path):
    study = shutil.copytree(made.folder, tmp_path / "study")
    (study / "measured.csv").unlink()
    done = run(study, made.published, made.runs, "--settings", '{"results": "elsewhere"}')
    assert done.returncode == 0, done.stderr
    rows = {name: len(pd.read_csv(study / name)) for name in COLUMNS}
    # Pairs of six methods, on two alternatives, two tasks, and the two metrics that the paper has.
    assert rows == {"measured.csv": 252, "verdicts.csv": 75, "agreement.csv": 12, "comparisons.csv": 15 * 2 * 2 * 2}
    for name in ("measured.csv", "verdicts.csv"):
        assert (study / name).read_bytes() == (made.folder / name).read_bytes()
    cells = read_json(study / "cells.json")
    assert "elsewhere/runs/made/random-0" in cells["made_pixels/0/own"]["command"]
    assert "252 numbers measured, 75 published" in done.stderr
    assert "not run" in done.stderr


def test_a_study_that_ran_nothing_is_judged_too(made, tmp_path):
    config = copy.deepcopy(made.study.config) | {"runs": []}
    for setting in config["paper"]["settings"].values():
        for alternative in setting["alternatives"]:
            alternative["missing"] = ["a file"]
    study = collect("made", {"study": config, "methods": {}, "datasets": {}}, [], [], [])
    study.write(*(tmp_path / name for name in ("results.csv", "curves.parquet", "history.parquet", "study.json")))
    done = run(tmp_path, made.published, made.runs)
    assert done.returncode == 0, done.stderr
    for name, columns in COLUMNS.items():
        assert list(pd.read_csv(tmp_path / name)) == columns
    assert set(pd.read_csv(tmp_path / "verdicts.csv")["verdict"]) == {"not run"}
    assert read_json(tmp_path / "cells.json") == {}


def test_a_wrong_folder_is_one_line(made, tmp_path):
    done = run(made.folder, tmp_path, made.runs)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "counts.csv cannot be read" in done.stderr
