"""What jobs read and how they are called, from the configuration; functions of their wildcards."""

import re
import shlex

# assets.smk

ROOT = os.path.relpath(workflow.basedir)
# By the environment: that mirrors came or went is no reason to fetch anything again.
os.environ.update(CMR_MIRRORS=os.pathsep.join([*config["mirrors"], os.environ.get("CMR_MIRRORS", "")]))


def content_of_asset(wildcards):
    """What says which files an asset is made of. Where they come from is no reason to fetch them again."""
    spec = catalogue.assets[wildcards.asset]
    if "local" in spec:
        memory = Path(config["data"]) / "raw" / f"{wildcards.asset}.files.json"
        return folder_digest(Path(spec["local"]), memory)
    sources = [*spec.get("mirror", []), *[spec[key] for key in ("debian", "wheel", "url") if key in spec]]
    return as_json([[identity_of(source) for source in sources], spec.get("unpack", {}).get("keep")])


def identity_of(source):
    """The digest of a source's file; where nobody publishes one, the file's name or the package's version."""
    known = {key: source[key] for key in ("sha256", "sha256_prefix", "md5", "subfolder", "files") if key in source}
    if {"sha256", "sha256_prefix", "md5"}.isdisjoint(known):
        known |= {key: source[key] for key in ("package", "version", "distribution") if key in source}
        known |= {key: Path(source[key]).name for key in ("file", "address") if key in source}
    return known


def manifests(assets):
    return [f"{config['data']}/raw/{asset}/asset.json" for asset in assets]


# datasets.smk


def assets_of_dataset(wildcards):
    return manifests(catalogue.dataset(wildcards.dataset)["reads"])


def image_assets_of_dataset(wildcards):
    return manifests(catalogue.dataset(wildcards.dataset)["images"])


def code_of_reader(wildcards):
    return code_of("scripts/read_dataset.py", module_of(catalogue.datasets[wildcards.dataset]["reader"]))


def reader_arguments(wildcards):
    settings = catalogue.dataset(wildcards.dataset)
    return {
        "reader": settings["reader"],
        "options": as_json(settings["options"]),
        "assets": list(dict.fromkeys([*settings["reads"], *settings["images"]])),
        "on_bad_item": settings["on_bad_item"],
    }


def images_of_split(wildcards):
    """The checked images, for a split that keeps equal ones together."""
    protocol = catalogue.split(wildcards.dataset, wildcards.split)["protocol"]
    grouped = "image" in protocol.get("grouped_by", [])
    return {"images": images_file(wildcards.dataset)} if grouped else {}


def images_argument(wildcards):
    return [part for file in images_of_split(wildcards).values() for part in ("--images", file)]


def ready_view_of(wildcards):
    return catalogue.ready_view(wildcards.dataset, wildcards.modality, wildcards.view)


def assets_of_ready_view(wildcards):
    return manifests(ready_view_of(wildcards)["reads"])


def code_of_ready_view(wildcards):
    return code_of("scripts/read_view.py", module_of(ready_view_of(wildcards)["reader"]))


def ready_view_arguments(wildcards):
    settings = ready_view_of(wildcards)
    return {
        "reader": settings["reader"],
        "options": as_json(settings["options"]),
        "assets": settings["reads"],
        "counts": ["--counts"] * settings["counts"],
    }


def images_file(dataset):
    return f"{config['data']}/datasets/{dataset}/images.parquet"


# training.smk


def code_of_method(wildcards):
    return code_of("scripts/train.py", module_of(method_config(wildcards.method)["implementation"]))


def gpus_of_method(wildcards):
    return gpus_of(method_config(wildcards.method).get("uses_torch", False))


def compute_of_method(wildcards):
    """How torch is to compute. Closed forms do not depend on it, and do not rerun when it changes."""
    if not method_config(wildcards.method).get("uses_torch", False):
        return ["--device", "cpu"]
    switches = [f"--{key.replace('_', '-')}" for key in ("mixed_precision", "compile") if config[key]]
    return ["--device", config["device"], *switches]


def patches_arguments(wildcards):
    """How the training is told of the views of parts, for methods that look at them."""
    files = patches_of_run(wildcards)
    return [part for name, file in files.items() for part in (f"--{name.replace('_', '-')}", file)]


# reporting.smk

RUNS = f"{config['results']}/runs"
FILES_OF_RUN = ["model.h5", "embeddings.h5", "selection.json", "history.parquet"]
FILES_OF_RUN += ["metrics.parquet", "curves.parquet", "queries.parquet"]
TEMPLATES = [os.path.relpath(path) for path in sorted((SOURCE / "cmr/templates").iterdir())]


def view_of_run(run, modality):
    """The file of a run's view: one that the data set comes with, or a computed one."""
    dataset, view = run["dataset"], run[f"{modality}_view"]
    if catalogue.is_ready(dataset, modality, view):
        return f"{config['data']}/datasets/{dataset}/views/{modality}/{view}.h5"
    return view_file(dataset, run["split"], modality, view)


def patches_of_run(run):
    """The files of the views of parts that a run learns from; none but for methods that look at parts."""
    views = {f"{modality}_patches": (modality, catalogue.patches_of(run, modality)) for modality in ("image", "text")}
    return {
        name: view_file(run["dataset"], run["split"], modality, view)
        for name, (modality, view) in views.items()
        if view is not None
    }


def data_of_run(run):
    """The files that a run learns from."""
    catalogue.check_run(run)
    folder = f"{config['data']}/datasets/{run['dataset']}"
    return {
        "pairs": f"{folder}/pairs.parquet",
        "split": f"{folder}/splits/{run['split']}.parquet",
        "image_view": view_of_run(run, "image"),
        "text_view": view_of_run(run, "text"),
        **patches_of_run(run),
    }


def files_of_study(study):
    """All that a study is made of, not its last files alone.

    Snakemake deletes what a failed job was to make, and would find nothing missing at the next call as long as the last
    files of an earlier run stand.
    """
    runs = runs_of_study(study)
    files = {
        *manifests({asset for run in runs for asset in catalogue.assets_of_run(run)}),
        *[images_file(run["dataset"]) for run in runs if catalogue.looks_at_pictures(run)],
        *[file for run in runs for file in data_of_run(run).values()],
        *[f"{run_folder(run)}/{file}" for run in runs for file in FILES_OF_RUN],
        f"{config['results']}/studies/{study}/results.csv",
    }
    return [*sorted(files), *outputs_of_study(study)]


def outputs_of_study(study):
    """Everything that a study is made for."""
    folder, settings = f"{config['results']}/studies/{study}", study_config(study)
    return [
        f"{folder}/report.html",
        f"{folder}/lock.json",
        *judged_files(study),
        *[f"{folder}/gallery.html" for _ in settings.keys() & {"gallery"}],
        *[f"{folder}/views.{form}" for _ in settings.keys() & {"view_comparison"} for form in ("html", "csv")],
        *[f"{folder}/tables/{table}.{form}" for table in settings["tables"] for form in ("csv", "md", "tex")],
        *[f"{folder}/figures/{figure}.{form}" for figure in settings["figures"] for form in ("svg", "png")],
    ]


def code_of_numbers(wildcards):
    """The code that the numbers of a study come from: of its data sets, views, methods and evaluation."""
    runs = runs_of_study(wildcards.study)
    scripts = ["check_images", "make_split", "concatenate_views", "gather_image_shards", "evaluate", "collect_results"]
    modules = {("train", method_config(run["method"])["implementation"]) for run in runs}
    for run in runs:
        modules.add(("read_dataset", catalogue.datasets[run["dataset"]]["reader"]))
        for modality in ("image", "text"):
            views = [run[f"{modality}_view"], catalogue.patches_of(run, modality)]
            modules |= {made for view in views if view for made in _makers_of_view(run["dataset"], modality, view)}
    made = [code_of(f"scripts/{script}.py", module_of(name)) for script, name in sorted(modules)]
    return sorted(
        {file for files in [*made, *(code_of(f"scripts/{script}.py") for script in scripts)] for file in files}
    )


def _makers_of_view(dataset, modality, view):
    """Script and implementation of all that a view is made by."""
    if catalogue.is_ready(dataset, modality, view):
        return [("read_view", catalogue.ready_view(dataset, modality, view)["reader"])]
    settings = catalogue.view(modality, view)
    if "concatenate" in settings:
        return [made for part in settings["concatenate"] for made in _makers_of_view(dataset, modality, part)]
    fitted = ["fit_image_view"] if modality == "image" and settings["learnt"] else []
    return [(script, settings["implementation"]) for script in (*fitted, f"extract_{modality}_view")]


def sources_of_lock(wildcards):
    """All that the lock of a study tells of and that jobs have made."""
    runs = runs_of_study(wildcards.study)
    judged = ("measured.csv", "verdicts.csv", "agreement.csv", "comparisons.csv", "claims.csv")
    return {
        "runs": [f"{run_folder(run)}/{name}" for run in runs for name in FILES_OF_RUN],
        "data": list(dict.fromkeys(file for run in runs for file in data_of_run(run).values())),
        "images": image_files(wildcards),
        "assets": manifests(sorted({asset for run in runs for asset in catalogue.assets_of_run(run)})),
        "judged": judged_files(wildcards.study, *judged),
    }


def settings_of_lock(wildcards):
    """What the configuration says of how numbers are made and where, in so far as it concerns the study."""
    keys = ("data", "results", "device", "mixed_precision", "compile", "downloads", "without", "substitute")
    own = {method: config["methods"][method] for method in methods_of_study(wildcards) if method in config["methods"]}
    return as_json({**{key: config[key] for key in keys}, "methods": own})


def pages_of_study(study):
    """The pages that a study has."""
    return [file for file in outputs_of_study(study) if file.endswith(".html")]


def files_of_front_page(study):
    """What the front page tells of a study."""
    folder = f"{config['results']}/studies/{study}"
    collected = [f"{folder}/{name}" for name in ("results.csv", "curves.parquet", "history.parquet", "study.json")]
    return [*collected, *judged_files(study, "verdicts.csv", "agreement.csv")]


def studies_made_before():
    """Studies that this call is not about and whose pages lie there."""
    folder = Path(config["results"]) / "studies"
    return sorted({page.parent.name for page in folder.glob("*/report.html")} - set(catalogue.wanted_studies))


def run_files(file):
    """An input function: the outputs of this name of all runs of a study."""
    return lambda wildcards: [f"{run_folder(run)}/{file}" for run in runs_of_study(wildcards.study)]


def data_files(name):
    """An input function: the files of this name that the runs of a study learn from, each once."""
    return lambda wildcards: list(dict.fromkeys(data_of_run(run)[name] for run in runs_of_study(wildcards.study)))


def image_files(wildcards):
    """The checked images of the data sets whose pictures a study looks at."""
    return sorted(
        {images_file(run["dataset"]) for run in runs_of_study(wildcards.study) if catalogue.looks_at_pictures(run)}
    )


def datasets_of_study(wildcards):
    """What is told of a study's data sets."""
    runs = runs_of_study(wildcards.study)
    return {dataset: about_dataset(dataset, runs) for dataset in dict.fromkeys(run["dataset"] for run in runs)}


def about_dataset(dataset, runs):
    settings = catalogue.dataset(dataset)
    about = {key: settings[key] for key in ("title", "source", "citation", "licence", "notes") if key in settings}
    used = {run[f"{modality}_view"] for run in runs for modality in ("image", "text") if run["dataset"] == dataset}
    ready = {view: views[view] for views in settings["views"].values() for view in views.keys() & used}
    about["ready_views"] = sorted(ready)
    views = catalogue.image_views | catalogue.text_views | ready
    about["cautions"] = {view: views[view]["caution"] for view in sorted(used) if "caution" in views[view]}
    return about


def methods_of_study(wildcards):
    """Settings of a study's methods, in the order in which it names them."""
    methods = dict.fromkeys(run["method"] for run in runs_of_study(wildcards.study))
    return {method: method_config(method) for method in methods}


def title_of_study(wildcards):
    """How Snakemake's report names the study; a colon would be markup there."""
    return plain(study_config(wildcards.study)["title"].replace(":", ","))


def labels_of_table(wildcards):
    return labels_of_item(wildcards.table, study_config(wildcards.study)["tables"][wildcards.table])


def labels_of_figure(wildcards):
    return labels_of_item(wildcards.figure, study_config(wildcards.study)["figures"][wildcards.figure])


def labels_of_item(name, item):
    """How Snakemake's report lists a table or figure: its name in words, and the first sentence of its caption."""
    return {"item": name.replace("_", " "), "shows": plain(item["caption"].partition(". ")[0].rstrip("."))}


def plain(text):
    """On one line, and without what Snakemake's report would take for markup or for a wildcard."""
    return " ".join(text.split()).translate(str.maketrans("<>{}", "‹›()"))


def as_rst(text):
    """Text that reStructuredText shows as it is: captions could else include files, or bring scripts into the report."""
    return re.sub(r"([^\w\s]|_)", r"\\\1", " ".join(text.split()))


def caption_of_table(wildcards):
    return caption_of(wildcards, study_config(wildcards.study)["tables"][wildcards.table])


def caption_of_figure(wildcards):
    return caption_of(wildcards, study_config(wildcards.study)["figures"][wildcards.figure])


def caption_of(wildcards, item):
    """The caption of a table or figure, and what the marks mean of methods that it shows and whose settings tell."""
    if item.get("kind") == "dataset_statistics":
        return as_rst(item["caption"])
    methods = item.get("methods", methods_of_study(wildcards))
    pairs = [method for method in methods if method_config(method).get("sees_pairs")]
    test = [method for method in methods if method not in pairs and method_config(method).get("selects_on") == "test"]
    marked = {
        "‡, {}: not cross-modal retrieval, and never best.": pairs,
        "§, {}: chosen by the test part: not comparable, and never best.": test,
    }
    told = [
        f"Marked {words.format('; '.join(method_config(method)['title'] for method in some))}"
        for words, some in marked.items()
        if some
    ]
    return as_rst(" ".join([item["caption"], *told]))


def gallery_inputs(wildcards):
    """Data set, views and embeddings behind a study's gallery; nothing for a study without one."""
    settings = study_config(wildcards.study).get("gallery")
    if settings is None:
        return {}
    methods = settings["methods"] if "methods" in settings else [settings["method"]]
    runs = [{**settings, "method": method} for method in methods]
    files = {name: data_of_run(runs[0])[name] for name in ("pairs", "image_view", "text_view")}
    embeddings = [f"{run_folder(run)}/embeddings.h5" for run in runs]
    return files | {"images": images_file(settings["dataset"]), "embeddings": embeddings}


def gallery_arguments(wildcards):
    """How scripts are told of `gallery_inputs`."""
    files = gallery_inputs(wildcards)
    named = {name: [found] if isinstance(found, str) else found for name, found in files.items() if name != "images"}
    arguments = [part for name, paths in named.items() for part in (f"--{name.replace('_', '-')}", *paths)]
    return [*arguments, "--raw", f"{config['data']}/raw"] if files else []


def comparison_inputs(wildcards):
    """The files of the views that a study compares, by modality."""
    comparison = catalogue.view_comparison(wildcards.study)
    runs = [run for split in comparison["splits"] for run in compared_runs(comparison, split)]
    return {
        f"{modality}_views": list(dict.fromkeys(view_of_run(run, modality) for run in runs))
        for modality in ("image", "text")
    }


def compared_views(wildcards):
    """What is told of the views that a study compares: modality -> view -> settings."""
    comparison = catalogue.view_comparison(wildcards.study)
    return {
        modality: {view: about_view(comparison["dataset"], modality, view) for view in comparison[f"{modality}_views"]}
        for modality in ("image", "text")
    }


def about_view(dataset, modality, view):
    """Settings of a view that a data set comes with, or of a computed one."""
    if catalogue.is_ready(dataset, modality, view):
        return catalogue.ready_view(dataset, modality, view)
    return catalogue.view(modality, view) | {"options": catalogue.view_options(dataset, modality, view)}


def settings_of(methods):
    """Settings that commands in pages repeat, for the same numbers in the same folders: key -> value as it is typed."""
    overrides = {name: config["methods"][name] for name in methods if config["methods"].get(name)}
    told = {key: config[key] for key in ("data", "results") if config[key] != key}
    told |= {key: "true" for key in ("mixed_precision", "compile") if config[key]}
    return told | ({"methods": as_json(overrides)} if overrides else {})


def settings_of_study(wildcards):
    return as_json(settings_of(methods_of_study(wildcards)))


def command_of_study(wildcards):
    """What a reader types to make a study."""
    study = wildcards.study.removesuffix(f"-on-{config['substitute']}")  # a rehearsal is asked for by its paper
    return command_of([study], methods_of_study(wildcards))


def command_of(studies, methods):
    """What a reader types to make studies, as `studies` of the configuration names them."""
    told = {"studies": f"[{','.join(studies)}]"}
    told |= {"without": f"[{','.join(config['without'])}]"} if config["without"] else {}
    told |= {"downloads": "false"} if not config["downloads"] else {}
    told |= {"substitute": config["substitute"]} if config["substitute"] else {}
    settings = [f"{key}={value}" for key, value in (told | settings_of(methods)).items()]
    return shlex.join(["snakemake", "--cores", "8", "all", "--config", *settings])
