"""What jobs of views.smk read and how they are called; functions of their wildcards."""


def concatenated(modality):
    """Names of the views that are others side by side."""
    return [name for name, settings in catalogue.views_of(modality).items() if "concatenate" in settings]


def one_of(names):
    """A wildcard's pattern: these names, and nothing where there are none."""
    return "|".join(names) or "(?!)"


def other_than(names, end):
    """A wildcard's pattern: any name but these, `end` being what follows it in the path."""
    return f"(?!(?:{one_of(names)}){end}){NAME}"


def view_file(dataset, split, modality, view):
    return f"{config['data']}/{catalogue.view_path(dataset, split, modality, view)}"


def split_of_view(wildcards, modality, view):
    """The split that a view learns from; none where it learns nothing."""
    learnt, split = catalogue.view(modality, view)["learnt"], getattr(wildcards, "split", wildcards.basis).rstrip("/")
    if learnt != bool(split):
        where = "<split>/" if learnt else ""
        raise WorkflowError(f"the {modality} view {view} lies in views/{wildcards.dataset}/{where}{modality}/")
    return [split] if learnt else []


def image_view_of(wildcards):
    return catalogue.view("image", wildcards.image_view)


def text_view_of(wildcards):
    return catalogue.view("text", wildcards.text_view)


def arguments_of_view(wildcards, modality, view):
    settings = catalogue.view(modality, view)
    assets = {option: f"{config['data']}/raw/{asset}" for option, asset in settings["assets"].items()}
    return [
        settings["implementation"],
        *("--options", as_json(catalogue.view_options(wildcards.dataset, modality, view))),
        *(part for part in ("--assets", as_json(assets)) if assets),
    ]


def arguments_of_image_view(wildcards):
    return arguments_of_view(wildcards, "image", wildcards.image_view)


def arguments_of_text_view(wildcards):
    return arguments_of_view(wildcards, "text", wildcards.text_view)


def assets_of_image_view(wildcards):
    return manifests(image_view_of(wildcards)["assets"].values())


def assets_of_text_view(wildcards):
    return manifests(text_view_of(wildcards)["assets"].values())


def code_of_image_view(script):
    """An input function: the script, the view's class, and a network's architecture that is named by its module."""

    def code(wildcards):
        settings = image_view_of(wildcards)
        names = [settings["implementation"], settings["options"].get("architecture", "")]
        return code_of(script, *[module_of(name) for name in names if "." in name])

    return code


def code_of_text_view(wildcards):
    return code_of("scripts/extract_text_view.py", module_of(text_view_of(wildcards)["implementation"]))


def gpus_of_image_view(wildcards):
    return gpus_of(image_view_of(wildcards)["uses_torch"])


def device_of_image_view(wildcards):
    """What does not compute with torch does not depend on the configured device, and does not rerun when it changes."""
    return ["--device", config["device"]] if image_view_of(wildcards)["uses_torch"] else []


def precision_of_image_view(wildcards):
    return ["--mixed-precision"] * (config["mixed_precision"] and image_view_of(wildcards)["uses_torch"])


def fitted_image_view(wildcards):
    folder = f"{config['data']}/views/{wildcards.dataset}"
    return {
        "fitted": f"{folder}/{split}/image/{wildcards.image_view}.fitted.h5"
        for split in split_of_view(wildcards, "image", wildcards.image_view)
    }


def fitted_argument(wildcards):
    return [part for file in fitted_image_view(wildcards).values() for part in ("--fitted", file)]


def image_shards(wildcards):
    folder = f"{config['data']}/views/{wildcards.dataset}/{wildcards.basis}image"
    return getattr(gather, wildcards.dataset)(f"{folder}/{wildcards.image_view}.{{scatteritem}}.h5")


def split_of_text_view(wildcards):
    folder = f"{config['data']}/datasets/{wildcards.dataset}/splits"
    return {"split": f"{folder}/{split}.parquet" for split in split_of_view(wildcards, "text", wildcards.text_view)}


def split_argument(wildcards):
    return [part for file in split_of_text_view(wildcards).values() for part in ("--split", file)]


def parts_of_view(wildcards):
    split = [*split_of_view(wildcards, wildcards.modality, wildcards.view), ""][0]
    parts = catalogue.view(wildcards.modality, wildcards.view)["concatenate"]
    return [view_file(wildcards.dataset, split, wildcards.modality, part) for part in parts]
