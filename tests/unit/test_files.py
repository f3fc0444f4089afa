"""Files that appear whole or not at all, also where a writer was killed."""

import signal
import subprocess
import sys

import pytest

from cmr.errors import UserError
from cmr.files import write_text

WRITER = """
import sys
from pathlib import Path
from cmr.files import whole_file
with whole_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of")
    print(temporary, flush=True)
    sys.stdin.read()
    temporary.write_text("by another")
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing a file."""
    target = tmp_path / "a[1].h5"
    command = [sys.executable, "-c", WRITER, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        yield process, target
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_left_goes_with_the_next_one(writer):
    process, target = writer
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(names(target.parent)) == 1 and not target.exists()
    write_text(target, "whole")
    assert names(target.parent) == [target.name]
    assert target.read_text() == "whole"


def test_what_a_living_writer_has_begun_is_left_to_it(writer):
    process, target = writer
    write_text(target, "whole")
    assert len(names(target.parent)) == 2
    process.communicate("")
    assert process.returncode == 0
    assert names(target.parent) == [target.name]
    assert target.read_text() == "by another"


def test_files_of_other_names_are_left_alone(tmp_path):
    others = [".a.h5.12345678.csv", ".aa.h5.12345678.h5", ".a.h5.123.h5", "a.h5.12345678.h5"]
    for other in others:
        (tmp_path / other).touch()
    write_text(tmp_path / "a.h5", "whole")
    assert names(tmp_path) == sorted(["a.h5", *others])


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/a.h5 could not be written: .*Free or change the disk, then run again"):
        write_text(tmp_path / "file/a.h5", "whole")
    assert names(tmp_path) == ["file"]
