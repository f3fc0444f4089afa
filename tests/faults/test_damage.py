"""A damaged file is never read as good: it is refused with its name and the remedy, or discarded and made anew."""

import base64
import logging
import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from cmr import store
from cmr.assets import check_asset, folder_digest, obtain
from cmr.checkpoint import Checkpoint
from cmr.errors import UserError
from cmr.files import read_json
from cmr.methods.deep.stages import shared_stage
from cmr.progress import Progress
from cmr.results import Study
from tests.faults.damage import damaged
from tests.made_project import STUDY

RUN = "results/runs/shapes/random-0/efficientnet_lite0+tfidf/corr_ae"
DATA = "data/datasets/shapes"
ARRAYS = [
    f"{RUN}/model.h5",
    f"{RUN}/embeddings.h5",
    "results/stages/*.h5",
]
VIEWS = [
    "data/views/shapes/image/efficientnet_lite0.h5",
    "data/views/shapes/random-0/text/tfidf.h5",
    "data/views/shapes/random-0/text/tokens.h5",
    "data/views/shapes/image/*patches*.h5",
]
TABLES = [
    f"{DATA}/pairs.parquet",
    f"{DATA}/images.parquet",
    f"{DATA}/splits/random-0.parquet",
    f"{RUN}/metrics.parquet",
    f"{RUN}/curves.parquet",
    f"{RUN}/queries.parquet",
    f"{RUN}/history.parquet",
    f"{STUDY}/history.parquet",
]
RECORDS = [f"{RUN}/selection.json", "data/raw/shapes/asset.json", f"{STUDY}/study.json", f"{STUDY}/lock.json"]


def check_every_damage(file, tmp_path, read, same):
    """Each damage is refused in words that name the file and what to do, or has changed nothing that is read."""
    content, copy = file.read_bytes(), tmp_path / file.name
    original, outcomes = read(file), []
    for seed, (fault, spoilt) in enumerate(damaged(content, seed=len(content))):
        copy.write_bytes(spoilt)
        try:
            outcomes.append("harmless" if same(read(copy), original) else f"read as good after {fault} ({seed})")
        except UserError as error:
            assert str(copy) in str(error) and "Delete it and run again" in str(error), str(error)
            outcomes.append("refused")
    assert set(outcomes) <= {"refused", "harmless"}, outcomes
    assert outcomes.count("refused") > 12, outcomes


def first(project, pattern):
    return sorted(project.root.glob(pattern))[0]


def same_arrays(one, other):
    return (
        one[1] == other[1]
        and one[0].keys() == other[0].keys()
        and all(map(np.array_equal, *([arrays[name] for name in sorted(arrays)] for arrays in (one[0], other[0]))))
    )


def same_view(one, other):
    return (
        one.attributes == other.attributes
        and np.array_equal(one.ids, other.ids)
        and np.array_equal(one.values, other.values)
    )


@pytest.mark.parametrize("pattern", ARRAYS)
def test_damaged_arrays_are_refused(undisturbed, tmp_path, pattern):
    check_every_damage(first(undisturbed, pattern), tmp_path, store.read_arrays, same_arrays)


@pytest.mark.parametrize("pattern", VIEWS)
def test_damaged_views_are_refused(undisturbed, tmp_path, pattern):
    check_every_damage(first(undisturbed, pattern), tmp_path, store.read_view, same_view)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_rows_of_a_damaged_view_are_right_or_refused(tmp_path, dtype):
    """Training reads rows past the digest of the whole: each chunk, or row of pixels, has a checksum of its own."""
    values = np.random.default_rng(0).integers(0, 255, (60, 3000)).astype(dtype)
    store.write_view(tmp_path / "whole.h5", map(str, range(60)), values, {"kind": "vectors"})

    def read(path):
        with store.ViewFile.open(path) as view:
            return view.take(np.arange(60)[::-1])

    (tmp_path / "copy").mkdir()
    check_every_damage(tmp_path / "whole.h5", tmp_path / "copy", read, np.array_equal)


@pytest.mark.parametrize("file", TABLES)
def test_damaged_tables_are_refused(undisturbed, tmp_path, file):
    check_every_damage(
        undisturbed.root / file,
        tmp_path,
        store.read_table,
        lambda one, other: one.attrs == other.attrs and one.equals(other) and list(one) == list(other),
    )


def test_a_table_of_another_program_is_refused(tmp_path):
    pd.DataFrame({"id": ["a"], "part": ["train"]}).to_parquet(tmp_path / "split.parquet", index=False)
    with pytest.raises(UserError, match=r"split\.parquet is damaged .* holds no digest"):
        store.read_table(tmp_path / "split.parquet")


@pytest.mark.parametrize("file", RECORDS)
def test_damaged_records_are_refused(undisturbed, tmp_path, file):
    check_every_damage(undisturbed.root / file, tmp_path, read_json, lambda one, other: one == other)


@pytest.mark.parametrize("name", ["results.csv", "curves.parquet", "history.parquet", "study.json"])
def test_a_study_of_which_one_file_is_damaged_is_refused(undisturbed, tmp_path, name):
    folder = tmp_path / "study"
    folder.mkdir()
    for other in ("results.csv", "curves.parquet", "history.parquet", "study.json"):
        shutil.copy(undisturbed.root / STUDY / other, folder)
    content, original = (folder / name).read_bytes(), read_json(folder / "study.json")
    for fault, spoilt in damaged(content):
        (folder / name).write_bytes(spoilt)
        try:
            Study.read(folder)
        except UserError as error:
            assert str(folder / name) in str(error) and "run again" in str(error), fault
        else:
            assert read_json(folder / "study.json") == original and name == "study.json", fault


def test_one_digit_of_a_result_is_noticed(finished):
    path = finished.root / STUDY / "results.csv"
    path.write_text(re.sub(r"0\.(\d)(\d{5}),\n", r"0.\g<2>\g<1>,\n", path.read_text(), count=1))
    with pytest.raises(UserError, match=r"results\.csv is not what .*study\.json was made with"):
        Study.read(path.parent)


# What can be made anew is


def test_a_damaged_checkpoint_is_discarded_and_the_log_says_so(tmp_path, caplog):
    kept = Checkpoint(tmp_path / "work.h5")
    kept.write({"weights": np.arange(300.0)}, {"epoch": 3})
    content = kept.path.read_bytes()
    discarded = 0
    for fault, spoilt in damaged(content):
        caplog.clear()
        kept.path.write_bytes(spoilt)
        found = kept.read()
        if found is None:
            assert f"{kept.path} is of no use" in caplog.text and not kept.path.exists(), fault
            discarded += 1
        else:
            assert found[1] == {"epoch": 3} and np.array_equal(found[0]["weights"], np.arange(300.0)), fault
    assert discarded > 12


def test_a_checkpoint_of_other_work_is_not_continued(tmp_path, caplog):
    Checkpoint(tmp_path / "other.h5").write({"weights": np.zeros(3)}, {"epoch": 9})
    shutil.copy(tmp_path / "other.h5", tmp_path / "work.h5")
    assert Checkpoint(tmp_path / "work.h5").read() is None
    assert "holds the state of other work" in caplog.text


def test_a_damaged_stage_is_trained_anew_to_the_same(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    calls = []

    def stage():
        module = torch.nn.Linear(4, 3)

        def fit():
            calls.append(1)
            torch.nn.init.constant_(module.weight, 0.5)
            return {"loss": [1.0]}

        progress = Progress(stages=tmp_path, quiet=True)
        history = shared_stage(module, fit, stage="made", device=torch.device("cpu"), progress=progress, seed=0)
        return history, module.weight.detach().numpy().copy()

    history, weights = stage()
    stage()
    assert len(calls) == 1
    (path,) = tmp_path.glob("*.h5")
    path.write_bytes(path.read_bytes()[:-200])
    again, same = stage()
    assert len(calls) == 2 and "the work starts anew" in caplog.text
    assert again == history and np.array_equal(same, weights)


# Outside files


def test_a_changed_file_of_an_asset_is_noticed_before_it_is_read(finished):
    folder = finished.root / "data/raw/shapes"
    check_asset(folder)
    picture = sorted(folder.glob("images/*.png"))[0]
    content = picture.read_bytes()
    for change in (
        lambda: picture.write_bytes(content[:-1] + bytes([content[-1] ^ 1])),
        lambda: picture.write_bytes(b""),
        picture.unlink,
        lambda: (folder / "images/one-more.png").write_bytes(content),
    ):
        change()
        with pytest.raises(UserError, match=r"data/raw/shapes no longer holds what was obtained.* Delete .*shapes and"):
            check_asset(folder)
        (folder / "images/one-more.png").unlink(missing_ok=True)
        picture.write_bytes(content)
    for name in (".DS_Store", "Thumbs.db", ".nfs00000000004a1c2f0000001b"):
        (folder / "images" / name).write_bytes(b"left by the system of whoever has looked")
    check_asset(folder)


def test_damaged_weights_are_refused_by_what_reads_them(tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/net.pth").write_bytes(bytes(range(256)) * 40)
    spec = {"description": "d", "licence": "l", "by_hand": "h", "mirror": [{"file": "net.pth"}]}
    folder = tmp_path / "raw/net"
    obtain("net", spec, mirrors=[tmp_path / "mirror"], folder=folder)
    weights = (folder / "net.pth").read_bytes()
    for fault, spoilt in damaged(weights):
        (folder / "net.pth").write_bytes(spoilt)
        with pytest.raises(UserError, match=r"net\.pth is not what was obtained. Delete .*net and run again"):
            check_asset(folder)
        assert fault


def test_a_damaged_lock_file_of_an_asset_is_refused_and_the_remedy_works(tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/net.pth").write_bytes(b"weights")
    spec = {"description": "d", "licence": "l", "by_hand": "h", "mirror": [{"file": "net.pth"}]}
    folder, lock = tmp_path / "raw/net", tmp_path / "raw/net.lock.json"
    obtain("net", spec, mirrors=[tmp_path / "mirror"], folder=folder)
    content = lock.read_bytes()
    for fault, spoilt in damaged(content):
        lock.write_bytes(spoilt)
        try:
            obtain("net", spec, mirrors=[tmp_path / "mirror"], folder=folder)
        except UserError as error:
            assert f"{lock} is damaged" in str(error) and "Delete it and run again" in str(error), fault
        else:
            assert read_json(lock) == {"net.pth": read_json(folder / "asset.json")["sha256"]}, fault
    lock.unlink()
    obtain("net", spec, mirrors=[tmp_path / "mirror"], folder=folder)
    assert lock.read_bytes() == content


def test_a_damaged_memory_of_a_users_folder_is_made_anew(tmp_path, caplog):
    own, memory = tmp_path / "own", tmp_path / "raw/own.files.json"
    own.mkdir()
    (own / "a.txt").write_text("a")
    digest = folder_digest(own, memory)
    memory.write_bytes(memory.read_bytes().replace(b"a.txt", b"b.txt"))
    assert folder_digest(own, memory) == digest
    assert f"{memory} is damaged" in caplog.text
    assert folder_digest(tmp_path / "gone", memory) == digest
    memory.write_text("{")
    with pytest.raises(UserError, match=r"own\.files\.json is damaged"):
        folder_digest(tmp_path / "gone", memory)


# Whole calls


def flip(path, keep_times=False):
    """Flip a bit in the middle of a file."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    if keep_times:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def named_as_damaged(project, output):
    """Files that the logs of failed jobs tell to delete."""
    words = " ".join(output.split())
    return {project.root / name for name in re.findall(r"error: (\S+) is damaged and cannot be read", words)}


def test_damage_ends_jobs_with_the_remedy_and_following_it_gives_the_same_results(finished, undisturbed):
    run = "results/runs/shapes/random-0/efficientnet_lite0+tfidf"
    spoilt = [
        finished.root / run / name for name in ("cca/embeddings.h5", "sm/metrics.parquet", "random/selection.json")
    ]
    for path in spoilt:
        flip(path)
    told = set()
    for _ in range(4):
        made = finished.snakemake(f"{STUDY}/results.csv", f"{STUDY}/lock.json")
        if made.returncode == 0:
            break
        damaged_files = named_as_damaged(finished, made.stdout)
        assert damaged_files, made.stdout
        told |= damaged_files
        for path in damaged_files:
            path.unlink()
    assert made.returncode == 0, made.stdout
    assert told == set(spoilt)
    assert finished.results() == undisturbed.results()


def test_damage_that_no_time_tells_is_found_by_verify(finished, undisturbed):
    """As of a disk that rots: Snakemake sees no change, and nothing is made of the damaged file before it is read."""
    path = finished.root / "results/runs/shapes/random-0/efficientnet_lite0+tfidf/sm/model.h5"
    assert "shapes is what its lock says" in finished.python("-m", "cmr", "verify", "shapes").stdout
    flip(path, keep_times=True)
    assert "Nothing to be done" in finished.snakemake("all").stdout
    verified = finished.python("-m", "cmr", "verify", "shapes")
    assert verified.returncode == 1
    assert f"{path.relative_to(finished.root)} has changed" in verified.stdout
    path.unlink()
    made = finished.snakemake("all")
    assert made.returncode == 0, made.stdout
    assert "shapes is what its lock says" in finished.python("-m", "cmr", "verify", "shapes").stdout
    assert finished.results() == undisturbed.results()


def test_damage_of_what_snakemake_keeps_costs_no_result(finished):
    """Records of how files were made, and marks of jobs that did not end, in `.snakemake/`."""
    kept, metrics = (
        finished.root / ".snakemake",
        "results/runs/shapes/random-0/efficientnet_lite0+tfidf/{}/metrics.parquet",
    )
    name = {method: base64.b64encode(metrics.format(method).encode()).decode() for method in ("sm", "cca")}
    record = kept / "metadata" / name["sm"]
    record.write_bytes(record.read_bytes()[:100])
    cut = finished.snakemake("-n", "all")
    assert "Nothing to be done" in cut.stdout
    assert f"Ignore corrupted or currently written metadata record {record}" in cut.stdout
    (kept / "incomplete" / name["cca"]).touch()
    assert finished.planned(metrics.format("cca")) == {("evaluate", "cca"): 1}
    # Bytes that are no text end Snakemake with a traceback; without its records, times alone decide.
    record.write_bytes(b"\x8c\x00\xff" * 30)
    assert "UnicodeDecodeError" in finished.snakemake("-n", "all").stdout
    (kept / "incomplete" / name["cca"]).unlink()
    shutil.rmtree(kept / "metadata")
    assert "Nothing to be done" in finished.snakemake("-n", "all").stdout
