"""Many LASSOs at once against scikit-learn's, one at a time."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from cmr.methods.linear.sparse_coding import lasso_of_one_hessian, lasso_of_own_hessians, soft_threshold


def oracle(hessian, target, penalty):
    """min a H a' - 2 b a' + penalty |a|_1, as |R a - R^-T b|^2 with H = R'R."""
    root = np.linalg.cholesky(hessian).T
    fit = Lasso(alpha=penalty / (2 * len(root)), fit_intercept=False, tol=1e-12, max_iter=100_000)
    return fit.fit(root, np.linalg.solve(root.T, target)).coef_


def problem(n, k, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 2 * k, k))
    return factors.transpose(0, 2, 1) @ factors / k, rng.normal(size=(n, k)), rng.normal(size=(n, k))


def test_rows_of_one_hessian_equal_scikit_learns():
    hessians, targets, start = problem(12, 6)
    code = start
    for _ in range(30):
        code = lasso_of_one_hessian(hessians[0], targets, 0.7, code)
    expected = np.array([oracle(hessians[0], target, 0.7) for target in targets])
    assert (expected == 0).any() and (expected != 0).any()
    np.testing.assert_allclose(code, expected, atol=1e-8)


def test_rows_of_own_hessians_equal_scikit_learns():
    hessians, targets, start = problem(12, 6)
    code = start
    for _ in range(30):
        code = lasso_of_own_hessians(hessians, targets, 0.7, code)
    expected = np.array([oracle(*each, 0.7) for each in zip(hessians, targets, strict=True)])
    np.testing.assert_allclose(code, expected, atol=1e-8)


@pytest.mark.parametrize("own", [False, True])
def test_within_one_call_all_but_a_ten_thousandth_is_gained_of_what_there_is_to_gain(own):
    hessians, targets, start = problem(12, 6)
    if own:
        code = lasso_of_own_hessians(hessians, targets, 0.7, start)
    else:
        hessians[:] = hessians[0]
        code = lasso_of_one_hessian(hessians[0], targets, 0.7, start)
    least = np.array([oracle(*each, 0.7) for each in zip(hessians, targets, strict=True)])

    def objective(a):
        return np.einsum("ni,nij,nj->", a, hessians, a) - 2 * (a * targets).sum() + 0.7 * np.abs(a).sum()

    assert objective(code) - objective(least) < 1e-4 * (objective(start) - objective(least))


@pytest.mark.parametrize("seed", range(5))
def test_an_ill_conditioned_hessian_makes_no_code_worse(seed):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    hessian = axes * np.geomspace(1, 1e6, 5) @ axes.T
    targets = rng.normal(size=(1, 5))

    def objective(a):
        return ((a @ hessian) * a).sum() - 2 * (a * targets).sum() + 0.1 * np.abs(a).sum()

    for start in (rng.normal(size=(1, 5)), np.linalg.solve(hessian, targets.T).T + axes[:, 0], np.zeros((1, 5))):
        code = lasso_of_one_hessian(hessian, targets, 0.1, start)
        assert objective(code) < objective(start)


def test_a_row_is_solved_though_one_of_its_coordinates_has_no_effect():
    hessians, targets, start = problem(3, 4)
    hessians[:, 2, :] = hessians[:, :, 2] = 0.0
    targets[:, 2] = 0.0
    code = start
    for _ in range(30):
        code = lasso_of_own_hessians(hessians, targets, 0.5, code)
    np.testing.assert_array_equal(code[:, 2], 0.0)
    rest = [0, 1, 3]
    expected = np.array([oracle(h[np.ix_(rest, rest)], b[rest], 0.5) for h, b in zip(hessians, targets, strict=True)])
    np.testing.assert_allclose(code[:, rest], expected, atol=1e-8)


def test_soft_threshold_moves_towards_zero_and_stops_there():
    np.testing.assert_array_equal(soft_threshold(np.array([-3.0, -1, 0, 0.5, 2]), 1.0), [-2, 0, 0, 0, 1])
