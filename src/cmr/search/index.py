"""The nearest items of a gallery: all are compared up to EXACT of them, and beyond that FAISS chooses which.

Cosine, correlation, inner product and distance: an inverted file (IVF). K-means parts the gallery into 4 sqrt(n) cells,
and a query is compared with the items of the nearest quarter of them. The scores of the best are then computed as those
of an exact ranking are; only an item of another cell can be missed. Hamming distance: a flat index of binary codes,
which is exact.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cmr.files import whole_file
from cmr.provenance import fingerprint
from cmr.retrieval import Similarity, top

EXACT = 50_000  # items
CANDIDATES = 4  # times as many as are asked for, and 100 at least, are scored exactly
SHARE = 4  # one in so many cells is looked into
SAMPLES = 64  # of each cell, from which k-means learns

log = logging.getLogger(__name__)

Found = tuple[NDArray[np.intp], NDArray[np.float32]]


class Index(Protocol):
    """A gallery that can be searched.

    Attributes
    ----------
    approximate : an item that belongs into the ranking may be missing.
    """

    approximate: bool

    def nearest(self, query: NDArray, k: int) -> Found:
        """Rows and scores, (k,) each, of the items nearest to a query (1, d), best first, ties by row.

        k is cut to the size of the gallery.
        """


class Exact:
    """All items are compared with the query."""

    approximate = False

    def __init__(self, embeddings: NDArray, similarity: Similarity) -> None:
        self._embeddings, self._similarity = embeddings, similarity

    def nearest(self, query: NDArray, k: int) -> Found:
        """See Index."""
        rows, scores = top(query, self._embeddings, self._similarity, k)
        return rows[0], scores[0]


class InvertedFile:
    """Items of the cells nearest to the query are compared with it."""

    approximate = True

    def __init__(self, index: Any, similarity: Similarity) -> None:
        self._index, self._similarity = index, similarity
        self._index.nprobe = max(1, self._index.nlist // SHARE)

    @classmethod
    def build(cls, embeddings: NDArray, similarity: Similarity) -> "InvertedFile":
        """Of (n, d)."""
        import faiss

        vectors = _stored(embeddings, similarity)
        cells = min(len(vectors), round(4 * len(vectors) ** 0.5))
        index = faiss.index_factory(vectors.shape[1], f"IVF{cells},Flat", faiss.METRIC_L2)
        index.cp.max_points_per_centroid = SAMPLES
        index.cp.min_points_per_centroid = 1
        index.train(vectors)
        index.add(vectors)
        return cls(index, similarity)

    def nearest(self, query: NDArray, k: int) -> Found:
        """See Index."""
        wanted = min(self._index.ntotal, max(100, CANDIDATES * k))
        prepared = _prepared(query, self._similarity)
        if self._similarity == "inner":
            prepared = np.pad(prepared, ((0, 0), (0, 1)))
        _, (rows,), (vectors,) = self._index.search_and_reconstruct(prepared, wanted)
        order = np.argsort(rows)
        order = order[rows[order] >= 0]  # fewer than wanted may lie in the cells
        vectors = vectors[order, : query.shape[1]]
        (places,), (scores,) = top(query, vectors, self._similarity, k)
        return rows[order][places], scores


class Codes:
    """Packed binary codes (n, bytes) by the number of bits in which they differ from the query's."""

    approximate = False

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, embeddings: NDArray[np.uint8]) -> "Codes":
        """Of (n, bytes)."""
        import faiss

        index = faiss.IndexBinaryFlat(8 * embeddings.shape[1])
        index.add(np.ascontiguousarray(embeddings))
        return cls(index)

    def nearest(self, query: NDArray[np.uint8], k: int) -> Found:
        """See Index."""
        query = np.ascontiguousarray(query)
        (distances,), _ = self._index.search(query, min(k, self._index.ntotal))
        # All at most as far as the last: of those that tie with it, the first are to be shown.
        _, distances, rows = self._index.range_search(query, int(distances.max()) + 1)
        order = np.lexsort((rows, distances))[:k]
        return rows[order].astype(np.intp), -distances[order].astype(np.float32)


def open_index(
    embeddings: Callable[[], NDArray], size: int, similarity: Similarity, cache: Path, **identity: Any
) -> Index:
    """An index of a gallery of `size` items, whose embeddings (n, d) are computed where they are needed.

    cache : folder for the FAISS index of a large gallery; one of another `identity`, which tells all that the
        embeddings depend on, is removed.
    """
    if size <= EXACT:
        return Exact(embeddings(), similarity)
    import faiss

    read, write, wrap = faiss.read_index, faiss.write_index, lambda index: InvertedFile(index, similarity)
    if similarity == "hamming":
        read, write, wrap = faiss.read_index_binary, faiss.write_index_binary, Codes
    key = fingerprint(faiss=faiss.__version__, similarity=similarity, size=size, identity=identity)
    path = cache / f"{key[:32]}.faiss"
    if path.exists():
        try:
            return wrap(read(str(path)))
        except RuntimeError as error:
            log.warning("%s is damaged and made anew (%s)", path, " ".join(str(error).split())[:100])
    for old in cache.glob("*.faiss"):
        old.unlink()
    log.warning("indexing %d items, once", size)
    built = Codes.build(embeddings()) if similarity == "hamming" else InvertedFile.build(embeddings(), similarity)
    with whole_file(path) as temporary:
        write(built._index, str(temporary))
    return built


def _prepared(rows: NDArray, similarity: Similarity) -> NDArray[np.float32]:
    """Rows whose Euclidean distances order as the similarity does, but for inner products."""
    rows = np.asarray(rows, dtype=np.float64)
    if similarity == "correlation":
        rows = rows - rows.mean(axis=1, keepdims=True)
    if similarity in ("cosine", "correlation"):
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(norms == 0, 1, norms)
    return np.ascontiguousarray(rows, dtype=np.float32)


def _stored(embeddings: NDArray, similarity: Similarity) -> NDArray[np.float32]:
    """The gallery's rows.

    Inner products become distances by one more column, which brings all rows to one norm (Bachrach et al., RecSys
    2014); the query has zero there.
    """
    rows = _prepared(embeddings, similarity)
    if similarity != "inner":
        return rows
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return np.column_stack([rows, np.sqrt(squares.max() - squares)]).astype(np.float32)
