"""The same study twice: the same bits on one machine, and nearly the same scores by more threads; and its lock."""

import json
import os
import subprocess
import sys

import pytest

from cmr.files import read_json, write_json
from tests.made_project import STUDY
from tests.project import ROOT

# Of one train job, which the workflow gives one thread; see docs/reproducibility.md for what was measured.
TOLERANCE = 0.005
# Those of which two threads changed bits when all families were measured.
TRAINED = {"cca": {}, "kcca_gaussian": {}, "corr_ae": {"stack_epochs": 2, "epochs": 5}}
TOKENS = "data/views/shapes/random-0/text/tokens.h5"
CCA = "src/cmr/methods/linear/cca.py"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def test_another_folder_one_core_and_other_hashes_give_the_same_bytes_and_lock(unfinished, undisturbed):
    """All files that determine numbers, by their digests: views, models, embeddings, scores of every run."""
    elsewhere = ["--config", "data=scratch/data", "results=scratch/results"]
    made = subprocess.run(
        unfinished.command(f"scratch/{STUDY}/lock.json", *elsewhere, cores=1),
        cwd=unfinished.root,
        env=unfinished.environment | {"PYTHONHASHSEED": "7"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout
    one, other = (read_json(root / STUDY / "lock.json") for root in (undisturbed.root, unfinished.root / "scratch"))
    assert {name for name in one["what"] if one["what"][name] != other["what"][name]} == set()
    assert one["fingerprint"] == other["fingerprint"]
    assert len(one["what"]["files"]) > 60
    for name in ("results.csv", "curves.parquet", "history.parquet"):
        assert (undisturbed.root / STUDY / name).read_bytes() == (
            unfinished.root / "scratch" / STUDY / name
        ).read_bytes()


def trained_with(threads, pairs=400):
    """Scores and digests of every method of TRAINED, from a fresh process."""
    methods = [f"{name}={json.dumps(values)}" for name, values in TRAINED.items()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.trainings", str(pairs), *methods],
        cwd=ROOT,
        env=os.environ | dict.fromkeys(THREADS, str(threads)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["machine"]["torch_threads"] == threads
    return told["scores"]


def test_more_threads_change_scores_by_no_more_than_is_documented():
    one, two = trained_with(1), trained_with(2)
    differences = {name: abs(two[name][0] - score) for name, (score, _) in one.items()}
    assert len(differences) == 2 * len(TRAINED)
    assert max(differences.values()) <= TOLERANCE, differences
    assert f"{TOLERANCE} mAP" in (ROOT / "docs/reproducibility.md").read_text("utf-8")


# The lock


def test_the_lock_tells_what_was_made_and_apart_from_it_where(undisturbed):
    lock = read_json(undisturbed.root / STUDY / "lock.json")
    what, where = lock["what"], lock["where"]
    run = "results/runs/shapes/random-0/efficientnet_lite0+tfidf/cca"
    for name in (
        "model.h5",
        "embeddings.h5",
        "history.parquet",
        "metrics.parquet",
        "curves.parquet",
        "queries.parquet",
    ):
        assert f"{run}/{name}" in what["files"]
    for name in ("pairs.parquet", "images.parquet", "splits/random-0.parquet"):
        assert f"data/datasets/shapes/{name}" in what["files"]
    assert {CCA, "src/cmr/views/text/bow.py", "scripts/evaluate.py"} <= set(what["code"])
    assert "src/cmr/methods/linear/pls.py" not in what["code"], "no method of the study"
    assert set(what["assets"]) == {"shapes", "efficientnet_lite0_weights"}
    assert what["config"]["methods"]["cca"]["grid"]["n_components"] == [2, 4]
    assert what["runs"]["shapes/random-0/efficientnet_lite0+tfidf/cca"]["seeds"] == [0]
    assert where["versions"]["numpy"] and where["packages"]["numpy"]
    (machine,) = {json.dumps({key: one[key] for key in ("system", "processor")}) for one in where["machines"]}
    assert json.loads(machine)["processor"]
    blas = [one for each in where["machines"] for one in each["libraries"] if one["library"] == "openblas"]
    assert blas and all(one["kernel"] and one["threads"] == 1 for one in blas)
    words = json.dumps(what)
    assert str(undisturbed.root) not in words and "seconds" not in words and "obtained" not in words


def append(file, words):
    def change(project):
        with (project.root / file).open("a") as opened:
            opened.write(words)

    return change


def choose_another_value(project):
    project.edit("config/config.yaml", lambda config: config["methods"]["sm"].update(c=0.5))


def lose_a_view(project):
    (project.root / TOKENS).unlink()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (choose_another_value, "configuration: methods: sm: fixed: c: it was 0.1, and is 0.5"),
        (append(CCA, "# Another."), f"{CCA} has changed"),
        (append("data/raw/shapes/pairs.csv", "\n"), "data/raw/shapes no longer holds what was obtained"),
        (lose_a_view, f"{TOKENS} is missing"),
        (append(f"{STUDY}/results.csv", "\n"), f"{STUDY}/results.csv has changed"),
    ],
    ids=["configuration", "code", "asset", "view", "results"],
)
def test_verify_tells_what_differs(finished, change, told):
    change(finished)
    done = finished.python("-m", "cmr", "verify", "shapes")
    assert done.returncode == 1
    assert told in done.stdout


def test_another_machine_and_version_are_noted_and_fail_nothing(finished):
    path = finished.root / STUDY / "lock.json"
    lock = read_json(path)
    lock["where"]["versions"]["numpy"] = ["1.0"]
    lock["where"]["machines"] = [one | {"processor": "another"} for one in lock["where"]["machines"]]
    write_json(path, lock)
    done = finished.python("-m", "cmr", "verify", "shapes")
    assert done.returncode == 0, done.stdout
    assert "note: version: numpy: it was 1.0" in done.stdout
    assert "note: machine: it was another" in done.stdout


def test_a_study_without_lock_is_told_how_to_get_one(finished):
    (finished.root / STUDY / "lock.json").unlink()
    done = finished.python("-m", "cmr", "verify", "shapes")
    assert done.returncode == 1
    assert "lock.json does not exist: make it by" in done.stdout
    assert finished.planned("all")["lock_study", ""] == 1
