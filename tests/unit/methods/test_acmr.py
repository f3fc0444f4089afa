import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from cmr.methods.base import Pairs
from cmr.methods.deep.acmr import ACMR, ACMRNetwork, hardest_negatives, label_loss, reversal_strength, triplet_loss
from cmr.methods.deep.layers import reverse_gradient
from cmr.methods.deep.network import Batch
from cmr.methods.deep.trainer import seeded as seeded_for
from cmr.metrics import bimodal_map

SMALL = {"n_components": 8, "image_widths": (32, 16), "text_widths": (16, 16), "batch_size": 20, "input_dropout": 0.0}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def made_pairs(seed=0, n=120, classes=4, multi_label=False):
    """Class prototypes seen with noise in both modalities."""
    shared, own = np.random.default_rng(7), np.random.default_rng(seed)
    labels = np.eye(classes, dtype=bool)[own.integers(classes, size=n)]
    if multi_label:
        labels |= np.roll(labels, 1, axis=1) & (own.random((n, 1)) < 0.5)
    images, texts = (labels @ shared.normal(size=(classes, d)) * 2 + own.normal(size=(n, d)) for d in (20, 25))
    return Pairs(images.astype(np.float32), texts.astype(np.float32), labels)


def score(model, pairs):
    return bimodal_map(model.embed_images(pairs.images), model.embed_texts(pairs.texts), pairs.labels, "euclidean")


def network_and_batch(**settings):
    pairs = made_pairs(n=24)
    method = ACMR(**SMALL, **settings)
    return ACMRNetwork(method, 20, 25, 4, seeded()), Batch.of(pairs, torch.device("cpu"))


def gradients(network, loss, part):
    parameters = [p for name, p in network.named_parameters() if part in name]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, retain_graph=True)])


def plain_modality_loss(network, batch):
    """The classifier's cross-entropy without any reversal."""
    v, w = network.embed_images(batch.images), network.embed_texts(batch.texts)
    logits = network.modality_classifier(torch.cat([v, w]))
    return cross_entropy(logits, torch.tensor([0] * len(v) + [1] * len(w)))


def test_reversal_passes_values_and_turns_the_gradient():
    x = torch.randn(5, 3, generator=seeded(), requires_grad=True)
    upstream = torch.randn(5, 3, generator=seeded(1))
    y = reverse_gradient(x, 0.7)
    assert torch.equal(y, x)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    torch.testing.assert_close(gradient, -0.7 * upstream)


@pytest.mark.parametrize("progress, expected", [(0.0, 0.0), (0.1, 0.46212), (0.5, 0.98661), (1.0, 0.99991)])
def test_reversal_strength_follows_its_schedule(progress, expected):
    assert reversal_strength(progress) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_projectors_climb_and_the_modality_classifier_descends_the_adversary_loss(progress, epsilon):
    network, batch = network_and_batch(adversary_weight=epsilon)
    loss, plain = network.losses(batch, progress)["modality"], plain_modality_loss(network, batch)
    torch.testing.assert_close(loss, plain)
    strength = epsilon * (2 / (1 + np.exp(-10 * progress)) - 1)
    torch.testing.assert_close(
        gradients(network, loss, "projector"), -strength * gradients(network, plain, "projector"), rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(gradients(network, loss, "modality"), gradients(network, plain, "modality"))


def test_negatives_are_the_hardest_of_another_class():
    features = torch.randn(30, 6, generator=seeded())
    y = torch.arange(30) % 4
    anchors, negatives = hardest_negatives(features, y[:, None] != y[None, :])
    assert anchors.tolist() == list(range(30))
    x = features.numpy()
    for anchor, negative in zip(anchors.tolist(), negatives.tolist(), strict=True):
        others = [j for j in range(30) if y[j] != y[anchor]]
        cosine = [x[anchor] @ x[j] / np.linalg.norm(x[anchor]) / np.linalg.norm(x[j]) for j in others]
        assert negative == others[int(np.argmax(cosine))]


def test_a_negative_shares_no_label_and_is_never_the_anchor():
    labels = torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    features = torch.tensor([[1.0, 0], [1, 0.01], [0, 1], [1, 0.02]])
    anchors, negatives = hardest_negatives(features, labels @ labels.T == 0)
    assert dict(zip(anchors.tolist(), negatives.tolist(), strict=True)) == {0: 3, 1: 3, 2: 3, 3: 1}


def test_anchors_without_a_negative_are_skipped():
    features = torch.randn(6, 3, generator=seeded())
    anchors, negatives = hardest_negatives(features, torch.zeros(6, 6, dtype=torch.bool))
    assert len(anchors) == len(negatives) == 0
    codes = torch.randn(6, 2, generator=seeded(1), requires_grad=True)
    assert triplet_loss(codes, codes, (anchors, negatives), 0.1, 5.0) == 0


def test_triplet_loss_is_the_mean_hinge():
    v, w = (torch.randn(6, 4, generator=seeded(seed)) for seed in range(2))
    anchors, negatives = torch.tensor([0, 2, 5]), torch.tensor([1, 4, 0])
    expected = np.mean(
        [
            max(0, 0.1 + 5 * 0.5 * np.sum((v[i] - w[i]).numpy() ** 2) - 0.5 * np.sum((v[i] - w[j]).numpy() ** 2))
            for i, j in ((0, 1), (2, 4), (5, 0))
        ]
    )
    assert triplet_loss(v, w, (anchors, negatives), 0.1, 5.0).item() == pytest.approx(expected, rel=1e-5)


def test_triplet_loss_is_zero_when_the_margins_hold():
    codes = torch.tensor([[0.0, 0], [1, 0]])
    assert triplet_loss(codes, codes, (torch.tensor([0, 1]), torch.tensor([1, 0])), 0.1, 5.0) == 0


def test_embedding_losses_are_those_of_the_paper():
    network, batch = network_and_batch(margin=0.2, positive_weight=3.0)
    v, w = network.embed_images(batch.images), network.embed_texts(batch.texts)
    y = batch.labels.argmax(1)
    sides = {"images": (v, w, batch.images), "texts": (w, v, batch.texts)}
    triplet = 0.0
    for anchors, others, features in sides.values():
        cosine = torch.cosine_similarity(features[:, None], features[None], dim=2)
        for i in range(len(y)):
            j = max((j for j in range(len(y)) if y[j] != y[i]), key=lambda j: cosine[i, j])
            d = [0.5 * (anchors[i] - others[k]).square().sum().item() for k in (i, j)]
            triplet += max(0.0, 0.2 + 3 * d[0] - d[1]) / len(y)
    terms = network.losses(batch, 0.5)
    assert terms["triplet"].item() == pytest.approx(triplet, rel=1e-4)
    label = cross_entropy(network.label_classifier(v), y) + cross_entropy(network.label_classifier(w), y)
    torch.testing.assert_close(terms["label"], label)


def test_label_loss_of_single_labels_is_the_cross_entropy():
    logits, y = torch.randn(7, 4, generator=seeded()), torch.tensor([0, 1, 2, 0, 1, 2, 2])  # nobody has class 3
    torch.testing.assert_close(label_loss(logits, torch.eye(4)[y]), cross_entropy(logits, y))


def test_label_loss_shares_a_pair_among_its_labels_and_ignores_pairs_without():
    logits = torch.randn(2, 4, generator=seeded())
    labels = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    logs = logits[0].log_softmax(0)
    torch.testing.assert_close(label_loss(logits, labels), -(logs[0] + logs[2]) / 2 / 2)


@pytest.mark.parametrize("multi_label", [False, True])
def test_it_retrieves_unseen_pairs_of_the_same_classes(multi_label):
    train, valid, test = (made_pairs(seed, multi_label=multi_label) for seed in range(3))
    model = ACMR(**SMALL, epochs=20).fit(train, valid)
    untrained = ACMR(**SMALL, epochs=1, learning_rate=1e-9).fit(train)
    assert score(model, test) > score(untrained, test) + 0.25
    assert max(model.history["valid_map"]) == pytest.approx(score(model, valid))
    h = {name: np.array(values) for name, values in model.history.items()}
    np.testing.assert_allclose(h["loss"], 100 * h["label"] + h["triplet"] + h["modality"], rtol=1e-5)
    assert set(h) == {"loss", "label", "triplet", "modality", "valid_map"}


def test_training_does_the_steps_of_a_hand_written_loop():
    """Adam with beta_1 = 0.5 on the weighted sum of the terms, over whole batches of pairs in an order of the seed."""
    pairs, cpu = made_pairs(n=50), torch.device("cpu")
    method = ACMR(**SMALL, epochs=3)
    model = method.fit(pairs, seed=4)
    generator = seeded_for(4, "acmr", cpu)
    network, batch = ACMRNetwork(method, 20, 25, 4, generator), Batch.of(pairs, cpu)
    network.standardise(pairs.images, pairs.texts)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.002, betas=(0.5, 0.999))
    for epoch in range(3):
        for index in torch.randperm(50, generator=generator)[:40].split(20):
            terms = network.losses(batch.rows(index), epoch / 3)
            optimiser.zero_grad()
            (100 * terms["label"] + terms["triplet"] + terms["modality"]).backward()
            optimiser.step()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


def test_features_of_another_scale_give_the_same_embeddings():
    pairs = made_pairs()  # powers of two, so that not even rounding differs
    scaled = Pairs(1024 * pairs.images, pairs.texts / 1024, pairs.labels)
    model, other = (ACMR(**SMALL, epochs=2).fit(part) for part in (pairs, scaled))
    np.testing.assert_allclose(other.embed_images(scaled.images), model.embed_images(pairs.images), atol=1e-5)
    np.testing.assert_allclose(other.embed_texts(scaled.texts), model.embed_texts(pairs.texts), atol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_features_beyond_five_standard_deviations_count_as_five(sign):
    pairs = made_pairs()
    model = ACMR(**SMALL, epochs=2).fit(pairs)

    def embeddings(deviations):
        for embed, x in ((model.embed_images, pairs.images), (model.embed_texts, pairs.texts)):
            item = np.zeros_like(x[:1])
            item[0, 3] = x[:, 3].mean() + sign * deviations * x[:, 3].std()
            yield embed(item)[0]

    at_five = list(embeddings(5.001))
    for far in (5.5, 1000.0):
        np.testing.assert_array_equal(list(embeddings(far)), at_five)
    for codes, nearer in zip(at_five, embeddings(4.5), strict=True):
        assert np.abs(codes - nearer).max() > 1e-3


def test_dropout_acts_in_training_only():
    pairs = made_pairs()
    model = ACMR(**(SMALL | {"input_dropout": 0.5}), epochs=2).fit(pairs)
    np.testing.assert_array_equal(model.embed_images(pairs.images), model.embed_images(pairs.images))
    plain = ACMR(**SMALL, epochs=2).fit(pairs)
    assert not np.allclose(model.embed_images(pairs.images), plain.embed_images(pairs.images))


def test_a_restored_model_embeds_alike():
    pairs, method = made_pairs(), ACMR(**SMALL, epochs=2)
    model = method.fit(pairs)
    restored = method.restore(model.state())
    np.testing.assert_array_equal(restored.embed_images(pairs.images), model.embed_images(pairs.images))
    np.testing.assert_array_equal(restored.embed_texts(pairs.texts), model.embed_texts(pairs.texts))
    assert restored.history == model.history
