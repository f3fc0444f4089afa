from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from cmr.methods.base import Pairs
from cmr.methods.boltzmann.stacked import OnStacks
from cmr.methods.deep.bimodal_ae import BimodalAE, BimodalAutoencoder
from cmr.methods.deep.dae import DAE, DeepAutoencoder
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import Batch, embed
from cmr.progress import SILENT
from tests.unit.methods.autoencoders.made import BRIEF, TRAINED, float64, made_pairs, score, seeded, sigmoid

CPU = torch.device("cpu")
FROZEN = BRIEF | {"learning_rate": 1e-12, "epochs": 1}
BOTH = pytest.mark.parametrize("counts", [False, True])


def started(counts=False, **settings):
    """A network that starts from trained stacks, the stacks, and the pairs that these were trained on."""
    pairs, method = made_pairs(counts=counts), DAE(**(BRIEF | settings))
    stacks = method.fit_stacks(pairs, 0, CPU, SILENT)
    network = method.build(Inputs.of(pairs), seeded())
    network.start_from(stacks)
    return network, stacks, pairs


@BOTH
def test_codes_before_fine_tuning_are_the_initial_ones_of_bimodal_ae(counts):
    pairs = made_pairs(counts=counts)
    pairs.texts[7] = 0  # an empty document
    deep, shallow = (method(**FROZEN).fit(pairs, seed=5) for method in (DAE, BimodalAE))
    np.testing.assert_allclose(deep.embed_images(pairs.images), shallow.embed_images(pairs.images), atol=2e-6)
    np.testing.assert_allclose(deep.embed_texts(pairs.texts), shallow.embed_texts(pairs.texts), atol=2e-6)


@BOTH
def test_a_network_that_starts_from_stacks_encodes_as_they_do(counts):
    network, stacks, pairs = started(counts)
    shallow = OnStacks(stacks, BimodalAutoencoder(16, 12, 16, seeded()))
    for side in ("images", "texts"):
        codes = (embed(own, getattr(own, f"embed_{side}"), getattr(pairs, side)) for own in (network, shallow))
        np.testing.assert_allclose(*codes, atol=2e-6)


@BOTH
def test_decoders_start_as_the_transposes_of_the_encoders(counts):
    network, stacks, _ = started(counts)
    sides = (
        (network.images, network.joint.image_weight, stacks.images),
        (network.texts, network.joint.text_weight, stacks.texts),
    )
    for own, joint, stack in sides:
        encoders = [*(layer.weight for layer in own.up), joint]
        assert len(own.down) == len(encoders) == 3
        for encoder, decoder in zip(encoders, reversed(own.down), strict=True):
            assert torch.equal(decoder.weight, encoder.mT)
        for layer, rbm in zip(own.up, stack.rbms, strict=True):
            assert torch.equal(layer.weight, rbm.weights)
        *others, bottom = own.down
        assert torch.equal(bottom.bias, stack.rbms[0].visible_bias)
        assert torch.equal(others[-1].bias, stack.rbms[1].visible_bias)
    assert sum(parameter.requires_grad for parameter in network.parameters()) == 2 * 2 * (2 + 3) + 3


@BOTH
def test_loss_terms_are_those_of_the_docs(counts):
    network, _, pairs = started(counts)
    batch = Batch.of(pairs, CPU).rows(torch.arange(11))
    w = float64(network)
    inputs = {"images": network.images.scale(batch.images), "texts": network.texts.scale(batch.texts)}
    inputs = {side: x.double().numpy() for side, x in inputs.items()}

    def layer(name, x):
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    u, v = (sigmoid(layer(f"{side}.up.1", sigmoid(layer(f"{side}.up.0", x)))) for side, x in inputs.items())
    expected = {"images": 0.0, "texts": 0.0}
    for images, texts in ((u, 0 * v), (0 * u, v), (u, v)):
        code = sigmoid(images @ w["joint.image_weight"] + texts @ w["joint.text_weight"] + w["joint.bias"])
        for side, x in inputs.items():
            h = sigmoid(layer(f"{side}.down.1", sigmoid(layer(f"{side}.down.0", code))))
            back = layer(f"{side}.down.2", h)
            if side == "texts" and counts:
                shares = torch.from_numpy(x / x.sum(1, keepdims=True))
                expected[side] += 10 * cross_entropy(torch.from_numpy(back), shares).item()
            else:
                expected[side] += 20 / 10 * np.square(back - x).mean()  # 20 image features
    terms = {name: term.item() for name, term in network.losses(batch, 0.0).items()}
    assert terms == pytest.approx(expected, rel=1e-4)


@BOTH
def test_both_modalities_start_at_the_same_order_from_features_as_wide_as_a_networks(counts):
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(60, 1000)), rng.poisson(0.3, size=(60, 200))
    pairs = Pairs(images.astype(np.float32), texts.astype(np.float32), np.zeros((60, 0), bool), texts_are_counts=counts)
    history = DAE(**FROZEN).fit(pairs).history
    assert 0.3 < history["images"][0] / history["texts"][0] < 3


def test_from_texts_alone_the_images_are_learnt_by_their_decoder_and_not_by_their_encoder():
    network, _, pairs = started()
    batch = Batch.of(pairs, CPU)
    network.images.error(network.embed_texts(batch.texts), network.images.scale(batch.images)).backward()
    assert all(layer.weight.grad is None for layer in network.images.up) and network.joint.image_weight.grad is None
    assert all(layer.weight.grad.abs().max() > 0 for layer in [*network.images.down, *network.texts.up])


def test_all_layers_are_fine_tuned():
    pairs = made_pairs()
    start, model = (DAE(**settings).fit(pairs).state() for settings in (FROZEN, BRIEF))
    weights = [name for name in start if name.endswith("weight")]
    assert len(weights) == 2 + 2 * (2 + 3)
    for name in weights:
        assert np.abs(model[name] - start[name]).max() > 1e-4, name


@BOTH
def test_fine_tuning_betters_reconstruction_and_retrieves_unseen_pairs(counts, shared):
    train, valid, test = (made_pairs(seed, counts=counts) for seed in range(3))
    model = DAE(**TRAINED).fit(train, valid, progress=shared)
    assert score(model, test) > 0.9  # untrained networks have about 0.5, a random ranking 1/3
    assert max(model.history["valid_map"]) == pytest.approx(score(model, valid))
    assert model.history["loss"][-1] < 0.9 * model.history["loss"][0]
    restored = DAE(**TRAINED).restore(model.state())
    np.testing.assert_array_equal(restored.embed_texts(test.texts), model.embed_texts(test.texts))


def test_text_weight_weighs_the_texts():
    history = DAE(**BRIEF, text_weight=0.25).fit(made_pairs()).history
    expected = np.array(history["images"]) + 0.25 * np.array(history["texts"])
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-6)


def test_gradients_are_cut_at_five(monkeypatch):
    norms = []
    step = torch.optim.Adam.step

    def watched(self, *arguments, **others):
        norms.append(torch.cat([p.grad.flatten() for g in self.param_groups for p in g["params"]]).norm().item())
        return step(self, *arguments, **others)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    DAE(**BRIEF, text_weight=1000.0).fit(made_pairs())
    assert max(norms) == pytest.approx(5, rel=1e-4)


@BOTH
def test_the_length_of_a_document_plays_no_part_where_texts_are_counts(counts):
    pairs = made_pairs(counts=counts)
    pairs = replace(pairs, texts=np.abs(pairs.texts))
    model = DAE(**BRIEF).fit(pairs)
    codes, of_longer = model.embed_texts(pairs.texts), model.embed_texts(3 * pairs.texts)
    assert np.allclose(of_longer, codes, atol=1e-5) == counts


def test_stacks_may_have_any_number_of_layers():
    pairs = made_pairs(counts=True)
    settings = FROZEN | {"image_stack_widths": (12,), "text_stack_widths": (12, 10, 8)}
    deep, shallow = (method(**settings).fit(pairs) for method in (DAE, BimodalAE))
    np.testing.assert_allclose(deep.embed_images(pairs.images), shallow.embed_images(pairs.images), atol=2e-6)
    np.testing.assert_allclose(deep.embed_texts(pairs.texts), shallow.embed_texts(pairs.texts), atol=2e-6)


def test_labels_are_not_used():
    pairs = made_pairs()
    shuffled = Pairs(pairs.images, pairs.texts, np.roll(pairs.labels, 1, axis=0))
    models = [DAE(**BRIEF).fit(part) for part in (pairs, shuffled)]
    np.testing.assert_array_equal(*(model.embed_texts(pairs.texts) for model in models))


def test_seeds_train_together_on_counts():
    pairs = made_pairs(counts=True)
    together = DAE(**BRIEF).fit_seeds(pairs, seeds=[1, 2])
    for seed, model in together.items():
        assert isinstance(model.network, DeepAutoencoder)
        alone = DAE(**BRIEF).fit(pairs, seed=seed)
        np.testing.assert_allclose(model.embed_texts(pairs.texts), alone.embed_texts(pairs.texts), atol=1e-4)
        np.testing.assert_allclose(model.history["texts"], alone.history["texts"], rtol=1e-4)
