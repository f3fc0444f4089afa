"""`python -m cmr`: what exists, and what came out."""

import argparse
from pathlib import Path

from cmr.catalogue import Catalogue
from cmr.errors import UserError, run_main


def main() -> None:
    """List methods, views, data sets or assets of this checkout, or print the results of its studies."""
    parser = argparse.ArgumentParser(prog="python -m cmr", description=__doc__)
    parser.add_argument("what", choices=sorted(LISTINGS), help="what to list")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout, by default the current folder")
    arguments = parser.parse_args()
    if not (arguments.root / "config/config.yaml").exists():
        raise UserError(
            f"{arguments.root.resolve()} is no checkout: it has no config/config.yaml; go there or give --root"
        )
    print(LISTINGS[arguments.what](Catalogue.read(arguments.root), arguments.root))


def methods(catalogue: Catalogue, root: Path) -> str:
    """Every method with its hyper-parameters: the default, and the candidates tried on the valid part."""
    blocks = []
    for name in catalogue.methods:
        settings = catalogue.method(name)
        lines = [f"{name}: {settings['description']}", f"    {settings['implementation']}; {settings['source']}"]
        for key, schema in settings["hyperparameters"].items():
            candidates = f", tries {settings['grid'][key]}" if key in settings["grid"] else ""
            lines.append(f"    {key} = {schema['default']}{candidates}: {schema['description']}")
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def views(catalogue: Catalogue, root: Path) -> str:
    """Every image and text view."""
    return "\n".join(
        f"{kind} {name}: {settings['description']}"
        for kind, known in (("image", catalogue.image_views), ("text", catalogue.text_views))
        for name, settings in known.items()
    )


def datasets(catalogue: Catalogue, root: Path) -> str:
    """Every data set with its splits and assets."""
    return "\n".join(
        f"{name}: {settings['title']}\n    {settings['source']}; {settings['licence']}\n"
        f"    splits {', '.join(catalogue.splits(name))}; assets {', '.join(settings['assets'])}"
        for name, settings in catalogue.datasets.items()
    )


def assets(catalogue: Catalogue, root: Path) -> str:
    """Every asset: present, or how it can be had."""
    from cmr.assets import mirror_folders, status

    mirrors = mirror_folders(catalogue.config["mirrors"])
    raw = root / catalogue.config["data"] / "raw"
    return "\n".join(
        f"{name}: {spec['description']}\n    {status(name, spec, mirrors, raw)}"
        for name, spec in catalogue.assets.items()
    )


def results(catalogue: Catalogue, root: Path) -> str:
    """The headline table of each configured study, and where its report lies."""
    from cmr.results import Study
    from cmr.tables import headline

    blocks = []
    for study in catalogue.config["studies"]:
        folder = root / catalogue.config["results"] / "studies" / study
        if (folder / "results.csv").exists():
            blocks.append(f"{headline(Study.read(folder)).to_text()}\nReport: {folder / 'report.html'}")
        else:
            blocks.append(f"{study}: no results in {folder}, the folder that config/config.yaml names; run `make all`")
    return "\n\n".join(blocks)


LISTINGS = {listing.__name__: listing for listing in (methods, views, datasets, assets, results)}


if __name__ == "__main__":
    run_main(main)
