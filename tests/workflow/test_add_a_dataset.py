"""docs/add-a-dataset.md, done as the page says: its files written, its code executed, its commands run."""

import csv
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cmr import store
from cmr.assets.unpack import unpack
from tests.made_project import copy_of
from tests.project import ROOT, Project, copy_checkout
from tests.shapes import write_shapes

PAGE = "docs/add-a-dataset.md"
STUDY = "results/studies/birds"
CLASSES = 3
PAIRS = 20  # a class


@dataclass(frozen=True)
class Block:
    """A code block of the page, and the file that the line before it names."""

    kind: str
    text: str
    file: str


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A checkout in which the page has been followed to its last command."""
    project = Project(tmp_path_factory.mktemp("project"))
    copy_checkout(project.root)
    project.edit("config/config.yaml", lambda config: config.update(device="cpu"))
    write_shapes(project.root / "shapes.tar", classes=CLASSES, pairs=PAIRS)
    unpack(project.root / "shapes.tar", project.root / "shapes", limit=10_000_000)
    rows = pd.read_csv(project.root / "shapes/pairs.csv")
    blocks = blocks_of(project.root / PAGE)
    write_table(project, rows, *(block for block in blocks if block.kind == "csv"))
    write_lists(project, rows)
    write_features(project, rows, *(block for block in blocks if block.kind == "python"))
    for block in blocks:
        if block.kind == "yaml":
            (project.root / block.file).write_text(block.text)
    snakemake = commands(blocks, "snakemake")
    assert len(snakemake) == 3
    for command in snakemake:
        run = project.snakemake(*command[3:])  # without `snakemake --cores 8`
        assert run.returncode == 0, run.stdout
    return project


def blocks_of(page):
    """Blocks in the order of the page."""
    found = re.finditer(r"(?:`([^`\n]+)`[^`]*\n\n)?```(\w+)\n(.*?)```\n", page.read_text(), re.DOTALL)
    return [Block(kind=match[2], text=match[3], file=match[1]) for match in found]


def commands(blocks, program):
    lines = [shlex.split(line) for block in blocks if block.kind == "sh" for line in block.text.splitlines()]
    return [line for line in lines if line[0] == program]


def write_table(project, rows, block):
    """The table of the page, with its columns and more rows."""
    path = project.root / block.file
    (path.parent / "images").mkdir(parents=True)
    columns, *examples = csv.reader(block.text.splitlines())
    assert {len(example) for example in examples} == {len(columns)}
    rows[columns].to_csv(path, index=False)
    for image in rows["image"]:
        (project.root / "shapes" / image).rename(path.parent / image)


def write_lists(project, rows):
    """Two texts an image, of which every fifth is in the test list."""
    folder = project.root / "data/manual/birds_in_lists"
    for name in ("texts", "images"):
        (folder / name).mkdir(parents=True)
    lists = {"train.list": "", "test.list": ""}
    for number, row in enumerate(rows.itertuples()):
        with Image.open(project.root / "data/manual/birds" / row.image) as image:
            image.convert("RGB").save(folder / f"images/{row.id}.jpg")
        for caption in ("one", "two"):
            (folder / f"texts/{row.id}-{caption}.txt").write_text(f"{row.text} Caption {caption}.")
            lists["test.list" if number % 5 == 0 else "train.list"] += f"{row.id}-{caption}\t{row.id}\t{row.labels}\n"
    for name, text in lists.items():
        (folder / name).write_text(text)


def write_features(project, rows, block):
    """The page's own code, given noisy class indicators."""
    rng = np.random.default_rng(0)
    classes = np.unique(rows["labels"])
    indicators = (rows["labels"].to_numpy()[:, None] == classes).astype(float)
    images, texts = (indicators @ rng.normal(size=(CLASSES, d)) + rng.normal(size=(len(rows), d)) for d in (8, 5))
    names = {"images": images, "texts": texts, "labels": rows["labels"].to_numpy(dtype=str)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        exec(block.text, names)


def test_table_gives_results_and_a_report(project):
    pairs = store.read_table(project.root / "data/datasets/birds/pairs.parquet")
    assert len(pairs) == CLASSES * PAIRS
    assert len(pairs.attrs["classes"]) == CLASSES
    results = pd.read_csv(project.root / STUDY / "results.csv").query("part == 'test' and metric == 'map_all'")
    assert set(results["split"]) == {"random-0", "random-1"}
    score = results.groupby("method")["value"].mean()
    assert score["sm"] > score["random"] + 0.2  # shapes are easily told by words and features
    assert (project.root / STUDY / "report.html").stat().st_size > 10_000


def test_lists_keep_the_two_texts_of_an_image_together(project):
    pairs = store.read_table(project.root / "data/datasets/birds_in_lists/pairs.parquet")
    split = store.read_table(project.root / "data/datasets/birds_in_lists/splits/official.parquet")
    assert len(pairs) == 2 * CLASSES * PAIRS
    items = pairs.drop(columns="part").merge(split, on="id")
    assert items["part"].value_counts().to_dict() == {"train": 86, "test": 24, "valid": 10}
    assert items.groupby("image")["part"].nunique().max() == 1


def test_features_are_ranked_far_above_chance(project):
    metrics = store.read_table(project.root / "results/runs/birds_as_features/random-0/mine+mine/cca/metrics.parquet")
    scores = metrics.query("part == 'test' and metric == 'map_all'").set_index("task")["value"]
    assert scores[["img2txt", "txt2img"]].min() > 1 / CLASSES + 0.1


def test_changed_folder_is_copied_anew(project, tmp_path):
    copy = copy_of(project, tmp_path)
    study = ["all", "--config", "studies=[birds]"]
    assert not copy.planned(*study)
    os.utime(copy.root / "data/manual/birds/pairs.csv")
    (copy.root / "data/manual/birds/.DS_Store").touch()
    assert not copy.planned(*study)
    with (copy.root / "data/manual/birds/pairs.csv").open("a") as table:
        table.write("images/circle-000.png,Once more.,circle\n")
    planned = copy.planned(*study)
    assert planned["obtain_asset", ""] == 1
    assert planned["read_dataset", ""] == 1


def test_listing_tells_of_every_data_set_and_of_one(project):
    outputs = []
    for command in commands(blocks_of(ROOT / PAGE), "python"):
        run = subprocess.run(
            [sys.executable, *command[1:]], cwd=project.root, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout)
    everything, one = outputs
    assert "wikipedia" in everything and "birds_as_features" in everything
    assert "wikipedia" in one and "birds" not in one
