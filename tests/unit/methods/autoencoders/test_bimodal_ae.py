import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from cmr.methods.base import Pairs
from cmr.methods.deep.bimodal_ae import BimodalAE, BimodalAutoencoder, JointLayer
from cmr.methods.deep.network import Batch
from tests.unit.methods.autoencoders.made import (
    BRIEF,
    TRAINED,
    float64,
    made_pairs,
    score,
    seeded,
    sigmoid,
    uniform_batch,
)


def network_of(n_classes=0):
    return BimodalAutoencoder(8, 6, 5, seeded(), n_classes)


def copies_by_hand(network, batch):
    """Code and squared errors (b,) of each of the three copies, in float64."""
    w = float64(network)
    u, v = batch.images.double().numpy(), batch.texts.double().numpy()
    for images, texts in ((u, 0 * v), (0 * u, v), (u, v)):
        h = sigmoid(images @ w["joint.image_weight"] + texts @ w["joint.text_weight"] + w["joint.bias"])
        u_hat, v_hat = (sigmoid(h @ w[f"{d}.weight"] + w[f"{d}.bias"]) for d in ("image_decoder", "text_decoder"))
        yield h, np.sum((u_hat - u) ** 2, axis=1) + np.sum((v_hat - v) ** 2, axis=1)


def test_the_loss_is_the_sum_of_those_of_the_three_copies():
    network, batch = network_of(), uniform_batch()
    torch.nn.init.normal_(network.joint.bias, generator=seeded(3))
    expected = sum(errors.mean() for _, errors in copies_by_hand(network, batch))
    terms = network.losses(batch, 0.0)
    assert list(terms) == ["reconstruction"]
    assert terms["reconstruction"].item() == pytest.approx(expected, rel=1e-5)


def test_dropping_one_input_equals_feeding_zeros():
    layer, batch = JointLayer(8, 6, 5, seeded()), uniform_batch()
    torch.nn.init.normal_(layer.bias, generator=seeded(3))
    of_images, of_texts, _ = layer.copies(batch.images, batch.texts).split(9)
    torch.testing.assert_close(of_images, layer.of_images(batch.images))
    torch.testing.assert_close(of_texts, layer.of_texts(batch.texts))
    _, _, without_texts = layer.copies(batch.images, torch.zeros(9, 6)).split(9)
    _, _, without_images = layer.copies(torch.zeros(9, 8), batch.texts).split(9)
    torch.testing.assert_close(without_texts, of_images)
    torch.testing.assert_close(without_images, of_texts)


def test_from_texts_alone_the_images_are_learnt_by_their_decoder_and_not_by_their_encoder():
    network, batch = network_of(), uniform_batch()
    _, of_texts, _ = network.joint.copies(batch.images, batch.texts).split(9)
    network.reconstruction(of_texts, batch.images, batch.texts).backward()
    assert torch.equal(network.joint.image_weight.grad, torch.zeros(8, 5))
    assert network.image_decoder.weight.grad.abs().max() > 1e-3
    assert network.joint.text_weight.grad.abs().max() > 1e-3


def test_with_classes_a_softmax_on_each_copys_code_is_trained_too():
    network, batch = network_of(n_classes=3), uniform_batch()
    y = torch.arange(9) % 3
    batch = Batch(batch.images, batch.texts, torch.eye(3)[y], batch.index)
    w = float64(network)
    logits = [h @ w["classifier.weight"] + w["classifier.bias"] for h, _ in copies_by_hand(network, batch)]
    expected = sum(cross_entropy(torch.from_numpy(own), y).item() for own in logits)
    terms = network.losses(batch, 0.0)
    assert terms["label"].item() == pytest.approx(expected, rel=1e-5)
    assert terms["reconstruction"].item() == network_of().losses(batch, 0.0)["reconstruction"].item()


def test_initial_weights_have_the_variance_of_each_matrix_alone():
    """Also in the joint layer, whose units have inputs of two matrices."""
    network = BimodalAutoencoder(400, 100, 200, seeded(), 30)
    for weight in (network.joint.image_weight, network.joint.text_weight, network.text_decoder.weight):
        assert weight.std().item() == pytest.approx(weight.shape[0] ** -0.5, rel=0.03)
    assert not network.joint.bias.any()


@pytest.mark.parametrize("counts", [False, True])
def test_it_retrieves_unseen_pairs_of_the_same_source(counts, shared):
    train, valid, test = (made_pairs(seed, counts=counts) for seed in range(3))
    model = BimodalAE(**TRAINED).fit(train, valid, progress=shared)
    assert score(model, test) > 0.9  # untrained networks have about 0.5, a random ranking 1/3
    assert max(model.history["valid_map"]) == pytest.approx(score(model, valid))


def test_labels_are_not_used():
    pairs = made_pairs()
    shuffled = Pairs(pairs.images, pairs.texts, np.roll(pairs.labels, 1, axis=0))
    models = [BimodalAE(**BRIEF).fit(part) for part in (pairs, shuffled)]
    np.testing.assert_array_equal(*(model.embed_texts(pairs.texts) for model in models))


def test_several_networks_have_the_losses_that_each_has_alone():
    batches = [uniform_batch(seed=seed) for seed in (1, 2)]
    stacked = Batch(*(torch.stack(side) for side in zip(*(vars(b).values() for b in batches), strict=True)))
    networks = [BimodalAutoencoder(8, 6, 5, seeded(seed), 3) for seed in (1, 2)]
    weights = {
        name: torch.stack([network.state_dict()[name] for network in networks]) for name in networks[0].state_dict()
    }
    weights = {name: w if w.dim() == 3 else w.unsqueeze(1) for name, w in weights.items()}
    together = torch.func.functional_call(networks[0], weights, (stacked, 0.0))
    assert set(together) == {"reconstruction", "label"}
    for name, values in together.items():
        alone = [network.losses(batch, 0.0)[name].item() for network, batch in zip(networks, batches, strict=True)]
        assert values.tolist() == pytest.approx(alone, rel=1e-5)
