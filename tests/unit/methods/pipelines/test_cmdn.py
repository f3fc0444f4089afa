"""CMDN joins what a modality says alone and what it shares with the other, and learns from the train part alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr.methods.base import NotApplicableError
from cmr.methods.pipelines.cmdn import CMDN
from cmr.metrics import bimodal_map
from cmr.progress import Progress

from .made import made_pairs

TINY = CMDN(
    image_stack_widths=(8, 7), text_stack_widths=(8, 6), stack_epochs=2, autoencoder_widths=(7, 5),
    autoencoder_epochs=2, inter_width=9, fusion_width=10, classifier_widths=(8, 6), n_components=6, epochs=2,
)  # fmt: skip


WIDER = {"fusion_width": 16, "classifier_widths": (16, 16), "dropout": 0.1}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_a_modality_is_the_code_of_its_autoencoder_beside_the_joint_layer_with_itself_clamped():
    train = made_pairs()
    network = TINY.fit(train).network
    W = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        for side, own, other in (("images", slice(0, 7), slice(7, 13)), ("texts", slice(7, 13), slice(0, 7))):
            x = torch.from_numpy(getattr(train, side))
            codes = (network.image_codes if side == "images" else network.text_codes)(x)
            torch.testing.assert_close(codes[:, :5], network.autoencoders[side](x))
            stack = network.network.image_stack if side == "images" else network.network.text_stack
            joint, a = W["network.joint.weights"], W["network.joint.visible_bias"]
            given, generated = stack(x).double().numpy(), sigmoid(a[other])
            for _ in range(10):
                h = sigmoid(given @ joint[own] + generated @ joint[other] + W["network.joint.hidden_bias"])
                generated = sigmoid(h @ joint[other].T + a[other])
            np.testing.assert_allclose(codes[:, 5:], h, atol=1e-5)


def test_the_stages_follow_each_other():
    train = made_pairs()
    network = TINY.fit(train).network.eval()
    images = torch.from_numpy(train.images)
    with torch.no_grad():
        hidden = network.fused.embed_images(network.image_codes(images))
        assert hidden.shape == (60, 6)
        torch.testing.assert_close(network.embed_images(images), network.top.embed_images(hidden))


def test_embeddings_of_the_train_part_are_z_scores():
    train = made_pairs()
    model = TINY.fit(train, made_pairs(24, 1))
    for codes in (model.embed_images(train.images), model.embed_texts(train.texts)):
        # One unit more than five deviations away is cut.
        np.testing.assert_allclose(codes.mean(0), 0, atol=0.05)
        np.testing.assert_allclose(codes.std(0), 1, atol=0.1)


def test_each_further_autoencoder_halves_the_code():
    train = made_pairs()
    for depth, width in ((1, 6), (2, 3), (4, 3)):
        assert replace(TINY, depth=depth).fit(train).embed_images(train.images).shape == (60, width)


def test_methods_that_differ_in_a_late_stage_share_all_before_it_bit_for_bit(tmp_path):
    progress, train, valid = Progress(stages=tmp_path, quiet=True), made_pairs(), made_pairs(24, 1)

    def state(**change):
        before = len(list(tmp_path.glob("*.h5")))
        fitted = replace(TINY, **change).fit(train, valid, progress=progress).state()
        return len(list(tmp_path.glob("*.h5"))) - before, fitted

    everything, base = state()
    assert everything == 2 + 1 + 2 + 2 + 2 + 2  # stacks, joint layer, autoencoders, joint RBMs, classifiers, top
    for change, anew, first in (
        ({}, 0, None),
        ({"label_weight": 3.0}, 2, "top"),
        ({"dropout": 0.3}, 4, "fused.classifiers"),
        ({"fusion_width": 11}, 6, "fused"),
        ({"autoencoder_widths": (7, 4)}, 8, "autoencoders"),
    ):
        trained, other = state(**change)
        assert trained == anew, change
        order = ["network.", "autoencoders.", "fused.joints", "fused.classifiers", "top."]
        start = next((i for i, stage in enumerate(order) if first and stage.startswith(first)), len(order))
        for stage in order[:start]:
            names = [name for name in base if name.startswith(f"network/{stage}")]
            assert names
            for name in names:
                np.testing.assert_array_equal(other[name], base[name])
        changed = [name for name in base if start < len(order) and name.startswith(f"network/{order[start]}")]
        assert not changed or any(not np.array_equal(other[name], base[name]) for name in changed)


def test_the_second_fit_of_shared_stages_gives_the_same_model(tmp_path):
    train, valid = made_pairs(), made_pairs(24, 1)
    shared = Progress(stages=tmp_path, quiet=True)
    codes = [TINY.fit(train, valid, **more).embed_images(valid.images) for more in ({}, *[{"progress": shared}] * 2)]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[1], codes[2])


def test_the_valid_part_chooses_epochs_and_depth_and_nothing_else():
    train, valid = made_pairs(), made_pairs(24, 1)
    other = replace(valid, images=50 * valid.images + 3, texts=9 * valid.texts - 2)
    method = replace(TINY, epochs=1, depth=1)
    codes = [method.fit(train, part).embed_images(train.images) for part in (None, valid, other)]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])


def test_it_retrieves_unseen_pairs():
    train, valid, test = (made_pairs(n, seed, noise=0.3) for n, seed in ((120, 0), (45, 1), (45, 2)))
    method = replace(TINY, stack_epochs=20, epochs=12, learning_rate=0.01, batch_size=20, **WIDER)
    model = method.fit(train, valid)
    score = bimodal_map(model.embed_images(test.images), model.embed_texts(test.texts), test.labels, "cosine")
    assert score > 0.7  # a random ranking has 0.35
    history = model.history
    assert max(history["valid_map"]) == pytest.approx(max(history["depth_valid_map"]))
    assert {"images_reconstruction_2", "texts_joint_rbm", "images_classifier_loss", "joint_rbm"} <= set(history)


def test_counts_go_through_a_replicated_softmax():
    pairs = made_pairs()
    counts = replace(pairs, texts=np.round(np.exp(pairs.texts)), texts_are_counts=True)
    model = TINY.fit(counts)
    network = model.network
    texts = torch.from_numpy(counts.texts)
    with torch.no_grad():
        torch.testing.assert_close(network.network.from_texts(3 * texts)[0], network.network.from_texts(texts)[0])
    np.testing.assert_array_equal(
        TINY.restore(model.state()).embed_texts(counts.texts), model.embed_texts(counts.texts)
    )


def test_without_classes_it_is_not_defined():
    pairs = made_pairs()
    with pytest.raises(NotApplicableError, match="cmdn: it learns from classes"):
        TINY.fit(replace(pairs, labels=pairs.labels[:, :0]))
