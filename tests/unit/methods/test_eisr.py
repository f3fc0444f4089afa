from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from cmr.methods.deep.eisr import EISR
from cmr.methods.deep.inputs import Inputs, Side
from tests.unit.methods.deep.made import built, gradients, made_pairs, score

SMALL = {"n_components": 7, "text_widths": (16, 9), "epochs": 12, "batch_size": 20, "learning_rate": 0.01}
PLAIN = SMALL | {"dropout": 0.0}
MODES = ["o", "o_le", "o_le_j"]


def total(network, batch):
    return sum(network.losses(batch, 0.0).values())


def shapes(method):
    network, _ = built(method, made_pairs())
    return {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("output", ["softmax", "linear", "sigmoid"])
@pytest.mark.parametrize("mode", MODES)
def test_losses_and_embeddings_are_those_of_the_formulas(mode, output, multi_label):
    pairs = made_pairs(n=30, multi_label=multi_label)
    network, batch = built(EISR(**PLAIN, mode=mode, output=output), pairs)
    losses = network.losses(batch, 0.0)
    state = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    z = pairs.labels.astype(float)
    if output == "softmax":
        z /= z.sum(axis=1, keepdims=True)
    function = {"softmax": lambda scores: softmax(scores, axis=1), "linear": np.asarray, "sigmoid": expit}[output]
    for side, head in (("image", 0), ("text", 0 if mode == "o_le_j" else 1)):
        items = getattr(pairs, f"{side}s").astype(float)
        hidden = ((items - items.mean(axis=0)) / items.std(axis=0)).clip(-5, 5)
        layers = [name for name in state if name.startswith(f"{side}_net") and name.endswith("weight")]
        assert len(layers) == {"image": 0, "text": 3}[side] + (mode != "o" and side == "image")
        for name in layers:
            hidden = np.maximum(hidden @ state[name] + state[name.replace("weight", "bias")], 0)
        p = function(hidden @ state[f"last.{head}.weight"] + state[f"last.{head}.bias"])
        embedded = getattr(network, f"embed_{side}s")(getattr(batch, f"{side}s"))
        np.testing.assert_allclose(embedded.detach().numpy(), p, rtol=1e-3, atol=1e-4)
        expected = np.mean([np.sum((p[i] - z[i]) ** 2) for i in range(30)])
        assert losses[f"{side}s"].item() == pytest.approx(expected, rel=1e-4)


def test_one_last_layer_serves_both_modalities_and_its_gradient_is_the_sum_of_both():
    network, batch = built(EISR(**PLAIN), made_pairs())
    losses = network.losses(batch, 0.0)
    both = gradients(losses["images"] + losses["texts"], network.last)
    images, texts = (gradients(losses[side], network.last) for side in ("images", "texts"))
    assert len(network.last) == 1 and images.any() and texts.any()
    torch.testing.assert_close(both, images + texts)


def test_separate_last_layers_learn_from_their_own_modality():
    network, batch = built(EISR(**PLAIN, mode="o_le"), made_pairs())
    losses = network.losses(batch, 0.0)
    for side, own, other in (("images", 0, 1), ("texts", 1, 0)):
        assert gradients(losses[side], network.last[own]).any()
        assert not gradients(losses[side], network.last[other]).any()


def test_separate_last_layers_that_are_copies_begin_with_the_loss_of_the_shared_one():
    pairs = made_pairs()
    shared, batch = built(EISR(**PLAIN), pairs)
    separate, _ = built(EISR(**PLAIN, mode="o_le"), pairs)
    state = shared.state_dict()
    copies = {name.replace("last.0", "last.1"): tensor for name, tensor in state.items() if name.startswith("last")}
    separate.load_state_dict(state | copies)
    assert total(separate, batch).item() == total(shared, batch).item()
    # One step on, they part.
    for network in (shared, separate):
        total(network, batch).backward()
        torch.optim.SGD(network.parameters(), lr=0.1).step()
    assert total(separate, batch).item() != total(shared, batch).item()


def test_the_latent_dimension_shows_in_the_latent_layers_and_the_last_alone():
    assert shapes(EISR(**PLAIN, mode="o")) == shapes(EISR(**PLAIN | {"n_components": 70}, mode="o"))
    one, other = shapes(EISR(**PLAIN)), shapes(EISR(**PLAIN | {"n_components": 70}))
    changed = {name for name in one if one[name] != other[name]}
    latent = {"image_net.0.weight", "image_net.0.bias", "text_net.4.weight", "text_net.4.bias"}
    assert one.keys() == other.keys() and changed == latent | {"last.0.weight"}
    assert one["last.0.weight"] == (7, 4) and other["last.0.weight"] == (70, 4)


def test_without_latent_layers_the_text_network_keeps_three_layers_and_the_image_network_one():
    found = shapes(EISR(**PLAIN | {"text_widths": (16,)}, mode="o"))
    weights = {name: shape for name, shape in found.items() if name.endswith("weight")}
    assert weights == {
        "text_net.0.weight": (25, 16), "text_net.2.weight": (16, 16), "last.1.weight": (16, 4),
        "last.0.weight": (20, 4),
    }  # fmt: skip


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_behind_a_softmax_a_pair_costs_four_at_most(scale):
    network, batch = built(EISR(**PLAIN), made_pairs())
    for parameter in network.parameters():
        parameter.data.mul_(scale)
    for i in range(len(batch)):
        assert 0 <= total(network, batch.rows(torch.tensor([i]))).item() <= 4 + 1e-5


def test_the_worst_pair_costs_four():
    network, batch = built(EISR(**PLAIN), made_pairs())
    for parameter in network.parameters():
        parameter.data.zero_()
    network.last[0].bias.data[2] = 100.0  # both sides are sure of class 2
    of_class = batch.labels.argmax(-1)
    for i in range(len(batch)):
        expected = 0.0 if of_class[i] == 2 else 4.0
        assert total(network, batch.rows(torch.tensor([i]))).item() == pytest.approx(expected)


def test_several_labels_can_be_met_by_a_softmax_with_equal_shares():
    pairs = replace(made_pairs(), labels=np.tile([True, True, False, False], (120, 1)))
    network, batch = built(EISR(**PLAIN), pairs)
    for parameter in network.parameters():
        parameter.data.zero_()
    network.last[0].bias.data[:2] = 50.0
    assert total(network, batch).item() == pytest.approx(0.0, abs=1e-6)


def test_items_without_a_label_are_no_error():
    labels = made_pairs().labels.copy()
    labels[::3] = False
    network, batch = built(EISR(**PLAIN), replace(made_pairs(), labels=labels))
    assert gradients(total(network, batch), network).isfinite().all()


@pytest.mark.parametrize(("initialisation", "deviations"), [("paper", (0.01, 0.01, 0.01)), ("he", (0.1, 0.05, 1 / 15))])
def test_weights_begin_as_normal_numbers_of_the_deviation_that_is_asked_for(initialisation, deviations):
    method = EISR(n_components=450, text_widths=(800,), initialisation=initialisation)
    inputs = Inputs(Side("vectors", (200,)), Side("vectors", (200,)), 40)
    network = method.build(inputs, torch.Generator().manual_seed(0))
    weights = (network.image_net[0].weight, network.text_net[3].weight, network.last[0].weight)
    for weight, deviation in zip(weights, deviations, strict=True):
        values = weight.detach().flatten().double()
        assert values.std().item() == pytest.approx(deviation, rel=0.02)
        assert values.mean().item() == pytest.approx(0, abs=0.05 * deviation)
        # A uniform distribution of this deviation ends at 1.73 of it, a normal one has 8 % beyond.
        assert (values.abs() > 1.75 * deviation).double().mean().item() == pytest.approx(0.08, abs=0.01)
    biases = [parameter for name, parameter in network.named_parameters() if name.endswith("bias")]
    assert len(biases) == 4 and not any(bias.any() for bias in biases)


def test_the_rate_of_gradient_descent_falls_to_a_tenth_at_half_of_the_epochs():
    rate = EISR(solver="sgd").schedule().rate
    assert [rate(epoch / 47) for epoch in (0, 23)] == [1.0, 1.0] and [rate(e / 47) for e in (24, 46)] == [0.1, 0.1]
    assert EISR().schedule().rate is None


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_pretrained_layers_learn_at_a_tenth_of_the_rate_of_new_ones(solver):
    parameters = {name: torch.ones(n, requires_grad=True) for n, name in ((2, "encoder.pretrained.w"), (3, "last.0"))}
    optimiser = EISR(solver=solver, learning_rate=0.01, weight_decay=0.0007).optimiser(parameters)
    assert isinstance(optimiser, {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[solver])
    groups = {len(group["params"][0]): group for group in optimiser.param_groups}
    assert [groups[size]["lr"] for size in (2, 3)] == pytest.approx([0.001, 0.01])
    assert all(group["weight_decay"] == 0.0007 for group in groups.values())
    assert solver == "adam" or all(group["momentum"] == 0.9 for group in groups.values())


def test_items_are_ranked_by_the_euclidean_distance():
    assert EISR.similarity == "euclidean"


def test_hidden_units_and_image_features_drop_out_in_training_alone():
    for options, changes in (({"dropout": 0.5}, (True, True)), ({"dropout": 0.0, "input_dropout": 0.5}, (True, False))):
        network, batch = built(EISR(**SMALL | options), made_pairs())
        for embed, items, changed in zip(
            (network.embed_images, network.embed_texts), (batch.images, batch.texts), changes, strict=True
        ):
            network.train()
            assert torch.equal(embed(items), embed(items)) != changed
            network.eval()
            assert torch.equal(embed(items), embed(items))


def test_from_weights_as_small_as_the_papers_the_gradient_is_tiny():
    """Scores and latent units begin near zero, so each layer passes hardly anything on to those below it."""
    norms = []
    for initialisation in ("paper", "he"):
        network, batch = built(EISR(**PLAIN | {"text_widths": (64,)}, initialisation=initialisation), made_pairs())
        norms.append(gradients(total(network, batch), network.text_net).norm())
    assert norms[0] < 0.01 * norms[1]


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(
    "options",
    [{"mode": mode} for mode in MODES]
    + [
        {"output": output, "dropout": 0.0, "n_components": 20, "text_widths": (20,)} for output in ("linear", "sigmoid")
    ],
)
def test_it_retrieves_unseen_pairs_of_the_same_classes(options, multi_label):
    train, valid, test = (made_pairs(seed, multi_label=multi_label) for seed in range(3))
    method = EISR(**SMALL | options)
    model, untrained = method.fit(train, valid), replace(method, epochs=1, learning_rate=1e-9).fit(train)
    assert score(method, model, test) > score(method, untrained, test) + 0.2
    h = {name: np.array(values) for name, values in model.history.items()}
    assert set(h) == {"loss", "images", "texts", "valid_map"}
    np.testing.assert_allclose(h["loss"], h["images"] + h["texts"], rtol=1e-5)


def test_gradient_descent_learns_too():
    train, valid, test = (made_pairs(seed) for seed in range(3))
    method = EISR(**SMALL | {"solver": "sgd", "learning_rate": 0.1})
    model, untrained = method.fit(train, valid), replace(method, epochs=1, learning_rate=1e-9).fit(train)
    assert score(method, model, test) > score(method, untrained, test) + 0.2
