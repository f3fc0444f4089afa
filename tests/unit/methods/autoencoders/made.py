"""Made data and small settings for the tests of autoencoders."""

import numpy as np
import torch

from cmr.methods.base import Pairs
from cmr.methods.deep.network import Batch
from cmr.metrics import bimodal_map

STACKS = {"image_stack_widths": (24, 16), "text_stack_widths": (32, 12)}
BRIEF = STACKS | {"n_components": 16, "stack_epochs": 2, "epochs": 2}
TRAINED = STACKS | {"n_components": 16, "stack_epochs": 40, "stack_batch_size": 10, "epochs": 20, "batch_size": 10}


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


def score(model, pairs):
    """Mean mAP of both directions."""
    return bimodal_map(model.embed_images(pairs.images), model.embed_texts(pairs.texts), pairs.labels, "cosine")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch_of(u, v):
    """A batch of pairs without labels."""
    return Batch(u, v, torch.zeros(len(u), 3), torch.arange(len(u)))


def uniform_batch(d_images=8, d_texts=6, b=9, seed=1):
    """Features in [0, 1]."""
    generator = seeded(seed)
    return batch_of(*(torch.rand(b, d, generator=generator) for d in (d_images, d_texts)))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def float64(network):
    """Its weights by name, for oracles that NumPy computes."""
    return {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
