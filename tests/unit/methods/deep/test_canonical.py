import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import CCA

from cmr.methods.base import InfeasibleError
from cmr.methods.deep.canonical import canonical_correlations, canonical_projections
from tests.unit.methods.deep.made import randn


def views(n=200, o=4, seed=0):
    """Two views that share some directions with noise."""
    common = randn(n, o, seed=seed)
    x = common @ randn(o, o, seed=seed + 1) + randn(n, o, seed=seed + 2)
    return x + 3, common @ randn(o, o, seed=seed + 3) + randn(n, o, seed=seed + 4) - 1


def inverse_square_root(s):
    values, vectors = np.linalg.eigh(s)
    return vectors / np.sqrt(values) @ vectors.T


def test_without_a_ridge_they_are_the_correlations_of_linear_cca():
    x, y = views()
    fitted = CCA(n_components=4, max_iter=5000, tol=1e-12).fit(x.numpy(), y.numpy())
    variates = fitted.transform(x.numpy(), y.numpy())
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(variates[0].T, variates[1].T, strict=True)]
    np.testing.assert_allclose(canonical_correlations(x, y, 0.0).numpy(), np.sort(expected)[::-1], rtol=1e-6)


@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_their_gradient_is_that_of_the_paper(ridge):
    """Andrew et al. 2013, section 3: (2 D_11 H_1 + D_12 H_2) / (B - 1), of centred outputs."""
    x, y = (view.requires_grad_() for view in views(n=60))
    canonical_correlations(x, y, ridge).sum().backward()
    h1, h2 = (view.detach().numpy() - view.detach().numpy().mean(axis=0) for view in (x, y))
    s11, s22 = (h.T @ h / 59 + ridge * np.eye(4) for h in (h1, h2))
    w1, w2 = inverse_square_root(s11), inverse_square_root(s22)
    u, d, vt = np.linalg.svd(w1 @ h1.T @ h2 / 59 @ w2)
    across, within1, within2 = w1 @ u @ vt @ w2, -w1 @ (u * d) @ u.T @ w1 / 2, -w2 @ (vt.T * d) @ vt @ w2 / 2
    np.testing.assert_allclose(x.grad.numpy(), (2 * h1 @ within1 + h2 @ across.T) / 59, atol=1e-12)
    np.testing.assert_allclose(y.grad.numpy(), (2 * h2 @ within2 + h1 @ across) / 59, atol=1e-12)


def test_invertible_maps_of_a_view_do_not_change_them():
    x, y = views()
    expected = canonical_correlations(x, y, 0.0)
    torch.testing.assert_close(canonical_correlations(x @ randn(4, 4, seed=9) + 5, y, 0.0), expected)
    torch.testing.assert_close(canonical_correlations(x, y @ randn(4, 4, seed=8) - 2, 0.0), expected)


def test_they_are_all_singular_values_in_descending_order_and_of_each_network_alone():
    pairs = [views(seed=seed) for seed in (0, 10)]
    together = canonical_correlations(*(torch.stack(side) for side in zip(*pairs, strict=True)), 0.01)
    for own, (x, y) in zip(together, pairs, strict=True):
        torch.testing.assert_close(own, canonical_correlations(x, y, 0.01))
        assert (own.diff() <= 0).all() and own.shape == (4,) and (own > 0).all() and (own < 1).all()


def test_their_gradient_is_finite_where_correlations_coincide():
    x = torch.eye(8, dtype=torch.float64).repeat(3, 1).requires_grad_()
    canonical_correlations(x, x.detach(), 0.1).sum().backward()
    assert x.grad.isfinite().all()


def test_independent_views_look_correlated_in_batches_that_are_small_for_their_width():
    def chance(b, o):
        return canonical_correlations(randn(b, o, seed=1), randn(b, o, seed=2), 0.0).mean().item()

    assert chance(100, 64) == pytest.approx(0.73, abs=0.05)
    assert chance(100, 32) == pytest.approx(0.49, abs=0.05)
    assert chance(500, 16) == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_projected_views_are_white_and_correlated_as_told(ridge):
    x, y = views()
    found = canonical_projections(x, y, ridge)
    a, b = ((view - view.mean(0)) @ w for view, w in ((x, found.x), (y, found.y)))
    torch.testing.assert_close(a.T @ b / 199, torch.diag(found.correlations))
    for projected, w in ((a, found.x), (b, found.y)):
        torch.testing.assert_close(projected.T @ projected / 199 + ridge * w.T @ w, torch.eye(4).double())
    torch.testing.assert_close(found.correlations, canonical_correlations(x, y, ridge))


def test_the_signs_of_projections_do_not_hang_on_those_of_the_features():
    x, y = views()
    flipped = canonical_projections(x, -y, 0.0)
    found = canonical_projections(x, y, 0.0)
    torch.testing.assert_close(flipped.x, found.x)
    torch.testing.assert_close(flipped.y, -found.y)


def test_outputs_that_are_not_finite_are_refused():
    x, y = views()
    x[3, 1] = torch.nan
    with pytest.raises(InfeasibleError, match="training diverged"):
        canonical_correlations(x, y, 0.01)
