import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from cmr.methods.base import Pairs
from cmr.methods.deep.acmr import (
    ACMR,
    ACMRNetwork,
    contrastive_loss,
    hardest_negatives,
    reversal_strength,
    triplet_loss,
    without_a_common_label,
)
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import reverse_gradient
from cmr.methods.deep.losses import label_cross_entropy
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
    return ACMRNetwork(method, Inputs.of(pairs), seeded()), Batch.of(pairs, torch.device("cpu"))


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


def test_without_an_adversary_projectors_get_no_gradient_from_it_at_any_time():
    network, batch = network_and_batch(adversary_weight=0.0)
    for progress in (0.0, 0.5, 0.99):
        loss = network.losses(batch, progress)["modality"]
        assert not gradients(network, loss, "projector").any()
        assert gradients(network, loss, "modality").any()


def test_negatives_are_the_hardest_of_another_class():
    features = torch.randn(30, 6, generator=seeded())
    y = torch.arange(30) % 4
    anchors, negatives = hardest_negatives(features, y[:, None] != y[None, :])
    assert anchors.all()
    x = features.numpy()
    for anchor, negative in enumerate(negatives.tolist()):
        others = [j for j in range(30) if y[j] != y[anchor]]
        cosine = [x[anchor] @ x[j] / np.linalg.norm(x[anchor]) / np.linalg.norm(x[j]) for j in others]
        assert negative == others[int(np.argmax(cosine))]


def test_a_negative_shares_no_label_and_is_never_the_anchor():
    labels = torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    features = torch.tensor([[1.0, 0], [1, 0.01], [0, 1], [1, 0.02]])
    anchors, negatives = hardest_negatives(features, without_a_common_label(labels))
    assert anchors.all()
    assert negatives.tolist() == [3, 3, 3, 1]


def test_anchors_without_a_negative_are_skipped():
    labels = torch.tensor([[1.0, 1], [1, 0], [0, 1], [1, 1]])  # only the second and the third have a negative
    features, v, w = (torch.randn(4, 3, generator=seeded(seed)) for seed in range(3))
    triplets = hardest_negatives(features, without_a_common_label(labels))
    assert triplets[0].tolist() == [False, True, True, False]
    expected = np.mean([hinge(v, w, 1, 2), hinge(v, w, 2, 1)])
    assert triplet_loss(v, w, triplets, 0.1, 5.0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("whole", [False, True])
def test_a_batch_of_one_class_has_no_triplets(whole):
    triplets = hardest_negatives(torch.randn(6, 3, generator=seeded()), torch.zeros(6, 6, dtype=torch.bool))
    v, w = (torch.randn(6, 2, generator=seeded(seed), requires_grad=True) for seed in (1, 2))
    loss = triplet_loss(v, w, triplets, 0.1, 5.0, whole)
    assert loss == 0
    assert not torch.autograd.grad(loss, v)[0].any()


def distances(v, w, i, j):
    """alpha_t d(v_i, w_i) - d(v_i, w_j) with alpha_t = 5."""
    return 2.5 * np.sum((v[i] - w[i]).numpy() ** 2) - 0.5 * np.sum((v[i] - w[j]).numpy() ** 2)


def hinge(v, w, i, j):
    return max(0.0, 0.1 + distances(v, w, i, j))


def test_triplet_loss_is_the_mean_hinge_or_the_hinge_of_the_sum():
    v, w = (torch.randn(6, 4, generator=seeded(seed)) for seed in range(2))
    anchors, negatives = torch.tensor([1, 0, 1, 0, 0, 1]).bool(), torch.tensor([1, 0, 4, 0, 0, 0])
    chosen = [(0, 1), (2, 4), (5, 0)]
    each = [hinge(v, w, i, j) for i, j in chosen]
    assert triplet_loss(v, w, (anchors, negatives), 0.1, 5.0).item() == pytest.approx(np.mean(each), rel=1e-5)
    summed = max(0.0, 0.1 + sum(distances(v, w, i, j) for i, j in chosen))
    whole = triplet_loss(v, w, (anchors, negatives), 0.1, 5.0, whole=True).item()
    assert whole == pytest.approx(summed, rel=1e-5) and abs(whole - sum(each)) > 0.05


def test_triplet_loss_is_zero_when_the_margins_hold():
    codes = torch.tensor([[0.0, 0], [1, 0]])
    triplets = torch.tensor([True, True]), torch.tensor([1, 0])
    assert triplet_loss(codes, codes, triplets, 0.1, 5.0) == 0
    assert triplet_loss(codes, codes, triplets, 0.6, 5.0) == pytest.approx(0.1)  # d = 1/2 falls short of it by 0.1


def test_contrastive_loss_is_that_of_squared_distances():
    v, w = (0.2 * torch.randn(5, 3, generator=seeded(seed)) for seed in range(2))
    y = [0, 1, 0, 2, 1]
    negative = torch.tensor([[a != b for b in y] for a in y])
    hinges = [max(0.0, 0.3 - (y[i] != y[j]) * np.sum((v[i] - w[j]).numpy() ** 2)) for i in range(5) for j in range(5)]
    assert any(value == 0 for value in hinges) and any(0 < value < 0.3 for value in hinges)
    expected = np.linalg.norm((v - w).numpy()) + 0.7 * np.mean(hinges)
    assert contrastive_loss(v, w, negative, 0.3, 0.7).item() == pytest.approx(expected, rel=1e-5)


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


def test_the_contrastive_loss_takes_the_place_of_the_triplets():
    network, batch = network_and_batch(distance_loss="contrastive", margin=3.0, negative_weight=0.4)
    v, w = network.embed_images(batch.images), network.embed_texts(batch.texts)
    terms = network.losses(batch, 0.5)
    assert set(terms) == {"label", "contrastive", "modality"}
    expected = contrastive_loss(v, w, without_a_common_label(batch.labels), 3.0, 0.4)
    torch.testing.assert_close(terms["contrastive"], expected)
    assert ACMR(distance_loss="contrastive").weights()["contrastive"] == 1.0


def test_a_fixed_label_classifier_keeps_its_random_start_while_projectors_learn_by_it():
    pairs = made_pairs(n=60)
    fixed = ACMR(**SMALL, label_classifier="fixed", epochs=2)
    models = fixed.fit_seeds(pairs, seeds=[4, 5])
    for seed, model in models.items():
        start = fixed.build(Inputs.of(pairs), seeded_for(seed, "acmr", torch.device("cpu")))
        assert torch.equal(model.network.label_classifier.weight, start.label_classifier.weight)
        assert not model.network.label_classifier.bias.any()
        assert not torch.equal(model.network.image_projector[0].weight, start.image_projector[0].weight)
        alone = fixed.fit(pairs, seed=seed)
        np.testing.assert_allclose(model.embed_images(pairs.images), alone.embed_images(pairs.images), atol=1e-3)
    trained = ACMR(**SMALL, epochs=2).fit(pairs, seed=4)
    assert not torch.equal(trained.network.label_classifier.weight, models[4].network.label_classifier.weight)
    network = ACMRNetwork(fixed, Inputs.of(pairs), seeded())
    label = network.losses(Batch.of(pairs, torch.device("cpu")), 0.5)["label"]
    assert gradients(network, label, "projector").any()


def test_label_loss_of_single_labels_is_the_cross_entropy():
    logits, y = torch.randn(7, 4, generator=seeded()), torch.tensor([0, 1, 2, 0, 1, 2, 2])  # nobody has class 3
    torch.testing.assert_close(label_cross_entropy(logits, torch.eye(4)[y]), cross_entropy(logits, y))


def test_label_loss_shares_a_pair_among_its_labels_and_ignores_pairs_without():
    logits = torch.randn(2, 4, generator=seeded())
    labels = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    logs = logits[0].log_softmax(0)
    torch.testing.assert_close(label_cross_entropy(logits, labels), -(logs[0] + logs[2]) / 2 / 2)


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


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_training_does_the_steps_of_a_hand_written_loop(weight_decay):
    """Adam with beta_1 = 0.5 on the weighted sum of the terms, over whole batches of pairs in an order of the seed."""
    pairs, cpu = made_pairs(n=50), torch.device("cpu")
    method = ACMR(**SMALL, epochs=3, weight_decay=weight_decay)
    model = method.fit(pairs, seed=4)
    generator = seeded_for(4, "acmr", cpu)
    network, batch = ACMRNetwork(method, Inputs.of(pairs), generator), Batch.of(pairs, cpu)
    method.prepare(network, pairs)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.004, betas=(0.5, 0.999))
    for epoch in range(3):
        for index in torch.randperm(50, generator=generator)[:40].split(20):
            terms = network.losses(batch.rows(index), epoch / 3)
            projectors = (*network.image_projector[::2], *network.text_projector[::2])
            squares = sum(layer.weight.square().sum() for layer in projectors)
            optimiser.zero_grad()
            (100 * terms["label"] + terms["triplet"] + terms["modality"] + weight_decay * squares).backward()
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
