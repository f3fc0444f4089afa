"""`python -m cmr search`: what is printed, and the page that is left."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cmr.__main__ import main
from cmr.errors import UserError
from tests.unit.search.conftest import HOSTILE, ROOT, caption, draw, name


@pytest.fixture
def searched(trained, monkeypatch, capsys):
    """What a call prints."""

    def run(*arguments, study="made", method="kcca_gaussian"):
        call = ["cmr", "search", "--root", trained, "--study", study, "--method", method, *arguments]
        monkeypatch.setattr(sys, "argv", list(map(str, call)))
        main()
        return capsys.readouterr().out

    return run


def page_of(told):
    return Path(re.search(r"^Page: file://(\S+)$", told, re.MULTILINE)[1])


def test_a_ranking_tells_score_id_classes_caption_and_file(searched, trained):
    told = searched("--text", caption(9), "--top", 3).splitlines()
    assert told[0] == caption(9)
    assert told[1] == "KCCA (Gaussian) on Made <pictures>, split drawn-0, seed 0"
    assert told[2] == "80 pictures of the train, valid and test parts, by cosine; exact ranking"
    assert re.fullmatch(rf"   1  1\.000  {name(9)}  \[green\]", told[4])
    assert told[5].strip() == caption(9)
    assert told[6].strip() == (trained / "data/raw/made/9.png").resolve().as_uri()
    assert sum(bool(re.match(r" +\d+ +[\d.-]+  ", line)) for line in told) == 3


def test_the_page_shows_the_same_and_loads_nothing(searched, trained):
    told = searched("--text", caption(9), "--top", 3)
    page = page_of(told)
    assert page.parent == trained / "results/search" and page.name.startswith("made-kcca_gaussian-a-green-candle-")
    html = page.read_text()
    assert re.findall(r"<code>(.*?)</code>", html) == re.findall(r"^ +\d+ +[\d.-]+  (\S+)", told, re.MULTILINE)
    assert re.findall(r'<img src="([^"]{22})', html) == ["data:image/jpeg;base64"] * 3
    assert not re.search(r"(?:src|url)[=(]\"?(?:http|/)", html) and "<form" not in html
    assert f'href="{(trained / "data/raw/made/9.png").resolve().as_uri()}"' in html


def test_pages_of_different_queries_do_not_overwrite_each_other(searched):
    calls = [("--text", "red kettle"), ("--text", "red, kettle"), ("--text", "red kettle", "--gallery", "test")]
    calls.append(("--text", "red kettle", "--split", "drawn-0"))
    pages = [page_of(searched(*call)) for call in calls]
    assert len(set(pages)) == 3 and pages[0] == pages[3]


def test_a_picture_finds_texts_and_a_page_lies_where_it_is_wanted(searched, tmp_path):
    draw(14).save(tmp_path / "my picture.png")
    told = searched("--image", tmp_path / "my picture.png", "--page", tmp_path / "new/found.html", "--gallery", "train")
    assert told.startswith("my picture.png\n") and "48 texts of the train part, by cosine" in told
    assert f"   1  1.000  {name(14)}  [blue]" in told
    assert page_of(told) == tmp_path / "new/found.html"
    assert 'alt="The picture that was asked for"' in (tmp_path / "new/found.html").read_text()


def test_an_explanation_is_told_where_it_is_asked_for(searched):
    told = searched("--text", "a blue thing", "--explain", method="sm")
    assert re.search(r"^classes of the query: blue \d+ %", told, re.MULTILINE)
    assert len(re.findall(r"^ +classes: \w+ \d+ %", told, re.MULTILINE)) == 10
    assert "Not known to the run, and without a say: thing." in told
    assert "seen as blue" in page_of(told).read_text()
    told = searched("--text", caption(9), "--explain")
    assert re.search(rf"Nearest texts of the train part:\n +1\.000  {name(9)}  A green candle\.", told)
    assert "What the run sees the query beside" in page_of(told).read_text()
    assert "Nearest" not in searched("--text", caption(9))


def test_bits_and_distances_are_told_as_such(searched):
    told = searched("--text", "red", method="scm_orth")
    assert "by bits that differ; exact ranking" in told
    assert re.search(r"^   1  \d  \S+", told, re.MULTILINE)


def test_hostile_words_are_escaped(searched):
    html = page_of(searched("--text", HOSTILE)).read_text()
    assert "<script" not in html and "Made &lt;pictures&gt;" in html


def test_long_texts_are_cut_in_any_script(searched):
    told = searched("--text", "red 一只狗" + "很好" * 90)  # no word of more than 200
    assert re.fullmatch("red 一只狗(很好)+很?…", told.splitlines()[0]) and len(told.splitlines()[0]) == 100
    (unknown,) = (line for line in told.splitlines() if line.startswith("Not known"))
    assert "一只狗很好" in unknown and len(unknown) < 100


def test_a_file_name_need_not_be_unicode(searched, tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    draw(14).save(tmp_path / "14.png")
    (tmp_path / "14.png").rename(Path(os.fsdecode(path)))
    told = searched("--image", Path(os.fsdecode(path)))
    assert told.startswith("caf?.png\n") and page_of(told).exists()


def test_wrong_queries_are_refused_before_the_run_is_read(searched, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    for call, message in (
        (("--image", tmp_path / "none.png"), r"none\.png does not exist"),
        (("--image", tmp_path / "notes.txt"), r"notes\.txt cannot be read"),
        (("--text", " "), "the text is empty"),
    ):
        with pytest.raises(UserError, match=message):
            searched(*call)
    with pytest.raises(UserError, match=r'comes with the text features "tags".* --study made --method'):
        searched("--text", "red", study="of_tags", method="sm")


@pytest.mark.parametrize("queries", [[], ["--text", "red", "--image", "a.png"]])
def test_exactly_one_query_is_taken(queries, searched, capsys):
    with pytest.raises(SystemExit):
        searched(*queries)
    assert re.search("one of the arguments --text --image is required|not allowed with", capsys.readouterr().err)


def test_help_says_what_is_searched(searched, capsys):
    with pytest.raises(SystemExit):
        searched("--help")
    told = capsys.readouterr().out
    assert "a text finds pictures and a picture finds texts" in told and "these are `all`" in told


def test_whoever_stops_reading_gets_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-m", "cmr", "--root", ROOT, "methods"]
    run = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (run.returncode, run.stderr) == (141, "")
