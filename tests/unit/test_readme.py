"""The README's example does what it says."""

from pathlib import Path

import numpy as np

from cmr.catalogue import Catalogue

ROOT = Path(__file__).parents[2]


def test_readme_names_the_methods_of_the_quickstart():
    text, catalogue = (ROOT / "README.md").read_text("utf-8"), Catalogue.read(ROOT)
    table = [line for line in text.splitlines() if line.startswith("| [") and "docs/methods/" in line]
    named = {name for line in table for name in catalogue.methods if f"`{name}`" in line}
    assert named == {run["method"] for run in catalogue.runs("quickstart")}
    assert named == {name for name, settings in catalogue.methods.items() if "variant_of" not in settings}


def test_notebook_example_ranks_the_pair_first():
    code = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(300, 20))
    images, texts = latent @ rng.normal(size=(20, 30)), latent @ rng.normal(size=(20, 25))
    names = {
        "images": images[:250],
        "texts": texts[:250],
        "labels": np.ones((250, 1), dtype=bool),
        "new_images": images[250:],
        "new_texts": texts[250:],
    }
    exec(code, names)
    assert names["nearest"].shape == (50, 5)
    assert (names["nearest"][:, 0] == np.arange(50)).all()  # both sides are maps of one latent point
