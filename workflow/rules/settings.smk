"""What jobs read and how they are called, from the configuration; functions of their wildcards."""

import shlex

# assets.smk

ASSETS = os.path.relpath(Path(workflow.basedir) / "config/assets.yaml")
# By the environment: that mirrors came or went is no reason to fetch anything again.
os.environ.update(CMR_MIRRORS=os.pathsep.join([*config["mirrors"], os.environ.get("CMR_MIRRORS", "")]))


def sources_of_asset(wildcards):
    spec = catalogue.assets[wildcards.asset]
    return as_json({key: spec[key] for key in ("mirror", "debian", "wheel", "url", "unpack") if key in spec})


# datasets.smk


def assets_of_dataset(wildcards):
    return [f"{config['data']}/raw/{asset}/asset.json" for asset in catalogue.datasets[wildcards.dataset]["assets"]]


def code_of_reader(wildcards):
    return code_of("scripts/read_dataset.py", module_of(catalogue.datasets[wildcards.dataset]["reader"]))


def reader_arguments(wildcards):
    settings = catalogue.datasets[wildcards.dataset]
    return {
        "reader": settings["reader"],
        "options": as_json(settings.get("options", {})),
        "assets": settings["assets"],
        "on_bad_item": settings.get("on_bad_item", "stop"),
    }


def split_settings(wildcards):
    return catalogue.split(wildcards.dataset, wildcards.split)


# views.smk


def network_of(wildcards):
    return catalogue.image_views[wildcards.image_view]


def weights_of(wildcards):
    return f"{config['data']}/raw/{network_of(wildcards)['weights']}/asset.json"


def text_view_of(wildcards):
    return catalogue.text_views[wildcards.text_view]


def code_of_text_view(wildcards):
    return code_of("scripts/extract_text_view.py", module_of(text_view_of(wildcards)["implementation"]))


# training.smk


def code_of_method(wildcards):
    return code_of("scripts/train.py", module_of(method_config(wildcards.method)["implementation"]))


def gpus_of_method(wildcards):
    return gpus_of(method_config(wildcards.method).get("uses_torch", False))


def device_of_method(wildcards):
    """Closed forms do not depend on the configured device, and do not rerun when it changes."""
    return config["device"] if method_config(wildcards.method).get("uses_torch", False) else "cpu"


# reporting.smk

TEMPLATES = [os.path.relpath(path) for path in sorted((SOURCE / "cmr/templates").iterdir())]


def data_of_run(run):
    """The files that a run learns from."""
    data, dataset, split = config["data"], run["dataset"], run["split"]
    return {
        "pairs": f"{data}/datasets/{dataset}/pairs.parquet",
        "split": f"{data}/datasets/{dataset}/splits/{split}.parquet",
        "image_view": f"{data}/views/{dataset}/image/{run['image_view']}.h5",
        "text_view": f"{data}/views/{dataset}/{split}/text/{run['text_view']}.h5",
    }


def files_of_study(study):
    """All that a study is made of, not its last files alone.

    Snakemake deletes what a failed job was to make, and would find nothing missing at the next call as long as the last
    files of an earlier run stand.
    """
    runs = runs_of_study(study)
    assets = {asset for run in runs for asset in catalogue.datasets[run["dataset"]]["assets"]}
    assets |= {catalogue.image_views[run["image_view"]]["weights"] for run in runs}
    files = {
        *[f"{config['data']}/raw/{asset}/asset.json" for asset in assets],
        *[file for run in runs for file in data_of_run(run).values()],
        *[f"{run_folder(run)}/{file}" for run in runs for file in ("embeddings.h5", "metrics.parquet")],
        f"{config['results']}/studies/{study}/results.csv",
    }
    return [*sorted(files), *outputs_of_study(study)]


def outputs_of_study(study):
    """Everything that a study is made for."""
    folder, settings = f"{config['results']}/studies/{study}", study_config(study)
    return [
        f"{folder}/report.html",
        *[f"{folder}/gallery.html" for _ in settings.keys() & {"gallery"}],
        *[f"{folder}/tables/{table}.{form}" for table in settings["tables"] for form in ("csv", "md", "tex")],
        *[f"{folder}/figures/{figure}.{form}" for figure in settings["figures"] for form in ("svg", "png")],
    ]


def run_files(file):
    """An input function: the outputs of this name of all runs of a study."""
    return lambda wildcards: [f"{run_folder(run)}/{file}" for run in runs_of_study(wildcards.study)]


def data_files(name):
    """An input function: the files of this name that the runs of a study learn from, each once."""
    return lambda wildcards: list(dict.fromkeys(data_of_run(run)[name] for run in runs_of_study(wildcards.study)))


def datasets_of_study(wildcards):
    """What is told of a study's data sets."""
    datasets = dict.fromkeys(run["dataset"] for run in runs_of_study(wildcards.study))
    keys = ("title", "source", "licence")
    return {dataset: {key: catalogue.datasets[dataset][key] for key in keys} for dataset in datasets}


def methods_of_study(wildcards):
    """Settings of a study's methods, in the order in which it names them."""
    methods = dict.fromkeys(run["method"] for run in runs_of_study(wildcards.study))
    return {method: method_config(method) for method in methods}


def table_settings(wildcards):
    return study_config(wildcards.study)["tables"][wildcards.table]


def figure_settings(wildcards):
    return study_config(wildcards.study)["figures"][wildcards.figure]


def gallery_inputs(wildcards):
    """Data set, views and embeddings behind a study's gallery; nothing for a study without one."""
    settings = study_config(wildcards.study).get("gallery")
    if settings is None:
        return {}
    files = {name: file for name, file in data_of_run(settings).items() if name != "split"}
    return files | {"embeddings": f"{run_folder(settings)}/embeddings.h5"}


def gallery_arguments(wildcards):
    """How scripts are told of `gallery_inputs`."""
    files = gallery_inputs(wildcards)
    arguments = [part for name, file in files.items() for part in (f"--{name.replace('_', '-')}", file)]
    return [*arguments, "--raw", f"{config['data']}/raw"] if files else []


def command_of_study(wildcards):
    """What a reader types to make a study: with the overrides of its methods, so that the numbers are the same."""
    overrides = {name: config["methods"][name] for name in methods_of_study(wildcards) if config["methods"].get(name)}
    settings = [f"studies=[{wildcards.study}]", *[f"methods={as_json(overrides)}" for _ in range(bool(overrides))]]
    return shlex.join(["snakemake", "--cores", "8", "all", "--config", *settings])
