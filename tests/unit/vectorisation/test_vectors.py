"""Word vectors: their cosines, which words they know, and their files."""

import itertools

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from cmr.vectorisation.vectors import UnitVectors, read_word_vectors, words_of_all, write_word_vectors
from tests.unit.vectorisation.made import word


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.csc_matrix])
def test_cosines_are_those_of_brute_force_dense_or_sparse(form):
    rng = np.random.default_rng(0)
    values = rng.poisson(0.5, size=(12, 20)).astype(np.float32)
    values[:, 0] += 1  # no zero rows here
    words = [word(i) for i in range(12)]
    vectors = UnitVectors.of(words, form(values))
    expected = cosine_similarity(values.astype(np.float64))
    first, second = zip(*itertools.product(words, words), strict=True)
    assert vectors.cosines(first, second) == pytest.approx(expected.ravel(), abs=1e-12)
    assert vectors.cosines_to_all(words[3:7]) == pytest.approx(expected[3:7], abs=1e-12)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_a_word_whose_vector_is_zero_is_not_known(form):
    vectors = UnitVectors.of(["a", "none", "b"], form(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]])))
    assert vectors.words == ("a", "b")
    assert vectors.cosines(["a"], ["b"]) == pytest.approx([0.8])


def test_vectors_that_are_no_numbers_or_lack_a_word_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        UnitVectors.of(["a"], np.array([[np.nan]]))
    with pytest.raises(ValueError, match="2 vectors for 1 words"):
        UnitVectors.of(["a"], np.eye(2))
    with pytest.raises(ValueError, match="1 of them different"):
        UnitVectors.of(["a", "a"], np.eye(2))


def test_common_words_are_those_that_all_know_and_keep_their_vectors():
    one = UnitVectors.of(["b", "a", "c"], np.eye(3))
    other = UnitVectors.of(["d", "a", "b", "zero"], np.array([[1.0, 0], [1, 1], [0, 1], [0, 0]]))
    assert words_of_all([one, other]) == ["a", "b"]
    assert other.only(["a", "b"]).units == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, 1]]))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_written_vectors_are_read_again_by_seed(tmp_path, form):
    values = np.random.default_rng(1).integers(0, 3, size=(4, 5)).astype(np.float32) + np.eye(4, 5, dtype=np.float32)
    words = ["caf\u00e9", "a", "b", "c"]
    write_word_vectors(tmp_path / "v.h5", words, {2: form(values[::-1]), 0: form(values)}, {"texts": 3})
    seeds, attributes = read_word_vectors(tmp_path / "v.h5")
    assert attributes == {"texts": 3}
    assert [sparse.issparse(one.units) for one in seeds] == [form is sparse.csr_array] * 2
    for one, expected in zip(seeds, (values, values[::-1]), strict=True):
        assert one.words == tuple(words)
        assert one.cosines_to_all(words) == pytest.approx(cosine_similarity(expected), abs=1e-6)
