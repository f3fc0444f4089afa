"""Disks that are full or read-only: the message names cause, folder and remedy, and afterwards nothing is half made."""

import shutil

import pytest

from tests.faults.calls import TARGET, assert_same, assert_whole, rerun
from tests.faults.disks import disk
from tests.made_project import copy_of


@pytest.fixture
def mounted(light, tmp_path, request):
    """A project whose folder of data or results is a disk of some kB."""
    folder, size = request.param
    project = copy_of(light, tmp_path)
    readme, exists = project.root / folder / "README.md", (project.root / folder / "README.md").exists()
    kept = shutil.copy2(readme, tmp_path) if exists else None
    with disk(project.root / folder, size) as small:
        if exists:
            shutil.copy2(kept, readme)
        yield project, small


@pytest.mark.parametrize(
    ("mounted", "failed"),
    [
        # Where a hundred pictures are unpacked; where trainings write checkpoints, and Snakemake how long they took.
        pytest.param(("data", 280), "obtain_asset: asset shapes", id="data"),
        pytest.param(("results", 150), "train: dataset shapes", id="results"),
    ],
    indirect=["mounted"],
)
def test_a_full_disk_is_named_and_after_room_is_made_nothing_is_missing(mounted, failed, undisturbed_light):
    project, small = mounted
    run = project.snakemake(TARGET)
    assert run.returncode == 1, run.stdout
    assert f"failed: {failed}" in run.stdout
    assert "No space left on device" in run.stdout
    assert "run again" in run.stdout and "give the same command again" in run.stdout
    assert_whole(project)
    small.remount("size=100m")
    rerun(project, TARGET)
    assert_same(project, undisturbed_light, TARGET)


@pytest.mark.parametrize("mounted", [("data", 40), ("results", 40)], ids=["data", "results"], indirect=True)
def test_a_disk_that_is_full_from_the_start_is_told_of_before_any_job(mounted):
    project, small = mounted
    run = project.snakemake(TARGET)
    assert run.returncode == 1
    assert f"the folder {small.folder.name} cannot be written: No space left on device" in run.stdout
    assert f"Free or mend its disk, or name another folder as `{small.folder.name}` in config/config.yaml" in run.stdout
    assert not list(small.folder.rglob("*.log"))


@pytest.mark.parametrize("mounted", [("data", 1000), ("results", 1000)], ids=["data", "results"], indirect=True)
def test_a_read_only_folder_is_told_of_before_any_job(mounted):
    project, small = mounted
    small.remount("ro")
    run = project.snakemake(TARGET)
    assert run.returncode == 1
    assert f"the folder {small.folder.name} cannot be written: Read-only file system" in run.stdout
    assert f"name another folder as `{small.folder.name}` in config/config.yaml" in run.stdout
    assert "\n0 of " in run.stdout
    assert project.planned(TARGET), "what would be done can be asked all the same"
