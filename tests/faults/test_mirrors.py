"""Mirrors that vanish or change midway: the message names the file, the mirror and what to do."""

import os
import shutil
import sys
import tarfile

import pytest

from cmr.assets import obtain
from cmr.errors import UserError
from cmr.progress import Progress
from tests.faults.calls import Call, assert_whole, rerun
from tests.made_project import copy_of

PAIRS = "data/datasets/shapes/pairs.parquet"


def test_a_mirror_that_vanishes_before_its_turn_is_named(light, undisturbed_light, tmp_path):
    project = copy_of(light, tmp_path)
    wrapper = tmp_path / "bin/python"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *obtain_asset.py*) mv mirror gone ;; esac\nexec "{sys.executable}" "$@"\n'
    )
    wrapper.chmod(0o755)
    call = Call(project, PAIRS, environment={"PATH": os.pathsep.join([str(wrapper.parent), os.environ["PATH"]])})
    assert call.end() == 1
    assert "failed: obtain_asset: asset shapes" in call.words()
    assert "error: the mirror mirror is no folder. Create it, or take it out of the configuration key" in call.words()
    assert_whole(project)
    (project.root / "gone").rename(project.root / "mirror")
    rerun(project, PAIRS)
    for name in (PAIRS, "data/raw/shapes/pairs.csv"):
        assert (project.root / name).read_bytes() == (undisturbed_light.root / name).read_bytes()


class Meddling(Progress):
    """Does something to a mirror once work on its file has begun."""

    def __init__(self, meddle):
        super().__init__(quiet=True)
        object.__setattr__(self, "meddle", meddle)

    def track(self, items, *_arguments, **_options):
        for number, item in enumerate(items):
            yield item
            if number == 1:
                self.meddle()


@pytest.fixture
def folders(tmp_path):
    """A mirror with an archive and, unpacked, a folder; where an asset goes."""
    mirror = tmp_path / "mirror"
    (mirror / "pictures").mkdir(parents=True)
    for number in range(6):
        (mirror / f"pictures/{number}.txt").write_text(f"{number}\n" * 1000)
    with tarfile.open(mirror / "pictures.tar", "w") as tar:
        tar.add(mirror / "pictures", "pictures")
    return mirror, tmp_path / "data/raw/pictures"


ABOUT = {"description": "made", "licence": "none", "by_hand": "draw them"}
AS_FOLDER = ABOUT | {"mirror": [{"folder": "pictures"}]}
AS_ARCHIVE = ABOUT | {"mirror": [{"file": "pictures.tar"}], "unpack": {"limit": 10**6}}


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.txt")}


def obtained_after(spec, folders, meddle, match):
    mirror, folder = folders
    before = shutil.copytree(mirror, mirror.with_name("before"))
    with pytest.raises(UserError, match=match):
        obtain("pictures", spec, mirrors=[mirror], folder=folder, progress=Meddling(meddle))
    assert not folder.exists()
    shutil.rmtree(mirror, ignore_errors=True)
    before.rename(mirror)
    obtain("pictures", spec, mirrors=[mirror], folder=folder)
    return {name.removeprefix("pictures/"): content for name, content in files_of(folder).items()}


def test_a_folder_that_vanishes_while_it_is_copied_is_named_and_nothing_of_it_kept(folders):
    mirror, _ = folders
    expected = files_of(mirror / "pictures")
    match = r"asset pictures could not be put into .*raw/pictures: .*No such file.*mirror/pictures/2.txt"
    assert obtained_after(AS_FOLDER, folders, lambda: shutil.rmtree(mirror), match) == expected


def test_an_archive_that_is_replaced_while_it_is_unpacked_is_named_and_nothing_of_it_kept(folders):
    mirror, _ = folders
    expected, archive = files_of(mirror / "pictures"), mirror / "pictures.tar"
    match = r"mirror/pictures.tar changed while it was read"
    assert obtained_after(AS_ARCHIVE, folders, archive.touch, match) == expected


def test_an_archive_that_vanishes_while_it_is_unpacked_is_named(folders):
    archive = folders[0] / "pictures.tar"
    match = r"asset pictures could not be put into .*: .*No such file.*pictures.tar"
    assert len(obtained_after(AS_ARCHIVE, folders, archive.unlink, match)) == 6
