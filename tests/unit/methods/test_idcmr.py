from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from cmr import training
from cmr.compute import Compute
from cmr.methods.base import InfeasibleError
from cmr.methods.deep.dscmr import DSCMR
from cmr.methods.deep.idcmr import IDCMR, joint_classifier, printed_likelihood, summed_classifiers
from cmr.methods.deep.losses import mean_frobenius_norm, pairwise_likelihood, share_a_label
from tests.unit.methods.deep.made import built, gradients, made_pairs, randn, score

SMALL = {
    "n_components": 8,
    "image_widths": (16,),
    "text_widths": (16,),
    "batch_size": 20,
    "epochs": 15,
    "learning_rate": 0.01,
}
PLAIN = SMALL | {"input_dropout": 0.0}
AS_DSCMR = {"theta": "half_cosine", "classifier": "trained", "initial_scale": 1.0}


def codes_and_labels(n=30, d=6, c=4):
    labels = torch.nn.functional.one_hot(torch.arange(n) % c, c).double()
    labels[::5, 0] = 1  # some rows have two
    return randn(n, d), randn(n, d, seed=1), labels


def squared_objective(c, u, v, z, ridge):
    """Eq. 18 with squared norms, plus the ridge; its minimum is what step 7 is for."""
    return (u @ c - z).square().sum() + (v @ c - z).square().sum() + ridge * len(z) * c.square().sum()


@pytest.mark.parametrize("d", [6, 100], ids=["more items", "more dimensions"])
def test_the_joint_classifier_minimises_the_squared_distances_to_the_labels_and_its_ridge(d):
    u, v, z = codes_and_labels(d=d)
    c = joint_classifier(u, v, z, 0.1).requires_grad_()
    (gradient,) = torch.autograd.grad(squared_objective(c, u, v, z, 0.1), c)
    assert gradient.abs().max() < 1e-9
    for direction in (randn(*c.shape, seed=seed) for seed in range(3)):
        below, at, above = (
            squared_objective(c.detach() + step * direction, u, v, z, 0.1) for step in (-1e-3, 0.0, 1e-3)
        )
        assert min(below, above) > at
        assert abs(above - below) / 2e-3 < 1e-6


def test_solutions_for_several_networks_are_those_of_each():
    u, v, z = codes_and_labels()
    others = randn(30, 6, seed=2), randn(30, 6, seed=3), z.roll(1, 0)
    for solve in (joint_classifier, summed_classifiers):
        together = solve(*(torch.stack(both) for both in zip((u, v, z), others, strict=True)), 0.1)
        for own, one in zip(together, ((u, v, z), others), strict=True):
            torch.testing.assert_close(own, solve(*one, 0.1))


def test_the_printed_classifier_adds_two_whole_solutions_and_so_predicts_twice_the_labels():
    u, v, z = codes_and_labels()
    normal = [np.linalg.inv((x.T @ x + 0.1 * 30 * torch.eye(6)).numpy()) @ (x.T @ z).numpy() for x in (u, v)]
    np.testing.assert_allclose(summed_classifiers(u, v, z, 0.1).numpy(), sum(normal), rtol=1e-10)
    exact = z @ randn(4, 6, seed=4)  # codes of which the labels are a linear function
    joint, summed = (solve(exact, exact, z, 1e-12) for solve in (joint_classifier, summed_classifiers))
    torch.testing.assert_close(exact @ joint, z, atol=1e-6, rtol=0)
    torch.testing.assert_close(exact @ summed, 2 * z, atol=1e-6, rtol=0)


def test_similarities_of_several_labels_are_clipped_symmetric_and_one_to_oneself():
    labels = torch.from_numpy(made_pairs(n=50, multi_label=True).labels).float()
    similar = share_a_label(labels)
    assert (labels @ labels.T).max() > 1  # so that clipping matters
    assert set(similar.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(similar, similar.T) and (similar.diagonal() == 1).all()


@pytest.mark.parametrize("theta", ["half_dot", "dot", "half_cosine"])
@pytest.mark.parametrize("divisor", ["pairs", "items"])
def test_the_resolved_likelihood_is_bernoullis_of_the_sigmoid_summed_over_both_modalities(theta, divisor):
    u, v, z = codes_and_labels()
    network, _ = built(IDCMR(**PLAIN, theta=theta, likelihood_divisor=divisor), made_pairs(n=30))
    expected = 0.0
    for x, y in ((u, v), (u, u), (v, v)):
        for i in range(30):
            for j in range(30):
                product = float(x[i] @ y[j])
                size = float(x[i].norm() * y[j].norm())
                own = {"half_dot": product / 2, "dot": product, "half_cosine": product / size / 2}[theta]
                share = bool((z[i] * z[j]).any())
                probability = 1 / (1 + np.exp(-own))
                expected -= np.log(probability if share else 1 - probability)
    expected /= 900 if divisor == "pairs" else 30
    assert network.objective(u, v, z)["likelihood"].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("norm", ["rows", "frobenius"])
@pytest.mark.parametrize("classifier", ["joint", "paper_sum"])
def test_distances_to_labels_and_within_pairs_are_those_of_eq_18(norm, classifier):
    u, v, z = codes_and_labels()
    network, _ = built(IDCMR(**PLAIN, norm=norm, classifier=classifier, classifier_ridge=0.2), made_pairs(n=30))
    losses = network.objective(u, v, z)
    c = {"joint": joint_classifier, "paper_sum": summed_classifiers}[classifier](u, v, z, 0.2)
    of = {
        "rows": lambda x: np.linalg.norm(x.numpy(), axis=1).mean(),
        "frobenius": lambda x: np.linalg.norm(x.numpy()) / 30,
    }[norm]
    assert losses["label"].item() == pytest.approx(of(u @ c - z) + of(v @ c - z), rel=1e-9)
    assert losses["pair"].item() == pytest.approx(of(u - v), rel=1e-9)


def test_norms_of_several_networks_are_those_of_each_and_have_a_gradient_at_zero():
    x = randn(3, 20, 5)
    torch.testing.assert_close(mean_frobenius_norm(x), torch.stack([own.norm() / 20 for own in x]))
    zero = torch.zeros(4, 5, requires_grad=True)
    assert torch.equal(torch.autograd.grad(mean_frobenius_norm(zero), zero)[0], torch.zeros(4, 5))


@pytest.mark.parametrize("classifier", ["joint", "paper_sum"])
def test_a_classifier_that_is_solved_for_is_a_constant_to_the_gradient_and_no_parameter(classifier):
    u, v, z = codes_and_labels()
    network, _ = built(IDCMR(**PLAIN, classifier=classifier), made_pairs(n=30))
    assert {name.split(".")[0] for name, _ in network.named_parameters()} == {"image_net", "text_net", "shared"}
    u.requires_grad_()
    (gradient,) = torch.autograd.grad(network.objective(u, v, z)["label"], u)
    c = {"joint": joint_classifier, "paper_sum": summed_classifiers}[classifier](u.detach(), v, z, 0.1)
    residual = u.detach() @ c - z
    torch.testing.assert_close(gradient, residual / residual.norm(dim=1, keepdim=True) @ c.T / 30)


@pytest.mark.parametrize("multi_label", [False, True])
def test_with_half_cosines_and_a_trained_classifier_it_is_dscmr_bit_for_bit(multi_label, monkeypatch):
    pairs, valid = (made_pairs(seed, multi_label=multi_label) for seed in (0, 1))
    common = {own.name: getattr(DSCMR(**SMALL), own.name) for own in fields(DSCMR)}
    dscmr, idcmr = DSCMR(**common), IDCMR(**common, **AS_DSCMR)
    (one, batch), (other, _) = (built(method, pairs) for method in (dscmr, idcmr))
    # Both draw the same dropout, from generators in the same state.
    losses, others = (network.losses(batch, 0.0) for network in (one, other))
    assert losses.keys() == others.keys()
    for name, loss in losses.items():
        assert torch.equal(loss, others[name]), name
        assert torch.equal(gradients(loss, one), gradients(others[name], other)), name
    monkeypatch.setattr(IDCMR, "name", "dscmr")  # which seeds the random source
    model, twin = (method.fit(pairs, valid) for method in (dscmr, idcmr))
    assert model.history == twin.history
    for name, weights in model.network.state_dict().items():
        assert torch.equal(weights, twin.network.state_dict()[name]), name


def test_the_initial_scale_lets_inner_products_begin_small():
    """In proportion to its square, as biases begin at zero."""
    (whole, batch), (small, _) = (built(IDCMR(**PLAIN, initial_scale=scale), made_pairs()) for scale in (1.0, 0.1))
    larger, smaller = (net.embed_images(batch.images) @ net.embed_texts(batch.texts).T for net in (whole, small))
    torch.testing.assert_close(smaller, 0.01 * larger, rtol=1e-4, atol=1e-6)


def test_the_printed_likelihood_is_what_eq_19_says_and_ends_at_minus_one():
    theta, similar = torch.tensor([[0.5, -0.9], [3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = np.mean([np.log(1.5) - 0.5, np.log(0.1), np.log(4.0), 0.0])
    assert printed_likelihood(theta, similar).item() == pytest.approx(expected, rel=1e-6)
    assert printed_likelihood(torch.full((1, 1), -1.0), torch.zeros(1, 1)) == -torch.inf
    assert printed_likelihood(torch.full((1, 1), -1.5), torch.zeros(1, 1)).isnan()
    assert pairwise_likelihood(torch.full((1, 1), -1.5), torch.zeros(1, 1)).isfinite()


@pytest.mark.parametrize("scale", [1.0, 0.1], ids=["at once", "in the course of training"])
@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_training_by_the_printed_likelihood_ends_with_the_equation_as_the_reason(scale, seeds):
    method = IDCMR(**SMALL, likelihood="printed", initial_scale=scale)
    with pytest.raises(InfeasibleError, match=r"^idcmr: eq\. 19 as printed .* Set likelihood to resolved"):
        method.fit_seeds(made_pairs(0), made_pairs(1), seeds=seeds)


def test_a_run_by_the_printed_likelihood_tells_the_reason_in_place_of_a_model():
    parts = {"train": made_pairs(0), "valid": made_pairs(1)}
    trained = training.train("cmr.methods.deep.idcmr.IDCMR", SMALL | {"likelihood": "printed"}, {}, parts, [0, 1])
    assert trained.models == {}
    assert trained.not_applicable.startswith("idcmr: eq. 19 as printed")


def test_what_is_refused_for_another_reason_is_not_said_to_be_the_equations_fault():
    with pytest.raises(InfeasibleError, match=r"idcmr: .* 16 and 8"):
        IDCMR(**SMALL | {"text_widths": (32, 8)}, likelihood="printed").fit(made_pairs())
    for change in ({}, {"likelihood": "printed", "theta": "half_cosine"}):  # of cosines the equation has a value
        with pytest.raises(InfeasibleError, match=r"^training diverged"):
            IDCMR(**SMALL | {"learning_rate": 1e30} | change).fit(made_pairs())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"theta": "dot"},
        {"theta": "half_cosine"},
        {"norm": "frobenius"},
        {"classifier": "trained"},
        {"n_components": 32},  # more than pairs in the last batch, and than classes
    ],
    ids=str,
)
def test_it_retrieves_unseen_pairs_of_the_same_classes(options):
    train, valid, test = (made_pairs(seed, multi_label=True) for seed in range(3))
    method = IDCMR(**SMALL | options)
    model, untrained = method.fit(train, valid), replace(method, epochs=1, learning_rate=1e-9).fit(train)
    assert score(method, model, test) > score(method, untrained, test) + 0.2
    h = {name: np.array(values) for name, values in model.history.items()}
    np.testing.assert_allclose(h["loss"], h["label"] + h["likelihood"] + 0.1 * h["pair"], rtol=1e-5)


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_mixed_precision_trains_to_about_the_same_losses(seeds):
    """The classifier is solved for in float64 whatever the products are in."""
    pairs, method = made_pairs(), IDCMR(**SMALL | {"epochs": 2})
    single = method.fit_seeds(pairs, seeds=seeds)
    mixed = method.fit_seeds(pairs, seeds=seeds, compute=Compute(mixed_precision=True))
    for seed in seeds:
        assert mixed[seed].history != single[seed].history
        for name, values in single[seed].history.items():
            np.testing.assert_allclose(mixed[seed].history[name], values, rtol=0.03, err_msg=name)


def test_texts_may_be_words_whose_vectors_are_trained_on():
    rng, pairs = np.random.default_rng(0), made_pairs()
    words = rng.integers(3, size=(len(pairs), 5)) + 3 * pairs.labels.argmax(1)[:, None] + 1
    words[:, 3:] *= rng.integers(2, size=(len(pairs), 2))  # some texts are shorter
    vectors = np.concatenate([np.zeros((1, 6)), rng.normal(size=(12, 6))]).astype(np.float32)
    texts = replace(pairs, texts=words.astype(np.int32), text_kind="tokens", text_arrays={"word_vectors": vectors})
    method = IDCMR(**SMALL)
    model = method.fit(texts)
    assert score(method, model, texts) > 0.8
    moved = model.network.text_encoder.pretrained.detach().numpy() - vectors
    assert np.abs(moved[1:]).max() > 1e-3
