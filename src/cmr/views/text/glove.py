"""GloVe: word vectors from counts of co-occurring words (Pennington, Socher & Manning, EMNLP 2014)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cmr.errors import UserError
from cmr.views.text.tokenized import most_frequent, require_positive
from cmr.views.text.vector_files import Vectors
from cmr.views.text.word_vectors import TrainedVectors

Array = NDArray[np.float64]


class Parameters(NamedTuple):
    """What GloVe learns: a vector and a bias for each word, as word and as context."""

    words: Array  # (V, d)
    contexts: Array  # (V, d)
    word_biases: Array  # (V,)
    context_biases: Array  # (V,)


class Entries(NamedTuple):
    """Entries of the co-occurrence matrix X that are not zero."""

    rows: NDArray[np.intp]  # (m,)
    columns: NDArray[np.intp]  # (m,)
    logarithms: Array  # (m,), log X
    weights: Array  # (m,), f(X)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: NDArray[np.intp]) -> "Entries":
        return Entries(*(values[index] for values in self))


@dataclass(kw_only=True)
class GloVe(TrainedVectors):
    """Vectors whose inner products are the logarithms of counts of co-occurring words, by weighted least squares.

    Words outside the vocabulary are taken out before neighbours are counted. A word's vector is the sum of its vectors
    as word and as context. After `fit`, `objective` holds the objective of each epoch: the sum over all entries, each
    before the step that it takes part in.

    Parameters
    ----------
    x_max, alpha : an entry x weighs min(1, (x / x_max) ** alpha).
    learning_rate : of AdaGrad, whose sums of squares begin with one, as in the authors' program.
    batch_size : entries a step.
    """

    dimension: int = 50
    window: int = 10
    epochs: int = 50
    x_max: float = 100.0
    alpha: float = 0.75
    learning_rate: float = 0.05
    batch_size: int = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "batch_size")

    def train(self, documents: list[list[str]]) -> Vectors:
        """Words by descending frequency, and vectors (V, d)."""
        words = most_frequent(documents, minimum_count=self.minimum_count)
        position = {word: i for i, word in enumerate(words)}
        numbers = [[position[word] for word in document if word in position] for document in documents]
        counts = cooccurrences(numbers, len(words), self.window)
        if words and not counts.nnz:
            raise UserError(f"GloVe has nothing to learn from: in {len(documents)} texts no two words stand together")
        entries = weighted_entries(counts, self.x_max, self.alpha)
        parameters, self.objective = factorise(
            entries,
            len(words),
            dimension=self.dimension,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        return words, (parameters.words + parameters.contexts).astype(np.float32)


def cooccurrences(documents: Sequence[Sequence[int]], size: int, window: int) -> sparse.csr_matrix:
    """(V, V) symmetric: the sum of 1 / distance over all pairs of words of a document at most `window` apart.

    Parameters
    ----------
    documents : words as numbers below V.
    size : V.
    """
    numbers = np.array([number for document in documents for number in document], dtype=np.intp)
    of = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    counts = sparse.csr_matrix((size, size), dtype=np.float64)
    for distance in range(1, window + 1):
        together = of[:-distance] == of[distance:]
        pairs = numbers[:-distance][together], numbers[distance:][together]
        counts += sparse.csr_matrix((np.full(together.sum(), 1 / distance), pairs), shape=(size, size))
    return (counts + counts.T).tocsr()


def weighted_entries(counts: sparse.csr_matrix, x_max: float, alpha: float) -> Entries:
    """Logarithms and weights of the entries of X that are not zero."""
    entries = counts.tocoo()
    weights = np.minimum(1.0, (entries.data / x_max) ** alpha)
    return Entries(entries.row.astype(np.intp), entries.col.astype(np.intp), np.log(entries.data), weights)


def objective_and_gradient(parameters: Parameters, entries: Entries) -> tuple[float, Parameters]:
    """J = sum over entries f(X_ij) (w_i' c_j + b_i + a_j - log X_ij)^2, and dJ / d parameters."""
    size = len(parameters.words)
    rows, columns = entries.rows, entries.columns
    products = np.einsum("md,md->m", parameters.words[rows], parameters.contexts[columns])
    difference = products + parameters.word_biases[rows] + parameters.context_biases[columns] - entries.logarithms
    weighted = entries.weights * difference
    slope = sparse.csr_matrix((2 * weighted, (rows, columns)), shape=(size, size))
    gradient = Parameters(
        slope @ parameters.contexts,
        slope.T @ parameters.words,
        np.bincount(rows, 2 * weighted, size),
        np.bincount(columns, 2 * weighted, size),
    )
    return float(weighted @ difference), gradient


def factorise(
    entries: Entries, size: int, *, dimension: int, epochs: int, learning_rate: float, batch_size: int, seed: int
) -> tuple[Parameters, list[float]]:
    """Minimise J by AdaGrad over batches of entries in random order; parameters, and the objective of each epoch."""
    rng = np.random.default_rng(seed)
    shapes = (size, dimension), (size, dimension), size, size
    parameters = Parameters(*(rng.uniform(-0.5, 0.5, shape) / dimension for shape in shapes))
    squares = Parameters(*map(np.ones_like, parameters))
    objective = []
    for _ in range(epochs):
        total = 0.0
        for batch in _batches(entries, batch_size, rng):
            value, gradient = objective_and_gradient(parameters, batch)
            total += value
            for values in zip(parameters, gradient, squares, strict=True):
                _adagrad_step(*values, learning_rate)
        objective.append(total)
    return parameters, objective


def _adagrad_step(parameter: Array, slope: Array, squares: Array, learning_rate: float) -> None:
    squares += slope**2
    parameter -= learning_rate * slope / np.sqrt(squares)


def _batches(entries: Entries, batch_size: int, rng: np.random.Generator) -> Iterator[Entries]:
    order = rng.permutation(len(entries))
    for start in range(0, len(entries), batch_size):
        yield entries.take(order[start : start + batch_size])
