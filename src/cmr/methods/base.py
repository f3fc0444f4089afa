"""What a method is, what it is given, and what it returns.

A method is a frozen dataclass of hyper-parameters with a `fit`; what `fit` returns embeds unseen items of ONE modality
at a time, so no query can carry its other side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cmr.compute import CPU, Compute
from cmr.errors import UserError
from cmr.metrics import relevance_labels
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.rows import Array, Rows, in_memory, map_rows, row_blocks
from cmr.store import Kind, under

State = dict[str, np.ndarray]
History = dict[str, list[float]]
Task = Literal["img2txt", "txt2img", "img2all", "txt2all"]
Result = TypeVar("Result")


class InfeasibleError(UserError):
    """These hyper-parameters cannot be fitted to these data; grid selection records the candidate and goes on."""


class NotApplicableError(UserError):
    """The method is not defined for data of this kind, whatever its hyper-parameters; tables show the reason."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """n image-text pairs of one part of a split, as two views: row i of `images` and `texts` belong together.

    Attributes
    ----------
    images : (n, d_x) float32; an array, or rows that stay on disk, see `cmr.rows`. Methods that say so in the registry
        take other kinds too.
    texts : (n, d_y) float32, likewise.
    labels : (n, c) bool, multi-hot; one True a row unless the data set is multi-label. No column (c = 0) where the data
        set has no classes.
    texts_are_counts : the text view holds word counts, for methods that model them as such.
    groups : (n,) int, equal for items that belong together, such as the captions of one image; by default none do.
    image_kind, text_kind : `vectors` (n, d); `patches` (n, 1 + p, d), the whole item and then its parts, of which those
        that are absent are zero; `pixels` (n, height, width, 3) uint8; `tokens` (n, l) int32, numbers of words.
    image_arrays, text_arrays : what belongs to a view besides, by name, such as the vectors of the words.
    """

    images: Array
    texts: Array
    labels: NDArray[np.bool_]
    texts_are_counts: bool = False
    groups: NDArray[np.intp] | None = None
    image_kind: Kind = "vectors"
    text_kind: Kind = "vectors"
    image_arrays: Mapping[str, NDArray] = field(default_factory=dict)
    text_arrays: Mapping[str, NDArray] = field(default_factory=dict)
    _derived: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.texts) == len(self.labels):
            raise UserError(
                f"images, texts and labels must have one row a pair, but have "
                f"{len(self.images)}, {len(self.texts)} and {len(self.labels)}"
            )
        for name in ("images", "texts"):
            rows = getattr(self, name)
            if not isinstance(rows, np.ndarray) or rows.dtype.kind in "iu":
                continue  # a view on disk holds none
            bad = np.flatnonzero(~np.isfinite(rows).all(axis=tuple(range(1, rows.ndim))))
            if len(bad):
                raise UserError(f"{name}: {len(bad)} rows hold NaN or infinite values, the first is row {bad[0]}")

    def __len__(self) -> int:
        return len(self.images)

    def once(self, compute: Callable[..., Result], *arguments: Any) -> Result:
        """`compute(self, *arguments)`, kept: the candidates of a grid share what the data alone decide."""
        key = (compute, *arguments)
        if key not in self._derived:
            self._derived[key] = compute(self, *arguments)
        return self._derived[key]

    @property
    def given(self) -> dict[str, Any]:
        """All that these pairs were made of, by name."""
        return {own.name: getattr(self, own.name) for own in fields(self) if own.init}

    def in_memory(self) -> Self:
        """The same pairs with both views as arrays, for methods that draw batches from them."""
        if isinstance(self.images, np.ndarray) and isinstance(self.texts, np.ndarray):
            return self
        return replace(self, images=in_memory(self.images), texts=in_memory(self.texts))

    @property
    def relevance(self) -> NDArray[np.bool_]:
        """(n, r) bool: items that share a column are relevant to each other, see `cmr.metrics.relevance_labels`."""
        return relevance_labels(self.labels, np.arange(len(self)) if self.groups is None else self.groups)

    def classes(self, method: str) -> NDArray[np.intp]:
        """(n,) class index of each pair; refused in the name of `method` where a pair has several labels or none."""
        self.require_classes(method)
        if not (self.labels.sum(axis=1) == 1).all():
            others = int((self.labels.sum(axis=1) != 1).sum())
            raise NotApplicableError(
                f"{method}: it is defined for one class a pair, but {others} of {len(self)} train pairs have "
                "several or none"
            )
        return self.labels.argmax(axis=1)

    def require_classes(self, method: str) -> None:
        """Refuse a data set without classes; `method` is the name to be told."""
        if self.labels.shape[1] == 0:
            raise NotApplicableError(f"{method}: it learns from classes, but the data set has none")


class Model(Protocol):
    """A fitted method."""

    history: History  # one list a quantity, one value an epoch or iteration; empty for closed forms

    def embed_images(self, images: Array) -> Array:
        """(n, d_x) -> (n, k), from the images alone."""

    def embed_texts(self, texts: Array) -> Array:
        """(n, d_y) -> (n, k), from the texts alone."""

    def state(self) -> State:
        """Everything that `Method.restore` needs, as named arrays."""


@dataclass(frozen=True)
class PerTask:
    """A model of two spaces: one for tasks whose queries are images, one for those whose queries are texts.

    The scores of the two are not comparable, and an embedding belongs to one of them.
    """

    image_queries: Model
    text_queries: Model

    @property
    def history(self) -> History:
        """Of both; the quantities of the second have `text queries: ` before their names."""
        return self.image_queries.history | {
            f"text queries: {quantity}": values for quantity, values in self.text_queries.history.items()
        }

    def of(self, task: Task) -> Model:
        """The model of the space in which a task is solved."""
        return self.image_queries if task.startswith("img") else self.text_queries

    def embed_images(self, images: Array, task: Task) -> Array:
        """(n, d_x) -> (n, k), for one task."""
        return self.of(task).embed_images(images)

    def embed_texts(self, texts: Array, task: Task) -> Array:
        """(n, d_y) -> (n, k), for one task."""
        return self.of(task).embed_texts(texts)

    def state(self) -> State:
        """See Model."""
        return under("image_queries", self.image_queries.state()) | under("text_queries", self.text_queries.state())


class PairedModel(Protocol):
    """What a method gives whose `sees_pairs` is true: it needs an item's own other side, see `Method`.

    Both functions refuse by a UserError to do without.
    """

    def embed_images(self, images: Array, paired_texts: Array | None = None) -> Array:
        """(n, d_x) and the text of each, (n, d_y) -> (n, k)."""

    def embed_texts(self, texts: Array, paired_images: Array | None = None) -> Array:
        """(n, d_y) and the image of each, (n, d_x) -> (n, k)."""


def embed_sides(method: "Method", model: Model, pairs: Pairs) -> tuple[Array, Array]:
    """Embeddings of the images and of the texts of `pairs`, each item from itself alone.

    A method that sees pairs is given the other side of each.
    """
    if getattr(method, "sees_pairs", False):
        pairs = pairs.in_memory()
        return model.embed_images(pairs.images, pairs.texts), model.embed_texts(pairs.texts, pairs.images)
    return map_rows(model.embed_images, pairs.images), map_rows(model.embed_texts, pairs.texts)


def spaces(model: Model | PerTask) -> dict[str, Model]:
    """The models of a model's spaces: {"": the model}, or one by the task that queries by image, one by text."""
    if isinstance(model, PerTask):
        return {"img2txt": model.image_queries, "txt2img": model.text_queries}
    return {"": model}


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """The items that are to be retrieved, without labels: what a transductive method may look at.

    Row i of both is a pair, which is not to be made use of.
    """

    images: Rows  # (n, d_x)
    texts: Rows  # (n, d_y)


class Method(Protocol):
    """Hyper-parameters (a frozen dataclass) and how to fit them.

    One with an attribute `transductive` that is true is fitted with a further argument, `unlabelled: Unlabelled`, the
    test part: its scores are not those of a method that meets its queries later.

    One with an attribute `sees_pairs` that is true fits `PairedModel`s, which embed an item with the help of its own
    other side. That is no cross-modal retrieval; it serves to check publications that did so.
    """

    similarity: ClassVar[Similarity]

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> Model | PerTask:
        """Learn from `train`; `valid` serves early stopping only. The same arguments give the same model."""

    def restore(self, state: State) -> Model | PerTask:
        """The model that `state` was taken from."""


@runtime_checkable
class FitsSeeds(Protocol):
    """A method that fits several seeds in less time in one go than one after the other."""

    def fit_seeds(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seeds: Sequence[int],
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> dict[int, Model]:
        """A model a seed, each as `fit` would give it alone, to float32's precision."""


@dataclass(frozen=True)
class Standardiser:
    """Centre and scale by train statistics (card linear/00): (x - mean) / std.

    A column that is constant over the train part says nothing: it becomes zero, whatever values it has later.
    """

    mean: Array  # (d,)
    scale: Array  # (d,), infinite for constant columns
    clamp: float = field(default=np.inf)

    @classmethod
    def fit(cls, x: Rows, clamp: float = np.inf) -> Self:
        """Statistics of x (n, d), read once; values beyond +-`clamp` standard deviations are cut when applied."""
        n, d = x.shape
        mean, squares, greatest, seen = np.zeros(d), np.zeros(d), np.zeros(d), 0
        for _, block in row_blocks(x):
            own = block.mean(axis=0)
            shift, share = own - mean, len(block) / (seen + len(block))
            # The union's sum of squares from those of two samples, each about its mean (Chan, Golub and LeVeque 1983).
            squares += ((block - own) ** 2).sum(axis=0) + shift**2 * seen * share
            mean += shift * share
            np.maximum(greatest, np.abs(block).max(axis=0), out=greatest)
            seen += len(block)
        std = np.sqrt(squares / n)
        # A column is constant when its spread is rounding noise of its own magnitude, in the precision that it came in.
        noise = np.finfo(np.float32).eps if x.dtype == np.float32 else 1e-12
        return cls(mean, np.where(std <= noise * greatest, np.inf, std), clamp)

    def __call__(self, x: Array) -> Array:
        """(n, d) -> (n, d) float64."""
        z = (np.asarray(x, dtype=np.float64) - self.mean) / self.scale
        return np.clip(z, -self.clamp, self.clamp) if np.isfinite(self.clamp) else z
