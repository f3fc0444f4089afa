"""The word vectors of a vectoriser, dense or sparse, and the file that holds them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cmr import store

Matrix = NDArray[np.floating] | sparse.csr_array


@dataclass(frozen=True)
class UnitVectors:
    """Words and their vectors at unit length, in float64; words are those that have a direction.

    Attributes
    ----------
    words : V words.
    units : (V, d), dense or sparse.
    """

    words: tuple[str, ...]
    units: Matrix

    @classmethod
    def of(cls, words: Sequence[str], vectors: Matrix) -> Self:
        """From vectors (V, d) of any length; a word whose vector is zero has no cosine to others and is left out."""
        if len(words) != vectors.shape[0] or len(set(words)) != len(words):
            raise ValueError(f"{vectors.shape[0]} vectors for {len(words)} words, {len(set(words))} of them different")
        vectors = sparse.csr_array(vectors, dtype=np.float64) if sparse.issparse(vectors) else np.float64(vectors)
        if not np.isfinite(vectors.data if sparse.issparse(vectors) else vectors).all():
            raise ValueError("a word vector has NaN or infinite values")
        lengths = _lengths(vectors)
        known = np.flatnonzero(lengths)
        if sparse.issparse(vectors):
            units = sparse.csr_array(sparse.diags_array(1 / lengths[known]) @ vectors[known])
        else:
            units = vectors[known] / lengths[known, None]
        return cls(tuple(words[i] for i in known), units)

    @cached_property
    def place(self) -> dict[str, int]:
        """Row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    def only(self, words: Sequence[str]) -> Self:
        """These words, in their order; all must be known."""
        return type(self)(tuple(words), self.units[[self.place[word] for word in words]])

    def cosines(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
        """(n,) cosines of the n pairs (first[i], second[i])."""
        one, other = (self.units[[self.place[word] for word in side]] for side in (first, second))
        return np.asarray((one * other).sum(axis=1), dtype=np.float64).ravel()

    def cosines_to_all(self, words: Sequence[str]) -> NDArray[np.float64]:
        """(n, V) cosines of n words to every word."""
        product = self.units[[self.place[word] for word in words]] @ self.units.T
        return product.toarray() if sparse.issparse(product) else product


def write_word_vectors(
    path: Path, words: Sequence[str], vectors_of_seeds: Mapping[int, Matrix], attributes: Mapping[str, Any]
) -> None:
    """One HDF5 file: `words` (V,), and a group a seed with its (V, d) vectors."""
    arrays: dict[str, np.ndarray] = {"words": np.asarray(words, dtype=object)}
    for seed, vectors in vectors_of_seeds.items():
        if sparse.issparse(vectors):
            matrix = sparse.csr_array(vectors)
            parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": matrix.shape}
            arrays |= {f"{seed}/{name}": np.asarray(part) for name, part in parts.items()}
        else:
            arrays[f"{seed}/dense"] = np.asarray(vectors, dtype=np.float32)
    store.write_arrays(path, arrays, attributes)


def read_word_vectors(path: Path) -> tuple[list[UnitVectors], dict[str, Any]]:
    """What `write_word_vectors` wrote: the vectors of each seed in the order of seeds, and the attributes."""
    arrays, attributes = store.read_arrays(path)
    words = [str(word) for word in arrays["words"]]
    seeds = sorted({int(name.partition("/")[0]) for name in arrays if "/" in name})
    return [UnitVectors.of(words, _matrix(arrays, seed)) for seed in seeds], attributes


def words_of_all(vectorisers: Iterable[UnitVectors]) -> list[str]:
    """The words that every one of them knows, in alphabetical order."""
    return sorted(set.intersection(*(set(vectors.words) for vectors in vectorisers)))


def _matrix(arrays: Mapping[str, np.ndarray], seed: int) -> Matrix:
    if f"{seed}/dense" in arrays:
        return arrays[f"{seed}/dense"]
    data, indices, indptr, shape = (arrays[f"{seed}/{name}"] for name in ("data", "indices", "indptr", "shape"))
    return sparse.csr_array((data, indices, indptr), shape=tuple(shape))


def _lengths(vectors: Matrix) -> NDArray[np.float64]:
    if sparse.issparse(vectors):
        return np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    return np.linalg.norm(vectors, axis=1)
