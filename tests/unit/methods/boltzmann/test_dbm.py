from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from cmr import checkpoint
from cmr.methods.base import InfeasibleError
from cmr.methods.boltzmann.dbm import DBM
from cmr.methods.boltzmann.deep_boltzmann_machine import DeepBoltzmannMachine, Inference, TopRBM
from cmr.methods.boltzmann.stack import Stack
from cmr.methods.boltzmann.stacked import Stacks
from cmr.methods.deep.network import Batch
from cmr.metrics import bimodal_map
from cmr.progress import Progress
from tests.unit.methods.boltzmann.made import all_states, entropy, made_pairs, seeded, with_noise

SMALL = {
    "image_stack_widths": (16, 12),
    "text_stack_widths": (16, 10),
    "stack_epochs": 3,
    "n_components": 14,
    "epochs": 5,
    "chains": 20,
    "batch_size": 50,
}

LOG_2PI = np.log(2 * np.pi)


def machine(counts=False, image_widths=(3, 2), text_widths=(2, 2), n_components=2, scale=0.5, chains=10, **inference):
    """Double precision, 4 image units and 5 text units, random parameters, and scales that change nothing."""
    stacks = Stacks(Stack.of(4, image_widths, counts=False), Stack.of(5, text_widths, counts=counts), {})
    settings = Inference(**({"sweeps": 5, "missing_sweeps": 20, "gibbs_steps": 5} | inference), chains=chains)
    network = DeepBoltzmannMachine(stacks, n_components, settings, True, seeded()).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, scale, generator=seeded(len(parameter)))
    return network


def made_batch(counts=False, n=6):
    images = torch.randn(n, 4, generator=seeded(), dtype=torch.float64)
    texts = torch.randn(n, 5, generator=seeded(1), dtype=torch.float64)
    if counts:
        texts = torch.poisson(2 * texts.abs(), generator=seeded(2)) + torch.eye(5, dtype=torch.float64)[0]
    return Batch(images, texts, torch.zeros(n, 1), torch.arange(n))


def hidden_configurations(network):
    """Every state of the layers between the ends, as a list of (configurations, n_l)."""
    widths = [len(bias) for bias in network.biases][1:-1]
    return list(all_states(sum(widths)).split(widths, dim=1))


def card_energy(network, states):
    """As the card writes it; all states (b, n_l)."""
    a = list(network.biases)
    edges = zip(network.weights, pairwise(states), strict=True)
    total = -sum(torch.einsum("bi,ij,bj->b", below, W, above) for W, (below, above) in edges)
    total = total - sum(h @ bias for h, bias in zip(states[1:-1], a[1:-1], strict=True))
    total = total + 0.5 * ((states[0] - a[0]) ** 2).sum(1)
    if network.words:
        return total - states[-1] @ a[-1]
    return total + 0.5 * ((states[-1] - a[-1]) ** 2).sum(1)


@pytest.mark.parametrize("counts", [False, True])
def test_energy_is_that_of_the_card(counts):
    network = machine(counts, image_widths=(3, 2), text_widths=(2,))
    states = [torch.randn(7, len(bias), generator=seeded(), dtype=torch.float64) for bias in network.biases]
    torch.testing.assert_close(network.energy(states), card_energy(network, states))


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("given", ["both", "images", "texts"])
def test_variational_bound_never_falls_and_stays_below_the_enumerated_likelihood(counts, given):
    """Of what is given; a layer at an end that is missing is summed or integrated out in closed form."""
    network, batch = machine(counts, scale=0.3 if counts else 0.5), made_batch(counts)
    clamped = {
        "both": network.clamped(batch.images, batch.texts),
        "images": network.clamped(batch.images, None),
        "texts": network.clamped(None, batch.texts),
    }[given]
    missing = {0, network.last} - clamped.keys()

    def bound(states):
        total = -network.energy(states) + sum(entropy(mean) for mean in states[1:-1])
        for end in missing:
            if network.is_gaussian(end):
                # Unit variance: the expected square is larger than that of the mean by one, the entropy is known.
                d = states[end].shape[1]
                total = total - d / 2 + d / 2 * (LOG_2PI + 1)
            else:
                p = states[end] / 100
                total = total - 100 * torch.xlogy(p, p).sum(1)
        return total

    def exact(row):
        hidden = hidden_configurations(network)
        n = len(hidden[0])
        inside = [clamped[0][row].expand(n, -1) if 0 in clamped else network.biases[0].expand(n, -1), *hidden]
        inside.append(clamped[network.last][row].expand(n, -1) if network.last in clamped else torch.zeros(n, 5))
        logs = 0.0
        if 0 in missing:  # the integral of exp(-|v - a|^2 / 2 + v c) is that of a normal density, moved by c
            c, inside[0] = hidden[0] @ network.weights[0].T, torch.zeros(n, 4, dtype=torch.float64)
            logs = logs + c @ network.biases[0] + c.square().sum(1) / 2 + 4 / 2 * LOG_2PI
            logs = logs + network.biases[0].square().sum() / 2  # which the energy of v = 0 has counted
        if network.last in missing:
            c, inside[-1] = hidden[-1] @ network.weights[-1], torch.zeros(n, 5, dtype=torch.float64)
            if counts:
                logs = logs + 100 * torch.logsumexp(c + network.biases[-1], 1)
            else:
                logs = logs + c @ network.biases[-1] + c.square().sum(1) / 2 + 5 / 2 * LOG_2PI
                logs = logs + network.biases[-1].square().sum() / 2
        return torch.logsumexp(logs - card_energy(network, inside), 0)

    with torch.no_grad():
        bounds = torch.stack([bound(network.mean_field(clamped, sweeps)) for sweeps in range(12)])
        likelihood = torch.stack([exact(row) for row in range(6)])
    assert (bounds.diff(dim=0) >= -1e-9).all()
    assert (bounds[-1] - bounds[0]).min() > 1e-3
    assert (bounds[-1] <= likelihood + 1e-9).all()
    assert (likelihood - bounds[-1]).max() < 0.5 * (likelihood - bounds[0]).max()


@pytest.mark.parametrize("counts", [False, True])
def test_mean_field_updates_every_other_layer_from_its_neighbours(counts):
    """All updates are written out, those of a missing end too."""
    network = machine(counts, image_widths=(3, 2), text_widths=(2,), missing_sweeps=3)
    W, a = [edge.detach() for edge in network.weights], [bias.detach() for bias in network.biases]
    image = made_batch().images[0]
    states = [torch.sigmoid(bias) for bias in a]

    def update(layer):
        total = a[layer].clone()
        if layer > 0:
            total += states[layer - 1] @ W[layer - 1]
        if layer < len(W):
            total += W[layer] @ states[layer + 1]
        if layer == network.last:
            return 100 * torch.softmax(total, 0) if counts else total
        return torch.sigmoid(total)

    assert network.last == 5  # images, two layers, joint, one layer, texts
    states[0], states[5] = image, 100 * torch.softmax(a[5], 0)
    if not counts:
        states[5] = update(5)
    for _ in range(3):
        for layer in (1, 3, 5, 2, 4) if counts else (1, 3, 2, 4):
            states[layer] = update(layer)
            if not counts:
                states[5] = update(5)
    found = network.mean_field({0: image[None]}, 3)
    for own, other in zip(found, states, strict=True):
        torch.testing.assert_close(own[0].detach(), other)


def test_sweeps_are_those_for_one_modality_or_for_both():
    network, batch = machine(sweeps=2, missing_sweeps=7), made_batch()
    for given, sweeps in (({"images"}, 7), ({"texts"}, 7), ({"images", "texts"}, 2)):
        known = {side: getattr(batch, side) if side in given else None for side in ("images", "texts")}
        codes = [network.mean_field(network.clamped(**known), n)[network.joint] for n in (2, 7)]
        assert not torch.allclose(*codes)
        assert torch.equal(network.joint_of(**known), codes[(2, 7).index(sweeps)])


@pytest.mark.parametrize("counts", [False, True])
def test_with_joint_weights_of_zero_the_halves_are_independent(counts):
    network, batch = machine(counts), made_batch(counts)
    with torch.no_grad():
        network.weights[network.joint - 1].zero_()
        network.weights[network.joint].zero_()
    states = network.mean_field(network.clamped(batch.images, batch.texts), 5)
    others = network.mean_field(network.clamped(batch.images, batch.texts.flip(0)), 5)
    for layer in range(network.joint + 1):
        assert torch.equal(states[layer], others[layer])
    assert not torch.equal(states[network.joint + 1], others[network.joint + 1])
    torch.testing.assert_close(states[network.joint], torch.sigmoid(network.biases[network.joint]).expand(6, -1))


def test_chains_come_to_the_distribution_of_the_model():
    network = machine(chains=4000, gibbs_steps=30)
    for layer in range(network.last + 1):
        network.chain(layer).zero_()
    with torch.no_grad():
        states = network.walk()
        hidden = hidden_configurations(network)
        zero = [torch.zeros(len(hidden[0]), n, dtype=torch.float64) for n in (4, 5)]
        logs = -card_energy(network, [zero[0], *hidden, zero[1]])
        for end, c in ((0, hidden[0] @ network.weights[0].T), (-1, hidden[-1] @ network.weights[-1])):
            logs = logs + c @ network.biases[end] + c.square().sum(1) / 2
        p = torch.softmax(logs, 0)
    for own, configurations in zip(states[1:-1], hidden, strict=True):
        np.testing.assert_allclose(own.mean(0), p @ configurations, atol=4 * 0.5 / 4000**0.5)
    expected = network.biases[0] + (p @ hidden[0]) @ network.weights[0].T
    np.testing.assert_allclose(states[0].mean(0), expected.detach(), atol=0.1)
    np.testing.assert_allclose(states[0].var(0).mean(), 1.0, atol=0.5)


@pytest.mark.parametrize("counts", [False, True])
def test_chains_start_at_training_pairs_and_states_drawn_from_their_mean_field(counts):
    network, batch = machine(counts, chains=4000), made_batch(counts)
    with torch.no_grad():
        network.begin(batch)
        means = network.mean_field(network.clamped(batch.images, batch.texts), 5)
    pair = (network.chain(0)[:, None] == means[0]).all(-1).int()
    assert torch.equal(pair.sum(1), torch.ones(4000, dtype=torch.int64)) and len(pair.argmax(1).unique()) == 6
    assert torch.equal(network.chain(network.last), means[-1][pair.argmax(1)])
    for layer in range(1, network.last):
        states = network.chain(layer)
        assert set(states.unique().tolist()) == {0.0, 1.0}
        for row in range(6):
            own = states[pair.argmax(1) == row]
            np.testing.assert_allclose(own.mean(0), means[layer][row].detach(), atol=4 * 0.5 / len(own) ** 0.5)


@pytest.mark.parametrize("counts", [False, True])
def test_chains_persist_in_number_and_shape(counts):
    network, batch = machine(counts, chains=8), made_batch(counts)
    with torch.no_grad():
        network.begin(batch)
    shapes = [network.chain(layer).shape for layer in range(network.last + 1)]
    assert shapes == [(8, n) for n in (4, 3, 2, 2, 2, 2, 5)]
    before = [network.chain(layer).clone() for layer in range(network.last + 1)]
    for _ in range(3):
        network.losses(batch, 0.0)
    after = [network.chain(layer) for layer in range(network.last + 1)]
    assert [chain.shape for chain in after] == shapes
    assert not any(torch.equal(own, other) for own, other in zip(before, after, strict=True))
    for hidden in after[1:-1]:
        assert set(hidden.unique().tolist()) <= {0.0, 1.0}
    if counts:
        assert torch.equal(after[-1].sum(1), torch.full((8,), 100.0, dtype=torch.float64))
        assert torch.equal(after[-1], after[-1].round())


@pytest.mark.parametrize("counts", [False, True])
def test_the_gradient_is_the_difference_of_the_statistics(counts):
    network, batch = machine(counts), made_batch(counts)
    with torch.no_grad():
        network.begin(batch)
    network.losses(batch, 0.0)["contrast"].backward()
    data = network.mean_field(network.clamped(batch.images, batch.texts), 5)
    model = [network.chain(layer) for layer in range(network.last + 1)]

    def products(states, layer):
        return states[layer].detach().T @ states[layer + 1].detach() / len(states[0])

    for layer, edge in enumerate(network.weights):
        torch.testing.assert_close(-edge.grad, products(data, layer) - products(model, layer))
    for layer, bias in enumerate(network.biases):
        torch.testing.assert_close(-bias.grad, (data[layer].mean(0) - model[layer].mean(0)).detach())


@pytest.mark.parametrize("counts", [False, True])
def test_a_layer_of_the_merged_machine_has_the_mean_of_the_inputs_from_below_and_from_above(counts):
    """Where these agree it is so given the input that the stack's own layer has."""
    stacks = Stacks(Stack.of(4, (3, 2), counts=False), Stack.of(5, (4, 3), counts=counts), {})
    top = with_noise(TopRBM(5, 2), 0.6)
    network = machine(counts, image_widths=(3, 2), text_widths=(4, 3)).float()
    for stack in stacks.both:
        with_noise(stack, 0.6, seed=3)
    network.initialise(stacks, top)
    states = [torch.rand(6, len(bias), generator=seeded()) for bias in network.biases]
    joint, i1, t1 = states[3], states[1], states[5]
    down = top.visible_mean(joint, torch.ones(6, 1))
    torch.testing.assert_close(down, torch.sigmoid(2 * joint @ top.weights.T + top.visible_bias))
    for layer, below, stack, part in ((2, i1, stacks.images, slice(2)), (4, t1, stacks.texts, slice(2, 5))):
        from_below, from_above = stack.rbms[1](below), down[:, part]
        expected = (torch.logit(from_below) + torch.logit(from_above)) / 2
        torch.testing.assert_close(torch.logit(network.mean(states, layer)), expected, rtol=1e-4, atol=1e-4)
    known = torch.sigmoid(states[2] @ top.weights[:2] + states[4] @ top.weights[2:] + top.hidden_bias)
    torch.testing.assert_close(network.mean(states, 3), known)
    texts = stacks.texts.rbms[0]
    torch.testing.assert_close(network.mean(states, 6), texts.visible_mean(t1, torch.full((6, 1), 100.0)))


def test_words_keep_the_bias_that_their_document_length_has_given_them():
    stack = Stack.of(5, (4, 3), counts=True)
    with_noise(stack, 0.2)
    top, images = TopRBM(5, 2), Stack.of(4, (3, 2), counts=False)
    network = machine(True, text_widths=(4, 3)).float()
    network.initialise(Stacks(images, stack, {}), top)
    document = stack.scale(torch.tensor([[1.0, 0.0, 2.0, 5.0, 1.0]]))
    states = [torch.zeros(1, len(bias)) for bias in network.biases]
    states[6] = document
    expected = document @ stack.rbms[0].weights + (100 * stack.rbms[0].hidden_bias + stack.rbms[1].visible_bias) / 2
    torch.testing.assert_close(torch.logit(network.mean(states, 5)), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("counts", "share"), [(False, 0.1), (True, 0.02)])
def test_layers_learn_at_their_own_rates_and_only_weights_decay(counts, share):
    network = machine(counts)
    optimiser = DBM(learning_rate=0.5, weight_decay=0.25).optimiser(dict(network.named_parameters()), words=counts)
    settings = {id(group["params"][0]): (group["lr"], group["weight_decay"]) for group in optimiser.param_groups}
    rates = [0.1, 1.0, 1.0, 1.0, 1.0, share]
    assert [settings[id(edge)] for edge in network.weights] == [(0.5 * rate, 0.25) for rate in rates]
    rates = [0.1, 1.0, 1.0, 1.0, 1.0, 1.0, share]
    assert [settings[id(bias)] for bias in network.biases] == [(0.5 * rate, 0.0) for rate in rates]


def test_the_learning_rate_falls_to_zero_over_the_epochs(monkeypatch):
    rates, step = [], torch.optim.SGD.step

    def watched(self, *arguments, **others):
        rates.append(max(group["lr"] for group in self.param_groups))
        return step(self, *arguments, **others)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    DBM(**SMALL, learning_rate=0.02).fit(made_pairs())
    assert list(dict.fromkeys(rates)) == pytest.approx([0.02, 0.016, 0.012, 0.008, 0.004])


@pytest.mark.parametrize("counts", [False, True])
def test_it_retrieves_unseen_pairs_of_the_same_source_with_the_best_valid_epoch(counts):
    train, valid, test = (made_pairs(seed, counts=counts) for seed in range(3))
    model = DBM(**(SMALL | {"stack_epochs": 40, "stack_batch_size": 10})).fit(train, valid)

    def score(pairs):
        return bimodal_map(model.embed_images(pairs.images), model.embed_texts(pairs.texts), pairs.labels, "cosine")

    assert score(test) > 0.6  # a random ranking has 1/3
    assert max(model.history["valid_map"]) == pytest.approx(score(valid))
    assert len(model.history["joint_rbm"]) == len(model.history["texts_rbm_2"]) == 40


def test_the_train_means_are_taken_off_only_if_asked():
    pairs = made_pairs()
    centred, plain = (DBM(**SMALL, centre=centre).fit(pairs) for centre in (True, False))
    codes = plain.embed_images(pairs.images)
    assert codes.min() > 0
    np.testing.assert_allclose(centred.embed_images(pairs.images), codes - codes.mean(axis=0), atol=1e-5)


def test_classes_serve_the_choice_of_the_epoch_alone():
    pairs = made_pairs()
    other = replace(pairs, labels=np.roll(pairs.labels, 1, axis=0))
    one, two = (DBM(**SMALL).fit(part).embed_images(pairs.images) for part in (pairs, other))
    np.testing.assert_array_equal(one, two)


def test_training_changes_every_layer():
    pairs, method = made_pairs(), DBM(**SMALL)
    start, end = (replace(method, learning_rate=rate).fit(pairs).state() for rate in (1e-12, 0.01))
    for name in [f"network/weights.{edge}" for edge in range(6)] + [f"network/biases.{layer}" for layer in range(7)]:
        assert np.abs(start[name] - end[name]).max() > 1e-5, name


@pytest.mark.parametrize("counts", [False, True])
def test_training_that_diverges_is_refused_with_the_epoch(counts):
    with pytest.raises(InfeasibleError, match=r"diverged in epoch 1 of 5 .*Lower learning_rate"):
        DBM(**SMALL, learning_rate=1e37).fit(made_pairs(counts=counts), made_pairs(1, counts=counts))


def test_a_killed_training_goes_on_to_the_same_model(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    train, valid, method = made_pairs(), made_pairs(1), DBM(**SMALL)
    whole = method.fit(train, valid)
    steps, losses = [], DeepBoltzmannMachine.losses

    def counted(self, batch, progress):
        steps.append(progress)
        return losses(self, batch, progress)

    def dying(self, batch, progress):
        if progress == 0.6:
            raise KeyboardInterrupt
        return losses(self, batch, progress)

    progress = Progress(checkpoints=tmp_path, quiet=True)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(DeepBoltzmannMachine, "losses", dying)
        method.fit(train, valid, progress=progress)
    monkeypatch.setattr(DeepBoltzmannMachine, "losses", counted)
    model = method.fit(train, valid, progress=progress)
    assert min(steps) == 0.6
    assert model.history == whole.history
    for name, array in whole.state().items():
        np.testing.assert_array_equal(model.state()[name], array)
