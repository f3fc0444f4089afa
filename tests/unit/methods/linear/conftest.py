import numpy as np
import pytest

from cmr.methods.base import Pairs


@pytest.fixture(scope="module")
def pairs():
    """Three classes, 200 pairs; both views see the class through noise."""
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=200)
    centres = rng.normal(size=(3, 4))
    latent = centres[classes] + rng.normal(scale=0.7, size=(200, 4))
    images = latent @ rng.normal(size=(4, 7)) + rng.normal(scale=0.5, size=(200, 7))
    texts = latent @ rng.normal(size=(4, 5)) + rng.normal(scale=0.5, size=(200, 5))
    return Pairs(images, texts, np.eye(3, dtype=bool)[classes])
