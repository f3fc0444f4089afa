"""Each stage computes what it says, learns from the train part alone, and is trained once for all that need it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler

from cmr import checkpoint, store
from cmr.methods.base import Pairs
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence
from cmr.methods.deep.network import Batch, embed
from cmr.methods.pipelines.classifier import Classifier
from cmr.methods.pipelines.fusion import FusedClassifiers, FusionRBM
from cmr.methods.pipelines.intra_modal import IntraModalAutoencoder
from cmr.methods.pipelines.scaling import MinMax, StandardisedSpace
from cmr.methods.pipelines.stacked_bimodal import BimodalStack, halved
from cmr.methods.pipelines.stages import Context, Descent, alone
from cmr.metrics import bimodal_map
from cmr.progress import Progress

from .made import made_pairs

BRIEF = Descent(0.01, epochs=2, batch_size=20, patience=9)
LONGER = replace(BRIEF, epochs=20)
CD = ContrastiveDivergence(0.01, epochs=2, batch_size=20)
WEIGHTS = {"reconstruction": 1.0, "label": 1.0}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def weights_of(module):
    return {name: tensor.double().numpy() for name, tensor in module.state_dict().items()}


def test_columns_are_scaled_to_their_train_range_and_cut():
    rng = np.random.default_rng(0)
    train, other = rng.normal(3, 5, size=(30, 4)), rng.normal(3, 15, size=(30, 4))
    train[:, 2], other[:, 2] = 7, 9
    scale = MinMax(4)
    scaled = scale.fit(torch.from_numpy(train).float())
    oracle = MinMaxScaler(clip=True).fit(train)
    columns = [0, 1, 3]
    np.testing.assert_allclose(scaled[:, columns], oracle.transform(train)[:, columns], atol=1e-6)
    np.testing.assert_allclose(
        scale(torch.from_numpy(other).float())[:, columns], oracle.transform(other)[:, columns], atol=1e-6
    )
    assert not scale(torch.from_numpy(other).float())[:, 2].any()  # says nothing: constant in training


def test_one_range_keeps_the_proportions_of_columns():
    x = torch.tensor([[0.0, 10.0], [5.0, 20.0]])
    scale = MinMax(1)
    torch.testing.assert_close(scale.fit(x), x / 20)


def test_embeddings_are_z_scored_by_statistics_of_the_train_part_and_their_own_side():
    train, other = made_pairs(), made_pairs(30, seed=1)
    stack = BimodalStack((10, 8), (6,), 3, seeded())
    space = stack.levels[0]
    parts = [Batch.of(pairs, torch.device("cpu")) for pairs in (train, other)]
    with torch.no_grad():
        space.end_epoch(parts[0])
        for side in ("images", "texts"):
            raw, scaled = (getattr(own, f"embed_{side}") for own in (space.space, space))
            before, after = (raw(getattr(part, side)).double().numpy() for part in parts)
            expected = (after - before.mean(0)) / before.std(0)
            np.testing.assert_allclose(scaled(getattr(parts[1], side)), expected, rtol=1e-3, atol=1e-3)
        assert isinstance(space, StandardisedSpace)
        for name, term in space.space.losses(parts[0], 0.0).items():
            assert torch.equal(term, space.losses(parts[0], 0.0)[name])


def test_the_autoencoder_computes_rectified_codes_and_sigmoid_outputs():
    x = made_pairs().images
    autoencoder = IntraModalAutoencoder(10, (7, 4), seeded())
    autoencoder.fit(x, BRIEF, "a", Context())
    W = weights_of(autoencoder)
    scaled = np.clip((x.astype(float) - x.min(0)) / np.ptp(x.astype(float), axis=0), 0, 1)
    hidden = scaled
    for layer in (0, 1):
        hidden = np.maximum(hidden @ W[f"encoders.{layer}.weight"] + W[f"encoders.{layer}.bias"], 0)
    code = (hidden - hidden.min()) / (hidden.max() - hidden.min())
    np.testing.assert_allclose(embed(autoencoder, autoencoder, x), code, atol=1e-5)
    back = np.maximum(hidden @ W["decoders.1.weight"] + W["decoders.1.bias"], 0)
    back = sigmoid(back @ W["decoders.0.weight"] + W["decoders.0.bias"])
    np.testing.assert_allclose(autoencoder.decode(torch.from_numpy(hidden).float(), 2).detach(), back, atol=1e-5)
    far = embed(autoencoder, autoencoder, 1e4 * x)
    assert far.min() >= 0 and far.max() <= 1


def test_layers_are_added_one_by_one_to_what_is_trained():
    x = made_pairs(n=120).images
    autoencoder = IntraModalAutoencoder(10, (9, 6), seeded())
    before = weights_of(autoencoder)
    seen = []
    original = Descent.train

    def train(descent, network, *arguments):
        history = original(descent, network, *arguments)
        seen.append((network.depth, weights_of(autoencoder), history["loss"]))
        return history

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Descent, "train", train)
        history = autoencoder.fit(x, LONGER, "a", Context())
    (one, first, losses), (two, second, further) = seen
    assert (one, two) == (1, 2)
    assert np.array_equal(first["encoders.1.weight"], before["encoders.1.weight"])
    for name in ("encoders.0.weight", "decoders.0.weight"):
        assert not np.allclose(first[name], before[name]) and not np.allclose(second[name], first[name])
    assert not np.allclose(second["encoders.1.weight"], before["encoders.1.weight"])
    assert losses[-1] < 0.7 * losses[0] and further[-1] < 0.9 * further[0]
    assert history == {"reconstruction_1": losses, "reconstruction_2": further}


def test_no_unit_starts_at_zero_for_all_items():
    x = 5 + make_positive()
    autoencoder = IntraModalAutoencoder(10, (30, 20), seeded())
    autoencoder.fit(x, replace(BRIEF, learning_rate=1e-9), "a", Context())
    with torch.no_grad():
        for depth in (1, 2):
            hidden = autoencoder.encode(autoencoder.scale(torch.from_numpy(x)), depth).numpy()
            assert ((hidden > 0).mean(0) > 0.1).all() and ((hidden > 0).mean(0) < 0.9).all()


def make_positive():
    return np.abs(np.random.default_rng(0).normal(size=(200, 10))).astype(np.float32)


def test_the_classifier_is_rectified_layers_under_a_softmax():
    pairs = made_pairs(12)
    network = Classifier(10, (6, 5), 3, 0.5, seeded()).eval()
    W = weights_of(network)
    hidden = pairs.images.astype(float)
    for layer in ("hidden.0", "hidden.3"):
        hidden = np.maximum(hidden @ W[f"{layer}.weight"] + W[f"{layer}.bias"], 0)
    scores = hidden @ W["output.weight"] + W["output.bias"]
    posterior = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    x = torch.from_numpy(pairs.images)
    np.testing.assert_allclose(network.hidden(x).detach(), hidden, atol=1e-5)
    np.testing.assert_allclose(network.embed(x).detach(), posterior, atol=1e-5)
    batch = Batch.of(alone(pairs.images, pairs.labels), torch.device("cpu"))
    expected = -np.log(posterior[pairs.labels]).mean()
    assert network.losses(batch, 0.0)["loss"].item() == pytest.approx(expected, rel=1e-4)
    network.train()
    assert not torch.equal(network.hidden(x), network.hidden(x))


def test_the_classifier_learns_classes_and_keeps_its_best_epoch():
    train, valid = made_pairs(120, noise=1.5), made_pairs(60, seed=1, noise=1.5)
    network = Classifier(10, (16, 16), 3, 0.3, seeded())
    parts = [alone(part.images, part.labels) for part in (train, valid)]
    history = network.fit(*parts, LONGER, "c", Context())
    posteriors = embed(network, network.embed, valid.images)
    assert (posteriors.argmax(1) == valid.labels.argmax(1)).mean() > 0.6  # by chance 1/3
    expected = bimodal_map(posteriors, posteriors, valid.labels, "cosine")
    assert max(history["valid_map"]) == pytest.approx(expected, abs=1e-6)


def made_fused(train, valid=None, descent=BRIEF, context=None):
    context = context or Context()
    joints = (FusionRBM(dimension, 12, context.device) for dimension in (10, 8))
    fused = FusedClassifiers(*joints, (6, 5), 3, 0.2, context)
    return fused, fused.fit(train, valid, CD, descent, context)


def as_codes(pairs):
    """In [0, 1]."""
    return replace(pairs, images=sigmoid(pairs.images), texts=sigmoid(pairs.texts))


def test_a_modality_is_joined_and_classified_without_the_other():
    train = as_codes(made_pairs())
    (one, _), (other, _) = made_fused(train), made_fused(replace(train, texts=train.texts[::-1].copy()))
    images, texts = torch.from_numpy(train.images), torch.from_numpy(train.texts)
    with torch.no_grad():
        assert torch.equal(one.eval().embed_images(images), other.eval().embed_images(images))
        assert not torch.equal(one.embed_texts(texts), other.embed_texts(texts))


def test_the_classifier_is_given_z_scores_of_the_joint_units():
    train = as_codes(made_pairs())
    fused, history = made_fused(train)
    W = weights_of(fused.joints["texts"])
    h = sigmoid(train.texts.astype(float) @ W["rbm.weights"] + W["rbm.hidden_bias"])
    z = np.clip((h - h.mean(0)) / h.std(0), -5, 5)
    np.testing.assert_allclose(fused.joints["texts"](torch.from_numpy(train.texts)), z, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        fused.eval()
        codes = fused.classifiers["texts"].hidden(torch.from_numpy(z).float())
        torch.testing.assert_close(fused.embed_texts(torch.from_numpy(train.texts)), codes, rtol=1e-2, atol=1e-2)
    assert len(history["images_joint_rbm"]) == len(history["texts_classifier_loss"]) == 2


def test_widths_halve_as_long_as_two_units_are_left():
    assert halved(512, 4) == (512, 256, 128, 64)
    assert halved(6, 4) == (6, 3)
    assert halved(1, 4) == (1,)


def made_stack(train, valid, descent=LONGER, widths=(8, 4, 2), context=None):
    context = context or Context()
    stack = BimodalStack((10, 8), widths, 3, context.generator("b"))
    return stack, stack.fit(train, valid, WEIGHTS, descent, context)


def by_hand(stack, pairs, train, depth):
    """z-scored codes of both sides after `depth` autoencoders, in NumPy."""
    W, sides = weights_of(stack), []
    for side, name in (("images", "image"), ("texts", "text")):
        low, high = getattr(train, side).min(0), getattr(train, side).max(0)
        codes = [np.clip((getattr(part, side).astype(float) - low) / (high - low), 0, 1) for part in (train, pairs)]
        for level in range(depth):
            joint = f"levels.{level}.space.joint"
            codes = [sigmoid(code @ W[f"{joint}.{name}_weight"] + W[f"{joint}.bias"]) for code in codes]
        sides.append((codes[1] - codes[0].mean(0)) / codes[0].std(0))
    return sides


def test_the_depth_with_the_best_valid_map_is_kept_and_scaled_by_train_statistics():
    train, valid, test = made_pairs(90, noise=1.0), made_pairs(45, 1, noise=1.0), made_pairs(30, 2)
    depths = set()
    for widths in ((8, 4, 2), (1, 6, 6)):
        stack, history = made_stack(train, valid, replace(BRIEF, epochs=8), widths=widths)
        oracle = [bimodal_map(*by_hand(stack, valid, train, depth), valid.labels, "cosine") for depth in (1, 2, 3)]
        np.testing.assert_allclose(history["depth_valid_map"], oracle, atol=5e-3)
        depth = 1 + int(np.argmax(history["depth_valid_map"]))
        images, texts = by_hand(stack, test, train, depth)
        np.testing.assert_allclose(embed(stack, stack.embed_images, test.images), images, rtol=1e-2, atol=5e-3)
        np.testing.assert_allclose(embed(stack, stack.embed_texts, test.texts), texts, rtol=1e-2, atol=5e-3)
        depths.add(depth)
    assert len(depths) == 2  # the choice is one


def test_without_a_valid_part_all_levels_stay():
    train = made_pairs()
    stack, history = made_stack(train, None, BRIEF)
    assert embed(stack, stack.embed_images, train.images).shape == (60, 2)
    assert "depth_valid_map" not in history and len(history["loss"]) == 2


def test_labels_have_their_weight_in_each_autoencoder():
    train = made_pairs()
    without = replace(train, labels=np.roll(train.labels, 1, axis=0))
    for weight, same in ((0.0, True), (1.0, False)):
        codes = []
        for part in (train, without):
            stack = BimodalStack((10, 8), (4,), 3, seeded())
            stack.fit(part, None, WEIGHTS | {"label": weight}, BRIEF, Context())
            codes.append(embed(stack, stack.embed_images, train.images))
        assert np.array_equal(*codes) == same


def test_equal_stages_are_trained_once_and_any_other_fact_makes_another(tmp_path):
    train, valid = as_codes(made_pairs()), as_codes(made_pairs(30, 1))
    progress = Progress(stages=tmp_path, quiet=True)

    def stages_after(train=train, valid=valid, descent=BRIEF, dropout=0.2, seed=0, widths=(6, 5), start="weights"):
        context = Context(seed=seed, progress=progress)
        network = Classifier(10, widths, 3, dropout, context.generator(start))
        sides = [None if part is None else alone(part.images, part.labels) for part in (train, valid)]
        history = network.fit(*sides, descent, "c", context)
        return len(list(tmp_path.glob("*.h5"))), weights_of(network), history

    count, weights, history = stages_after()
    again, same_weights, same_history = stages_after()
    assert count == again == 1 and history == same_history
    for name, value in weights.items():
        np.testing.assert_array_equal(same_weights[name], value)
    changes = [
        {"train": replace(train, labels=np.roll(train.labels, 1, axis=0))},
        {"train": replace(train, images=train.images + 1)},
        {"valid": None},
        {"descent": replace(BRIEF, weight_decay=0.1)},
        {"dropout": 0.3},
        {"seed": 1},
        {"widths": (6, 6)},
        {"start": "other weights"},
    ]
    assert [stages_after(**change)[0] for change in changes] == list(range(2, 2 + len(changes)))


@pytest.mark.parametrize("change", [{"dropout": 0.5}, {"widths": (6, 6)}])
def test_no_training_goes_on_where_one_of_other_settings_was(tmp_path, change):
    train = as_codes(made_pairs())

    def weights(progress, dropout=0.2, widths=(6, 5)):
        context = Context(progress=progress)
        network = Classifier(10, widths, 3, dropout, context.generator("weights"))
        network.fit(alone(train.images, train.labels), None, BRIEF, "c", context)
        return weights_of(network)

    kept = Progress(checkpoints=tmp_path, quiet=True)
    weights(kept)
    for name, value in weights(kept, **change).items():
        np.testing.assert_array_equal(weights(Progress(quiet=True), **change)[name], value)
    assert len(list(tmp_path.glob("*.h5"))) == 2


def test_a_killed_training_goes_on_to_the_result_that_it_would_have_had(tmp_path, monkeypatch):
    train = as_codes(made_pairs())

    def weights(progress):
        context = Context(progress=progress)
        network = Classifier(10, (6, 5), 3, 0.5, context.generator("weights"))
        network.fit(alone(train.images, train.labels), None, replace(BRIEF, epochs=4), "c", context)
        return weights_of(network)

    write = checkpoint.Checkpoint.write

    def killed_after_writing(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    kept = Progress(checkpoints=tmp_path, quiet=True)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoint.Checkpoint, "write", killed_after_writing)
        weights(kept)
    (file,) = tmp_path.glob("*.h5")
    assert not store.read_arrays(file)[1]["0"]["finished"]
    resumed = weights(kept)
    for name, value in weights(Progress(quiet=True)).items():
        np.testing.assert_array_equal(resumed[name], value)


def test_a_pair_of_an_item_with_itself_is_of_one_modality():
    pairs = made_pairs(5)
    made = alone(pairs.images, pairs.labels)
    assert isinstance(made, Pairs) and made.images is made.texts
