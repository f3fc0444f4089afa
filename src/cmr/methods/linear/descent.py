"""Alternating minimisation: what a round gives, and when to stop."""

import logging
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from cmr.methods.linear.algebra import Array

log = logging.getLogger(__name__)


class Round(NamedTuple):
    """The variables of a two-view autoencoder after a round, and what they come to."""

    objective: float
    weights: list[Array]  # P (r, k) of each view, the best for this code
    code: Array  # A (n, k)


def settle(rounds: Iterator[Round], max_iterations: int, tolerance: float, method: str) -> tuple[Round, list[float]]:
    """The last round, and the objective of each: the first is the start, at most `max_iterations` follow.

    They end when the objective changes by less than `tolerance` of its value; `method` is the name to be logged.
    """
    objective: list[float] = []
    for last in islice(rounds, max_iterations + 1):
        objective.append(last.objective)
        if len(objective) > 1 and abs(objective[-2] - objective[-1]) <= tolerance * abs(objective[-2]):
            log.info("%s: objective %.6g, settled after %d iterations", method, last.objective, len(objective) - 1)
            break
    else:
        log.info("%s: objective %.6g after the %d iterations allowed", method, last.objective, max_iterations)
    return last, objective
