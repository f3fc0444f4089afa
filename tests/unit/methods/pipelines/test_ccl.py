"""CCL draws together what is of one class, and its fine grain is the mean over the parts that are present."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr.errors import UserError
from cmr.methods.base import NotApplicableError
from cmr.methods.deep.corr_ae import CorrAE
from cmr.methods.deep.losses import share_a_label
from cmr.methods.deep.network import Batch, embed
from cmr.methods.pipelines.ccl import CCL
from cmr.methods.pipelines.contrastive import ContrastiveSpace, Pathway, contrastive_loss
from cmr.metrics import bimodal_map

from .made import made_pairs, with_parts

# Stacks are trained for long enough that the scaling of later stages does not blow up rounding.
TINY = CCL(
    image_stack_widths=(12,), text_stack_widths=(11,), stack_epochs=20, stack_batch_size=6, code_width=5,
    fusion_width=10, classifier_widths=(8, 6), top_width=7, n_components=4, epochs=4, batch_size=10,
)  # fmt: skip
COARSE = replace(TINY, grains=("coarse",))
WIDER = {
    "image_stack_widths": (16, 16), "text_stack_widths": (16, 16), "stack_epochs": 40, "stack_batch_size": 12,
    "code_width": 12, "classifier_widths": (16, 16), "dropout": 0.1, "top_width": 16, "n_components": 8,
    "learning_rate": 0.01, "epochs": 20, "batch_size": 20,
}  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_contrastive_loss_is_the_mean_over_all_pairs_of_a_batch():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(2, 7, 3))
    labels = np.eye(3)[[0, 0, 1, 2, 1, 0, 2]]
    labels[2, 0] = 1  # of two classes
    terms = []
    for i in range(7):
        for j in range(7):
            square = np.sum((x[i] - y[j]) ** 2)
            terms.append(square if labels[i] @ labels[j] else max(0, 0.5 - square))
    related = share_a_label(torch.from_numpy(labels))
    loss = contrastive_loss(torch.from_numpy(x), torch.from_numpy(y), related, 0.5)
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-12)
    together = contrastive_loss(*(torch.from_numpy(np.stack([z, z[::-1]])) for z in (x, y)), related, 0.5)
    np.testing.assert_allclose(together[0], np.mean(terms), rtol=1e-12)


def test_items_of_one_class_are_symmetric_blocks():
    related = share_a_label(torch.eye(3)[[0, 0, 1, 1, 1, 2]]).numpy()
    blocks = np.zeros((6, 6))
    for start, stop in ((0, 2), (2, 5), (5, 6)):
        blocks[start:stop, start:stop] = 1
    np.testing.assert_array_equal(related, blocks)


@pytest.mark.parametrize(("distance", "zero"), [(1.5, True), (1.2, False)])
def test_there_is_no_loss_where_classes_coincide_and_lie_a_margin_apart(distance, zero):
    classes = torch.tensor([0, 1, 1, 0, 2])
    corners = torch.tensor([[0.0, 0.0], [distance, 0.0], [0.0, distance]])
    related = share_a_label(torch.eye(3)[classes])
    loss = contrastive_loss(corners[classes], corners[classes], related, margin=1.5**2)
    assert (loss.item() == 0) == zero


def made_top(margin=1.0):
    generator = seeded()
    return ContrastiveSpace(*(Pathway(d, 7, 4, 3, generator) for d in (10, 8)), margin)


def test_the_branches_share_the_first_layer_alone():
    batch = Batch.of(made_pairs(20), torch.device("cpu"))
    reached = {}
    for term in ("contrastive", "label"):
        network = made_top()
        network.losses(batch, 0.0)[term].backward()
        reached[term] = {
            name.removesuffix(".weight").removesuffix(".bias")
            for name, parameter in network.named_parameters()
            if parameter.grad is not None and parameter.grad.abs().max() > 0
        }
    assert reached["contrastive"] == {
        f"{side}.{layer}" for side in ("images", "texts") for layer in ("shared", "inter")
    }
    assert reached["label"] == {
        f"{side}.{layer}" for side in ("images", "texts") for layer in ("shared", "intra.0", "intra.1")
    }
    assert len({id(parameter) for parameter in made_top().parameters()}) == 16


def test_the_last_network_computes_sigmoid_embeddings_and_class_scores():
    pairs = made_pairs(20)
    network = made_top(margin=0.3)
    network.texts.scale.fit(pairs.texts)
    W = {name: tensor.double().numpy() for name, tensor in network.texts.state_dict().items()}
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    z = (pairs.texts - pairs.texts.mean(0)) / pairs.texts.std(0)
    shared = sigmoid(z @ W["shared.weight"] + W["shared.bias"])
    s = sigmoid(shared @ W["inter.weight"] + W["inter.bias"])
    scores = (shared @ W["intra.0.weight"] + W["intra.0.bias"]) @ W["intra.1.weight"] + W["intra.1.bias"]
    batch = Batch.of(pairs, torch.device("cpu"))
    with torch.no_grad():
        np.testing.assert_allclose(network.embed_texts(batch.texts), s, atol=1e-4)
        np.testing.assert_allclose(network.texts(batch.texts)[1], scores, atol=1e-4)
        images = network.embed_images(batch.images).double()
        expected = contrastive_loss(images, torch.from_numpy(s), share_a_label(batch.labels.double()), 0.3)
        terms = network.losses(batch, 0.0)
    assert terms["contrastive"].item() == pytest.approx(expected.item(), rel=1e-3)
    log_shares = [
        scores_of - np.log(np.exp(scores_of).sum(1, keepdims=True))
        for scores_of in (network.images(batch.images)[1].detach().double().numpy(), scores)
    ]
    label = -sum(own[pairs.labels].mean() for own in log_shares)
    assert terms["label"].item() == pytest.approx(label, rel=1e-3)


@pytest.fixture(scope="module")
def fitted():
    train, valid = with_parts(made_pairs()), with_parts(made_pairs(24, 1), 1)
    return train, valid, TINY.fit(train, valid)


def test_the_fine_grain_is_the_mean_over_the_parts_that_are_present(fitted):
    train, _, model = fitted
    for side in ("images", "texts"):
        top = model.network.tops["fine"][side]
        items = getattr(train, side)
        means = embed(model.network, top, items)
        for item, mean in zip(items, means, strict=True):
            parts = [part for part in item[1:] if part.any()]
            expected = [embed(top.stack, top.stack, part[None])[0] for part in parts]
            np.testing.assert_allclose(mean, np.mean(expected, axis=0) if parts else 0, atol=1e-5)


def test_an_absent_part_and_the_order_of_parts_change_nothing(fitted):
    train, valid, model = fitted

    def changed(pairs):
        """An absent part more, and all in another order; the whole stays first."""
        views = {}
        for side in ("images", "texts"):
            x = getattr(pairs, side)
            more = np.concatenate([x, np.zeros_like(x[:, :1])], axis=1)
            views[side] = np.concatenate([more[:, :1], more[:, 1:][:, ::-1]], axis=1)
        return replace(pairs, **views)

    other = changed(valid)
    np.testing.assert_allclose(model.embed_images(other.images), model.embed_images(valid.images), atol=1e-4)
    np.testing.assert_allclose(model.embed_texts(other.texts), model.embed_texts(valid.texts), atol=1e-4)

    def absent(pairs):
        views = {side: getattr(pairs, side) for side in ("images", "texts")}
        return replace(pairs, **{side: np.concatenate([x, 0 * x[:, :1]], axis=1) for side, x in views.items()})

    again = TINY.fit(absent(train), absent(valid))
    np.testing.assert_allclose(again.embed_images(valid.images), model.embed_images(valid.images), atol=1e-3)
    np.testing.assert_allclose(again.embed_texts(valid.texts), model.embed_texts(valid.texts), atol=1e-3)


def test_parts_and_wholes_both_count(fitted):
    _, valid, model = fitted
    for side, embed_side in (("images", model.embed_images), ("texts", model.embed_texts)):
        items, usual = getattr(valid, side), embed_side(getattr(valid, side))
        for row in (0, 1):
            other = items.copy()
            other[:, row] += 1
            assert np.abs(embed_side(other) - usual).max() > 1e-4


def test_codes_of_both_grains_are_joined_or_one_beside_its_top(fitted):
    train, _, model = fitted
    images, texts = torch.from_numpy(train.images), torch.from_numpy(train.texts)
    network, coarse = model.network, COARSE.fit(train).network
    with torch.no_grad():
        tops = {grain: network.tops[grain]["images"](images) for grain in TINY.grains}
        codes = [network.autoencoders[grain].embed_images(top) for grain, top in tops.items()]
        torch.testing.assert_close(network.image_codes(images), torch.cat(codes, dim=1))
        top = coarse.tops["coarse"]["texts"](texts)
        code = coarse.autoencoders["coarse"].embed_texts(top)
        torch.testing.assert_close(coarse.text_codes(texts), torch.cat([top, code], dim=1))


def test_without_the_fine_grain_parts_do_not_count():
    vectors, patches = made_pairs(), with_parts(made_pairs())
    one, other = (COARSE.fit(pairs) for pairs in (vectors, patches))
    np.testing.assert_array_equal(one.embed_images(vectors.images), other.embed_images(patches.images))
    np.testing.assert_array_equal(one.embed_texts(vectors.texts), other.embed_texts(patches.texts))


def test_wholes_go_through_the_stacks_of_other_methods(fitted):
    *_, model = fitted
    vectors = made_pairs()
    stacks = {"image_stack_widths": (12,), "text_stack_widths": (11,), "stack_epochs": 20, "stack_batch_size": 6}
    other = CorrAE(**stacks, epochs=1).fit(vectors).network
    for side, stack in (("images", other.image_stack), ("texts", other.text_stack)):
        own = model.network.tops["coarse"][side].stack.state_dict()
        for name, tensor in stack.state_dict().items():
            assert torch.equal(own[name], tensor)


def test_alpha_weighs_distance_against_reconstruction(fitted):
    *_, model = fitted
    for grain in ("coarse", "fine"):
        terms = {
            name: np.array(model.history[f"{grain}_correspondence_{name}"])
            for name in ("loss", "reconstruction", "correspondence")
        }
        expected = 0.3 * terms["reconstruction"] + 0.7 * terms["correspondence"]
        np.testing.assert_allclose(terms["loss"], expected, rtol=1e-5)


def test_embeddings_of_the_train_part_are_z_scores(fitted):
    train, _, model = fitted
    for codes in (model.embed_images(train.images), model.embed_texts(train.texts)):
        np.testing.assert_allclose(codes.mean(0), 0, atol=0.05)
        np.testing.assert_allclose(codes.std(0), 1, atol=0.1)


def test_the_valid_part_chooses_epochs_and_nothing_else(fitted):
    train, valid, _ = fitted
    other = replace(valid, images=50 * valid.images + 3, texts=9 * valid.texts - 2)
    method = replace(TINY, epochs=1)
    codes = [method.fit(train, part).embed_images(train.images) for part in (None, valid, other)]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])


@pytest.mark.parametrize("side", ["images", "texts", "images and texts"])
def test_it_needs_parts_of_both_sides(side):
    whole, patches = made_pairs(), with_parts(made_pairs())
    lacking = {
        name: value
        for own in side.split(" and ")
        for name, value in ((own, getattr(whole, own)), (f"{own[:-1]}_kind", "vectors"))
    }
    with pytest.raises(NotApplicableError, match=f"ccl: it learns from parts of .* the {side} have none"):
        TINY.fit(replace(patches, **lacking))
    assert len(COARSE.fit(replace(patches, **lacking)).history["loss"]) == COARSE.epochs


def test_items_without_any_part_are_told_of():
    patches = with_parts(made_pairs())
    texts = patches.texts.copy()
    texts[:, 1:] = 0
    with pytest.raises(NotApplicableError, match="ccl: none of the 60 train texts has a part"):
        TINY.fit(replace(patches, texts=texts))


@pytest.mark.parametrize("grains", [(), ("coarse", "medium"), ("fine", "fine")])
def test_other_grains_are_refused(grains):
    with pytest.raises(UserError, match="it can be coarse, fine, or both"):
        replace(TINY, grains=grains).fit(made_pairs())


def test_it_retrieves_unseen_pairs():
    train, valid, test = (with_parts(made_pairs(n, seed, noise=0.3), seed) for n, seed in ((90, 0), (45, 1), (45, 2)))
    method = replace(TINY, **WIDER)
    model = method.fit(train, valid)
    score = bimodal_map(model.embed_images(test.images), model.embed_texts(test.texts), test.labels, "cosine")
    assert score > 0.6  # a random ranking has 0.35
    restored = method.restore(model.state())
    np.testing.assert_array_equal(restored.embed_texts(test.texts), model.embed_texts(test.texts))
