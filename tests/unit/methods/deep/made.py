"""Made data and helpers for tests of networks."""

import numpy as np
import torch

from cmr.methods.base import Pairs
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import Batch
from cmr.metrics import bimodal_map

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def made_pairs(seed=0, n=120, classes=4, multi_label=False, noise=1.0):
    """Class prototypes seen with noise in both modalities, 20 and 25 features."""
    shared, own = np.random.default_rng(7), np.random.default_rng(seed)
    labels = np.eye(classes, dtype=bool)[own.integers(classes, size=n)]
    if multi_label:
        labels |= np.roll(labels, 1, axis=1) & (own.random((n, 1)) < 0.5)
    images, texts = (labels @ shared.normal(size=(classes, d)) * 2 + noise * own.normal(size=(n, d)) for d in (20, 25))
    return Pairs(images.astype(np.float32), texts.astype(np.float32), labels)


def built(method, pairs):
    """The untrained network of a method for such pairs, in training mode, and all of them as one batch."""
    network = method.build(Inputs.of(pairs), seeded())
    method.prepare(network, pairs)
    return network, Batch.of(pairs, CPU)


def score(method, model, pairs):
    """Mean mAP of both directions."""
    return bimodal_map(
        model.embed_images(pairs.images), model.embed_texts(pairs.texts), pairs.relevance, method.similarity
    )


def gradients(loss, module):
    """Of a module's parameters, one vector; zero where the loss does not depend on them."""
    found = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])
