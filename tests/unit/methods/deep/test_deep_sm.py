from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from cmr.methods.deep.deep_sm import DeepSM
from tests.unit.methods.deep.made import built, gradients, made_pairs, score

SMALL = {"image_widths": (16,), "text_widths": (16, 16), "epochs": 8, "batch_size": 20, "learning_rate": 0.01}


def columns(pairs, order):
    return replace(pairs, labels=pairs.labels[:, order])


def test_the_losses_are_cross_entropies_of_each_side_alone():
    network, batch = built(DeepSM(**SMALL, dropout=0.0), made_pairs())
    losses = network.losses(batch, 0.0)
    for loss, scores in (("images", network.image_scores(batch.images)), ("texts", network.text_scores(batch.texts))):
        logs = log_softmax(scores.detach().double().numpy(), axis=1)
        assert losses[loss].item() == pytest.approx(-logs[batch.labels.bool().numpy()].mean(), rel=1e-5)
    assert gradients(losses["images"], network.image_net).any() and gradients(losses["texts"], network.text_net).any()
    assert not gradients(losses["images"], network.text_net).any()
    assert not gradients(losses["texts"], network.image_net).any()


def test_the_network_of_a_side_is_the_same_whatever_the_other_side_shows():
    train = made_pairs()
    model = DeepSM(**SMALL).fit(train)
    for side, embed in (("texts", "embed_images"), ("images", "embed_texts")):
        others = replace(train, **{side: getattr(train, side)[::-1].copy()})
        items = train.images if embed == "embed_images" else train.texts
        np.testing.assert_array_equal(getattr(DeepSM(**SMALL).fit(others), embed)(items), getattr(model, embed)(items))


def test_pairing_items_of_a_class_anew_leaves_results_alike():
    train, test = made_pairs(), made_pairs(1)
    shuffled, rng = train.texts.copy(), np.random.default_rng(0)
    for members in (np.flatnonzero(column) for column in train.labels.T):
        shuffled[members] = shuffled[rng.permutation(members)]
    assert not np.array_equal(shuffled, train.texts)
    method = DeepSM(**SMALL)
    paired, unpaired = (method.fit(part) for part in (train, replace(train, texts=shuffled)))
    assert score(method, unpaired, test) == pytest.approx(score(method, paired, test), abs=0.05)


def test_another_order_of_classes_leaves_the_map_alike():
    train, valid, test = (made_pairs(seed) for seed in range(3))
    method, order = DeepSM(**SMALL), [2, 0, 3, 1]
    one = method.fit(train, valid)
    other = method.fit(columns(train, order), columns(valid, order))
    assert score(method, one, test) > 0.8
    assert score(method, other, columns(test, order)) == pytest.approx(score(method, one, test), abs=0.05)


@pytest.mark.parametrize("multi_label", [False, True])
def test_embeddings_are_posteriors_by_which_it_retrieves_unseen_pairs(multi_label):
    train, valid, test = (made_pairs(seed, multi_label=multi_label) for seed in range(3))
    method = DeepSM(**SMALL)
    model, untrained = method.fit(train, valid), replace(method, epochs=1, learning_rate=1e-9).fit(train)
    for posteriors in (model.embed_images(test.images), model.embed_texts(test.texts)):
        np.testing.assert_allclose(posteriors.sum(axis=1), 1, rtol=1e-5)
        assert (posteriors >= 0).all() and posteriors.shape == (120, 4)
    assert score(method, model, test) > score(method, untrained, test) + 0.2
    assert set(model.history) == {"loss", "images", "texts", "valid_map"}


@pytest.mark.parametrize("similarity", ["correlation", "euclidean", "inner"])
def test_the_valid_map_is_of_the_chosen_similarity(similarity):
    train, valid = made_pairs(noise=4.0), made_pairs(1, noise=4.0)
    method = DeepSM(**SMALL, similarity=similarity)
    model = method.fit(train, valid)
    assert max(model.history["valid_map"]) == pytest.approx(score(method, model, valid))
    assert score(method, model, valid) != pytest.approx(score(DeepSM(), model, valid), abs=1e-6)


def test_hidden_units_drop_out_in_training_alone():
    network, batch = built(DeepSM(**SMALL), made_pairs())
    one, other = network.image_scores(batch.images), network.image_scores(batch.images)
    assert not torch.equal(one, other)
    network.eval()
    assert torch.equal(network.text_scores(batch.texts), network.text_scores(batch.texts))
