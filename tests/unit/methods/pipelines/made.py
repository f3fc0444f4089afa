"""A made problem for pipelines: two modalities that see the class of a pair through noise."""

from dataclasses import replace

import numpy as np

from cmr.methods.base import Pairs


def made_pairs(n=60, seed=0, noise=0.5):
    shared, own = np.random.default_rng(7), np.random.default_rng(seed)
    classes = own.permutation(np.arange(n) % 3)
    images = np.eye(3)[classes] @ shared.normal(size=(3, 10)) + noise * own.normal(size=(n, 10))
    texts = np.eye(3)[classes] @ shared.normal(size=(3, 8)) + noise * own.normal(size=(n, 8))
    return Pairs(images.astype(np.float32), texts.astype(np.float32), np.eye(3, dtype=bool)[classes])


def with_parts(pairs, seed=0, n_images=3, n_texts=2):
    """The same, each item with parts that look like it; some are absent, those of item 0 all."""
    rng, views = np.random.default_rng(seed), {}
    for side, count in (("images", n_images), ("texts", n_texts)):
        whole = getattr(pairs, side)[:, None]
        parts = whole + 0.3 * rng.normal(size=(len(pairs), count, whole.shape[-1]))
        parts[rng.uniform(size=(len(pairs), count)) < 0.3] = 0
        parts[0] = 0
        views[side] = np.concatenate([whole, parts.astype(np.float32)], axis=1)
    return replace(pairs, **views, image_kind="patches", text_kind="patches")
