"""Sets of labels, one an item, as rows of length one, and whether they differ at all."""

import numpy as np
from numpy.typing import NDArray

from cmr.methods.base import NotApplicableError


def unit_labels(labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """T~ (n, c): rows of multi-hot labels, scaled to length one; a row without a label stays zero."""
    return labels / np.sqrt(np.maximum(labels.sum(axis=1, keepdims=True), 1))


def require_differences(labels: NDArray[np.bool_], method: str) -> None:
    """Refuse labels (n, c) of which all rows are the same, in the name of `method`, by a NotApplicableError."""
    if (labels == labels[:1]).all():
        raise NotApplicableError(
            f"{method}: all pairs of the train part have the same classes, so there is nothing to tell apart"
        )
