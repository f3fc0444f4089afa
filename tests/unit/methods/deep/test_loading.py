"""Train parts that are too large for the device: the same training, batch by batch."""

import threading
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from cmr import store
from cmr.checkpoint import BestEpoch
from cmr.errors import UserError
from cmr.methods.base import Pairs
from cmr.methods.deep import loading, network
from cmr.methods.deep.acmr import ACMR
from cmr.methods.deep.loading import AHEAD, Batches, ahead
from cmr.methods.deep.network import Batch, HostRows, as_tensor, embed, outputs
from cmr.progress import Progress

CPU = torch.device("cpu")
SMALL = {"n_components": 8, "image_widths": (16,), "text_widths": (16,), "batch_size": 16, "epochs": 3}


def made_pairs(n=90, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    images, texts = (np.eye(3)[y] @ rng.normal(size=(3, d)) + rng.normal(size=(n, d)) for d in (12, 7))
    return Pairs(images.astype(np.float32), texts.astype(np.float32), np.eye(3, dtype=bool)[y])


def on_disk(pairs, folder, name="part"):
    """The same pairs, with views that stay in files, of which they are every other row."""
    places = np.arange(1, 2 * len(pairs), 2)
    views = {}
    for side in ("images", "texts"):
        rows = getattr(pairs, side)
        values = np.repeat(rows, 2, axis=0)
        values[::2] = 9
        path = folder / f"{name}-{side}.h5"
        store.write_view(path, map(str, range(len(values))), values, {})
        views[side] = store.ViewRows(path, places)
    return replace(pairs, **views)


@pytest.fixture
def small_device(monkeypatch):
    monkeypatch.setattr(loading, "RESIDENT_BYTES", 1000)


def assert_same_models(ones, others, pairs):
    assert ones.keys() == others.keys()
    for seed, one in ones.items():
        assert one.history == others[seed].history
        np.testing.assert_array_equal(one.embed_images(pairs.images), others[seed].embed_images(pairs.images))
        np.testing.assert_array_equal(one.embed_texts(pairs.texts), others[seed].embed_texts(pairs.texts))


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_streamed_part_trains_the_same_model_bit_for_bit(tmp_path, monkeypatch, place, seeds):
    train, valid = made_pairs(), made_pairs(40, seed=1)
    # Blocks of the valid part, and of the train part in hooks, are to be many.
    monkeypatch.setattr(network, "ROWS_AT_ONCE", 16)
    resident = ACMR(**SMALL).fit_seeds(train, valid, seeds=seeds)
    monkeypatch.setattr(loading, "RESIDENT_BYTES", 1000)
    held = {"train": train, "valid": valid}
    if place == "disk":
        held = {name: on_disk(part, tmp_path, name) for name, part in held.items()}
    streamed = ACMR(**SMALL).fit_seeds(held["train"], held["valid"], seeds=seeds)
    assert_same_models(streamed, resident, valid)


def test_the_limit_counts_what_lies_on_the_device_once(monkeypatch):
    parts = [made_pairs(seed=seed) for seed in range(2)]
    size = 90 * (12 + 7) * 4
    for limit, shared, own in ((size - 1, True, True), (size, False, True), (2 * size, False, False)):
        monkeypatch.setattr(loading, "RESIDENT_BYTES", limit)
        assert Batches([parts[0], parts[0]], CPU).streamed == shared
        assert Batches(parts, CPU).streamed == own


@pytest.mark.parametrize("kind", ["one", "shared", "own"])
def test_batches_are_the_rows_of_each_networks_part(small_device, kind):
    parts = {"one": [made_pairs()], "shared": [made_pairs()] * 2, "own": [made_pairs(seed=seed) for seed in (0, 1)]}[
        kind
    ]
    orders = [torch.randperm(90, generator=torch.Generator().manual_seed(i)).split(40) for i in range(len(parts))]
    batches = list(Batches(parts, CPU).of_epoch(orders))
    assert [batch.index.shape[-1] for batch in batches] == [40, 40, 10]
    for step, batch in enumerate(batches):
        for i, (part, order) in enumerate(zip(parts, orders, strict=True)):
            own = batch if kind == "one" else Batch(*(side[i] for side in vars(batch).values()))
            rows = order[step].numpy()
            for side in ("images", "texts", "labels"):
                np.testing.assert_array_equal(getattr(own, side), getattr(part, side)[rows])
            np.testing.assert_array_equal(own.index, rows)


def test_bytes_and_numbers_of_words_come_as_they_are_and_double_precision_as_single(small_device):
    rng = np.random.default_rng(0)
    pixels, tokens = rng.integers(256, size=(9, 8, 8, 3), dtype=np.uint8), rng.integers(5, size=(9, 4), dtype=np.int32)
    labels = np.ones((9, 1), dtype=bool)
    (batch,) = Batches([Pairs(pixels, tokens, labels)], CPU).of_epoch([[torch.arange(9)]])
    assert batch.images.dtype == torch.uint8 and batch.texts.dtype == torch.int32
    (batch,) = Batches([Pairs(rng.random((9, 90)), rng.random((9, 90)), labels)], CPU).of_epoch([[torch.arange(9)]])
    assert batch.images.dtype == batch.texts.dtype == torch.float32


@pytest.mark.parametrize("shape", [(50, 6), (50, 3, 4, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int32])
def test_outputs_of_a_whole_part_do_not_depend_on_where_it_lies(tmp_path, monkeypatch, shape, dtype):
    monkeypatch.setattr(network, "ROWS_AT_ONCE", 16)
    monkeypatch.setattr(network, "BYTES_AT_ONCE", 500)
    values = np.random.default_rng(0).integers(200, size=shape).astype(dtype)
    if dtype != np.float64:
        store.write_view(tmp_path / "v.h5", map(str, range(50)), values, {})
    sources = [values] if dtype == np.float64 else [values, store.ViewRows(tmp_path / "v.h5", np.arange(50))]
    weight = torch.randn(shape[-1], 2, generator=torch.Generator().manual_seed(0))
    seen = []

    def function(block):
        seen.append(len(block))
        return block.flatten(1)[:, : len(weight)].float() @ weight

    expected, blocks = outputs(function, as_tensor(values)), seen.copy()
    assert len(blocks) > 2
    for source in sources:
        seen.clear()
        assert torch.equal(outputs(function, HostRows(source, CPU)), expected)
        assert seen == blocks
        seen.clear()
        module = torch.nn.Linear(1, 1)
        np.testing.assert_array_equal(embed(module, function, source), expected)
        assert seen == blocks


def test_hooks_get_a_whole_part_that_stays_where_it_is(small_device, tmp_path):
    pairs = made_pairs()
    whole = Batches([on_disk(pairs, tmp_path)], CPU).whole(0)
    assert len(whole) == 90 and whole.images.shape == (90, 12)
    np.testing.assert_array_equal(outputs(lambda x: 2 * x, whole.texts), 2 * pairs.texts)
    np.testing.assert_array_equal(whole.labels, pairs.labels)
    index = torch.tensor([[5, 0, 5], [89, 1, 2]])
    some = whole.rows(index)
    for side in ("images", "texts", "labels"):
        np.testing.assert_array_equal(getattr(some, side), getattr(pairs, side)[index.numpy()])


def test_damage_that_is_met_in_training_ends_it_with_the_files_name(small_device, tmp_path):
    train = on_disk(made_pairs(), tmp_path)
    content = bytearray((tmp_path / "part-texts.h5").read_bytes())
    with h5py.File(tmp_path / "part-texts.h5") as file:
        chunk = file["values"].id.get_chunk_info(0)
    batches = Batches([train], CPU)
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    (tmp_path / "part-texts.h5").write_bytes(content)
    with pytest.raises(UserError, match=r"part-texts\.h5 is damaged"):
        list(batches.of_epoch([torch.arange(90).split(30)]))


def test_a_killed_training_on_a_view_on_disk_goes_on_and_one_on_other_rows_does_not(
    small_device, tmp_path, monkeypatch
):
    train, method = made_pairs(), ACMR(**SMALL)
    progress = Progress(checkpoints=tmp_path / "checkpoints", quiet=True)
    (tmp_path / "checkpoints").mkdir()
    whole = method.fit(train)
    record, calls = BestEpoch.record, []

    def dies_in_the_second_epoch(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        record(self, *arguments, **options)

    monkeypatch.setattr("cmr.checkpoint.SECONDS_BETWEEN", 0)
    monkeypatch.setattr(BestEpoch, "record", dies_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        method.fit(on_disk(train, tmp_path), progress=progress)
    resumed = method.fit(on_disk(train, tmp_path), progress=progress)
    assert len(calls) == 2 + 2 and resumed.history == whole.history
    other = replace(train, images=train.images + 1)
    method.fit(on_disk(other, tmp_path), progress=progress)
    assert len(calls) == 4 + 3


def test_results_come_in_order_and_no_further_ahead_than_asked():
    computed = []

    def function(item):
        computed.append(item)
        return item**2

    results = ahead(function, range(50), AHEAD)
    assert not computed
    for item, result in enumerate(results):
        assert result == item**2
        assert len(computed) <= item + 1 + AHEAD
        time.sleep(0.001)
    assert sorted(computed) == list(range(50))


def test_a_loop_that_is_left_leaves_no_thread():
    before = threading.active_count()
    for _ in ahead(lambda item: item, range(50), AHEAD):
        break
    assert threading.active_count() == before
