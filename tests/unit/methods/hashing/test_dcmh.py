from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr.methods.base import NotApplicableError, Pairs
from cmr.methods.deep.dcmh import DCMH, DCMHNetwork, binary, terms
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import Batch
from cmr.methods.deep.trainer import seeded
from cmr.metrics import bimodal_map
from cmr.progress import Progress
from cmr.retrieval import score_blocks

CPU = torch.device("cpu")
SMALL = {"bits": 12, "image_widths": (16,), "text_widths": (16,), "batch_size": 20, "input_dropout": 0.0}


def made_pairs(seed=0, n=60, classes=4):
    """Pairs of one or two classes, seen with noise in both modalities."""
    shared, own = np.random.default_rng(7), np.random.default_rng(seed)
    labels = np.eye(classes, dtype=bool)[own.integers(classes, size=n)]
    labels |= np.roll(labels, 1, axis=1) & (own.random((n, 1)) < 0.3)
    images, texts = (labels @ shared.normal(size=(classes, d)) * 2 + own.normal(size=(n, d)) for d in (20, 25))
    return Pairs(images.astype(np.float32), texts.astype(np.float32), labels)


def network_on(pairs, method, seed=0):
    """A network of float64 before its first epoch."""
    network = DCMHNetwork(method, Inputs.of(pairs), seeded(seed, "dcmh", CPU))
    method.prepare(network, pairs)
    network = network.double()
    network.eval()
    with torch.no_grad():
        network.begin(whole(pairs))
    return network


def whole(pairs):
    batch = Batch.of(pairs, CPU)
    return replace(batch, images=batch.images.double(), texts=batch.texts.double(), labels=batch.labels.double())


def turn(method, side):
    """The share of epochs that is over when it is the turn of a side's network."""
    return (2 if side == "images" else 3) / method.epochs


def codes_of(network, batch, side):
    return network.embed_images(batch.images) if side == "images" else network.embed_texts(batch.texts)


def made_codes(seed, n=7, c=5):
    return torch.randn(n, c, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def similarity_matrix(labels):
    return np.array([[float((a & b).any()) for b in labels] for a in labels])


def test_the_gradient_is_that_of_the_paper():
    f, g, others = made_codes(0).requires_grad_(), made_codes(1), made_codes(2)[0]
    b = binary(f.detach(), g)
    s = torch.tensor(similarity_matrix(made_pairs(n=7).labels))
    values = terms(f, g, b, s, others)
    (gradient,) = torch.autograd.grad(values["likelihood"] + 0.7 * values["quantisation"] + 0.3 * values["balance"], f)
    with torch.no_grad():
        sigma = 1 / (1 + torch.exp(-f @ g.T / 2))
        paper = 0.5 * (sigma - s) @ g + 2 * 0.7 * (f - b) + 2 * 0.3 * (f.sum(0) + others)
    torch.testing.assert_close(gradient, paper / 49)


@pytest.mark.parametrize("side", ["images", "texts"])
def test_a_batch_of_all_items_has_the_objective_of_the_paper_with_each_pair_once(side):
    pairs, method = made_pairs(n=30), DCMH(**SMALL, balance="global")
    network, batch = network_on(pairs, method), whole(pairs)
    with torch.no_grad():
        values = network.losses(batch, turn(method, side))
        f, g = (codes_of(network, batch, of).numpy() for of in ("images", "texts"))
    s = similarity_matrix(pairs.labels)
    likelihood = 0.0
    for i in range(30):
        for j in range(30):
            theta = f[i] @ g[j] / 2
            likelihood += np.log(1 + np.exp(theta)) - s[i, j] * theta
    own, b = (f if side == "images" else g), np.where(f + g >= 0, 1, -1)
    assert values["likelihood"].item() * 900 == pytest.approx(likelihood)
    assert values["quantisation"].item() * 900 == pytest.approx(np.sum((b - own) ** 2))
    assert values["balance"].item() * 900 == pytest.approx(np.sum(own.sum(axis=0) ** 2))


@pytest.mark.parametrize("side", ["images", "texts"])
def test_balance_sums_the_codes_of_the_batch_or_of_all_items_as_remembered(side):
    pairs = made_pairs(n=30)
    rows = torch.tensor([3, 17, 4, 9])
    for balance in ("batch", "global"):
        method = DCMH(**SMALL, balance=balance, buffers="normal")
        network = network_on(pairs, method)
        batch = whole(pairs).rows(rows)
        remembered = (network.image_codes if side == "images" else network.text_codes).clone()
        with torch.no_grad():
            codes = codes_of(network, batch, side)
            value = network.losses(batch, turn(method, side))["balance"].item()
        rest = remembered.sum(0) - remembered[rows].sum(0) if balance == "global" else 0.0
        assert value == pytest.approx((codes.sum(0) + rest).square().sum().item() / (30 * 4))


@pytest.mark.parametrize("side", ["images", "texts"])
def test_a_step_remembers_the_codes_of_its_batch_on_the_side_whose_turn_it_is(side):
    pairs, rows = made_pairs(n=30), torch.tensor([3, 17, 4, 9])
    method = DCMH(**SMALL, buffers="normal")
    network = network_on(pairs, method)
    batch = whole(pairs).rows(rows)
    own, other = ("image_codes", "text_codes") if side == "images" else ("text_codes", "image_codes")
    expected = {name: getattr(network, name).clone() for name in (own, other, "binary_codes")}
    with torch.no_grad():
        expected[own][rows] = codes_of(network, batch, side)
    sum(network.losses(batch, turn(method, side)).values()).backward()
    for name, tensor in expected.items():
        torch.testing.assert_close(getattr(network, name), tensor)
    changed = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert changed and all(("image" if side == "images" else "text") in name for name in changed)


def test_binary_codes_follow_after_both_sides_have_had_their_turn():
    pairs = made_pairs(n=30)
    network = network_on(pairs, DCMH(**SMALL, buffers="normal"))
    f, g = network.image_codes, network.text_codes
    before = binary(f, g)
    assert torch.equal(network.binary_codes, before)
    f.neg_()
    network.end_epoch(whole(pairs))
    assert torch.equal(network.binary_codes, before)
    network.end_epoch(whole(pairs))
    assert torch.equal(network.binary_codes, binary(f, g)) and not torch.equal(binary(f, g), before)


def test_binary_codes_do_not_depend_on_a_positive_scale_and_zero_counts_as_one():
    f, g = made_codes(0), made_codes(1)
    assert torch.equal(binary(3.7 * f, 3.7 * g), binary(f, g))
    assert torch.equal(binary(f, -f), torch.ones_like(f))


def test_buffers_start_as_what_the_networks_give_or_normal():
    pairs = made_pairs(n=60)
    network = network_on(pairs, DCMH(**SMALL))
    with torch.no_grad():
        torch.testing.assert_close(network.image_codes, network.embed_images(whole(pairs).images))
        torch.testing.assert_close(network.text_codes, network.embed_texts(whole(pairs).texts))
    network = network_on(pairs, DCMH(**SMALL, buffers="normal"))
    for codes in (network.image_codes, network.text_codes):
        assert abs(codes.mean().item()) < 0.15 and codes.std().item() == pytest.approx(1, abs=0.1)  # of 720 numbers
    assert not torch.equal(network.image_codes, network.text_codes)


def test_new_weights_and_biases_are_normal_with_deviation_one_hundredth():
    pairs = made_pairs()
    wide = DCMH(bits=64, image_widths=(300,), text_widths=(300,))
    network = wide.build(Inputs.of(pairs), seeded(0, "dcmh", CPU))
    for name, parameter in network.named_parameters():
        assert parameter.std().item() == pytest.approx(0.01, rel=0.35), name


@pytest.mark.parametrize("bits", [12, 16])
def test_the_distance_of_codes_is_half_of_what_their_product_lacks(bits):
    train, test = made_pairs(), made_pairs(1, n=9)
    method = DCMH(**(SMALL | {"bits": bits}), epochs=20, learning_rate=0.02)
    model = method.fit(train)
    images, texts = model.embed_images(test.images), model.embed_texts(test.texts)
    assert images.dtype == texts.dtype == np.uint8 and images.shape == (9, (bits + 7) // 8)
    real = replace(method, similarity="cosine").fit(train)
    b_x, b_y = (np.where(codes >= 0, 1, -1) for codes in (real.embed_images(test.images), real.embed_texts(test.texts)))
    assert b_x.shape == (9, bits) and len(np.unique(b_x, axis=0)) > 2
    (_, scores), *_ = score_blocks(images, texts, method.similarity)
    np.testing.assert_array_equal(-scores, (bits - b_x @ b_y.T) / 2)


def test_a_value_of_zero_sets_its_bit():
    network = network_on(made_pairs(), DCMH(**SMALL))
    codes = network.ranked(np.array([[0.0, -0.1, 0.1, -1, -1, -1, -1, 2]], dtype=np.float32))
    assert np.unpackbits(codes).tolist() == [1, 0, 1, 0, 0, 0, 0, 1]


def test_items_are_hashed_without_anything_that_is_remembered_of_the_train_items():
    train, test = made_pairs(), made_pairs(1)
    model = DCMH(**SMALL, epochs=4).fit(train, made_pairs(2))
    assert not any(array.ndim and len(train) in array.shape for array in model.state().values())
    assert {name.partition("/")[2].split("_")[0] for name in model.state() if name.startswith("network/")} == {
        "image",
        "text",
    }
    alone = [model.embed_images(test.images[i : i + 1])[0] for i in range(len(test))]
    np.testing.assert_array_equal(alone, model.embed_images(test.images))


@pytest.mark.parametrize("similarity", ["hamming", "cosine"])
def test_early_stopping_goes_by_the_ranking_of_the_codes_themselves(similarity):
    train, valid = made_pairs(), made_pairs(1, n=40)
    method = DCMH(**SMALL, epochs=12, learning_rate=0.01, similarity=similarity)
    model = method.fit(train, valid)
    images, texts = model.embed_images(valid.images), model.embed_texts(valid.texts)
    score = bimodal_map(images, texts, valid.relevance, similarity)
    assert max(model.history["valid_map"]) == pytest.approx(score)
    restored = method.restore(model.state())
    np.testing.assert_array_equal(restored.embed_images(valid.images), images)


def test_it_retrieves_unseen_pairs_of_the_same_classes():
    train, valid, test = (made_pairs(seed, n=120) for seed in range(3))

    def score(model):
        return bimodal_map(model.embed_images(test.images), model.embed_texts(test.texts), test.relevance, "hamming")

    untrained = DCMH(**SMALL, epochs=1, learning_rate=1e-9).fit(train)
    trained = DCMH(**(SMALL | {"bits": 32}), epochs=30, learning_rate=0.005).fit(train, valid)
    assert score(trained) > score(untrained) + 0.25


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_does_the_steps_of_a_hand_written_loop(solver):
    """The sides take turns by the epoch, at a rate that falls linearly, in an order of the seed."""
    pairs = made_pairs(n=50)
    method = DCMH(**SMALL, epochs=6, solver=solver, learning_rate=0.05, final_rate=0.1, quantisation_weight=0.5)
    model = method.fit(pairs, seed=4)
    generator = seeded(4, "dcmh", CPU)
    network, batch = method.build(Inputs.of(pairs), generator), Batch.of(pairs, CPU)
    method.prepare(network, pairs)
    codes = network.codes
    y = batch.labels
    with torch.no_grad():
        remembered = [codes.embed_images(batch.images), codes.embed_texts(batch.texts)]
    b = torch.where(remembered[0] + remembered[1] >= 0, 1.0, -1.0)
    solvers = [
        {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[solver](part.parameters(), lr=0.05)
        for part in (codes.image_network, codes.text_network)
    ]
    for epoch in range(6):
        side = epoch % 2
        for index in torch.randperm(50, generator=generator).split(20):
            own = codes.embed_texts(batch.texts[index]) if side else codes.embed_images(batch.images[index])
            remembered[side][index] = own.detach()
            theta, s = own @ remembered[1 - side].T / 2, (y[index] @ y.T > 0).float()
            j = torch.nn.functional.softplus(theta) - s * theta
            total = j.sum() + 0.5 * (own - b[index]).square().sum() + own.sum(0).square().sum()
            solvers[side].param_groups[0]["lr"] = 0.05 * (1 - 0.9 * epoch / 6)
            solvers[side].zero_grad()
            (total / (50 * len(index))).backward()
            solvers[side].step()
        if side:
            b = torch.where(remembered[0] + remembered[1] >= 0, 1.0, -1.0)
    for name, tensor in codes.state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)


def test_a_killed_training_goes_on_with_what_it_remembered(tmp_path, monkeypatch):
    train, valid = made_pairs(), made_pairs(1, n=30)
    method = DCMH(**SMALL, epochs=8, buffers="normal", balance="global")
    progress = Progress(quiet=True, checkpoints=tmp_path)
    monkeypatch.setattr("cmr.checkpoint.SECONDS_BETWEEN", 0.0)
    losses, killed = DCMHNetwork.losses, iter(range(100))

    def until_killed(self, batch, progress):
        if next(killed) == 16:  # in the sixth epoch of three steps
            raise KeyboardInterrupt
        return losses(self, batch, progress)

    monkeypatch.setattr(DCMHNetwork, "losses", until_killed)
    with pytest.raises(KeyboardInterrupt):
        method.fit(train, valid, progress=progress)
    monkeypatch.setattr(DCMHNetwork, "losses", losses)
    resumed, through = method.fit(train, valid, progress=progress), method.fit(train, valid)
    assert resumed.history == through.history
    np.testing.assert_array_equal(resumed.embed_images(valid.images), through.embed_images(valid.images))


def test_without_classes_it_is_not_applicable():
    pairs = made_pairs()
    with pytest.raises(NotApplicableError, match="dcmh: it learns from classes"):
        DCMH(**SMALL).fit(replace(pairs, labels=pairs.labels[:, :0]))


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_pretrained_layers_learn_at_a_tenth_of_the_rate(solver):
    parameters = {name: torch.zeros(2, requires_grad=True) for name in ("image_encoder.pretrained.w", "text_network.w")}
    groups = DCMH(solver=solver, learning_rate=0.5).optimiser(parameters).param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert [rates[id(parameter)] for parameter in parameters.values()] == pytest.approx([0.05, 0.5])
