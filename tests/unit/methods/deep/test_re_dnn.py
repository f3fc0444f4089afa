from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr.compute import Compute
from cmr.methods.base import InfeasibleError
from cmr.methods.deep import trainer
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.losses import label_cross_entropy
from cmr.methods.deep.network import Batch
from cmr.methods.deep.re_dnn import REDNN, JointNetwork
from cmr.progress import Progress
from tests.unit.methods.deep.made import CPU, gradients, made_pairs, score, seeded

SMALL = {
    "image_widths": (16, 8), "text_widths": (16, 6), "n_components": 5, "epochs": 15, "batch_size": 20,
    "learning_rate": 0.02,
}  # fmt: skip


def built(**settings):
    pairs = made_pairs()
    return JointNetwork(REDNN(**SMALL | settings), Inputs.of(pairs), seeded()), Batch.of(pairs, CPU)


def embedded(model, pairs):
    return np.concatenate([model.embed_images(pairs.images), model.embed_texts(pairs.texts)])


def test_without_their_weights_the_joint_stage_gives_the_modalities_classifiers_no_gradient():
    network, batch = built()
    losses = network.losses(batch, 0.0)
    classifiers = torch.nn.ModuleList([network.intra.image_classifier, network.intra.text_classifier])
    assert not gradients(losses["joint"], classifiers).any()
    assert not gradients(losses["single_input"], classifiers).any()
    assert gradients(losses["intra"], classifiers).any()
    assert not gradients(losses["intra"], network.joint).any()
    for part in (network.intra.image_net, network.intra.text_net):
        assert all(gradients(loss, part).any() for loss in losses.values())


def test_a_missing_input_contributes_zero_to_the_code():
    network, batch = built()
    h_i, h_t = network.intra.hidden_images(batch.images), network.intra.hidden_texts(batch.texts)
    j_i, j_t, b = network.joint.weight[:8], network.joint.weight[8:], network.joint.bias
    torch.testing.assert_close(network.code(h_i, h_t), torch.sigmoid(h_i @ j_i + h_t @ j_t + b))
    torch.testing.assert_close(network.code(h_i, None), torch.sigmoid(h_i @ j_i + b))
    torch.testing.assert_close(network.code(None, h_t), torch.sigmoid(h_t @ j_t + b))
    through = network.intra.hidden_texts(torch.zeros_like(batch.texts))
    assert not torch.allclose(network.code(h_i, through), network.code(h_i, None), atol=1e-2)


def test_the_losses_are_cross_entropies_of_whole_pairs_and_of_single_inputs():
    network, batch = built()
    h_i, h_t = network.intra.hidden_images(batch.images), network.intra.hidden_texts(batch.texts)
    losses = network.losses(batch, 0.0)

    def of(logits):
        return label_cross_entropy(logits, batch.labels)

    torch.testing.assert_close(losses["joint"], of(network.classifier(network.code(h_i, h_t))))
    singles = of(network.embed_images(batch.images).log()) + of(network.embed_texts(batch.texts).log())
    torch.testing.assert_close(losses["single_input"], singles)
    intra = of(network.intra.embed_images(batch.images).log()) + of(network.intra.embed_texts(batch.texts).log())
    torch.testing.assert_close(losses["intra"], intra)


@pytest.mark.parametrize("keep", ["joint", "intra", "better"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_it_retrieves_unseen_pairs_by_posteriors(keep, multi_label):
    train, valid, test = (made_pairs(seed, multi_label=multi_label) for seed in range(3))
    method = REDNN(**SMALL, keep=keep)
    model, untrained = method.fit(train, valid), replace(method, epochs=1, learning_rate=1e-9).fit(train, valid)
    assert score(method, model, test) > score(method, untrained, test) + 0.2
    np.testing.assert_allclose(embedded(model, test).sum(axis=1), 1, rtol=1e-5)
    restored = method.restore(model.state())
    np.testing.assert_array_equal(embedded(restored, test), embedded(model, test))


def test_the_joint_stage_goes_on_from_the_first_at_half_its_rate():
    train, valid = made_pairs(), made_pairs(1)
    first = REDNN(**SMALL, keep="intra").fit(train, valid)
    model = REDNN(**SMALL).fit(train, valid)
    assert {f"intra_{name}": values for name, values in first.history.items()}.items() <= model.history.items()
    slow = REDNN(**SMALL | {"epochs": 1}).fit(train)
    # With Adam a step moves no weight by much more than the rate; there are six of them.
    start, end = REDNN(**SMALL | {"epochs": 1}, keep="intra").fit(train).network, slow.network.intra
    moved = max((a - b).abs().max().item() for a, b in zip(start.parameters(), end.parameters(), strict=True))
    assert 0.01 < moved <= 6 * 0.01 * 1.01


@pytest.mark.parametrize(
    "scores, stage", [([0.2, 0.5, 0.4, 0.3], "intra"), ([0.2, 0.5, 0.1, 0.6], "joint"), ([0.5, 0.2, 0.5, 0.5], "intra")]
)
def test_the_better_stage_is_that_of_the_higher_valid_map(scores, stage, monkeypatch):
    """Two epochs of the first stage, then two of the joint one; of equals, the one that took less training."""
    train, valid, test = (made_pairs(seed) for seed in range(3))

    def fit(keep):
        remaining = list(scores)
        monkeypatch.setattr(trainer, "bimodal_map", lambda *arguments: remaining.pop(0))
        return REDNN(**SMALL | {"epochs": 2}, keep=keep).fit(train, valid)

    better = fit("better")
    np.testing.assert_array_equal(embedded(better, test), embedded(fit(stage), test))
    assert better.history["intra_valid_map"] == scores[:2] and better.history["valid_map"] == scores[2:]


def test_the_code_takes_the_place_of_posteriors():
    train, test = made_pairs(), made_pairs(1)
    codes = embedded(REDNN(**SMALL, embedding="code").fit(train), test)
    model = REDNN(**SMALL).fit(train)
    assert codes.shape == (240, 5) and (codes > 0).all() and (codes < 1).all()
    logits = torch.from_numpy(codes) @ model.network.classifier.weight + model.network.classifier.bias
    np.testing.assert_allclose(logits.softmax(-1).detach().numpy(), embedded(model, test), atol=1e-6)


@pytest.mark.parametrize("keep", ["intra", "better"])
def test_a_code_of_the_first_stage_is_refused(keep):
    with pytest.raises(InfeasibleError, match="re_dnn: only the joint stage has a common code"):
        REDNN(**SMALL, keep=keep, embedding="code").fit(made_pairs(), made_pairs(1))


def test_without_a_valid_part_no_stage_is_the_better_one():
    with pytest.raises(InfeasibleError, match="re_dnn: the better stage is chosen on the valid part"):
        REDNN(**SMALL, keep="better").fit(made_pairs())


def test_settings_of_the_joint_stage_share_the_first(tmp_path, monkeypatch):
    train, valid, progress = made_pairs(), made_pairs(1), Progress(stages=tmp_path, quiet=True)
    alone = REDNN(**SMALL, intra_weight=0.3).fit(train, valid)

    def stages():
        return len(list(tmp_path.glob("*.h5")))

    REDNN(**SMALL).fit(train, valid, progress=progress)
    shared = REDNN(**SMALL, intra_weight=0.3).fit(train, valid, progress=progress)
    assert stages() == 1
    np.testing.assert_array_equal(embedded(shared, valid), embedded(alone, valid))
    REDNN(**SMALL | {"learning_rate": 0.01}).fit(train, valid, progress=progress)
    REDNN(**SMALL).fit(train, made_pairs(2), progress=progress)
    REDNN(**SMALL).fit(made_pairs(3), valid, progress=progress)
    REDNN(**SMALL).fit(train, valid, seed=1, progress=progress)
    REDNN(**SMALL).fit(train, valid, compute=Compute(mixed_precision=True), progress=progress)
    monkeypatch.setattr(torch, "compile", lambda function: function)
    REDNN(**SMALL).fit(train, valid, compute=Compute(compile=True), progress=progress)
    assert stages() == 7
