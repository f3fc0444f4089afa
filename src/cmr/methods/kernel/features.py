"""Both views as Nyström features: what kernel methods learn from, and the model that they give."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cmr.methods.base import History, Pairs, State
from cmr.methods.kernel.nystroem import Kernel, NystroemMap
from cmr.methods.linear.algebra import Array
from cmr.methods.linear.moments import Moments, moments_of
from cmr.methods.linear.projections import Projections
from cmr.rows import Rows, in_memory
from cmr.store import group, under

IN_MEMORY = 512 << 20  # bytes of features a view; more are made anew, block by block, in each of the three passes


@dataclass(frozen=True)
class KernelProjections:
    """Linear maps of each view's Nyström features into the common space: the model of kernel methods."""

    image_map: NystroemMap
    text_map: NystroemMap
    projections: Projections

    @property
    def history(self) -> History:
        return self.projections.history

    @property
    def facts(self) -> State:
        return self.projections.facts

    def embed_images(self, images: Rows) -> NDArray[np.float32]:
        """(n, d_x) -> (n, k) float32."""
        return self.projections.embed_images(self.image_map.rows(images))

    def embed_texts(self, texts: Rows) -> NDArray[np.float32]:
        """(n, d_y) -> (n, k) float32."""
        return self.projections.embed_texts(self.text_map.rows(texts))

    def state(self) -> State:
        """See `cmr.methods.base.Model`."""
        return (
            under("image_map", self.image_map.state())
            | under("text_map", self.text_map.state())
            | under("projections", self.projections.state())
        )

    @classmethod
    def from_state(cls, state: State, kernel: Kernel) -> Self:
        """The inverse of `state`."""
        return cls(
            NystroemMap.from_state(group(state, "image_map"), kernel),
            NystroemMap.from_state(group(state, "text_map"), kernel),
            Projections.from_state(group(state, "projections")),
        )


@dataclass(frozen=True)
class KernelFeatures:
    """The maps of both views and the moments of their features, which are centred but not standardised."""

    image_map: NystroemMap
    text_map: NystroemMap
    moments: Moments

    def projections(self, w_x: Array, w_y: Array, history: History | None = None, **facts: Array) -> KernelProjections:
        """The model of weights (r_x, k), (r_y, k) of the features."""
        return KernelProjections(self.image_map, self.text_map, self.moments.projections(w_x, w_y, history, **facts))


def kernel_features(train: Pairs, kernel: Kernel, landmarks: int, seed: int) -> KernelFeatures:
    """Features of a train part; ask for them by `train.once(kernel_features, ...)`, so that a grid shares them.

    The views draw their landmarks one after the other: the two need not be the same items. Raises what
    `NystroemMap.fit` and `moments_of` raise.
    """
    rng = np.random.default_rng(seed)
    image_map, text_map = (NystroemMap.fit(view, kernel, landmarks, rng) for view in (train.images, train.texts))
    images, texts = (_features(mapped, view) for mapped, view in ((image_map, train.images), (text_map, train.texts)))
    return KernelFeatures(image_map, text_map, moments_of(images, texts, train.labels, standardise=False))


def _features(mapped: NystroemMap, view: Rows) -> Rows:
    """Of all rows of a view: an array, or made anew in every pass where that would be too large."""
    features = mapped.rows(view)
    n, width = features.shape
    return in_memory(features) if 8 * n * width <= IN_MEMORY else features
