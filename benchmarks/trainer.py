"""What the trainer costs over a bare loop, and several seeds in one go over one seed: ratios of times in one run.

The bare loop is the same network, batches and steps written by hand, without validation, history, checks or
checkpoints. All variants run in turn, a few times; the least time of each counts, since other work on the machine only
ever adds to it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from cmr.compute import Compute
from cmr.construct import METHODS, build
from cmr.methods.base import Pairs
from cmr.methods.deep.acmr import ACMR
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import Batch
from cmr.methods.deep.trainer import Training, fit_networks, seeded
from cmr.progress import Progress

SHAPES = {"stamps": (458, 1280, 523, 12), "wikipedia": (1956, 128, 10, 10)}  # pairs, d_x, d_y, classes
MLP = {
    "acmr": "cmr.methods.deep.acmr.ACMR",
    "dscmr": "cmr.methods.deep.dscmr.DSCMR",
    "deep_sm": "cmr.methods.deep.deep_sm.DeepSM",
    "dcca": "cmr.methods.deep.dcca.DCCA",
}


def made_pairs(n: int, d_images: int, d_texts: int, classes: int, seed: int) -> Pairs:
    """Noise."""
    rng = np.random.default_rng(seed)
    images, texts = (rng.normal(size=(n, d)).astype(np.float32) for d in (d_images, d_texts))
    return Pairs(images, texts, np.eye(classes, dtype=bool)[rng.integers(classes, size=n)])


def bare(method: ACMR, train: Pairs, device: torch.device) -> None:
    """ACMR by hand."""
    generator = seeded(0, "benchmark", device)
    network = method.build(Inputs.of(train), generator)
    method.prepare(network, train)
    optimiser = method.optimiser(dict(network.named_parameters()))
    pairs, weights = Batch.of(train, device), method.weights()
    for epoch in range(method.epochs):
        order = torch.randperm(len(pairs), generator=generator, device=device)
        for index in order[: len(pairs) // method.batch_size * method.batch_size].split(method.batch_size):
            terms = network.losses(pairs.rows(index), epoch / method.epochs)
            loss = sum(weights[name] * term for name, term in terms.items())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def trained(method: ACMR, train: Pairs, valid: Pairs | None, device: torch.device, folder: Path | None = None) -> None:
    """ACMR by the trainer."""
    generator = seeded(0, "benchmark", device)
    network = method.build(Inputs.of(train), generator)
    method.prepare(network, train)
    fit_networks(
        [Training(network, train, valid, generator)],
        method.optimiser,
        method.weights(),
        similarity=method.similarity,
        schedule=method.schedule(),
        progress=Progress(checkpoints=folder, quiet=True),
    )


def least_seconds(variants: Mapping[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Of each variant, all in turn; the first round does not count."""
    rounds = []
    for _ in range(repeats + 1):
        seconds = []
        for work in variants.values():
            start = time.perf_counter()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        rounds.append(seconds)
    return dict(zip(variants, map(min, zip(*rounds[1:], strict=True)), strict=True))


def overhead(shape: str, epochs: int, repeats: int, device: torch.device, folder: Path) -> None:
    """The trainer against the bare loop."""
    train, valid = (made_pairs(size, *SHAPES[shape][1:], seed) for seed, size in enumerate((SHAPES[shape][0], 150)))
    method = ACMR(epochs=epochs, patience=epochs)
    folders = (folder / f"{shape}-{i}" for i in range(10**6))
    seconds = least_seconds(
        {
            "bare loop": lambda: bare(method, train, device),
            "trainer": lambda: trained(method, train, None, device),
            "trainer, valid mAP": lambda: trained(method, train, valid, device),
            "trainer, valid mAP, checkpoint": lambda: trained(method, train, valid, device, next(folders)),
        },
        repeats,
    )
    for name, value in seconds.items():
        ratio = value / seconds["bare loop"]
        print(f"acmr, {shape:10s} {name:32s} {1000 * value / epochs:8.1f} ms an epoch {ratio:6.2f}")


def together(shape: str, epochs: int, repeats: int, compute: Compute) -> None:
    """Five seeds in one go against one seed."""
    train = made_pairs(*SHAPES[shape], seed=0)
    for name, implementation in MLP.items():
        method = build(implementation, {"epochs": epochs}, METHODS)
        seconds = least_seconds(
            {
                str(count): lambda count=count, method=method: method.fit_seeds(
                    train, seeds=range(count), compute=compute, progress=Progress(quiet=True)
                )
                for count in (1, 5)
            },
            repeats,
        )
        alone, five = (1000 * value / epochs for value in seconds.values())
        print(f"{name:8s} {shape:10s} one seed {alone:8.1f} ms an epoch, five {five:8.1f}: {five / alone:5.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        for shape in SHAPES:
            overhead(shape, arguments.epochs, arguments.repeats, device, Path(folder))
    for shape in SHAPES:
        together(shape, arguments.epochs, arguments.repeats, Compute(arguments.device))


if __name__ == "__main__":
    main()
