"""Semantic correlation matching against its two parts and scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs
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
    given, fits = Pairs(pairs.images, pairs.texts, pairs.labels), []
    fit = CCA.fit
    monkeypatch.setattr(CCA, "fit", lambda self, train: (fits.append(self), fit(self, train))[1])
    for c in (0.01, 1.0):
        for n_components in (2, 3):
            SemanticCorrelationMatching(n_components, c=c).fit(given)
    assert fits == [CCA(2), CCA(3)]


def test_what_cannot_be_learnt_is_refused(pairs):
    with pytest.raises(InfeasibleError, match="at most 5"):
        SemanticCorrelationMatching(n_components=6).fit(pairs)
    with pytest.raises(NotApplicableError, match="cca_sm: it learns from classes"):
        SemanticCorrelationMatching(2).fit(Pairs(pairs.images, pairs.texts, pairs.labels[:, :0]))
    with pytest.raises(UserError, match=r"cca_sm: classes \[3\] have no item"):
        absent = np.column_stack([pairs.labels, np.zeros(200, dtype=bool)])
        SemanticCorrelationMatching(2).fit(Pairs(pairs.images, pairs.texts, absent))
