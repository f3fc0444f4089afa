import logging
import os
import subprocess
import sys
import textwrap
import time
from functools import partial

import h5py
import numpy as np
import pytest
import torch

from cmr import checkpoint as checkpoint_module
from cmr.checkpoint import Checkpoint
from cmr.compute import Compute
from cmr.device import resolve_device
from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.deep import trainer
from cmr.methods.deep.acmr import ACMR
from cmr.methods.deep.layers import BatchNorm, Dropout, Linear
from cmr.methods.deep.network import TrainableSpace
from cmr.methods.deep.trainer import Schedule, Training, fit_networks, seeded
from cmr.progress import Progress

WEIGHTS = {"distance": 1.0, "size": 0.5}


def made_pairs(n=30, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    images, texts = (rng.normal(size=(classes, d))[y] + rng.normal(size=(n, d)) for d in (6, 5))
    return Pairs(images.astype(np.float32), texts.astype(np.float32), np.eye(classes, dtype=bool)[y])


class Towers(TrainableSpace):
    """A linear map a side, with dropout, so that init, batches and dropout all draw from the generator."""

    def __init__(self, generator, fail_at=None):
        super().__init__()
        self.image, self.text = Linear(6, 3, generator), Linear(5, 3, generator)
        self.dropout = Dropout(0.3, generator)
        self.steps, self.fail_at = 0, fail_at

    def embed_images(self, images):
        return self.image(self.dropout(images))

    def embed_texts(self, texts):
        return self.text(self.dropout(texts))

    def losses(self, batch, progress):
        self.steps += 1
        if self.steps == self.fail_at:
            raise KeyboardInterrupt
        v, w = self.embed_images(batch.images), self.embed_texts(batch.texts)
        return {"distance": (v - w).square().mean((-2, -1)), "size": (v.square().mean((-2, -1)) - 1) ** 2}


def adam(parameters):
    return torch.optim.Adam(parameters.values(), lr=0.01)


def run(valid=None, train=None, seed=0, epochs=6, patience=99, network=None, generator=None, folder=None):
    generator = generator or seeded(seed, "test", torch.device("cpu"))
    network = network or Towers(generator)
    (history,) = fit_networks(
        [Training(network, made_pairs() if train is None else train, valid, generator)],
        adam,
        WEIGHTS,
        similarity="cosine",
        schedule=Schedule(epochs, batch_size=8, patience=patience),
        progress=Progress(checkpoints=folder, quiet=True),
    )
    return network, history


def weights_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def assert_same(one, other):
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture
def scripted_scores(monkeypatch):
    """Let the valid mAP of successive epochs be given; collects the labels that were scored."""

    def install(scores):
        remaining, seen = list(scores), []

        def score(images, texts, labels, similarity):
            seen.append(labels)
            return remaining.pop(0)

        monkeypatch.setattr(trainer, "bimodal_map", score)
        return seen

    return install


def test_an_epoch_does_the_steps_of_a_hand_written_loop():
    network, history = run(epochs=2)
    generator = seeded(0, "test", torch.device("cpu"))
    by_hand, pairs = Towers(generator), made_pairs()
    optimiser = torch.optim.Adam(by_hand.parameters(), lr=0.01)
    images, texts = torch.from_numpy(pairs.images), torch.from_numpy(pairs.texts)
    for _ in range(2):
        total = 0.0
        for index in torch.randperm(30, generator=generator).split(8):
            v = by_hand.image(by_hand.dropout(images[index]))
            w = by_hand.text(by_hand.dropout(texts[index]))
            loss = ((v - w) ** 2).mean() + 0.5 * ((v**2).mean() - 1) ** 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(index) / 30
    for name, tensor in by_hand.state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name])
    assert history["loss"][-1] == pytest.approx(total, rel=1e-5)


def test_history_has_one_value_an_epoch_and_the_loss_is_the_weighted_sum_of_its_terms():
    _, history = run(made_pairs(12, seed=1), epochs=5)
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(
        ["loss", "distance", "size", "valid_map"], 5
    )
    expected = np.array(history["distance"]) + 0.5 * np.array(history["size"])
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-6)


def test_weights_of_the_best_valid_epoch_are_kept_and_training_stops_after_the_patience(scripted_scores):
    valid = made_pairs(12, seed=1)
    scored = scripted_scores([0.2, 0.5, 0.4, 0.5, 0.3, 0.9])
    network, history = run(valid, epochs=6, patience=3)
    assert history["valid_map"] == [0.2, 0.5, 0.4, 0.5, 0.3]
    after_two, _ = run(epochs=2)
    assert_same(network.state_dict(), after_two.state_dict())
    assert all(labels is valid.labels for labels in scored)


def test_without_a_valid_part_all_epochs_run_and_the_last_weights_stay():
    network, history = run(epochs=4, patience=1)
    assert len(history["loss"]) == 4
    assert "valid_map" not in history
    longer, _ = run(epochs=3)
    assert not torch.equal(network.image.weight, longer.image.weight)


def test_result_depends_on_the_seed_alone_and_leaves_the_global_generator_untouched():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, _ = run(made_pairs(12, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, _ = run(made_pairs(12, seed=1))
    assert_same(first.state_dict(), again.state_dict())
    other, _ = run(made_pairs(12, seed=1), seed=1)
    assert not torch.equal(first.image.weight, other.image.weight)


def test_divergence_stops_with_the_epoch_and_the_terms():
    class Exploding(Towers):
        def losses(self, batch, progress):
            terms = super().losses(batch, progress)
            return terms | {"size": terms["size"] / (0.0 if progress >= 0.5 else 1.0)}

    generator = seeded(0, "test", torch.device("cpu"))
    with pytest.raises(InfeasibleError, match=r"epoch 4 of 6 \(loss .*distance .*size (inf|nan)"):
        run(network=Exploding(generator), generator=generator)


@pytest.mark.parametrize("side", ["images", "texts"])
def test_embeddings_of_the_valid_part_that_overflow_stop_training_with_the_epoch(side):
    class Exploding(Towers):
        def losses(self, batch, progress):
            self.last = progress >= 0.5
            return super().losses(batch, progress)

        def scaled(self, codes, exploding):
            return codes * (torch.inf if exploding and not self.training and self.last else 1.0)

        def embed_images(self, images):
            return self.scaled(super().embed_images(images), side == "images")

        def embed_texts(self, texts):
            return self.scaled(super().embed_texts(texts), side == "texts")

    generator = seeded(0, "test", torch.device("cpu"))
    with pytest.raises(InfeasibleError, match="epoch 4 of 6: valid embeddings are not finite"):
        run(made_pairs(12, seed=1), network=Exploding(generator), generator=generator)


@pytest.mark.parametrize("part", ["train", "valid"])
def test_an_empty_part_is_refused_by_name(part):
    with pytest.raises(UserError, match=f"the {part} part holds no pairs"):
        run(**{part: made_pairs(0)})


@pytest.mark.parametrize("size, drop_last, steps", [(8, False, 4), (8, True, 3), (64, True, 1), (10, True, 3)])
def test_an_epoch_uses_each_pair_at_most_once(size, drop_last, steps):
    batches = Schedule(1, size, 1, drop_last).batches(30, torch.Generator().manual_seed(0))
    assert len(batches) == steps
    used = torch.cat(batches)
    assert len(used) == len(used.unique()) == (steps * size if drop_last and size < 30 else 30)


def test_missing_or_unknown_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(UserError, match=f'"{name}" was asked for, but this machine has none'):
            resolve_device(name)
    for name in ("gpu", "cuda:first", "cuda:", "mps"):
        with pytest.raises(UserError, match=f'"{name}" is unknown'):
            resolve_device(name)


@pytest.fixture
def restored_algorithms(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    torch.use_deterministic_algorithms(False)


def test_a_gpu_computes_by_algorithms_that_repeat_themselves(monkeypatch, restored_algorithms):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    resolve_device("cpu")
    assert not torch.are_deterministic_algorithms_enabled()
    resolve_device("cuda")
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_devices_of_a_machine_with_two(monkeypatch, restored_algorithms):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [str(resolve_device(name)) for name in ("auto", "cuda", "cuda:1", "cpu")] == [
        "cuda",
        "cuda",
        "cuda:1",
        "cpu",
    ]
    with pytest.raises(UserError, match=r'"cuda:2" .* has 2 \(cuda:0 to cuda:1\)'):
        resolve_device("cuda:2")


@pytest.fixture
def every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint_module, "SECONDS_BETWEEN", 0.0)


@pytest.mark.parametrize("with_valid", [True, False])
@pytest.mark.parametrize("optimiser_step", [6, 13])
def test_an_interrupted_training_resumes_bit_by_bit(tmp_path, every_epoch, with_valid, optimiser_step):
    valid = made_pairs(12, seed=1) if with_valid else None
    whole, history = run(valid)
    generator = seeded(0, "test", torch.device("cpu"))
    with pytest.raises(KeyboardInterrupt):
        run(valid, network=Towers(generator, fail_at=optimiser_step), generator=generator, folder=tmp_path)
    resumed, resumed_history = run(valid, folder=tmp_path)
    assert_same(whole.state_dict(), resumed.state_dict())
    assert resumed_history == history
    assert resumed.steps == 24 - 4 * ((optimiser_step - 1) // 4)


def test_the_best_epoch_before_an_interruption_is_still_the_result(tmp_path, every_epoch, scripted_scores):
    scores, valid = [0.2, 0.9, 0.4, 0.5, 0.6, 0.3], made_pairs(12, seed=1)
    scripted_scores(scores)
    whole, history = run(valid)
    generator = seeded(0, "test", torch.device("cpu"))
    scripted_scores(scores[:3])
    with pytest.raises(KeyboardInterrupt):  # in the fourth epoch of four steps
        run(valid, network=Towers(generator, fail_at=14), generator=generator, folder=tmp_path)
    scripted_scores(scores[3:])
    resumed, resumed_history = run(valid, folder=tmp_path)
    assert resumed_history == history
    assert_same(whole.state_dict(), resumed.state_dict())
    after_two, _ = run(epochs=2)
    assert_same(resumed.state_dict(), after_two.state_dict())


def test_a_finished_training_returns_at_once(tmp_path):
    first, history = run(made_pairs(12, seed=1), folder=tmp_path)
    again, same_history = run(made_pairs(12, seed=1), folder=tmp_path)
    assert again.steps == 0
    assert same_history == history
    assert_same(first.state_dict(), again.state_dict())


def test_a_checkpoint_is_not_written_more_often_than_every_ten_seconds(tmp_path, monkeypatch):
    checkpoint, start = Checkpoint(tmp_path / "c.h5"), time.monotonic()
    assert not checkpoint.due()
    monkeypatch.setattr(checkpoint_module.time, "monotonic", lambda: start + 10.0)
    assert checkpoint.due()
    checkpoint.write({}, {})
    assert not checkpoint.due()
    assert checkpoint.due(finished=True) and not Checkpoint().due(finished=True)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:5000])


def flip_a_byte_of_a_weight(path):
    with h5py.File(path) as file:
        position = file["0/network/image.weight"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[position + 20] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_short, flip_a_byte_of_a_weight])
def test_a_damaged_checkpoint_is_reported_and_training_starts_anew(tmp_path, caplog, damage):
    first, history = run(folder=tmp_path)
    (path,) = tmp_path.glob("*.h5")
    damage(path)
    with caplog.at_level(logging.WARNING):
        again, same_history = run(folder=tmp_path)
    assert str(path) in caplog.text
    assert again.steps == 24
    assert same_history == history
    assert_same(first.state_dict(), again.state_dict())


def test_a_checkpoint_of_other_settings_data_seeds_precision_or_code_is_not_continued(tmp_path, monkeypatch):
    progress, small = Progress(checkpoints=tmp_path, quiet=True), {"image_widths": (4,), "text_widths": (4,)}
    train, valid = made_pairs(), made_pairs(12, seed=1)

    def kept(margin=0.1, train=train, valid=valid, **others):
        ACMR(epochs=1, margin=margin, **small).fit(train, valid, progress=progress, **others)
        return len(list(tmp_path.glob("*.h5")))

    assert kept() == kept() == 1
    assert kept(margin=0.2) == 2
    assert kept(train=made_pairs(seed=2)) == 3
    assert kept(valid=made_pairs(12, seed=2)) == 4
    assert kept(valid=None) == 5
    assert kept(seed=1) == 6
    assert kept(compute=Compute(mixed_precision=True)) == 7
    with monkeypatch.context() as without_kernels:
        without_kernels.setattr(torch, "compile", lambda function: function)
        assert kept(compute=Compute(compile=True)) == 8
    monkeypatch.setattr(checkpoint_module.provenance, "code_digest", lambda: "edited")
    assert kept() == 9
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert kept() == 10


def test_a_checkpoint_of_other_weights_schedule_network_or_facts_is_not_continued(tmp_path):
    class Other(Towers):
        pass

    def kept(kind=Towers, weights=WEIGHTS, batch_size=8, clip=None, **facts):
        generator = seeded(0, "test", torch.device("cpu"))
        training = Training(kind(generator), made_pairs(), None, generator)
        schedule = Schedule(1, batch_size, patience=9, clip=clip)
        progress = Progress(checkpoints=tmp_path, quiet=True)
        fit_networks([training], adam, weights, similarity="cosine", schedule=schedule, progress=progress, facts=facts)
        return len(list(tmp_path.glob("*.h5")))

    assert kept() == kept() == 1
    assert kept(weights={"distance": 1.0, "size": 0.25}) == 2
    assert kept(batch_size=9) == 3
    assert kept(clip=1.0) == 4
    assert kept(kind=Other) == 5
    assert kept(alpha=0.5) == 6


class Normalised(Towers):
    """With batch statistics, whose running means are buffers."""

    def __init__(self, generator):
        super().__init__(generator)
        self.normalise = BatchNorm(3)

    def embed_images(self, images):
        return self.normalise(super().embed_images(images))


@pytest.mark.parametrize("own_data", [False, True])
def test_networks_that_train_together_end_as_they_do_alone(own_data):
    seeds = [3, 1, 2]
    valid = made_pairs(12, seed=1)
    parts = [made_pairs(seed=seed) for seed in seeds] if own_data else [made_pairs()] * 3
    schedule = Schedule(12, batch_size=8, patience=3, drop_last=True, clip=0.5, rate=lambda progress: 1 - progress / 2)

    def trainings():
        generators = [seeded(seed, "test", torch.device("cpu")) for seed in seeds]
        return [Training(Normalised(own), part, valid, own) for own, part in zip(generators, parts, strict=True)]

    def descent(parameters):
        # Not Adam, which makes steps of the rounding noise that is the gradient of a bias before batch statistics.
        return torch.optim.SGD(parameters.values(), lr=0.3, momentum=0.5)

    def fit(group):
        return fit_networks(group, descent, WEIGHTS, similarity="cosine", schedule=schedule)

    together, alone = trainings(), trainings()
    histories = fit(together)
    lengths = set()
    for one, history, other in zip(together, histories, alone, strict=True):
        (expected,) = fit([other])
        lengths.add(len(expected["loss"]))
        assert history.keys() == expected.keys()
        for name, values in expected.items():
            # One swap in one ranking, by rounding, is seen in the mAP.
            np.testing.assert_allclose(history[name], values, rtol=1e-4, atol=0.01 if name == "valid_map" else 1e-5)
        for name, tensor in other.network.state_dict().items():
            torch.testing.assert_close(one.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    assert len(lengths) > 1  # one stops earlier, and the others go on


def test_a_network_that_has_stopped_cannot_end_the_training_of_the_others(scripted_scores):
    class FirstExplodes(Towers):
        def losses(self, batch, progress):
            terms = super().losses(batch, progress)
            return terms | {"size": terms["size"] / torch.tensor([0.0 if progress >= 0.5 else 1.0, 1.0])}

    generators = [seeded(seed, "test", torch.device("cpu")) for seed in (3, 1)]
    group = [Training(FirstExplodes(own), made_pairs(), made_pairs(12, seed=1), own) for own in generators]
    scripted_scores([0.9, 0.1, 0.1, 0.2, 0.1, 0.3, 0.4, 0.5, 0.6])  # of both, until the first stops after three epochs
    first, second = fit_networks(group, adam, WEIGHTS, similarity="cosine", schedule=Schedule(6, 8, patience=2))
    assert first["valid_map"] == [0.9, 0.1, 0.1]
    assert second["valid_map"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    for training in group:
        assert all(tensor.isfinite().all() for tensor in training.network.state_dict().values())


def test_the_history_of_an_epoch_of_many_steps_is_their_mean_even_of_losses_in_half_precision():
    class Half(Towers):
        def losses(self, batch, progress):
            terms = super().losses(batch, progress)
            one = 1.0 + 0.0 * terms["size"]
            return {"distance": one.bfloat16(), "size": 0.5 * one.bfloat16()}

    generator = seeded(0, "test", torch.device("cpu"))
    _, history = run(train=made_pairs(5000), network=Half(generator), generator=generator, epochs=1)
    assert history == {"loss": [1.25], "distance": [1.0], "size": [0.5]}


def test_networks_that_cannot_train_together_train_one_after_the_other():
    class Alone(Towers):
        together = False

    def fit(seeds):
        generators = [seeded(seed, "test", torch.device("cpu")) for seed in seeds]
        group = [Training(Alone(own), made_pairs(), None, own) for own in generators]
        fit_networks(group, adam, WEIGHTS, similarity="cosine", schedule=Schedule(2, 8, 9))
        return [training.network for training in group]

    for one, seed in zip(fit([3, 1]), [3, 1], strict=True):
        assert_same(one.state_dict(), fit([seed])[0].state_dict())


def test_a_killed_training_of_several_seeds_goes_on_to_the_same_result(tmp_path, every_epoch):
    def fit(fail_at=None, folder=None):
        generators = [seeded(seed, "test", torch.device("cpu")) for seed in (3, 1)]
        group = [
            Training(Towers(own, fail_at), part, made_pairs(12, seed=1), own)
            for own, part in zip(generators, [made_pairs(), made_pairs(seed=5)], strict=True)
        ]
        progress = Progress(checkpoints=folder, quiet=True)
        schedule = Schedule(6, batch_size=8, patience=99)
        histories = fit_networks(group, adam, WEIGHTS, similarity="cosine", schedule=schedule, progress=progress)
        return [training.network for training in group], histories

    whole, histories = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(fail_at=13, folder=tmp_path)
    resumed, resumed_histories = fit(folder=tmp_path)
    assert resumed_histories == histories
    assert resumed[0].steps < whole[0].steps
    for one, other in zip(whole, resumed, strict=True):
        assert_same(one.state_dict(), other.state_dict())


def test_a_layer_that_draws_from_a_source_which_no_checkpoint_keeps_is_refused():
    generator, other = (torch.Generator().manual_seed(seed) for seed in (0, 1))
    network = Towers(generator)
    network.dropout = Dropout(0.5, other)
    with pytest.raises(ValueError, match="dropout of Towers draws from another generator than its training"):
        Training(network, made_pairs(), None, generator)


def test_gradients_are_clipped_to_the_norm_of_each_network():
    class Steep(Towers):
        def losses(self, batch, progress):
            return {name: 1e4 * term for name, term in super().losses(batch, progress).items()}

    def fit(seeds, clip):
        generators = [seeded(seed, "test", torch.device("cpu")) for seed in seeds]
        group = [Training(Steep(own), made_pairs(), None, own) for own in generators]
        before = [weights_of(training.network) for training in group]
        descent = partial(torch.optim.SGD, lr=1.0)
        fit_networks(
            group,
            lambda parameters: descent(parameters.values()),
            WEIGHTS,
            similarity="cosine",
            schedule=Schedule(1, batch_size=30, patience=9, clip=clip),
        )
        return [
            sum((after - start[name]).square().sum() for name, after in training.network.state_dict().items()) ** 0.5
            for start, training in zip(before, group, strict=True)
        ]

    for moved in (fit([0], 0.25), fit([0, 1, 2], 0.25)):
        assert [float(step) for step in moved] == pytest.approx([0.25] * len(moved), rel=1e-4)
    assert fit([0], None)[0] > 1.0
    assert fit([0], 1e9) == fit([0], None)  # a smaller one is let be


def test_a_factor_of_the_learning_rate_follows_the_share_of_epochs_that_is_over():
    seen = []

    def rate(progress):
        seen.append(progress)
        return 0.0 if progress >= 0.5 else 1.0

    generator = seeded(0, "test", torch.device("cpu"))
    network = Towers(generator)
    training = Training(network, made_pairs(), None, generator)
    fit_networks([training], adam, WEIGHTS, similarity="cosine", schedule=Schedule(4, 8, 9, rate=rate))
    assert seen == [0.0, 0.25, 0.5, 0.75]
    halfway, _ = run(epochs=2)
    assert_same(network.state_dict(), halfway.state_dict())


def test_hooks_are_given_the_whole_train_part_before_the_first_and_after_each_epoch():
    class Watching(Towers):
        def __init__(self, generator):
            super().__init__(generator)
            self.calls = []

        def begin(self, train):
            self.calls.append(("begin", len(train), self.training, torch.is_grad_enabled()))

        def end_epoch(self, train):
            self.calls.append(("end", len(train), self.training, torch.is_grad_enabled()))

    generator = seeded(0, "test", torch.device("cpu"))
    network, _ = run(epochs=2, network=Watching(generator), generator=generator)
    assert network.calls == [("begin", 30, False, False), ("end", 30, False, False), ("end", 30, False, False)]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ACMR(epochs=1).fit(made_pairs())
    assert list(tmp_path.iterdir()) == []


KILLED = """
    import sys, time
    from pathlib import Path
    import numpy as np, torch
    from cmr.methods.base import Pairs
    from cmr import checkpoint
    from cmr.methods.deep.acmr import ACMR, ACMRNetwork
    from cmr.progress import SILENT, Progress

    torch.set_num_threads(1)
    checkpoint.SECONDS_BETWEEN = 0.0
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=bool)[np.arange(60) % 3]
    images, texts = (rng.normal(size=(60, d)).astype(np.float32) for d in (20, 15))
    pairs = Pairs(images, texts, labels)
    method, stall_at = ACMR(epochs=6, batch_size=20, input_dropout=0.2), int(sys.argv[2])
    original, steps = ACMRNetwork.losses, []

    def losses(self, batch, progress):
        steps.append(progress)
        if len(steps) == stall_at:
            print("stalled", flush=True)
            time.sleep(600)
        return original(self, batch, progress)

    ACMRNetwork.losses = losses
    resumed = method.fit(pairs, pairs, progress=Progress(Path(sys.argv[1]), quiet=True))
    count = len(steps)
    whole = method.fit(pairs, pairs)
    for name, array in whole.state().items():
        assert np.array_equal(array, resumed.state()[name]), name
    print("identical after", count, "steps")
"""


def test_a_training_killed_by_sigkill_resumes_bit_by_bit(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(KILLED), "utf-8")

    def start(stall_at):
        command = [sys.executable, str(script), str(tmp_path / "checkpoints"), str(stall_at)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    with start(stall_at=11) as victim:  # in the fourth epoch of three steps
        assert victim.stdout.readline() == "stalled\n"
        victim.kill()
    with start(stall_at=0) as heir:
        assert heir.communicate(timeout=120)[0] == "identical after 9 steps\n"
    assert len(list((tmp_path / "checkpoints").glob("*.h5"))) == 1
