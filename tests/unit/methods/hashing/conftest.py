import numpy as np
import pytest

from cmr.methods.base import Pairs


@pytest.fixture(scope="package")
def pairs():
    """Four classes, 160 pairs; some have two classes, some none; both views see them through noise."""
    rng = np.random.default_rng(0)
    labels = np.eye(4, dtype=bool)[rng.integers(4, size=160)]
    labels[:20] |= labels[20:40]
    labels[150:] = False
    latent = labels @ rng.normal(size=(4, 5)) + rng.normal(scale=0.5, size=(160, 5))
    images = latent @ rng.normal(size=(5, 9)) + rng.normal(scale=0.5, size=(160, 9))
    texts = latent @ rng.normal(size=(5, 7)) + rng.normal(scale=0.5, size=(160, 7))
    return Pairs(images, texts, labels)
