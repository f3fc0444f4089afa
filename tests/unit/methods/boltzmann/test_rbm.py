import numpy as np
import pytest
import torch

from cmr.methods.boltzmann.rbm import BernoulliRBM, GaussianRBM, ReplicatedSoftmaxRBM
from tests.unit.methods.boltzmann.made import KINDS, all_states, seeded, tiny, visible


def card_energy(rbm, v, h):
    """The three energies as the card writes them, one pair (v, h) at a time."""
    W, a, b = (parameter.numpy() for parameter in rbm.buffers())
    v, h = v.numpy(), h.numpy()
    if isinstance(rbm, GaussianRBM):
        return 0.5 * np.sum(((v - a) / rbm.s) ** 2) - (v / rbm.s) @ W @ h - b @ h
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


def test_gaussian_visible_units_are_normal_about_the_least_energy_with_the_curvature_of_the_energy():
    rbm, h = tiny(GaussianRBM), all_states(3)
    v = rbm.visible_mean(h, torch.ones(8, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(rbm.energy(v, h).sum(), v, create_graph=True)
    np.testing.assert_allclose(gradient.detach(), 0, atol=1e-12)
    (curvature,) = torch.autograd.grad(gradient.sum(), v)
    draws = rbm.draw(torch.zeros(20000, 6, dtype=torch.float64), seeded())
    np.testing.assert_allclose(draws.var(0), 1 / curvature[0], rtol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_states_are_possible_ones_of_the_asked_mean(kind):
    rbm = tiny(kind)
    mean = rbm.visible_mean(all_states(3)[5:6], torch.full((1, 1), 7.0)).expand(20000, -1)
    draws = rbm.draw(mean, seeded())
    np.testing.assert_allclose(draws.mean(0), mean[0], atol=0.05)
    if kind is BernoulliRBM:
        assert set(draws.unique().tolist()) == {0.0, 1.0}
    if kind is ReplicatedSoftmaxRBM:
        assert torch.equal(draws, draws.round())
        np.testing.assert_allclose(draws.sum(1), 7)
        p = mean[0] / 7  # the covariance of a multinomial
        np.testing.assert_allclose(np.cov(draws.T), 7 * (np.diag(p) - np.outer(p, p)), atol=0.06)


def test_drawn_documents_keep_lengths_that_differ_and_are_not_whole():
    rbm, lengths = tiny(ReplicatedSoftmaxRBM), torch.tensor([[3.0], [7.5], [0.2]], dtype=torch.float64)
    draws = rbm.draw(rbm.visible_mean(all_states(3)[:3], lengths), seeded())
    torch.testing.assert_close(draws.sum(1, keepdim=True), lengths)


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
def test_statistics_are_the_derivatives_of_the_mean_energy(kind):
    rbm, v = tiny(kind), visible(kind)
    h = torch.rand(4, 3, generator=seeded(), dtype=torch.float64)
    parameters = dict(rbm.named_buffers())
    for parameter in parameters.values():
        parameter.requires_grad_()
    rbm.energy(v, h).mean().backward()
    statistics = rbm.statistics(v, h)
    assert statistics.keys() == parameters.keys()
    for name, parameter in parameters.items():
        torch.testing.assert_close(statistics[name].detach(), -parameter.grad)


@pytest.mark.parametrize("kind", KINDS)
def test_machines_side_by_side_compute_as_each_alone(kind):
    machines = [tiny(kind), tiny(kind, scale=0.3)]
    both = tiny(kind)
    both.weights = torch.stack([rbm.weights for rbm in machines])
    both.visible_bias, both.hidden_bias = (
        torch.stack([getattr(rbm, name) for rbm in machines])[:, None] for name in ("visible_bias", "hidden_bias")
    )
    v = torch.stack([visible(kind), visible(kind).flip(0)])
    h = both(v)
    for own, x, code, energy, mean in zip(
        machines, v, h, both.free_energy(v), both.visible_mean(h, both.length(v)), strict=True
    ):
        torch.testing.assert_close(own(x), code)
        torch.testing.assert_close(own.free_energy(x), energy)
        torch.testing.assert_close(own.visible_mean(code, own.length(x)), mean)
