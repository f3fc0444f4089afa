import numpy as np
import pytest
import torch

from cmr.methods.base import Pairs
from cmr.methods.deep.corr_ae import CorrAE, CorrespondenceAutoencoders
from cmr.methods.deep.network import Batch, embed
from cmr.methods.deep.trainer import Schedule, fit_network
from cmr.metrics import bimodal_map
from cmr.progress import SILENT

SMALL = {"n_components": 16, "stack_widths": (32, 16), "stack_epochs": 100, "batch_size": 10}

BRIEF = {"stack_epochs": 2, "epochs": 2}


def made_pairs(seed=0, n=150, counts=False):
    """Three latent factors seen through both modalities; the labels are the largest of them and serve scoring alone."""
    shared, own = np.random.default_rng(7), np.random.default_rng(seed)
    factors = np.eye(3)[own.integers(3, size=n)] * 2 + 0.3 * own.normal(size=(n, 3))
    images = factors @ shared.normal(size=(3, 20)) + 0.5 * own.normal(size=(n, 20))
    texts = factors @ shared.normal(size=(3, 25)) + 0.5 * own.normal(size=(n, 25))
    if counts:
        texts = own.poisson(np.exp(texts))
    labels = np.eye(3, dtype=bool)[factors.argmax(1)]
    return Pairs(images.astype(np.float32), texts.astype(np.float32), labels, texts_are_counts=counts)


def score(model, pairs):
    return bimodal_map(model.embed_images(pairs.images), model.embed_texts(pairs.texts), pairs.labels, "cosine")


def batch_and_network():
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.rand(9, 8, generator=generator) for _ in range(2))
    return Batch(u, v, torch.zeros(9, 3)), CorrespondenceAutoencoders(8, 5, generator)


def test_loss_terms_are_those_of_the_paper():
    batch, network = batch_and_network()
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    W = {name: tensor.numpy() for name, tensor in network.state_dict().items()}

    def layer(name, x):
        return sigmoid(x @ W[f"{name}.weight"].T + W[f"{name}.bias"])

    u, v = batch.images.numpy(), batch.texts.numpy()
    f, g = layer("image_encoder", u), layer("text_encoder", v)
    u_hat, v_hat = layer("image_decoder", f), layer("text_decoder", g)
    terms = network.losses(batch, 0.0)
    reconstruction = sum(np.sum((u_hat[i] - u[i]) ** 2) + np.sum((v_hat[i] - v[i]) ** 2) for i in range(9)) / 9
    assert terms["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-5)
    assert terms["correspondence"].item() == pytest.approx(np.sum((f - g) ** 2) / 9, rel=1e-5)


def test_without_correspondence_one_side_does_not_see_the_other():
    batch, network = batch_and_network()

    def image_gradients(batch):
        network.zero_grad()
        network.losses(batch, 0.0)["reconstruction"].backward()
        return [layer.weight.grad.clone() for layer in (network.image_encoder, network.image_decoder)]

    here = image_gradients(batch)
    there = image_gradients(Batch(batch.images, batch.texts.flip(0), batch.labels))
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))
    assert all(gradient.abs().max() > 0 for gradient in here)


def test_correspondence_alone_makes_all_codes_equal():
    rng = np.random.default_rng(0)
    u, v = (np.round(rng.random((60, 8))).astype(np.float32) for _ in range(2))
    pairs = Pairs(u, v, np.eye(2, dtype=bool)[np.arange(60) % 2])

    def codes(alpha):
        generator = torch.Generator().manual_seed(0)
        network = CorrespondenceAutoencoders(8, 5, generator)
        fit_network(
            network,
            torch.optim.Adam(network.parameters(), lr=0.03),
            {"reconstruction": 1 - alpha, "correspondence": alpha},
            pairs,
            similarity="cosine",
            schedule=Schedule(epochs=60, batch_size=20, patience=99),
            generator=generator,
            progress=SILENT,
        )
        return embed(network, network.embed_images, u), embed(network, network.embed_texts, v)

    collapsed, healthy = codes(1.0), codes(0.2)
    assert collapsed[0].var(0).sum() < 0.01 * healthy[0].var(0).sum()
    assert np.square(collapsed[0] - collapsed[1]).sum(1).mean() < 0.01


@pytest.mark.parametrize("counts", [False, True])
def test_it_retrieves_unseen_pairs_of_the_same_source(counts):
    train, valid, test = (made_pairs(seed, counts=counts) for seed in range(3))
    model = CorrAE(**SMALL, epochs=30).fit(train, valid)
    assert score(model, test) > 0.6  # a random ranking has 1/3
    assert max(model.history["valid_map"]) == pytest.approx(score(model, valid))


def test_alpha_weighs_correspondence_against_reconstruction():
    history = CorrAE(**(SMALL | BRIEF), alpha=0.3).fit(made_pairs()).history
    expected = 0.7 * np.array(history["reconstruction"]) + 0.3 * np.array(history["correspondence"])
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-6)
    assert len(history["images_rbm_1"]) == len(history["texts_rbm_2"]) == BRIEF["stack_epochs"]


def test_each_stage_depends_on_the_seed():
    """With the autoencoders all but frozen, their weights are the initial ones, whatever the stacks below."""
    settings = SMALL | BRIEF | {"learning_rate": 1e-12}
    one, same, other = (CorrAE(**settings).fit(made_pairs(), seed=seed).state() for seed in (1, 1, 2))
    stages = ["image_stack.first", "image_stack.second", "text_stack.first", "text_stack.second"]
    for name in [f"{stage}.weights" for stage in stages] + ["top.image_encoder.weight", "top.text_decoder.weight"]:
        weights = one[f"network/{name}"]
        np.testing.assert_array_equal(weights, same[f"network/{name}"])
        assert np.abs(weights - other[f"network/{name}"]).max() > 0.5 * weights.std(), name


@pytest.mark.parametrize("counts", [False, True])
def test_only_texts_that_are_counts_lose_their_length(counts):
    pairs = made_pairs(counts=counts)
    as_counts = Pairs(pairs.images, np.abs(pairs.texts), pairs.labels, texts_are_counts=counts)
    model = CorrAE(**(SMALL | BRIEF)).fit(as_counts)
    codes, of_longer = model.embed_texts(as_counts.texts), model.embed_texts(3 * as_counts.texts)
    assert np.allclose(of_longer, codes, atol=1e-5) == counts
    images, of_brighter = model.embed_images(pairs.images), model.embed_images(3 * pairs.images)
    assert not np.allclose(of_brighter, images, atol=1e-5)


def test_labels_are_not_used():
    pairs = made_pairs()
    shuffled = Pairs(pairs.images, pairs.texts, np.roll(pairs.labels, 1, axis=0))
    models = [CorrAE(**(SMALL | BRIEF)).fit(part) for part in (pairs, shuffled)]
    np.testing.assert_array_equal(*(model.embed_images(pairs.images) for model in models))


@pytest.mark.parametrize("counts", [False, True])
def test_a_restored_model_embeds_alike(counts):
    pairs, method = made_pairs(counts=counts), CorrAE(**(SMALL | BRIEF))
    model = method.fit(pairs)
    restored = method.restore(model.state())
    np.testing.assert_array_equal(restored.embed_images(pairs.images), model.embed_images(pairs.images))
    np.testing.assert_array_equal(restored.embed_texts(pairs.texts), model.embed_texts(pairs.texts))
    assert restored.history == model.history
    assert model.embed_images(pairs.images).dtype == np.float32


def test_an_item_is_embedded_without_its_neighbours():
    pairs = made_pairs()
    model = CorrAE(**(SMALL | BRIEF)).fit(pairs)
    alone = np.concatenate([model.embed_texts(row[None]) for row in pairs.texts[:5]])
    np.testing.assert_allclose(alone, model.embed_texts(pairs.texts)[:5], rtol=1e-5, atol=1e-6)
