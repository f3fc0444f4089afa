"""What was made of an older version of the data is made anew, or refused where somebody has copied it here."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cmr import store
from cmr.datasets.images import check_unchanged, usable_images
from cmr.errors import UserError
from cmr.files import read_json, write_json
from cmr.gallery import read_gallery
from cmr.papers.measured import QueryFiles
from cmr.provenance import digests_of, file_sha256
from cmr.results import Run, Study, collect, folders_of
from cmr.training import read_run
from cmr.views.concatenation import concatenate
from tests.made_project import METHODS, STUDY

DATA = "data/datasets/shapes"
RUNS = "results/runs/shapes/random-0/efficientnet_lite0+tfidf"
VIEWS = {
    "image_view": "data/views/shapes/image/efficientnet_lite0.h5",
    "text_view": "data/views/shapes/random-0/text/tfidf.h5",
}
SPLIT = f"{DATA}/splits/random-0.parquet"
CHANGES = {
    "added": lambda pairs: pd.concat([pairs, pairs[:1].assign(id="one-more")]),
    "removed": lambda pairs: pairs[1:],
    "reordered": lambda pairs: pairs[::-1],
    "edited": lambda pairs: pairs.assign(text=["Another text.", *pairs["text"][1:]]),
    "relabelled": lambda pairs: pairs.assign(labels=[["ring"], *pairs["labels"][1:]]),
}


def change_pairs(path, change):
    pairs = store.read_table(path)
    store.write_table(path, CHANGES[change](pairs), pairs.attrs)


@pytest.fixture
def data(undisturbed, tmp_path):
    """The files of a run, by the arguments of `read_run`, and the data set's images."""
    files = {"pairs": f"{DATA}/pairs.parquet", "images": f"{DATA}/images.parquet", "split": SPLIT, **VIEWS}
    found = {name: tmp_path / name / file.rpartition("/")[2] for name, file in files.items()}
    for name, path in found.items():
        path.parent.mkdir()
        shutil.copy(undisturbed.root / files[name], path)
    return found


def refused(old, new):
    """That a file is refused, by both its own name and that of the file it was not made of."""
    return pytest.raises(
        UserError, match=rf"(?s){re.escape(str(old))} was not made of {re.escape(str(new))} as it is now"
    )


@pytest.mark.parametrize("change", CHANGES)
def test_split_views_and_images_of_older_pairs_are_refused(data, change):
    images = data.pop("images")
    read_run(**data)
    usable_images(data["pairs"], images)
    change_pairs(data["pairs"], change)
    with refused(images, data["pairs"]):
        usable_images(data["pairs"], images)
    with refused(data["split"], data["pairs"]):
        read_run(**data)
    # A split of the new pairs; the views are still old.
    store.write_table(data["split"], store.read_table(data["split"]), {"inputs": digests_of({"pairs": data["pairs"]})})
    with refused(data["image_view"], data["pairs"]):
        read_run(**data)


def test_a_text_view_that_learnt_from_another_split_is_refused(data):
    del data["images"]
    split = store.read_table(data["split"])
    store.write_table(data["split"], split.assign(part=split["part"].to_numpy()[::-1]), split.attrs)
    with refused(data["text_view"], data["split"]):
        read_run(**data)


def test_views_of_different_versions_of_the_pairs_are_not_put_side_by_side(data, tmp_path):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path, digest in zip(paths, ("1" * 64, "2" * 64), strict=True):
        about = {"kind": "vectors", "learnt": False, "counts": False, "inputs": {"pairs": digest}}
        store.write_view(path, ["x"], np.ones((1, 2)), about)
    with pytest.raises(UserError, match=r"b\.h5 and .*a\.h5 were made of different versions of the pairs"):
        concatenate(paths, tmp_path / "both.h5")
    # Of the same version, the whole tells which.
    store.write_view(paths[1], ["x"], np.ones((1, 2)), about | {"inputs": {"pairs": "1" * 64, "split": "3" * 64}})
    concatenate(paths, tmp_path / "both.h5")
    with store.ViewFile.open(tmp_path / "both.h5") as view:
        inputs = view.attributes["inputs"]
    assert inputs == digests_of({"a": paths[0], "b": paths[1]}) | {"pairs": "1" * 64, "split": "3" * 64}


def test_a_picture_replaced_under_its_name_is_refused_before_features_are_computed(finished):
    root = finished.root
    pictures, _ = usable_images(root / DATA / "pairs.parquet", root / DATA / "images.parquet")
    check_unchanged(pictures, root / "data/raw")
    path = root / "data/raw" / pictures["image"].iloc[7]
    Image.new("RGB", (96, 96), "red").save(path)
    with pytest.raises(
        UserError, match=rf"{re.escape(str(path))} has changed .* Delete .*data/raw/shapes and run again"
    ):
        check_unchanged(pictures, root / "data/raw")
    path.unlink()
    with pytest.raises(UserError, match="is missing since"):
        check_unchanged(pictures, root / "data/raw")


def test_embeddings_of_older_pairs_are_not_scored(finished):
    change_pairs(finished.root / DATA / "pairs.parquet", "relabelled")
    files = {"embeddings": f"{RUNS}/sm/embeddings.h5", "pairs": f"{DATA}/pairs.parquet"}
    files |= {name: f"{name}.parquet" for name in ("metrics", "curves", "queries")}
    done = finished.python("scripts/evaluate.py", *(part for name in files for part in (f"--{name}", files[name])))
    assert done.returncode == 1
    assert f"error: {files['embeddings']} was not made of {files['pairs']} as it is now" in done.stdout
    assert not (finished.root / "metrics.parquet").exists()


def test_a_gallery_shows_no_embeddings_of_older_views(undisturbed, data):
    study = Study.read(undisturbed.root / STUDY)
    embeddings = [
        undisturbed.root / RUNS / method / "embeddings.h5"
        for method in study.config["gallery"].get("methods", [study.config["gallery"].get("method")])
    ]
    with store.ViewFile.open(data["text_view"]) as view:
        ids, attributes = view.ids, view.attributes
    store.write_view(data["text_view"], ids, np.ones((len(ids), 3)), attributes)
    with refused(embeddings[0], data["text_view"]):
        read_gallery(
            study, data["pairs"], embeddings, data["image_view"], data["text_view"], undisturbed.root / "data/raw"
        )


def collected(root):
    facts = read_json(root / STUDY / "study.json")
    config = {"study": facts["config"], "methods": facts["methods"], "datasets": facts["datasets"]}
    files = [[root / DATA / "pairs.parquet"], [root / SPLIT], [root / DATA / "images.parquet"]]
    return collect("shapes", config, folders_of(facts["config"], root / "results/runs"), *files)


@pytest.mark.parametrize("name", ["metrics.parquet", "curves.parquet", "history.parquet"])
def test_scores_of_other_embeddings_are_not_collected(finished, name):
    collected(finished.root)
    shutil.copy(finished.root / RUNS / "corr_ae" / name, finished.root / RUNS / "acmr" / name)
    message = "was not made of" if name == "history.parquet" else "is of other embeddings"
    with pytest.raises(UserError, match=rf"(?s)acmr.*{message}"):
        collected(finished.root)


def test_queries_of_other_embeddings_are_not_judged(finished):
    study, runs = Study.read(finished.root / STUDY), finished.root / "results/runs"
    run = Run.of_folder(finished.root / RUNS / "sm")
    assert len(QueryFiles(study, runs)[run])
    shutil.copy(finished.root / RUNS / "cca/queries.parquet", finished.root / RUNS / "sm/queries.parquet")
    with pytest.raises(UserError, match=r"sm/queries\.parquet is of other embeddings"):
        QueryFiles(study, runs)[run]


def test_a_study_mixed_of_two_makings_is_refused(finished):
    folder = finished.root / STUDY
    store.write_table(folder / "curves.parquet", store.read_table(folder / "curves.parquet")[:-1])
    with pytest.raises(UserError, match=r"curves\.parquet is not what .*study\.json was made with"):
        Study.read(folder)


def test_runs_that_read_different_versions_of_a_view_have_no_lock(finished):
    path = finished.root / RUNS / "sm/selection.json"
    selection = read_json(path)
    selection["inputs"]["image_view"] = "0" * 64
    write_json(path, selection)
    done = finished.python("scripts/lock_study.py", "shapes", "--lock", "lock.json")
    assert done.returncode == 1
    assert re.search(r"error: .*sm and .* have read different versions of .*efficientnet_lite0\.h5", done.stdout)


# Whole calls


@pytest.mark.parametrize("change", ["reordered", "edited"])
def test_changed_pairs_rerun_all_that_was_made_of_them(finished, change):
    change_pairs(finished.root / DATA / "pairs.parquet", change)
    planned = finished.planned("all")
    assert planned["make_split", ""] == planned["check_images", ""] == 1
    assert planned["extract_image_view", ""] == 2 and planned["extract_text_view", ""] >= 3
    assert {method for rule, method in planned if rule == "train"} == set(METHODS)
    assert planned["collect_results", ""] == planned["lock_study", ""] == planned["make_report", ""] == 1


def test_scores_copied_from_another_run_end_the_call_and_deleting_them_mends_it(finished, undisturbed):
    targets = [f"{STUDY}/results.csv", f"{STUDY}/lock.json"]
    copied = finished.root / RUNS / "sm/metrics.parquet"
    copied.write_bytes((finished.root / RUNS / "cca/metrics.parquet").read_bytes())
    made = finished.snakemake(*targets)
    assert made.returncode != 0
    words = " ".join(made.stdout.split())
    assert f"error: {copied.relative_to(finished.root)} is of other embeddings" in words
    assert file_sha256(finished.root / RUNS / "sm/embeddings.h5")[:12] in words
    copied.unlink()
    made = finished.snakemake(*targets)
    assert made.returncode == 0, made.stdout
    assert finished.results() == undisturbed.results()
