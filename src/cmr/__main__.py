"""`python -m cmr`: what exists, what came out, and searching with it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmr.assets import Status, mirror_folders, status
from cmr.catalogue import Catalogue, Named, Settings
from cmr.errors import UserError, run_main

MISSING = "missing in this copy"
MAKES_STUDY = "snakemake --cores 8 all --config studies"
SEARCHED = """\
What is searched: a text finds pictures and a picture finds texts, among the items of the run's own split. By default
these are `all`, that is the train, valid and test part. `test` are items that the run has not seen, on which its
scores were measured; `train` are those that it learnt from. Pictures with several texts count once.
"""


def main() -> None:
    """Tell what this checkout has and what came out of its studies, or search with what a study has learnt."""
    parser = argparse.ArgumentParser(prog="python -m cmr", description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout, by default the current folder")
    commands = parser.add_subparsers(required=True, metavar="command", title="commands")
    for name in sorted(COMMANDS):
        command, more = COMMANDS[name]
        words = " ".join((command.__doc__ or "").split("\n\n")[0].split())
        sub = commands.add_parser(
            name, help=words, description=words, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        # Behind the command, too; without a default, which would take the place of one before it.
        sub.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="the checkout")
        sub.set_defaults(command=command)
        more(sub)
    arguments = vars(parser.parse_args())
    command, root = arguments.pop("command"), arguments.pop("root")
    if not (root / "config/config.yaml").exists():
        raise UserError(f"{root.resolve()} is no checkout: it has no config/config.yaml; go there or give --root")
    told = command(Catalogue.read(root), root, **arguments)
    if told is not None:
        print(told)


def search(
    catalogue: Catalogue,
    root: Path,
    text: str | None,
    image: Path | None,
    top: int,
    gallery: str,
    explain: bool,
    page: Path | None,
    **wanted: Any,
) -> str:
    """Search a data set by a text or a picture, with what a run of a study has learnt."""
    from cmr.datasets.images import data_uri, load_rgb, thumbnail
    from cmr.files import write_text
    from cmr.search import page as pages
    from cmr.search import words
    from cmr.search.runs import Wanted
    from cmr.search.searcher import Searcher

    picture = None if image is None else load_rgb(image)  # what is wrong with the query is told first
    searcher = Searcher(catalogue, root, Wanted(**wanted), "text" if picture is None else "image")
    options = {"top": top, "gallery": gallery, "explain": explain}
    if picture is None:
        answer, query, shown = searcher.by_text(text, **options), text, None
    else:
        answer = searcher.by_image(picture, **options)
        query = image.name.encode("utf-8", "replace").decode()  # a name need not be Unicode, a page must be
        shown = data_uri(thumbnail(picture, pages.THUMBNAIL))
    about = (searcher.trained.run, searcher.trained.seed, *options.values(), shown)
    results = root / catalogue.config["results"]
    page = page or pages.default_path(results, wanted["study"], wanted["method"], query, *about)
    write_text(page, pages.render(answer, query, shown))
    return f"{words.in_terminal(answer, query)}\n\nPage: {page.resolve().as_uri()}"


def serve(catalogue: Catalogue, root: Path, port: int, top: int, gallery: str, **wanted: Any) -> None:
    """Open a page on this machine, http://127.0.0.1:8000, on which to search by texts and pictures."""
    from cmr.search.runs import Wanted
    from cmr.search.serve import serve as serve_page

    serve_page(catalogue, root, Wanted(**wanted), port, top, gallery)


def verify(catalogue: Catalogue, root: Path, study: str) -> str:
    """Read again all that a study was made of, and tell what is no longer as its lock says."""
    from cmr.study_lock import compare

    catalogue.studies[study]  # an unknown one is an error
    found = compare(catalogue, root, study)
    remarks = [f"note: {line}" for line in found.remarks]
    counts = ", ".join(f"{count} {kind}" for kind, count in found.compared.items())
    if found.differences:
        raise UserError(
            "\n".join(
                [
                    f"{study} is not what its lock says. Compared were {counts} and the configuration:",
                    *(f"    {line}" for line in (*found.differences, *remarks)),
                    f"`{MAKES_STUDY}=[{study}]` makes what is missing or out of date; delete a changed file first.",
                ]
            )
        )
    return "\n".join([f"{study} is what its lock says: {counts} and the configuration", *remarks])


def _arguments_of_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="of config/studies, or a paper")


def docs(catalogue: Catalogue, root: Path, check: bool) -> str:
    """Write the documentation's tables of methods, views and data sets, which the registries decide."""
    from cmr.reference_pages import stale, write

    pages = stale(catalogue, root)
    names = ", ".join(str(path.relative_to(root)) for path in pages)
    if check and pages:
        raise UserError(f"not what the registries say: {names}; call `python -m cmr docs`")
    write(pages)
    return f"written: {names}" if pages else "all tables are what the registries say"


def _arguments_of_docs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a page is stale")


def _arguments_of_search(parser: argparse.ArgumentParser) -> None:
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--text", help="finds pictures")
    query.add_argument("--image", type=Path, metavar="FILE", help="a picture: finds texts")
    _arguments_of_run(parser)
    parser.add_argument(
        "--explain",
        action="store_true",
        help="tell the classes that the run sees in query and results, by a method that has posteriors; by another, "
        "the train items of the query's kind that it sees the query beside",
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="the page of pictures, by default in <results>/search"
    )


def _arguments_of_serve(parser: argparse.ArgumentParser) -> None:
    _arguments_of_run(parser)
    parser.add_argument("--port", type=int, default=8000, help="by default 8000")


def _arguments_of_run(parser: argparse.ArgumentParser) -> None:
    parser.epilog = SEARCHED
    parser.add_argument("--study", required=True, help="of config/studies, or a paper")
    parser.add_argument("--method", required=True, help="one that the study has trained")
    parser.add_argument("--dataset", help="where the study has several")
    parser.add_argument("--split", help="by default the study's first")
    parser.add_argument("--image-view", help="where the study has several; by default the one of its tables")
    parser.add_argument("--text-view", help="likewise")
    parser.add_argument("--seed", type=int, help="by default the run's first")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="results, by default 10")
    parser.add_argument(
        "--gallery", choices=["all", "test", "train"], default="all", help="the items to search, see below"
    )


def _arguments_of_listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="only these, in full")


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
    front_page = root / catalogue.config["results"] / "report/index.html"
    blocks += [f"All studies: {front_page}"] if front_page.exists() and not names else []
    return "\n\n".join(blocks)


# name -> what is run, and what adds its arguments to a parser.
COMMANDS = {
    **{
        listing.__name__: (listing, _arguments_of_listing)
        for listing in (methods, views, datasets, papers, assets, results)
    },
    "docs": (docs, _arguments_of_docs),
    "search": (search, _arguments_of_search),
    "serve": (serve, _arguments_of_serve),
    "verify": (verify, _arguments_of_verify),
}


def _run() -> None:
    """As `run_main`; whoever stops reading, as `head` does, or presses Ctrl-C wants no traceback."""
    try:
        run_main(main)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python flushes at its end goes nowhere
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    _run()
