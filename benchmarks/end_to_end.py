"""Training on pixels: the trainer over a bare loop, pixels on disk over pixels on the device, and what it gains.

Needs the files of a run (`--pairs`, `--split`, `--pixels`, `--texts`), a method that is one network, and its
hyper-parameters as JSON:

    python benchmarks/end_to_end.py --method cmr.methods.deep.eisr.EISR --hyperparameters '{"batch_size": 128}' \\
        --pairs data/datasets/tuxpaint_stamps/pairs.parquet \\
        --split data/datasets/tuxpaint_stamps/splits/random-0.parquet \\
        --pixels data/views/tuxpaint_stamps/image/pixels_efficientnet_lite0.h5 \\
        --texts data/views/tuxpaint_stamps/random-0/text/tfidf.h5 \\
        --images 4096 --device cuda --precision float32 mixed --train

Speed: `--images` train pairs, the split's over and over, in `--epochs` epochs. The bare loop is forward pass, backward
pass and step by hand, of the same network on the same batches, which are resident: in the device's memory. The trainer
runs on resident pairs, and on streamed ones: pixels in a file that is written for the purpose in the folder
`--scratch`, read batch by batch as those of a train part above `loading.RESIDENT_BYTES`. Starting a network is not
timed. All variants run in turn, a few times, and the least time of each counts; the first round warms up and does not
count. Reading alone is what the threads that read ahead reach while nothing is computed.

Memory: of CUDA the most that was allocated during a variant. On the CPU the process's largest resident set until then,
which later variants cannot lower.

`--train`: whole trainings on the split as it is, of each seed, in each precision; and for comparison on frozen
features, the same method on what the pretrained network makes of the centre squares, with the hyper-parameters
`--frozen`. Means over seeds; mAP over whole rankings of image and of text queries.

`--explore` adds bare loops of channels-first squares, and of cudnn.benchmark, which tries kernels out.

`--network NAME`: in the place of the file's network one of random weights that a view of config/views/image.yaml names.

Nothing of torch's global settings is changed: float32 convolutions on CUDA are in TF32, products of matrices are not,
and cudnn.benchmark is off, as in the workflow. Exit status 1 where a ratio is below `--least`.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from cmr import construct, store
from cmr.compute import Compute
from cmr.device import resolve_device
from cmr.methods.base import Pairs, embed_sides, spaces
from cmr.methods.deep import loading
from cmr.methods.deep.encoders import Pixels, encoder
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.loading import Batches
from cmr.methods.deep.method import NetworkMethod
from cmr.methods.deep.network import Batch, embed
from cmr.methods.deep.trainer import Schedule, Training, fit_networks, seeded
from cmr.metrics import mean_average_precision
from cmr.progress import Progress
from cmr.rows import in_memory, take_rows
from cmr.training import read_run

VIEWS = Path(__file__).parents[1] / "config/views/image.yaml"
QUIET = Progress(quiet=True)
ROWS_A_BLOCK = 256


@dataclass(frozen=True)
class Measured:
    """Seconds of some work, and bytes: allocated on CUDA, resident on the CPU."""

    seconds: float
    memory: int


def measured(work: Callable[[], None], device: torch.device) -> Measured:
    """What the work costs, all that a GPU has waiting done."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    work()
    if cuda:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated(device) if cuda else resident_bytes()
    return Measured(seconds, peak)


def resident_bytes() -> int:
    """The largest resident set of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def repeated(train: Pairs, images: int) -> Pairs:
    """So many pairs in memory: the train part's over and over."""
    rows = np.arange(images) % len(train)
    own = {side: in_memory(take_rows(getattr(train, side), rows)) for side in ("images", "texts")}
    return replace(train, **own, labels=train.labels[rows], groups=None)


def some(part: Pairs, most: int) -> Pairs:
    """Pairs of a part, so many at most, evenly spaced."""
    rows = np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).astype(int))
    own = {side: take_rows(getattr(part, side), rows) for side in ("images", "texts")}
    groups = None if part.groups is None else part.groups[rows]
    return replace(part, **own, labels=part.labels[rows], groups=groups)


def on_disk(pairs: Pairs, path: Path) -> Pairs:
    """The same pairs, with pixels in a file."""
    n = len(pairs)
    blocks = (pairs.images[start : start + ROWS_A_BLOCK] for start in range(0, n, ROWS_A_BLOCK))
    store.write_view(path, map(str, range(n)), blocks, {})
    return replace(pairs, images=store.ViewRows(path, np.arange(n)))


class Speed:
    """Variants of training one network on pairs."""

    def __init__(self, method: NetworkMethod, device: torch.device, mixed_precision: bool, epochs: int) -> None:
        self.method, self.device, self.mixed_precision = method, device, mixed_precision
        self.schedule: Schedule = replace(method.schedule(), epochs=epochs, patience=epochs)

    def started(self, pairs: Pairs) -> Training:
        """A network at its start."""
        return self.method.start(pairs, None, 0, self.device, QUIET).training

    def bare(self, pairs: Pairs, channels_first: bool = False, choose_kernels: bool = False) -> Measured:
        """By hand, on resident pairs; in the workflow pixels are channels-last, and cudnn tries no kernels out."""
        training, weights, schedule = self.started(pairs), self.method.weights(), self.schedule
        network = training.network
        for module in network.modules():
            if channels_first and isinstance(module, Pixels):
                module.layers.register_forward_pre_hook(lambda _, squares: (squares[0].contiguous(),))

        def work() -> None:
            optimiser = self.method.optimiser(dict(network.named_parameters()))
            rates = [group["lr"] for group in optimiser.param_groups]
            resident = Batch.of(pairs, self.device)
            network.train()
            for epoch in range(schedule.epochs):
                progress = epoch / schedule.epochs
                for group, rate in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = rate * (schedule.rate(progress) if schedule.rate else 1.0)
                for index in schedule.batches(len(pairs), training.generator):
                    with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed_precision):
                        terms = network.losses(resident.rows(index), progress)
                    loss = sum(weights[name] * term for name, term in terms.items())
                    optimiser.zero_grad()
                    loss.backward()
                    if schedule.clip is not None:
                        torch.nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
                    optimiser.step()

        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, choose_kernels
        try:
            return measured(work, self.device)
        finally:
            torch.backends.cudnn.benchmark = before

    def trainer(self, pairs: Pairs, resident_limit: int) -> Measured:
        """By the trainer."""
        training, before = self.started(pairs), loading.RESIDENT_BYTES
        loading.RESIDENT_BYTES = resident_limit
        try:
            return measured(
                lambda: fit_networks(
                    [training],
                    self.method.optimiser,
                    self.method.weights(),
                    similarity=self.method.similarity,
                    schedule=self.schedule,
                    compute=Compute(str(self.device), self.mixed_precision),
                    progress=QUIET,
                ),
                self.device,
            )
        finally:
            loading.RESIDENT_BYTES = before

    def reading(self, pairs: Pairs) -> Measured:
        """Batches that arrive on the device, and nothing else."""
        before, loading.RESIDENT_BYTES = loading.RESIDENT_BYTES, 0
        generator = seeded(0, "benchmark", self.device)

        def work() -> None:
            batches = Batches([pairs], self.device)
            for _ in range(self.schedule.epochs):
                for _ in batches.of_epoch([self.schedule.batches(len(pairs), generator)]):
                    pass

        try:
            return measured(work, self.device)
        finally:
            loading.RESIDENT_BYTES = before


def least(variants: Mapping[str, Callable[[], Measured]], repeats: int) -> dict[str, Measured]:
    """Of each variant the quickest time, all in turn; the first round does not count."""
    rounds = [{name: work() for name, work in variants.items()} for _ in range(repeats + 1)]
    return {name: min((own[name] for own in rounds[1:]), key=lambda one: one.seconds) for name in variants}


def compare_speeds(speed: Speed, pairs: Pairs, streamed: Pairs, repeats: int, explore: bool) -> float:
    """Print pairs a second, ratios and memory; the lowest ratio of the trainer to the bare loop."""
    variants = {
        "bare loop, resident": lambda: speed.bare(pairs),
        "trainer, resident": lambda: speed.trainer(pairs, sys.maxsize),
        "trainer, streamed from disk": lambda: speed.trainer(streamed, 0),
        "reading alone": lambda: speed.reading(streamed),
    }
    if explore:
        variants["bare loop, channels first"] = lambda: speed.bare(pairs, channels_first=True)
        variants["bare loop, cudnn.benchmark"] = lambda: speed.bare(pairs, choose_kernels=True)
    found = least(variants, repeats)
    n = len(pairs) * speed.schedule.epochs
    rates = {name: n / own.seconds for name, own in found.items()}
    bare = rates["bare loop, resident"]
    precision = "mixed" if speed.mixed_precision else "float32"
    for name, own in found.items():
        print(
            f"{precision:8s} {name:28s} {rates[name]:9.1f} pairs/s  ratio to bare {rates[name] / bare:6.3f}  "
            f"peak {own.memory / 2**20:8.0f} MiB",
            flush=True,
        )
    return min(rate / bare for name, rate in rates.items() if name.startswith("trainer"))


def frozen(part: Pairs, device: torch.device) -> Pairs:
    """The part with what the pretrained network makes of its images in the place of these."""
    layers = encoder(Inputs.of(part).images, seeded(0, "benchmark", device))
    return replace(part, images=embed(layers, layers, part.images), image_kind="vectors", image_arrays={})


def both_ways(method: NetworkMethod, model: object, part: Pairs) -> list[float]:
    """mAP of image and of text queries."""
    (space,) = spaces(model).values()
    images, texts = embed_sides(method, space, part)
    return [
        mean_average_precision(queries, gallery, part.relevance, method.similarity)
        for queries, gallery in ((images, texts), (texts, images))
    ]


def whole_training(
    name: str, method: NetworkMethod, parts: Mapping[str, Pairs], seed: int, compute: Compute
) -> dict[str, float | str]:
    """A row of the table."""
    models = {}

    def work() -> None:
        models.update(method.fit_seeds(parts["train"], parts["valid"], seeds=[seed], compute=compute, progress=QUIET))

    cost = measured(work, torch.device(compute.device))
    curve = models[seed].history["valid_map"]
    row = {"training": name, "seconds": cost.seconds, "epochs": len(curve), "best epoch": int(np.argmax(curve)) + 1}
    for part in ("valid", "test"):
        row |= dict(zip((f"{part} i2t", f"{part} t2i"), both_ways(method, models[seed], parts[part]), strict=True))
    row["peak MiB"] = cost.memory / 2**20
    print(
        f"    seed {seed}:", {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
    )
    return row


def random_network(name: str) -> dict[str, np.ndarray]:
    """The arrays of a view of pixels whose network has random weights."""
    settings = yaml.safe_load(VIEWS.read_text(encoding="utf-8"))[name]
    return construct.build(settings["implementation"], settings["options"], construct.VIEWS).arrays()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("pairs", "split", "pixels", "texts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--method", required=True, help="dotted class name")
    parser.add_argument("--hyperparameters", type=json.loads, default={}, metavar="JSON")
    parser.add_argument("--frozen", type=json.loads, default=None, metavar="JSON", help="those on frozen features")
    parser.add_argument("--network", help="a view whose network of random weights stands in for the file's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", nargs="+", choices=["float32", "mixed"], default=["float32"])
    parser.add_argument("--images", type=int, default=2048, help="train pairs of the comparison of speeds; 0: none")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--explore", action="store_true", help="bare loops of other settings of torch, too")
    parser.add_argument("--least", type=float, default=0.0, help="lowest ratio to pass")
    parser.add_argument("--train", action="store_true", help="whole trainings, too")
    parser.add_argument("--most", type=int, help="pairs of each part, to try this program out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, help="of torch on the CPU; by default as torch has it")
    parser.add_argument("--scratch", type=Path, help="folder of the file that is streamed; by default a temporary one")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}; {arguments.method} {arguments.hyperparameters}", flush=True)

    parts = dict(read_run(arguments.pairs, arguments.split, arguments.pixels, arguments.texts).parts)
    if arguments.most:
        parts = {part: some(own, arguments.most) for part, own in parts.items()}
    if arguments.network:
        arrays = random_network(arguments.network)
        parts = {part: replace(own, image_arrays=arrays) for part, own in parts.items()}
    method: NetworkMethod = construct.build(arguments.method, arguments.hyperparameters, construct.METHODS)

    ratios = []
    if arguments.images:
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
            pairs = repeated(parts["train"], arguments.images)
            streamed = on_disk(pairs, Path(folder) / "pixels.h5")
            for precision in arguments.precision:
                speed = Speed(method, device, precision == "mixed", arguments.epochs)
                ratios.append(compare_speeds(speed, pairs, streamed, arguments.repeats, arguments.explore))

    if arguments.train:
        rows = []
        features = {part: frozen(own, device) for part, own in parts.items()}
        on_features = construct.build(
            arguments.method,
            arguments.hyperparameters if arguments.frozen is None else arguments.frozen,
            construct.METHODS,
        )
        for seed in arguments.seeds:
            for precision in arguments.precision:
                compute = Compute(str(device), precision == "mixed")
                rows.append(whole_training(f"end to end, {precision}", method, parts, seed, compute))
            rows.append(whole_training("frozen features, float32", on_features, features, seed, Compute(str(device))))
        table = pd.DataFrame(rows).groupby("training", sort=False).mean()
        print(f"means over {len(arguments.seeds)} seeds", table.round(3).to_string(), sep="\n")
    if ratios and min(ratios) < arguments.least:
        sys.exit(f"a ratio of {min(ratios):.3f} is below {arguments.least}")


if __name__ == "__main__":
    main()
