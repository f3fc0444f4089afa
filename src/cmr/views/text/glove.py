"""GloVe: word vectors from counts of co-occurring words (Pennington, Socher & Manning, EMNLP 2014)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cmr.errors import UserError
from cmr.views.text.tokenized import most_frequent
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

    def take(self, index: NDArray[np.intp] | slice) -> "Entries":
        return Entries(*(values[index] for values in self))


@dataclass(kw_only=True)
class GloVe(TrainedVectors):
    """Vectors whose inner products are the logarithms of counts of co-occurring words, by weighted least squares.

    Words outside the vocabulary are taken out before neighbours are counted. A word's vector is the sum of its vectors
    as word and as context. After `fit`, `objective` holds the objective of each epoch: the sum over all entries, each
    before its step.

    Learnt as by the authors' program, https://github.com/stanfordnlp/GloVe, entry by entry, with three differences: one
    thread, so that vectors are reproducible; the order of the entries is drawn anew for each epoch; gradients are not
    cut off at 100, but training that diverges is refused.

    Parameters
    ----------
    x_max, alpha : an entry x weighs min(1, (x / x_max) ** alpha).
    learning_rate : of AdaGrad.
    """

    dimension: int = 50
    window: int = 10
    epochs: int = 50
    x_max: float = 100.0
    alpha: float = 0.75
    learning_rate: float = 0.05

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


def factorise(
    entries: Entries, size: int, *, dimension: int, epochs: int, learning_rate: float, seed: int
) -> tuple[Parameters, list[float]]:
    """Minimise J = sum over entries f(X_ij) (w_i' c_j + b_i + a_j - log X_ij)^2, an entry after the other.

    Returns
    -------
    Parameters, and the objective of each epoch. UserError when it grows beyond all numbers.
    """
    rng = np.random.default_rng(seed)
    shapes = (size, dimension), (size, dimension), size, size
    parameters = Parameters(*(rng.uniform(-0.5, 0.5, shape) / (dimension + 1) for shape in shapes))
    squares = Parameters(*map(np.ones_like, parameters))
    objective = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(epochs):
            batches = disjoint_batches(entries, size, rng)
            objective.append(sum(adagrad_step(parameters, squares, batch, learning_rate) for batch in batches))
            if not all(np.isfinite(values).all() for values in (objective, *parameters)):
                epoch = len(objective)
                raise UserError(
                    f"GloVe diverges in epoch {epoch}: lower the option learning_rate, which is {learning_rate}"
                )
    return parameters, objective


def disjoint_batches(entries: Entries, size: int, rng: np.random.Generator) -> Iterator[Entries]:
    """All entries in random order, in batches in which no row and no column of X occurs twice.

    To change the parameters for a batch at once is then the same as for its entries one by one.
    """
    # A diagonal, which begins anew at the other side of X where it leaves it, meets each row and each column once.
    diagonals = (rng.permutation(size)[entries.rows] + rng.permutation(size)[entries.columns]) % size
    order = np.argsort(diagonals, kind="stable")
    shuffled = entries.take(order)
    ends = np.append(np.flatnonzero(np.diff(diagonals[order])) + 1, len(entries))
    for start, end in zip([0, *ends], ends, strict=False):
        yield shuffled.take(slice(start, end))


def adagrad_step(parameters: Parameters, squares: Parameters, batch: Entries, learning_rate: float) -> float:
    """Step down J / 2 of a disjoint batch, in place; returns J before it.

    As in the authors' program, a step is divided by the root of one and the squares of the steps before it, taken as
    they were before division.
    """
    words, contexts = parameters.words[batch.rows], parameters.contexts[batch.columns]
    biases = parameters.word_biases[batch.rows] + parameters.context_biases[batch.columns]
    difference = np.einsum("md,md->m", words, contexts) + biases - batch.logarithms
    slope = batch.weights * difference
    slopes = slope[:, None] * contexts, slope[:, None] * words, slope, slope
    places = batch.rows, batch.columns, batch.rows, batch.columns
    for parameter, square, gradient, place in zip(parameters, squares, slopes, places, strict=True):
        step = learning_rate * gradient
        parameter[place] -= step / np.sqrt(square[place])
        square[place] += step**2
    return float(slope @ difference)
