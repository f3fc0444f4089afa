import copy

import numpy as np
import pytest
import torch

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError
from cmr.methods.boltzmann import contrastive_divergence
from cmr.methods.boltzmann.contrastive_divergence import Ascent, ContrastiveDivergence, fit_rbm
from cmr.methods.boltzmann.rbm import BernoulliRBM, GaussianRBM, ReplicatedSoftmaxRBM
from cmr.progress import Progress
from tests.unit.methods.boltzmann.made import (
    CPU,
    KINDS,
    RATES,
    all_states,
    clustered,
    seeded,
    tiny,
    visible,
    with_noise,
)


def ascent_of(rbm, v, scale=0.7, **settings):
    """A training that stands at random parameters instead of its start."""
    ascent = Ascent(rbm, ContrastiveDivergence(0.1, **settings), v, seeded())
    with_noise(rbm, scale)
    return ascent


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_the_difference_of_the_statistics(kind, monkeypatch):
    """The sampled hidden units are replaced by the likelier state, so that the step can be computed by hand."""
    monkeypatch.setattr(contrastive_divergence, "draw_bits", lambda p, generator: (p > 0.5).to(p))
    rbm, v = tiny(kind), visible(kind)
    gradient, reconstruction = ascent_of(rbm, v, scale=0.2, weight_decay=0.01).gradient(v, 0)
    W, a, b = rbm.weights, rbm.visible_bias, rbm.hidden_bias
    s = rbm.s if kind is GaussianRBM else 1.0
    length = v.sum(1, keepdim=True) if kind is ReplicatedSoftmaxRBM else torch.ones(len(v), 1)
    h = torch.sigmoid(v / s @ W + length * b)
    down = s * (h > 0.5).double() @ W.T + a
    v_model = {
        BernoulliRBM: down.sigmoid(),
        GaussianRBM: down,
        ReplicatedSoftmaxRBM: length * down.softmax(1),
    }[kind]
    h_model = torch.sigmoid(v_model / s @ W + length * b)
    outer = torch.einsum("nv,nh->vh", v / s, h) - torch.einsum("nv,nh->vh", v_model / s, h_model)
    torch.testing.assert_close(reconstruction, v_model)
    torch.testing.assert_close(gradient["weights"], outer / len(v) - 0.01 * W)
    torch.testing.assert_close(gradient["visible_bias"], (v - v_model).mean(0) / s**2)
    torch.testing.assert_close(gradient["hidden_bias"], (length * (h - h_model)).mean(0))
    assert gradient["hidden_bias"].abs().max() > 1e-3


def test_longer_chains_leave_the_data_further_behind():
    """The gradient of CD-k nears that of the likelihood, here by enumeration, as k grows."""
    rbm, states = tiny(BernoulliRBM), all_states(6)
    v = visible(BernoulliRBM, n=1).expand(4000, -1)

    def miss(k):
        gradient, _ = ascent_of(rbm, v, scale=1.0, gibbs_steps=k).gradient(v, 0)
        return (gradient["visible_bias"] - (v[0] - torch.softmax(-rbm.free_energy(states), 0) @ states)).norm()

    assert miss(1) > 2 * miss(20)


def test_persistent_chains_come_to_the_distribution_of_the_model():
    rbm, states = tiny(BernoulliRBM), all_states(6)
    v = visible(BernoulliRBM, n=1).expand(4000, -1)
    ascent = ascent_of(rbm, v, scale=1.0, persistent=True, batch_size=4000)
    exact = torch.softmax(-rbm.free_energy(states), 0) @ states
    first, *_, last = (ascent.gradient(v, step)[0]["visible_bias"] - (v[0] - exact) for step in range(30))
    assert first.norm() > 2 * last.norm()
    assert last.abs().max() < 4 * 0.5 / 4000**0.5  # four standard errors of a binary unit's mean
    assert set(ascent.chains.unique().tolist()) == {0.0, 1.0}


def test_persistent_documents_keep_their_lengths_and_number_but_not_their_words():
    data = clustered(ReplicatedSoftmaxRBM, n=70)
    settings = ContrastiveDivergence(0.0005, batch_size=20, persistent=True)
    ascent = Ascent(ReplicatedSoftmaxRBM(20, 8), settings, data, seeded())
    before = ascent.chains.clone()
    for epoch in range(3):
        ascent.epoch(epoch)
    assert before.shape == ascent.chains.shape == (20, 20)
    torch.testing.assert_close(ascent.chains.sum(1), before.sum(1))
    assert len(before.sum(1).unique()) > 5
    assert not torch.equal(ascent.chains, before)


def test_visible_units_take_means_and_from_some_step_on_samples(monkeypatch):
    v, drawn = visible(BernoulliRBM), []
    ascent = ascent_of(tiny(BernoulliRBM), v, gibbs_steps=2, sampled_after=5)
    draw = BernoulliRBM.draw
    monkeypatch.setattr(BernoulliRBM, "draw", lambda *arguments: (drawn.append(1), draw(*arguments))[1])
    ascent.gradient(v, 4)
    assert not drawn
    ascent.gradient(v, 5)
    assert len(drawn) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_that_is_too_active_is_pushed_down_by_the_sparsity_cost(kind):
    v = visible(kind)
    (plain, _), (sparse, _) = (
        ascent_of(tiny(kind), v, sparsity_target=0.1, sparsity_cost=cost).gradient(v, 0) for cost in (0.0, 0.3)
    )
    rbm = with_noise(tiny(kind), 0.7)
    excess = 0.3 * (0.9 * 0.1 + 0.1 * rbm(v).mean(0) - 0.1)  # the average begins at the target
    torch.testing.assert_close(plain["hidden_bias"] - sparse["hidden_bias"], rbm.length(v).mean() * excess)
    torch.testing.assert_close(plain["weights"] - sparse["weights"], torch.outer(rbm.scaled(v).mean(0), excess))
    torch.testing.assert_close(plain["visible_bias"], sparse["visible_bias"])


def test_a_sparsity_cost_brings_activities_near_the_target():
    data = clustered(BernoulliRBM)

    def activity(cost):
        rbm = BernoulliRBM(20, 8)
        ContrastiveDivergence(0.05, 20, 20, sparsity_target=0.1, sparsity_cost=cost).fit(rbm, data, seeded())
        return rbm(data).mean(0)

    assert (activity(1.0) - 0.1).abs().max() < 0.2
    assert (activity(0.0) - 0.1).abs().max() > 0.3


def test_settings_of_a_step_follow_the_rules_of_the_released_code():
    deepnet = ContrastiveDivergence(0.1, halving_steps=10000, momentum_steps=5000, gibbs_growth=(15000, 5000))
    assert [deepnet.rate_at(step) for step in (0, 10000, 30000)] == [0.1, 0.05, 0.025]
    assert deepnet.momentum_at(0, 0) == 0.5
    assert deepnet.momentum_at(5000, 9) == pytest.approx(0.9 - 0.4 / np.e)
    assert [deepnet.gibbs_steps_at(step) for step in (0, 14999, 15000, 19999, 20000, 25000)] == [1, 1, 2, 2, 3, 4]
    plain = ContrastiveDivergence(0.1)
    assert plain.rate_at(10**6) == 0.1
    assert [plain.momentum_at(0, epoch) for epoch in (0, 4, 5, 50)] == [0.5, 0.5, 0.9, 0.9]
    assert plain.gibbs_steps_at(10**6) == 1


def test_steps_accumulate_by_momentum_at_the_rate_of_their_number(monkeypatch):
    """Every gradient is replaced by ones: then the biases are the sums of a recursion."""
    rbm = BernoulliRBM(6, 3)
    settings = ContrastiveDivergence(0.1, batch_size=2, halving_steps=3, momentum_steps=4)
    ascent = Ascent(rbm, settings, visible(BernoulliRBM, n=5).float(), seeded())
    ones = {name: torch.ones_like(parameter) for name, parameter in rbm.named_buffers()}
    monkeypatch.setattr(Ascent, "gradient", lambda self, v, step: (ones, v))
    for epoch in range(2):
        ascent.epoch(epoch)
    total, last = 0.0, 0.0
    for step in range(6):  # three batches an epoch
        last = settings.momentum_at(step, 0) * last + 0.1 / (1 + step / 3)
        total += last
    torch.testing.assert_close(rbm.hidden_bias, torch.full((3,), total))


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


@pytest.mark.parametrize("settings", [{"learning_rate": 0.05}, {"learning_rate": 0.03, "persistent": True}])
def test_exact_log_likelihood_of_a_tiny_model_rises(settings):
    data, states = clustered(BernoulliRBM, d=8), all_states(8).float()

    def log_likelihood(epochs):
        rbm = BernoulliRBM(8, 4)
        ContrastiveDivergence(**settings, epochs=epochs, batch_size=20).fit(rbm, data, seeded())
        return (-rbm.free_energy(data).mean() - torch.logsumexp(-rbm.free_energy(states), 0)).item()

    untrained, halfway, trained = (log_likelihood(epochs) for epochs in (0, 20, 60))
    assert untrained + 0.2 < halfway < trained


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("persistent", [False, True])
def test_training_depends_on_its_generator_alone(kind, persistent):
    def weights(seed):
        rbm = kind(20, 8)
        settings = ContrastiveDivergence(RATES[kind] / 5, epochs=2, persistent=persistent)
        settings.fit(rbm, clustered(kind), seeded(seed))
        return rbm.weights

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = weights(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_a_training_goes_on_from_its_buffers_and_its_generator():
    data = clustered(BernoulliRBM)
    settings = ContrastiveDivergence(0.01, batch_size=30, persistent=True, sparsity_cost=0.1, halving_steps=9)

    def training(seed):
        return Ascent(BernoulliRBM(20, 8), settings, data, seeded(seed))

    whole, resumed = training(0), training(1)
    for epoch in range(6):
        if epoch == 3:
            state, source = copy.deepcopy(whole.state_dict()), whole.generator.get_state()
        whole.epoch(epoch)
    resumed.load_state_dict(state)
    resumed.generator.set_state(source)
    for epoch in range(3, 6):
        resumed.epoch(epoch)
    assert torch.equal(resumed.rbm.weights, whole.rbm.weights)


@pytest.mark.parametrize("kind", [GaussianRBM, ReplicatedSoftmaxRBM])
@pytest.mark.parametrize("persistent", [False, True])
def test_training_that_diverges_is_refused_with_the_epoch(kind, persistent):
    settings = ContrastiveDivergence(1e37, batch_size=20, persistent=persistent)
    with pytest.raises(InfeasibleError, match=rf"{kind.__name__} diverged in epoch 1 of 20 .*Lower its learning rate"):
        settings.fit(kind(20, 8), clustered(kind), seeded())


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


def test_weights_start_at_the_asked_scale():
    rbm = BernoulliRBM(200, 100)
    ContrastiveDivergence(0.1, epochs=0, weight_scale=0.5).fit(rbm, torch.rand(9, 200, generator=seeded()), seeded())
    assert rbm.weights.std().item() == pytest.approx(0.5, rel=0.02)


def test_a_machine_of_the_same_data_and_settings_is_trained_once(tmp_path, monkeypatch):
    progress, x = Progress(stages=tmp_path, quiet=True), clustered(GaussianRBM).numpy()
    trained, epoch = [], Ascent.epoch
    monkeypatch.setattr(Ascent, "epoch", lambda *arguments: (trained.append(1), epoch(*arguments))[1])

    def weights(x=x, seed=0, purpose="first", s=1.0, n_hidden=8, **settings):
        rbm = GaussianRBM(20, n_hidden, s=s)
        divergence = ContrastiveDivergence(0.002, epochs=1, **settings)
        history = fit_rbm(rbm, x, divergence, seed=seed, purpose=purpose, device=CPU, progress=progress)
        return rbm.weights, history

    (first, history), (again, same_history) = weights(), weights()
    assert len(trained) == 1
    assert torch.equal(first, again) and history == same_history
    others = [{"seed": 1}, {"purpose": "other"}, {"x": x + 1}, {"s": 0.9}, {"n_hidden": 7}, {"sparsity_cost": 0.1}]
    for number, other in enumerate(others, start=2):
        found, _ = weights(**other)
        assert len(trained) == number
        assert found.shape != first.shape or not torch.equal(found, first)
