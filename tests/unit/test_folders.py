"""Folders before a call works in them: dates of the future, and room."""

import os
import time

import pytest

from cmr.errors import UserError
from cmr.folders import TOLERANCE, check_writable, redate

NAMES = ["datasets/pairs.parquet", "raw/stamps/asset.json", "views/a b.h5"]


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - number,) * 2)
    return tmp_path


def dates(folder):
    return {name: (folder / name).stat().st_mtime for name in NAMES}


def test_dates_of_the_past_and_of_clocks_a_little_ahead_stay(folder):
    os.utime(folder / NAMES[0], (time.time() + TOLERANCE / 2,) * 2)
    before = dates(folder)
    assert not redate([folder, folder / "missing"])
    assert dates(folder) == before


def test_a_date_of_the_future_makes_all_old_in_the_same_order(folder, caplog):
    os.utime(folder / NAMES[1], (time.time() + 2 * TOLERANCE,) * 2)
    assert redate([folder])
    after = dates(folder)
    assert sorted(after, key=after.get) == [NAMES[2], NAMES[0], NAMES[1]]
    assert len(set(after.values())) == 3 and max(after.values()) < 1e9
    assert f"{NAMES[1]} is dated " in caplog.text and "after the present time" in caplog.text
    assert not redate([folder])


def test_files_of_an_asset_keep_the_dates_of_their_archive(folder):
    picture = folder / "raw/stamps/picture.png"
    picture.touch()
    os.utime(picture, (time.time() + 2 * TOLERANCE,) * 2)
    assert not redate([folder])
    os.utime(folder / NAMES[0], (time.time() + 2 * TOLERANCE,) * 2)
    assert redate([folder])
    assert picture.stat().st_mtime > time.time()


def test_files_of_the_user_s_own_beside_what_rules_make_keep_their_dates(folder):
    own = [folder / name for name in ("manual/archive.zip", "thesis/raw/chapter.tex", "notes.txt")]
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time.time() + 2 * TOLERANCE,) * 2)
    assert not redate([folder])
    os.utime(folder / NAMES[0], (time.time() + 2 * TOLERANCE,) * 2)
    assert redate([folder])
    assert min(path.stat().st_mtime for path in own) > time.time()


def test_a_folder_that_cannot_be_made_is_told_by_its_key(tmp_path):
    (tmp_path / "file").touch()
    check_writable({"data": tmp_path / "new"})
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(UserError, match=r"the folder .*file/results cannot be written: Not a directory.* as `results`"):
        check_writable({"data": tmp_path, "results": tmp_path / "file/results"})
