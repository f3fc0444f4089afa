"""Semantic correlation matching against its two parts and scikit-learn."""

import logging

import numpy as np
import pytest
from scipy.linalg import hadamard
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs
from cmr.methods.linear import cca_sm
from cmr.methods.linear.cca import CCA
from cmr.methods.linear.cca_sm import SemanticCorrelationMatching
from cmr.methods.linear.sm import SM


@pytest.fixture(scope="module")
def unseen():
    rng = np.random.default_rng(9)
    return rng.normal(size=(20, 7)), rng.normal(size=(20, 5))


@pytest.fixture(scope="module")
def overlapping(pairs):
    """The same pairs with some classes exchanged, so that unpenalised posteriors exist."""
    labels = pairs.labels.copy()
    labels[::5] = np.roll(labels[::5], 1, axis=1)
    return Pairs(pairs.images, pairs.texts, labels)


def test_posteriors_are_scikit_learns_on_canonical_projections(pairs, unseen):
    model = SemanticCorrelationMatching(n_components=3, ridge=0.2, c=0.3).fit(pairs)
    cca = CCA(n_components=3, ridge=0.2).fit(pairs)
    sides = (
        (cca.embed_images, pairs.images, unseen[0], model.embed_images),
        (cca.embed_texts, pairs.texts, unseen[1], model.embed_texts),
    )
    for project, train, test, embed in sides:
        oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=5000, tol=1e-8))
        oracle.fit(project(train), pairs.classes("test"))
        np.testing.assert_allclose(embed(test), oracle.predict_proba(project(test)), atol=2e-4)


def test_all_directions_of_a_view_without_penalties_give_the_posteriors_of_semantic_matching(overlapping, unseen):
    """Of as many components as texts have features, projecting them is an invertible map."""
    model = SemanticCorrelationMatching(n_components=5, ridge=0.0, c=1e6).fit(overlapping)
    matching = SM(c=1e6).fit(overlapping)
    np.testing.assert_allclose(model.embed_texts(unseen[1]), matching.embed_texts(unseen[1]), atol=1e-3)
    fewer = SemanticCorrelationMatching(n_components=2, ridge=0.0, c=1e6).fit(overlapping)
    assert np.abs(fewer.embed_texts(unseen[1]) - matching.embed_texts(unseen[1])).max() > 0.05


def test_posteriors_depend_on_the_pairing(pairs):
    """Unlike those of semantic matching alone."""
    shuffled = Pairs(pairs.images, np.random.default_rng(0).permutation(pairs.texts), pairs.labels)
    method = SemanticCorrelationMatching(n_components=2)
    one, other = (method.fit(given).embed_images(pairs.images) for given in (pairs, shuffled))
    assert np.abs(one - other).max() > 0.01


def test_candidates_share_the_projections(pairs, monkeypatch):
    given, projected = Pairs(pairs.images, pairs.texts, pairs.labels), []
    project = cca_sm.canonical_projections
    monkeypatch.setattr(cca_sm, "canonical_projections", lambda *a, **b: projected.append(a[1]) or project(*a, **b))
    for c in (0.01, 1.0):
        for n_components in (2, 3):
            SemanticCorrelationMatching(n_components, c=c).fit(given)
    assert projected == [2, 3]


def test_what_cannot_be_learnt_is_refused_in_its_own_name(pairs):
    with pytest.raises(InfeasibleError, match=r"^cca_sm: n_components is 6, .* at most 5"):
        SemanticCorrelationMatching(n_components=6).fit(pairs)
    with pytest.raises(NotApplicableError, match=r"^cca_sm: it learns from classes"):
        SemanticCorrelationMatching(2).fit(Pairs(pairs.images, pairs.texts, pairs.labels[:, :0]))
    with pytest.raises(UserError, match=r"^cca_sm: pairs of the train part have less than two classes"):
        SemanticCorrelationMatching(2).fit(Pairs(pairs.images, pairs.texts, np.ones((200, 1), dtype=bool)))


def test_log_lines_begin_with_its_own_name(pairs, caplog):
    given = Pairs(pairs.images, pairs.texts, pairs.labels)
    with caplog.at_level(logging.INFO):
        SemanticCorrelationMatching(2).fit(given)
        SemanticCorrelationMatching(2, max_iterations=2).fit(given)
    assert len(caplog.messages) == 4
    assert all(message.startswith("cca_sm: the classifier of ") for message in caplog.messages)


def test_classes_absent_from_train_have_posterior_zero(pairs):
    absent = np.column_stack([pairs.labels, np.zeros(200, dtype=bool)])
    method = SemanticCorrelationMatching(2)
    found = method.fit(Pairs(pairs.images, pairs.texts, absent)).embed_texts(pairs.texts)
    np.testing.assert_array_equal(found[:, 3], 0)
    np.testing.assert_array_equal(found[:, :3], method.fit(pairs).embed_texts(pairs.texts))


def test_projections_that_tell_nothing_of_the_classes_are_refused():
    """Features do tell, but not those that the views share; float32 embeddings have some correlation by rounding."""
    columns = hadamard(64).astype(float) + 1 / 3
    labels = np.column_stack([columns[:, 1] > 0, columns[:, 1] < 0])
    shared = columns[:, 2:5]
    given = Pairs(np.hstack([columns[:, 1:2], shared]), np.hstack([shared, columns[:, 6:7]]), labels)
    with pytest.raises(UserError, match=r"^cca_sm: the canonical projections of the images are uncorrelated"):
        SemanticCorrelationMatching(3).fit(given)
