"""Weights and word vectors from strangers: taken whole where they fit, else refused by one message; nothing swells."""

import gzip
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from cmr.errors import UserError
from cmr.views.image.networks import load_weights
from cmr.views.text import vector_files
from cmr.views.text.vector_files import read_vectors
from tests.hostile.hanging import no_longer_than

ROOT = Path(__file__).parents[2]


def network() -> nn.Module:
    """With weights, and with counts of batches, which are whole numbers."""
    return nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4))


def refused(read, *arguments) -> str:
    with no_longer_than(60), pytest.raises(UserError) as caught:
        read(*arguments)
    return str(caught.value)


def peak_of(program: str, path: Path) -> tuple[int, str]:
    """MB at the peak of a process that runs a program with `path`, and what it printed."""
    start = "import sys; from pathlib import Path; from cmr.errors import UserError\npath = Path(sys.argv[1])\n"
    end = "\nprint(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    command = [sys.executable, "-c", start + program + end, path]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    *messages, kilobytes = run.stdout.splitlines()
    return int(kilobytes) >> 10, "\n".join(messages)


# ------------------------------------------------------------------------------------------------------------- weights


@pytest.fixture
def file(tmp_path):
    return tmp_path / "w.pth"


def test_weights_that_fit_are_taken_whatever_their_precision(file):
    other = network()
    for kind in (torch.float32, torch.float64, torch.float16):
        torch.save({name: t.to(kind) if t.is_floating_point() else t for name, t in other.state_dict().items()}, file)
        filled = network()
        load_weights(filled, file)
        torch.testing.assert_close(filled[0].weight, other[0].weight, atol=1e-3, rtol=1e-3)


FAULTS = {
    "missing": (lambda s: s.pop("0.bias"), r"0\.bias \(4,\) is missing"),
    "extra": (lambda s: s.update(more=torch.ones(2)), "more is unknown"),
    "shape": (lambda s: s.update({"0.bias": torch.ones(5)}), r"0\.bias has the shape \(5,\), not \(4,\)"),
    "scalar": (lambda s: s.update({"0.bias": torch.tensor(1.0)}), r"0\.bias has the shape \(\), not \(4,\)"),
    "whole numbers": (lambda s: s.update({"0.bias": torch.ones(4, dtype=torch.int8)}), r"0\.bias is torch\.int8"),
    "complex": (lambda s: s.update({"0.bias": torch.ones(4, dtype=torch.cfloat)}), r"0\.bias is torch\.complex64"),
    "broken count": (lambda s: s.update({"1.num_batches_tracked": torch.tensor(0.5)}), "numbers like torch.int64"),
    "sparse": (lambda s: s.update({"0.bias": torch.ones(4).to_sparse()}), r"0\.bias is torch\.float32, torch\.sparse"),
    "NaN": (lambda s: s["0.weight"].view(-1)[7:8].fill_(float("nan")), r"0\.weight holds NaN or infinite numbers"),
    "infinite": (lambda s: s["1.running_var"].fill_(float("-inf")), r"1\.running_var holds NaN or infinite numbers"),
    "no tensor": (lambda s: s.update({"0.bias": [1.0] * 4}), "names with tensors are needed"),
    "a checkpoint": (lambda s: s.update(state_dict=dict(s)), "names with tensors are needed"),
    "numbers as names": (lambda s: s.update({0: torch.ones(1)}), "0 is unknown"),
    "control characters": (lambda s: s.update({"\x1b[2J": torch.ones(1)}), r"\\x1b\[2J is unknown"),
    "nameless": (lambda s: s.update({"x" * 10_000_000: torch.ones(1)}), "are damaged or|is unknown"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_named_and_the_network_left_alone(file, fault):
    change, message = FAULTS[fault]
    state = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    change(state)
    torch.save(state, file)
    fresh = network()
    before = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
    with pytest.raises(UserError, match=message) as caught:
        load_weights(fresh, file)
    assert str(file) in str(caught.value)
    assert len(str(caught.value)) < 60_000
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("content", [[1, 2], "text", None, 3, {"a": {"b": torch.ones(1)}}, torch.ones(3)])
def test_what_is_no_state_dictionary_is_told(file, content):
    torch.save(content, file)
    assert "names with tensors are needed" in refused(load_weights, network(), file)


def test_another_architecture_is_told_by_its_first_differences(file):
    torch.save(nn.Sequential(*[nn.Linear(2, 2) for _ in range(60)]).state_dict(), file)
    message = refused(load_weights, network(), file)
    assert "0.weight has the shape (2, 2), not (4, 3, 2, 2)" in message
    assert message.endswith("more")


def test_whole_modules_and_programs_are_never_loaded(file):
    """A module is a pickle of any class; TorchScript is a program that the file brings."""
    torch.save(network(), file)
    assert "no PyTorch state dict of tensors alone" in refused(load_weights, network(), file)
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), file)
    assert "no PyTorch state dict of tensors alone" in refused(load_weights, nn.Linear(1, 1), file)


@pytest.mark.parametrize("old", [False, True], ids=["archive", "old format"])
def test_weights_cut_short_anywhere_are_refused(file, old):
    torch.save(network().state_dict(), file, _use_new_zipfile_serialization=not old)
    content = file.read_bytes()
    for share in (0.02, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999):
        file.write_bytes(content[: int(share * len(content))])
        assert str(file) in refused(load_weights, network(), file)


@pytest.mark.parametrize("old", [False, True], ids=["archive", "old format"])
def test_damage_in_any_byte_is_told_or_gives_finite_weights(file, old):
    torch.save(network().state_dict(), file, _use_new_zipfile_serialization=not old)
    content, rng = file.read_bytes(), np.random.default_rng(0)
    told = 0
    with no_longer_than(60):
        for _ in range(300):
            damaged = bytearray(content)
            for position in rng.integers(len(content), size=rng.integers(1, 5)):
                damaged[position] = rng.integers(256)
            file.write_bytes(damaged)
            filled = network()
            try:
                load_weights(filled, file)
            except UserError as error:
                told += str(file) in str(error)
            assert all(torch.isfinite(tensor).all() for tensor in filled.state_dict().values())
    assert told > 50


def test_archives_that_swell_are_refused(file):
    """torch would unpack what it never packs, here 270 MB, and as well as much as a disk holds."""
    torch.save({"weight": torch.ones(1, 1), "bias": torch.ones(1)}, file)
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
                for _ in range(16 if name.endswith("data/0") else 0):
                    member.write(bytes(1 << 24))
    assert file.stat().st_size < 2 << 20
    program = (
        "import torch; from cmr.views.image.networks import load_weights\n"
        "network = torch.nn.Linear(1, 1)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "try: load_weights(network, path)\n"
        "except UserError as error: print(error)"
    )
    megabytes, printed = peak_of(program, file)
    before, message = printed.splitlines()
    assert "are damaged or no PyTorch state dict" in message
    assert megabytes - (int(before) >> 10) < 100


def test_tensors_of_any_declared_size_take_no_memory(file):
    """A single number, seen as a million million."""
    torch.save({"weight": torch.ones(1).expand(1 << 20, 1 << 20), "bias": torch.ones(1)}, file)
    assert "weight has the shape (1048576, 1048576)" in refused(load_weights, nn.Linear(1, 1), file)


def test_every_reader_of_weights_reads_tensors_alone():
    """Nowhere is anything loaded that could be a program."""
    calls = []
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        text = path.read_text("utf-8")
        calls += [line for line in text.splitlines() if "torch.load(" in line or "np.load(" in line]
        for call in (
            "pickle.load",
            "joblib.load",
            "torch.jit.load",
            "KeyedVectors.load(",
            "yaml.load(path.read_text()",
        ):
            assert call not in text, path
    assert len(calls) >= 3
    assert all("weights_only=True" in call or "allow_pickle=False" in call for call in calls)


# -------------------------------------------------------------------------------------------------------- word vectors


def put(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder


def binary(words: list[bytes], vectors: np.ndarray, header: bytes | None = None) -> bytes:
    rows = b"".join(word + b" " + row.astype("<f4").tobytes() for word, row in zip(words, vectors, strict=True))
    return (header or f"{len(words)} {vectors.shape[1]}\n".encode()) + rows


V = np.arange(6, dtype=np.float32).reshape(2, 3)
TEXTS = {
    "narrow line": (b"a 1 2 3\nb 1 2\n", "line 2: expected are a word and 3 numbers"),
    "wide line": (b"a 1 2 3\nb 1 2 3 4\n", "line 2: expected are a word and 3 numbers"),
    "no number": (b"a 1 2 3\nb 1 x 3\n", "line 2: expected are a word and 3 numbers"),
    "NaN": (b"a 1 2 3\nb 1 nan 3\n", "the vector of 'b' has NaN or infinite numbers"),
    "infinite": (b"a 1 2 3\nb 1 1e999 3\n", "the vector of 'b' has NaN or infinite numbers"),
    "beyond float32": (b"a 1 2 3\nb 1 1e300 3\n", "the vector of 'b' has NaN or infinite numbers"),
    "blank lines": (b"a 1 2 3\n\nb 1 2 3\n", "line 2: expected are a word and 3 numbers"),
    "empty": (b"", "the first line is no word and its numbers"),
    "zeros": (bytes(1000), "the first line is no word and its numbers"),
    "only a header": (b"2 3\n", "as word2vec's binary form it is damaged"),
    "header of zero": (b"0 0\n", "as word2vec's binary form it is damaged|holds no word"),
    "negative": (b"-2 3\na 1 2 3\n", "line 2: expected are a word and 1 numbers"),
    "huge count": (b"99999999999999 3\na b\n", "words do not fit its"),
    "huge dimension": (b"1 99999999999999\na b\n", "words do not fit its"),
    "both huge": (b"999999999999999999 999999999999999999\na b\n", "words do not fit its"),
    "digits without end": (b"9" * 5000 + b" 3\na 1 2 3\n", "line 2: expected are a word and 1 numbers"),
    "one line without end": (b"a 1 2 3\n" + b"x" * (3 << 20), "line 2: expected are a word and 3 numbers"),
    "first line without end": (b"x" * (3 << 20), "the first line is no word and its numbers"),
    "a million letters": (b"a 1 2 3\n" + b"x" * (1 << 20) + b" 1 2 3\n", "line 2: expected are a word and 3 numbers"),
    "html": (b"<!DOCTYPE html><html><body>Not found</body></html>", "the first line is no word"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("fault", TEXTS)
def test_faulty_texts_of_vectors_are_refused_with_their_line(tmp_path, fault, packed):
    content, message = TEXTS[fault]
    if packed and "do not fit" in message:
        message = "it declares .* GB, of which|damaged"
    put(tmp_path, "v.txt.gz" if packed else "v.txt", gzip.compress(content) if packed else content)
    with no_longer_than(60), pytest.raises(UserError, match=message) as caught:
        read_vectors(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_of_equal_words_the_first_counts_in_every_form(tmp_path):
    for name, content in {
        "glove.txt": b"a 0 1 2\na 3 4 5\n",
        "word2vec.txt": b"2 3\na 0 1 2\na 3 4 5\n",
        "word2vec.bin": binary([b"a", b"a"], V),
    }.items():
        put(tmp_path, name, content)
        words, vectors = read_vectors(tmp_path, name)
        assert words == ["a"]
        np.testing.assert_array_equal(vectors, V[:1])


BINARIES = {
    "cut": binary([b"a", b"b"], V)[:-3],
    "one more declared": binary([b"a", b"b"], V, b"3 3\n"),
    "wider declared": binary([b"a", b"b"], V, b"2 4\n"),
    "million letters": binary([b"a", b"x" * 1_000_000], V)[:-3],
}


@pytest.mark.parametrize("fault", BINARIES)
def test_faulty_binaries_are_refused(tmp_path, fault):
    put(tmp_path, "v.bin", BINARIES[fault])
    assert "it is damaged" in refused(read_vectors, tmp_path)


def test_vectors_that_are_no_numbers_are_told_by_their_word(tmp_path):
    values = V.copy()
    values[1, 2] = np.nan
    put(tmp_path, "v.bin", binary([b"a", b"b\x1b[2J"], values))
    assert "the vector of 'b\\x1b[2J' has NaN" in refused(read_vectors, tmp_path)


@pytest.mark.parametrize("form", ["line", "binary"])
def test_archives_of_vectors_that_swell_are_refused(tmp_path, form):
    """One word of a GB in a MB, and a header that promises 400 GB."""
    content = b"a 1 2 3\n" if form == "line" else b"99999999999 1\n"
    with gzip.open(tmp_path / "v.gz", "wb", compresslevel=1) as file:
        file.write(content)
        for _ in range(64 if form == "line" else 1):
            file.write(b"x" * (1 << 24))
    program = (
        "from cmr.views.text.vector_files import read_vectors\n"
        "try: read_vectors(path.parent)\n"
        "except UserError as error: print(error)"
    )
    megabytes, message = peak_of(program, tmp_path / "v.gz")
    assert "line 2" in message
    assert megabytes < 500


def test_archives_with_damage_are_refused_by_file(tmp_path):
    lines = "".join(f"w{i} {i} {i * 7 % 13} 3\n" for i in range(2000)).encode()
    content, rng = gzip.compress(lines), np.random.default_rng(0)
    whole = read_vectors(put(tmp_path, "v.gz", content))
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.integers(10, len(content))] ^= 1 << rng.integers(8)
        put(tmp_path, "v.gz", damaged)
        try:
            words, vectors = read_vectors(tmp_path)
        except UserError as error:
            assert str(tmp_path) in str(error)
        else:
            assert words == whole[0]
            np.testing.assert_array_equal(vectors, whole[1])


TABLES = {
    "numbers": pa.table({"word": [1, 2]}),
    "nothing": pa.table({"word": ["a", None]}),
    "lists": pa.table({"word": [["a"], ["b"]]}),
    "two columns": pa.table({"word": ["a", "b"], "other": ["a", "b"]}),
    "another number": pa.table({"word": ["a", "b", "c"]}),
    "a thousand million": pa.table(
        {"word": pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**7, np.int32)), ["a"])}
    ),
}


@pytest.mark.parametrize("fault", TABLES)
def test_words_that_do_not_fit_their_array_are_refused(tmp_path, fault):
    np.save(tmp_path / "v.npy", V)
    pq.write_table(TABLES[fault], tmp_path / "v.parquet")
    message = refused(read_vectors, tmp_path)
    assert "one column of V words" in message or "is no word" in message


@pytest.mark.parametrize("value", [V.astype(np.float64), V[0], V.astype(object), V.astype("c8"), np.array(["a", "b"])])
def test_arrays_of_another_kind_are_refused(tmp_path, value):
    np.save(tmp_path / "v.npy", value, allow_pickle=True)
    pd.DataFrame({"word": ["a", "b"]}).to_parquet(tmp_path / "v.parquet")
    message = refused(read_vectors, tmp_path)
    assert "expected are float32 (V, d)" in message or "is damaged" in message


@pytest.mark.parametrize("shape", [(1 << 40, 3), (1 << 62, 1 << 3), (2, 1 << 40)])
def test_arrays_that_promise_more_than_they_hold_are_refused(tmp_path, shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    put(tmp_path, "v.npy", header.getvalue() + V.tobytes())
    pd.DataFrame({"word": ["a", "b"]}).to_parquet(tmp_path / "v.parquet")
    assert str(tmp_path) in refused(read_vectors, tmp_path)


def test_a_pipe_among_the_files_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    put(tmp_path, "v.txt", b"a 1 2 3\n")
    with no_longer_than(20):
        assert read_vectors(tmp_path)[0] == ["a"]


def test_lines_as_long_as_the_longest_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_files, "LONGEST_LINE", 64)
    put(tmp_path, "v.txt", b"a 1 2 3\n" + b"x" * 57 + b" 1 2 3\n" + b"y 1 2 3\n")
    assert read_vectors(tmp_path)[0] == ["a", "x" * 57, "y"]
