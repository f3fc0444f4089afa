import numpy as np
import pytest
import torch

from cmr.methods.base import Pairs
from cmr.methods.deep.corr_ae import (
    CorrAE,
    CorrCrossAE,
    CorrespondenceAutoencoders,
    CorrFullAE,
    CrossAutoencoders,
    FullAutoencoders,
)
from cmr.methods.deep.network import Batch, embed
from cmr.methods.deep.trainer import Schedule, Training, fit_networks
from tests.unit.methods.autoencoders.made import (
    BRIEF,
    TRAINED,
    batch_of,
    float64,
    made_pairs,
    score,
    seeded,
    sigmoid,
    uniform_batch,
)

KINDS = {"corr": CorrespondenceAutoencoders, "cross": CrossAutoencoders, "full": FullAutoencoders}
METHODS = [CorrAE, CorrCrossAE, CorrFullAE]
# What the codes of images and texts give back.
DECODED = {
    "corr": [("image", "images"), ("text", "texts")],
    "cross": [("image", "texts"), ("text", "images")],
    "full": [("image", "images"), ("image", "texts"), ("text", "images"), ("text", "texts")],
}


def network_of(kind, d_images=8, d_texts=6, n_components=5):
    return KINDS[kind](d_images, d_texts, n_components, seeded())


@pytest.mark.parametrize("kind", KINDS)
def test_loss_terms_are_those_of_the_paper(kind):
    network, batch = network_of(kind), uniform_batch()
    w = float64(network)
    inputs = {"images": batch.images.double().numpy(), "texts": batch.texts.double().numpy()}

    def layer(name, x):
        return sigmoid(x @ w[f"{name}.weight"] + w[f"{name}.bias"])

    codes = {"image": layer("image_encoder", inputs["images"]), "text": layer("text_encoder", inputs["texts"])}
    reconstruction = 0.0
    for code, side in DECODED[kind]:
        given_back = layer(f"{code}_decoders.{side}", codes[code])
        reconstruction += sum(np.sum((given_back[i] - inputs[side][i]) ** 2) for i in range(9)) / 9
    terms = network.losses(batch, 0.0)
    assert terms["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-5)
    distance = sum(np.sum((codes["image"][i] - codes["text"][i]) ** 2) for i in range(9)) / 9
    assert terms["correspondence"].item() == pytest.approx(distance, rel=1e-5)
    assert set(terms) == {"reconstruction", "correspondence"}


def test_the_kinds_differ_in_the_reconstruction_alone():
    batch = uniform_batch()
    terms = [network_of(kind).losses(batch, 0.0) for kind in KINDS]
    assert len({term["correspondence"].item() for term in terms}) == 1
    assert len({term["reconstruction"].item() for term in terms}) == 3
    networks = [network_of(kind) for kind in KINDS]
    for embed_side, x in (("embed_images", batch.images), ("embed_texts", batch.texts)):
        one, *others = (getattr(network, embed_side)(x) for network in networks)
        assert all(torch.equal(one, other) for other in others)


def image_encoder_gradient(network, batch, term):
    network.zero_grad()
    network.losses(batch, 0.0)[term].backward()
    return network.image_encoder.weight.grad.clone()


def test_without_correspondence_corr_ae_is_two_independent_autoencoders():
    network, batch = network_of("corr"), uniform_batch()
    other = batch_of(batch.images, batch.texts.flip(0))
    here, there = (image_encoder_gradient(network, pairs, "reconstruction") for pairs in (batch, other))
    assert torch.equal(here, there) and here.abs().max() > 0
    tie = [image_encoder_gradient(network, pairs, "correspondence") for pairs in (batch, other)]
    assert not torch.allclose(*tie)


@pytest.mark.parametrize("kind", ["cross", "full"])
def test_a_code_that_gives_back_the_other_side_learns_from_it(kind):
    network, batch = network_of(kind), uniform_batch()
    other = batch_of(batch.images, batch.texts.flip(0))
    here, there = (image_encoder_gradient(network, pairs, "reconstruction") for pairs in (batch, other))
    assert not torch.allclose(here, there)


def train(network, pairs, alpha, epochs):
    weights = {"reconstruction": 1 - alpha, "correspondence": alpha}
    (history,) = fit_networks(
        [Training(network, pairs, None, seeded(2))],
        lambda parameters: torch.optim.Adam(parameters.values(), lr=0.03),
        weights,
        similarity="cosine",
        schedule=Schedule(epochs, batch_size=20, patience=99),
    )
    return history


def test_where_both_sides_are_equal_cross_is_corr():
    u = np.random.default_rng(0).random((60, 8)).astype(np.float32)
    pairs = Pairs(u, u, np.zeros((60, 0), dtype=bool))
    corr, cross = (network_of(kind, 8, 8) for kind in ("corr", "cross"))
    assert train(corr, pairs, 0.5, 5) == train(cross, pairs, 0.5, 5)
    np.testing.assert_array_equal(embed(corr, corr.embed_images, u), embed(cross, cross.embed_images, u))


def test_correspondence_alone_makes_all_codes_equal():
    rng = np.random.default_rng(0)
    u, v = (np.round(rng.random((60, d))).astype(np.float32) for d in (8, 6))
    pairs = Pairs(u, v, np.eye(2, dtype=bool)[np.arange(60) % 2])

    def codes(alpha):
        network = network_of("corr")
        train(network, pairs, alpha, 60)
        return embed(network, network.embed_images, u), embed(network, network.embed_texts, v)

    collapsed, healthy = codes(1.0), codes(0.2)
    assert collapsed[0].var(0).sum() < 0.01 * healthy[0].var(0).sum()
    assert np.square(collapsed[0] - collapsed[1]).sum(1).mean() < 0.01


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("counts", [False, True])
def test_it_retrieves_unseen_pairs_of_the_same_source(method, counts, shared):
    train, valid, test = (made_pairs(seed, counts=counts) for seed in range(3))
    model = method(**TRAINED).fit(train, valid, progress=shared)
    assert score(model, test) > 0.9  # untrained networks have about 0.5, a random ranking 1/3
    assert max(model.history["valid_map"]) == pytest.approx(score(model, valid))


@pytest.mark.parametrize("method", METHODS)
def test_alpha_weighs_correspondence_against_reconstruction(method):
    history = method(**BRIEF, alpha=0.3).fit(made_pairs()).history
    expected = 0.7 * np.array(history["reconstruction"]) + 0.3 * np.array(history["correspondence"])
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-6)


def test_each_stage_depends_on_the_seed():
    """With the autoencoders all but frozen, their weights are the initial ones, whatever the stacks below."""
    settings = BRIEF | {"learning_rate": 1e-12}
    one, same, other = (CorrAE(**settings).fit(made_pairs(), seed=seed).state() for seed in (1, 1, 2))
    layers = [name for name in one if name.endswith((".weight", ".weights"))]
    assert len(layers) == 8  # two of each stack, two encoders, two decoders
    for name in layers:
        np.testing.assert_array_equal(one[name], same[name])
        assert np.abs(one[name] - other[name]).max() > 0.5 * one[name].std(), name


@pytest.mark.parametrize("counts", [False, True])
def test_only_texts_that_are_counts_lose_their_length(counts):
    pairs = made_pairs(counts=counts)
    as_counts = Pairs(pairs.images, np.abs(pairs.texts), pairs.labels, texts_are_counts=counts)
    model = CorrAE(**BRIEF).fit(as_counts)
    codes, of_longer = model.embed_texts(as_counts.texts), model.embed_texts(3 * as_counts.texts)
    assert np.allclose(of_longer, codes, atol=1e-5) == counts
    images, of_brighter = model.embed_images(pairs.images), model.embed_images(3 * pairs.images)
    assert not np.allclose(of_brighter, images, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_labels_are_not_used(method):
    pairs = made_pairs()
    shuffled = Pairs(pairs.images, pairs.texts, np.roll(pairs.labels, 1, axis=0))
    models = [method(**BRIEF).fit(part) for part in (pairs, shuffled)]
    np.testing.assert_array_equal(*(model.embed_images(pairs.images) for model in models))


def test_initial_weights_have_unit_variance_over_the_inputs():
    network = CorrespondenceAutoencoders(400, 100, 200, seeded())
    for layer in (network.image_encoder, network.text_encoder, network.image_decoders["images"]):
        inputs = layer.weight.shape[0]
        assert layer.weight.std().item() == pytest.approx(inputs**-0.5, rel=0.03)
        # Normal, not uniform: the fourth moment is three times the squared variance.
        kurtosis = (layer.weight / layer.weight.std()).pow(4).mean().item()
        assert kurtosis == pytest.approx(3, rel=0.1)


def test_several_networks_have_the_losses_that_each_has_alone():
    batches = [uniform_batch(seed=seed) for seed in (1, 2)]
    stacked = Batch(*(torch.stack(side) for side in zip(*(vars(b).values() for b in batches), strict=True)))
    networks = [FullAutoencoders(8, 6, 5, seeded(seed)) for seed in (1, 2)]
    weights = {
        name: torch.stack([network.state_dict()[name] for network in networks]) for name in networks[0].state_dict()
    }
    weights = {name: w if w.dim() == 3 else w.unsqueeze(1) for name, w in weights.items()}
    together = torch.func.functional_call(networks[0], weights, (stacked, 0.0))
    for name, values in together.items():
        alone = [network.losses(batch, 0.0)[name].item() for network, batch in zip(networks, batches, strict=True)]
        assert values.tolist() == pytest.approx(alone, rel=1e-5)
