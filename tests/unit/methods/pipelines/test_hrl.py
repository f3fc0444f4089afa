"""HRL joins friendly and mutual codes; what drives the mutual ones is what its name says, and nothing else."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cmr.errors import UserError
from cmr.methods.base import NotApplicableError
from cmr.methods.deep.network import Batch, embed
from cmr.methods.pipelines.cmdn import CMDN
from cmr.methods.pipelines.fusion import JointAutoencoder
from cmr.methods.pipelines.hrl import HRL
from cmr.metrics import bimodal_map
from cmr.progress import Progress

from .made import made_pairs

TINY = HRL(
    image_stack_widths=(8, 7), text_stack_widths=(8, 6), image_friendly_widths=(6, 5), text_friendly_widths=(6, 4),
    stack_epochs=2, mutual_width=9, fusion_width=10, classifier_widths=(8, 6), n_components=6, epochs=2,
)  # fmt: skip
LEARNT = replace(
    TINY, stack_epochs=50, stack_batch_size=12, fusion_width=16, classifier_widths=(16, 16), dropout=0.1, epochs=12,
    learning_rate=0.01, batch_size=20,
)  # fmt: skip
PARTS = tuple(made_pairs(n, seed, noise=0.3) for n, seed in ((120, 0), (45, 1), (45, 2)))  # train, valid, test
SIDES = {"images": slice(0, 7), "texts": slice(7, 13)}  # of the visible units of the joint layer
OTHER = {"images": "texts", "texts": "images"}
VARIANTS = yaml.safe_load((Path(__file__).parents[4] / "config/methods/hrl.yaml").read_text("utf-8"))["variants"]


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    """Fit such methods to 120 pairs, each stage once."""
    progress = Progress(stages=tmp_path_factory.mktemp("stages"), quiet=True)
    return lambda **change: replace(LEARNT, **change).fit(*PARTS[:2], progress=progress)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def both(model, pairs):
    """Embeddings of images and texts, as the model wants them."""
    if model.network.method.sees_pairs:
        return model.embed_images(pairs.images, pairs.texts), model.embed_texts(pairs.texts, pairs.images)
    return model.embed_images(pairs.images), model.embed_texts(pairs.texts)


def mean_field(network, given, x):
    """By hand, in float64: joint layer and generated top of the other side, from tops x of the side `given`."""
    W = network.network.joint.weights.double().numpy()
    a, b = (getattr(network.network.joint, name).double().numpy() for name in ("visible_bias", "hidden_bias"))
    own, other = SIDES[given], SIDES[OTHER[given]]
    generated = sigmoid(a[other])
    for _ in range(10):
        h = sigmoid(x @ W[own] + generated @ W[other] + b)
        generated = sigmoid(h @ W[other].T + a[other])
    return h, generated


@pytest.mark.parametrize("mutual", ["filled", "own", "paired"])
def test_the_mutual_code_is_inferred_from_what_its_name_says_beside_the_friendly_code(mutual):
    train = made_pairs()
    network = replace(TINY, mutual=mutual).fit(train).network
    assert network.method.sees_pairs == (mutual == "paired")
    assert [network.stacks[side].width for side in SIDES] == [5, 4]
    stacks = {"images": network.network.image_stack, "texts": network.network.text_stack}
    tops = {
        side: embed(stack, stack, getattr(train, side)).astype(float) for side, stack in stacks.items()
    }  # of the deep belief net
    for side in SIDES:
        given = [getattr(train, OTHER[side])] if mutual == "paired" else []
        codes = network.codes(side, getattr(train, side), *given)
        friendly = embed(network, network.stacks[side], getattr(train, side))
        np.testing.assert_array_equal(codes[:, :-9], friendly)
        if mutual == "own":
            expected, _ = mean_field(network, side, tops[side])
        elif mutual == "paired":
            expected, _ = mean_field(network, OTHER[side], tops[OTHER[side]])
        else:
            _, generated = mean_field(network, side, tops[side])
            expected, _ = mean_field(network, OTHER[side], generated)
        np.testing.assert_allclose(codes[:, -9:], expected, atol=1e-5)


def test_given_pairs_the_embedding_of_an_item_changes_when_its_own_other_side_does_and_no_others(fit):
    model, test = fit(mutual="paired"), made_pairs(12, 1)
    images, texts = both(model, test)
    for n in (0, 7):
        changed = test.texts.copy()
        changed[n] = test.texts[(n + 1) % 12]
        other_texts = model.embed_images(test.images, changed)
        changed = test.images.copy()
        changed[n] = test.images[(n + 1) % 12]
        other_images = model.embed_texts(test.texts, changed)
        for before, after in ((images, other_texts), (texts, other_images)):
            assert (before != after).any(axis=1).nonzero()[0].tolist() == [n]


def test_given_pairs_the_mutual_code_of_an_image_has_nothing_of_the_image(fit):
    network, test = fit(mutual="paired").network, made_pairs(12, 1)
    swapped = test.images[::-1].copy()
    codes, others = (network.codes("images", images, test.texts) for images in (test.images, swapped))
    np.testing.assert_array_equal(codes[:, -9:], others[:, -9:])
    assert (codes[:, :-9] != others[:, :-9]).any(axis=1).all()


def test_given_pairs_no_item_is_embedded_without_its_other_side():
    train = made_pairs()
    model = replace(TINY, mutual="paired").fit(train)
    with pytest.raises(UserError, match=r"hrl: with mutual: paired .* Give paired_texts too"):
        model.embed_images(train.images)
    with pytest.raises(UserError, match=r"hrl: with mutual: paired .* Give paired_images too"):
        model.embed_texts(train.texts)
    with pytest.raises(
        UserError, match="row i of paired_texts must belong to row i of images, but there are 59 and 60"
    ):
        model.embed_images(train.images, train.texts[:-1])


@pytest.mark.parametrize("change", [{}, {"mutual": "own"}, {"mutual": "paired", "without": "mutual"}])
def test_a_model_that_needs_no_pairs_refuses_them(change):
    train = made_pairs()
    model = replace(TINY, **change).fit(train)
    assert model.embed_images(train.images).shape == model.embed_texts(train.texts).shape
    with pytest.raises(UserError, match=r"hrl: .* Call embed_images\(images\) alone"):
        model.embed_images(train.images, train.texts)
    with pytest.raises(UserError, match=r"hrl: .* Call embed_texts\(texts\) alone"):
        model.embed_texts(train.texts, train.images)


@pytest.mark.parametrize("mutual", ["filled", "own"])
def test_otherwise_an_image_is_embedded_as_if_there_were_no_texts(mutual):
    """Its embedding reaches no module of the text side but the joint layer, which train pairs made."""
    train, valid = made_pairs(), made_pairs(24, 1)
    model = replace(TINY, mutual=mutual).fit(train, valid)
    images = model.embed_images(valid.images)
    with torch.no_grad():
        for module in (model.network.network.text_stack, model.network.stacks["texts"]):
            for tensor in module.state_dict().values():
                tensor.fill_(torch.nan)
    np.testing.assert_array_equal(model.embed_images(valid.images), images)
    assert np.isnan(model.embed_texts(valid.texts)).all()


def state_of(method, tmp_path, train, valid):
    """What was trained anew, and the state."""
    before = len(list(tmp_path.glob("*.h5")))
    state = method.fit(train, valid, progress=Progress(stages=tmp_path, quiet=True)).state()
    return len(list(tmp_path.glob("*.h5"))) - before, state


@pytest.mark.parametrize("mutual", ["filled", "paired"])
def test_an_ablation_trains_only_what_its_missing_stage_changes(tmp_path, mutual):
    train, valid = made_pairs(), made_pairs(24, 1)
    base = replace(TINY, mutual=mutual)
    stacks, joined, classified, top = "stacks. network.", "fused.joints.", "fused.classifiers.", "top."
    everything, full = state_of(base, tmp_path, train, valid)
    assert everything == 4 + 1 + 2 + 2 + 2  # stacks, joint layer, joint RBMs, classifiers, autoencoders of 6 and 3
    for without, anew, kept in (
        ("bimodal", 0, f"{stacks} {joined} {classified}"),
        ("feed_forward", 2, f"{stacks} {joined}"),
        ("feed_forward_bimodal", 0, f"{stacks} {joined}"),
        ("friendly", 4, "network."),
        ("mutual", 4, "stacks."),
    ):
        trained, other = state_of(replace(base, without=without), tmp_path, train, valid)
        assert trained == anew, without
        for stage in kept.split():
            names = [name for name in full if name.startswith(f"network/{stage}")]
            assert names
            for name in names:
                np.testing.assert_array_equal(other[name], full[name])
        for stage in {*stacks.split(), classified, top} - set(kept.split()):
            of_stage = {name: value for name, value in other.items() if name.startswith(f"network/{stage}")}
            same = [name for name, value in of_stage.items() if np.array_equal(value, full.get(name))]
            assert not [name for name in same if name.endswith("weight")]


def test_the_readings_of_mutual_codes_share_all_stages_below_them(tmp_path):
    train, valid = made_pairs(), made_pairs(24, 1)
    _, full = state_of(TINY, tmp_path, train, valid)
    for mutual in ("own", "paired"):
        anew, other = state_of(replace(TINY, mutual=mutual), tmp_path, train, valid)
        assert anew == 6  # joint RBMs, classifiers, autoencoders
        for name in full:
            if name.startswith(("network/stacks.", "network/network.")):
                np.testing.assert_array_equal(other[name], full[name])


def test_the_deep_belief_net_is_that_of_cmdn(tmp_path):
    train, valid = made_pairs(), made_pairs(24, 1)
    equal = {
        name: getattr(TINY, name) for name in ("image_stack_widths", "text_stack_widths", "stack_epochs", "epochs")
    }
    _, of_cmdn = state_of(CMDN(inter_width=9, **equal), tmp_path, train, valid)
    anew, of_hrl = state_of(TINY, tmp_path, train, valid)
    assert anew == 2 + 2 + 2 + 2  # friendly stacks, and what is above the codes
    names = [name for name in of_cmdn if name.startswith("network/network.")]
    assert names
    for name in names:
        np.testing.assert_array_equal(of_hrl[name], of_cmdn[name])


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_variant_differs_in_one_field_from_the_method_that_it_is_compared_with(name):
    method = replace(HRL(), **VARIANTS[name]["values"])
    base = HRL(mutual="paired") if name.startswith("paired_") else HRL()
    assert sum(getattr(method, field.name) != getattr(base, field.name) for field in fields(HRL)) == 1
    assert method.sees_pairs == VARIANTS[name].get("sees_pairs", False)


def test_what_is_compared_without_autoencoders_are_posteriors_or_joined_codes(fit):
    train, _, test = PARTS
    posteriors, joined = fit(without="bimodal"), fit(without="feed_forward_bimodal")
    for side, of_classes, of_joint in zip(SIDES, both(posteriors, test), both(joined, test), strict=True):
        network = posteriors.network.eval()
        codes = torch.from_numpy(network.codes(side, getattr(test, side)))
        with torch.no_grad():
            hidden = network.fused.embed(side, codes)
            scores = network.fused.classifiers[side].output(hidden).double().numpy()
            probabilities = network.fused.joints[side].rbm(codes).double().numpy()
        np.testing.assert_allclose(of_classes, np.exp(scores) / np.exp(scores).sum(1, keepdims=True), atol=1e-5)
        of_train = torch.from_numpy(network.codes(side, getattr(train, side)))
        statistics = network.fused.joints[side].rbm(of_train).double().numpy()
        expected = np.clip((probabilities - statistics.mean(0)) / statistics.std(0), -5, 5)
        np.testing.assert_allclose(of_joint, expected, rtol=1e-2, atol=1e-2)


def test_a_depth_of_zero_is_no_autoencoders():
    train, valid = made_pairs(), made_pairs(24, 1)
    for without, same in (("nothing", "bimodal"), ("feed_forward", "feed_forward_bimodal")):
        shallow = replace(TINY, depth=0, without=without).fit(train, valid)
        for one, other in zip(
            both(shallow, valid), both(replace(TINY, without=same).fit(train, valid), valid), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_each_further_autoencoder_halves_the_code():
    train = made_pairs()
    for depth, width in ((1, 6), (2, 3), (4, 3)):
        assert replace(TINY, depth=depth).fit(train).embed_images(train.images).shape == (60, width)


def test_without_classifiers_and_autoencoders_the_two_spaces_have_nothing_to_do_with_each_other(fit):
    """An RBM whose hidden units are numbered otherwise is the same machine; yet other pairs would be found."""
    test, model = PARTS[2], fit(without="feed_forward_bimodal")
    joint = model.network.fused.joints["texts"]
    codes = torch.from_numpy(model.network.codes("texts", test.texts))
    images, scores = model.embed_images(test.images), []
    with torch.no_grad():
        again = torch.sigmoid(joint.rbm.visible_input(joint.rbm(codes)))
        for seed in range(20):
            order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
            for tensor in (joint.rbm.weights, joint.rbm.hidden_bias, joint.scale.mean, joint.scale.scale):
                tensor.copy_(tensor[..., order])
            torch.testing.assert_close(torch.sigmoid(joint.rbm.visible_input(joint.rbm(codes))), again)
            scores.append(bimodal_map(images, model.embed_texts(test.texts), test.labels, "cosine"))
    assert np.std(scores) > 0.1 and min(scores) < 0.35 + 0.05  # a random ranking has 0.35


def test_what_goes_into_the_autoencoders_lies_between_0_and_1_for_the_farthest_items():
    train = made_pairs()
    network = TINY.fit(train).network
    for factor in (1, 1e4):
        for side, scale in (("images", network.top.image_scale), ("texts", network.top.text_scale)):
            codes = torch.from_numpy(network.codes(side, np.float32(factor) * getattr(train, side)))
            with torch.no_grad():
                inputs = scale(network.eval().fused.embed(side, codes))
            assert inputs.min() >= 0 and inputs.max() <= 1 and inputs.std() > 0


def test_embeddings_of_the_train_part_are_z_scores():
    train = made_pairs()
    for mutual in ("filled", "paired"):
        for codes in both(replace(TINY, mutual=mutual).fit(train, made_pairs(24, 1)), train):
            np.testing.assert_allclose(codes.mean(0), 0, atol=0.05)
            np.testing.assert_allclose(codes.std(0), 1, atol=0.1)


def test_the_valid_part_chooses_epochs_and_depth_and_nothing_else():
    train, valid = made_pairs(), made_pairs(24, 1)
    other = replace(valid, images=50 * valid.images + 3, texts=9 * valid.texts - 2)
    method = replace(TINY, epochs=1, depth=1, mutual="paired")
    codes = [both(method.fit(train, part), train)[0] for part in (None, valid, other)]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])


@pytest.mark.parametrize("joint", ["rbm", "autoencoder"])
def test_it_retrieves_unseen_pairs(fit, joint):
    model, (_, valid, test) = fit(joint=joint), PARTS
    assert bimodal_map(*both(model, test), test.labels, "cosine") > 0.7  # a random ranking has 0.35
    history = model.history
    assert max(history["valid_map"]) == pytest.approx(max(history["depth_valid_map"]))
    assert max(history["valid_map"]) == pytest.approx(bimodal_map(*both(model, valid), valid.labels, "cosine"))
    errors = history[f"texts_joint_{joint}"]
    assert errors[-1] < errors[0]
    assert {"friendly_images_rbm_2", "images_rbm_2", "joint_rbm", "images_classifier_loss"} <= set(history)


def test_given_pairs_unseen_pairs_are_found_by_what_the_other_side_alone_knows(tmp_path):
    """Images of noise: whatever is retrieved comes from the texts that go into the codes of the images."""
    rng = np.random.default_rng(0)
    train, valid, test = (replace(part, images=rng.normal(size=part.images.shape).astype(np.float32)) for part in PARTS)
    progress = Progress(stages=tmp_path, quiet=True)
    scores = {}
    for mutual in ("filled", "paired"):
        model = replace(LEARNT, mutual=mutual).fit(train, valid, progress=progress)
        scores[mutual] = bimodal_map(*both(model, test), test.labels, "cosine")
    assert scores["filled"] < 0.45 and scores["paired"] > 0.6  # a random ranking has 0.35


def test_the_label_weight_is_of_the_cross_entropies_of_the_bimodal_autoencoders():
    history = {
        name: np.array(values) for name, values in replace(TINY, label_weight=3.0).fit(made_pairs()).history.items()
    }
    np.testing.assert_allclose(history["loss"], history["reconstruction"] + 3 * history["label"], rtol=1e-5)


def test_networks_of_the_two_modalities_begin_with_random_weights_of_their_own():
    """With equal ones, the units of two spaces that nothing joins would still be numbered alike."""
    method = replace(TINY, text_friendly_widths=(6, 5), joint="autoencoder", epochs=1, learning_rate=1e-9)
    fused = method.fit(made_pairs()).network.fused
    for networks in (fused.joints, fused.classifiers):
        of_images, of_texts = (dict(networks[side].named_parameters()) for side in SIDES)
        for name in (name for name in of_images if name.endswith("weight")):
            assert (of_images[name] - of_texts[name]).abs().max() > 0.1, name


def test_the_joint_autoencoder_has_a_hidden_layer_a_code_and_sigmoid_units():
    generator = torch.Generator().manual_seed(0)
    network = JointAutoencoder((3, 2), 4, generator)
    W = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    x = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)

    def layer(name, z):
        return sigmoid(z @ W[f"{name}.weight"] + W[f"{name}.bias"])

    def each(name, z):
        return np.concatenate([layer(f"{name}.0", z[:, :3]), layer(f"{name}.1", z[:, 3:])], axis=1)

    code = layer("joint", each("encoders", x))
    np.testing.assert_allclose(network.embed(torch.from_numpy(x)).detach(), code, atol=1e-6)
    expected = np.square(each("decoders", layer("back", code)) - x).sum(1).mean()
    batch = Batch(torch.from_numpy(x), torch.from_numpy(x), torch.zeros(6, 0), torch.arange(6))
    assert network.losses(batch, 0.0)["loss"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("change", [{}, {"mutual": "paired"}, {"joint": "autoencoder"}, {"without": "friendly"}])
def test_counts_go_through_a_replicated_softmax_and_the_state_keeps_all(change):
    pairs = made_pairs()
    counts = replace(pairs, texts=np.round(np.exp(pairs.texts)), texts_are_counts=True)
    method = replace(TINY, **change)
    model = method.fit(counts)
    restored = method.restore(model.state())
    for one, other in zip(both(model, counts), both(restored, counts), strict=True):
        np.testing.assert_array_equal(one, other)
    longer = replace(counts, texts=3 * counts.texts)  # of the same proportions
    for one, other in zip(both(model, counts), both(restored, longer), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_only_without_supervised_stages_it_needs_no_classes():
    pairs = made_pairs()
    unlabelled = replace(pairs, labels=pairs.labels[:, :0])
    for without in ("nothing", "bimodal", "feed_forward", "friendly", "mutual"):
        with pytest.raises(NotApplicableError, match="hrl: it learns from classes"):
            replace(TINY, without=without).fit(unlabelled)
    method = replace(TINY, without="feed_forward_bimodal")
    for one, other in zip(both(method.fit(unlabelled), pairs), both(method.fit(pairs), pairs), strict=True):
        np.testing.assert_array_equal(one, other)
