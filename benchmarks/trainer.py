"""What the trainer costs over a bare loop, as a ratio of times: the same network, batches and steps written by hand.

The bare loop does no validation, history, checks or checkpoints. Both run in turn, a few times; the least time of each
counts, since other work on the machine only ever adds to it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from cmr.checkpoint import Checkpoint
from cmr.methods.base import Pairs
from cmr.methods.deep.acmr import ACMR, ACMRNetwork
from cmr.methods.deep.network import Batch
from cmr.methods.deep.trainer import Schedule, fit_network, seeded
from cmr.progress import SILENT

METHOD = ACMR()
WEIGHTS = {"label": METHOD.label_weight, "triplet": 1.0, "modality": 1.0}
CPU = torch.device("cpu")


def made_pairs(n: int, seed: int) -> Pairs:
    """Noise of the size of the quickstart's views."""
    rng = np.random.default_rng(seed)
    images, texts = (rng.normal(size=(n, d)).astype(np.float32) for d in (1280, 900))
    return Pairs(images, texts, np.eye(12, dtype=bool)[rng.integers(12, size=n)])


def build(train: Pairs) -> tuple[ACMRNetwork, torch.optim.Optimizer, torch.Generator]:
    generator = seeded(0, "benchmark", CPU)
    network = ACMRNetwork(METHOD, train.images.shape[1], train.texts.shape[1], train.labels.shape[1], generator)
    return network, torch.optim.Adam(network.parameters(), lr=1e-3, fused=True), generator


def bare(train: Pairs, epochs: int) -> None:
    network, optimiser, generator = build(train)
    pairs = Batch.of(train, CPU)
    for epoch in range(epochs):
        for index in torch.randperm(len(pairs), generator=generator).split(METHOD.batch_size):
            terms = network.losses(pairs.rows(index), epoch / epochs)
            loss = sum(WEIGHTS[name] * term for name, term in terms.items())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def trained(train: Pairs, valid: Pairs | None, epochs: int, checkpoint: Checkpoint | None = None) -> None:
    network, optimiser, generator = build(train)
    fit_network(
        network,
        optimiser,
        WEIGHTS,
        train,
        valid,
        similarity=METHOD.similarity,
        schedule=Schedule(epochs, METHOD.batch_size, patience=epochs),
        generator=generator,
        progress=SILENT,
        checkpoint=checkpoint,
    )


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=458)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train, valid, epochs = made_pairs(arguments.pairs, 0), made_pairs(arguments.pairs // 6, 1), arguments.epochs
    with tempfile.TemporaryDirectory() as folder:
        names = (Path(folder) / f"{i}.h5" for i in range(10**6))
        variants: dict[str, Callable[[], None]] = {
            "bare loop": lambda: bare(train, epochs),
            "trainer": lambda: trained(train, None, epochs),
            "trainer, valid mAP": lambda: trained(train, valid, epochs),
            "trainer, valid mAP, checkpoint": lambda: trained(train, valid, epochs, Checkpoint(next(names))),
        }
        for work in variants.values():
            work()
        rounds = [[seconds(work) for work in variants.values()] for _ in range(arguments.repeats)]
    times = dict(zip(variants, map(min, zip(*rounds, strict=True)), strict=True))
    for name, value in times.items():
        print(f"{name:32s} {1000 * value / epochs:7.1f} ms an epoch  {value / times['bare loop']:5.2f}")


if __name__ == "__main__":
    main()
