"""Faster ways to compute train to about the same losses."""

import shutil

import numpy as np
import pytest
import torch

from cmr.compute import CPU, Compute
from cmr.methods.base import Pairs
from cmr.methods.deep.acmr import ACMR
from cmr.methods.deep.dcca import DCCA
from cmr.methods.deep.dcmh import DCMH
from cmr.methods.deep.layers import Linear
from cmr.methods.deep.network import TrainableSpace
from cmr.methods.deep.trainer import Schedule, Training, fit_networks

METHOD = ACMR(n_components=8, image_widths=(32,), text_widths=(32,), batch_size=30, epochs=2)
NARROW = {"image_widths": (16,), "text_widths": (16,), "batch_size": 30, "epochs": 2}
BUFFERS = [
    DCCA(n_components=3, **NARROW),
    *(DCMH(bits=8, balance=balance, **NARROW) for balance in ("batch", "global")),
]
COMPILER = any(map(shutil.which, ("c++", "g++", "clang++")))


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    images, texts = (2 * np.eye(3)[y] @ rng.normal(size=(3, d)) + rng.normal(size=(90, d)) for d in (40, 30))
    return Pairs(images.astype(np.float32), texts.astype(np.float32), np.eye(3, dtype=bool)[y])


def assert_close(models, references, rtol):
    for seed, model in models.items():
        assert model.history.keys() == references[seed].history.keys()
        for name, values in references[seed].history.items():
            np.testing.assert_allclose(model.history[name], values, rtol=rtol, err_msg=name)


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_mixed_precision_trains_to_about_the_same_losses(pairs, seeds):
    single = METHOD.fit_seeds(pairs, seeds=seeds)
    mixed = METHOD.fit_seeds(pairs, seeds=seeds, compute=Compute(mixed_precision=True))
    assert_close(mixed, single, rtol=0.03)  # bfloat16 keeps eight bits
    for seed, model in mixed.items():
        assert model.history != single[seed].history
        assert all(parameter.dtype.itemsize == 4 for parameter in model.network.parameters())
        assert model.embed_images(pairs.images).dtype == np.float32


@pytest.mark.parametrize("method", BUFFERS, ids=["statistics", "codes", "sums of codes"])
@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_mixed_precision_leaves_what_networks_remember_in_float32(pairs, method, seeds):
    single = method.fit_seeds(pairs, pairs, seeds=seeds)
    mixed = method.fit_seeds(pairs, pairs, seeds=seeds, compute=Compute(mixed_precision=True))
    for seed, model in mixed.items():
        np.testing.assert_allclose(model.history["loss"], single[seed].history["loss"], rtol=0.03)
        assert not {buffer.dtype for buffer in model.network.buffers()} & {torch.bfloat16, torch.float16}


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_graphs_that_the_compiler_takes_of_the_losses_train_the_same(pairs, seeds, monkeypatch):
    """Its graphs of the losses; the kernels made of these would take a minute."""
    plain = METHOD.fit_seeds(pairs, seeds=seeds)
    used = []

    def without_kernels(function):
        used.append(function)
        return compile_(function, backend="eager")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", without_kernels)
    compiled = METHOD.fit_seeds(pairs, seeds=seeds, compute=Compute(compile=True))
    assert len(used) == 1
    assert_close(compiled, plain, rtol=1e-3)


class Towers(TrainableSpace):
    """A matrix a side."""

    def __init__(self, generator):
        super().__init__()
        self.image, self.text = Linear(40, 3, generator), Linear(30, 3, generator)

    def embed_images(self, images):
        return self.image(images)

    def embed_texts(self, texts):
        return self.text(texts)

    def losses(self, batch, progress):
        return {"distance": (self.image(batch.images) - self.text(batch.texts)).square().mean((-2, -1))}


@pytest.mark.skipif(not COMPILER, reason="torch.compile needs a C++ compiler")
def test_compiled_kernels_train_the_same(pairs):
    histories = []
    for compute in (CPU, Compute(compile=True)):
        generator = torch.Generator().manual_seed(0)
        histories += fit_networks(
            [Training(Towers(generator), pairs, None, generator)],
            lambda parameters: torch.optim.Adam(parameters.values(), lr=0.01),
            {"distance": 1.0},
            similarity="cosine",
            schedule=Schedule(epochs=2, batch_size=30, patience=2),
            compute=compute,
        )
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=1e-4)
