"""Texts from strangers: read as they are, or refused with one message that names the file; and never for ever."""

import csv
import html
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmr.datasets import flickr8k, folders, mirflickr, mscoco, pascal_sentence, pascal_voc2007, table, tvgraz, wikipedia
from cmr.datasets import tuxpaint_stamps as stamps
from cmr.datasets.pairs import Pair, pair_table, separate_bad_items
from cmr.datasets.text_files import whole_number
from cmr.errors import LONGEST_MESSAGE, UserError, printable
from cmr.views.text import tokens
from cmr.views.text.bow import TfIdf
from cmr.views.text.segments import sentences
from tests.hostile.hanging import no_longer_than

MARKER = "CAPTION"


class Source:
    """A data set of one kind with one item, whose text is MARKER, in the file `path`."""

    def __init__(self, root: Path, kind: str) -> None:
        self.root, self.kind, self.encoding = root, kind, "utf-16" if kind == "tvgraz" else "utf-8"
        self.path, content = getattr(self, kind)()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content.encode(self.encoding))

    def put(self, text: str) -> None:
        """The text in the place of the marker, as the format writes it."""
        self.put_bytes(self.escape(text).encode(self.encoding).removeprefix(b"\xff\xfe"))

    def put_bytes(self, data: bytes) -> None:
        marker = MARKER.encode(self.encoding).removeprefix(b"\xff\xfe")
        self.path.write_bytes(self.path.read_bytes().replace(marker, data))

    def escape(self, text: str) -> str:
        match self.kind:
            case "csv":
                return text.replace('"', '""')
            case "pascal_json" | "coco":
                return json.dumps(text, ensure_ascii=False)[1:-1]
            case "pascal_page" | "tvgraz":
                return html.escape(text)
            case "wikipedia":
                return html.escape(html.escape(text))
            case _:
                return text

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, "utf-8")

    def first(self) -> Pair:
        """The item, having gone through the table of all data sets."""
        pairs = self.reader()
        pair, *_ = [next(pairs)] if self.kind == "mirflickr" else pairs
        row = pair_table([pair], self.root).iloc[0]
        assert row["text"] == pair.text
        return pair

    def csv(self):
        self.reader = lambda: table.read({"mine": self.root})
        return self.root / "pairs.csv", f'image,text,labels\na.png,"{MARKER}",bird\n'

    def folders(self):
        self.write("all.list", "a\tbird\n")
        self.reader = lambda: folders.read({"mine": self.root}, "all.list", ["text", "label"])
        return self.root / "texts/a.txt", MARKER

    def mirflickr(self):
        for name in (*mirflickr.TOPICS, *mirflickr.RELEVANT):
            self.write(f"{name}.txt", "1\n")
        self.reader = lambda: mirflickr.read({"mirflickr25k": self.root, "mirflickr25k_annotations": self.root})
        return self.root / "meta/tags/tags1.txt", MARKER

    def pascal_json(self):
        self.reader = lambda: pascal_sentence.read({"pascal_sentence": self.root})
        return self.root / pascal_sentence.JSON, json.dumps({"a.jpg": {"category": "bird", "captions": [MARKER]}})

    def pascal_page(self):
        self.reader = lambda: pascal_sentence.read({"pascal_sentence": self.root})
        row = f'<tr><td><img src="bird/a.jpg"></td><td><table><tr><td>{MARKER}</td></tr></table></td></tr>'
        return self.root / "index.html", f"<html><table>{row}</table></html>"

    def wikipedia(self):
        self.write("trainset_txt_img_cat.list", "a\ta\t1\n")
        self.write("testset_txt_img_cat.list", "b\tb\t1\n")
        self.write("categories.list", "bird\n")
        self.reader = lambda: wikipedia.read({"wikipedia": self.root})
        return self.root / "texts/a.xml", f"<page><text xml:space='preserve'>{MARKER}</text></page>"

    def tvgraz(self):
        self.write("tvgraz.list", "a\ta.jpg\tbird\n")
        self.reader = lambda: tvgraz.read({"tvgraz": self.root}, min_words=0)
        return self.root / "texts/a.xml", f"<VIPS><TEXT>{MARKER}</TEXT></VIPS>"

    def coco(self):
        names = ("mscoco_annotations", "mscoco_train2014", "mscoco_val2014")
        self.reader = lambda: mscoco.read(dict.fromkeys(names, self.root), images=["train2014"])
        instances = {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
            "categories": [{"id": 1, "name": "bird"}],
        }
        self.write("instances_train2014.json", json.dumps(instances))
        captions = json.dumps({"annotations": [{"id": 1, "image_id": 1, "caption": MARKER}]})
        return self.root / "captions_train2014.json", captions

    def flickr8k(self):
        for name in flickr8k.LISTS.values():
            self.write(name, "")
        self.write(flickr8k.LISTS["train"], "a.jpg\n")
        self.reader = lambda: flickr8k.read({"flickr8k_text": self.root, "flickr8k_images": self.root})
        return self.root / flickr8k.CAPTIONS, f"a.jpg#0\t{MARKER}\n"

    def stamps(self):
        self.write("stamps/bird/a.png", "")
        self.reader = lambda: stamps.read({"tuxpaint_stamps": self.root}, min_pairs=1)
        return self.root / "stamps/bird/a.txt", f"{MARKER}\nanother language"


KINDS = [
    name for name in vars(Source) if name not in ("put", "put_bytes", "escape", "write", "first") and name[0] != "_"
]

TEXTS = {
    "zero": "a\0b",
    "escape sequences": "\x1b[31mred\x1b[0m \x07\x08\x7f\x9b2J",
    "right to left": "photo\u202egnp.exe\u2066 \u200f שלום",
    "formula": "=HYPERLINK(\"file:///etc/passwd\";'x') @SUM(1+1)|cmd",
    "markup": "<script>alert('1')</script> & &amp; &lt; {{7*7}} ${HOME} %s {0}",
    "separators": "one\u2028two\x85three\x0bfour\x1cfive",
    "marks": "a" + "\u0301\u0316" * 500,
    "astral": "\U0001d518\U0001d52b 👩‍👩‍👧 \U0010ffff \ufffe",
    "byte order mark inside": "a\ufeffb",
    "ten million characters": "word " * 2_000_000,
    "a hundred thousand tags": " ".join(f"tag{i}" for i in range(100_000)),
    "stop words": "the of and",
}


@pytest.mark.parametrize("kind", KINDS)
def test_strange_texts_are_read_as_they_are(tmp_path, kind):
    for name, text in TEXTS.items():
        root = tmp_path / name
        root.mkdir()
        source = Source(root, kind)
        source.put(text)
        with no_longer_than(60):
            assert source.first().text.split() == text.split(), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", " \t ", "\u2003\u00a0\x0b"], ids=["empty", "blanks", "wide blanks"])
def test_texts_that_say_nothing_are_bad_items(tmp_path, kind, text):
    source = Source(tmp_path, kind)
    source.put(text)
    rows = [source.first(), Pair("another", source.first().image, "a text", ("x",))]
    with pytest.raises(UserError, match=r"its text is (empty|missing)"):
        separate_bad_items(pair_table(rows, tmp_path), "stop")


NO_TEXT = {"not UTF-8": b"caf\xe9", "half a surrogate": b"\xed\xa0\x80", "overlong": b"\xc0\xaf", "cut": b"\xe2\x82"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", NO_TEXT)
def test_bytes_that_are_no_text_are_refused_by_file(tmp_path, kind, data):
    source = Source(tmp_path, kind)
    source.put_bytes(b"\x00\xd8\x41\x00" if kind == "tvgraz" else NO_TEXT[data])
    with pytest.raises(UserError) as caught:
        source.first()
    assert str(source.path) in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe"])
def test_files_with_marks_of_their_encoding_are_read_or_refused_by_file(tmp_path, kind, mark):
    source = Source(tmp_path, kind)
    content = source.path.read_bytes().decode(source.encoding)
    source.path.write_bytes(mark + content.encode("utf-8" if mark == b"\xef\xbb\xbf" else "utf-16-le"))
    try:
        assert source.first().text == MARKER
    except UserError as error:
        assert str(source.path) in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_line_ends_of_windows_change_nothing(tmp_path, kind):
    source = Source(tmp_path, kind)
    content = source.path.read_bytes().decode(source.encoding)
    source.path.write_bytes(content.replace("\n", "\r\n").encode(source.encoding))
    assert source.first().text == MARKER


HUGE = 300_000
RUBBISH = {
    "nothing": "",
    "zeros": "\0" * HUGE,
    "open lists": "[" * HUGE,
    "open objects": '{"annotations":' * HUGE,
    "deep entries": '{"annotations":' + "[" * HUGE,
    "open elements": "<text>" * HUGE,
    "open TEXT": "<TEXT>" * HUGE,
    "open tags": "<text " * HUGE,
    "ends alone": "</text" + " " * HUGE,
    "open cells": "<td" * HUGE,
    "open images": "<td><img src='" * HUGE,
    "open comments": "<!--" * HUGE,
    "declarations": "<![" * HUGE,
    "references": "<text>&#" + "9" * HUGE + ";</text>",
    "open references": "<TEXT>" + "&#x" * HUGE + "</TEXT>",
    "quotes": '"' * HUGE,
    "quote left open": 'image,text\n"' + "x,\n" * HUGE,
    "commas": "," * HUGE,
    "digits": "a.jpg#" + "9" * HUGE + "\tx",
    "tabs": "\t" * HUGE,
    "lines": "\n" * HUGE,
}


@pytest.mark.parametrize("kind", KINDS)
def test_rubbish_ends_soon_with_items_or_one_message(tmp_path, kind):
    for name, content in RUBBISH.items():
        root = tmp_path / name
        root.mkdir()
        source = Source(root, kind)
        source.path.write_bytes(content.encode(source.encoding))
        with no_longer_than(60):
            try:
                source.first()
            except ValueError as error:  # there is no item
                assert str(error).startswith("not enough values to unpack"), name
            except UserError as error:
                assert str(root) in str(error) and len(str(error)) < 2 * LONGEST_MESSAGE, name


def test_json_of_endless_depth_takes_no_memory(tmp_path):
    """200 000 levels would take ijson 100 GB; brackets in strings are none, wherever a block ends."""
    program = (
        "import sys; from pathlib import Path; from cmr.datasets import mscoco; from cmr.errors import UserError\n"
        "folders = dict.fromkeys(['mscoco_annotations', 'mscoco_train2014'], Path(sys.argv[1]))\n"
        "try: list(mscoco.read(folders, images=['train2014']))\n"
        "except UserError as error: print(error)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    for deep in ('{"images": ' + "[" * 200_000, '{"images": [' + '{"]}]}": ' * 200_000):
        (tmp_path / "instances_train2014.json").write_text(deep)
        command = [sys.executable, "-c", program, tmp_path]
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        message, kilobytes = run.stdout.splitlines()
        assert "instances_train2014.json is cut short or no JSON: it is nested in more than 100 levels" in message
        assert int(kilobytes) < 300_000


def test_brackets_in_captions_are_no_levels(tmp_path, monkeypatch):
    text = '["{\\' * 50 + ":[" * 200
    source = Source(tmp_path, "coco")
    source.put(text)
    for size in range(1, 40):
        monkeypatch.setattr(mscoco, "BLOCK_BYTES", size)
        assert source.first().text == text


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("images", {"id": [1]}),
        ("images", {"file_name": 7}),
        ("images", {"file_name": None}),
        ("annotations", {"image_id": {"a": 1}}),
        ("categories", {"name": ["bird"]}),
        ("images", "no object"),
    ],
)
def test_json_of_other_types_is_refused_by_entry(tmp_path, name, change):
    source = Source(tmp_path, "coco")
    path = tmp_path / "instances_train2014.json"
    content = json.loads(path.read_text())
    content[name] = [{**content[name][0], **change} if isinstance(change, dict) else change]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"instances_train2014\.json: entry 0 of {name} is not \{{"):
        source.first()


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "a/../../../b.jpg", "\x1b[2J.jpg", "a\0.jpg"])
def test_names_of_pictures_never_lead_elsewhere(tmp_path, name):
    source = Source(tmp_path, "coco")
    path = tmp_path / "instances_train2014.json"
    path.write_text(path.read_text().replace("a.jpg", json.dumps(name)[1:-1]))
    with pytest.raises(UserError, match=r"outside|holds control characters"):
        source.first()
    (tmp_path / "pairs.csv").write_text(f"image,text\n{name},x\n", newline="")
    with pytest.raises(UserError, match=r"does not lie beside the table|holds control characters"):
        pair_table(table.read({"mine": tmp_path}), tmp_path)


# --------------------------------------------------------------------------------------------------------------- XML


LAUGHS = '<!DOCTYPE a [<!ENTITY l0 "ha">' + "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
XML = {
    "billion laughs": LAUGHS + "]><annotation><object><name>&l11;</name></object></annotation>",
    "external entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation><object><name>&x;</name>'
    "</object></annotation>",
    "parameter entity": '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]><annotation/>',
    "entity without declaration": "<annotation><object><name>&x;</name></object></annotation>",
    "another root": "<a/>" * 2,
    "unclosed": "<annotation>" * HUGE,
}


@pytest.mark.parametrize("document", XML)
def test_annotations_expand_nothing_and_fetch_nothing(tmp_path, document):
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "ImageSets/Main/trainval.txt").write_text("a")
    (tmp_path / "Annotations/a.xml").write_text(XML[document])
    assets = {asset: tmp_path for asset, _ in pascal_voc2007.PARTS.values()}
    with no_longer_than(30), pytest.raises(UserError, match=r"annotation .*a\.xml (declares a document|is not well)"):
        next(pascal_voc2007.read(assets))


def test_articles_expand_nothing(tmp_path):
    """The element is cut out of the file, of which nothing else counts."""
    source = Source(tmp_path, "wikipedia")
    source.path.write_text(LAUGHS + "]><page><text>&l11; &hostname;</text></page>")
    assert source.first().text == "&l11; &hostname;"


def test_elements_are_those_of_the_plain_expression():
    """What was written with one regular expression, whose time grew with the square of the length."""
    rng = np.random.default_rng(0)
    pieces = ["<text>", "<text a='b'>", "</text>", "</text >", "x", "<texts>", "<", "\n"]
    for _ in range(500):
        document = "".join(pieces[i] for i in rng.integers(len(pieces), size=12))
        expected = re.findall(r"<text\b[^<>]*>(.*?)</text\s*>", document, re.DOTALL)
        if expected:
            assert wikipedia.article(document) == "\n".join(expected).strip()
        else:
            with pytest.raises(ValueError, match="no element <text>"):
                wikipedia.article(document)


# ------------------------------------------------------------------------------------------------------------ tables


def test_a_million_columns_are_refused(tmp_path):
    (tmp_path / "pairs.csv").write_text("image,text," + ",".join(f"col{i}" for i in range(1_000_000)) + "\n")
    with no_longer_than(60), pytest.raises(UserError, match="1000002 columns; 10000 are taken at most"):
        list(table.read({"mine": tmp_path}))


@pytest.mark.parametrize("header", ["image,text," + "x" * 10_000_000, "x" * 10_000_000, ",".join(["i" * 12] * 9999)])
def test_endless_names_of_columns_are_passed_over_or_cut(tmp_path, header):
    (tmp_path / "pairs.csv").write_text(f"{header}\n")
    with no_longer_than(60):
        try:
            assert list(table.read({"mine": tmp_path})) == []
        except UserError as error:
            assert len(str(error)) < 2000


def test_quote_left_open_is_told_with_its_line(tmp_path):
    (tmp_path / "pairs.csv").write_text('image,text\na.png,x\nb.png,"never ends\n' + "c.png,y\n" * 1000)
    with pytest.raises(UserError, match=r"pairs\.csv, line 3: no CSV .* Is a double quote left open\?"):
        list(table.read({"mine": tmp_path}))


def test_cells_that_spreadsheets_would_compute_stay_texts(tmp_path):
    buffer = io.StringIO()
    cells = ["=1+1", "+1", "-1", "@x", "00012", "1e5", "NaN", "NULL", "TRUE", "2020-01-01"]
    csv.writer(buffer).writerows([["id", "text"], *([f"i{i}", cell] for i, cell in enumerate(cells))])
    (tmp_path / "pairs.csv").write_text(buffer.getvalue())
    assert [pair.text for pair in table.read({"mine": tmp_path})] == cells


PARQUET = {
    "nested": pa.array([{"a": 1}]),
    "lists of lists": pa.array([[["a"]]]),
    "binary": pa.array([b"\xff"]),
    "floats": pa.array([1.5]),
    "dates": pa.array([0], pa.date32()),
    "map": pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())),
    "not UTF-8": pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32).tobytes()), pa.py_buffer(b"\xff\xfe")]
    ),
}


@pytest.mark.parametrize("values", PARQUET)
@pytest.mark.parametrize("column", ["text", "labels", "id"])
def test_columns_of_other_types_are_refused_by_name(tmp_path, values, column):
    if column == "labels" and values == "nested":
        values = "map"
    columns = {"id": pa.array(["a"])} | {column: PARQUET[values]}
    pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
    with pytest.raises(UserError, match=rf"pairs\.parquet(: the column {column} holds| cannot be read as Parquet)"):
        list(table.read({"mine": tmp_path}, table="pairs.parquet"))


def test_a_huge_dictionary_is_read_once(tmp_path):
    """A page of 40 MB that three rows refer to."""
    long = "word " * 8_000_000
    column = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0], pa.int32()), pa.array([long]))
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": column}), tmp_path / "pairs.parquet", compression="zstd")
    assert (tmp_path / "pairs.parquet").stat().st_size < 1 << 20
    assert {pair.text for pair in table.read({"mine": tmp_path}, table="pairs.parquet")} == {long.strip()}


# ---------------------------------------------------------------------------------------------- names, numbers, lists


@pytest.mark.parametrize("text", ["9" * 5000, "-1", "1.0", "²", "٣x", "", "1_000", "0x1"])
def test_what_is_no_small_whole_number_is_none(text):
    assert whole_number(text) is None
    assert whole_number("٣") == 3


@pytest.mark.parametrize("line", ["9" * 5000, "0", "25001", "1 2", "-1", "1.5", "x" * 100_000])
def test_numbers_of_annotations_are_checked(tmp_path, line):
    source = Source(tmp_path, "mirflickr")
    (tmp_path / "animals.txt").write_text(line)
    with pytest.raises(UserError, match=r"animals\.txt, line 1: .* is no number of an image") as caught:
        source.first()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a\0", "x" * 5000])
def test_lists_name_files_of_their_folder_alone(tmp_path, name):
    source = Source(tmp_path, "folders")
    (tmp_path / "all.list").write_text(f"{name}\tbird\n", "utf-8")
    with pytest.raises(UserError, match=r"all\.list, line 1: .* (leads out of|holds no name)") as caught:
        source.first()
    assert len(str(caught.value)) < 1000


def test_one_line_of_ten_million_characters_gives_a_short_message(tmp_path):
    source = Source(tmp_path, "folders")
    (tmp_path / "all.list").write_text("a " * 5_000_000)
    with pytest.raises(UserError, match="2 columns") as caught:
        source.first()
    assert len(str(caught.value)) < 1000


# ------------------------------------------------------------------------------------------------- tokenizers and views

RUNS = ["y", "a", "'", "a'", "n't", "'s", "a'b", "\u0301", "a\u0301\u0316", "ﷺ", " ", "aeiou", "sses", "ational", "İ"]
RUNS += [".", ",", ". ", "a.", ", and", "\n", "\0", "\u202e", "的", "กำ", "1", "1a", "\ufdfa", "\u017f", "ß", "a\u200d"]


@pytest.mark.parametrize("name", tokens.PLAIN)
def test_tokenizers_take_time_in_proportion(name):
    """A hundred thousand times the same: what goes back over it at every step would take hours."""
    both = tokens.tokenizer(name), tokens.surface_tokenizer(name)
    for run in RUNS:
        with no_longer_than(60):
            for function in both:
                function(run * 100_000)
            sentences(run * 100_000, 4)


def test_accents_without_end_leave_the_letters():
    assert tokens.words("Zalgo" + "\u0301\u0316" * 300_000 + " here")[-1] == "here"
    assert tokens.words("e\u0301") == ["é"]


def test_a_word_of_a_million_letters_is_no_word():
    """A vocabulary is as wide as its longest word: a thousand words beside it would take 4 GB."""
    view = TfIdf(vocabulary_size=1000, tokenizer="words")
    view.fit(["a" * 1_000_000 + " " + " ".join(f"w{i}" for i in range(900))])
    assert view.state()["words"].nbytes < 100_000
    assert tokens.english_words("b" * 1_000_000 + " cat") == ["cat"]
    assert len(tokens.characters("的" * 1000)) == 1999


@pytest.mark.parametrize("texts", [["", ""], [" \n"], ["the of and"], ["\0\x1b"], ["'''"], ["!!!"]])
def test_texts_without_words_are_refused_by_views(texts):
    with pytest.raises(UserError, match=r"no word is left in \d train texts"):
        TfIdf().fit(texts)


# ------------------------------------------------------------------------------------------------------------ messages


def test_messages_and_logs_carry_no_control_characters(tmp_path):
    (tmp_path / "pairs.csv").write_bytes(b"image,text,part\na.png,x,\x1b[2J\x07\x00\xe2\x80\xae\xc2\x9b\n")
    program = (
        "import logging, sys; from pathlib import Path; from cmr.datasets import table; from cmr.jobs import run_job\n"
        "def main():\n"
        "    logging.warning('item %s', '\\x1b]0;x\\x07\\u202e')\n"
        "    list(table.read({'mine': Path(sys.argv[1])}))\n"
        "run_job(main)"
    )
    command = [sys.executable, "-c", program, tmp_path]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=60)
    assert run.returncode == 1
    assert r"item \x1b]0;x\x07\u202e" in run.stderr
    assert r'part is "\x1b[2J\x07\x00\u202e\x9b"' in run.stderr
    assert not [c for c in run.stderr if not (c.isprintable() or c == "\n")]


def test_long_messages_are_cut():
    assert len(printable("x" * 10_000_000)) < LONGEST_MESSAGE + 100
    assert printable("tab\tand line\nstay, żółw 猫 too") == "tab\tand line\nstay, żółw 猫 too"
