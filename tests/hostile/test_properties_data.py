"""Tables, texts, splits and stored files, whatever is in them: given back as they were, or refused by a UserError."""

import csv
import json
import unicodedata
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cmr import store
from cmr.datasets import flickr8k, folders, mscoco, pascal_sentence, table
from cmr.datasets.pairs import PARTS, Pair, pair_table
from cmr.datasets.splits import make_split, text_keys
from cmr.errors import UserError, printable
from cmr.views.text import tokens
from cmr.views.text.segments import sentences
from tests.hostile.properties import examples

ANY = st.text(max_size=20)
ASCII_LIKE = st.text(st.sampled_from("ab ,\"'|#\n\r\t\\/.0é\u2028\x85"), max_size=8)
TEXT = ANY | ASCII_LIKE
# A name that files and lists can hold as it is.
NAME = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='/\\|#."'), min_size=1, max_size=8)


# -------------------------------------------------------------------------------------------------------------- tables


ROW = st.fixed_dictionaries({"id": TEXT, "text": TEXT, "labels": TEXT, "part": st.sampled_from(["", *PARTS])})


def expected(row: dict) -> Pair:
    labels = tuple(label.strip() for label in row["labels"].split("|") if label.strip())
    return Pair(row["id"].strip(), None, row["text"].strip(), labels, row["part"] or None)


def written(rows: list[dict], folder: Path, name: str) -> dict[str, Path]:
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), folder / name)
    else:
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return {"mine": folder}


@examples(120)
@given(st.lists(ROW, min_size=1, max_size=5), st.sampled_from(["pairs.csv", "pairs.parquet"]))
def test_a_table_of_any_texts_is_read_as_it_was_written_or_refused(rows, name):
    with TemporaryDirectory() as folder:
        try:
            pairs = list(table.read(written(rows, Path(folder), name), table=name))
        except UserError as error:
            assert name in str(error)
            assert not all(row["id"].strip() for row in rows)
        else:
            assert pairs == [expected(row) for row in rows]


@examples(30)
@given(st.lists(ROW, min_size=1, max_size=5))
def test_what_becomes_a_table_of_pairs_is_stored_as_it_is(rows):
    with TemporaryDirectory() as folder:
        try:
            pairs = pair_table([expected(row) for row in rows], Path(folder))
        except UserError:
            return
        store.write_table(Path(folder) / "pairs.parquet", pairs)
        again = store.read_table(Path(folder) / "pairs.parquet")
        for name in pairs:
            plain = [value.tolist() if name == "labels" else value for value in again[name]]
            assert [value if isinstance(value, str | list) else None for value in plain] == pairs[name].tolist()
        assert sorted(again["id"]) == sorted(row["id"].strip() for row in rows)


@examples(150)
@given(st.binary(max_size=60) | ASCII_LIKE.map(str.encode), st.sampled_from(["", "image,text\n", "id,text,labels\n"]))
def test_any_bytes_are_a_table_or_refused(content, header):
    with TemporaryDirectory() as folder:
        (Path(folder) / "pairs.csv").write_bytes(header.encode() + content)
        try:
            pairs = list(table.read({"mine": Path(folder)}))
        except UserError as error:
            assert "pairs.csv" in str(error)
        else:
            assert all(pair.id for pair in pairs)


@examples(80)
@given(
    st.lists(st.tuples(NAME, NAME, TEXT), min_size=1, max_size=5, unique_by=(lambda row: row[0], lambda row: row[1]))
)
def test_lists_and_folders_of_any_names_and_texts_are_read_as_they_were_written(rows):
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "texts").mkdir()
        for name, _, text in rows:
            (root / "texts" / f"{name}.txt").write_text(text, "utf-8", newline="")
        (root / "all.list").write_text("".join(f"{name}\t{label}\n" for name, label, _ in rows), "utf-8", newline="")
        pairs = list(folders.read({"mine": root}, "all.list", ["text", "label"], images=None))
        assert [pair.id for pair in pairs] == [name for name, _, _ in rows]
        assert [pair.labels for pair in pairs] == [(label,) for _, label, _ in rows]
        assert [pair.text for pair in pairs] == [text.removeprefix("\ufeff").strip() for _, _, text in rows]


@examples(80)
@given(st.dictionaries(NAME, st.lists(TEXT, min_size=1, max_size=3), min_size=1, max_size=4))
def test_captions_of_any_characters_are_read_as_they_were_written(captions):
    def plain(text):
        return " ".join(text.split())

    with TemporaryDirectory() as folder:
        root = Path(folder)
        sentences_of = {f"{name}.jpg": {"category": "bird", "captions": texts} for name, texts in captions.items()}
        (root / pascal_sentence.JSON).write_text(json.dumps(sentences_of))
        pairs = list(pascal_sentence.read({"pascal_sentence": root}))
        assert {pair.id: pair.text for pair in pairs} == {n: "\n".join(map(plain, t)) for n, t in captions.items()}

        numbers = {name: number for number, name in enumerate(captions, 1)}
        instances = {
            "images": [{"id": number, "file_name": f"{name}.jpg"} for name, number in numbers.items()],
            "annotations": [{"image_id": number, "category_id": 1} for number in numbers.values()],
            "categories": [{"id": 1, "name": "bird"}],
        }
        texts = [{"id": 9, "image_id": numbers[name], "caption": texts[0]} for name, texts in captions.items()]
        (root / "instances_val2014.json").write_text(json.dumps(instances, ensure_ascii=False), "utf-8")
        (root / "captions_val2014.json").write_text(json.dumps({"annotations": texts}, ensure_ascii=False), "utf-8")
        assets = {"mscoco_annotations": root, "mscoco_val2014": root}
        pairs = list(mscoco.read(assets, images=["val2014"]))
        assert {pair.id: pair.text for pair in pairs} == {name: plain(texts[0]) for name, texts in captions.items()}

        for name in flickr8k.LISTS.values():
            (root / name).write_text("")
        lines = [f"{n}.jpg#{i}\t{plain(text)}\n" for n, texts in captions.items() for i, text in enumerate(texts)]
        (root / flickr8k.CAPTIONS).write_text("".join(lines), "utf-8")
        pairs = list(flickr8k.read({"flickr8k_text": root, "flickr8k_images": root}))
        assert {pair.id: pair.text for pair in pairs} == {n: "\n".join(map(plain, t)) for n, t in captions.items()}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3),
    max_leaves=8,
)


@examples(150)
@given(JSON, JSON, JSON)
def test_any_json_is_a_data_set_or_refused(first, second, third):
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / pascal_sentence.JSON).write_text(json.dumps({"a.jpg": first} if third else second))
        content = {"images": [{"id": first, "file_name": second}], "annotations": third, "categories": [first]}
        (root / "instances_val2014.json").write_text(json.dumps(content if second else first))
        for read in (
            lambda: pascal_sentence.read({"pascal_sentence": root}),
            lambda: mscoco.read({"mscoco_annotations": root, "mscoco_val2014": root}, images=["val2014"]),
        ):
            try:
                list(read())
            except UserError as error:
                assert str(root) in str(error)


# -------------------------------------------------------------------------------------------------------------- splits


@st.composite
def drawn(draw):
    """Pairs of which some share a group or a text, and how they are to be split."""
    n = draw(st.integers(3, 30))
    shared = st.one_of(st.none(), st.integers(0, 4))
    groups, texts = (draw(st.lists(shared, min_size=n, max_size=n)) for _ in range(2))
    labels = draw(st.lists(st.lists(st.sampled_from("abc"), max_size=2, unique=True), min_size=n, max_size=n))
    pairs = pd.DataFrame(
        {
            "id": [f"i{i:02d}" for i in range(n)],
            "text": [f"text {i}" if text is None else f"Shared  {text}" for i, text in enumerate(texts)],
            "labels": labels,
            "part": None,
            "group": [f"i{i:02d}" if group is None else f"g{group}" for i, group in enumerate(groups)],
        }
    )
    sizes = draw(
        st.fixed_dictionaries({part: st.integers(1, n // 2) for part in PARTS})
        | st.fixed_dictionaries({part: st.sampled_from([0.1, 0.2, 0.3, 0.5]) for part in PARTS})
    )
    grouped_by = draw(st.sampled_from([["group", "text"], ["group"], []]))
    return pairs, {"sizes": sizes, "grouped_by": grouped_by, "stratified": draw(st.booleans())}


@examples(80)
@given(drawn(), st.integers(0, 2**32 - 1))
def test_a_split_is_a_partition_that_keeps_groups_together(case, seed):
    pairs, protocol = case
    try:
        split = make_split(pairs, protocol, seed)
    except UserError as error:
        assert any(
            words in str(error) for words in ("belong together", "needs", "sum to", "no train", "no valid", "no test")
        )
        return
    assert split["id"].is_unique and set(split["id"]) <= set(pairs["id"])
    assert set(split["part"]) == set(PARTS)
    pd.testing.assert_frame_equal(make_split(pairs, protocol, seed), split)
    items = pairs.merge(split, on="id", suffixes=("_of_source", ""))
    keys = {"group": items["group"], "text": text_keys(items)}
    for key in protocol["grouped_by"]:
        assert items["part"].groupby(keys[key]).nunique().max() == 1
    sizes = protocol["sizes"]
    largest = max(Counter(linked_groups(pairs, protocol["grouped_by"])).values())
    for part, size in sizes.items():
        wanted = size if isinstance(size, int) else size * len(pairs)
        assert abs((split["part"] == part).sum() - wanted) < largest + (0 if isinstance(size, int) else 1)


def linked_groups(pairs: pd.DataFrame, keys: list[str]) -> list[int]:
    """The group of each item, by joining as long as anything can be joined."""
    group = list(range(len(pairs)))
    columns = [list(pairs["group"] if key == "group" else pairs["text"]) for key in keys]
    changed = True
    while changed:
        changed = False
        for column in columns:
            for i, first in enumerate(column):
                for j in range(i):
                    if column[j] == first and group[i] != group[j]:
                        old, new = max(group[i], group[j]), min(group[i], group[j])
                        group = [new if g == old else g for g in group]
                        changed = True
    return group


# --------------------------------------------------------------------------------------------------------------- store


ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
) | st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), max_size=5).map(
    lambda words: np.array(words, dtype=str)
)


@examples(100)
@given(st.dictionaries(NAME, ARRAYS, min_size=1, max_size=4), JSON)
def test_arrays_of_any_kind_come_back(arrays, note):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        store.write_arrays(path, arrays, {"note": note})
        again, attributes = store.read_arrays(path)
        assert attributes == {"note": note}
        assert set(again) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(again[name], array)
            assert again[name].shape == array.shape


ROWS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.floats(width=32))


@examples(100)
@given(ROWS, st.data())
def test_views_come_back_or_are_refused_by_the_item(values, data):
    ids = data.draw(st.lists(NAME, min_size=len(values), max_size=len(values), unique=True))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "v.h5"
        finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if not finite.all():
            try:
                store.write_view(path, ids, values, {})
            except UserError as error:
                assert printable(repr(ids[finite.argmin()])) in str(error)
                assert not path.exists()
                return
            raise AssertionError("was written")
        store.write_view(path, ids, values, {})
        view = store.read_view(path)
        assert list(view.ids) == ids
        np.testing.assert_array_equal(view.values, values)
        rows = data.draw(hnp.arrays(np.intp, 5, elements=st.integers(0, len(ids) - 1)))
        with store.ViewFile.open(path) as opened:
            np.testing.assert_array_equal(opened.take(rows), values[rows])


@examples(150)
@given(st.data())
def test_a_bit_that_flips_in_a_file_is_noticed_or_changes_nothing(data):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        arrays = {"numbers": np.arange(40.0).reshape(8, 5), "words": np.array(["a", "żółw"]), "none": np.zeros((0, 3))}
        pairs = pair_table([Pair(f"i{i}", None, f"text {i}", ("x",)) for i in range(5)], Path(folder))
        for write, read, same in (
            (
                lambda: store.write_arrays(path, arrays, {"note": "ü"}),
                lambda: store.read_arrays(path),
                lambda found: (
                    found[1] == {"note": "ü"}
                    and set(found[0]) == set(arrays)
                    and all(np.array_equal(found[0][name], arrays[name]) for name in arrays)
                ),
            ),
            (
                lambda: store.write_table(path, pairs, {"note": "ü"}),
                lambda: store.read_table(path),
                lambda found: found.attrs == {"note": "ü"} and found["text"].tolist() == pairs["text"].tolist(),
            ),
        ):
            write()
            content = bytearray(path.read_bytes())
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(content)
            try:
                assert same(read())
            except UserError as error:
                assert str(path) in str(error)


# ---------------------------------------------------------------------------------------------------------- tokenizers


ENGLISH = st.text(st.sampled_from("aabn'tsdllmrve \u2019Y\u0301éß."), max_size=24)


@examples(300)
@given(st.text(max_size=40) | ENGLISH)
def test_tokens_of_tokens_are_the_same_tokens(text):
    """What is a token stays one, alone and beside the others: for all that do not reduce words to their stems."""
    for tokenizer in (tokens.english_words, tokens.words):
        found = tokenizer(text)
        assert all(found)
        assert tokenizer(" ".join(found)) == found
    for tokenizer in (tokens.english, tokens.characters, tokens.single_characters):
        assert all(tokenizer(text))


@examples(200)
@given(st.text(max_size=40))
def test_case_and_unicode_form_say_nothing(text):
    for other in (f"  {text}\n", text.casefold(), *(unicodedata.normalize(form, text) for form in ("NFC", "NFKD"))):
        assert tokens.words(other) == tokens.words(text)


@examples(200)
@given(st.text(max_size=60) | st.text(st.sampled_from("ab., and\n!?;\u3002"), max_size=40), st.integers(1, 5))
def test_sentences_have_all_letters_of_a_text_and_no_more_than_asked_for(text, most):
    parts = sentences(text, most)
    assert len(parts) <= most
    assert [c for c in "".join(parts) if c.isalnum()] == [c for c in text if c.isalnum()]


@examples(200)
@given(st.text(max_size=60))
def test_messages_print_and_keep_what_prints(text):
    shown = printable(text)
    assert all(c in "\n\t" or ord(c) > 31 for c in shown) and "\u202e" not in shown and "\x9b" not in shown
    if text.isprintable() and text.isascii():
        assert shown == text
