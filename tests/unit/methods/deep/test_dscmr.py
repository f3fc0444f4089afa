from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr.methods.base import InfeasibleError
from cmr.methods.deep.dscmr import DSCMR, half_cosines
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


def test_half_cosines_are_within_a_half():
    x, y = randn(30, 5), randn(20, 5, seed=1)
    expected = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) / 2 for b in y.numpy()] for a in x.numpy()]
    np.testing.assert_allclose(half_cosines(x, y).numpy(), expected, rtol=1e-12)
    itself = half_cosines(x, x)
    assert (itself.abs() <= 0.5 + 1e-12).all() and itself.diagonal().numpy() == pytest.approx(0.5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_losses_are_those_of_the_paper(multi_label):
    pairs = made_pairs(n=30, multi_label=multi_label)
    network, batch = built(DSCMR(**PLAIN), pairs)
    losses = network.losses(batch, 0.0)
    u, v = (embed.detach().double() for embed in (network.embed_images(batch.images), network.embed_texts(batch.texts)))
    z, w, b = pairs.labels.astype(float), network.classifier.weight, network.classifier.bias
    p, q = ((codes @ w.detach().double() + b.detach()).numpy() for codes in (u, v))
    u, v = u.numpy(), v.numpy()
    norm = np.linalg.norm
    label = np.mean([norm(p[i] - z[i]) for i in range(30)]) + np.mean([norm(q[i] - z[i]) for i in range(30)])
    likelihood = 0.0
    for x, y in ((u, v), (u, u), (v, v)):
        terms = []
        for i in range(30):
            for j in range(30):
                theta = x[i] @ y[j] / norm(x[i]) / norm(y[j]) / 2
                terms.append(np.log(1 + np.exp(theta)) - (theta if (pairs.labels[i] & pairs.labels[j]).any() else 0))
        likelihood += np.mean(terms)
    assert losses["label"].item() == pytest.approx(label, rel=1e-5)
    assert losses["likelihood"].item() == pytest.approx(likelihood, rel=1e-5)
    assert losses["pair"].item() == pytest.approx(np.mean([norm(u[i] - v[i]) for i in range(30)]), rel=1e-5)


def test_the_likelihood_of_codes_without_a_direction_is_three_times_log_two():
    network, batch = built(DSCMR(**PLAIN), made_pairs())
    network.shared.weight.data.zero_()
    assert network.losses(batch, 0.0)["likelihood"].item() == pytest.approx(3 * np.log(2), rel=1e-6)


def test_gradients_stay_finite_where_all_codes_are_zero():
    network, batch = built(DSCMR(**PLAIN), made_pairs())
    network.shared.weight.data.zero_()
    assert gradients(sum(network.losses(batch, 0.0).values()), network).isfinite().all()


def test_one_layer_and_one_classifier_serve_both_modalities():
    network, batch = built(DSCMR(**PLAIN), made_pairs())
    before = network.embed_images(batch.images), network.embed_texts(batch.texts)
    for codes in before:
        assert gradients(codes.sum(), network.shared).any()
    network.shared.bias.data += 1
    after = network.embed_images(batch.images), network.embed_texts(batch.texts)
    for codes, embedded in zip(before, after, strict=True):
        torch.testing.assert_close(embedded, codes + 1)
    names = {name.split(".")[0] for name, _ in network.named_parameters()}
    assert names == {"image_net", "text_net", "shared", "classifier"}


def test_hidden_layers_that_the_shared_layer_does_not_fit_are_refused():
    with pytest.raises(InfeasibleError, match=r"dscmr: .* 16 and 8"):
        DSCMR(**SMALL | {"text_widths": (32, 8)}).fit(made_pairs())
    DSCMR(**SMALL | {"text_widths": (8, 16), "epochs": 1}).fit(made_pairs())


@pytest.mark.parametrize("multi_label", [False, True])
def test_it_retrieves_unseen_pairs_of_the_same_classes(multi_label):
    train, valid, test = (made_pairs(seed, multi_label=multi_label) for seed in range(3))
    method = DSCMR(**SMALL)
    model, untrained = method.fit(train, valid), replace(method, epochs=1, learning_rate=1e-9).fit(train)
    assert score(method, model, test) > score(method, untrained, test) + 0.25
    h = {name: np.array(values) for name, values in model.history.items()}
    np.testing.assert_allclose(h["loss"], h["label"] + h["likelihood"] + 0.1 * h["pair"], rtol=1e-5)


def test_at_the_released_weight_the_likelihood_hardly_moves_the_codes():
    """Its gradient is under a hundredth of the labels': a pair is similar in one of c cases, and cosines are halved."""
    network, batch = built(DSCMR(**PLAIN), made_pairs())
    losses = network.losses(batch, 0.0)
    label, likelihood = (gradients(losses[name], network.image_net).norm() for name in ("label", "likelihood"))
    assert 0 < 1e-3 * likelihood < 0.01 * label
