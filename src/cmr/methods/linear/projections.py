"""Linear maps of both views into the common space: the model of most linear methods."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cmr.methods.base import History, Standardiser, State
from cmr.methods.histories import history_of, with_history
from cmr.methods.linear.algebra import Array
from cmr.rows import Rows, map_rows
from cmr.store import group, under


@dataclass(frozen=True)
class Projection:
    """A linear map of a standardised view: x -> ((x - mean) / scale) @ weights."""

    scaling: Standardiser
    weights: Array  # (d, k)

    def __call__(self, x: Rows) -> NDArray[np.float32]:
        """(n, d) -> (n, k) float32."""
        return map_rows(lambda block: (self.scaling(block) @ self.weights).astype(np.float32), x)

    def state(self) -> State:
        """See `cmr.methods.base.Model`."""
        return {"mean": self.scaling.mean, "scale": self.scaling.scale, "weights": self.weights}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        return cls(Standardiser(state["mean"], state["scale"]), state["weights"])


@dataclass(frozen=True)
class Projections:
    """One linear map a modality: the model of most linear methods.

    Attributes
    ----------
    facts : further arrays about the fit, such as the correlations of the components.
    history : objective of each iteration, where there are any.
    """

    image: Projection
    text: Projection
    facts: State
    history: History

    def embed_images(self, images: Rows) -> NDArray[np.float32]:
        """(n, d_x) -> (n, k) float32."""
        return self.image(images)

    def embed_texts(self, texts: Rows) -> NDArray[np.float32]:
        """(n, d_y) -> (n, k) float32."""
        return self.text(texts)

    def state(self) -> State:
        """See `cmr.methods.base.Model`."""
        maps = under("image", self.image.state()) | under("text", self.text.state())
        return with_history(maps | under("facts", self.facts), self.history)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The inverse of `state`."""
        return cls(
            Projection.from_state(group(state, "image")),
            Projection.from_state(group(state, "text")),
            group(state, "facts"),
            history_of(state),
        )
