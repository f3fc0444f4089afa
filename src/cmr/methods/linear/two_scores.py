"""Spaces of one dimension: a cosine there is a sign, so that a query gives all items one of two scores."""

import logging

from cmr.methods.base import Pairs

log = logging.getLogger(__name__)

MORE_COMPONENTS = "raise n_components"
ANOTHER_METHOD = "for two classes, consider sm with similarity inner, or a method without classes"


def warn_of_two_scores(train: Pairs, dimensions: int, method: str, remedy: str = MORE_COMPONENTS) -> None:
    """Warn, in the name of `method`, where the space has one dimension; once for all candidates of a grid."""
    if dimensions == 1:
        train.once(_warn, method, remedy)


def _warn(train: Pairs, method: str, remedy: str) -> None:
    log.warning(
        "%s: its space has one dimension, so that a query gives all items one of two scores; %s", method, remedy
    )
