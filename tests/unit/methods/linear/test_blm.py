"""BLM against independent oracles."""

import numpy as np
import pytest
import scipy.linalg
from sklearn.decomposition import PCA

from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.blm import BLM
from cmr.methods.linear.cfa import CFA
from tests.unit.methods.linear.made import standardised


def unit(x):
    """Standardised and of unit Frobenius norm."""
    x = standardised(x)
    return x / np.linalg.norm(x)


def embeddings(model, pairs):
    """Of the train part, in float64."""
    return tuple(
        map_.scaling(view) @ map_.weights for map_, view in ((model.image, pairs.images), (model.text, pairs.texts))
    )


def test_cross_weight_of_one_is_pca_of_both_views_together(pairs):
    both = np.hstack([unit(pairs.images), unit(pairs.texts)])
    oracle = PCA(4).fit(both)
    x, y = embeddings(BLM(4).fit(pairs), pairs)
    # What an item's two embeddings add up to is its principal component.
    ratio = (x + y) / oracle.transform(both)
    np.testing.assert_allclose(np.abs(ratio), 1, atol=1e-10)
    np.testing.assert_allclose(ratio, np.tile(ratio[0], (200, 1)), atol=1e-10)


def test_directions_solve_the_eigenproblem_of_the_cross_weight(pairs):
    x, y = unit(pairs.images), unit(pairs.texts)
    model = BLM(3, cross_weight=7.0).fit(pairs)
    matrix = np.block([[x.T @ x, 7 * x.T @ y], [7 * y.T @ x, y.T @ y]])
    values, axes = scipy.linalg.eigh(matrix)
    axes = axes[:, ::-1][:, :3]
    np.testing.assert_allclose(model.facts["eigenvalues"], values[::-1][:3], rtol=1e-12)
    found = np.vstack(
        [
            model.image.weights * np.linalg.norm(standardised(pairs.images)),
            model.text.weights * np.linalg.norm(standardised(pairs.texts)),
        ]
    )
    np.testing.assert_allclose(np.abs((found * axes).sum(axis=0)), 1, atol=1e-12)


def test_large_cross_weight_converges_to_the_subspaces_of_cfa(pairs):
    cfa = CFA(3).fit(pairs)
    angles = []
    for cross_weight in (10.0, 1e3, 1e6):
        blm = BLM(3, cross_weight=cross_weight).fit(pairs)
        angles.append(
            max(
                scipy.linalg.subspace_angles(blm.image.weights, cfa.image.weights).max(),
                scipy.linalg.subspace_angles(blm.text.weights, cfa.text.weights).max(),
            )
        )
    assert angles[0] > angles[1] > angles[2]
    assert angles[2] < 1e-5


def test_pseudo_inverse_gives_the_content_that_reconstructs_an_item_best(pairs):
    model, projected = BLM(3, inference="pinv").fit(pairs), BLM(3).fit(pairs)
    for own, basis, view in (
        (model.image, projected.image, pairs.images),
        (model.text, projected.text, pairs.texts),
    ):
        x = unit(view)
        directions = basis.weights * np.linalg.norm(standardised(view))
        expected = np.linalg.lstsq(directions, x.T)[0].T
        np.testing.assert_allclose(own.scaling(view) @ own.weights, expected, atol=1e-12)


def test_pseudo_inverse_passes_over_directions_that_a_view_takes_no_part_in(pairs):
    texts = pairs.texts - pairs.texts.mean(axis=1, keepdims=True)  # of rank four
    dependent = Pairs(pairs.images, texts.astype(np.float32), pairs.labels)
    content = BLM(5, cross_weight=100.0, inference="pinv").fit(dependent).embed_texts(dependent.texts)
    sizes = np.linalg.svd(content, compute_uv=False)
    assert sizes[3] > 1e-2 * sizes[0]
    assert sizes[4] < 1e-5 * sizes[0]  # the inverse of rounding would make a fifth of it


def test_views_of_other_scale_have_the_same_share(pairs):
    one, other = BLM(4).fit(pairs), BLM(4).fit(Pairs(pairs.images, 1000 * pairs.texts, pairs.labels))
    np.testing.assert_allclose(other.embed_texts(1000 * pairs.texts), one.embed_texts(pairs.texts), atol=1e-6)


def test_views_of_many_features_do_not_take_more_than_their_share():
    """Of two views with unrelated features, the one of more features must not have all the directions."""
    rng = np.random.default_rng(7)
    pairs = Pairs(rng.normal(size=(400, 40)), rng.normal(size=(400, 4)), np.ones((400, 1), dtype=bool))
    x, y = embeddings(BLM(4).fit(pairs), pairs)
    assert (y**2).sum() > (x**2).sum()  # each of the four features holds a quarter of the norm, of the forty little


def test_views_of_more_features_than_items_are_solved_exactly():
    rng = np.random.default_rng(5)
    few = Pairs(rng.normal(size=(30, 80)), rng.normal(size=(30, 50)), np.ones((30, 1), dtype=bool))
    x, y = embeddings(BLM(5).fit(few), few)
    oracle = PCA(5).fit_transform(np.hstack([unit(few.images), unit(few.texts)]))
    ratio = (x + y) / oracle
    np.testing.assert_allclose(np.abs(ratio), 1, atol=1e-8)


def test_components_without_variance_are_refused_with_the_limit(pairs):
    with pytest.raises(InfeasibleError, match="blm: n_components is 13, but these views allow at most 12"):
        BLM(13).fit(pairs)
    assert BLM(12).fit(pairs).image.weights.shape == (7, 12)
    with pytest.raises(InfeasibleError, match="at most 7"):  # five shared, and two that the images have alone
        BLM(8, cross_weight=500.0).fit(pairs)
