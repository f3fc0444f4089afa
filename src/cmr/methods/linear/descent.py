"""Alternating minimisation: when to stop, and the objective on the way."""

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

log = logging.getLogger(__name__)

State = TypeVar("State")


class Round(NamedTuple, Generic[State]):
    """What an iteration has come to."""

    objective: float
    state: State


def settle(
    rounds: Iterator[Round[State]], *, max_iterations: int, tolerance: float, method: str
) -> tuple[State, list[float]]:
    """The state of the last round, and the objective of each: the first is the start, `max_iterations` follow at most.

    They end when the objective changes by no more than `tolerance` of its value; `method` is the name to be logged.
    """
    objective: list[float] = []
    for last in islice(rounds, max_iterations + 1):
        objective.append(float(last.objective))
        if len(objective) > 1 and abs(objective[-2] - objective[-1]) <= tolerance * abs(objective[-2]):
            log.info("%s: objective %.6g, settled after %d iterations", method, objective[-1], len(objective) - 1)
            break
    else:
        log.info("%s: objective %.6g after the %d iterations allowed", method, objective[-1], max_iterations)
    return last.state, objective


def repeat(step: Callable[[State], State], state: State, objective: Callable[[State], float]) -> Iterator[Round[State]]:
    """The rounds of one step, again and again, from `state`."""
    while True:
        yield Round(objective(state), state)
        state = step(state)
