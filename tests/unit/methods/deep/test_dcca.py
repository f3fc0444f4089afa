import numpy as np
import pytest
import torch

from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.deep.dcca import DCCA
from cmr.methods.linear.cca import CCA
from tests.unit.methods.deep.made import built, made_pairs, score

SMALL = {"n_components": 4, "image_widths": (16,), "text_widths": (16,), "epochs": 15}


@pytest.mark.parametrize(
    "batch_size, n, enough", [(40, 120, True), (39, 120, False), (500, 40, True), (500, 39, False)]
)
def test_batches_hold_at_least_ten_pairs_a_component(batch_size, n, enough):
    method = DCCA(**SMALL | {"epochs": 1}, batch_size=batch_size)
    if enough:
        method.fit(made_pairs(n=n))
    else:
        with pytest.raises(InfeasibleError, match=r"dcca: n_components=4 .* lower n_components to 3"):
            method.fit(made_pairs(n=n))


def test_the_last_smaller_batch_is_left_out():
    batches = DCCA(**SMALL, batch_size=50).schedule().batches(120, torch.Generator())
    assert [len(batch) for batch in batches] == [50, 50]


def test_the_loss_is_minus_the_sum_of_all_canonical_correlations_of_the_outputs():
    network, batch = built(DCCA(**SMALL, ridge=1e-9), made_pairs())
    h1, h2 = network.image_outputs(batch.images), network.text_outputs(batch.texts)
    linear = CCA(n_components=4, ridge=0.0).fit(
        Pairs(h1.detach().numpy(), h2.detach().numpy(), np.ones((120, 1), dtype=bool))
    )
    a, b = linear.embed_images(h1.detach().numpy()), linear.embed_texts(h2.detach().numpy())
    expected = sum(np.corrcoef(p, q)[0, 1] for p, q in zip(a.T, b.T, strict=True))
    assert network.losses(batch, 0.0)["loss"].item() == pytest.approx(-expected, rel=1e-4)


def test_embeddings_are_white_canonical_variates_of_the_train_part():
    train = made_pairs()
    model = DCCA(**SMALL, ridge=1e-6).fit(train)
    images, texts = model.embed_images(train.images), model.embed_texts(train.texts)
    for variates in (images, texts):
        np.testing.assert_allclose(variates.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(np.cov(variates.T), np.eye(4), atol=2e-3)
    cross = np.cov(images.T, texts.T)[:4, 4:]
    np.testing.assert_allclose(cross, np.diag(np.diag(cross)), atol=2e-3)
    assert (np.diff(np.diag(cross)) <= 1e-3).all()


def test_the_valid_map_of_an_epoch_is_that_of_its_final_projections():
    train, valid = made_pairs(), made_pairs(1)
    method = DCCA(**SMALL)
    model = method.fit(train, valid)
    assert max(model.history["valid_map"]) == pytest.approx(score(method, model, valid))


def test_it_finds_what_unseen_pairs_share_where_no_linear_map_does():
    """Of four classes the images have the levels 0, 1, 2, 3 and the texts 1, 3, 0, 2: uncorrelated, but equivalent."""

    def level_pairs(seed, n=300):
        rng = np.random.default_rng(seed)
        classes = np.arange(n) % 4
        views = (
            np.stack([levels[classes], rng.normal(size=n)], axis=1) + 0.05 * rng.normal(size=(n, 2))
            for levels in (np.array([0, 1, 2, 3]), np.array([1, 3, 0, 2]))
        )
        return Pairs(*(view.astype(np.float32) for view in views), np.eye(4, dtype=bool)[classes])

    train, test = level_pairs(0), level_pairs(1)
    method = DCCA(n_components=2, image_widths=(64,), text_widths=(64,), learning_rate=0.1, epochs=40, batch_size=100)
    assert score(method, CCA(n_components=2).fit(train), test) < 0.5
    model = method.fit(train)
    assert score(method, model, test) > 0.9
    images, texts = model.embed_images(test.images), model.embed_texts(test.texts)
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(images.T, texts.T, strict=True)) > 0.9


def test_labels_play_no_part():
    train = made_pairs()
    other = Pairs(train.images, train.texts, train.labels[::-1].copy())
    one, two = (DCCA(**SMALL).fit(part).embed_images(train.images) for part in (train, other))
    np.testing.assert_array_equal(one, two)


def test_outputs_that_overflow_are_refused_by_name():
    with pytest.raises(InfeasibleError, match="training diverged"):
        DCCA(**SMALL | {"learning_rate": 1e30}).fit(made_pairs())
