import numpy as np
import torch

from cmr.methods.deep.losses import mean_row_norm, pairwise_likelihood


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_pairwise_likelihood_is_the_mean_negative_log_of_the_logistic_probability():
    theta, similar = 3 * randn(4, 6), (randn(4, 6, seed=1) > 0).double()
    p = 1 / (1 + np.exp(-theta.numpy()))
    expected = -np.log(np.where(similar.numpy() == 1, p, 1 - p)).mean()
    np.testing.assert_allclose(pairwise_likelihood(theta, similar).item(), expected, rtol=1e-12)


def test_pairwise_likelihood_stays_finite_at_inner_products_that_overflow_an_exponential():
    theta = torch.tensor([[1e4, -1e4], [1e4, -1e4]], requires_grad=True)
    loss = pairwise_likelihood(theta, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert loss.item() == 5000.0  # two of four pairs are wrong by 1e4
    loss.backward()
    assert theta.grad.isfinite().all()


def test_pairwise_likelihood_and_row_norms_of_several_networks_are_those_of_each():
    theta, similar, x = randn(3, 4, 4), (randn(3, 4, 4, seed=1) > 0).double(), randn(3, 4, 5, seed=2)
    for position in range(3):
        own = pairwise_likelihood(theta[position], similar[position])
        torch.testing.assert_close(pairwise_likelihood(theta, similar)[position], own)
        torch.testing.assert_close(mean_row_norm(x)[position], mean_row_norm(x[position]))


def test_mean_row_norm_is_that_of_numpy_and_has_no_gradient_at_zero():
    x = randn(5, 3)
    np.testing.assert_allclose(mean_row_norm(x).item(), np.linalg.norm(x.numpy(), axis=1).mean(), rtol=1e-9)
    x[2] = 0
    x.requires_grad_()
    mean_row_norm(x).backward()
    assert torch.equal(x.grad[2], torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(x.grad[0], (x[0] / x[0].norm() / 5).detach())
