"""Cross-modal retrieval: from assets to the tables and figures of a study. Try `snakemake --cores 8 all`."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


# With `--sdm apptainer`, every job runs in this image; the Containerfile makes it.
container: config["container"]


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/settings.smk"
include: "workflow/rules/view_settings.smk"
include: "workflow/rules/vectorisation_settings.smk"
include: "workflow/rules/paper_settings.smk"
include: "workflow/rules/resources.smk"


# Before any job, and of all such blocks the last alone: Snakemake forgets the others.
onstart:
    check_folders()
    check_device()
    ask_squeue_alone()


# Everything that a run produces lies in two folders, which may be on scratch disks.
pathvars:
    data=config["data"],
    results=config["results"],
    logs=f"{config['results']}/logs",
    benchmarks=f"{config['results']}/benchmarks",


wildcard_constraints:
    asset=NAME,
    dataset=NAME,
    modality="image|text",
    view=NAME,
    split=NAME,
    basis=f"({NAME}/)?",
    image_view=NAME,
    text_view=NAME,
    method=NAME,
    study=NAME,
    table=NAME,
    figure=NAME,


include: "workflow/rules/assets.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/views.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/reporting.smk"
include: "workflow/rules/papers.smk"
include: "workflow/rules/vectorisation.smk"


rule all:
    """Everything of the studies that the configuration names."""
    default_target: True
    input:
        [file for study in catalogue.wanted_studies for file in files_of_study(study)],
        front_page=f"{config['results']}/report/index.html",
