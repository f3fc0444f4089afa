"""Machines small enough to enumerate, and data for them."""

from itertools import product

import numpy as np
import torch

from cmr.methods.base import Pairs
from cmr.methods.boltzmann.rbm import BernoulliRBM, GaussianRBM, ReplicatedSoftmaxRBM

KINDS = [BernoulliRBM, GaussianRBM, ReplicatedSoftmaxRBM]
RATES = {BernoulliRBM: 0.05, GaussianRBM: 0.01, ReplicatedSoftmaxRBM: 0.002}
CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def all_states(n):
    return torch.tensor(list(product((0.0, 1.0), repeat=n)), dtype=torch.float64)


def tiny(kind, n_visible=6, n_hidden=3, scale=0.7):
    """A model with parameters of noticeable size, in double precision; Gaussian units with another s than 1."""
    rbm = (kind(n_visible, n_hidden, s=0.6) if kind is GaussianRBM else kind(n_visible, n_hidden)).double()
    return with_noise(rbm, scale)


def with_noise(machine, scale, seed=1):
    """Random parameters and buffers."""
    generator = seeded(seed)
    with torch.no_grad():
        for tensor in [*machine.parameters(), *machine.buffers()]:
            tensor.normal_(0, scale, generator=generator)
    return machine


def visible(kind, n=4, d=6):
    """Data that the kind of unit can hold."""
    u = torch.rand(n, d, generator=seeded(2), dtype=torch.float64)
    return {BernoulliRBM: (u > 0.5).double(), GaussianRBM: 3 * u - 1, ReplicatedSoftmaxRBM: (4 * u).floor()}[kind]


def clustered(kind, n=200, d=20):
    """Two clusters of rows, which a hidden unit can tell apart."""
    high = torch.rand(n, 1, generator=seeded(3)) < 0.5
    level = torch.where(high == (torch.arange(d) < d // 2), 0.8, 0.2)
    if kind is BernoulliRBM:
        return torch.bernoulli(level, generator=seeded(4))
    if kind is GaussianRBM:
        x = level * 4 + torch.randn(n, d, generator=seeded(4))
        return (x - x.mean(0)) / x.std(0)
    return torch.poisson(5 * level, generator=seeded(4))


def made_pairs(seed=0, n=150, counts=False):
    """Three latent factors seen through both modalities; the labels are the largest of them and serve scoring alone."""
    shared, own = np.random.default_rng(7), np.random.default_rng(seed)
    factors = np.eye(3)[own.integers(3, size=n)] * 2 + 0.3 * own.normal(size=(n, 3))
    images = factors @ shared.normal(size=(3, 20)) + 0.5 * own.normal(size=(n, 20))
    texts = factors @ shared.normal(size=(3, 25)) + 0.5 * own.normal(size=(n, 25))
    if counts:
        texts = own.poisson(np.exp(texts))
    labels = np.eye(3, dtype=bool)[factors.argmax(1)]
    return Pairs(images.astype(np.float32), texts.astype(np.float32), labels, texts_are_counts=counts)


def entropy(p):
    """Of Bernoulli units, summed over the last dimension."""
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum(-1)
