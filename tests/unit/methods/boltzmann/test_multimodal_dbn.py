from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr import checkpoint
from cmr.errors import UserError
from cmr.methods.base import Pairs
from cmr.methods.boltzmann.contrastive_divergence import Ascent
from cmr.methods.boltzmann.joint_rbm import JointRBM, JointSpace
from cmr.methods.boltzmann.multimodal_dbn import MultimodalDBN, MultimodalDBNMethod, fit_multimodal_dbn
from cmr.methods.boltzmann.stack import Stack
from cmr.methods.boltzmann.stacked import Stacks
from cmr.metrics import bimodal_map
from cmr.progress import SILENT, Progress
from tests.unit.methods.boltzmann.made import CPU, all_states, entropy, made_pairs, seeded, with_noise

SMALL = {
    "image_stack_widths": (16, 12),
    "text_stack_widths": (16, 10),
    "stack_epochs": 3,
    "n_components": 14,
    "epochs": 6,
}


def made_net(counts=True):
    stacks = Stacks(Stack.of(6, (5, 4), counts=False), Stack.of(7, (5, 3), counts=counts), {})
    net = with_noise(MultimodalDBN(stacks, n_components=8), 0.8)
    return net, torch.randn(5, 6, generator=seeded()), torch.poisson(torch.full((5, 7), 2.0), generator=seeded())


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_both_modalities_are_joined_in_one_pass():
    net, images, texts = made_net()
    tops = np.concatenate([net.image_stack(images), net.text_stack(texts)], axis=1)
    expected = sigmoid(tops @ net.joint.weights.numpy() + net.joint.hidden_bias.numpy())
    np.testing.assert_allclose(net.from_pairs(images, texts), expected, rtol=1e-5)


@pytest.mark.parametrize("given", ["images", "texts"])
@pytest.mark.parametrize("steps", [1, 10])
def test_a_missing_side_begins_at_its_generative_bias_and_takes_turns_with_the_code(given, steps):
    net, images, texts = made_net()
    net.joint.steps = steps
    W, a, b = (tensor.numpy() for tensor in net.joint.buffers())
    if given == "images":
        (h, x), u, known, other = net.from_images(images), net.image_stack(images).numpy(), slice(0, 4), slice(4, 7)
    else:
        (h, x), u, known, other = net.from_texts(texts), net.text_stack(texts).numpy(), slice(4, 7), slice(0, 4)
    guess = np.tile(sigmoid(a[other]), (5, 1))
    for _ in range(steps):
        code = sigmoid(u @ W[known] + guess @ W[other] + b)
        guess = sigmoid(code @ W[other].T + a[other])
    np.testing.assert_allclose(h, code, rtol=1e-4)
    np.testing.assert_allclose(x, guess, rtol=1e-4)


def test_variational_free_energy_falls_in_every_update_and_stays_above_the_exact_one():
    joint = with_noise(JointRBM(3, 4, 5).double(), 1.5)
    u = torch.rand(6, 3, generator=seeded(), dtype=torch.float64)

    def energy(h, x):
        return joint.energy(torch.cat([u, x], 1), h)

    states = []  # (h, x) after each single update
    for steps in range(1, 8):
        joint.steps = steps
        h, x = joint.from_images(u)
        if states:
            states.append((h, states[-1][1]))
        states.append((h, x))
    bounds = torch.stack([energy(h, x) - entropy(h) - entropy(x) for h, x in states])
    assert (bounds.diff(dim=0) <= 1e-9).all()
    assert (bounds[0] - bounds[-1]).min() > 1e-3
    hidden, missing = all_states(5), all_states(4)
    for row in range(6):
        v = torch.cat([u[row].expand(16, -1), missing], 1)
        exact = -torch.logsumexp(torch.stack([-joint.energy(v, h.expand(16, -1)) for h in hidden]).flatten(), 0)
        assert bounds[-1, row] >= exact - 1e-9


def test_texts_do_not_matter_to_what_is_inferred_from_images():
    net, images, _ = made_net()
    code, top = net.from_images(images)
    with_noise(net.text_stack, 2.0, seed=5)
    again, same_top = net.from_images(images)
    assert torch.equal(code, again) and torch.equal(top, same_top)


def test_a_text_generated_from_an_image_is_a_distribution_over_the_words_of_a_document():
    net, images, _ = made_net()
    generated = net.text_stack.generate(net.from_images(images)[1])
    assert generated.shape == (5, 7) and (generated > 0).all()
    torch.testing.assert_close(generated.sum(1), torch.full((5,), 100.0))


@pytest.mark.parametrize("space", ["joint", "text_top", "image_top"])
def test_a_space_compares_codes_or_a_real_top_with_a_generated_one_less_the_train_means(space):
    joint = with_noise(JointRBM(4, 3, 8), 0.8)
    network = JointSpace(joint, space)
    tops = Pairs(*(np.random.default_rng(0).random((50, n), dtype=np.float32) for n in (4, 3)), np.ones((50, 1), bool))
    u, w = torch.from_numpy(tops.images), torch.from_numpy(tops.texts)
    image, text = {
        "joint": (joint.from_images(u)[0], joint.from_texts(w)[0]),
        "text_top": (joint.from_images(u)[1], w),
        "image_top": (u, joint.from_texts(w)[1]),
    }[space]
    torch.testing.assert_close(network.embed_images(u), image)
    torch.testing.assert_close(network.embed_texts(w), text)
    network.centre(tops)
    torch.testing.assert_close(network.embed_images(u), image - image.mean(0))
    torch.testing.assert_close(network.embed_texts(w), text - text.mean(0))


def score(model, pairs):
    return bimodal_map(model.embed_images(pairs.images), model.embed_texts(pairs.texts), pairs.labels, "cosine")


@pytest.mark.parametrize("counts", [False, True])
def test_it_retrieves_unseen_pairs_of_the_same_source_with_the_best_valid_epoch(counts):
    train, valid, test = (made_pairs(seed, counts=counts) for seed in range(3))
    model = MultimodalDBNMethod(
        **(SMALL | {"stack_epochs": 40, "stack_batch_size": 10, "batch_size": 10, "epochs": 20})
    ).fit(train, valid)
    assert score(model, test) > 0.6  # a random ranking has 1/3
    assert max(model.history["valid_map"]) == pytest.approx(score(model, valid))
    assert len(model.history["loss"]) == len(model.history["valid_map"])


def test_the_train_means_are_taken_off_only_if_asked():
    pairs = made_pairs()
    centred, plain = (MultimodalDBNMethod(**SMALL, centre=centre).fit(pairs) for centre in (True, False))
    codes = plain.embed_images(pairs.images)
    assert codes.min() > 0
    np.testing.assert_allclose(centred.embed_images(pairs.images), codes - codes.mean(axis=0), atol=1e-6)


def test_classes_serve_the_choice_of_the_epoch_alone():
    pairs, method = made_pairs(), MultimodalDBNMethod(**SMALL)
    other = replace(pairs, labels=np.roll(pairs.labels, 1, axis=0))
    one, two = (method.fit(part).embed_images(pairs.images) for part in (pairs, other))
    np.testing.assert_array_equal(one, two)


def test_patience_ends_training():
    train, valid = made_pairs(), made_pairs(1)
    history = MultimodalDBNMethod(**(SMALL | {"epochs": 60, "patience": 2})).fit(train, valid).history
    scores = history["valid_map"]
    assert len(scores) == np.argmax(scores) + 3 < 60


def test_a_killed_training_goes_on_to_the_same_model(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    train, valid, method = made_pairs(), made_pairs(1), MultimodalDBNMethod(**SMALL)
    whole = method.fit(train, valid)
    done, epoch = [], Ascent.epoch

    def dying(self, number):
        if isinstance(self.rbm, JointRBM):
            if len(done) == 3:
                raise KeyboardInterrupt
            done.append(number)
        return epoch(self, number)

    progress = Progress(checkpoints=tmp_path, quiet=True)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Ascent, "epoch", dying)
        method.fit(train, valid, progress=progress)
    resumed = []
    monkeypatch.setattr(
        Ascent,
        "epoch",
        lambda self, number: (isinstance(self.rbm, JointRBM) and resumed.append(number), epoch(self, number))[1],
    )
    model = method.fit(train, valid, progress=progress)
    assert done == [0, 1, 2] and resumed[0] == 3
    assert model.history == whole.history
    for name, array in whole.state().items():
        np.testing.assert_array_equal(model.state()[name], array)


def test_the_joint_layer_is_a_stage_that_methods_share(tmp_path, monkeypatch):
    pairs, progress = made_pairs(), Progress(stages=tmp_path, quiet=True)
    stacks = MultimodalDBNMethod(**SMALL).fit_stacks(pairs, 0, CPU, SILENT)

    def fit(**other):
        settings = {"n_components": 8, "epochs": 2, "batch_size": 30, "learning_rate": 0.01, "seed": 0} | other
        return fit_multimodal_dbn(stacks, pairs, **settings, device=CPU, progress=progress)

    trained, epoch = [], Ascent.epoch
    monkeypatch.setattr(Ascent, "epoch", lambda *arguments: (trained.append(1), epoch(*arguments))[1])
    (first, history), (again, same_history) = fit(), fit()
    assert len(trained) == 2 == len(history["joint_rbm"]) and history == same_history
    images = torch.from_numpy(pairs.images)
    assert torch.equal(first.from_images(images)[0], again.from_images(images)[0])
    assert not torch.equal(first.joint.weights, fit(seed=1)[0].joint.weights)
    assert len(trained) == 4


def test_a_part_without_pairs_is_refused():
    pairs = made_pairs()
    none = Pairs(pairs.images[:0], pairs.texts[:0], pairs.labels[:0])
    with pytest.raises(UserError, match="valid part holds no pairs"):
        MultimodalDBNMethod(**SMALL).fit(pairs, none)
