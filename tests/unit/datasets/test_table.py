"""Own data as one table: CSV and Parquet, what may be absent, and errors that name the row."""

import codecs
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmr.datasets import table
from cmr.datasets.pairs import Pair, pair_table
from cmr.errors import UserError

HEADER = "id,image,text,labels\n"


def read_csv(folder: Path, text: str | bytes) -> list[Pair]:
    (folder / "pairs.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return list(table.read({"mine": folder}))


def read_parquet(folder: Path, frame: pd.DataFrame | pa.Table) -> list[Pair]:
    frame = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame)
    pq.write_table(frame, folder / "birds.parquet")
    return list(table.read({"mine": folder}, table="birds.parquet"))


def test_rows_of_a_csv_are_pairs(tmp_path):
    pairs = read_csv(
        tmp_path,
        "id,image,text,labels,part,group\n"
        "1,images/a.png,A crow.,bird| black |,train,walk\n"
        "2,images/b.png,A cod.,fish,test,\n"
        "3,images/c.png,Nothing.,,,\n",
    )
    assert pairs == [
        Pair("1", tmp_path / "images/a.png", "A crow.", ("bird", "black"), "train", "walk"),
        Pair("2", tmp_path / "images/b.png", "A cod.", ("fish",), "test", "images/b.png"),
        Pair("3", tmp_path / "images/c.png", "Nothing.", (), None, "images/c.png"),
    ]


def test_parquet_with_lists_of_labels_gives_the_same_pairs_as_csv(tmp_path):
    from_csv = read_csv(tmp_path, HEADER + '7,a.png,"Zwei, drei Möwen",bird|white\n8,./b.png,,\n')
    columns = {
        "id": pa.array([7, 8]),  # numbers, as other programs write them
        "image": pa.array(["a.png", "b.png"], pa.large_string()),
        "text": pa.array(["Zwei, drei Möwen", None]),
        "labels": pa.array([["bird", "white"], None]),
        "height": pa.array([2.5, 3.5]),
    }
    assert read_parquet(tmp_path, pa.table(columns)) == from_csv
    columns["labels"] = pa.array(["bird|white", ""]).dictionary_encode()
    assert read_parquet(tmp_path, pa.table(columns)) == from_csv
    assert from_csv[1] == Pair("8", tmp_path / "b.png", "", (), None, "b.png")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_unicode_byte_order_marks_and_all_line_ends_are_read(tmp_path, encoding, end):
    text = end.join(["image,text", "鳥.png,  Ein Käuzchen heißt 鳥 🐦 ", "", ""])
    (pair,) = read_csv(tmp_path, text.encode(encoding))
    assert pair == Pair("鳥.png", tmp_path / "鳥.png", "Ein Käuzchen heißt 鳥 🐦", (), None, "鳥.png")


def test_captions_hold_commas_quotes_and_line_breaks_between_quotes(tmp_path):
    pairs = read_csv(tmp_path, 'image,text\na.png,"One, ""two""\nthree"\nb.png,four\n')
    assert [pair.text for pair in pairs] == ['One, "two"\nthree', "four"]


def test_text_may_be_longer_than_the_csv_modules_default(tmp_path):
    (pair,) = read_csv(tmp_path, f"image,text\na.png,{'word ' * 50_000}\n")
    assert len(pair.text.split()) == 50_000


def test_captions_of_one_image_get_numbered_ids_and_one_group(tmp_path):
    pairs = read_csv(tmp_path, "image,text\na.png,one\nb.png,two\na.png,three\na.png,four\n")
    assert [(pair.id, pair.group) for pair in pairs] == [
        ("a.png", "a.png"),
        ("b.png", "b.png"),
        ("a.png#2", "a.png"),
        ("a.png#3", "a.png"),
    ]
    assert len(pair_table(pairs, tmp_path)) == 4


def test_absent_columns_mean_that_no_item_has_such_a_thing(tmp_path):
    assert read_csv(tmp_path, "id,text\n1,one\n") == [Pair("1", None, "one", ())]
    assert read_csv(tmp_path, "image,labels\na.png,x\n") == [
        Pair("a.png", tmp_path / "a.png", None, ("x",), None, "a.png")
    ]


def test_empty_image_of_one_row_is_no_path(tmp_path):
    assert read_csv(tmp_path, HEADER + "1,,one,x\n") == [Pair("1", None, "one", ("x",))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "1,a.png,one,x\n2,b.png,two, three,x\n", r"pairs\.csv, line 3: 5 fields, but .* names 4 columns"),
        (HEADER + '1,a.png,"two\nlines",x\n2,b.png\n', r"pairs\.csv, line 4: 2 fields"),
        (HEADER + '1,a.png,one,x\n2,b.png,"two,x\n3,c.png,three,x\n', r"pairs\.csv, line 3: no CSV .*left open"),
        (HEADER.encode() + b"1,a.png,one,x\n2,b.png,caf\xe9,x\n", r"pairs\.csv, line 3 is not UTF-8"),
        ("id,image\n1,a\n".encode("utf-16"), r"pairs\.csv, line 1 is not UTF-8"),
        (HEADER + "1,../a.png,one,x\n", r'line 2: the image "\.\./a\.png" does not lie beside the table'),
        (HEADER + "1,/home/a.png,one,x\n", r'line 2: the image "/home/a\.png" does not lie beside the table'),
        (HEADER + ",a.png,one,x\n", r"pairs\.csv, line 2 has no id"),
        ("image,text\n,one\n", r"pairs\.csv, line 2 has no image, and there is no column id"),
        ("id,part\n1,train\n2,val\n", r'line 3: part is "val", but must be train, valid, test or empty'),
        ("id,Label\n1,x\n", r'the column "Label" must be called "labels", or be left out'),
        ("id,text,text\n1,a,b\n", r"pairs\.csv has two columns text"),
        ("id;image;text\n1;a.png;one\n", r"neither a column id nor .* are: id;image;text\. .* separated by commas"),
        ("", r"pairs\.csv has neither a column id nor a column image; its columns are: none"),
        (codecs.BOM_UTF8, r"its columns are: none"),
    ],
)
def test_error_names_file_and_row(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_csv(tmp_path, text)


def test_parquet_errors_name_file_column_and_row(tmp_path):
    with pytest.raises(UserError, match=r"birds\.parquet: the column text holds double, where strings are expected"):
        read_parquet(tmp_path, pd.DataFrame({"id": ["1"], "text": [0.5]}))
    with pytest.raises(UserError, match=r'birds\.parquet, row 2: part is "dev"'):
        read_parquet(tmp_path, pd.DataFrame({"id": ["1", "2"], "part": ["train", "dev"]}))
    with pytest.raises(UserError, match=r"birds\.parquet: .*labels holds list<.*double>"):
        read_parquet(tmp_path, pa.table({"id": ["1"], "labels": [[0.5]]}))
    (tmp_path / "birds.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match=r"birds\.parquet cannot be read as Parquet"):
        list(table.read({"mine": tmp_path}, table="birds.parquet"))


def test_missing_table_is_told_with_the_tables_that_are_there(tmp_path):
    (tmp_path / "birds.csv").touch()
    with pytest.raises(UserError, match=r"pairs\.csv does not exist; tables in this folder: birds\.csv\. .*options"):
        list(table.read({"mine": tmp_path}))
    with pytest.raises(UserError, match=r"birds\.xlsx is no table .* must end in \.csv or \.parquet"):
        list(table.read({"mine": tmp_path}, table="birds.xlsx"))


def test_long_tables_come_in_the_order_of_their_rows(tmp_path):
    rows = 2 * table.ROWS_A_BLOCK + 1
    pairs = read_parquet(tmp_path, pd.DataFrame({"id": [str(row) for row in range(rows)]}))
    assert [pair.id for pair in pairs] == [str(row) for row in range(rows)]
