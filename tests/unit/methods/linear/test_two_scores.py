"""A warning where cosines have nothing but a sign."""

import logging

import numpy as np
import pytest

from cmr.methods.base import Pairs
from cmr.methods.kernel.kcca import GaussianKCCA
from cmr.methods.kernel.tv_kcca import ThreeViewKCCA
from cmr.methods.linear.blm import BLM
from cmr.methods.linear.cca import CCA
from cmr.methods.linear.cca_sm import SemanticCorrelationMatching
from cmr.methods.linear.cfa import CFA
from cmr.methods.linear.csaec import CSAEC
from cmr.methods.linear.gma import GMLDA
from cmr.methods.linear.jfssl import JFSSL
from cmr.methods.linear.jrl import JRL
from cmr.methods.linear.lcfs import LCFS
from cmr.methods.linear.lgcfl import LGCFL
from cmr.methods.linear.mdcr import MDCR
from cmr.methods.linear.pls import PLS
from cmr.methods.linear.sm import SM
from cmr.methods.linear.tv_cca import ThreeViewCCA
from cmr.retrieval import score_blocks

RAISE, CONSIDER, SET = "raise n_components", "consider sm with similarity inner", "set similarity to inner"

OF_ONE_COMPONENT = {
    "cca": (CCA(1), RAISE),
    "cfa": (CFA(1), RAISE),
    "pls": (PLS(1), RAISE),
    "blm": (BLM(1), RAISE),
    "tv_cca": (ThreeViewCCA(1), RAISE),
    "kcca_gaussian": (GaussianKCCA(1), RAISE),
    "tv_kcca": (ThreeViewKCCA(1), RAISE),
    "gmlda": (GMLDA(1), RAISE),
}
OF_TWO_CLASSES = {
    "lcfs": (LCFS(), CONSIDER),
    "lgcfl": (LGCFL(), CONSIDER),
    "mdcr": (MDCR(), CONSIDER),
    "jfssl": (JFSSL(), CONSIDER),
    "jrl": (JRL(ranking="cosine"), CONSIDER),
    "csaec": (CSAEC(), CONSIDER),
    "gmlda": (GMLDA(), CONSIDER),
    "sm": (SM(), SET),
    "cca_sm": (SemanticCorrelationMatching(3), SET),
}
OF_MORE_SCORES = [
    SM(similarity="inner"),
    SM(similarity="cosine"),
    JRL(),
    CCA(2),
    SemanticCorrelationMatching(1, similarity="inner"),
]


def of_two_classes(pairs):
    return Pairs(pairs.images, pairs.texts, np.column_stack([pairs.labels[:, 0], ~pairs.labels[:, 0]]))


def distinct_scores(method, pairs):
    """Of the first image with all texts, to the precision of scores."""
    model = method.fit(pairs)
    model = getattr(model, "image_queries", model)
    images, texts = model.embed_images(pairs.images[:1]), model.embed_texts(pairs.texts)
    ((_, scores),) = score_blocks(images, texts, method.similarity)
    return len(np.unique(scores.round(5)))


@pytest.mark.parametrize(
    "name, method, remedy, two",
    [(name, *row, False) for name, row in OF_ONE_COMPONENT.items()]
    + [(name, *row, True) for name, row in OF_TWO_CLASSES.items()],
)
def test_two_scores_a_query_are_told_once_for_all_candidates(pairs, caplog, name, method, remedy, two):
    given = of_two_classes(pairs) if two else Pairs(**pairs.given)
    assert distinct_scores(method, given) == 2
    method.fit(given)
    (message,) = caplog.messages
    assert message.startswith(f"{name}: its space has one dimension, ") and remedy in message


@pytest.mark.parametrize("method", OF_MORE_SCORES, ids=str)
def test_methods_whose_scores_are_more_than_two_are_silent(pairs, caplog, method):
    with caplog.at_level(logging.WARNING):
        assert distinct_scores(method, of_two_classes(pairs)) > 20
    assert not caplog.messages


@pytest.mark.parametrize("method", [LCFS(), MDCR(), SM()], ids=str)
def test_two_classes_that_a_pair_may_both_have_are_more_than_one_dimension(pairs, caplog, method):
    """But posteriors sum to one."""
    several = Pairs(pairs.images, pairs.texts, np.column_stack([pairs.labels[:, 0], pairs.labels[:, :2].any(axis=1)]))
    scores = distinct_scores(method, several)
    assert bool(caplog.messages) == (scores == 2) == isinstance(method, SM)
