"""Train several methods on made pairs in this process, as many threads as its environment allows, and print their mAP.

`python -m tests.faults.trainings PAIRS METHOD=JSON...` prints one JSON object: method -> the mAP of both tasks with all
digits, and the digest of the embeddings. Features are large enough for libraries to share work among threads.
"""

import json
import sys
from pathlib import Path

import numpy as np

from cmr.catalogue import Catalogue
from cmr.compute import Compute
from cmr.evaluation import evaluate
from cmr.methods.base import Pairs, embed_sides, spaces
from cmr.provenance import fingerprint, machine
from cmr.training import train

ROOT = Path(__file__).parents[2]
CLASSES, IMAGE, TEXT = 8, 512, 384


def parts_of(count: int) -> dict[str, Pairs]:
    """Train, valid and test part of pairs whose features tell their class through noise."""
    rng = np.random.default_rng(0)
    shown = [rng.normal(size=(CLASSES, size)) for size in (IMAGE, TEXT)]
    found = {}
    for part, share in {"train": 0.6, "valid": 0.1, "test": 0.3}.items():
        number = rng.integers(0, CLASSES, int(share * count))
        sides = [(means[number] + 4 * rng.normal(size=(len(number), means.shape[1]))).clip(0) for means in shown]
        labels = np.eye(CLASSES, dtype=bool)[number]
        images, texts = (side.astype(np.float32) for side in sides)
        found[part] = Pairs(images=images, texts=texts, labels=labels, groups=np.arange(len(number)))
    return found


def main() -> None:
    count, *named = sys.argv[1:]
    catalogue, parts, told = Catalogue.read(ROOT), parts_of(int(count)), {}
    for name, _, values in (word.partition("=") for word in named):
        settings = catalogue.method(name)
        chosen = settings["fixed"] | {key: each[0] for key, each in settings["grid"].items()} | json.loads(values)
        trained = train(settings["implementation"], chosen, {}, parts, [0], Compute("cpu"))
        test = parts["test"]
        for task, space in spaces(trained.models[0]).items():
            images, texts = embed_sides(trained.method, space, test)
            scores, _ = evaluate(images, texts, test.labels, trained.method.similarity)
            maps = scores[scores["metric"] == "map_all"].set_index("task")["value"]
            for direction in [task] if task else ["img2txt", "txt2img"]:
                told[f"{name} {direction}"] = maps[direction], fingerprint(images=images, texts=texts)
    print(json.dumps({"scores": told, "machine": machine()}))


if __name__ == "__main__":
    main()
