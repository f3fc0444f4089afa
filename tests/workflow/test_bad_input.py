"""Bad input: one clear message, a non-zero exit, nothing half-written."""

import json
import subprocess
import tarfile

import pytest

from cmr.assets.unpack import unpack
from tests.shapes import write_shapes

PAIRS = "data/datasets/shapes/pairs.parquet"
VIEW = "data/views/shapes/image/efficientnet_lite0.h5"
IMAGES = "data/datasets/shapes/images.parquet"
RUN = "results/runs/shapes/random-0/efficientnet_lite0+tfidf"
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "ARGS")  # what a `make test` that runs these tests hands on


def assert_fails(run, *messages):
    assert run.returncode != 0
    for message in messages:
        assert message in run.stdout, run.stdout
    assert "Traceback" not in run.stdout


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--config", "studys=[shapes]"], ['unknown key "studys"', 'did you mean "studies"']),
        (["--config", "studies=[shape]"], ['unknown study "shape"', 'did you mean "shapes"']),
        (["--config", "methods={cca: {rigde: 0.1}}"], ['methods: cca: unknown hyper-parameter "rigde"']),
    ],
)
def test_misspelt_configuration(unfinished, arguments, messages):
    run = unfinished.snakemake("-n", "all", *arguments)
    assert run.returncode != 0
    for message in messages:
        assert message in run.stdout, run.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{RUN}/ccca/metrics.parquet", 'unknown method "ccca"; did you mean "cca"'),
        ("data/datasets/shapes/splits/random-99.parquet", 'unknown split "random-99"'),
        ("data/datasets/shape/pairs.parquet", 'unknown dataset "shape"; did you mean "shapes"'),
        ("data/views/shapes/image/vgg.h5", 'unknown image view "vgg"'),
        ("data/views/shapes/random-0/text/tfdf.h5", 'unknown text view "tfdf"; did you mean "tfidf"'),
        ("data/datasets/wikipedia/views/image/sift.h5", 'unknown ready image view of wikipedia "sift"; did you mean'),
    ],
)
def test_unknown_name_in_a_target(fresh, target, message):
    run = fresh.snakemake("-n", target)
    assert run.returncode != 0
    assert message in run.stdout, run.stdout


def test_folder_with_a_blank_in_its_name_is_refused(fresh):
    run = fresh.snakemake("-n", "all", "--config", "data=my data")
    assert run.returncode != 0
    assert "without blanks or quotes" in run.stdout, run.stdout


def test_failed_run_fails_again_and_is_never_taken_for_done(finished):
    def too_many(dataset):
        dataset["splits"]["random"]["sizes"] = {"train": 60, "valid": 1, "test": 1}

    finished.edit("config/datasets/shapes.yaml", too_many)
    for _ in range(2):
        assert_fails(finished.snakemake("all"), "needs 62 items, but the data set has 60")


def test_make_shows_the_message_of_a_failed_job(unfinished):
    write_shapes(unfinished.root / "mirror/shapes.tar", faults=True)
    stamp = unfinished.root / ".venv/.ready"  # the tests' own environment stands in for the installed one
    stamp.parent.mkdir()
    stamp.touch()
    run = subprocess.run(
        ["make", "all", "CORES=2"],
        cwd=unfinished.root,
        env={name: value for name, value in unfinished.environment.items() if name not in OF_MAKE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert_fails(run, "1 of 62 items cannot be used", "empty-caption", "on_bad_item: drop")


def test_bad_items_stop_the_run_with_their_list(unfinished):
    write_shapes(unfinished.root / "mirror/shapes.tar", faults=True)
    run = unfinished.snakemake(PAIRS)
    assert_fails(run, "1 of 62 items cannot be used", "empty-caption: its text is empty", "on_bad_item: drop")
    assert not (unfinished.root / PAIRS).exists()


def test_bad_images_stop_the_run_with_their_list(unfinished):
    write_shapes(unfinished.root / "mirror/shapes.tar", faults=True)
    archive = unfinished.root / "mirror/shapes.tar"
    unpack(archive, unfinished.root / "mirror/unpacked", limit=10_000_000)
    table = unfinished.root / "mirror/unpacked/pairs.csv"
    table.write_text(table.read_text().replace('" "', "spoken").replace(", ,", ",spoken,"))
    with tarfile.open(archive, "w") as tar:
        tar.add(table.parent, arcname=".")
    run = unfinished.snakemake(VIEW)
    assert_fails(run, "1 of 62 items cannot be used", "empty-image", "the file is empty", "on_bad_item: drop")
    assert not (unfinished.root / IMAGES).exists()


def test_bad_items_are_left_out_when_the_data_set_says_so(unfinished):
    write_shapes(unfinished.root / "mirror/shapes.tar", faults=True)
    unfinished.edit("config/datasets/shapes.yaml", lambda dataset: dataset.update(on_bad_item="drop"))
    run = unfinished.snakemake(f"{RUN}/cca/metrics.parquet")
    assert run.returncode == 0, run.stdout
    logs = unfinished.root / "results/logs/datasets"
    assert "dropped 1 items: its text is empty" in (logs / "shapes.log").read_text()
    assert "left out empty-image" in (logs / "shapes/images.log").read_text()
    selection = json.loads((unfinished.root / RUN / "cca/selection.json").read_text())
    assert sum(selection["left_out"].values()) == 1
    assert sum(selection["sizes"].values()) == 60


def test_archive_that_is_cut_short_is_refused_and_leaves_nothing(unfinished):
    archive = unfinished.root / "mirror/shapes.tar"
    archive.write_bytes(archive.read_bytes()[:20_000])
    run = unfinished.snakemake(PAIRS)
    assert_fails(run, "shapes.tar")
    assert not (unfinished.root / "data/raw/shapes/asset.json").exists()


def test_asset_that_changed_under_its_lock_is_refused(finished):
    write_shapes(finished.root / "mirror/shapes.tar", seed=1)
    for file in ("data/raw/shapes/asset.json", PAIRS):
        (finished.root / file).unlink()
    run = finished.snakemake(PAIRS)
    assert_fails(run, "shapes.lock.json")


def test_corrupted_view_is_named(finished):
    view = finished.root / VIEW
    content = bytearray(view.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 256] = bytes(256)
    view.write_bytes(content)
    run = finished.snakemake(f"{RUN}/cca/metrics.parquet")
    assert_fails(run, "efficientnet_lite0.h5 is damaged", "Delete it and run again")
    view.unlink()
    assert finished.snakemake("all").returncode == 0


def test_asset_that_cannot_be_had_says_what_to_put_where(unfinished):
    unfinished.edit("config/config.yaml", lambda config: config.update(mirrors=[]))
    run = unfinished.snakemake(PAIRS)
    assert_fails(run, "shapes", "data/manual")


def test_mirror_that_does_not_exist_is_named(unfinished):
    unfinished.edit("config/config.yaml", lambda config: config.update(mirrors=["nowhere"]))
    assert_fails(unfinished.snakemake(PAIRS), "nowhere")


def test_archive_with_a_path_outside_is_refused(unfinished):
    with tarfile.open(unfinished.root / "mirror/shapes.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../outside.txt"))
    run = unfinished.snakemake(PAIRS)
    assert_fails(run, "../outside.txt")
    assert not list(unfinished.root.rglob("outside.txt"))


def test_device_that_is_absent_is_named(unfinished):
    run = unfinished.snakemake(VIEW, "--config", "device=cuda:7")
    assert_fails(run, 'device "cuda:7"')
