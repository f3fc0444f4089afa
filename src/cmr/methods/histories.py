"""The history of a model as a part of its state."""

import numpy as np

from cmr.methods.base import History, State
from cmr.store import group, under


def with_history(state: State, history: History) -> State:
    """The state with the lists of a history as arrays."""
    return state | under("history", {name: np.asarray(values) for name, values in history.items()})


def history_of(state: State) -> History:
    """What `with_history` was given."""
    return {name: values.tolist() for name, values in group(state, "history").items()}
