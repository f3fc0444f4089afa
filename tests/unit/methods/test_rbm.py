from itertools import product

import numpy as np
import pytest
import torch

from cmr.errors import UserError
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence
from cmr.methods.boltzmann.rbm import BernoulliRBM, GaussianRBM, ReplicatedSoftmaxRBM
from cmr.methods.boltzmann.stack import Stack, fit_stack
from cmr.progress import Progress

KINDS = [BernoulliRBM, GaussianRBM, ReplicatedSoftmaxRBM]
CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(kind, n_visible=6, n_hidden=3, scale=0.7):
    """A model with parameters of noticeable size, in double precision."""
    rbm = kind(n_visible, n_hidden).double()
    for parameter in rbm.buffers():
        parameter.normal_(0, scale, generator=seeded(1))
    return rbm


def visible(kind, n=4, d=6):
    """Data that the kind of unit can hold."""
    u = torch.rand(n, d, generator=seeded(2), dtype=torch.float64)
    return {BernoulliRBM: (u > 0.5).double(), GaussianRBM: 3 * u - 1, ReplicatedSoftmaxRBM: (4 * u).floor()}[kind]


def all_states(n):
    return torch.tensor(list(product((0.0, 1.0), repeat=n)), dtype=torch.float64)


def card_energy(rbm, v, h):
    """The three energies as the card writes them, one pair (v, h) at a time."""
    W, a, b = (parameter.numpy() for parameter in rbm.buffers())
    v, h = v.numpy(), h.numpy()
    if isinstance(rbm, GaussianRBM):
        return 0.5 * np.sum((v - a) ** 2) - v @ W @ h - b @ h
    length = v.sum() if isinstance(rbm, ReplicatedSoftmaxRBM) else 1.0
    return -v @ W @ h - a @ v - length * b @ h


@pytest.mark.parametrize("kind", KINDS)
def test_conditional_and_free_energy_agree_with_enumerated_hidden_states(kind):
    rbm, hidden = tiny(kind), all_states(3)
    for v in visible(kind):
        energies = np.array([card_energy(rbm, v, h) for h in hidden])
        joint = np.exp(-energies)
        np.testing.assert_allclose(rbm(v[None])[0], joint @ hidden.numpy() / joint.sum(), rtol=1e-10)
        np.testing.assert_allclose(rbm.free_energy(v[None])[0], -np.log(joint.sum()), rtol=1e-10)
        np.testing.assert_allclose(rbm.energy(v.expand(len(hidden), -1), hidden), energies, rtol=1e-10)


def test_bernoulli_visible_mean_agrees_with_enumerated_visible_states():
    rbm, states = tiny(BernoulliRBM), all_states(6)
    for h in all_states(3):
        joint = np.exp([-card_energy(rbm, v, h) for v in states])
        mean = rbm.visible_mean(h[None], torch.ones(1, 1))[0]
        np.testing.assert_allclose(mean, joint @ states.numpy() / joint.sum(), rtol=1e-10)


def test_a_word_is_drawn_with_the_probability_that_one_word_documents_have():
    rbm = tiny(ReplicatedSoftmaxRBM)
    for h in all_states(3):
        joint = np.exp([-card_energy(rbm, v, h) for v in torch.eye(6, dtype=torch.float64)])
        mean = rbm.visible_mean(h[None], torch.full((1, 1), 7.0))[0]
        np.testing.assert_allclose(mean, 7 * joint / joint.sum(), rtol=1e-10)


def test_gaussian_visible_mean_is_where_the_energy_is_least():
    rbm, h = tiny(GaussianRBM), all_states(3)
    v = rbm.visible_mean(h, torch.ones(8, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(rbm.energy(v, h).sum(), v)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)


def test_doubled_counts_double_the_bias_term():
    rbm, v = tiny(ReplicatedSoftmaxRBM), visible(ReplicatedSoftmaxRBM)
    length = v.sum(1, keepdim=True)
    expected = torch.sigmoid(2 * v @ rbm.weights + 2 * length * rbm.hidden_bias)
    torch.testing.assert_close(rbm(2 * v), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_with_zero_weights_the_initial_bias_gives_the_data_mean(kind):
    data, rbm = visible(kind, n=2000), kind(6, 3).double()
    rbm.visible_bias.copy_(rbm.marginal_bias(data))
    mean = rbm.visible_mean(torch.zeros(1, 3, dtype=torch.float64), rbm.length(data).mean().view(1, 1))[0]
    torch.testing.assert_close(mean, data.mean(0), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_the_difference_of_the_statistics(kind, monkeypatch):
    """The sampled hidden units are replaced by the likelier state, so that the step can be computed by hand."""
    monkeypatch.setattr(torch, "bernoulli", lambda p, generator: (p > 0.5).to(p))
    rbm, v = tiny(kind, scale=0.2), visible(kind)
    W, a, b = rbm.weights, rbm.visible_bias, rbm.hidden_bias
    length = v.sum(1, keepdim=True) if kind is ReplicatedSoftmaxRBM else torch.ones(len(v), 1)
    h = torch.sigmoid(v @ W + length * b)
    down = (h > 0.5).double() @ W.T + a
    v_model = {
        BernoulliRBM: down.sigmoid(),
        GaussianRBM: down,
        ReplicatedSoftmaxRBM: length * down.softmax(1),
    }[kind]
    h_model = torch.sigmoid(v_model @ W + length * b)
    outer = torch.einsum("nv,nh->vh", v, h) - torch.einsum("nv,nh->vh", v_model, h_model)
    gradients, _ = ContrastiveDivergence(0.1, weight_decay=0.01).gradients(rbm, v, seeded())
    torch.testing.assert_close(gradients[0], outer / len(v) - 0.01 * W)
    torch.testing.assert_close(gradients[1], (v - v_model).mean(0))
    torch.testing.assert_close(gradients[2], (length * (h - h_model)).mean(0))
    assert gradients[2].abs().max() > 1e-3


def test_longer_chains_leave_the_data_further_behind():
    """The gradient of CD-k nears that of the likelihood, here by enumeration, as k grows."""
    rbm, states = tiny(BernoulliRBM, scale=1.0), all_states(6)
    probability = torch.softmax(-rbm.free_energy(states), 0)
    v = visible(BernoulliRBM, n=1).expand(4000, -1)
    exact = v[0] - probability @ states

    def miss(k):
        return (ContrastiveDivergence(0.1, gibbs_steps=k).gradients(rbm, v, seeded())[0][1] - exact).norm()

    assert miss(1) > 2 * miss(20)


def clustered(kind, n=200, d=20):
    """Two clusters of rows, which a hidden unit can tell apart."""
    high = torch.rand(n, 1, generator=seeded(3)) < 0.5
    level = torch.where(high == (torch.arange(d) < d // 2), 0.8, 0.2)
    if kind is BernoulliRBM:
        return torch.bernoulli(level, generator=seeded(4))
    if kind is GaussianRBM:
        x = level * 4 + torch.randn(n, d, generator=seeded(4))
        return (x - x.mean(0)) / x.std(0)
    return torch.poisson(5 * level, generator=seeded(4))


RATES = {BernoulliRBM: 0.05, GaussianRBM: 0.01, ReplicatedSoftmaxRBM: 0.002}


@pytest.mark.parametrize("kind", KINDS)
def test_reconstruction_error_falls_and_noise_becomes_less_likely_than_data(kind):
    data, rbm = clustered(kind), kind(20, 8)
    noise = torch.stack([column[torch.randperm(len(data), generator=seeded(i))] for i, column in enumerate(data.T)], 1)
    if kind is ReplicatedSoftmaxRBM:  # compare documents of one length
        noise = noise * data.sum(1, keepdim=True) / noise.sum(1, keepdim=True)

    def gap():
        return (rbm.free_energy(noise).mean() - rbm.free_energy(data).mean()).item()

    rbm.initialise(data, seeded())
    before = gap()
    history = ContrastiveDivergence(RATES[kind], epochs=30).fit(rbm, data, seeded())
    errors = history["reconstruction_error"]
    assert len(errors) == 30
    assert errors[-1] < 0.9 * errors[0]
    assert gap() > before + 0.1


def test_exact_log_likelihood_of_a_tiny_model_rises():
    data, states = clustered(BernoulliRBM, d=8), all_states(8).float()

    def log_likelihood(epochs):
        rbm = BernoulliRBM(8, 4)
        ContrastiveDivergence(0.05, epochs=epochs, batch_size=20).fit(rbm, data, seeded())
        return (-rbm.free_energy(data).mean() - torch.logsumexp(-rbm.free_energy(states), 0)).item()

    untrained, halfway, trained = (log_likelihood(epochs) for epochs in (0, 20, 60))
    assert untrained + 0.2 < halfway < trained


@pytest.mark.parametrize("kind", KINDS)
def test_training_depends_on_its_generator_alone(kind):
    def weights(seed):
        rbm = kind(20, 8)
        ContrastiveDivergence(RATES[kind], epochs=2).fit(rbm, clustered(kind), seeded(seed))
        return rbm.weights

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = weights(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_empty_documents_are_left_out_of_training_and_share_one_output():
    documents = clustered(ReplicatedSoftmaxRBM)
    with_empty = torch.cat([torch.zeros(5, 20), documents, torch.zeros(3, 20)])
    models = [ReplicatedSoftmaxRBM(20, 8) for _ in range(2)]
    for rbm, data in zip(models, (documents, with_empty), strict=True):
        ContrastiveDivergence(0.002, epochs=3).fit(rbm, data, seeded())
    assert torch.equal(models[0].weights, models[1].weights)
    torch.testing.assert_close(models[1](torch.zeros(2, 20)), torch.full((2, 8), 0.5))


def test_counts_without_a_word_are_refused():
    with pytest.raises(UserError, match="only zero counts"):
        ContrastiveDivergence(0.002).fit(ReplicatedSoftmaxRBM(20, 8), torch.zeros(5, 20), seeded())


def test_a_stack_over_counts_does_not_see_how_long_a_document_is():
    counts = clustered(ReplicatedSoftmaxRBM)
    stack = Stack.of(20, (8, 4), counts=True)
    stack.fit(counts.numpy(), epochs=60, batch_size=20, generator=seeded())
    outputs = stack(counts)
    assert outputs.shape == (200, 4)
    torch.testing.assert_close(stack(3 * counts), outputs)
    assert outputs.std(0).max() > 0.01


def test_the_second_layer_is_trained_on_the_probabilities_of_the_first(monkeypatch):
    seen = []
    original = ContrastiveDivergence.fit
    monkeypatch.setattr(
        ContrastiveDivergence, "fit", lambda *arguments: (seen.append(arguments[2].clone()), original(*arguments))[1]
    )
    x = 50 + 10 * clustered(GaussianRBM).numpy()
    stack = Stack.of(20, (8, 4), counts=False)
    history = stack.fit(x, epochs=3, batch_size=50, generator=seeded())
    torch.testing.assert_close(seen[0], torch.from_numpy((x - x.mean(0)) / x.std(0)).clamp(-5, 5), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(seen[1], stack.rbms[0](seen[0]))
    assert {name: len(errors) for name, errors in history.items()} == {"rbm_1": 3, "rbm_2": 3}


def test_a_stack_of_the_same_data_and_settings_is_trained_once(tmp_path, monkeypatch):
    progress, x = Progress(stages=tmp_path, quiet=True), clustered(GaussianRBM).numpy()
    trained = []
    original = Stack.fit
    monkeypatch.setattr(Stack, "fit", lambda *arguments: (trained.append(1), original(*arguments))[1])

    def stack(x=x, epochs=2, seed=0):
        return fit_stack(
            x, (8, 4), counts=False, epochs=epochs, batch_size=50, seed=seed, purpose="images",
            device=CPU, progress=progress,
        )  # fmt: skip

    (first, history), (again, same_history) = stack(), stack()
    assert len(trained) == 1
    assert same_history == history
    values = torch.from_numpy(x)
    assert torch.equal(first(values), again(values))
    for other in ({"epochs": 3}, {"seed": 1}, {"x": x + 1}):
        stack(**other)
    assert len(trained) == 4


def test_another_seed_or_purpose_gives_another_stack():
    x = clustered(GaussianRBM).numpy()

    def weights(seed, purpose):
        settings = {"counts": False, "epochs": 1, "batch_size": 50, "device": CPU}
        stack, _ = fit_stack(x, (8, 4), seed=seed, purpose=purpose, **settings)
        return torch.cat([stack.rbms[0].weights.flatten(), stack.rbms[1].weights.flatten()])

    first = weights(0, "images")
    assert torch.equal(first, weights(0, "images"))
    assert not torch.equal(first, weights(1, "images"))
    assert not torch.equal(first, weights(0, "texts"))
