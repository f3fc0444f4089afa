"""`python -m cmr`: what exists, and what came out."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cmr.assets import Status, mirror_folders, status
from cmr.catalogue import Catalogue, Named, Settings
from cmr.errors import UserError, run_main

MISSING = "missing in this copy"
MAKES_STUDY = "snakemake --cores 8 all --config studies"


def main() -> None:
    """List methods, views, data sets or assets of this checkout, or print the results of its studies."""
    parser = argparse.ArgumentParser(prog="python -m cmr", description=__doc__)
    parser.add_argument("what", choices=sorted(LISTINGS), help="what to list")
    parser.add_argument("names", nargs="*", help="only these, in full")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout, by default the current folder")
    arguments = parser.parse_args()
    if not (arguments.root / "config/config.yaml").exists():
        raise UserError(
            f"{arguments.root.resolve()} is no checkout: it has no config/config.yaml; go there or give --root"
        )
    print(LISTINGS[arguments.what](Catalogue.read(arguments.root), arguments.root, arguments.names))


def methods(catalogue: Catalogue, root: Path, names: Sequence[str]) -> str:
    """Every method by family; those named in full, with the values that the valid part chooses among."""
    if names:
        return "\n".join(_method_in_full(catalogue, name) for name in names)
    families: dict[str, list[str]] = {}
    width = max(map(len, catalogue.methods))
    for name, settings in catalogue.methods.items():
        learns = f"from {settings['learns_from']}".removeprefix("from nothing")
        words = (
            catalogue.method(name)["title"] if "variant_of" in settings else _first_sentence(settings["description"])
        )
        words += "; not cross-modal retrieval" if settings.get("sees_pairs") else ""
        words += "; no fair score" if settings.get("selects_on") == "test" else ""
        families.setdefault(settings["family"], []).append(f"    {name:{width}}  {learns:22}  {words}".rstrip())
    lines = [line for family in sorted(families) for line in (f"{family}:", *families[family])]
    return "\n".join([*lines, "`python -m cmr methods NAME` tells more, docs/methods/<family>.md of a family."])


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].partition(";")[0].removesuffix(".")


def _method_in_full(catalogue: Catalogue, name: str) -> str:
    settings = catalogue.method(name)
    lines = [f"{name}: {settings['title']}. {settings['description']}"]
    lines.append(f"    {settings['implementation']}; {settings['source']}")
    lines += [f"    a variant of {settings['variant_of']}"] if "variant_of" in settings else []
    one_class = ", of one class a pair" if settings.get("one_class_a_pair") else ""
    lines.append(f"    learns from {settings['learns_from']}{one_class}; family {settings['family']}")
    kinds = {side: " or ".join(settings.get(f"{side}_kinds", ["vectors"])) for side in ("image", "text")}
    parts = ", and their parts" if settings.get("patches") else ""
    lines.append(f"    takes images as {kinds['image']}, texts as {kinds['text']}{parts}")
    if settings.get("sees_pairs"):
        lines.append("    embeds test items with the help of their other side, which is not cross-modal retrieval")
    if settings.get("selects_on") == "test":
        lines.append("    chooses epoch and hyper-parameters by the test part, which is no fair score")
    lines += [f"    budget: {settings['budget']}"] if "budget" in settings else []
    for key, schema in settings["hyperparameters"].items():
        candidates = f", tries {settings['grid'][key]}" if key in settings["grid"] else ""
        lines.append(f"    {key} = {schema['default']}{candidates}: {schema['description']}")
    return "\n".join(lines)


def views(catalogue: Catalogue, root: Path, names: Sequence[str]) -> str:
    """Every image and text view that is computed; `datasets` lists those that data sets come with.

    `inspect FILE` tells of cached ones instead.
    """
    if names[:1] == ["inspect"]:
        if not names[1:]:
            raise UserError("name the files of views to inspect, e.g. data/views/tuxpaint_stamps/image/gist.h5")
        from cmr.inspection import inspect_view

        return "\n".join(inspect_view(catalogue, Path(name)) for name in names[1:])
    computed = {"image": catalogue.image_views, "text": catalogue.text_views}
    for name in names:
        Named("view", {**computed["image"], **computed["text"]})[name]  # an unknown one is an error
    describe = _view_in_full if names else _view_in_brief
    blocks = [
        describe(catalogue, root, modality, name)
        for modality, known in computed.items()
        for name in known
        if not names or name in names
    ]
    return "\n".join(
        blocks if names else [*blocks, "`python -m cmr views NAME` tells more, `views inspect FILE` of a file."]
    )


def _view_in_brief(catalogue: Catalogue, root: Path, modality: str, name: str) -> str:
    settings = catalogue.view(modality, name)
    return f"{modality} {name}: {settings['description']}{_caution(settings)}"


def _caution(settings: Settings) -> str:
    return f" (caution: {settings['caution']})" if "caution" in settings else ""


def _view_in_full(catalogue: Catalogue, root: Path, modality: str, name: str) -> str:
    settings = catalogue.view(modality, name)
    lines = [_view_in_brief(catalogue, root, modality, name)]
    if "concatenate" in settings:
        lines.append(f"    of {', '.join(settings['concatenate'])}, side by side")
    else:
        lines.append(f"    {settings['implementation']}")
        lines += [f"    {option} = {value}" for option, value in settings["options"].items()]
    for asset in sorted(catalogue.assets_of_view(modality, name)):
        lines.append(f"    asset {asset}: {_status(catalogue, root, asset).words}")
    learns = "learns from the train part" if settings["learnt"] else "is fixed"
    path = catalogue.view_path("<dataset>", "<split>", modality, name)
    parts = f"; their parts in {settings['patches']}" if "patches" in settings else ""
    lines.append(f"    holds {settings['kind']}{parts}")
    lines.append(f"    {learns}: {catalogue.config['data']}/{path}")
    return "\n".join(lines)


def datasets(catalogue: Catalogue, root: Path, names: Sequence[str]) -> str:
    """Every data set: what of it is present, what can be obtained, what must be fetched by hand."""
    describe = _dataset_in_full if names else _dataset_in_brief
    blocks = [describe(catalogue, root, name) for name in names or catalogue.datasets]
    return "\n".join(blocks if names else [*blocks, "`python -m cmr datasets NAME` tells more."])


def papers(catalogue: Catalogue, root: Path, names: Sequence[str]) -> str:
    """Every paper: on what each of its settings would be run with the files that are to be had here."""
    blocks = []
    for name in names or catalogue.papers:
        catalogue.papers[name]  # an unknown one is an error
        study = catalogue.studies[name]
        lines = [f"{name}: {study['title'].removeprefix(f'{name.upper()}: ')}; {len(catalogue.runs(name))} runs"]
        for key, setting in study["paper"]["settings"].items():
            lines.append(f"    {key}: {setting['title']}")
            lines += [f"        {_alternative(one)}" for one in setting["alternatives"]]
        blocks.append("\n".join(lines))
    return "\n".join(
        [
            *blocks,
            f"`{MAKES_STUDY}=[NAME]` makes the study of one, after fetching what is to be had.",
            "`python -m cmr datasets NAME` tells where to get what a data set needs, and where to put it.",
        ]
    )


def _alternative(one: Settings) -> str:
    what = "as printed" if one["exact"] else "in its place"
    views = f"{one['dataset']}, {one['image_view']} + {one['text_view']}, {len(one['splits'])} splits"
    return f"{what}: {views}" + (f"; not run, needs {', '.join(one['missing'])}" if one["missing"] else "")


def assets(catalogue: Catalogue, root: Path, names: Sequence[str]) -> str:
    """Every asset: present, or how it can be had."""
    return "\n".join(
        f"{name}: {catalogue.assets[name]['description']}\n    {_status(catalogue, root, name).words}"
        for name in names or catalogue.assets
    )


def _dataset_in_brief(catalogue: Catalogue, root: Path, name: str) -> str:
    settings = catalogue.dataset(name)
    parts = [f"{what} {state}" for what, state in _sides(catalogue, root, name).items()]
    views: dict[str, list[str]] = {}
    for ready in settings["views"].values():
        for view, about in ready.items():
            views.setdefault(_state_of_view(catalogue, root, about), []).append(view)
    parts += [f"features {', '.join(names)} {state}" for state, names in views.items()]
    return f"{name}: {settings['title']}\n    {'; '.join(parts)}"


def _sides(catalogue: Catalogue, root: Path, name: str) -> dict[str, str]:
    """The state of pairs, texts and images of a data set; a copy in part may lack texts or images."""
    settings = catalogue.dataset(name)
    sides = {"pairs": _least_ready(catalogue, root, settings["reads"]), "texts": "", "images": ""}
    if settings["images"]:
        sides["images"] = _least_ready(catalogue, root, settings["images"])
    sides |= {side: _state_of_place(catalogue, root, place) for side, place in settings["look_for"].items()}
    return {side: state for side, state in sides.items() if state}


def _state_of_view(catalogue: Catalogue, root: Path, about: Settings) -> str:
    if "look_for" in about and (state := _state_of_place(catalogue, root, about["look_for"])) == MISSING:
        return state
    return _least_ready(catalogue, root, about["reads"])


def _state_of_place(catalogue: Catalogue, root: Path, places: list[str]) -> str:
    """The state of an asset, or that its copy has none of these places, each <asset>/<path>."""
    if catalogue.stock.copy_lacks(places):
        return MISSING
    return catalogue.stock.status(places[0].partition("/")[0]).state


def _least_ready(catalogue: Catalogue, root: Path, names: Sequence[str]) -> str:
    order = ("present", "in your folder", "in a mirror", "obtainable", "by hand")
    return max((_status(catalogue, root, name).state for name in names), key=order.index)


def _dataset_in_full(catalogue: Catalogue, root: Path, name: str) -> str:
    settings = catalogue.dataset(name)
    used: dict[str, list[str]] = {}
    for what, needed in (("pairs", settings["reads"]), ("images", settings["images"])):
        for asset in needed:
            used.setdefault(asset, []).append(what)
    for views in settings["views"].values():
        for view, ready in views.items():
            for asset in ready["reads"]:
                used.setdefault(asset, []).append(view)
    lines = [f"{name}: {settings['title']}"]
    lines += [f"    {key}: {settings[key]}" for key in ("source", "citation", "licence", "notes") if key in settings]
    expected = ", ".join(f"{number} {key}" for key, number in settings["expected"].items())
    lines += [f"    expected: {expected}"] if expected else []
    lines.append(f"    splits: {', '.join(catalogue.splits(name))}")
    for modality, views in settings["views"].items():
        for view, ready in views.items():
            state = _state_of_view(catalogue, root, ready)
            lines.append(f"    {modality} view {view}, {state}: {ready['description']}{_caution(ready)}")
    for asset, uses in used.items():
        lines.append(f"    asset {asset}, for {', '.join(uses)}:")
        lines.append(f"        {_status(catalogue, root, asset).words}")
    data = catalogue.config["data"]
    target = f"{data}/datasets/{name}/pairs.parquet"
    places = dict(settings["look_for"])
    for views in settings["views"].values():
        places |= {view: ready["look_for"] for view, ready in views.items() if "look_for" in ready}
    missing = {what: place for what, place in places.items() if _state_of_place(catalogue, root, place) == MISSING}
    for what, (place, *_) in missing.items():
        asset = place.partition("/")[0]
        lines.append(f"    {what} {MISSING}, which has no {place.partition('/')[2]}. Where to get all:")
        lines.append(f"        {catalogue.assets[asset]['by_hand']}; put it into {data}/manual, then")
        lines.append(f"        snakemake --cores 8 --forcerun {data}/raw/{asset}/asset.json -- {target}")
    lines.append(f"    read it: snakemake --cores 8 {target}")
    return "\n".join(lines)


def _status(catalogue: Catalogue, root: Path, name: str) -> Status:
    raw, spec = root / catalogue.config["data"] / "raw", catalogue.assets[name]
    if "local" in spec:
        spec = spec | {"local": str(root / spec["local"])}
    return status(name, spec, mirror_folders(catalogue.config["mirrors"]), raw)


def results(catalogue: Catalogue, root: Path, names: Sequence[str]) -> str:
    """The headline table of each configured study, or a paper's counts of verdicts, and where its report lies."""
    from cmr.papers import verdicts
    from cmr.results import Study
    from cmr.tables import headline

    blocks = []
    for study in names or catalogue.wanted_studies:
        settings = catalogue.studies[study]  # an unknown one is an error
        folder = root / catalogue.config["results"] / "studies" / study
        if "paper" in settings and (folder / "verdicts.csv").exists():
            counts = verdicts.summary(verdicts.read(folder / "verdicts.csv"))
            head = f"{settings['title']}\n\n{counts.to_string()}" if len(counts) else settings["title"]
            blocks.append(f"{head}\n\nReport: {folder / 'report.html'}")
        elif "paper" not in settings and (folder / "results.csv").exists():
            blocks.append(f"{headline(Study.read(folder)).to_text()}\nReport: {folder / 'report.html'}")
        else:
            command = "make all" if study in catalogue.wanted_studies else f"{MAKES_STUDY}=[{study}]"
            blocks.append(f"{study}: no results in {folder}, the folder that config/config.yaml names; run `{command}`")
    return "\n\n".join(blocks)


LISTINGS = {listing.__name__: listing for listing in (methods, views, datasets, papers, assets, results)}


if __name__ == "__main__":
    run_main(main)
