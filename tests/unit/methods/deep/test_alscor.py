from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy, cross_entropy

from cmr.compute import Compute
from cmr.methods.base import InfeasibleError, NotApplicableError
from cmr.methods.deep.alscor import ALSCOR
from cmr.methods.deep.canonical import canonical_correlations
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Dropout, reversal_strength
from cmr.methods.deep.network import Batch
from cmr.methods.deep.trainer import seeded as seeded_for
from cmr.retrieval import top
from tests.unit.methods.deep.made import CPU, built, gradients, made_pairs, randn, score, seeded

SMALL = {
    "n_components": 4, "image_widths": (16,), "text_widths": (16,), "lstm_width": 8, "kernels": 16, "batch_size": 60,
}  # fmt: skip
STEADY = SMALL | {"dropout": 0.0}
VECTORS = {"text_network": "perceptron"}


def word_pairs(seed=0, n=120):
    """Images of four classes; a text says its class by the order of two words, and says it among others."""
    rng = np.random.default_rng(seed)
    pairs = made_pairs(seed, n)
    numbers = rng.integers(6, 20, size=(n, 9)).astype(np.int32)
    orders = [(2, 3), (3, 2), (4, 5), (5, 4)]
    for row, own in zip(numbers, pairs.labels.argmax(1), strict=True):
        length = rng.integers(2, 10)
        place = rng.integers(0, length - 1)
        row[place : place + 2] = orders[own]
        row[length:] = 0
    vectors = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)
    vectors[0] = 0
    return replace(pairs, texts=numbers, text_kind="tokens", text_arrays={"word_vectors": vectors})


def in_float64(pairs, **settings):
    """A network in float64 without dropout, and its batch."""
    network, batch = built(ALSCOR(**STEADY, **settings), pairs)
    return network.double(), replace(batch, images=batch.images.double(), labels=batch.labels.double())


def objective(network, batch, progress=0.5):
    weights = network.method.weights()
    return sum(weights[name] * term for name, term in network.losses(batch, progress).items())


def networks(network):
    """The parts that make codes."""
    return torch.nn.ModuleList(
        [network.image_encoder, network.image_network, network.text_encoder, network.text_network]
    )


def test_terms_are_the_mean_correlation_both_cross_entropies_and_that_of_the_modality():
    network, batch = in_float64(word_pairs(), ridge=0.03)
    x, y = network.embed_images(batch.images), network.embed_texts(batch.texts)
    terms = network.losses(batch, 0.5)
    a, b = (codes.detach().numpy() for codes in (x, y))
    covariance = np.cov(a.T, b.T)
    covariance[range(8), range(8)] += 0.03
    roots = [np.linalg.eigh(covariance[own, own]) for own in (slice(4), slice(4, 8))]
    whitened = [vectors / np.sqrt(values) @ vectors.T for values, vectors in roots]
    nuclear = np.linalg.norm(whitened[0] @ covariance[:4, 4:] @ whitened[1], "nuc")
    assert terms["correlation"].item() == pytest.approx(nuclear / 4, rel=1e-10)
    target = batch.labels.argmax(1)
    label = sum(cross_entropy(network.label_classifier(codes), target) for codes in (x, y))
    torch.testing.assert_close(terms["label"], label)
    guesses = [torch.sigmoid(network.discriminator(codes)[:, 0]) for codes in (x, y)]
    modality = sum(
        binary_cross_entropy(guess, torch.full_like(guess, own)) for guess, own in zip(guesses, (1.0, 0.0), strict=True)
    )
    torch.testing.assert_close(terms["modality"], modality)


def test_the_discriminator_has_three_layers():
    network, _ = built(ALSCOR(**SMALL), word_pairs())
    assert [tuple(own.shape) for own in network.discriminator.parameters()] == [
        (4, 4),
        (4,),
        (4, 2),
        (2,),
        (2, 1),
        (1,),
    ]


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 2.0])
def test_networks_climb_and_the_discriminator_descends_the_loss_of_the_modality(progress, epsilon):
    pairs = word_pairs(n=60)
    network, batch = in_float64(pairs, adversary_weight=epsilon)
    found = network.losses(batch, progress)["modality"]
    x, y = network.embed_images(batch.images), network.embed_texts(batch.texts)
    plain = -(network.discriminator(x).sigmoid().log() + (1 - network.discriminator(y).sigmoid()).log()).mean()
    torch.testing.assert_close(found, plain)
    strength = epsilon * (2 / (1 + np.exp(-10 * progress)) - 1)
    torch.testing.assert_close(gradients(found, networks(network)), -strength * gradients(plain, networks(network)))
    torch.testing.assert_close(gradients(found, network.discriminator), gradients(plain, network.discriminator))
    assert gradients(found, network.discriminator).any()
    if epsilon == 0:
        assert not gradients(found, networks(network)).any()


@pytest.mark.parametrize("sign, factor", [("resolved", -1.0), ("printed", 1.0)])
def test_a_correlation_weight_of_zero_removes_that_term_alone(sign, factor):
    pairs, found = word_pairs(n=60), []
    for alpha in (0.0, 0.7):
        network, batch = in_float64(pairs, correlation_weight=alpha, correlation_sign=sign)
        found.append(gradients(objective(network, batch), network))
    correlation = gradients(network.losses(batch, 0.5)["correlation"], network)
    torch.testing.assert_close(found[1] - found[0], factor * 0.7 * correlation)
    without, _ = in_float64(pairs, correlation_weight=0.0, label_weight=0.0, adversary_weight=0.0)
    assert not gradients(objective(without, batch), networks(without)).any()


@pytest.mark.parametrize("text_network", ["bilstm_cnn", "perceptron"])
def test_the_gradient_of_the_whole_objective_is_that_of_finite_differences(text_network):
    """Networks and label classifier descend -alpha corr + delta CE - epsilon l L_adv, the discriminator L_adv."""
    pairs = word_pairs(n=60) if text_network == "bilstm_cnn" else made_pairs(n=60)
    network, batch = in_float64(
        pairs, text_network=text_network, correlation_weight=0.8, label_weight=0.6, adversary_weight=0.9
    )
    if text_network == "perceptron":
        batch = replace(batch, texts=batch.texts.double())
    strength = 0.9 * reversal_strength(0.5)

    def values(modality):
        terms = network.losses(batch, 0.5)
        return (-0.8 * terms["correlation"] + 0.6 * terms["label"] + modality * terms["modality"]).item()

    objective(network, batch).backward()
    generator, checked = np.random.default_rng(0), 0
    for name, parameter in network.named_parameters():
        modality = 1.0 if name.startswith("discriminator") else -strength
        flat, gradient = parameter.data.view(-1), parameter.grad.reshape(-1)
        # Where it matters most, and somewhere; kinks of ReLU and the largest value lie beside, not there.
        for place in {int(gradient.abs().argmax()), int(generator.integers(len(flat)))}:
            before, step = flat[place].item(), 1e-6
            around = []
            for own in (step, -step):
                flat[place] = before + own
                around.append(values(modality))
            flat[place] = before
            assert gradient[place].item() == pytest.approx((around[0] - around[1]) / (2 * step), abs=2e-7, rel=1e-5), (
                name
            )
            checked += 1
    assert checked > 20


def test_corrected_equations_of_the_correlation_hold_and_the_printed_ones_do_not():
    """Eqs. 10 to 13, of outputs H_1 and H_2 as columns; the whole trace norm, not its mean."""
    common = randn(80, 3)
    x, y = (common @ randn(3, 3, seed=seed) + randn(80, 3, seed=seed + 1) for seed in (1, 3))
    x.requires_grad_()
    y.requires_grad_()
    canonical_correlations(x, y, 0.01).sum().backward()
    h1, h2 = ((view - view.mean(0)).detach().numpy().T for view in (x, y))
    s11, s22 = (h @ h.T / 79 + 0.01 * np.eye(3) for h in (h1, h2))

    def inverse_root(s):
        values, vectors = np.linalg.eigh(s)
        return vectors / np.sqrt(values) @ vectors.T

    w1, w2 = inverse_root(s11), inverse_root(s22)
    u, d, vt = np.linalg.svd(w1 @ h1 @ h2.T / 79 @ w2)
    across = w1 @ u @ vt @ w2
    within1, within2 = -w1 @ (u * d) @ u.T @ w1 / 2, -w2 @ (vt.T * d) @ vt @ w2 / 2
    np.testing.assert_allclose(x.grad.numpy().T, (2 * within1 @ h1 + across @ h2) / 79, atol=1e-13)
    np.testing.assert_allclose(y.grad.numpy().T, (2 * within2 @ h2 + across.T @ h1) / 79, atol=1e-13)

    def miss(gradient, printed):
        return np.linalg.norm(gradient.numpy().T - printed / 79) / np.linalg.norm(gradient.numpy())

    printed_within2 = -w2 @ (u * d) @ u.T @ w2 / 2
    assert miss(x.grad, 2 * within1 @ h1 - across @ h2 / 2) > 0.5
    assert miss(y.grad, 2 * printed_within2 @ h2 + across.T @ h1) > 0.1
    assert miss(y.grad, 2 * within2 @ h2 + across @ h1) > 0.1


def test_the_printed_sign_makes_correlations_fall_and_the_resolved_one_makes_them_rise():
    # The cross-entropy of the classes, which correlates the outputs by itself, has little weight here.
    pairs = made_pairs(noise=0.3)
    run = partial(ALSCOR, **STEADY | VECTORS | {"epochs": 20, "learning_rate": 0.01, "label_weight": 0.1})
    risen, fallen = (run(correlation_sign=sign).fit(pairs).history["correlation"] for sign in ("resolved", "printed"))
    assert risen[0] == pytest.approx(fallen[0], abs=0.1)
    assert risen[-1] > risen[0] + 0.1 and fallen[-1] < fallen[0] - 0.1


def test_it_is_ranked_by_correlation_which_scale_and_shift_of_a_vector_do_not_change():
    assert ALSCOR.similarity == "correlation"
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 15, 6))
    expected = top(x, y, "correlation", 15)
    a, b = rng.uniform(0.1, 5, size=(2, 15, 1)), rng.normal(size=(2, 15, 1))
    found = top(a[0] * x + b[0], a[1] * y + b[1], "correlation", 15)
    np.testing.assert_array_equal(found[0], expected[0])
    pearson = np.corrcoef(x, y)[:15, 15:]
    np.testing.assert_array_equal(expected[0], np.argsort(-pearson, axis=1))
    assert (top(x, y, "cosine", 15)[0] != expected[0]).any()


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_training_does_the_steps_of_a_hand_written_loop(solver):
    pairs = word_pairs(n=100)
    method = ALSCOR(**SMALL | {"batch_size": 45}, solver=solver, learning_rate=0.01, weight_decay=0.03, epochs=3)
    model = method.fit(pairs, seed=4)
    generator = seeded_for(4, "alscor", CPU)
    network, batch = method.build(Inputs.of(pairs), generator), Batch.of(pairs, CPU)
    method.prepare(network, pairs)
    table = network.text_encoder.pretrained
    others = [own for own in network.parameters() if own is not table]
    groups = [{"params": others, "lr": 0.01}, {"params": [table], "lr": 0.001}]
    make = partial(torch.optim.SGD, momentum=0.8) if solver == "sgd" else torch.optim.Adam
    optimiser = make(groups, weight_decay=0.03)
    for epoch in range(3):
        for index in torch.randperm(100, generator=generator)[:90].split(45):
            terms = network.losses(batch.rows(index), epoch / 3)
            optimiser.zero_grad()
            (terms["label"] + terms["modality"] - terms["correlation"]).backward()
            optimiser.step()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    assert not torch.equal(table, built(method, pairs)[0].text_encoder.pretrained)


def test_dropout_is_of_what_the_head_takes_in():
    network, batch = built(ALSCOR(**SMALL), word_pairs())
    state = network.text_network[0].generators[0].get_state()
    found = network.embed_texts(batch.texts)
    mask = torch.empty(120, 16).bernoulli_(0.5, generator=seeded().set_state(state))
    pooled, last = network.text_encoder(batch.texts), network.text_network[-1]
    torch.testing.assert_close(found, 2 * mask * pooled @ last.weight + last.bias)
    assert [type(layer) for layer in network.image_network].count(Dropout) == 2


def test_new_image_layers_may_start_as_those_of_the_paper():
    network, _ = built(ALSCOR(**SMALL | {"image_widths": (80, 60)}, image_start="normal"), word_pairs())
    first, second, last = (layer.weight for layer in network.image_network if hasattr(layer, "weight"))
    for weight in (first, second):
        assert weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert last.std() > 0.1
    linear, _ = built(ALSCOR(**SMALL | {"image_widths": ()}, image_start="normal"), word_pairs())
    (only,) = (layer.weight for layer in linear.image_network if hasattr(layer, "weight"))
    assert only.shape == (20, 4) and only.std() > 0.1


def test_it_retrieves_unseen_texts_that_differ_in_the_order_of_their_words():
    train, valid, test = word_pairs(0, 300), word_pairs(1), word_pairs(2)
    method = ALSCOR(**STEADY | {"batch_size": 100, "learning_rate": 0.02, "lstm_width": 32, "epochs": 25})
    model = method.fit(train, valid)
    assert score(method, model, test) > 0.9
    # Of the words without their order half can be told.
    blind = replace(test, texts=np.sort(test.texts, axis=1))
    assert score(method, model, blind) < 0.65
    assert max(model.history["valid_map"]) == pytest.approx(score(method, model, valid))


@pytest.mark.parametrize("multi_label", [False, True])
def test_it_retrieves_unseen_vectors_of_the_same_classes(multi_label):
    train, valid, test = (made_pairs(seed, multi_label=multi_label) for seed in range(3))
    method = ALSCOR(**SMALL | VECTORS | {"learning_rate": 0.01})
    model = method.fit(train, valid)
    untrained = replace(method, epochs=1, learning_rate=1e-9).fit(train)
    assert score(method, model, test) > score(method, untrained, test) + 0.25


def test_graphs_that_the_compiler_takes_of_the_losses_train_the_same(monkeypatch):
    pairs, method = word_pairs(), ALSCOR(**SMALL | {"epochs": 2})
    plain = method.fit(pairs)
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_(function, backend="eager"))
    compiled = method.fit(pairs, compute=Compute(compile=True))
    for name, values in plain.history.items():
        np.testing.assert_allclose(compiled.history[name], values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
@pytest.mark.parametrize("text_network", ["bilstm_cnn", "perceptron"])
def test_mixed_precision_trains_to_about_the_same_losses(text_network, seeds):
    pairs = word_pairs() if text_network == "bilstm_cnn" else made_pairs()
    method = ALSCOR(**SMALL | {"epochs": 2}, text_network=text_network)
    single = method.fit_seeds(pairs, seeds=seeds)
    mixed = method.fit_seeds(pairs, seeds=seeds, compute=Compute(mixed_precision=True))
    for seed, model in mixed.items():
        np.testing.assert_allclose(model.history["loss"], single[seed].history["loss"], rtol=0.05)
        assert model.history["loss"] != single[seed].history["loss"]


def test_batches_hold_at_least_ten_pairs_a_component():
    ALSCOR(**SMALL | {"epochs": 1, "batch_size": 40}).fit(word_pairs(n=60))
    for batch_size, n in ((39, 60), (60, 39)):
        with pytest.raises(InfeasibleError, match=r"alscor: n_components=4 needs batches of at least 40 .* to 3"):
            ALSCOR(**SMALL | {"batch_size": batch_size}).fit(word_pairs(n=n))


def test_texts_of_the_other_kind_are_refused_with_a_way_out():
    with pytest.raises(NotApplicableError, match=r"alscor: text_network=bilstm_cnn reads tokens.*=perceptron"):
        ALSCOR(**SMALL).fit(made_pairs())
    with pytest.raises(NotApplicableError, match=r"alscor: text_network=perceptron reads vectors.*=bilstm_cnn"):
        ALSCOR(**SMALL | VECTORS).fit(word_pairs())


def test_perceptrons_train_in_one_go_and_networks_that_read_words_one_by_one():
    assert built(ALSCOR(**SMALL | VECTORS), made_pairs())[0].trains_together
    assert not built(ALSCOR(**SMALL), word_pairs())[0].trains_together


def test_chance_comes_from_the_seed_alone():
    pairs, method = word_pairs(), ALSCOR(**SMALL | {"epochs": 2})
    torch.manual_seed(1)
    before, one = torch.get_rng_state(), method.fit(pairs, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    other = method.fit(pairs, seed=2)
    np.testing.assert_array_equal(one.embed_texts(pairs.texts), other.embed_texts(pairs.texts))


def test_features_of_another_scale_give_the_same_embeddings():
    pairs = word_pairs()  # a power of two, so that not even rounding differs
    scaled = replace(pairs, images=1024 * pairs.images)
    one, other = (ALSCOR(**SMALL | {"epochs": 2}).fit(part) for part in (pairs, scaled))
    np.testing.assert_allclose(other.embed_images(scaled.images), one.embed_images(pairs.images), atol=1e-5)


def test_a_text_without_words_has_an_embedding():
    pairs = word_pairs()
    model = ALSCOR(**SMALL | {"epochs": 2}).fit(pairs)
    empty = np.concatenate([np.zeros_like(pairs.texts[:1]), pairs.texts])
    codes = model.embed_texts(empty)
    assert np.isfinite(codes).all()
    np.testing.assert_allclose(codes[1:], model.embed_texts(pairs.texts), atol=1e-5)
