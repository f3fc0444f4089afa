"""A checkout with a small made data set and runs of it, as the rules of the workflow call the scripts."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, ImageDraw

from cmr import store
from cmr.catalogue import Catalogue
from cmr.provenance import file_sha256

ROOT = Path(__file__).parents[3]
COLOURS = {"red": (200, 30, 30), "green": (40, 160, 60), "blue": (40, 60, 200), "yellow": (230, 210, 60)}
NOUNS = (
    *("anchor", "barrel", "candle", "dagger", "engine", "feather", "goblet", "hammer", "icicle", "jacket"),
    *("kettle", "lantern", "mirror", "needle", "oyster", "pillow", "quiver", "ribbon", "saddle", "turnip"),
)
HOSTILE = "<script>alert(1)</script> & a yellow turnip"

BLOCK = {"datasets": ["made"], "splits": ["drawn-0", "drawn-1"], "seeds": [0]}
STUDY = {
    "title": "Made",
    "description": "Made pictures.",
    "runs": [
        BLOCK
        | {
            "image_views": ["colours"],
            "text_views": ["tfidf"],
            "methods": ["cca", "sm", "kcca_gaussian", "scm_orth", "pls", "random", "hrl_paired"],
        },
        BLOCK | {"image_views": ["colours", "both"], "text_views": ["tfidf"], "methods": ["cca"]},
        BLOCK | {"image_views": ["colours"], "text_views": ["tags"], "methods": ["cca"]},
    ],
    "setting": {"image_view": "colours", "text_view": "tfidf"},
    "tables": {"map": {"metric": "map_all", "tasks": ["mean"], "caption": "mAP."}},
    "figures": {},
}
OF_TAGS = {
    "title": "Tags",
    "description": "Features that the data set comes with.",
    "runs": [BLOCK | {"image_views": ["colours"], "text_views": ["tags"], "methods": ["sm"]}],
    "tables": {"map": {"metric": "map_all", "tasks": ["mean"], "caption": "mAP."}},
    "figures": {},
}
DATASET = {
    "title": "Made <pictures>",
    "source": "made",
    "licence": "none",
    "folder": "data/manual/made",
    "reader": "cmr.datasets.table.read",
    "splits": {"drawn": {"sizes": {"train": 0.6, "valid": 0.1, "test": 0.3}, "repeats": 2}},
    "views": {"text": {"tags": {"reader": "cmr.datasets.table.read", "description": "Tags."}}},
}
VIEWS = {
    "colours": {"description": "Colours.", "implementation": "cmr.views.image.colour.LabHistogram"},
    "words": {
        "description": "Visual words.",
        "implementation": "cmr.views.image.visual_words.BagOfVisualWords",
        "options": {"words": 6, "detector": "dense"},
        "learnt": True,
    },
    "both": {"description": "Both.", "concatenate": ["words", "colours"]},
}


def caption(number: int) -> str:
    return HOSTILE if number == 79 else f"A {list(COLOURS)[number % 4]} {NOUNS[number // 4]}."


def name(number: int) -> str:
    return f"{list(COLOURS)[number % 4]}/{NOUNS[number // 4]}"


def draw(number: int) -> Image.Image:
    """A patch of the item's colour among four others that are drawn for it alone."""
    rng = np.random.default_rng(number)
    image = Image.new("RGB", (48, 48), COLOURS[list(COLOURS)[number % 4]])
    for place in ((0, 0), (32, 0), (0, 32), (32, 32)):
        box = (*place, place[0] + 15, place[1] + 15)
        ImageDraw.Draw(image).rectangle(box, fill=tuple(map(int, rng.integers(256, size=3))))
    return image


def script(*arguments: object) -> None:
    """Run one of the scripts in this process: it loads faster."""
    path = ROOT / f"scripts/{arguments[0]}.py"
    sys.argv = [str(path), *map(str, arguments[1:])]
    runpy.run_path(str(path), run_name="__main__")


def write_data(root: Path) -> None:
    numbers = range(80)
    pairs = pd.DataFrame(
        {
            "id": [name(number) for number in numbers],
            "image": [f"made/{number}.png" for number in numbers],
            "text": [caption(number) for number in numbers],
            "labels": [[list(COLOURS)[number % 4]] for number in numbers],
            "part": None,
            "group": [name(number) for number in numbers],
        }
    )
    (root / "data/raw/made").mkdir(parents=True)
    for number in numbers:
        draw(number).save(root / f"data/raw/made/{number}.png")
    digests = [file_sha256(root / "data/raw" / path) for path in pairs["image"]]
    checked = pairs[["id"]].assign(sha256=digests, width=48, height=48, problem=None)
    folder = root / "data/datasets/made"
    store.write_table(folder / "pairs.parquet", pairs, {"classes": sorted(COLOURS)})
    store.write_table(folder / "images.parquet", checked.astype({"problem": object}))
    parts = np.array(["train"] * 12 + ["valid"] * 2 + ["test"] * 6)[np.arange(80) // 4]
    store.write_table(folder / "splits/drawn-0.parquet", pairs[["id"]].assign(part=parts))


def write_views(root: Path) -> None:
    data, views = root / "data/datasets/made", root / "data/views/made"
    tables = ["--pairs", data / "pairs.parquet", "--images", data / "images.parquet", "--raw", root / "data/raw"]
    split = ["--split", data / "splits/drawn-0.parquet"]
    fitted = ["--fitted", views / "drawn-0/image/words.fitted.h5"]
    words = [VIEWS["words"]["implementation"], "--options", json.dumps(VIEWS["words"]["options"])]
    script("extract_image_view", VIEWS["colours"]["implementation"], *tables, "--view", views / "image/colours.h5")
    script("fit_image_view", *words, *tables, *split, *fitted)
    script("extract_image_view", *words, *tables, *fitted, "--view", views / "drawn-0/image/words.h5")
    parts = [views / "drawn-0/image/words.h5", views / "image/colours.h5"]
    script("concatenate_views", *parts, "--view", views / "drawn-0/image/both.h5")
    for view, implementation, options in (
        ("tfidf", "cmr.views.text.bow.TfIdf", {"tokenizer": "english", "vocabulary_size": 1000}),
        (
            "tfidf_sentences",
            "cmr.views.text.segments.Sentences",
            {"implementation": "cmr.views.text.bow.TfIdf", "options": {"vocabulary_size": 1000}, "segments": 4},
        ),
    ):
        target = ["--view", views / f"drawn-0/text/{view}.h5"]
        script("extract_text_view", implementation, "--options", json.dumps(options), *tables[:2], *split, *target)


def train(root: Path, method: str, image_view: str = "colours", **hyperparameters: object) -> None:
    """One run on the first split."""
    settings, data = Catalogue.read(root), root / "data/datasets/made"
    run = root / f"results/runs/made/drawn-0/{image_view}+tfidf/{method}"
    given = settings.method(method)
    values = given["fixed"] | {key: candidates[0] for key, candidates in given["grid"].items()} | hyperparameters
    views = root / "data/views/made"
    image = views / ("image/colours.h5" if image_view == "colours" else f"drawn-0/image/{image_view}.h5")
    outputs = [("model", "model.h5"), ("embeddings", "embeddings.h5"), ("selection", "selection.json")]
    script(
        "train", given["implementation"], "--hyperparameters", json.dumps(values),
        "--pairs", data / "pairs.parquet", "--split", data / "splits/drawn-0.parquet",
        "--image-view", image, "--text-view", views / "drawn-0/text/tfidf.h5",
        *(part for option, file in [*outputs, ("history", "history.parquet")] for part in (f"--{option}", run / file)),
    )  # fmt: skip


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The checkout; nothing may change what is in it."""
    root = tmp_path_factory.mktemp("searched")
    for part in ("config", "workflow/schemas"):
        shutil.copytree(ROOT / part, root / part)
    (root / "data/manual/made").mkdir(parents=True)
    for path, settings in {"datasets/made": DATASET, "studies/made": STUDY, "studies/of_tags": OF_TAGS}.items():
        (root / f"config/{path}.yaml").write_text(yaml.safe_dump(settings))
    path = root / "config/views/image.yaml"
    path.write_text(path.read_text() + yaml.safe_dump(VIEWS))
    before = sys.argv
    try:
        write_data(root)
        write_views(root)
        train(root, "cca", n_components=0, ridge=1e-6)
        train(root, "cca", "both", n_components=4)
        train(root, "sm", c=1.0)
        train(root, "kcca_gaussian", n_components=40, ridge=0.0001)
        train(root, "scm_orth", bits=8)
    finally:
        sys.argv = before
    return root


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(trained, tmp_path / "copied")
